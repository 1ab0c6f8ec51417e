//! What a run says of itself: accounts per stage, statistics, health, history, and whoever is told
//! what happens.

mod account;
mod delivery;
mod findings;
mod health;
mod history;
mod hook;
mod latency;
mod metrics;
mod observer;
mod spans;
mod statistics;

pub use account::{Account, Tally, Working};
pub use delivery::{BreakerState, Connection, DeliveryFigures, DeliveryTally};
pub use findings::{Findings, FindingsBoard, Violations};
pub use health::{ComponentHealth, ERROR_RATE_MAX, Health, Resources};
pub use history::{History, NOW, SAMPLE_INTERVAL, Sample, StageSample, Window};
pub use hook::{Hook, HookFigures, HookKind, HookTally};
pub use latency::{LATENCY_BOUNDS, Latency, LatencyFigures, LatencyTally};
pub use metrics::{METRICS_MAX, MetricError, MetricKind, MetricTally, MetricValue, StageMetrics};
pub use observer::{Attempt, Fate, Incident, Observer, Observers, PartitionOf, waiting};
pub use spans::{SPANS, StageSpan};
pub use statistics::{Rates, StageStatistics, Statistics};
