//! Write a stage of an `engine` pipeline as a native plugin: a source, an enricher, a correlator or
//! a sink, in a shared library that is dropped into a folder and named in YAML.
//!
//! ```
//! use engine_plugin::{Engine, Enricher, Error, Key, Plugin, Rows, export_plugins};
//!
//! /// Adds the gross price to receipts.
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! pub struct Settings {
//!     /// The tax on top of the net price, such as 0.2.
//!     #[schemars(range(min = 0))]
//!     rate: f64,
//! }
//!
//! pub struct Gross {
//!     rate: f64,
//!     net: Key,
//!     gross: Key,
//! }
//!
//! impl Plugin for Gross {
//!     const NAME: &'static str = "gross";
//!     const EXAMPLE: &'static str = "rate: 0.2\n";
//!     type Settings = Settings;
//!
//!     fn create(settings: Settings, engine: &Engine) -> Result<Self, Error> {
//!         let (net, gross) = (engine.key("payload.subtotal")?, engine.key("payload.gross")?);
//!         Ok(Self { rate: settings.rate, net, gross })
//!     }
//! }
//!
//! impl Enricher for Gross {
//!     fn enrich(&mut self, rows: &mut Rows<'_>) -> Result<(), Error> {
//!         for row in 0..rows.len() {
//!             if let Some(net) = rows.f64(row, self.net) {
//!                 rows.set(row, self.gross, net * (1.0 + self.rate));
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//!
//! export_plugins!(enricher Gross);
//! ```
//!
//! The contract between a plugin and its host is one C header, [`abi::HEADER`]; this crate is a safe
//! face of it. No Rust type crosses, so a plugin may be built by another compiler, with other
//! versions of its dependencies. Panics are caught here, in the plugin: they would end the process
//! in the host.

pub mod abi;
pub mod boundary;
#[cfg(feature = "host")]
pub mod host;

mod batch;
mod crossing;
mod engine;
mod outcome;
mod plugin;
#[cfg(feature = "testing")]
pub mod testing;
mod value;

pub use batch::{Events, Observed, Output, Retained, Rows};
pub use engine::{Delivery, Engine, Key, Metric};
pub use outcome::{Error, Kind, Level, MetricKind, Outcome, Refusal};
pub use plugin::{Correlator, Enricher, Plugin, Poll, Sink, Source};
pub use value::Value;

// What the macro and the settings of plugins need.
pub use schemars;
pub use serde;
pub use serde_json;
