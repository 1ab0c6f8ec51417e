//! Sinks: one file each.

pub mod blackhole;
pub mod console;
pub mod file;
pub mod http;
