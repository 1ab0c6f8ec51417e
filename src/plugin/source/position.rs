//! Where a source is in what its plugin gives: what is behind it, and what of the rest was handed on
//! already.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::event::Timestamp;

/// Where a source is, so that another feed goes on behind the last batch: from what the plugin
/// remembered behind a poll, without the events after it that were handed on already.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Position {
    /// None where the plugin remembers nothing.
    pub(super) plugin: Option<Box<RawValue>>,
    pub(super) handed_on: HandedOn,
    /// How many ids were given before that.
    pub(super) ids: u64,
    pub(super) watermark: Timestamp,
}

impl Position {
    /// Goes on behind a poll that gave so many events, all of which were handed on.
    pub(super) fn go_behind(&mut self, events: usize, plugin: Option<Box<RawValue>>, ids: u64) {
        self.handed_on.forget(events);
        (self.plugin, self.ids) = (plugin, ids);
    }
}

/// Which events were handed on, by their places in the order in which the plugin gives them. How
/// they fall into polls makes no difference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HandedOn {
    /// How many from the first on.
    first: usize,
    /// Behind those, the ones that were due before others; no more than a poll gives.
    others: BTreeSet<usize>,
}

impl HandedOn {
    pub(super) fn contains(&self, place: usize) -> bool {
        place < self.first || self.others.contains(&place)
    }

    pub(super) fn insert(&mut self, place: usize) {
        if place > self.first {
            self.others.insert(place);
        } else if place == self.first {
            self.first += 1;
            while self.others.remove(&self.first) {
                self.first += 1;
            }
        }
    }

    /// Counts from behind so many events on.
    fn forget(&mut self, events: usize) {
        self.first = self.first.saturating_sub(events);
        let others = std::mem::take(&mut self.others);
        self.others = others.into_iter().filter_map(|place| place.checked_sub(events)).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_on_is_known_in_whatever_order_and_wherever_it_is_counted_from() {
        let mut handed_on = HandedOn::default();
        for place in [3, 0, 5, 1] {
            assert!(!handed_on.contains(place));
            handed_on.insert(place);
            assert!(handed_on.contains(place));
        }
        let all =
            |handed_on: &HandedOn| (0..8).map(|at| handed_on.contains(at)).collect::<Vec<_>>();
        let before = all(&handed_on);
        assert_eq!(before, [true, true, false, true, false, true, false, false]);
        for events in 0..6 {
            let mut behind = handed_on.clone();
            behind.forget(events);
            assert_eq!(all(&behind)[..8 - events], before[events..]);
            let json = serde_json::to_string(&behind).unwrap();
            assert_eq!(serde_json::from_str::<HandedOn>(&json).unwrap(), behind);
        }
        for place in [4, 2] {
            handed_on.insert(place);
        }
        assert_eq!(handed_on, HandedOn { first: 6, others: BTreeSet::new() });
    }
}
