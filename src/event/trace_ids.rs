//! Trace ids: unique over stages, seeds and runs, and the same again for the same run.

use super::{TR, Text, Timestamp};

const STAGE_BITS: u32 = 10;
const CELL_BITS: u32 = 10;
const COUNTER_BITS: u32 = 28;

/// Allocates the trace ids of one stage, or of one cell of it.
///
/// The sequence of an id is 16 bits of the run's hash, 10 bits of stage, 10 bits of cell, 28 bits
/// of counter; the second of the event stands beside it. An id could come twice only if one cell
/// made 2^28 events within one second of event time.
#[derive(Clone, Debug)]
pub struct TraceIds {
    /// All but the counter, where it stands in the sequence.
    upper: u64,
    counter: u64,
}

impl TraceIds {
    /// How many stages a run can tell apart.
    pub const STAGES_MAX: u64 = 1 << STAGE_BITS;
    /// The last cell of a stage.
    pub const CELL_MAX: u64 = (1 << CELL_BITS) - 1;

    /// Ids of the `stage`th stage of a run, of its cell 0; `run` is what tells it from other runs
    /// whose events go to the same place: the seed, and the instant a live run began at.
    ///
    /// # Panics
    /// If there are not so many stages.
    pub fn new(run: u64, stage: u64) -> Self {
        assert!(stage < Self::STAGES_MAX, "more than {} stages", Self::STAGES_MAX);
        let run = mix(run) >> (64 - 16);
        let upper = ((run << STAGE_BITS) | stage) << (CELL_BITS + COUNTER_BITS);
        Self { upper, counter: 0 }
    }

    /// Ids of a cell of the same stage, counted from the beginning. Cell 0 is the stage where it
    /// has no cells; whichever cell the ids were of before makes no difference.
    ///
    /// # Panics
    /// If the cell is above [`TraceIds::CELL_MAX`].
    #[must_use]
    pub fn cell(&self, cell: u64) -> Self {
        assert!(cell <= Self::CELL_MAX, "more than {} cells", Self::CELL_MAX);
        let upper = self.upper & !(Self::CELL_MAX << COUNTER_BITS) | (cell << COUNTER_BITS);
        Self { upper, counter: 0 }
    }

    /// A number that no other stage or cell of the run has, below 2^20: for other ids that are to
    /// be told apart. It is the stage's place for a stage that has no cells.
    pub fn origin(&self) -> u64 {
        let cell = (self.upper >> COUNTER_BITS) & Self::CELL_MAX;
        let stage = (self.upper >> (CELL_BITS + COUNTER_BITS)) & (Self::STAGES_MAX - 1);
        (cell << STAGE_BITS) | stage
    }

    /// How many ids were given; what [`TraceIds::go_on_from`] takes.
    pub fn counter(&self) -> u64 {
        self.counter
    }

    /// Goes on behind the ids that another allocator of the same run, stage and cell has given.
    pub fn go_on_from(&mut self, counter: u64) {
        self.counter = counter & ((1 << COUNTER_BITS) - 1);
    }

    /// Ids of a run whose events come but once, so that no other run gives their ids to others: of
    /// one that began at this instant of the wall.
    ///
    /// Runs that begin in different seconds differ in the run's bits for 18 hours, and those of one
    /// second begin 268 435 ids apart for each millisecond between them.
    #[must_use]
    pub fn begun_at(&self, wall: Timestamp) -> Self {
        const RUN: u32 = STAGE_BITS + CELL_BITS + COUNTER_BITS;
        let upper = self.upper.wrapping_add((wall.as_seconds() as u64) << RUN);
        let millis = wall.as_millis().rem_euclid(1000) as u64;
        Self { upper, counter: millis * ((1 << COUNTER_BITS) / 1000) }
    }

    /// The next id, for an event at `time`.
    pub fn next(&mut self, time: Timestamp) -> Text {
        self.counter = (self.counter + 1) & ((1 << COUNTER_BITS) - 1);
        Text::stamped(TR, time.as_seconds(), self.upper | self.counter)
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
    fn ids_of_different_runs_stages_and_cells_differ_and_repeat_for_the_same() {
        let ids = |run, stage, cell| {
            let mut ids = TraceIds::new(run, stage).cell(cell);
            [0; 3].map(|_| ids.next(Timestamp::from_millis(1_704_067_200_000)).to_string())
        };
        let parts = [(42, 0, 0), (42, 1, 0), (43, 0, 0), (42, 0, 1), (42, 1023, 1023)];
        let all: HashSet<String> =
            parts.into_iter().flat_map(|(run, stage, cell)| ids(run, stage, cell)).collect();
        assert_eq!(all.len(), 15);
        assert_eq!(ids(42, 1, 7), ids(42, 1, 7));
    }

    #[test]
    fn a_cell_is_of_its_stage_whichever_cell_it_is_made_from() {
        let mut stage = TraceIds::new(42, 5);
        stage.next(Timestamp::MIN);
        let one = stage.cell(3);
        assert_eq!((one.origin(), one.counter()), ((3 << 10) | 5, 0));
        assert_eq!(one.cell(0).origin(), 5, "the stage by itself");
        assert_eq!(stage.cell(1023).cell(3).next(Timestamp::MIN), one.clone().next(Timestamp::MIN));
    }

    #[test]
    fn runs_that_begin_a_millisecond_or_a_second_apart_share_no_id() {
        let stage = TraceIds::new(42, 5).cell(3);
        let ids = |wall| {
            let mut ids = stage.begun_at(Timestamp::from_millis(wall));
            assert_eq!(ids.origin(), stage.origin());
            std::iter::repeat_with(move || ids.next(Timestamp::MIN).to_string()).take(100_000)
        };
        let begins = [0, 1, 2, 999, 1000, 1001, 60_000, 65_535_999];
        let walls = begins.map(|after| 1_732_892_400_000 + after);
        let all: HashSet<String> = walls.into_iter().flat_map(ids).collect();
        assert_eq!(all.len(), walls.len() * 100_000);
        assert!(ids(walls[0]).eq(ids(walls[0])));
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
