//! Trace ids: unique over stages, seeds and runs, and the same again for the same run.

use super::{TR, Text, Timestamp};

const ORIGIN_BITS: u32 = 14;
const COUNTER_BITS: u32 = 34;

/// Allocates the trace ids of one stage (or of one cell of a source).
///
/// The sequence of an id is 16 bits of the run's hash, 14 bits of origin, 34 bits of counter; the
/// second of the event stands beside it. An id could come twice only if one origin made 2^34
/// events within one second of event time.
#[derive(Clone, Debug)]
pub struct TraceIds {
    origin: u64,
    counter: u64,
}

impl TraceIds {
    /// How many origins a run can tell apart.
    pub const ORIGINS_MAX: u64 = 1 << ORIGIN_BITS;

    /// Ids of the `origin`th stage or cell of a run; `run` is what tells it from other runs whose
    /// events go to the same place: the seed, and the instant a live run began at.
    pub fn new(run: u64, origin: u64) -> Self {
        assert!(origin < Self::ORIGINS_MAX, "more than {} origins", Self::ORIGINS_MAX);
        let run = mix(run) >> (64 - 16);
        Self { origin: ((run << ORIGIN_BITS) | origin) << COUNTER_BITS, counter: 0 }
    }

    /// Which stage or cell of the run the ids are of.
    pub fn origin(&self) -> u64 {
        (self.origin >> COUNTER_BITS) & (Self::ORIGINS_MAX - 1)
    }

    /// How many ids were given; what [`TraceIds::go_on_from`] takes.
    pub fn counter(&self) -> u64 {
        self.counter
    }

    /// Goes on behind the ids that another allocator of the same run and origin has given.
    pub fn go_on_from(&mut self, counter: u64) {
        self.counter = counter & ((1 << COUNTER_BITS) - 1);
    }

    /// The next id, for an event at `time`.
    pub fn next(&mut self, time: Timestamp) -> Text {
        self.counter = (self.counter + 1) & ((1 << COUNTER_BITS) - 1);
        Text::stamped(TR, time.as_seconds(), self.origin | self.counter)
    }
}

/// Spreads a number over all 64 bits: the finaliser of `SplitMix64` (Steele, Lea, Flood 2014).
/// Seeds of different purposes are derived with it, so that close seeds give unrelated streams.
pub fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_of_different_runs_and_origins_differ_and_repeat_for_the_same() {
        let ids = |run, origin| {
            let mut ids = TraceIds::new(run, origin);
            [0; 3].map(|_| ids.next(Timestamp::from_millis(1_704_067_200_000)).to_string())
        };
        let all: HashSet<String> = [(42, 0), (42, 1), (43, 0)]
            .into_iter()
            .flat_map(|(run, origin)| ids(run, origin))
            .collect();
        assert_eq!(all.len(), 9);
        assert_eq!(ids(42, 1), ids(42, 1));
    }

    #[test]
    fn ids_go_on_where_another_allocator_was() {
        let (mut before, mut after) = (TraceIds::new(42, 1), TraceIds::new(42, 1));
        before.next(Timestamp::MIN);
        after.go_on_from(before.counter());
        assert_eq!(after.next(Timestamp::MIN), before.next(Timestamp::MIN));
        after.go_on_from(u64::MAX);
        assert_eq!(after.origin(), 1, "a number that is none changes no origin");
    }
}
