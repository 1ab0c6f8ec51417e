//! Where a setting points in an event: `partition_key`, `payload.store_id`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use compact_str::{ToCompactString, format_compact};

use super::changes::FieldChange;
use super::{EnvelopeKey, Event, Fields, Key, Text, Timestamp, Value};

/// How many names a path may have: each leads one object deeper.
const NAMES_MAX: usize = 64;

/// What a key of the envelope shows that holds null.
static NULL: Value = Value::Null;

/// The place of one field: a key of the envelope that holds a text, or a field of the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath(Place);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Envelope(EnvelopeKey),
    /// At least one name; more lead into nested objects.
    Payload(Arc<[Key]>),
}

/// What stands in an event, where it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Look<'a> {
    /// The payload has no such field.
    Absent,
    /// A field of the payload, or null in the envelope.
    Value(&'a Value),
    /// A key of the envelope that holds a text.
    Text(&'a Text),
    /// The event's type.
    Type(Key),
    /// Event time.
    Time(Timestamp),
}

/// What takes a change of an event back. Changes are taken back in the opposite order.
#[derive(Debug)]
pub struct Undo(Before);

#[derive(Debug)]
enum Before {
    Envelope(EnvelopeKey, Value),
    /// In the object of the payload that so many of these names lead to.
    Nested(Arc<[Key]>, usize, FieldChange),
    Payload(FieldChange),
}

impl FieldPath {
    /// What stands there, as the text that a key or a file name is made of. None where there is
    /// nothing, null, an array or an object.
    pub fn text(&self, event: &Event) -> Option<Text> {
        match &self.0 {
            Place::Envelope(key) => text_of(&event.envelope(*key)),
            Place::Payload(names) => text_of(payload_value(event, names)?),
        }
    }

    /// What stands there, as it is; null where there is nothing.
    pub fn value(&self, event: &Event) -> Value {
        match &self.0 {
            Place::Payload(names) => payload_value(event, names).cloned().unwrap_or_default(),
            Place::Envelope(_) => self.text(event).into(),
        }
    }

    /// What stands there, without a copy.
    pub fn look<'a>(&self, event: &'a Event) -> Look<'a> {
        let nullable = |text: &'a Option<Text>| match text {
            Some(text) => Look::Text(text),
            None => Look::Value(&NULL),
        };
        match &self.0 {
            Place::Payload(names) => match &**names {
                [name] => event.payload.get(*name).map_or(Look::Absent, Look::Value),
                names => payload_value(event, names).map_or(Look::Absent, Look::Value),
            },
            Place::Envelope(key) => match key {
                EnvelopeKey::EventType => Look::Type(event.event_type),
                EnvelopeKey::TraceId => Look::Text(&event.trace_id),
                EnvelopeKey::IngestTimestamp => Look::Time(event.time),
                EnvelopeKey::SchemaVersion => Look::Text(&event.schema_version),
                EnvelopeKey::Source => Look::Text(&event.source),
                EnvelopeKey::CorrelationId => nullable(&event.correlation_id),
                EnvelopeKey::PartitionKey => nullable(&event.partition_key),
                EnvelopeKey::SessionId => nullable(&event.session_id),
                EnvelopeKey::ParentEventId => nullable(&event.parent_event_id),
            },
        }
    }

    /// Sets what stands there. Objects on the way that are missing are made.
    ///
    /// # Errors
    /// A key of the envelope cannot hold the value, or something on the way is no object. Then
    /// nothing is changed.
    pub fn set(&self, event: &mut Event, value: Value) -> Result<Undo, String> {
        let names = match &self.0 {
            Place::Envelope(key) => {
                let before = event.set_envelope(*key, value).map_err(|error| error.to_string())?;
                return Ok(Undo(Before::Envelope(*key, before)));
            }
            Place::Payload(names) => names,
        };
        let mut fields = &mut event.payload;
        for (depth, name) in names.iter().enumerate() {
            let inner = &names[depth + 1..];
            // What is missing on the way is made around the value.
            if inner.is_empty() || fields.get(*name).is_none() {
                let around = |value, name: &Key| {
                    Value::Map(Box::new(std::iter::once((*name, value)).collect()))
                };
                let value = inner.iter().rev().fold(value, around);
                return Ok(Undo::at(names, depth, FieldChange::set(fields, *name, value)));
            }
            fields = match fields.get_mut(*name) {
                Some(Value::Map(inner)) => inner,
                other => {
                    let found = other.map_or("nothing", |value| value.type_name());
                    let way = Self(Place::Payload(names[..=depth].into()));
                    return Err(format!("`{self}` cannot be set: `{way}` is {found}"));
                }
            };
        }
        unreachable!("a path has at least one name")
    }

    /// Takes out what stands there, which may be nothing. A key of the envelope that may be null
    /// becomes null.
    ///
    /// # Errors
    /// A key of the envelope has to be there. Then nothing is changed.
    pub fn remove(&self, event: &mut Event) -> Result<Option<Undo>, String> {
        let names = match &self.0 {
            Place::Envelope(_) => return self.set(event, Value::Null).map(Some),
            Place::Payload(names) => names,
        };
        let Some((last, parents)) = names.split_last() else { return Ok(None) };
        let Some(fields) = inside(&mut event.payload, parents) else { return Ok(None) };
        let change = FieldChange::remove(fields, *last);
        Ok(change.map(|change| Undo::at(names, parents.len(), change)))
    }

    /// The field of the payload that it leads to, or into; none for a key of the envelope.
    pub fn payload_field(&self) -> Option<Key> {
        match &self.0 {
            Place::Payload(names) => names.first().copied(),
            Place::Envelope(_) => None,
        }
    }

    /// The field's name, if it is one right in the payload.
    pub fn payload_name(&self) -> Option<Key> {
        match &self.0 {
            Place::Payload(names) if names.len() == 1 => names.first().copied(),
            _ => None,
        }
    }

    /// Whether it is the envelope's `partition_key`.
    pub fn is_partition_key(&self) -> bool {
        self.0 == Place::Envelope(EnvelopeKey::PartitionKey)
    }
}

