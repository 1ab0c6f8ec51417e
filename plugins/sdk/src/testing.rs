//! Tests of plugins, in the process of the test: a plugin runs through the functions of the contract,
//! as in the engine, with events that are written as JSON.
//!
//! [`enricher`], [`correlator`], [`source`] and [`sink`] create an instance from settings and start
//! it. What it logs and records is at its [`TestHost`], panics and what it left retained included.
//! An event is a JSON object as the engine writes it; what it lacks is filled in: an `event_type`,
//! a `trace_id`, a time ([`START_MS`]), an empty `payload`.
//!
//! Add the kit to a plugin's own `Cargo.toml`:
//!
//! ```toml
//! [dev-dependencies]
//! engine-plugin = { path = "engine-plugin", features = ["testing"] }
//! ```

mod batch;
mod correlator;
mod enricher;
mod event;
mod host;
mod running;
mod sink;
mod source;

pub use crate::host::{Failed, Fault, Stopper};
pub use correlator::{Seen, TestCorrelator, correlator, restored_correlator};
pub use enricher::{Fate, TestEnricher, enricher};
pub use event::START_MS;
pub use host::{Line, Recorded, TestHost};
pub use sink::{TestSink, sink};
pub use source::{Polled, TestSource, restored_source, source};

/// How long the kit waits for what another thread of a plugin is to do, in seconds.
pub const PATIENCE_SECONDS: u64 = 10;

#[cfg(test)]
mod tests;
