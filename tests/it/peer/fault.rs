//! What a peer does wrong.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

/// How a peer behaves at a request.
#[derive(Clone, Default)]
pub(crate) enum Fault {
    /// It takes all events, and says so.
    #[default]
    None,
    /// It does not listen: connections are refused, those that were open are closed.
    Refuse,
    /// It reads the request and closes the connection; nothing was taken.
    Cut,
    /// It takes all events and closes the connection before it could say so.
    CutAfterStoring,
    /// It reads that many bytes of the body and closes the connection.
    CutInBody(usize),
    /// It takes all events, and closes the connection in the middle of its answer.
    CutInAnswer,
    /// It reads the request and never answers; nothing was taken.
    Stall,
    /// It takes all events, but only after this much time.
    Slow(Duration),
    /// It takes nothing, and answers with this status and body.
    Answer {
        /// Such as 503.
        status: u16,
        /// Further header fields, such as `retry-after`.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: String,
    },
    /// It takes nothing of a request whose body has more bytes on the wire, and answers 413.
    TooLarge(usize),
    /// It takes the events for which this says none; of the others it says that status.
    Reject(Arc<Judge>),
    /// It behaves so at every other request, this one first, and well in between.
    EveryOther(Box<Fault>),
}

/// The status with which an event is not taken; none if it is.
pub(crate) type Judge = dyn Fn(&Offered<'_>) -> Option<u16> + Send + Sync;

/// An event that a peer may take or not.
pub(crate) struct Offered<'a> {
    /// Its trace id; empty if it has none.
    pub(crate) trace_id: &'a str,
    /// The envelope.
    pub(crate) event: &'a Value,
    /// How often it was sent, this time included.
    pub(crate) attempts: usize,
    /// Its place in the request.
    pub(crate) index: usize,
}

impl Fault {
    /// The status and nothing else.
    pub(crate) fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: String::new() }
    }

    /// The status (429 or 503), and when to come again.
    pub(crate) fn busy(status: u16, retry_after: u32) -> Self {
        let headers = vec![("retry-after", retry_after.to_string())];
        Self::Answer { status, headers, body: String::new() }
    }

    /// Some events are not taken, each with its status.
    pub(crate) fn reject(
        judge: impl Fn(&Offered<'_>) -> Option<u16> + Send + Sync + 'static,
    ) -> Self {
        Self::Reject(Arc::new(judge))
    }

    /// What it means for one request: `EveryOther` is decided here.
    pub(super) fn for_request(&self, number: usize) -> Self {
        match self {
            Self::EveryOther(fault) if number.is_multiple_of(2) => fault.for_request(number / 2),
            Self::EveryOther(_) => Self::None,
            fault => fault.clone(),
        }
    }
}
