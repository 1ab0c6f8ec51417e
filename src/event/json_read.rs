//! JSON to events: a quick reader for what is in order, and a precise one that says what is not.

mod order;
mod precise;
mod quick;
mod time;

use std::collections::HashMap;
use std::fmt;

use rustc_hash::FxBuildHasher;

use self::order::Orders;
use self::precise::Precise;
use self::quick::Quick;
use self::time::Times;
use super::{
    CONTRACT_VERSION, DEFAULT_SOURCE, Event, Fields, Key, Text, Timestamp, TooManyNames, names,
};

/// How deep arrays and objects may nest.
const DEPTH_MAX: usize = 64;
/// The length up to which a string is kept inline.
const INLINE_BYTES: usize = 24;

/// Why a line is no event, and where in the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// What is wrong, in lowercase, without a full stop.
    pub message: String,
    /// The byte in the line at which it shows, from 0.
    pub offset: usize,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (column {})", self.message, self.offset + 1)
    }
}

impl std::error::Error for JsonError {}

/// Reads events from JSON; keep one per input, it remembers the names that it met.
#[derive(Default)]
pub struct JsonReader {
    names: Names,
    orders: Orders,
    times: Times,
}

impl JsonReader {
    /// A reader that has met no name yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads an envelope. `event_type`, `payload` and `ingest_timestamp` must be there; a missing
    /// `trace_id` is left empty, for the source to fill. A key that no envelope has is an error:
    /// nothing is lost in silence.
    pub fn event(&mut self, line: &[u8]) -> Result<Event, JsonError> {
        let mut envelope = Envelope::new();
        let taken = Quick::new(line, self).and_then(|quick| quick.event(&mut envelope));
        if taken.is_some() && envelope.is_whole() {
            return Ok(envelope.event);
        }
        Precise::new(line, self).event()
    }

    /// Reads any JSON object.
    pub fn object(&mut self, line: &[u8]) -> Result<Fields, JsonError> {
        match Quick::new(line, self).and_then(Quick::object) {
            Some(fields) => Ok(fields),
            None => Precise::new(line, self).object(),
        }
    }
}

/// The names that were met, so that the table with the lock is asked once for each.
#[derive(Default)]
struct Names(HashMap<&'static str, Key, FxBuildHasher>);

impl Names {
    fn key(&mut self, name: &str) -> Result<Key, TooManyNames> {
        if let Some(key) = self.0.get(name) {
            return Ok(*key);
        }
        let key = Key::intern(name)?;
        self.0.insert(key.as_str(), key);
        Ok(key)
    }
}

/// What a key of the envelope is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    EventType,
    Payload,
    TraceId,
    Time,
    SchemaVersion,
    Source,
    CorrelationId,
    PartitionKey,
    SessionId,
    ParentEventId,
}

/// The keys of an envelope, in the order in which they are written.
const ENVELOPE: [(Key, Part); 10] = [
    (names::EVENT_TYPE, Part::EventType),
    (names::PAYLOAD, Part::Payload),
    (names::TRACE_ID, Part::TraceId),
    (names::INGEST_TIMESTAMP, Part::Time),
    (names::SCHEMA_VERSION, Part::SchemaVersion),
    (names::SOURCE, Part::Source),
    (names::CORRELATION_ID, Part::CorrelationId),
    (names::PARTITION_KEY, Part::PartitionKey),
    (names::SESSION_ID, Part::SessionId),
    (names::PARENT_EVENT_ID, Part::ParentEventId),
];

/// The place of a key in the envelope.
fn place_of(key: Key) -> Option<usize> {
    ENVELOPE.iter().position(|(known, _)| *known == key)
}

/// An envelope as far as it was read.
struct Envelope {
    event: Event,
    has_type: bool,
    has_payload: bool,
    has_time: bool,
}

impl Envelope {
    fn new() -> Self {
        let event = Event::new(names::EVENT_TYPE, Text::default(), Timestamp::MIN);
        Self { event, has_type: false, has_payload: false, has_time: false }
    }

    fn set_type(&mut self, event_type: Key) {
        (self.event.event_type, self.has_type) = (event_type, true);
    }

    fn set_payload(&mut self, payload: Fields) {
        (self.event.payload, self.has_payload) = (payload, true);
    }

    fn set_time(&mut self, time: Timestamp) {
        (self.event.time, self.has_time) = (time, true);
    }

    /// Sets what is text or null. What is null and may not be absent is as if it were not there.
    fn set_text(&mut self, part: Part, text: Option<Text>) {
        let event = &mut self.event;
        match part {
            Part::EventType | Part::Payload | Part::Time => {}
            Part::TraceId => event.trace_id = text.unwrap_or_default(),
            Part::SchemaVersion => event.schema_version = text.unwrap_or(CONTRACT_VERSION),
            Part::Source => event.source = text.unwrap_or(DEFAULT_SOURCE),
            Part::CorrelationId => event.correlation_id = text,
            Part::PartitionKey => event.partition_key = text,
            Part::SessionId => event.session_id = text,
            Part::ParentEventId => event.parent_event_id = text,
        }
    }

    /// Whether all is there that an event must have.
    fn is_whole(&self) -> bool {
        self.missing().is_none()
    }

    /// The first key that is missing of those.
    fn missing(&self) -> Option<Key> {
        let needed = [
            (self.has_type, names::EVENT_TYPE),
            (self.has_time, names::INGEST_TIMESTAMP),
            (self.has_payload, names::PAYLOAD),
        ];
        needed.into_iter().find(|(is_there, _)| !is_there).map(|(_, key)| key)
    }
}

/// A long string is kept as numbers where it is an id, and needs no allocation then.
fn text_of(text: &str) -> Text {
    let id = if text.len() > INLINE_BYTES { Text::parse_stamped(text) } else { None };
    id.unwrap_or_else(|| Text::from(text))
}

#[cfg(test)]
mod tests;