impl Undo {
    fn at(names: &Arc<[Key]>, depth: usize, change: FieldChange) -> Self {
        Self(match depth {
            0 => Before::Payload(change),
            depth => Before::Nested(Arc::clone(names), depth, change),
        })
    }

    /// Takes the change back; it is the latest of this event that was not taken back yet.
    pub fn undo(self, event: &mut Event) {
        match self.0 {
            // What a key held, it can hold again.
            Before::Envelope(key, before) => _ = event.set_envelope(key, before),
            Before::Payload(change) => change.undo(&mut event.payload),
            Before::Nested(names, depth, change) => {
                if let Some(fields) = inside(&mut event.payload, &names[..depth]) {
                    change.undo(fields);
                }
            }
        }
    }
}

/// The object that names lead to.
fn inside<'a>(mut fields: &'a mut Fields, names: &[Key]) -> Option<&'a mut Fields> {
    for name in names {
        fields = match fields.get_mut(*name) {
            Some(Value::Map(inner)) => inner,
            _ => return None,
        };
    }
    Some(fields)
}

fn payload_value<'a>(event: &'a Event, names: &[Key]) -> Option<&'a Value> {
    let (first, rest) = names.split_first()?;
    rest.iter().try_fold(event.payload.get(*first)?, |value, name| match value {
        Value::Map(fields) => fields.get(*name),
        _ => None,
    })
}

fn text_of(value: &Value) -> Option<Text> {
    match value {
        Value::Null | Value::List(_) | Value::Map(_) => None,
        Value::Bool(value) => Some(Text::from_static(if *value { "true" } else { "false" })),
        Value::Int(number) => Some(Text::Plain(number.to_compact_string())),
        Value::Float(number) => Some(Text::Plain(format_compact!("{number}"))),
        Value::Text(text) => Some(text.clone()),
        Value::Time(time) => Some(Text::Plain(time.to_compact_string())),
    }
}

impl FromStr for FieldPath {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(match EnvelopeKey::named(text) {
            Some(key) => Place::Envelope(key),
            None => Place::Payload(payload_names(text)?),
        }))
    }
}

