//! Correlators: one file each; what they share stands beside them.

pub mod dedupe;
pub mod join;
pub mod rhai;
pub mod sequence;
pub mod window;

mod emit;
#[cfg(test)]
mod harness;
mod keys;
mod side;

pub use keys::KeySettings;
pub use side::PickSettings;
