//! The JSON Schema (2020-12) of each event type, from its description.

use serde_json::{Map, Value, json};

use super::event_types::{EventType, description_of};
use super::fields::{FieldDescription, FieldType, Rule};
use crate::event::Key;

/// The contract's form of an instant.
const TIMESTAMP: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$";
/// At least five digits after the second; a second before 1970 has a sign.
const TRACE_ID: &str = "^TR_-?[0-9]+_[0-9]{5,}$";

/// The schema of a whole event of a type. Payloads may hold more fields than the contract's,
/// envelopes may not.
pub fn schema(event_type: EventType) -> Value {
    let description = description_of(event_type);
    let fields: Map<String, Value> = description
        .fields
        .iter()
        .map(|field| (field.key.to_string(), field_schema(field)))
        .collect();
    let required: Vec<&String> = fields.keys().collect();
    let mut payload = json!({
        "type": "object",
        "description": "What happened.",
        "required": required,
        "properties": fields,
    });
    if let Some(rule) = description.rule {
        let (name, cases) = rule_schema(rule);
        payload[name] = cases;
    }
    let envelope = envelope_schema(event_type, &payload);
    let required: Vec<&String> = envelope.keys().collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": description.key.as_str(),
        "description": description.about,
        "type": "object",
        "required": required,
        "additionalProperties": false,
        "properties": envelope,
    })
}

fn envelope_schema(event_type: EventType, payload: &Value) -> Map<String, Value> {
    let link = |about: &str| json!({ "type": ["string", "null"], "description": about });
    let properties = json!({
        "event_type": { "const": event_type.key().as_str(), "description": "The type of the event." },
        "payload": payload,
        "trace_id": {
            "type": "string",
            "pattern": TRACE_ID,
            "description": "The event's own id, unique over the life of the stream.",
        },
        "ingest_timestamp": {
            "type": "string",
            "format": "date-time",
            "pattern": TIMESTAMP,
            "description": "Event time, UTC, with three fraction digits.",
        },
        "schema_version": { "const": "1.0", "description": "The version of the contract." },
        "source": { "type": "string", "minLength": 1, "description": "The reporting system." },
        "correlation_id": link("What the event belongs to, such as a journey, a visit or a receipt."),
        "partition_key": link("Events with one key keep their order."),
        "session_id": link("The visit, shipment or order that the event is part of."),
        "parent_event_id": {
            "type": ["string", "null"],
            "pattern": TRACE_ID,
            "description": "The `trace_id` of the event that caused this one.",
        },
    });
    match properties {
        Value::Object(properties) => properties,
        _ => Map::new(),
    }
}

fn field_schema(field: &FieldDescription) -> Value {
    let mut schema = type_schema(field.field_type);
    if field.nullable {
        schema["type"] = json!([schema["type"], "null"]);
        if let Some(texts) = schema.get_mut("enum").and_then(Value::as_array_mut) {
            texts.push(Value::Null);
        }
    }
    schema["description"] = json!(field.about);
    schema
}

fn type_schema(field_type: FieldType) -> Value {
    match field_type {
        FieldType::Integer { min, max: i64::MAX } => json!({ "type": "integer", "minimum": min }),
        FieldType::Integer { min, max } => {
            json!({ "type": "integer", "minimum": min, "maximum": max })
        }
        FieldType::NonZeroInteger => json!({ "type": "integer", "not": { "const": 0 } }),
        FieldType::Number { .. } => json!({ "type": "number", "minimum": 0 }),
        FieldType::Text => json!({ "type": "string", "minLength": 1 }),
        FieldType::Id(pattern) => json!({ "type": "string", "pattern": pattern }),
        FieldType::OneOf(texts) => json!({ "type": "string", "enum": texts }),
        FieldType::Timestamp => {
            json!({ "type": "string", "format": "date-time", "pattern": TIMESTAMP })
        }
        FieldType::Ids => json!({
            "type": "array",
            "minItems": 1,
            "items": { "type": "integer", "minimum": 1 },
        }),
    }
}

/// The keyword and the cases of a rule over two fields.
fn rule_schema(rule: Rule) -> (&'static str, Value) {
    let is = |present: Key, absent: Option<Key>| {
        let mut properties = json!({ present.as_str(): { "not": { "type": "null" } } });
        if let Some(absent) = absent {
            properties[absent.as_str()] = json!({ "type": "null" });
        }
        json!({ "properties": properties })
    };
    match rule {
        Rule::ExactlyOne(one, two) => ("oneOf", json!([is(one, Some(two)), is(two, Some(one))])),
        Rule::AtLeastOne(one, two) => ("anyOf", json!([is(one, None), is(two, None)])),
    }
}
