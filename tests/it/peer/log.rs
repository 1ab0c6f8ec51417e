//! What a peer saw and took.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;
use tokio::time::Instant;

use super::Fault;

/// All that a peer saw and took.
#[derive(Default)]
pub(crate) struct Log {
    /// What was taken, in order.
    pub(crate) events: Vec<Accepted>,
    /// What came, in order.
    pub(crate) requests: Vec<Request>,
    /// How often each trace id was sent, taken or not.
    pub(crate) attempts: BTreeMap<String, usize>,
    /// How many connections were opened.
    pub(crate) connections: usize,
    pub(super) fault: Fault,
    pub(super) script: VecDeque<Fault>,
    /// How many requests came since the fault was decided by the mode.
    pub(super) by_mode: usize,
}

/// An event that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    /// Its trace id; empty if it has none.
    pub(crate) trace_id: String,
    /// Its partition key.
    pub(crate) key: Option<String>,
    /// The envelope as it was sent.
    pub(crate) line: String,
    /// The same, read.
    pub(crate) event: Value,
    /// The place of its request in [`Log::requests`].
    pub(crate) request: usize,
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Such as `POST`.
    pub(crate) method: String,
    /// The path with the query.
    pub(crate) target: String,
    /// Names in lowercase.
    pub(crate) headers: BTreeMap<String, String>,
    /// How many bytes the body had on the wire, as far as it was read.
    pub(crate) body_bytes: usize,
    /// The body, unpacked; empty where it was cut.
    pub(crate) body: String,
    /// The trace ids in it.
    pub(crate) trace_ids: Vec<String>,
    /// What was answered; none where nothing was, or not yet.
    pub(crate) status: Option<u16>,
    /// When it was read.
    pub(crate) time: Instant,
    /// The connection it came on, from 1.
    pub(crate) connection: usize,
}

impl Log {
    /// How often each trace id was taken.
    pub(crate) fn taken(&self) -> BTreeMap<&str, usize> {
        let mut taken = BTreeMap::new();
        for event in &self.events {
            *taken.entry(event.trace_id.as_str()).or_default() += 1;
        }
        taken
    }

    /// The trace ids that were taken of each partition key, in order.
    pub(crate) fn by_key(&self) -> BTreeMap<Option<&str>, Vec<&str>> {
        let mut keys: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for event in &self.events {
            keys.entry(event.key.as_deref()).or_default().push(event.trace_id.as_str());
        }
        keys
    }

    /// For messages.
    pub(super) fn summary(&self) -> String {
        let statuses: Vec<_> = self.requests.iter().map(|request| request.status).collect();
        let tail = &statuses[statuses.len().saturating_sub(20)..];
        format!(
            "{} events taken ({} different), {} requests on {} connections, the last answers {tail:?}",
            self.events.len(),
            self.taken().len(),
            self.requests.len(),
            self.connections,
        )
    }

    /// How the request that comes now is dealt with.
    pub(super) fn next_fault(&mut self) -> Fault {
        if let Some(fault) = self.script.pop_front() {
            return fault.for_request(0);
        }
        let number = self.by_mode;
        self.by_mode += 1;
        self.fault.for_request(number)
    }
}
