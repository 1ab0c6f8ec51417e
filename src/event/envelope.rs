//! The envelope of an event by the names of its keys: what stands there, and what may.

use std::fmt;

use super::{Event, Key, Text, Timestamp, TooManyNames, Value};

/// The keys of an envelope that hold one value: all but the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvelopeKey {
    /// `event_type`
    EventType,
    /// `trace_id`
    TraceId,
    /// `ingest_timestamp`, which is event time
    IngestTimestamp,
    /// `schema_version`
    SchemaVersion,
    /// `source`
    Source,
    /// `correlation_id`, which may be null
    CorrelationId,
    /// `partition_key`, which may be null
    PartitionKey,
    /// `session_id`, which may be null
    SessionId,
    /// `parent_event_id`, which may be null
    ParentEventId,
}

/// Why a key of the envelope cannot hold a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvelopeError {
    /// The value is of another type.
    Type {
        /// The key's name.
        name: &'static str,
        /// Whether it may be null.
        is_nullable: bool,
        /// What JSON calls the type that was found.
        found: &'static str,
    },
    /// A type of events that is one name too many.
    Names(TooManyNames),
    /// A text that is no instant.
    Time(String),
}

impl EnvelopeError {
    /// The error for someone who writes null as `null`.
    pub fn message(&self, null: &str) -> String {
        match self {
            Self::Type { name, is_nullable: true, found } => {
                format!("`{name}` is a string or {null}, not {found}")
            }
            Self::Type { name, found, .. } => format!("`{name}` is a string, not {found}"),
            Self::Names(error) => error.to_string(),
            Self::Time(error) => error.clone(),
        }
    }
}

impl fmt::Display for EnvelopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message("null"))
    }
}

impl std::error::Error for EnvelopeError {}

impl EnvelopeKey {
    /// All of them, by name.
    pub const ALL: [(&'static str, Self); 9] = [
        ("event_type", Self::EventType),
        ("trace_id", Self::TraceId),
        ("ingest_timestamp", Self::IngestTimestamp),
        ("schema_version", Self::SchemaVersion),
        ("source", Self::Source),
        ("correlation_id", Self::CorrelationId),
        ("partition_key", Self::PartitionKey),
        ("session_id", Self::SessionId),
        ("parent_event_id", Self::ParentEventId),
    ];

    /// The key of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, key)| *key)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, key)| *key == self).map_or("", |(name, _)| name)
    }
}

impl Event {
    /// What a key of the envelope holds.
    pub fn envelope(&self, key: EnvelopeKey) -> Value {
        match key {
            EnvelopeKey::EventType => self.event_type.as_str().into(),
            EnvelopeKey::TraceId => self.trace_id.clone().into(),
            EnvelopeKey::IngestTimestamp => self.time.into(),
            EnvelopeKey::SchemaVersion => self.schema_version.clone().into(),
            EnvelopeKey::Source => self.source.clone().into(),
            EnvelopeKey::CorrelationId => self.correlation_id.clone().into(),
            EnvelopeKey::PartitionKey => self.partition_key.clone().into(),
            EnvelopeKey::SessionId => self.session_id.clone().into(),
            EnvelopeKey::ParentEventId => self.parent_event_id.clone().into(),
        }
    }

    /// Sets a key of the envelope; returns what it was, which it can hold again.
    pub fn set_envelope(&mut self, key: EnvelopeKey, value: Value) -> Result<Value, EnvelopeError> {
        let name = key.name();
        if let Some(place) = self.nullable(key) {
            let value = match value {
                Value::Null => None,
                Value::Text(text) => Some(text),
                other => {
                    let found = other.type_name();
                    return Err(EnvelopeError::Type { name, is_nullable: true, found });
                }
            };
            return Ok(std::mem::replace(place, value).into());
        }
        let text = match value {
            Value::Text(text) => text,
            Value::Time(time) if key == EnvelopeKey::IngestTimestamp => {
                return Ok(std::mem::replace(&mut self.time, time).into());
            }
            Value::Time(time) => Text::from(time.to_string()),
            other => {
                let found = other.type_name();
                return Err(EnvelopeError::Type { name, is_nullable: false, found });
            }
        };
        Ok(match key {
            EnvelopeKey::EventType => {
                let key = text.with_str(Key::intern).map_err(EnvelopeError::Names)?;
                Text::from_static(std::mem::replace(&mut self.event_type, key).as_str()).into()
            }
            EnvelopeKey::IngestTimestamp => {
                let time: Timestamp = text.with_str(str::parse).map_err(EnvelopeError::Time)?;
                std::mem::replace(&mut self.time, time).into()
            }
            EnvelopeKey::TraceId => std::mem::replace(&mut self.trace_id, text).into(),
            EnvelopeKey::SchemaVersion => std::mem::replace(&mut self.schema_version, text).into(),
            _ => std::mem::replace(&mut self.source, text).into(),
        })
    }

    fn nullable(&mut self, key: EnvelopeKey) -> Option<&mut Option<Text>> {
        match key {
            EnvelopeKey::CorrelationId => Some(&mut self.correlation_id),
            EnvelopeKey::PartitionKey => Some(&mut self.partition_key),
            EnvelopeKey::SessionId => Some(&mut self.session_id),
            EnvelopeKey::ParentEventId => Some(&mut self.parent_event_id),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::RECEIPT_CREATED;
    use super::*;

    #[test]
    fn every_key_holds_again_what_it_held_before() {
        let before = Event::new(RECEIPT_CREATED, Text::from("TR_1"), Timestamp::from_millis(7));
        for (name, key) in EnvelopeKey::ALL {
            assert_eq!((EnvelopeKey::named(name), key.name()), (Some(key), name));
            let mut event = before.clone();
            let text = match key {
                EnvelopeKey::IngestTimestamp => "2024-11-29T10:00:00.000Z",
                _ => "another",
            };
            let held = event.set_envelope(key, Text::from(text.to_owned()).into()).unwrap();
            assert_ne!(event, before, "{name}");
            assert_eq!(held, before.envelope(key), "{name}");
            event.set_envelope(key, held).unwrap();
            assert_eq!(event, before, "{name}");
        }
    }

    #[test]
    fn a_value_that_a_key_cannot_hold_is_refused_and_changes_nothing() {
        let before = Event::new(RECEIPT_CREATED, Text::from("TR_1"), Timestamp::from_millis(7));
        let mut event = before.clone();
        let mut refused = |key, value| event.set_envelope(key, value).unwrap_err().to_string();
        assert_eq!(
            refused(EnvelopeKey::SessionId, Value::Int(1)),
            "`session_id` is a string or null, not an integer"
        );
        assert_eq!(refused(EnvelopeKey::TraceId, Value::Null), "`trace_id` is a string, not null");
        let no_instant = refused(EnvelopeKey::IngestTimestamp, "yesterday".into());
        assert!(no_instant.contains("`yesterday`"), "{no_instant}");
        assert_eq!(event, before);
    }
}
