//! Events as the schema library wants to see JSON, without a tree being built.

use std::borrow::Cow;

use jsonschema::json::{Array, Json, Node, NodeIdentity, Object};
use jsonschema::types::JsonType;
use serde_json::Number;

use crate::event::{Event, Fields, Key, Text, Timestamp, Value};

/// The keys of an envelope, in the order they are written.
const ENVELOPE: [&str; 10] = [
    "event_type",
    "payload",
    "trace_id",
    "ingest_timestamp",
    "schema_version",
    "source",
    "correlation_id",
    "partition_key",
    "session_id",
    "parent_event_id",
];

/// The representation.
pub(super) struct EventJson;

impl Json for EventJson {
    type Node<'a> = Instance<'a>;
    /// None for a name that can be no key, which no event has then.
    type PreparedKey = Option<Key>;
    type StringBuffer = ();

    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> Option<Key> {
        Key::intern(key).ok()
    }

    fn with_string_node<T>((): &mut (), string: &str, f: impl FnOnce(Instance<'_>) -> T) -> T {
        f(Instance::Name(string))
    }
}

/// A value of an event, or the event itself.
#[derive(Clone, Copy)]
pub(super) enum Instance<'a> {
    Event(&'a Event),
    Fields(&'a Fields),
    Value(&'a Value),
    Type(&'a Key),
    Text(&'a Text),
    Link(&'a Option<Text>),
    Time(&'a Timestamp),
    Name(&'a str),
}

impl<'a> Instance<'a> {
    fn text(&self) -> Option<&'a Text> {
        match *self {
            Self::Text(text) | Self::Value(Value::Text(text)) => Some(text),
            Self::Link(text) => text.as_ref(),
            _ => None,
        }
    }
}

fn borrowed(text: &Text) -> Cow<'_, str> {
    match text {
        Text::Plain(text) => Cow::Borrowed(text),
        id => Cow::Owned(id.to_string()),
    }
}

impl<'a> Node<'a, EventJson> for Instance<'a> {
    type Object = Members<'a>;
    type Array = &'a [Value];
    type Number = Number;

    fn as_object(&self) -> Option<Members<'a>> {
        match self {
            Self::Event(_) | Self::Fields(_) => Some(Members { object: *self, place: 0 }),
            Self::Value(Value::Map(fields)) => {
                Some(Members { object: Self::Fields(fields), place: 0 })
            }
            _ => None,
        }
    }

    fn as_array(&self) -> Option<&'a [Value]> {
        match self {
            Self::Value(Value::List(values)) => Some(values),
            _ => None,
        }
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        match *self {
            Self::Type(key) => Some(Cow::Borrowed(key.as_str())),
            Self::Name(name) => Some(Cow::Borrowed(name)),
            Self::Time(time) | Self::Value(Value::Time(time)) => Some(Cow::Owned(time.to_string())),
            _ => self.text().map(borrowed),
        }
    }

    fn as_number(&self) -> Option<Number> {
        match self {
            Self::Value(Value::Int(number)) => Some(Number::from(*number)),
            Self::Value(Value::Float(number)) => Number::from_f64(*number),
            _ => None,
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        match self {
            Self::Value(Value::Bool(value)) => Some(*value),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        self.json_type() == JsonType::Null
    }

    fn is_number(&self) -> bool {
        self.json_type() == JsonType::Number
    }

    fn json_type(&self) -> JsonType {
        match self {
            Self::Event(_) | Self::Fields(_) | Self::Value(Value::Map(_)) => JsonType::Object,
            Self::Value(Value::List(_)) => JsonType::Array,
            Self::Value(Value::Bool(_)) => JsonType::Boolean,
            Self::Value(Value::Int(_)) => JsonType::Number,
            Self::Value(Value::Float(number)) if number.is_finite() => JsonType::Number,
            // What JSON cannot say is written as null.
            Self::Link(None) | Self::Value(Value::Null | Value::Float(_)) => JsonType::Null,
            Self::Type(_)
            | Self::Text(_)
            | Self::Link(_)
            | Self::Time(_)
            | Self::Name(_)
            | Self::Value(Value::Text(_) | Value::Time(_)) => JsonType::String,
        }
    }

    fn equals_value(&self, expected: &serde_json::Value) -> bool {
        match (expected, self.json_type()) {
            (serde_json::Value::String(expected), JsonType::String) => match self.text() {
                Some(text) => text == expected.as_str(),
                None => self.as_string().is_some_and(|text| text == *expected),
            },
            // Unequal types are never equal; for the others the library's own rule holds.
            (serde_json::Value::String(_), _) | (_, JsonType::String) => false,
            _ => jsonschema::json::cmp::equal(&self.to_value(), expected),
        }
    }

    fn to_value(&self) -> Cow<'a, serde_json::Value> {
        let value = match self {
            Self::Event(event) => serde_json::to_value(event),
            Self::Fields(fields) => serde_json::to_value(fields),
            Self::Value(value) => serde_json::to_value(value),
            other => Ok(other.as_string().into()),
        };
        // Events always are JSON: their maps have strings for keys.
        Cow::Owned(value.unwrap_or_default())
    }

    /// What a variant refers to may begin where something else does, so the variant tells too.
    fn identity(&self) -> Option<NodeIdentity> {
        let (address, tag) = match self {
            Self::Event(event) => (std::ptr::from_ref::<Event>(event).addr(), 0),
            Self::Fields(fields) => (std::ptr::from_ref::<Fields>(fields).addr(), 1),
            Self::Value(value) => (std::ptr::from_ref::<Value>(value).addr(), 2),
            Self::Type(key) => (std::ptr::from_ref::<Key>(key).addr(), 3),
            Self::Text(text) => (std::ptr::from_ref::<Text>(text).addr(), 4),
            Self::Link(link) => (std::ptr::from_ref::<Option<Text>>(link).addr(), 5),
            Self::Time(time) => (std::ptr::from_ref::<Timestamp>(time).addr(), 6),
            Self::Name(name) => (name.as_ptr().addr(), 7),
        };
        Some(NodeIdentity::tagged(address, tag))
    }
}

/// The members of an event or of fields, from a place on.
#[derive(Clone)]
pub(super) struct Members<'a> {
    object: Instance<'a>,
    place: usize,
}

impl<'a> Object<'a, EventJson> for Members<'a> {
    type Node = Instance<'a>;
    type MemberName = &'a str;
    type MembersIter = Self;

    fn len(&self) -> usize {
        match self.object {
            Instance::Event(_) => ENVELOPE.len(),
            Instance::Fields(fields) => fields.len(),
            _ => 0,
        }
    }

    fn get(&self, key: &Option<Key>) -> Option<Instance<'a>> {
        match self.object {
            Instance::Event(event) => envelope_value(event, (*key)?.as_str()),
            Instance::Fields(fields) => fields.get((*key)?).map(Instance::Value),
            _ => None,
        }
    }

    fn members(&self) -> Self {
        self.clone()
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, Instance<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = match self.object {
            Instance::Event(event) => {
                let name = *ENVELOPE.get(self.place)?;
                (name, envelope_value(event, name)?)
            }
            Instance::Fields(fields) => {
                let (key, value) = fields.at(self.place)?;
                (key.as_str(), Instance::Value(value))
            }
            _ => return None,
        };
        self.place += 1;
        Some((name, value))
    }
}

fn envelope_value<'a>(event: &'a Event, name: &str) -> Option<Instance<'a>> {
    Some(match name {
        "event_type" => Instance::Type(&event.event_type),
        "payload" => Instance::Fields(&event.payload),
        "trace_id" => Instance::Text(&event.trace_id),
        "ingest_timestamp" => Instance::Time(&event.time),
        "schema_version" => Instance::Text(&event.schema_version),
        "source" => Instance::Text(&event.source),
        "correlation_id" => Instance::Link(&event.correlation_id),
        "partition_key" => Instance::Link(&event.partition_key),
        "session_id" => Instance::Link(&event.session_id),
        "parent_event_id" => Instance::Link(&event.parent_event_id),
        _ => return None,
    })
}

