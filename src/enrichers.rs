//! Enrichers: one file each.

pub mod filter;
pub mod rhai;
pub mod validate;
