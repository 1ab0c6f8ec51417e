//! What is remembered, in bounded room: things until they are due, and ids for a span of time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{Hash, Hasher};

use rustc_hash::FxBuildHasher;

use super::seen::Id;

/// A map that hashes as cheaply as its keys allow.
pub(super) type Map<K, V> = HashMap<K, V, FxBuildHasher>;

/// Things by id, each until it is due. Beyond the bound the oldest go early.
pub(super) struct Pending<T> {
    things: Map<Id, T>,
    /// When each is due, in the order in which they came.
    due: VecDeque<(i64, Id)>,
    entries_max: usize,
    has_forgotten: bool,
}

impl<T> Pending<T> {
    pub(super) fn new(entries_max: usize) -> Self {
        let (things, due) = (Map::default(), VecDeque::new());
        Self { things, due, entries_max, has_forgotten: false }
    }

    pub(super) fn get(&self, id: Id) -> Option<&T> {
        self.things.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        self.things.get_mut(&id)
    }

    /// Adds a thing whose id is new. Gives back one that had to go early for it.
    pub(super) fn insert(&mut self, id: Id, thing: T, due: i64) -> Option<(Id, T)> {
        let early = if self.due.len() >= self.entries_max { self.pop() } else { None };
        self.has_forgotten |= early.is_some();
        self.things.insert(id, thing);
        self.due.push_back((due, id));
        early
    }

    /// The next one that is due by `now`, taken out.
    pub(super) fn take_due(&mut self, now: i64) -> Option<(Id, T)> {
        self.due.front().filter(|(due, _)| *due <= now)?;
        self.pop()
    }

    /// Whether one went before it was due.
    pub(super) fn has_forgotten(&self) -> bool {
        self.has_forgotten
    }

    fn pop(&mut self) -> Option<(Id, T)> {
        let (_, id) = self.due.pop_front()?;
        self.things.remove(&id).map(|thing| (id, thing))
    }
}

/// Ids, each for a span of time at least. Three generations: the oldest goes as a whole, when it
/// is old enough or room is short.
pub(super) struct KnownIds {
    /// All in one set: most ids are looked for once, and each look costs as much as all else.
    ids: HashSet<Known, FxBuildHasher>,
    /// The number of the youngest generation.
    youngest: u64,
    /// When the youngest began.
    began: i64,
    /// How long a generation is the youngest.
    step: i64,
    entries_max: usize,
    has_forgotten: bool,
}

/// An id with the number of its generation in the place of its lowest two bits.
#[derive(Clone, Copy)]
struct Known(u64);

impl Known {
    const GENERATION: u64 = 0b11;

    fn new(id: Id, generation: u64) -> Self {
        Self(id.bits() & !Self::GENERATION | generation)
    }
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        (self.0 ^ other.0) & !Self::GENERATION == 0
    }
}

impl Eq for Known {}

impl Hash for Known {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0 & !Self::GENERATION);
    }
}

impl KnownIds {
    pub(super) fn new(span: i64, entries_max: usize) -> Self {
        let (ids, step) = (HashSet::default(), (span / 2).max(1));
        Self { ids, youngest: 0, began: i64::MIN, step, entries_max, has_forgotten: false }
    }

    pub(super) fn contains(&self, id: Id) -> bool {
        self.ids.contains(&Known::new(id, 0))
    }

    /// Adds an id; says whether it is new.
    pub(super) fn insert(&mut self, id: Id, now: i64) -> bool {
        if now.saturating_sub(self.began) >= self.step {
            self.rotate();
            self.began = now;
        }
        if !self.ids.insert(Known::new(id, self.youngest)) {
            return false;
        }
        if self.ids.len() > self.entries_max {
            self.has_forgotten = true;
            self.rotate();
            self.began = now;
        }
        true
    }

    /// Whether ids went before their time.
    pub(super) fn has_forgotten(&self) -> bool {
        self.has_forgotten
    }

    /// The oldest generation goes, and its number is that of the youngest.
    fn rotate(&mut self) {
        self.youngest = (self.youngest + 1) % 3;
        self.ids.retain(|known| known.0 & Known::GENERATION != self.youngest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Text;

    fn id(number: u32) -> Id {
        Id::of(&Text::from(number.to_string()))
    }

    #[test]
    fn an_id_is_known_for_its_span_and_forgotten_after_two() {
        let mut ids = KnownIds::new(100, 1000);
        assert!(ids.insert(id(1), 49));
        for now in (50..150).step_by(10) {
            ids.insert(id(2), now);
        }
        assert!(ids.contains(id(1)) && !ids.insert(id(1), 149));
        ids.insert(id(2), 200);
        ids.insert(id(3), 250);
        assert!(!ids.contains(id(1)) && !ids.has_forgotten());
    }

    #[test]
    fn beyond_the_bound_the_oldest_ids_go_and_that_is_known() {
        let mut ids = KnownIds::new(100, 10);
        (0..40).for_each(|number| assert!(ids.insert(id(number), 1)));
        assert!(ids.has_forgotten() && !ids.contains(id(0)) && ids.contains(id(39)));
    }

    #[test]
    fn things_go_when_they_are_due_or_early_where_room_is_short() {
        let mut things = Pending::new(2);
        assert!(things.insert(id(1), "one", 10).is_none());
        assert!(things.insert(id(2), "two", 20).is_none());
        assert!(things.take_due(9).is_none());
        assert_eq!(things.take_due(10), Some((id(1), "one")));
        things.insert(id(3), "three", 30);
        assert!(!things.has_forgotten());
        assert_eq!(things.insert(id(4), "four", 40), Some((id(2), "two")));
        assert!(things.has_forgotten() && things.get(id(2)).is_none());
    }
}
