//! Rules of stores: their time, and when they are open.

use super::memory::Map;
use super::rules::Rule;
use super::seen::Seen;
use super::watch::Watch;
use crate::event::{STORE_ID, Timestamp};
use crate::retail::EventType;

/// How much a stay in whole seconds may be too long by.
const SECOND: i64 = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doors {
    /// They have neither opened nor closed yet.
    Unknown,
    Open,
    Closed,
}

#[derive(Clone, Copy, Debug)]
struct Store {
    last_time: i64,
    doors: Doors,
    opened_at: i64,
    /// Shoppers who were seen inside since it opened, and not seen to leave.
    inside: u64,
    /// Until when those who have entered are going to stay.
    stays_until: i64,
}

/// The stores that appeared so far.
pub(super) struct Stores {
    known: Map<i64, Store>,
    entries_max: usize,
    /// Stands for any store beyond the bound.
    other: Store,
}

impl Store {
    /// One of which nothing is known.
    const NEW: Self = Self {
        last_time: i64::MIN,
        doors: Doors::Unknown,
        opened_at: i64::MIN,
        inside: 0,
        stays_until: i64::MIN,
    };
}

impl Stores {
    pub(super) fn new(entries_max: usize) -> Self {
        Self { known: Map::default(), entries_max, other: Store::NEW }
    }

    /// An event of a store's own stream.
    pub(super) fn see(&mut self, seen: &Seen<'_>, store: i64, watch: &mut Watch) {
        let state = self.state(store);
        let before = std::mem::replace(&mut state.last_time, seen.time);
        watch.leave_open(u64::from(self.is_beyond(store)));
        watch.check(Rule::TimeNeverGoesBackInStore, seen, before <= seen.time, || {
            format!("store {store} was at {} before", Timestamp::from_millis(before))
        });
    }

    /// Something that happens only while a store is open.
    pub(super) fn require_open(&mut self, seen: &Seen<'_>, store: i64, watch: &mut Watch) {
        let doors = self.state(store).doors;
        let is_right = match doors {
            Doors::Open => true,
            Doors::Unknown => watch.is_joined_late() || !watch.has(EventType::StoreOpened),
            Doors::Closed => !watch.has(EventType::StoreOpened),
        };
        watch.check(Rule::WithinOpeningHours, seen, is_right, || {
            let word = if doors == Doors::Closed { "closed" } else { "has not opened" };
            format!("store {store} is not open: it {word}")
        });
    }

    pub(super) fn open(&mut self, seen: &Seen<'_>, watch: &mut Watch) {
        let Some(store) = seen.integer(STORE_ID) else { return watch.unreadable(seen) };
        let is_beyond = self.is_beyond(store);
        let state = self.state(store);
        let before = std::mem::replace(&mut state.doors, Doors::Open);
        (state.opened_at, state.inside, state.stays_until) = (seen.time, 0, i64::MIN);
        let alternates = before != Doors::Open || is_beyond || !watch.has(EventType::StoreClosed);
        watch.check(Rule::OpeningAlternates, seen, alternates, || {
            format!("store {store} opens, and is open")
        });
    }

    pub(super) fn close(&mut self, seen: &Seen<'_>, watch: &mut Watch) {
        let Some(store) = seen.integer(STORE_ID) else { return watch.unreadable(seen) };
        let state = self.state(store);
        let before = std::mem::replace(&mut state.doors, Doors::Closed);
        let (inside, stays_until) = (state.inside, state.stays_until);
        (state.inside, state.stays_until) = (0, i64::MIN);
        let alternates = match before {
            Doors::Open => true,
            Doors::Unknown => watch.is_joined_late() || !watch.has(EventType::StoreOpened),
            Doors::Closed => !watch.has(EventType::StoreOpened),
        };
        watch.check(Rule::OpeningAlternates, seen, alternates, || {
            format!("store {store} closes, and is not open")
        });
        let is_empty = inside == 0 || !watch.has(EventType::CustomerZoneChanged);
        watch.check(Rule::NobodyInsideAtClosing, seen, is_empty, || {
            format!("store {store} closes on shoppers who have not left: {inside}")
        });
        let is_in_time = stays_until <= seen.time.saturating_add(SECOND);
        watch.check(Rule::DwellEndsByClosing, seen, is_in_time, || {
            let until = Timestamp::from_millis(stays_until);
            format!("store {store} closes, and who entered stays until {until}")
        });
    }

    /// Somebody came in, to stay for so long.
    pub(super) fn enter(&mut self, store: i64, stays_until: i64) {
        let state = self.state(store);
        state.stays_until = state.stays_until.max(stays_until);
    }

    /// A shopper is seen inside for the first time.
    pub(super) fn count_in(&mut self, store: i64) {
        self.state(store).inside += 1;
    }

    /// A shopper who was counted in and came at `entered` is gone.
    pub(super) fn count_out(&mut self, store: i64, entered: i64) {
        let state = self.state(store);
        if entered >= state.opened_at {
            state.inside = state.inside.saturating_sub(1);
        }
    }

    /// Whether who entered a store then can still be there: it has not closed since.
    pub(super) fn may_be_inside(&mut self, store: i64, entered: i64) -> bool {
        let state = self.state(store);
        state.doors != Doors::Closed && entered >= state.opened_at
    }

    fn state(&mut self, store: i64) -> &mut Store {
        if self.is_beyond(store) {
            // Open in every state, so that no rule takes offence.
            self.other = Store { doors: Doors::Open, ..Store::NEW };
            return &mut self.other;
        }
        self.known.entry(store).or_insert(Store::NEW)
    }

    /// Whether there is no room for a store.
    fn is_beyond(&self, store: i64) -> bool {
        self.known.len() >= self.entries_max && !self.known.contains_key(&store)
    }
}
