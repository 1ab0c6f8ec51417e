//! Events as AMQP messages, and which way each goes.

use azure_core_amqp::message::{
    AmqpAnnotationKey, AmqpAnnotations, AmqpApplicationProperties, AmqpMessageBody, AmqpMessageId,
    AmqpMessageProperties,
};
use azure_core_amqp::{AmqpMessage, AmqpSimpleValue, AmqpSymbol, AmqpValue};

use super::partition_key;
use crate::event::{Event, JsonWriter, Text};

/// What a message has beside its body, at the least, in bytes: enough to tell about where a batch
/// is full before it is packed.
const AROUND_BODY_BYTES: usize = 128;

/// How events are shared out over a hub's partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partitioning {
    /// Events with one partition key go to one partition, and keep their order; those without go
    /// wherever the service likes.
    ByKey,
    /// Wherever the service likes, batch by batch.
    RoundRobin,
    /// All to this one.
    To(String),
}

/// An event as the service takes it.
pub(super) struct Message {
    pub(super) amqp: AmqpMessage,
    /// The hash of the key that says which partition it goes to, where one does.
    pub(super) key_hash: Option<u16>,
}

impl Partitioning {
    /// What events have in common whose order is kept.
    pub(crate) fn order_key(&self, event: &Event) -> Option<u16> {
        match self {
            Self::ByKey | Self::To(_) => key_hash(event),
            Self::RoundRobin => None,
        }
    }

    /// The partition of an event, where it is known without asking the service.
    pub(super) fn partition_of(&self, event: &Event, partitions: usize) -> Option<u32> {
        match self {
            Self::To(id) => id.parse().ok(),
            Self::ByKey | Self::RoundRobin => {
                let hash = usize::from(self.partition_hash(event)?);
                hash.checked_rem(partitions).map(|partition| partition as u32)
            }
        }
    }

    /// What decides which partition an event goes to, where it is a key.
    fn partition_hash(&self, event: &Event) -> Option<u16> {
        match self {
            Self::ByKey => key_hash(event),
            Self::RoundRobin | Self::To(_) => None,
        }
    }
}

fn key_hash(event: &Event) -> Option<u16> {
    event.partition_key.as_ref().map(|key| key.with_str(partition_key::hash))
}

/// The messages of the first events: as many as fit in about one batch for each partition.
pub(super) fn first_of(
    events: &[Event],
    partitioning: &Partitioning,
    partitions: usize,
    batch_bytes_max: u64,
) -> Vec<Message> {
    let mut json = JsonWriter::new();
    let mut messages = Vec::with_capacity(events.len());
    // What the service shares out itself goes in a batch of its own.
    let mut bytes = vec![0; partitions.max(1) + 1];
    let unkeyed = bytes.len() - 1;
    for event in events {
        json.clear();
        json.event(event);
        let body = json.as_bytes().to_vec();
        let key_hash = partitioning.partition_hash(event);
        let slot = key_hash.map_or(unkeyed, |hash| usize::from(hash) % unkeyed);
        bytes[slot] += body.len() + AROUND_BODY_BYTES;
        messages.push(Message { amqp: message(event, body, partitioning), key_hash });
        if bytes[slot] as u64 > batch_bytes_max {
            break;
        }
    }
    messages
}

fn message(event: &Event, body: Vec<u8>, partitioning: &Partitioning) -> AmqpMessage {
    let text = |text: &Text| text.with_str(str::to_owned);
    let id = text(&event.trace_id);
    let mut routing = AmqpApplicationProperties::new();
    routing.insert("event_type".to_owned(), event.event_type.as_str().to_owned());
    routing.insert("trace_id".to_owned(), AmqpSimpleValue::String(id.clone()));
    // The service puts a batch where the key of its first event belongs, if that has one.
    let key = event.partition_key.as_ref().filter(|_| *partitioning != Partitioning::RoundRobin);
    AmqpMessage {
        body: AmqpMessageBody::Binary(vec![body]),
        properties: Some(AmqpMessageProperties {
            message_id: Some(AmqpMessageId::String(id)),
            correlation_id: event.correlation_id.as_ref().map(|id| AmqpMessageId::String(text(id))),
            content_type: Some(AmqpSymbol("application/json".to_owned())),
            ..AmqpMessageProperties::default()
        }),
        application_properties: Some(routing),
        message_annotations: key.map(|key| partition_key_of(text(key))),
        ..AmqpMessage::default()
    }
}

fn partition_key_of(key: String) -> AmqpAnnotations {
    let mut annotations = AmqpAnnotations::new();
    let name = AmqpAnnotationKey::Symbol(AmqpSymbol("x-opt-partition-key".to_owned()));
    annotations.insert(name, AmqpValue::String(key));
    annotations
}
