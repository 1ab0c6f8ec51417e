//! The five kinds of stage; the list is closed.

/// The closed list of kinds; a component is of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Makes or reads events.
    Source,
    /// Changes or drops events one by one.
    Enricher,
    /// Derives events from several.
    Correlator,
    /// Groups events.
    Batcher,
    /// Hands events to the outside.
    Sink,
}

impl Kind {
    /// All of them, in the order of a flow.
    pub const ALL: [Self; 5] =
        [Self::Source, Self::Enricher, Self::Correlator, Self::Batcher, Self::Sink];

    /// `source`
    pub fn singular(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Enricher => "enricher",
            Self::Correlator => "correlator",
            Self::Batcher => "batcher",
            Self::Sink => "sink",
        }
    }

    /// The key of a spec under which its stages stand, such as `sources`.
    pub fn section(self) -> &'static str {
        match self {
            Self::Source => "sources",
            Self::Enricher => "enrichers",
            Self::Correlator => "correlators",
            Self::Batcher => "batchers",
            Self::Sink => "sinks",
        }
    }
}
