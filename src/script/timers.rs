//! Event-time timers, in the order they are due; what is set first fires first among equals.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::Timestamp;

/// Timers that carry a `T` each. There is a bound on how many are open.
#[derive(Debug)]
pub struct Timers<T> {
    open: BTreeMap<TimerId, T>,
    sequence: u64,
    open_max: usize,
}

/// A timer that was set: when it is due, and its place among those of that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TimerId {
    due: Timestamp,
    sequence: u64,
}

/// As many timers are open as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyTimers;

impl<T> Timers<T> {
    /// No timers, and never more than `open_max`.
    pub fn new(open_max: usize) -> Self {
        Self { open: BTreeMap::new(), sequence: 0, open_max }
    }

    /// Sets a timer.
    pub fn set(&mut self, due: Timestamp, carried: T) -> Result<TimerId, TooManyTimers> {
        if self.room() == 0 {
            return Err(TooManyTimers);
        }
        self.sequence += 1;
        let id = TimerId { due, sequence: self.sequence };
        self.open.insert(id, carried);
        Ok(id)
    }

    /// Takes a timer back; none if it fired or was taken back before.
    pub fn cancel(&mut self, id: TimerId) -> Option<T> {
        self.open.remove(&id)
    }

    /// When the next timer is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.open.first_key_value().map(|(id, _)| id.due)
    }

    /// Takes out the next timer that is due at or before `until`.
    pub fn pop(&mut self, until: Timestamp) -> Option<(TimerId, T)> {
        let first = self.open.first_entry()?;
        (first.key().due <= until).then(|| first.remove_entry())
    }

    /// How many timers are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The open timers, in the order they are due.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (TimerId, &T)> {
        self.open.iter().map(|(id, carried)| (*id, carried))
    }

    /// How many were set so far.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Puts back timers that others were, of which so many were set. Gives nothing where they do
    /// not belong to those.
    pub fn restored(self, sequence: u64, open: Vec<(TimerId, T)>) -> Option<Self> {
        let known = open.iter().all(|(id, _)| (1..=sequence).contains(&id.sequence));
        let (len, open) = (open.len(), BTreeMap::from_iter(open));
        let fits = known && open.len() == len && len <= self.open_max && sequence < u64::MAX / 2;
        fits.then_some(Self { open, sequence, ..self })
    }

    /// How many more may be set.
    pub fn room(&self) -> usize {
        self.open_max - self.open.len()
    }
}

impl TimerId {
    /// When it is due.
    pub fn due(self) -> Timestamp {
        self.due
    }

    /// How many had been set with it.
    pub fn sequence(self) -> u64 {
        self.sequence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_in_the_order_they_are_due_and_then_as_they_were_set() {
        let mut timers = Timers::new(10);
        for (due, name) in [(30, "c"), (10, "a"), (20, "b"), (10, "a2"), (40, "late")] {
            timers.set(Timestamp::from_millis(due), name).unwrap();
        }
        let mut fired = Vec::new();
        while let Some((_, name)) = timers.pop(Timestamp::from_millis(30)) {
            fired.push(name);
        }
        assert_eq!(fired, ["a", "a2", "b", "c"]);
        assert_eq!(timers.next_due(), Some(Timestamp::from_millis(40)));
    }

    #[test]
    fn there_is_a_bound_on_open_timers_and_cancelling_makes_room() {
        let mut timers = Timers::new(1);
        let id = timers.set(Timestamp::from_millis(1), ()).unwrap();
        assert_eq!(timers.set(Timestamp::from_millis(2), ()), Err(TooManyTimers));
        assert_eq!(timers.cancel(id), Some(()));
        assert_eq!(timers.cancel(id), None);
        assert!(timers.set(Timestamp::from_millis(2), ()).is_ok());
    }
}