fn payload_names(text: &str) -> Result<Arc<[Key]>, String> {
    let Some(rest) = text.strip_prefix("payload.") else {
        return Err(format!(
            "`{text}` is not a key of the envelope; a field of the payload is written `payload.NAME`"
        ));
    };
    if rest.split('.').count() > NAMES_MAX {
        return Err(format!("`{text}` has more than {NAMES_MAX} names"));
    }
    let name = |name: &str| match name {
        "" => Err(format!("`{text}` has an empty name")),
        name => Key::intern(name).map_err(|error| error.to_string()),
    };
    rest.split('.').map(name).collect()
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Envelope(key) => f.write_str(key.name()),
            Place::Payload(names) => {
                f.write_str("payload")?;
                names.iter().try_for_each(|name| write!(f, ".{}", name.as_str()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{JsonReader, STORE};
    use super::*;

    fn event() -> Event {
        let line = r#"{"event_type":"x","ingest_timestamp":"2024-11-29T10:00:00Z",
            "payload":{"store_id":12,"deep":{"er":{"down":"here"}},"list":[1],"none":null}}"#;
        let mut event = JsonReader::new().event(line.as_bytes()).unwrap();
        event.partition_key = Some(Text::numbered(STORE, 12));
        event
    }

    #[test]
    fn a_path_leads_to_envelope_keys_and_payload_fields() {
        let event = event();
        let text = |path: &str| {
            path.parse::<FieldPath>().unwrap().text(&event).map(|text| text.to_string())
        };
        assert_eq!(text("event_type").unwrap(), "x");
        assert_eq!(text("partition_key").unwrap(), "store_12");
        assert_eq!(text("ingest_timestamp").unwrap(), "2024-11-29T10:00:00.000Z");
        assert_eq!(text("payload.store_id").unwrap(), "12");
        assert_eq!(text("payload.deep.er.down").unwrap(), "here");
        for nothing in
            ["payload.list", "payload.none", "payload.deep", "payload.gone", "session_id"]
        {
            assert_eq!(text(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_path_that_leads_nowhere_is_refused_with_the_right_form() {
        let error = |path: &str| path.parse::<FieldPath>().unwrap_err();
        assert_eq!(
            error("store_id"),
            "`store_id` is not a key of the envelope; a field of the payload is written `payload.NAME`"
        );
        assert_eq!(error("payload.a..b"), "`payload.a..b` has an empty name");
    }

    #[test]
    fn a_path_shows_what_stands_there_where_it_stands() {
        let event = event();
        let look = |path: &str| path.parse::<FieldPath>().unwrap().look(&event);
        assert_eq!(look("event_type"), Look::Type(event.event_type));
        assert_eq!(look("ingest_timestamp"), Look::Time(event.time));
        assert_eq!(look("partition_key"), Look::Text(event.partition_key.as_ref().unwrap()));
        assert_eq!(look("session_id"), Look::Value(&Value::Null));
        assert_eq!(look("payload.store_id"), Look::Value(&Value::Int(12)));
        assert_eq!(look("payload.none"), Look::Value(&Value::Null));
        assert_eq!(look("payload.deep.er.down"), Look::Value(&"here".into()));
        assert_eq!(look("payload.deep.gone"), Look::Absent);
        assert_eq!(look("payload.store_id.gone"), Look::Absent);
    }

    #[test]
    fn what_was_set_and_removed_is_undone_to_the_same_bytes() {
        let mut event = event();
        let before = event.to_json();
        let path = |path: &str| path.parse::<FieldPath>().unwrap();
        let mut undos = Vec::new();
        for place in [
            "payload.store_id",
            "payload.new",
            "payload.deep.er.down",
            "payload.deep.there.yet",
            "payload.made.on.the.way",
            "payload.made.on.it",
            "event_type",
            "session_id",
        ] {
            undos.push(path(place).set(&mut event, "set".into()).unwrap());
            assert_eq!(path(place).text(&event).unwrap().to_string(), "set", "{place}");
        }
        for place in ["payload.deep.er", "payload.store_id", "payload.none", "partition_key"] {
            undos.extend(path(place).remove(&mut event).unwrap());
            assert_eq!(path(place).text(&event), None, "{place}");
        }
        assert!(path("payload.gone").remove(&mut event).unwrap().is_none());
        assert!(path("payload.list.gone").remove(&mut event).unwrap().is_none());
        assert_ne!(event.to_json(), before);
        while let Some(undo) = undos.pop() {
            undo.undo(&mut event);
        }
        assert_eq!(event.to_json(), before);
    }

    #[test]
    fn what_stands_in_the_way_is_not_replaced() {
        let mut event = event();
        let before = event.to_json();
        let mut error = |path: &str| {
            path.parse::<FieldPath>().unwrap().set(&mut event, Value::Int(1)).unwrap_err()
        };
        assert_eq!(
            error("payload.deep.er.down.under"),
            "`payload.deep.er.down.under` cannot be set: `payload.deep.er.down` is a string"
        );
        assert_eq!(
            error("payload.none.x"),
            "`payload.none.x` cannot be set: `payload.none` is null"
        );
        assert_eq!(error("trace_id"), "`trace_id` is a string, not an integer");
        let gone = "trace_id".parse::<FieldPath>().unwrap().remove(&mut event).unwrap_err();
        assert_eq!(gone, "`trace_id` is a string, not null");
        assert_eq!(event.to_json(), before);
    }

    #[test]
    fn a_path_has_a_greatest_depth() {
        let deep = format!("payload{}", ".x".repeat(NAMES_MAX));
        assert!(deep.parse::<FieldPath>().is_ok());
        assert!(format!("{deep}.x").parse::<FieldPath>().unwrap_err().contains("more than 64"));
    }

    #[test]
    fn a_path_is_shown_as_it_was_written() {
        for path in ["partition_key", "payload.store_id", "payload.deep.er"] {
            assert_eq!(path.parse::<FieldPath>().unwrap().to_string(), path);
        }
    }
}
