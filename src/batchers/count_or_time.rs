//! The `count_or_time` batcher: a batch goes when it is full, or when its first event has waited
//! long enough.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::component::{BuildContext, Kind, Settings};
use crate::event::{BATCH_EVENTS, Event, FieldPath, JsonWriter, Timestamp, Value};
use crate::problem::Problems;
use crate::stage::{Batcher, Stage};

/// Groups events into batches by number, by size, and by how long the first one has waited.
///
/// A network sink sends one batch at a time, so larger batches mean fewer requests and a longer
/// wait. Events keep their order.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CountOrTime {
    /// How many events a batch holds at most.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_batch_size: usize,
    /// How long the first event of a batch waits for others, in milliseconds: of wall time in a
    /// paced run, of event time at `speed: max`, so that such a run gives the same batches again.
    #[schemars(range(min = 1))]
    pub batch_timeout_ms: u64,
    /// How many bytes the events of a batch have at most, written as JSON. A single event that is
    /// larger makes a batch of its own. No bound by default.
    #[schemars(range(min = 1))]
    pub max_batch_bytes: Option<usize>,
    /// The field that becomes the partition key of each event, such as `payload.store_id`; events
    /// that do not have it keep theirs. By default every event keeps its partition key.
    pub partition_by: Option<String>,
}

impl Default for CountOrTime {
    fn default() -> Self {
        Self {
            max_batch_size: BATCH_EVENTS,
            batch_timeout_ms: 1000,
            max_batch_bytes: None,
            partition_by: None,
        }
    }
}

impl Settings for CountOrTime {
    const NAME: &'static str = "count_or_time";
    const KIND: Kind = Kind::Batcher;
    const EXAMPLE: &'static str =
        "max_batch_size: 256\nbatch_timeout_ms: 1000\npartition_by: payload.store_id\n";

    fn build(self, cx: &BuildContext<'_>) -> Result<Stage, Problems> {
        let batcher = self.batcher().map_err(|message| cx.problem("/partition_by", message))?;
        Ok(Stage::Batcher(Box::new(batcher)))
    }
}

/// The batcher that a network sink gets where the spec has none.
pub(crate) fn default_batcher() -> Box<dyn Batcher> {
    Box::new(CountOrTime::default().batcher_by(None))
}

impl CountOrTime {
    fn batcher(&self) -> Result<CountOrTimeBatcher, String> {
        let partition_by = self.partition_by.as_deref().map(str::parse::<FieldPath>).transpose()?;
        Ok(self.batcher_by(partition_by.filter(|path| !path.is_partition_key())))
    }

    fn batcher_by(&self, partition_by: Option<FieldPath>) -> CountOrTimeBatcher {
        CountOrTimeBatcher {
            max_events: self.max_batch_size.max(1),
            max_bytes: self.max_batch_bytes,
            timeout: Duration::from_millis(self.batch_timeout_ms),
            partition_by,
            open: Open::default(),
            measured: None,
            json: JsonWriter::new(),
        }
    }
}

struct CountOrTimeBatcher {
    max_events: usize,
    max_bytes: Option<usize>,
    timeout: Duration,
    /// None where the partition key stays as it is.
    partition_by: Option<FieldPath>,
    open: Open,
    /// The bytes of the event that was asked about last and not yet pushed.
    measured: Option<usize>,
    json: JsonWriter,
}

/// The batch that is being filled.
#[derive(Default)]
struct Open {
    events: usize,
    bytes: usize,
    deadline: Option<Timestamp>,
}

impl Batcher for CountOrTimeBatcher {
    fn goes_before(&mut self, event: &Event) -> bool {
        let Some(max_bytes) = self.max_bytes else { return false };
        let bytes = self.bytes_of(event);
        self.measured = Some(bytes);
        self.open.events > 0 && self.open.bytes + bytes > max_bytes
    }

    fn push(&mut self, event: &mut Event, now: Timestamp) -> bool {
        let mut full = false;
        if let Some(max_bytes) = self.max_bytes {
            self.open.bytes += self.measured.take().unwrap_or_else(|| self.bytes_of(event));
            full = self.open.bytes >= max_bytes;
        }
        if let Some(key) = self.partition_by.as_ref().and_then(|path| path.text(event)) {
            event.partition_key = Some(key);
        }
        self.open.events += 1;
        self.open.deadline.get_or_insert(now + self.timeout);
        full || self.open.events >= self.max_events
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.open.deadline
    }

    fn reset(&mut self) {
        self.open = Open::default();
    }
}

impl CountOrTimeBatcher {
    /// The exact length of the event as JSON, with the partition key that it will have.
    fn bytes_of(&mut self, event: &Event) -> usize {
        self.json.clear();
        self.json.event(event);
        let bytes = self.json.as_bytes().len();
        match self.partition_by.as_ref().and_then(|path| path.text(event)) {
            Some(key) => {
                let had = self.value_bytes(&event.partition_key.clone().into());
                let gets = self.value_bytes(&key.into());
                bytes - had + gets
            }
            None => bytes,
        }
    }

