//! Sinks: one file each.

pub mod blackhole;
pub mod console;
#[cfg(feature = "event_hubs")]
pub mod event_hubs;
pub mod file;
pub mod http;
