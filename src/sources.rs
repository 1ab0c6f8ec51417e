//! Sources: one file each.

#[cfg(feature = "event_hubs")]
pub mod event_hubs;
pub mod file;
pub mod http;
mod records;
pub mod retail;
pub mod retail_mix;
pub(crate) mod silent;
