//! Events whose times go back a little, put in order.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event::{Event, Timestamp};

/// Holds events back until nothing earlier can come: until one was seen that is later by the
/// lateness. It holds what the input has within that span, and no more; what is at or after the end
/// of the run is held until the end, for the run that goes on from there.
pub(super) struct Reorder<P> {
    lateness: Duration,
    /// The latest time that is let go at all.
    last: Timestamp,
    latest: Timestamp,
    /// By time, then in the order they came.
    held: BTreeMap<(Timestamp, u64), Event>,
    /// The place in the input of each held event.
    places: BTreeMap<u64, P>,
    /// How many came so late that the watermark had passed them.
    late: u64,
}

impl<P: Clone> Reorder<P> {
    /// Nothing is held yet; events after `last` never go on.
    pub(super) fn new(lateness: Duration, last: Timestamp) -> Self {
        let (held, places) = (BTreeMap::new(), BTreeMap::new());
        Self { lateness, last, latest: Timestamp::MIN, held, places, late: 0 }
    }

    /// Goes on where another one was that held nothing.
    pub(super) fn go_on_from(&mut self, latest: Timestamp, late: u64) {
        (self.latest, self.late) = (latest, late);
    }

    /// Nothing earlier will come, late events apart.
    pub(super) fn watermark(&self) -> Timestamp {
        self.latest - self.lateness
    }

    /// The latest time that was seen.
    pub(super) fn latest(&self) -> Timestamp {
        self.latest
    }

    /// How many events were late.
    pub(super) fn late(&self) -> u64 {
        self.late
    }

    /// The place of the earliest input that is still held.
    pub(super) fn first_place(&self) -> Option<&P> {
        self.places.first_key_value().map(|(_, place)| place)
    }

    /// How many events are held.
    pub(super) fn held(&self) -> u64 {
        self.held.len() as u64
    }

    /// Takes an event, the `ordinal`th, whose line begins at `place`; adds to `ready` what has its
    /// turn now.
    pub(super) fn push(&mut self, event: Event, ordinal: u64, place: &P, ready: &mut Vec<Event>) {
        self.late += u64::from(event.time < self.watermark());
        self.latest = self.latest.max(event.time);
        if event.time <= self.watermark().min(self.last) {
            ready.push(event);
        } else {
            self.places.insert(ordinal, place.clone());
            self.held.insert((event.time, ordinal), event);
        }
        self.release(self.watermark(), ready);
    }

    /// Adds to `ready` what is held up to an instant.
    pub(super) fn release(&mut self, until: Timestamp, ready: &mut Vec<Event>) {
        while let Some(first) = self.held.first_entry()
            && first.key().0 <= until.min(self.last)
        {
            self.places.remove(&first.key().1);
            ready.push(first.remove());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{RECEIPT_CREATED, Text};
    use proptest::prelude::*;

    fn pushed(times: &[i64], lateness_ms: u64) -> (Vec<i64>, u64) {
        let mut reorder = Reorder::new(Duration::from_millis(lateness_ms), Timestamp::MAX);
        let mut ready = Vec::new();
        for (ordinal, time) in times.iter().enumerate() {
            let time = Timestamp::from_millis(*time);
            let event = Event::new(RECEIPT_CREATED, Text::default(), time);
            reorder.push(event, ordinal as u64, &ordinal, &mut ready);
            assert_eq!(reorder.places.len(), reorder.held.len());
        }
        reorder.release(Timestamp::MAX, &mut ready);
        assert_eq!(reorder.first_place(), None);
        (ready.iter().map(|event| event.time.as_millis()).collect(), reorder.late())
    }

    proptest! {
        #[test]
        fn times_that_go_back_no_further_than_allowed_come_out_in_order(
            jitter in prop::collection::vec(0_i64..50, 1..100),
        ) {
            let times: Vec<_> = (0_i64..).zip(&jitter).map(|(step, late)| 10 * step - late).collect();
            let (got, late) = pushed(&times, 60);
            let mut sorted = times;
            sorted.sort_unstable();
            prop_assert_eq!(got, sorted);
            prop_assert_eq!(late, 0);
        }
    }

    #[test]
    fn without_lateness_nothing_is_held_or_moved() {
        assert_eq!(pushed(&[5, 7, 6, 7, 9], 0), (vec![5, 7, 6, 7, 9], 1));
    }

    #[test]
    fn what_is_later_still_is_handed_on_late_and_counted() {
        assert_eq!(pushed(&[100, 200, 120, 100], 50), (vec![100, 120, 100, 200], 2));
    }
}
