//! The figures of one sink.

use serde::Serialize;

use super::load::Load;

/// What a sink would send.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// How many events came to it.
    pub events: u64,
    /// Bytes of an event's JSON, on average.
    pub json_bytes: f64,
    /// Bytes of an event as it is sent, on average.
    pub sent_bytes: f64,
    /// Bytes of the largest event as it is sent.
    pub largest_bytes: u64,
    /// Events in a send, on average.
    pub events_a_send: f64,
    /// A usual hour; none where time goes as fast as the hub takes it.
    pub typical: Option<Load>,
    /// The busiest minute, or the second of wall time where that is longer; none as above.
    pub busiest: Option<Load>,
    /// The keys that choose the partitions; none where no keys do.
    pub keys: Option<Keys>,
    /// The share of the bytes that each partition gets.
    pub partition_shares: Vec<f64>,
}

/// The partition keys of events.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Keys {
    /// How many different ones there were; more than this if there were very many.
    pub distinct: usize,
    /// Whether there were more than could be counted.
    pub are_more: bool,
    /// The share of the bytes of events without a key, which go anywhere.
    pub without: f64,
    /// The key with the most bytes.
    pub hottest: Option<HottestKey>,
}

/// The key with the most bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HottestKey {
    /// The key.
    pub key: String,
    /// Its share of all bytes.
    pub share: f64,
}

impl Measured {
    /// How many times its even share the fullest partition gets.
    pub fn skew(&self) -> f64 {
        let hottest = self.partition_shares.iter().copied().fold(0.0, f64::max);
        hottest * self.partition_shares.len() as f64
    }

    /// Which partition gets most.
    pub fn hottest_partition(&self) -> usize {
        let shares = self.partition_shares.iter().enumerate();
        shares.max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(partition, _)| partition)
    }
}
