//! Takes stock of the events that come to a sink, in bounded memory.

use std::time::Duration;

use rustc_hash::FxHashMap;

use super::limits::{SEND_BYTES_MAX, partitions_for};
use super::load::{Load, Minute, Minutes};
use super::measured::{HottestKey, Keys, Measured};
use super::wire;
use crate::event::{Batch, Event, JsonWriter, Text, Timestamp};
use crate::event_hubs::partition_key::{hash, partition_of};

/// How many keys are counted one by one. Those beyond are known by their hashes.
const KEYS_MAX: usize = 100_000;
/// How many values [`hash`] has.
const HASHES: usize = i16::MIN.unsigned_abs() as usize + 1;

/// What chooses the partition of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Routing {
    /// Its key; without one it goes anywhere.
    Key,
    /// Each partition in turn.
    RoundRobin,
    /// Always the same one.
    One(usize),
}

/// What came to a sink.
pub(super) struct Tally {
    routing: Routing,
    partitions: usize,
    send_bytes_max: u64,
    start: Timestamp,
    last: Option<Timestamp>,
    minutes: Vec<Minute>,
    json_bytes: u64,
    largest_bytes: u64,
    bytes_without_key: u64,
    bytes_by_hash: Vec<u64>,
    bytes_by_key: FxHashMap<Text, (u16, u64)>,
    has_more_keys: bool,
    /// Bytes of the batch at hand for each partition, and for anywhere behind them.
    parts: Vec<u64>,
    json: JsonWriter,
}

impl Tally {
    pub(super) fn new(
        routing: Routing,
        partitions: usize,
        send_bytes_max: Option<u64>,
        start: Timestamp,
        span: Duration,
    ) -> Self {
        let partitions = partitions.max(1);
        Self {
            routing,
            partitions,
            send_bytes_max: send_bytes_max.unwrap_or(SEND_BYTES_MAX).max(1),
            start,
            last: None,
            minutes: vec![Minute::default(); minutes_of(span)],
            json_bytes: 0,
            largest_bytes: 0,
            bytes_without_key: 0,
            bytes_by_hash: vec![0; HASHES],
            bytes_by_key: FxHashMap::default(),
            has_more_keys: false,
            parts: vec![0; partitions + 1],
            json: JsonWriter::new(),
        }
    }

    /// Takes a batch as the sink would.
    pub(super) fn take(&mut self, batch: &Batch) {
        for event in batch.events() {
            self.json.clear();
            self.json.event(event);
            let json = self.json.as_bytes().len() as u64;
            let bytes = wire::bytes(event, json);
            self.json_bytes += json;
            self.largest_bytes = self.largest_bytes.max(bytes);
            let minute = self.minute(event.time);
            minute.events += 1;
            minute.bytes += bytes;
            let part = self.part_of(event, bytes);
            self.parts[part] += bytes;
        }
        let (Some(first), Some(last)) = (batch.events().first(), batch.events().last()) else {
            return;
        };
        self.last = self.last.max(Some(last.time));
        let send_bytes_max = self.send_bytes_max;
        let sends = self.parts.iter().map(|bytes| bytes.div_ceil(send_bytes_max)).sum::<u64>();
        let minute = self.minute(last.time);
        minute.sends += sends;
        minute.bytes += sends * wire::around_body(first);
        self.parts.fill(0);
    }

    /// Whether keys choose partitions.
    pub(super) fn is_by_key(&self) -> bool {
        self.routing == Routing::Key
    }

    /// The time of the last event.
    pub(super) fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// What it comes to, over so much event time from the start.
    pub(super) fn measured(&self, span: Duration, speed: Option<f64>) -> Option<Measured> {
        let all = self.minutes.iter().fold(Minute::default(), |sum, minute| Minute {
            events: sum.events + minute.events,
            bytes: sum.bytes + minute.bytes,
            sends: sum.sends + minute.sends,
        });
        if all.events == 0 {
            return None;
        }
        let within = &self.minutes[..minutes_of(span).min(self.minutes.len())];
        let minutes = speed.map(|speed| Minutes { start: self.start, counts: within, span, speed });
        let mean = |sum: u64| sum as f64 / all.events as f64;
        Some(Measured {
            events: all.events,
            json_bytes: mean(self.json_bytes),
            sent_bytes: mean(all.bytes),
            largest_bytes: self.largest_bytes,
            events_a_send: all.events as f64 / all.sends.max(1) as f64,
            typical: minutes.as_ref().and_then(Minutes::typical).map(|load| self.placed(load)),
            busiest: minutes.as_ref().and_then(Minutes::busiest).map(|load| self.placed(load)),
            keys: (self.routing == Routing::Key).then(|| self.keys(all.bytes)),
            partition_shares: self.shares(self.partitions),
        })
    }

