//! Native plugins as stages: what stands between their instances and the graph.

mod context;
mod correlator;
mod enricher;
mod keys;
mod loan;
mod made;
mod sink;
mod source;
mod stage;
#[cfg(test)]
mod tests;
mod watchdog;

pub use stage::build;
