//! Where reading is in each partition: for the next connection, and for the next run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::share::Lease;
use super::start::Start;
use crate::event::Timestamp;
use crate::event_hubs::PartitionDescription;
use crate::stage::{State, StateError};

/// Where a receiver begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At this sequence number.
    Sequence(i64),
    /// At the first event that the hub received at this instant or later: nothing came since.
    Time(Timestamp),
}

/// Where to begin, and how many events that were to come are gone for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beginning {
    pub(super) place: Place,
    pub(super) lost: u64,
    /// Whether nothing is waiting there.
    pub(super) at_end: bool,
}

impl Place {
    /// Where to begin in a partition that the service describes so: at the place that reading has
    /// come to, or at the start. An error says which sequence number the partition ends at, where
    /// that is before the place.
    pub(super) fn begin(
        place: Option<Self>,
        start: Start,
        partition: &PartitionDescription,
    ) -> Result<Beginning, i64> {
        let end = partition.last_sequence.saturating_add(1);
        // Of an emptied partition, the service says only where it ends.
        let first = if partition.is_empty { end } else { partition.first_sequence };
        let at = |sequence| Beginning {
            place: Self::Sequence(sequence),
            lost: 0,
            at_end: sequence >= end,
        };
        match (place, start) {
            (Some(Self::Sequence(next)), _) if next > end => Err(partition.last_sequence),
            (Some(Self::Sequence(next)), _) if next < first => {
                Ok(Beginning { lost: first.abs_diff(next), ..at(first) })
            }
            (Some(Self::Sequence(next)), _) => Ok(at(next)),
            (None, Start::Earliest) => Ok(at(first)),
            (None, Start::Latest) => Ok(at(end)),
            (Some(Self::Time(instant)), _) | (None, Start::At(instant)) => {
                let place = Self::Time(instant);
                Ok(Beginning { place, lost: 0, at_end: !place.is_before_end_of(partition) })
            }
        }
    }

    /// Whether there are events at the place or behind it.
    pub(super) fn is_before_end_of(self, partition: &PartitionDescription) -> bool {
        match self {
            _ if partition.is_empty => false,
            Self::Sequence(next) => partition.last_sequence >= next,
            Self::Time(instant) => partition
                .last_time
                .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
                .is_some_and(|since| since.as_millis() as i64 >= instant.as_millis()),
        }
    }
}

/// Where reading is: what was told to the feed is behind it. Connections follow each other and
/// share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Arc<Mutex<PlacesByPartition>>);

/// The place of each partition, and the lease under which it was read.
type PlacesByPartition = BTreeMap<Arc<str>, (u64, Place)>;

impl Places {
    pub(super) fn of(positions: &Positions) -> Self {
        let place = |(id, at): (&Arc<str>, &Position)| {
            (id.clone(), (Lease::for_good().number, Place::Sequence(at.next)))
        };
        Self(Arc::new(Mutex::new(positions.partitions.iter().map(place).collect())))
    }

    /// Where reading of a partition is under this lease; at its checkpoint where it is a new one.
    pub(super) fn enter(&self, partition: &Arc<str>, lease: &Lease) -> Option<Place> {
        let checkpoint = lease.checkpoint.as_ref().map(|position| Place::Sequence(position.next));
        self.get(partition, lease.number).or(checkpoint)
    }

    /// Where reading of a partition is under this lease, if it has begun.
    pub(super) fn get(&self, partition: &Arc<str>, lease: u64) -> Option<Place> {
        self.lock().get(partition).filter(|(number, _)| *number == lease).map(|(_, place)| *place)
    }

    pub(super) fn set(&self, partition: &Arc<str>, lease: u64, place: Place) {
        self.lock().insert(partition.clone(), (lease, place));
    }

    fn lock(&self) -> MutexGuard<'_, PlacesByPartition> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the source remembers: where it is in each partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Positions {
    pub(super) partitions: BTreeMap<Arc<str>, Position>,
}

/// Behind an event of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    /// The sequence number of the event that comes next.
    pub(super) next: i64,
    /// The offset of the last event; it is for people who look for it in other tools.
    pub(super) offset: Option<String>,
}

impl Positions {
    /// The positions of a state; their numbers are ones that can be counted on from.
    pub(super) fn read(state: &State) -> Result<Self, StateError> {
        const SEQUENCE_MAX: i64 = 1 << 60;
        let positions: Self = state.read()?;
        let is_one = |position: &Position| (0..=SEQUENCE_MAX).contains(&position.next);
        if !positions.partitions.values().all(is_one) {
            return Err(StateError("a position in it is beyond every partition".to_owned()));
        }
        Ok(positions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(first: i64, last: i64) -> PartitionDescription {
        PartitionDescription {
            id: "0".to_owned(),
            first_sequence: first,
            last_sequence: last,
            last_time: Some(std::time::UNIX_EPOCH + std::time::Duration::from_secs(100)),
            is_empty: last < first,
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "what it is compared with is wrapped")]
    fn at(sequence: i64, lost: u64, at_end: bool) -> Result<Beginning, i64> {
        Ok(Beginning { place: Place::Sequence(sequence), lost, at_end })
    }

    #[test]
    fn without_a_place_reading_begins_at_the_start() {
        let begin = |start, partition| Place::begin(None, start, &partition);
        assert_eq!(begin(Start::Earliest, kept(10, 19)), at(10, 0, false));
        assert_eq!(begin(Start::Latest, kept(10, 19)), at(20, 0, true));
        assert_eq!(begin(Start::Earliest, kept(0, -1)), at(0, 0, true));
        let instant = Timestamp::from_millis(100_000);
        let by_time = |at_end| Ok(Beginning { place: Place::Time(instant), lost: 0, at_end });
        assert_eq!(begin(Start::At(instant), kept(10, 19)), by_time(false));
        assert_eq!(begin(Start::At(instant), kept(0, -1)), by_time(true));
    }

    #[test]
    fn reading_goes_on_at_its_place_or_at_the_first_event_that_is_kept() {
        let begin = |next, partition| {
            Place::begin(Some(Place::Sequence(next)), Start::Earliest, &partition)
        };
        assert_eq!(begin(15, kept(10, 19)), at(15, 0, false));
        assert_eq!(begin(20, kept(10, 19)), at(20, 0, true));
        assert_eq!(begin(4, kept(10, 19)), at(10, 6, false));
        assert_eq!(begin(21, kept(10, 19)), Err(19), "it is not the same hub");
    }

    #[test]
    fn a_partition_that_was_emptied_has_lost_all_up_to_its_end() {
        let emptied = PartitionDescription { is_empty: true, ..kept(0, 19) };
        assert_eq!(
            Place::begin(Some(Place::Sequence(15)), Start::Latest, &emptied),
            at(20, 5, true)
        );
    }

    #[test]
    fn positions_are_read_again_or_refused() {
        let position = Position { next: 7, offset: Some("4096".to_owned()) };
        let positions = Positions { partitions: BTreeMap::from([(Arc::from("0"), position)]) };
        assert_eq!(Positions::read(&State::of(&positions)), Ok(positions));
        for wrong in [r#"{"partitions":{"0":{"next":-1,"offset":null}}}"#, "{}", "7"] {
            let state: State = serde_json::from_str(wrong).unwrap();
            assert!(Positions::read(&state).is_err(), "{wrong}");
        }
    }
}
