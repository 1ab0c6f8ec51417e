//! `chaos:` of a sink's delivery: faults on purpose, to rehearse failure with.

use schemars::JsonSchema;
use serde::Deserialize;

use super::SpecDuration;

/// Faults on purpose, so that retries, buffers and dead letters are seen at work before they are
/// needed. Seeded: the same attempts in the same order meet the same faults, but for outages,
/// which go by the machine's time. A run with it says so.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("examples" = [
    { "error_rate": 0.05, "outages": [{ "after": "10s", "for": "30s" }] },
    { "disconnect_rate": 0.01, "latency": { "rate": 0.2, "ms": 250 } },
]))]
pub struct ChaosSettings {
    /// What the faults derive from; the pipeline's seed by default.
    pub seed: Option<u64>,
    /// The share of attempts that are refused as a whole, and may be tried again.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub error_rate: f64,
    /// The share of attempts that are refused for good.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub permanent_rate: f64,
    /// The share of attempts of which a part is refused and may be tried again.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub partial_rate: f64,
    /// The share of attempts that reach the receiver and look as if they had not: what is sent
    /// again is there twice.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub disconnect_rate: f64,
    /// Attempts that take longer.
    pub latency: Option<ChaosLatency>,
    /// Attempts to which the receiver says that it is busy.
    pub busy: Option<ChaosBusy>,
    /// When the receiver is not there at all.
    pub outages: Vec<ChaosOutage>,
}

/// Attempts that take longer.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChaosLatency {
    /// The share of attempts.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub rate: f64,
    /// How much longer, in milliseconds.
    pub ms: u64,
}

/// Attempts to which the receiver says that it is busy, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChaosBusy {
    /// The share of attempts.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub rate: f64,
    /// How long to wait before the next attempt, in milliseconds.
    pub retry_after_ms: u64,
}

/// A span of wall time in which every attempt is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChaosOutage {
    /// How long after the start of the run it begins.
    pub after: SpecDuration,
    /// How long it lasts.
    pub r#for: SpecDuration,
}
