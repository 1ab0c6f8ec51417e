//! `monitoring.otlp:`: spans and figures for a collector.

use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Secret, SpecDuration};

/// Sends traces and metrics to an OpenTelemetry collector: OTLP over HTTP, as protobuf. A collector
/// that is away or slow never holds the pipeline up: what it does not take is counted and lost.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OtlpSettings {
    /// Where the collector listens; `/v1/traces` and `/v1/metrics` are added to it.
    #[schemars(extend("examples" = ["http://127.0.0.1:4318"]))]
    pub endpoint: String,
    /// Whether spans are sent: of batches on their way through stages, and of deliveries.
    #[serde(default = "yes")]
    pub traces: bool,
    /// Whether figures are sent: those of `/metrics`.
    #[serde(default = "yes")]
    pub metrics: bool,
    /// How often figures are sent; at least `1s`.
    #[serde(default = "default_interval")]
    pub interval: SpecDuration,
    /// Which share of all traces is sent, 0 to 1. A trace is a batch's way through the stages, or
    /// an attempt to deliver. The spans of the stages themselves are always sent.
    #[serde(default = "default_ratio")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sample_ratio: f64,
    /// Further header fields, such as a key; their values are kept secret.
    #[serde(default)]
    pub headers: IndexMap<String, Secret>,
}

impl OtlpSettings {
    /// The least `interval`.
    pub const INTERVAL_MIN: Duration = Duration::from_secs(1);
}

fn yes() -> bool {
    true
}

fn default_interval() -> SpecDuration {
    SpecDuration(Duration::from_secs(30))
}

fn default_ratio() -> f64 {
    0.01
}
