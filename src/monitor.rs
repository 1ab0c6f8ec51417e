//! What a run says of itself: accounts per stage, statistics, health.

mod account;
mod delivery;
mod findings;
mod statistics;

pub use account::{Account, Tally};
pub use delivery::{BreakerState, DeliveryFigures, DeliveryTally};
pub use findings::{Findings, FindingsBoard, Violations};
pub use statistics::{ComponentHealth, Health, StageStatistics, Statistics};
