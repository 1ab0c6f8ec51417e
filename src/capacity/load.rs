//! What comes in some span of event time, as a load of wall time.

use std::time::Duration;

use serde::Serialize;

use super::limits::throughput_units;
use crate::event::Timestamp;

/// Events of a minute of event time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Minute {
    pub(super) events: u64,
    /// As they are sent.
    pub(super) bytes: u64,
    pub(super) sends: u64,
}

/// What a hub has to take in some span of event time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Load {
    /// Where the span begins.
    pub from: Timestamp,
    /// How much event time it is, in seconds.
    pub seconds: f64,
    /// Events in a second of wall time.
    pub events_a_second: f64,
    /// Bytes in a second of wall time, as they are sent.
    pub bytes_a_second: f64,
    /// Sends in a second of wall time.
    pub sends_a_second: f64,
    /// Throughput units of the Standard tier that take it.
    pub throughput_units: u64,
    /// Partitions with which none is above what is recommended; none if no number helps.
    pub partitions: Option<usize>,
}

/// A span of event time cut into minutes.
pub(super) struct Minutes<'a> {
    pub(super) start: Timestamp,
    pub(super) counts: &'a [Minute],
    pub(super) span: Duration,
    /// Seconds of event time in a second of wall time.
    pub(super) speed: f64,
}

impl Minutes<'_> {
    /// The hour that has as many hours above it as below, of those with events; a shorter span as a
    /// whole.
    pub(super) fn typical(&self) -> Option<Load> {
        const HOUR: usize = 60;
        if self.counts.len() < HOUR {
            return Some(self.load(0, self.counts.len()));
        }
        let hours = (0..self.counts.len() / HOUR).map(|hour| hour * HOUR);
        let mut hours: Vec<usize> = hours.filter(|hour| self.sum(*hour, HOUR).events > 0).collect();
        hours.sort_by_key(|hour| self.sum(*hour, HOUR).bytes);
        Some(self.load(*hours.get(hours.len().checked_sub(1)? / 2)?, HOUR))
    }

    /// The minute of most bytes; more of them where event time goes so fast that a minute is less
    /// than the second that the service counts in.
    pub(super) fn busiest(&self) -> Option<Load> {
        let width = ((self.speed / 60.0).ceil() as usize).clamp(1, self.counts.len().max(1));
        let starts = 0..=self.counts.len().checked_sub(width)?;
        // A last minute that is cut off would look busier than it is known to be.
        let whole = starts.filter(|at| *at == 0 || self.seconds(*at, width) >= width as f64 * 60.0);
        let at = whole.max_by_key(|at| (self.sum(*at, width).bytes, std::cmp::Reverse(*at)))?;
        Some(self.load(at, width))
    }

    fn sum(&self, at: usize, width: usize) -> Minute {
        self.counts[at..at + width].iter().fold(Minute::default(), |sum, minute| Minute {
            events: sum.events + minute.events,
            bytes: sum.bytes + minute.bytes,
            sends: sum.sends + minute.sends,
        })
    }

    /// How long some minutes are: the last may be cut off.
    fn seconds(&self, at: usize, width: usize) -> f64 {
        let left = self.span.as_secs_f64() - at as f64 * 60.0;
        left.min(width as f64 * 60.0)
    }

    fn load(&self, at: usize, width: usize) -> Load {
        let (sum, seconds) = (self.sum(at, width), self.seconds(at, width));
        let rate = |count: u64| count as f64 / seconds.max(0.001) * self.speed;
        Load {
            from: self.start + Duration::from_mins(at as u64),
            seconds,
            events_a_second: rate(sum.events),
            bytes_a_second: rate(sum.bytes),
            sends_a_second: rate(sum.sends),
            throughput_units: throughput_units(rate(sum.events), rate(sum.bytes)),
            partitions: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(events: &[u64]) -> Vec<Minute> {
        events.iter().map(|&events| Minute { events, bytes: events * 500, sends: 1 }).collect()
    }

    fn over(minutes: &[Minute], span: Duration, speed: f64) -> Minutes<'_> {
        Minutes { start: Timestamp::from_millis(0), counts: minutes, span, speed }
    }

    #[test]
    fn the_typical_hour_is_the_median_of_those_with_events() {
        let mut events = [0; 60].to_vec();
        for of_a_minute in [60, 600, 120] {
            events.extend([of_a_minute; 60]);
        }
        let minutes = minutes(&events);
        let load = over(&minutes, Duration::from_hours(4), 10.0).typical().unwrap();
        assert_eq!(load.from, Timestamp::from_millis(3 * 3_600_000));
        assert!((load.events_a_second - 20.0).abs() < 1e-9, "{load:?}");
        assert!((load.bytes_a_second - 10_000.0).abs() < 1e-6, "{load:?}");
    }

    #[test]
    fn the_busiest_span_is_a_second_of_wall_time_at_least() {
        let minutes = minutes(&[1, 60, 2, 3, 600, 0]);
        let busiest = |speed| over(&minutes, Duration::from_mins(6), speed).busiest().unwrap();
        let load = busiest(1.0);
        assert_eq!((load.from, load.seconds), (Timestamp::from_millis(4 * 60_000), 60.0));
        assert!((load.events_a_second - 10.0).abs() < 1e-9, "{load:?}");
        let load = busiest(180.0);
        assert_eq!((load.from, load.seconds), (Timestamp::from_millis(2 * 60_000), 180.0));
        assert!((load.events_a_second - 605.0).abs() < 1e-9, "{load:?}");
    }

    #[test]
    fn a_span_of_less_than_a_minute_is_not_thinned_out() {
        let minutes = minutes(&[100]);
        let load = over(&minutes, Duration::from_secs(20), 1.0).typical().unwrap();
        assert!((load.events_a_second - 5.0).abs() < 1e-9, "{load:?}");
    }
}
