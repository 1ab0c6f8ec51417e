//! A message of the service, as the feed wants it.

use azure_core_amqp::AmqpValue;
use azure_core_amqp::message::AmqpMessageBody;
use azure_messaging_eventhubs::models::ReceivedEventData;

use super::news::Received;
use crate::event::Timestamp;
use crate::event_hubs::{Class, Fault};

/// What there is to know of a message; each has a sequence number.
pub(super) fn received(message: &ReceivedEventData) -> Result<Received, Fault> {
    let Some(sequence) = message.sequence_number() else {
        let reason = "an event came without a sequence number".to_owned();
        return Err(Fault { class: Class::Unavailable, reason });
    };
    let enqueued = message.enqueued_time().and_then(|time| {
        let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_millis()).ok()
    });
    Ok(Received {
        sequence,
        offset: message.offset().clone(),
        enqueued: Timestamp::from_millis(enqueued.unwrap_or_default()),
        key: message.partition_key().clone(),
        body: body(message),
    })
}

/// The bytes of the body. Producers that send text as an AMQP value mean its bytes.
fn body(message: &ReceivedEventData) -> Vec<u8> {
    match &message.raw_amqp_message().body {
        AmqpMessageBody::Binary(parts) => parts.concat(),
        AmqpMessageBody::Value(AmqpValue::String(text)) => text.clone().into_bytes(),
        AmqpMessageBody::Value(AmqpValue::Binary(bytes)) => bytes.clone(),
        _ => Vec::new(),
    }
}

/// How many bytes the body has, about.
pub(super) fn size_of(message: &ReceivedEventData) -> usize {
    match &message.raw_amqp_message().body {
        AmqpMessageBody::Binary(parts) => parts.iter().map(Vec::len).sum(),
        _ => 0,
    }
}
