//! What a run says of itself: accounts per stage, statistics, health.

mod account;
mod statistics;

pub use account::{Account, Tally};
pub use statistics::{ComponentHealth, Health, StageStatistics, Statistics};