    /// Which part of a batch an event is in. Enters its key.
    fn part_of(&mut self, event: &Event, bytes: u64) -> usize {
        let key = match (&self.routing, &event.partition_key) {
            (Routing::Key, Some(key)) => key,
            (Routing::Key, None) => {
                self.bytes_without_key += bytes;
                return self.partitions;
            }
            (Routing::RoundRobin, _) => return self.partitions,
            (Routing::One(partition), _) => return (*partition).min(self.partitions - 1),
        };
        let hash = if let Some((hash, of_key)) = self.bytes_by_key.get_mut(key) {
            *of_key += bytes;
            *hash
        } else {
            let hash = key.with_str(hash);
            if self.bytes_by_key.len() < KEYS_MAX {
                self.bytes_by_key.insert(key.clone(), (hash, bytes));
            } else {
                self.has_more_keys = true;
            }
            hash
        };
        self.bytes_by_hash[usize::from(hash)] += bytes;
        usize::from(hash) % self.partitions
    }

    /// Events from before the start or after the end count at the edges.
    fn minute(&mut self, time: Timestamp) -> &mut Minute {
        let minute = time.since(self.start).as_secs() / 60;
        let last = self.minutes.len() - 1;
        &mut self.minutes[usize::try_from(minute).map_or(last, |minute| minute.min(last))]
    }

    fn placed(&self, load: Load) -> Load {
        let hottest = |partitions| self.shares(partitions).into_iter().fold(0.0, f64::max);
        Load { partitions: partitions_for(load.bytes_a_second, hottest), ..load }
    }

    /// The share of each of so many partitions.
    fn shares(&self, partitions: usize) -> Vec<f64> {
        let mut shares = vec![0.0; partitions];
        match self.routing {
            Routing::RoundRobin => shares.fill(1.0 / partitions as f64),
            Routing::One(partition) => shares[partition.min(partitions - 1)] = 1.0,
            Routing::Key => {
                let keyed: u64 = self.bytes_by_hash.iter().sum();
                let all = (keyed + self.bytes_without_key).max(1) as f64;
                shares.fill(self.bytes_without_key as f64 / all / partitions as f64);
                for (hash, bytes) in self.bytes_by_hash.iter().enumerate() {
                    shares[hash % partitions] += *bytes as f64 / all;
                }
            }
        }
        shares
    }

    fn keys(&self, all_bytes: u64) -> Keys {
        let share = |bytes: u64| bytes as f64 / all_bytes.max(1) as f64;
        // Of two that have as much the same one is named each time.
        let hottest = self.bytes_by_key.iter().max_by(|(key, (_, bytes)), (other, (_, more))| {
            bytes.cmp(more).then_with(|| other.to_compact().cmp(&key.to_compact()))
        });
        Keys {
            distinct: self.bytes_by_key.len(),
            are_more: self.has_more_keys,
            without: share(self.bytes_without_key),
            hottest: hottest
                .map(|(key, (_, bytes))| HottestKey { key: key.to_string(), share: share(*bytes) }),
        }
    }
}

/// The partition that a setting names, or that a name hashes to where it is no number.
pub(super) fn partition_named(id: &str, partitions: usize) -> usize {
    id.parse().unwrap_or_else(|_| partition_of(id, partitions))
}

fn minutes_of(span: Duration) -> usize {
    usize::try_from(span.as_millis().div_ceil(60_000))
        .map_or(MINUTES_MAX, |it| it.min(MINUTES_MAX))
        .max(1)
}

/// A year and a day: more is not told apart.
const MINUTES_MAX: usize = 366 * 24 * 60;
