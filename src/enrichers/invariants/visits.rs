//! Rules of visits: from the entry over pings and zone changes to the exit.

use super::memory::{Map, Pending};
use super::rules::Rule;
use super::seen::{Id, Seen};
use super::stores::Stores;
use super::watch::Watch;
use crate::event::{CUSTOMER_BLE_ID, DWELL_TIME, FROM_ZONE, STORE_ID, TO_ZONE, Timestamp, ZONE};
use crate::retail::EventType;
use crate::retail::enumerations::ZONES;

/// A visit that began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit {
    pub(super) store: i64,
    /// The trace id of the entry.
    pub(super) trace: Id,
    /// When it began.
    pub(super) entered: i64,
    /// Whether the shopper went to EXIT.
    pub(super) is_over: bool,
    /// The shopper's device; none before the first ping or zone change.
    device: Id,
    zone: usize,
}

pub(super) struct Visits {
    visits: Pending<Visit>,
    /// The visit in which each device is.
    devices: Map<Id, Id>,
}

impl Visits {
    pub(super) fn new(entries_max: usize) -> Self {
        Self { visits: Pending::new(entries_max), devices: Map::default() }
    }

    /// The visit of a session.
    pub(super) fn get(&self, session: Id) -> Option<&Visit> {
        self.visits.get(session)
    }

    /// Whether visits had to be forgotten.
    pub(super) fn has_forgotten(&self) -> bool {
        self.visits.has_forgotten()
    }

    pub(super) fn enter(&mut self, seen: &Seen<'_>, stores: &mut Stores, watch: &mut Watch) {
        let read = || Some((seen.integer(STORE_ID)?, seen.integer(DWELL_TIME)?, zone(seen, ZONE)?));
        let Some((store, dwell, zone)) = read() else { return watch.unreadable(seen) };
        stores.require_open(seen, store, watch);
        stores.enter(store, seen.time.saturating_add(dwell.saturating_mul(1000)));
        if seen.session.is_none() {
            return;
        }
        if self.visits.get(seen.session).is_some() {
            return watch.violate(Rule::VisitBeginsWithEntry, seen, || {
                "the session has begun with an entry before".to_owned()
            });
        }
        let visit = Visit {
            store,
            trace: seen.trace,
            entered: seen.time,
            is_over: false,
            device: Id::NONE,
            zone,
        };
        let due = watch.now.saturating_add(watch.spans.recent);
        let early = self.visits.insert(seen.session, visit, due);
        self.forget(early, stores);
    }

    pub(super) fn ping(&mut self, seen: &Seen<'_>, stores: &mut Stores, watch: &mut Watch) {
        let read = || Some((seen.integer(STORE_ID)?, seen.id(CUSTOMER_BLE_ID)?));
        let Some((store, device)) = read() else { return watch.unreadable(seen) };
        self.observe(seen, store, device, stores, watch);
    }

    pub(super) fn change_zone(&mut self, seen: &Seen<'_>, stores: &mut Stores, watch: &mut Watch) {
        let read = || {
            let (store, device) = (seen.integer(STORE_ID)?, seen.id(CUSTOMER_BLE_ID)?);
            Some((store, device, zone(seen, FROM_ZONE)?, zone(seen, TO_ZONE)?))
        };
        let Some((store, device, from, to)) = read() else { return watch.unreadable(seen) };
        self.observe(seen, store, device, stores, watch);
        let Some(visit) = self.visits.get_mut(seen.session) else { return };
        let was = std::mem::replace(&mut visit.zone, to);
        watch.check(Rule::ZoneChain, seen, was == from && from != to, || {
            format!(
                "from {} to {}, where the shopper was in {}",
                ZONES[from], ZONES[to], ZONES[was]
            )
        });
        if to == ZONES.len() - 1 && !visit.is_over {
            visit.is_over = true;
            stores.count_out(visit.store, visit.entered);
            if self.devices.get(&device) == Some(&seen.session) {
                self.devices.remove(&device);
            }
        }
    }

    /// Lets go of visits that are long over.
    pub(super) fn expire(&mut self, stores: &mut Stores, watch: &Watch) {
        while let Some(due) = self.visits.take_due(watch.now) {
            self.forget(Some(due), stores);
        }
    }

    /// What pings and zone changes have in common.
    fn observe(
        &mut self,
        seen: &Seen<'_>,
        store: i64,
        device: Id,
        stores: &mut Stores,
        watch: &mut Watch,
    ) {
        stores.require_open(seen, store, watch);
        let has_forgotten = self.visits.has_forgotten();
        let Some(visit) = self.visits.get_mut(seen.session) else {
            let is_due = watch.has(EventType::CustomerEntered) && !seen.session.is_none();
            if is_due && watch.never_was(has_forgotten, watch.spans.recent) {
                watch.violate(Rule::VisitBeginsWithEntry, seen, || {
                    "no entry came before with its session".to_owned()
                });
            }
            return;
        };
        let is_first = visit.device.is_none();
        if is_first {
            visit.device = device;
        }
        let visit = *visit;
        let is_same = visit.device == device && visit.store == store;
        watch.check(Rule::VisitIsOneShopper, seen, is_same, || {
            format!("the visit is another shopper's, or to another store than {store}")
        });
        watch.check(Rule::VisitEndsWithExit, seen, !visit.is_over, || {
            "the shopper has gone to EXIT before".to_owned()
        });
        if is_first {
            stores.count_in(store);
            self.judge_device(seen, device, stores, watch);
        }
    }

    /// A device that appears in a visit must have left the one before.
    fn judge_device(
        &mut self,
        seen: &Seen<'_>,
        device: Id,
        stores: &mut Stores,
        watch: &mut Watch,
    ) {
        let Some(before) = self.devices.insert(device, seen.session) else { return };
        let Some(visit) = self.visits.get(before).filter(|_| before != seen.session) else {
            return;
        };
        let is_there = !visit.is_over && stores.may_be_inside(visit.store, visit.entered);
        let is_elsewhere = is_there && watch.has(EventType::CustomerZoneChanged);
        watch.check(Rule::OneStoreAtATime, seen, !is_elsewhere, || {
            let entered = Timestamp::from_millis(visit.entered);
            format!("the shopper is in store {} since {entered}", visit.store)
        });
    }

    fn forget(&mut self, visit: Option<(Id, Visit)>, stores: &mut Stores) {
        let Some((session, visit)) = visit else { return };
        if self.devices.get(&visit.device) == Some(&session) {
            self.devices.remove(&visit.device);
        }
        if !visit.device.is_none() && !visit.is_over {
            stores.count_out(visit.store, visit.entered);
        }
    }
}

fn zone(seen: &Seen<'_>, key: crate::event::Key) -> Option<usize> {
    seen.code(key, ZONES)
}
