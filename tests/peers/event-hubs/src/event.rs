//! Events as tests see them, from and to AMQP messages.

use std::collections::BTreeMap;
use std::time::SystemTime;

use fe2o3_amqp_types::messaging::annotations::OwnedKey;
use fe2o3_amqp_types::messaging::{
    ApplicationProperties, Body, Data, Message, MessageAnnotations, MessageId, Properties,
};
use fe2o3_amqp_types::primitives::{Binary, OrderedMap, SimpleValue, Symbol, Value};

/// An event as AMQP has it.
pub(crate) type AmqpMessage = Message<Body<Value>>;

const PARTITION_KEY: &str = "x-opt-partition-key";

/// An event that the peer holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The partition that it is in.
    pub partition: usize,
    /// Its place in the partition, from zero.
    pub sequence: i64,
    /// Its offset in the partition.
    pub offset: String,
    /// When it came.
    pub enqueued: SystemTime,
    /// Its partition key.
    pub key: Option<String>,
    /// The body's bytes; empty if the body is not of bytes.
    pub body: Vec<u8>,
    /// Its application properties.
    pub properties: BTreeMap<String, Property>,
    /// What the body is said to be.
    pub content_type: Option<String>,
    /// Its id, as text.
    pub message_id: Option<String>,
    /// What it belongs to, as text.
    pub correlation_id: Option<String>,
}

impl Stored {
    /// The body as text. Panics if it is none.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is not UTF-8")
    }
}

/// The value of an application property; all integers are alike.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Property {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// Milliseconds since 1970.
    Timestamp(i64),
    /// Any other type, in words.
    Other(String),
}

impl From<&str> for Property {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for Property {
    fn from(number: i64) -> Self {
        Self::Integer(number.into())
    }
}

impl From<bool> for Property {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<f64> for Property {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

/// An event that a test puts in.
#[derive(Clone, Debug, Default)]
pub struct NewEvent {
    body: Vec<u8>,
    key: Option<String>,
    properties: BTreeMap<String, SimpleValue>,
    content_type: Option<String>,
    message_id: Option<String>,
    correlation_id: Option<String>,
    pub(crate) enqueued: Option<SystemTime>,
}

impl NewEvent {
    /// An event with this body and nothing else.
    pub fn new(body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }

    /// Gives it a partition key. It stays in the partition that it is put in.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Gives it an application property: a text, an `i64`, an `f64` or a `bool`.
    #[must_use]
    pub fn property(mut self, name: &str, value: impl Into<Property>) -> Self {
        let value = match value.into() {
            Property::Null | Property::Other(_) => SimpleValue::Null,
            Property::Bool(truth) => SimpleValue::Bool(truth),
            Property::Integer(number) => SimpleValue::Long(number as i64),
            Property::Float(number) => SimpleValue::Double(number.into()),
            Property::Text(text) => SimpleValue::String(text),
            Property::Bytes(bytes) => SimpleValue::Binary(Binary::from(bytes)),
            Property::Timestamp(milliseconds) => SimpleValue::Timestamp(milliseconds.into()),
        };
        self.properties.insert(name.into(), value);
        self
    }

    /// Says what the body is.
    #[must_use]
    pub fn content_type(mut self, content_type: &str) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// Gives it an id.
    #[must_use]
    pub fn message_id(mut self, id: &str) -> Self {
        self.message_id = Some(id.into());
        self
    }

    /// Says what it belongs to.
    #[must_use]
    pub fn correlation_id(mut self, id: &str) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// Says when it came; now, if it is not said.
    #[must_use]
    pub fn enqueued(mut self, time: SystemTime) -> Self {
        self.enqueued = Some(time);
        self
    }

    pub(crate) fn into_message(self) -> AmqpMessage {
        let body = Body::Data(vec![Data(Binary::from(self.body))].into());
        let mut message: AmqpMessage = Message::builder().body(body).build();
        let properties = Properties {
            message_id: self.message_id.map(MessageId::String),
            correlation_id: self.correlation_id.map(MessageId::String),
            content_type: self.content_type.map(Symbol::from),
            ..Properties::default()
        };
        message.properties = (properties != Properties::default()).then_some(properties);
        if !self.properties.is_empty() {
            let properties = self.properties.into_iter().collect();
            message.application_properties = Some(ApplicationProperties(properties));
        }
        if let Some(key) = self.key {
            annotate(&mut message, PARTITION_KEY, Value::String(key));
        }
        message
    }
}

impl<T: Into<Vec<u8>>> From<T> for NewEvent {
    fn from(body: T) -> Self {
        Self::new(body)
    }
}

/// The key that an event is sent with.
pub(crate) fn key_of(message: &AmqpMessage) -> Option<String> {
    let annotations = message.message_annotations.as_ref()?;
    match annotations.0.get(&OwnedKey::from(PARTITION_KEY))? {
        Value::String(key) => Some(key.clone()),
        Value::Symbol(key) => Some(key.0.clone()),
        _ => None,
    }
}

/// Writes an annotation of the service on an event.
pub(crate) fn annotate(message: &mut AmqpMessage, name: &str, value: Value) {
    message
        .message_annotations
        .get_or_insert_with(|| MessageAnnotations(OrderedMap::new()))
        .0
        .insert(OwnedKey::from(name), value);
}

/// The bytes of the body, if it is of bytes.
pub(crate) fn body_of(message: &AmqpMessage) -> Vec<u8> {
    match &message.body {
        Body::Data(parts) => parts.iter().flat_map(|part| part.0.iter().copied()).collect(),
        _ => Vec::new(),
    }
}

/// The application properties.
pub(crate) fn properties_of(message: &AmqpMessage) -> BTreeMap<String, Property> {
    let properties =
        message.application_properties.iter().flat_map(|properties| properties.0.iter());
    properties.map(|(name, value)| (name.clone(), property(value))).collect()
}

fn property(value: &SimpleValue) -> Property {
    match value {
        SimpleValue::Null => Property::Null,
        SimpleValue::Bool(truth) => Property::Bool(*truth),
        SimpleValue::Ubyte(number) => Property::Integer((*number).into()),
        SimpleValue::Ushort(number) => Property::Integer((*number).into()),
        SimpleValue::Uint(number) => Property::Integer((*number).into()),
        SimpleValue::Ulong(number) => Property::Integer((*number).into()),
        SimpleValue::Byte(number) => Property::Integer((*number).into()),
        SimpleValue::Short(number) => Property::Integer((*number).into()),
        SimpleValue::Int(number) => Property::Integer((*number).into()),
        SimpleValue::Long(number) => Property::Integer((*number).into()),
        SimpleValue::Float(number) => Property::Float(number.0.into()),
        SimpleValue::Double(number) => Property::Float(number.0),
        SimpleValue::String(text) => Property::Text(text.clone()),
        SimpleValue::Symbol(text) => Property::Text(text.0.clone()),
        SimpleValue::Binary(bytes) => Property::Bytes(bytes.to_vec()),
        SimpleValue::Timestamp(time) => Property::Timestamp(time.milliseconds()),
        other => Property::Other(format!("{other:?}")),
    }
}

/// An id as text.
pub(crate) fn id_text(id: &MessageId) -> String {
    match id {
        MessageId::Ulong(number) => number.to_string(),
        MessageId::String(text) => text.clone(),
        MessageId::Binary(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other @ MessageId::Uuid(_) => format!("{other:?}"),
    }
}
