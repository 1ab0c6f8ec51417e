//! The envelope of an event as scripts read and write it, and what it takes to undo the changes of a
//! call that fails.

use super::fields::Changes;
use super::values::ScriptResult;
use crate::event::{Event, Fields, Key, Text, Timestamp, Value};

/// The keys of an envelope that hold one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EnvelopeKey {
    EventType,
    TraceId,
    IngestTimestamp,
    SchemaVersion,
    Source,
    CorrelationId,
    PartitionKey,
    SessionId,
    ParentEventId,
}

impl EnvelopeKey {
    /// All of them, by name.
    pub(super) const ALL: [(&str, Self); 9] = [
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
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, key)| *key)
    }

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, key)| *key == self).map_or("", |(name, _)| name)
    }
}

/// Sets a key of the envelope; returns what it was.
pub(super) fn set_envelope(
    key: EnvelopeKey,
    event: &mut Event,
    value: Value,
) -> ScriptResult<Value> {
    let name = key.name();
    if let Some(place) = nullable(key, event) {
        let value = match value {
            Value::Null => None,
            Value::Text(text) => Some(text),
            other => {
                let found = other.type_name();
                return Err(format!("`{name}` is a string or `()`, not {found}").into());
            }
        };
        return Ok(std::mem::replace(place, value).into());
    }
    let text = match value {
        Value::Text(text) => text,
        Value::Time(time) => Text::from(time.to_string()),
        other => return Err(format!("`{name}` is a string, not {}", other.type_name()).into()),
    };
    let before = match key {
        EnvelopeKey::EventType => {
            let key = text.with_str(Key::intern).map_err(|error| error.to_string())?;
            Text::from_static(std::mem::replace(&mut event.event_type, key).as_str()).into()
        }
        EnvelopeKey::IngestTimestamp => {
            let time: Timestamp = text.with_str(str::parse)?;
            std::mem::replace(&mut event.time, time).into()
        }
        EnvelopeKey::TraceId => std::mem::replace(&mut event.trace_id, text).into(),
        EnvelopeKey::SchemaVersion => std::mem::replace(&mut event.schema_version, text).into(),
        _ => std::mem::replace(&mut event.source, text).into(),
    };
    Ok(before)
}

fn nullable(key: EnvelopeKey, event: &mut Event) -> Option<&mut Option<Text>> {
    match key {
        EnvelopeKey::CorrelationId => Some(&mut event.correlation_id),
        EnvelopeKey::PartitionKey => Some(&mut event.partition_key),
        EnvelopeKey::SessionId => Some(&mut event.session_id),
        EnvelopeKey::ParentEventId => Some(&mut event.parent_event_id),
        _ => None,
    }
}

/// A key of the envelope as a script reads it.
pub(super) fn envelope_value(key: EnvelopeKey, event: &Event) -> Value {
    match key {
        EnvelopeKey::EventType => event.event_type.as_str().into(),
        EnvelopeKey::TraceId => event.trace_id.clone().into(),
        EnvelopeKey::IngestTimestamp => event.time.into(),
        EnvelopeKey::SchemaVersion => event.schema_version.clone().into(),
        EnvelopeKey::Source => event.source.clone().into(),
        EnvelopeKey::CorrelationId => event.correlation_id.clone().into(),
        EnvelopeKey::PartitionKey => event.partition_key.clone().into(),
        EnvelopeKey::SessionId => event.session_id.clone().into(),
        EnvelopeKey::ParentEventId => event.parent_event_id.clone().into(),
    }
}

/// Whether a field holds what a script would read as this value.
pub(super) fn reads_the_same(field: Option<&Value>, value: &Value) -> bool {
    match (field, value) {
        (Some(Value::Time(time)), Value::Text(text)) => *text == time.to_string().as_str(),
        (Some(Value::Float(one)), Value::Float(two)) => one.to_bits() == two.to_bits(),
        (Some(one), two) => one == two,
        (None, _) => false,
    }
}

/// What one call changes of its event, latest last.
#[derive(Default)]
pub(super) struct EventChanges {
    payload: Changes,
    /// The envelope's fields before the call set them.
    envelope: Vec<(EnvelopeKey, Value)>,
}

impl EventChanges {
    /// Sets a field of the payload, unless it reads like that already.
    pub(super) fn set(&mut self, event: &mut Event, key: Key, value: Value) {
        if reads_the_same(event.payload.get(key), &value) {
            return;
        }
        self.payload.set(&mut event.payload, key, value);
    }

    /// Takes a field out of the payload.
    pub(super) fn remove(&mut self, event: &mut Event, key: Key) -> Option<Value> {
        self.payload.remove(&mut event.payload, key)
    }

    /// Replaces the payload.
    pub(super) fn replace(&mut self, event: &mut Event, payload: Fields) {
        self.payload.replace(&mut event.payload, payload);
    }

    /// Sets a key of the envelope.
    pub(super) fn set_envelope(
        &mut self,
        event: &mut Event,
        key: EnvelopeKey,
        value: Value,
    ) -> ScriptResult<()> {
        let before = set_envelope(key, event, value)?;
        self.envelope.push((key, before));
        Ok(())
    }

    /// Sets event time.
    pub(super) fn set_time(&mut self, event: &mut Event, time: Timestamp) {
        let before = std::mem::replace(&mut event.time, time);
        self.envelope.push((EnvelopeKey::IngestTimestamp, before.into()));
    }

    /// Forgets the changes: they stay.
    pub(super) fn keep(&mut self) {
        self.payload.keep();
        self.envelope.clear();
    }

    /// Takes the changes back.
    pub(super) fn undo(&mut self, event: &mut Event) {
        self.payload.undo(&mut event.payload);
        while let Some((key, before)) = self.envelope.pop() {
            // What a field held, it can hold again.
            let _ = set_envelope(key, event, before);
        }
    }
}
