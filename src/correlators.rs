//! Correlators: one file each.

pub mod rhai;
