//! Where a setting points in an event: `partition_key`, `payload.store_id`.

use std::fmt;
use std::str::FromStr;

use compact_str::{ToCompactString, format_compact};

use super::{Event, Key, Text, Value};

/// The place of one field: a key of the envelope that holds a text, or a field of the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath(Place);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    EventType,
    TraceId,
    Time,
    SchemaVersion,
    Source,
    CorrelationId,
    PartitionKey,
    SessionId,
    ParentEventId,
    /// At least one name; more lead into nested objects.
    Payload(Vec<Key>),
}

impl FieldPath {
    /// What stands there, as the text that a key or a file name is made of. None where there is
    /// nothing, null, an array or an object.
    pub fn text(&self, event: &Event) -> Option<Text> {
        match &self.0 {
            Place::EventType => Some(Text::from_static(event.event_type.as_str())),
            Place::TraceId => Some(event.trace_id.clone()),
            Place::Time => Some(Text::Plain(event.time.to_compact_string())),
            Place::SchemaVersion => Some(event.schema_version.clone()),
            Place::Source => Some(event.source.clone()),
            Place::CorrelationId => event.correlation_id.clone(),
            Place::PartitionKey => event.partition_key.clone(),
            Place::SessionId => event.session_id.clone(),
            Place::ParentEventId => event.parent_event_id.clone(),
            Place::Payload(names) => text_of(payload_value(event, names)?),
        }
    }

    /// What stands there, as it is; null where there is nothing.
    pub fn value(&self, event: &Event) -> Value {
        match &self.0 {
            Place::Payload(names) => payload_value(event, names).cloned().unwrap_or_default(),
            _ => self.text(event).into(),
        }
    }

    /// The field of the payload that it leads to, or into; none for a key of the envelope.
    pub fn payload_field(&self) -> Option<Key> {
        match &self.0 {
            Place::Payload(names) => names.first().copied(),
            _ => None,
        }
    }

    /// Whether it is the envelope's `partition_key`.
    pub fn is_partition_key(&self) -> bool {
        self.0 == Place::PartitionKey
    }
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
        let place = match text {
            "event_type" => Place::EventType,
            "trace_id" => Place::TraceId,
            "ingest_timestamp" => Place::Time,
            "schema_version" => Place::SchemaVersion,
            "source" => Place::Source,
            "correlation_id" => Place::CorrelationId,
            "partition_key" => Place::PartitionKey,
            "session_id" => Place::SessionId,
            "parent_event_id" => Place::ParentEventId,
            _ => Place::Payload(payload_names(text)?),
        };
        Ok(Self(place))
    }
}

fn payload_names(text: &str) -> Result<Vec<Key>, String> {
    let Some(rest) = text.strip_prefix("payload.") else {
        return Err(format!(
            "`{text}` is not a key of the envelope; a field of the payload is written `payload.NAME`"
        ));
    };
    let name = |name: &str| match name {
        "" => Err(format!("`{text}` has an empty name")),
        name => Key::intern(name).map_err(|error| error.to_string()),
    };
    rest.split('.').map(name).collect()
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Place::EventType => "event_type",
            Place::TraceId => "trace_id",
            Place::Time => "ingest_timestamp",
            Place::SchemaVersion => "schema_version",
            Place::Source => "source",
            Place::CorrelationId => "correlation_id",
            Place::PartitionKey => "partition_key",
            Place::SessionId => "session_id",
            Place::ParentEventId => "parent_event_id",
            Place::Payload(names) => {
                f.write_str("payload")?;
                return names.iter().try_for_each(|name| write!(f, ".{}", name.as_str()));
            }
        })
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
    fn a_path_is_shown_as_it_was_written() {
        for path in ["partition_key", "payload.store_id", "payload.deep.er"] {
            assert_eq!(path.parse::<FieldPath>().unwrap().to_string(), path);
        }
    }
}
