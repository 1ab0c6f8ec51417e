//! The future-event list: what is going to happen in a cell, by time and then in the order in which
//! it was planned.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// An instant of the simulation: milliseconds since 1970.
pub(super) type Millis = i64;

pub(super) const SECOND: Millis = 1000;
pub(super) const MINUTE: Millis = 60 * SECOND;
pub(super) const HOUR: Millis = 60 * MINUTE;
pub(super) const DAY: Millis = 24 * HOUR;

/// The number of a day, counted from 1970-01-01.
pub(super) fn day_of(date: Date) -> i32 {
    let days = date.since(EPOCH).map(|span| span.get_days());
    days.unwrap_or_default()
}

/// The day of a number; the last one that the calendar has, where it has none.
pub(super) fn date_of(day: i32) -> Date {
    EPOCH.checked_add(jiff::Span::new().days(day)).unwrap_or(Date::MAX)
}

const EPOCH: Date = Date::constant(1970, 1, 1);

/// Something that is going to happen. Stores are told by their place in the cell, what is under way
/// (a visit, a sale) by its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Task {
    /// A store's local day begins.
    Day(u32),
    /// A store opens.
    Open(u32),
    /// A store closes, once the last shopper has left.
    Close(u32),
    /// Somebody comes into a store, or its rates change.
    Footfall(u32),
    /// A shopper goes on.
    Visit(u32),
    /// A till goes on with a sale.
    Sale(u32),
    /// Somebody brings something back.
    Return(u32),
    /// A store is cleaned, counted and tidied.
    Upkeep(u32),
    /// The centre sends a store what it has ordered.
    Dispatch(u32),
    /// A shipment goes on.
    Shipment(u32),
    /// Suppliers send the centre what it has ordered.
    Supply,
    /// An ad is shown, or their rate changes.
    Ad,
    /// A customer follows an ad.
    Lead(u32),
    /// Somebody orders online, or the rate changes.
    Ordering,
    /// An online order goes on.
    Order(u32),
    /// An incident begins.
    IncidentBegins(u32),
    /// An incident ends.
    IncidentEnds(u32),
}

/// Tasks by time. Of two tasks at one instant, the one that was planned first comes first.
///
/// What is due soon is apart from what is not: most tasks are planned seconds ahead, and need not
/// find their place among the many that wait for days.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Schedule {
    /// What is due before the horizon.
    near: BinaryHeap<Reverse<Planned>>,
    /// All else.
    far: BinaryHeap<Reverse<Planned>>,
    horizon: Millis,
    /// How many were ever planned.
    count: u64,
}

/// How far the horizon is moved on at a time.
const HORIZON: Millis = 10 * MINUTE;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Planned {
    time: Millis,
    number: u64,
    task: Task,
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.time, self.number).cmp(&(other.time, other.number))
    }
}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Schedule {
    /// Plans a task.
    pub(super) fn at(&mut self, time: Millis, task: Task) {
        self.count += 1;
        let planned = Reverse(Planned { time, number: self.count, task });
        if time < self.horizon {
            self.near.push(planned);
        } else {
            self.far.push(planned);
        }
    }

    /// When the next task is due.
    pub(super) fn next_time(&self) -> Option<Millis> {
        self.near.peek().or_else(|| self.far.peek()).map(|Reverse(planned)| planned.time)
    }

    /// Takes the next task that is due before an instant.
    pub(super) fn pop_before(&mut self, end: Millis) -> Option<(Millis, Task)> {
        if self.near.is_empty() {
            self.move_horizon();
        }
        let next = self.near.peek_mut()?;
        if next.0.time >= end {
            return None;
        }
        let Reverse(planned) = PeekMut::pop(next);
        Some((planned.time, planned.task))
    }

    /// Moves the horizon behind the next task, and what is then before it near.
    fn move_horizon(&mut self) {
        let Some(Reverse(next)) = self.far.peek() else { return };
        self.horizon = next.time.saturating_add(HORIZON);
        while let Some(planned) = self.far.peek_mut().filter(|it| it.0.time < self.horizon) {
            self.near.push(PeekMut::pop(planned));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tasks_come_by_time_and_those_of_one_instant_as_they_were_planned(times: Vec<i8>) {
            let mut schedule = Schedule::default();
            for (number, time) in (0..).zip(&times) {
                schedule.at((*time).into(), Task::Visit(number));
            }
            let mut expected: Vec<(i8, usize)> =
                times.iter().copied().enumerate().map(|(number, time)| (time, number)).collect();
            expected.sort_unstable();
            for (time, number) in expected {
                let next = schedule.pop_before(i64::MAX);
                prop_assert_eq!(next, Some((time.into(), Task::Visit(number as u32))));
            }
        }
    }

    #[test]
    fn a_task_that_is_not_due_stays() {
        let mut schedule = Schedule::default();
        schedule.at(10, Task::Supply);
        assert_eq!(schedule.pop_before(10), None);
        assert_eq!(schedule.pop_before(11), Some((10, Task::Supply)));
    }
}
