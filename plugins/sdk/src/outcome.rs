//! What went wrong, and what became of a batch.

use std::fmt;
use std::time::Duration;

use crate::abi::{self, Status};

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The settings are wrong: the pipeline does not start.
    Config(String),
    /// Not now, but another time: a sink's host tries again.
    Retry(String),
    /// Never: these events become dead letters.
    Rejected(String),
    /// The instance cannot go on, and is destroyed.
    Fatal(String),
}

impl Error {
    /// The settings are wrong.
    pub fn config(reason: impl fmt::Display) -> Self {
        Self::Config(reason.to_string())
    }

    /// Not now, but another time.
    pub fn retry(reason: impl fmt::Display) -> Self {
        Self::Retry(reason.to_string())
    }

    /// Never.
    pub fn rejected(reason: impl fmt::Display) -> Self {
        Self::Rejected(reason.to_string())
    }

    /// The instance cannot go on.
    pub fn fatal(reason: impl fmt::Display) -> Self {
        Self::Fatal(reason.to_string())
    }

    /// The reason, for people.
    pub fn reason(&self) -> &str {
        match self {
            Self::Config(reason)
            | Self::Retry(reason)
            | Self::Rejected(reason)
            | Self::Fatal(reason) => reason,
        }
    }

    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Config(_) => abi::E_CONFIG,
            Self::Retry(_) => abi::E_RETRY,
            Self::Rejected(_) => abi::E_REJECTED,
            Self::Fatal(_) => abi::E_FATAL,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for Error {}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Why nothing of it was taken; none if it was, but for the refusals.
    pub error: Option<Error>,
    /// Events that were not taken, by ascending row.
    pub refusals: Vec<Refusal>,
    /// Not before this is over may the host try again; zero leaves it to the host.
    pub retry_after: Duration,
}

/// An event of a batch that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its place in the batch.
    pub row: usize,
    /// [`Error::Retry`] or [`Error::Rejected`]; anything else counts as the latter.
    pub error: Error,
}

impl Outcome {
    /// All of it was taken.
    pub fn delivered() -> Self {
        Self { error: None, refusals: Vec::new(), retry_after: Duration::ZERO }
    }

    /// Nothing of it was.
    pub fn refused(error: Error) -> Self {
        Self { error: Some(error), ..Self::delivered() }
    }

    /// All but this one, too.
    #[must_use]
    pub fn except(mut self, row: usize, error: Error) -> Self {
        let place = self.refusals.partition_point(|refusal| refusal.row < row);
        self.refusals.insert(place, Refusal { row, error });
        self
    }

    /// What may be tried again may be after this.
    #[must_use]
    pub fn retry_after(self, retry_after: Duration) -> Self {
        Self { retry_after, ..self }
    }
}

/// How loud a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error = 1,
    /// Something is not as it should be.
    Warn,
    /// Something that a user wants to know.
    Info,
    /// For whoever looks for a fault.
    Debug,
    /// All of it.
    Trace,
}

/// What a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows: what is recorded is added.
    Counter = 1,
    /// Goes up and down: what is recorded is the value.
    Gauge,
    /// How values are spread: what is recorded is one of them.
    Histogram,
}

/// The kinds of stage that a plugin can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Makes or reads events.
    Source = 1,
    /// Changes or drops events one by one.
    Enricher,
    /// Derives events from several.
    Correlator,
    /// Hands events to the outside.
    Sink,
}
