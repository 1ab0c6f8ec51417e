//! Which names come where in the objects of a type: most often the same as in the event before,
//! and comparing is quicker than looking up.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use super::Names;
use crate::event::Key;

/// How many names of an event are learnt, and the orders of how many types.
const NAMES_LEARNT_MAX: usize = 64;
const ORDERS_MAX: usize = 64;
/// What an event has room for beyond the fields of the last one: a rule sets one or two.
const SPARE_FIELDS: usize = 2;

/// The orders of names that were met.
pub(super) struct Orders {
    /// The first one is of objects that have no type, or say it later.
    learnt: Vec<Vec<Place>>,
    types: HashMap<&'static str, (Key, usize), FxBuildHasher>,
    /// The order that is expected in this object, and the next place of it.
    current: usize,
    next: usize,
}

/// A name, and where it came: how deep its object is, and how many fields that had before it. The
/// places of the names tell the objects apart, so as long as an event has the same names at the
/// same places as one before, no name comes twice in an object if none did there.
#[derive(Clone, Copy)]
struct Place {
    key: Key,
    depth: u32,
    index: u32,
}

impl Default for Orders {
    fn default() -> Self {
        Self { learnt: vec![Vec::new()], types: HashMap::default(), current: 0, next: 0 }
    }
}

impl Orders {
    /// From here on, expects the names of the last object that had no type.
    pub(super) fn expect_any(&mut self) {
        (self.current, self.next) = (0, 0);
    }

    /// From here on, expects the names of the last event of this type; none where there is no
    /// room for its name.
    pub(super) fn expect(&mut self, event_type: &str, names: &mut Names) -> Option<Key> {
        if let Some((key, place)) = self.types.get(event_type) {
            (self.current, self.next) = (*place, 0);
            return Some(*key);
        }
        let key = names.key(event_type).ok()?;
        self.expect_any();
        if self.learnt.len() <= ORDERS_MAX {
            self.current = self.learnt.len();
            self.learnt.push(Vec::new());
            self.types.insert(key.as_str(), (key, self.current));
        }
        Some(key)
    }

    /// How many fields to make room for in the outermost object.
    pub(super) fn room(&self) -> usize {
        match self.learnt[self.current].len() {
            0 => 16,
            fields => fields + SPARE_FIELDS,
        }
    }

    /// The name that is expected at a place.
    #[inline]
    pub(super) fn expected(&self, depth: usize, index: usize) -> Option<Key> {
        let place = self.learnt[self.current].get(self.next)?;
        let is_here = (place.depth, place.index) == (depth as u32, index as u32);
        is_here.then_some(place.key)
    }

    /// The expected name has come.
    #[inline]
    pub(super) fn go_on(&mut self) {
        self.next += 1;
    }

    /// Another name has come, which its object did not have before: from there on, what comes is
    /// learnt anew.
    pub(super) fn learn(&mut self, key: Key, depth: usize, index: usize) {
        let order = &mut self.learnt[self.current];
        order.truncate(self.next);
        if order.len() < NAMES_LEARNT_MAX {
            order.push(Place { key, depth: depth as u32, index: index as u32 });
            self.next += 1;
        }
    }
}
