//! `monitoring:`: how a run is looked at while it goes on.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{AuditSettings, OtlpSettings, Secret, SpecDuration};

/// How a run is looked at while it goes on: the log, HTTP with the live page, limits of the process.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MonitoringSettings {
    /// How often the log says how the run does, where stderr is no terminal; at least `100ms`.
    pub interval: SpecDuration,
    /// The address and port at which the live page, statistics, health and metrics are served; port
    /// 0 takes a free one, and the log says which. Nothing is served without it.
    #[schemars(extend("examples" = ["127.0.0.1:8080"]))]
    pub http: Option<String>,
    /// What who changes something over HTTP has to know: pause, resume, stop, speed. Without it
    /// nothing can be changed. It has at least 8 characters, all of them ASCII.
    #[schemars(extend("examples" = ["${ENGINE_TOKEN}"]))]
    pub token: Option<Secret>,
    /// How much memory, in bytes, may be resident until `resources` is unwell.
    #[schemars(range(min = 1), extend("examples" = [1_073_741_824]))]
    pub max_memory_bytes: Option<u64>,
    /// How many processors may be busy until `resources` is unwell.
    #[schemars(extend("exclusiveMinimum" = 0, "examples" = [1.5]))]
    pub max_cpu: Option<f64>,
    /// Keeps a file with a line for each attempt to deliver.
    pub audit: Option<AuditSettings>,
    /// Sends traces and metrics to an OpenTelemetry collector.
    pub otlp: Option<OtlpSettings>,
}

impl MonitoringSettings {
    /// The least `interval`.
    pub const INTERVAL_MIN: Duration = Duration::from_millis(100);
}

impl Default for MonitoringSettings {
    fn default() -> Self {
        Self {
            interval: SpecDuration(Duration::from_secs(30)),
            http: None,
            token: None,
            max_memory_bytes: None,
            max_cpu: None,
            audit: None,
            otlp: None,
        }
    }
}