    fn value_bytes(&mut self, value: &Value) -> usize {
        self.json.clear();
        self.json.value(value);
        self.json.as_bytes().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{PRODUCT_IDS, RECEIPT_CREATED, STORE_ID, Text};
    use proptest::prelude::*;

    fn event(store: i64, filling: usize) -> Event {
        let time = Timestamp::from_millis(1_732_874_400_000);
        let mut event = Event::new(RECEIPT_CREATED, Text::from("TR_1"), time);
        event.payload.set(STORE_ID, store);
        event.payload.set(PRODUCT_IDS, vec![Value::Int(7); filling]);
        event
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(0) + Duration::from_millis(millis)
    }

    /// Does what the graph does: asks, pushes, and takes the batch when it is told to.
    fn batches(settings: &CountOrTime, events: Vec<Event>) -> Vec<Vec<Event>> {
        let mut counter = settings.batcher().unwrap();
        let (mut batches, mut open) = (Vec::new(), Vec::new());
        for mut event in events {
            if counter.goes_before(&event) {
                counter.reset();
                batches.push(std::mem::take(&mut open));
            }
            let complete = counter.push(&mut event, at(0));
            open.push(event);
            if complete {
                counter.reset();
                batches.push(std::mem::take(&mut open));
            }
        }
        if !open.is_empty() {
            batches.push(open);
        }
        batches
    }

    fn bytes(events: &[Event]) -> usize {
        events.iter().map(|event| event.to_json().len()).sum()
    }

    proptest! {
        #[test]
        fn no_batch_is_larger_than_it_may_be_and_none_is_cut_short(
            sizes in prop::collection::vec((0_i64..2000, 0_usize..60), 1..80),
            max_batch_size in 1_usize..12,
            max_batch_bytes in prop::option::of(1_usize..3000),
            partitioned in any::<bool>(),
        ) {
            let events: Vec<_> = sizes.iter().map(|(store, size)| event(*store, *size)).collect();
            let settings = CountOrTime {
                max_batch_size,
                max_batch_bytes,
                partition_by: partitioned.then(|| "payload.store_id".to_owned()),
                ..CountOrTime::default()
            };
            let groups = batches(&settings, events.clone());
            for (place, batch) in groups.iter().enumerate() {
                prop_assert!(!batch.is_empty() && batch.len() <= max_batch_size);
                let bound = max_batch_bytes.unwrap_or(usize::MAX);
                prop_assert!(batch.len() == 1 || bytes(batch) <= bound);
                if let Some(next) = groups.get(place + 1) {
                    prop_assert!(
                        batch.len() == max_batch_size || bytes(batch) + bytes(&next[..1]) > bound,
                        "the next event would have fitted"
                    );
                }
            }
            let got: Vec<_> = groups.concat().into_iter().map(|event| event.payload).collect();
            let expected: Vec<_> = events.into_iter().map(|event| event.payload).collect();
            prop_assert_eq!(got, expected, "every event once, in order");
        }
    }

    #[test]
    fn the_deadline_counts_from_the_first_event() {
        let settings = CountOrTime { batch_timeout_ms: 50, ..CountOrTime::default() };
        let mut batcher = settings.batcher().unwrap();
        assert_eq!(batcher.deadline(), None, "an empty batch waits for nothing");
        for millis in [7, 20, 56] {
            assert!(!batcher.push(&mut event(1, 0), at(millis)));
            assert_eq!(batcher.deadline(), Some(at(57)));
        }
        batcher.reset();
        assert_eq!(batcher.deadline(), None);
        batcher.push(&mut event(1, 0), at(60));
        assert_eq!(batcher.deadline(), Some(at(110)));
    }

    #[test]
    fn a_batch_that_is_exactly_full_in_bytes_goes_at_once() {
        let one = event(1, 3);
        let settings = CountOrTime {
            max_batch_bytes: Some(2 * one.to_json().len()),
            ..CountOrTime::default()
        };
        let lengths: Vec<_> = batches(&settings, vec![one; 5]).iter().map(Vec::len).collect();
        assert_eq!(lengths, [2, 2, 1]);
    }

    #[test]
    fn events_are_partitioned_by_the_field_and_keep_their_key_without_it() {
        let settings = CountOrTime {
            partition_by: Some("payload.store_id".to_owned()),
            ..CountOrTime::default()
        };
        let mut without = event(1, 0);
        without.payload.remove(STORE_ID);
        without.partition_key = Some(Text::from("dc_3"));
        let mut with = event(12, 0);
        with.partition_key = Some(Text::from("dc_3"));
        let keys: Vec<_> = batches(&settings, vec![with, without])
            .concat()
            .into_iter()
            .filter_map(|event| event.partition_key)
            .collect();
        assert_eq!(keys, ["12", "dc_3"]);
    }

    #[test]
    fn a_field_that_cannot_be_is_refused() {
        let settings =
            CountOrTime { partition_by: Some("store".to_owned()), ..CountOrTime::default() };
        assert!(settings.batcher().err().unwrap().starts_with("`store` is not a key"));
    }
}
