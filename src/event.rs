//! What flows: events in ten-key envelopes, in batches with a watermark and delivery tokens.
//!
//! Floor 0: everything may import this, this imports nothing of ours.

mod batch;
mod changes;
mod digits;
mod envelope;
mod escape;
mod exact;
mod field_path;
mod json_read;
mod json_write;
mod key;
mod names;
mod out_buffer;
mod size;
mod text;
mod timestamp;
mod token;
mod trace_ids;
mod value;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, SerializeStruct, Serializer};
use serde_json::value::RawValue;

pub use batch::{BATCH_EVENTS, Batch, BatchBuilder};
pub use changes::{EventChanges, FieldChanges};
pub use envelope::{EnvelopeError, EnvelopeKey};
pub use exact::Exact;
pub use field_path::{FieldPath, Look, Undo};
pub use json_read::{JsonError, JsonReader};
pub use json_write::JsonWriter;
pub use key::{Key, TooManyNames};
pub use names::*;
pub use text::Text;
pub use timestamp::Timestamp;
pub use token::{Ledger, Token};
pub use trace_ids::{TraceIds, mix};
pub use value::{Fields, Value};

/// The `schema_version` of every event that the engine makes.
pub const CONTRACT_VERSION: Text = Text::from_static("1.0");

/// The `source` of an event that is not told another one.
const DEFAULT_SOURCE: Text = Text::from_static("retail-datagen");

/// One event: the typed envelope and its payload.
///
/// `Display`, [`JsonWriter`] and `serde` all write the same ten keys in the same order; the seven
/// after `ingest_timestamp` that may be absent are written as `null`.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What happened, such as `receipt_created`.
    pub event_type: Key,
    /// The facts, by field name, in the order they were set.
    pub payload: Fields,
    /// Unique over the life of the stream: `TR_<epoch seconds>_<sequence>`.
    pub trace_id: Text,
    /// Event time; the envelope's `ingest_timestamp`.
    pub time: Timestamp,
    /// The version of the event contract, `1.0`.
    pub schema_version: Text,
    /// The system that reported the event.
    pub source: Text,
    /// What this event belongs to: a journey, a visit, a receipt.
    pub correlation_id: Option<Text>,
    /// Events with one key keep their order all the way.
    pub partition_key: Option<Text>,
    /// The visit, shipment or order it is part of.
    pub session_id: Option<Text>,
    /// The `trace_id` of the event that caused this one.
    pub parent_event_id: Option<Text>,
    /// Which of its batch's tokens covers this event; kept right by [`Batch`] and [`BatchBuilder`].
    pub(crate) token: TokenIndex,
}

/// A place in a batch's list of tokens. It says nothing about the event, so all are equal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TokenIndex(pub(crate) u32);

impl PartialEq for TokenIndex {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Event {
    /// An event with an empty payload, no links, and the default version and source.
    pub fn new(event_type: Key, trace_id: Text, time: Timestamp) -> Self {
        Self {
            event_type,
            payload: Fields::new(),
            trace_id,
            time,
            schema_version: CONTRACT_VERSION,
            source: DEFAULT_SOURCE,
            correlation_id: None,
            partition_key: None,
            session_id: None,
            parent_event_id: None,
            token: TokenIndex::default(),
        }
    }

    /// An event that `cause` led to: at its time, with its links, its parent and its token.
    #[must_use]
    pub fn caused_by(cause: &Event, event_type: Key, trace_id: Text) -> Self {
        Self {
            event_type,
            payload: Fields::new(),
            trace_id,
            time: cause.time,
            schema_version: cause.schema_version.clone(),
            source: cause.source.clone(),
            correlation_id: cause.correlation_id.clone(),
            partition_key: cause.partition_key.clone(),
            session_id: cause.session_id.clone(),
            parent_event_id: Some(cause.trace_id.clone()),
            token: cause.token,
        }
    }

    /// The event as one line of JSON, without the line's end.
    pub fn to_json(&self) -> String {
        let mut writer = JsonWriter::new();
        writer.event(self);
        String::from_utf8(writer.into_bytes()).expect("the JSON writer writes UTF-8")
    }
}

/// The way back from what is kept as JSON: through [`JsonReader`], so from `serde_json` only.
impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        JsonReader::default().event(json.get().as_bytes()).map_err(de::Error::custom)
    }
}

/// The reference for [`JsonWriter`], and the way into anything that speaks serde.
impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut envelope = serializer.serialize_struct("Event", 10)?;
        envelope.serialize_field("event_type", &self.event_type)?;
        envelope.serialize_field("payload", &self.payload)?;
        envelope.serialize_field("trace_id", &self.trace_id)?;
        envelope.serialize_field("ingest_timestamp", &self.time)?;
        envelope.serialize_field("schema_version", &self.schema_version)?;
        envelope.serialize_field("source", &self.source)?;
        envelope.serialize_field("correlation_id", &self.correlation_id)?;
        envelope.serialize_field("partition_key", &self.partition_key)?;
        envelope.serialize_field("session_id", &self.session_id)?;
        envelope.serialize_field("parent_event_id", &self.parent_event_id)?;
        envelope.end()
    }
}
