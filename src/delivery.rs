//! What stands between the graph and a sink.

mod deliver;

pub use deliver::deliver;