impl<'a> Array<'a, EventJson> for &'a [Value] {
    type Node = Instance<'a>;
    type ElementsIter = std::iter::Map<std::slice::Iter<'a, Value>, fn(&'a Value) -> Instance<'a>>;

    fn len(&self) -> usize {
        <[Value]>::len(self)
    }

    fn elements(&self) -> Self::ElementsIter {
        self.iter().map(Instance::Value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{JsonReader, STORE};
    use proptest::prelude::*;
    use serde_json::json;

    fn leaf() -> impl Strategy<Value = serde_json::Value> {
        prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(|value| json!(value)),
            (-3_i64..4).prop_map(|number| json!(number)),
            (-8_i64..8).prop_map(|number| json!(number as f64 / 2.0)),
            "[ab]{0,3}|TR_1732867200_00001".prop_map(|text| json!(text)),
        ]
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        leaf().prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|values| json!(values)),
                prop::collection::btree_map("[abc]", inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }

    /// Schemas that touch every way to look at a value.
    fn schema() -> impl Strategy<Value = serde_json::Value> {
        let kinds = ["null", "boolean", "integer", "number", "string", "array", "object"];
        let plain = prop_oneof![
            prop::sample::select(kinds.to_vec()).prop_map(|kind| json!({ "type": kind })),
            value().prop_map(|value| json!({ "const": value })),
            (value(), value()).prop_map(|(one, two)| json!({ "enum": [one, two] })),
            (-3_i64..4).prop_map(|limit| json!({ "minimum": limit })),
            (0_u64..3).prop_map(|limit| json!({ "maxLength": limit, "minItems": limit })),
            Just(json!({ "pattern": "^[ab]+$", "uniqueItems": true })),
            Just(json!({ "propertyNames": { "pattern": "a|b" } })),
        ];
        plain.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(|schema| json!({ "items": schema })),
                inner.clone().prop_map(|schema| json!({ "not": schema })),
                inner.clone().prop_map(|schema| json!({ "additionalProperties": schema })),
                (inner.clone(), inner.clone()).prop_map(|(one, two)| {
                    json!({ "properties": { "a": one, "b": two }, "required": ["a"] })
                }),
                (inner.clone(), inner).prop_map(|(one, two)| json!({ "oneOf": [one, two] })),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_verdict_is_the_same_as_on_the_json_itself(
            payload in prop::collection::btree_map("[abc]", value(), 0..4),
            schema in schema(),
        ) {
            let json = json!(payload);
            let fields = JsonReader::new().object(json.to_string().as_bytes()).unwrap();
            let ours = jsonschema::options_for::<EventJson>().build(&schema).unwrap();
            let theirs = jsonschema::options().build(&schema).unwrap();
            let instance = Instance::Fields(&fields);
            prop_assert_eq!(ours.is_valid(instance), theirs.is_valid(&json), "{}", schema);
            let texts = |errors: jsonschema::ErrorIterator<'_>| {
                errors.map(|error| error.to_string()).collect::<Vec<_>>()
            };
            prop_assert_eq!(texts(ours.iter_errors(instance)), texts(theirs.iter_errors(&json)));
        }
    }

    #[test]
    fn an_envelope_looks_like_the_json_it_is_written_as() {
        let line = r#"{"event_type":"x","payload":{"a":[1]},"trace_id":"TR_1732867200_00001",
            "ingest_timestamp":"2024-11-29T08:00:00.000Z"}"#;
        let mut event = JsonReader::new().event(line.as_bytes()).unwrap();
        event.partition_key = Some(Text::numbered(STORE, 12));
        let written: serde_json::Value = serde_json::from_str(&event.to_json()).unwrap();
        let members: serde_json::Map<_, _> = Instance::Event(&event)
            .as_object()
            .unwrap()
            .members()
            .map(|(name, value)| (name.to_owned(), value.to_value().into_owned()))
            .collect();
        assert_eq!(serde_json::Value::Object(members), written);
        let exact = jsonschema::options_for::<EventJson>()
            .build(&json!({ "const": written, "properties": {
                "partition_key": { "const": "store_12" }, "session_id": { "type": "null" },
                "event_type": { "const": "x" }, "ingest_timestamp": { "pattern": "Z$" },
            } }))
            .unwrap();
        assert!(exact.is_valid(Instance::Event(&event)));
    }
}
