//! Batchers: one file each.

pub mod count_or_time;
