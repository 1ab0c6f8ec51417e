//! What a run says of itself: accounts per stage, statistics, health.

mod account;
mod delivery;
mod findings;
mod metrics;
mod spans;
mod statistics;

pub use account::{Account, Tally, Working};
pub use delivery::{BreakerState, DeliveryFigures, DeliveryTally};
pub use findings::{Findings, FindingsBoard, Violations};
pub use metrics::{METRICS_MAX, MetricError, MetricKind, MetricTally, MetricValue, StageMetrics};
pub use spans::{SPANS, StageSpan};
pub use statistics::{ComponentHealth, Health, StageStatistics, Statistics};
