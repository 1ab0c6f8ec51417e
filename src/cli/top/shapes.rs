//! What a run says of itself over HTTP, as far as the screen shows it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The stages of a pipeline, in the order of the flow.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(super) struct Graph {
    pub(super) name: String,
    pub(super) stages: Vec<Node>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(super) struct Node {
    pub(super) stage: String,
    pub(super) kind: String,
    pub(super) component: String,
}

/// Samples, the oldest first.
#[derive(Debug, Default, Deserialize)]
pub(super) struct History {
    pub(super) samples: Vec<Sample>,
}

/// A run at one moment; counts are from its beginning on.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Sample {
    /// Wall time, in milliseconds since 1970.
    pub(super) t: i64,
    pub(super) events: u64,
    pub(super) delivered: u64,
    pub(super) failed: u64,
    pub(super) dead_letters: u64,
    pub(super) buffer: u64,
    pub(super) rate: f64,
    /// In seconds.
    pub(super) p50: Option<f64>,
    pub(super) p99: Option<f64>,
    pub(super) types: BTreeMap<String, u64>,
}

/// What is told once a second.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Live {
    pub(super) state: State,
    pub(super) sample: Sample,
    pub(super) stages: Vec<StageNow>,
    pub(super) totals: Totals,
    pub(super) health: bool,
    /// What is not well.
    pub(super) reasons: Vec<String>,
}

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct State {
    pub(super) phase: String,
    pub(super) speed: Speed,
    pub(super) event_time: Option<String>,
    pub(super) elapsed_seconds: f64,
    pub(super) can_control: bool,
}

/// How fast event time goes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Speed {
    Factor(f64),
    /// `max`
    Named(String),
}

impl Default for Speed {
    fn default() -> Self {
        Self::Factor(1.0)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct StageNow {
    pub(super) stage: String,
    pub(super) rate: f64,
    pub(super) backlog: u64,
    pub(super) failed: u64,
    pub(super) healthy: bool,
    pub(super) reason: Option<String>,
    pub(super) connection: Option<String>,
    pub(super) circuit_breaker: Option<String>,
    /// Events in a sink's buffer, and how many it holds at most.
    pub(super) buffer: Option<(u64, u64)>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Totals {
    pub(super) events_generated: u64,
    pub(super) events_sent_successfully: u64,
    pub(super) events_failed: u64,
    pub(super) dead_letter_queue_size: u64,
    pub(super) batches_sent: u64,
    pub(super) bytes_sent: u64,
    pub(super) circuit_breaker_trips: u64,
}

/// The last failures, the newest first.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Failures {
    pub(super) failures: Vec<Failure>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Failure {
    pub(super) time: String,
    pub(super) stage: String,
    pub(super) category: String,
    pub(super) reason: String,
    pub(super) fate: String,
}

/// Recent events, the newest first.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Recent {
    pub(super) events: Vec<Seen>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(super) struct Seen {
    pub(super) event: Envelope,
}

/// The envelope of an event.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Envelope {
    pub(super) event_type: String,
    pub(super) ingest_timestamp: String,
    pub(super) trace_id: String,
    pub(super) partition_key: Option<String>,
    pub(super) payload: serde_json::Map<String, serde_json::Value>,
}
