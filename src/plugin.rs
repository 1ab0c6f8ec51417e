//! Native plugins: libraries from outside become components like any other.
//!
//! A spec, the command line or the environment names files and folders; what is found there is
//! checked, loaded once, and read. The rest stands between instances of plugins and the graph.

mod context;
mod correlator;
mod defaults;
mod descriptor;
mod enricher;
mod folders;
mod image;
mod keys;
mod library;
mod loan;
mod made;
mod schema;
mod sink;
mod source;
mod stage;
#[cfg(test)]
mod tests;
mod watchdog;

pub use engine_plugin::abi::HEADER;
pub(crate) use folders::Lookup;
pub use folders::{Found, Library, Search, find};

/// Why a library is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason, which follows on the name of the file and a colon.
    pub reason: String,
    /// What to do.
    pub help: Option<String>,
    /// Whether it could be used, were it not for a name that is taken.
    pub(crate) is_clash: bool,
}

impl Refusal {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), help: None, is_clash: false }
    }

    #[must_use]
    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}
