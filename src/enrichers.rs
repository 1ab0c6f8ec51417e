//! Enrichers: one file each.

pub mod chaos;
pub mod filter;
pub mod invariants;
pub mod rhai;
pub mod validate;
