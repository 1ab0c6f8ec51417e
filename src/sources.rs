//! Sources: one file each.

pub mod file;
pub mod http;
mod records;
pub mod retail;
pub mod retail_mix;
