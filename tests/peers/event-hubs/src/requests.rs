//! `$cbs` and `$management`: requests on one link, answers on another.

use std::sync::Arc;

use fe2o3_amqp::link::delivery::Sendable;
use fe2o3_amqp::link::{Receiver, Sender};
use fe2o3_amqp_types::messaging::{
    AmqpValue, ApplicationProperties, Body, Message, MessageId, Properties,
};
use fe2o3_amqp_types::primitives::{Array, OrderedMap, SimpleValue, Symbol, Timestamp, Value};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::broker::Broker;
use crate::claim::{Claim, includes};
use crate::clock;
use crate::condition::Condition;
use crate::connection::Connection;
use crate::event::AmqpMessage;
use crate::fault::{ManagementFault, TokenFault};
use crate::store::Hub;
use crate::token;

/// Where tokens are put.
pub(crate) const CBS: &str = "$cbs";

/// Where hubs and partitions are asked about.
pub(crate) const MANAGEMENT: &str = "$management";

/// Takes requests to a node until the link ends.
pub(crate) async fn answer(
    broker: Arc<Broker>,
    connection: Arc<Connection>,
    node: &'static str,
    mut link: Receiver,
) {
    link.set_auto_accept(true);
    while let Ok(delivery) = link.recv::<Body<Value>>().await {
        let request = delivery.into_message();
        let answer = match node {
            CBS => put_token(&broker, &connection, &request),
            _ => read(&broker, &connection, &request),
        };
        let properties = request.properties.as_ref();
        let address = properties.and_then(|properties| properties.reply_to.clone());
        if let Some(answer) = answer {
            connection.reply(node, &address.unwrap_or_default(), answer.to(&request));
        }
    }
    // The client has left, with or without a word.
    let _ = link.close().await;
}

/// Sends the answers of a node until the link ends.
pub(crate) async fn forward(mut answers: UnboundedReceiver<AmqpMessage>, mut link: Sender) {
    loop {
        tokio::select! {
            answer = answers.recv() => {
                let Some(answer) = answer else { break };
                let answer = Sendable::builder().message(answer).settled(true).build();
                if link.send_batchable(answer).await.is_err() {
                    break;
                }
            }
            _ = link.on_detach() => break,
        }
    }
    // The client has left, with or without a word.
    let _ = link.close().await;
}

/// An answer: what is said of the request, and what was asked for.
struct Answer {
    status: i32,
    description: String,
    body: Value,
}

impl Answer {
    fn status(status: i32, description: impl Into<String>) -> Self {
        Self { status, description: description.into(), body: Value::Null }
    }

    fn to(self, request: &AmqpMessage) -> AmqpMessage {
        let condition = match self.status {
            401 => Some(Condition::UNAUTHORIZED),
            404 => Some(Condition::NOT_FOUND),
            503 => Some(Condition::SERVER_BUSY),
            _ => None,
        };
        let mut properties = OrderedMap::new();
        properties.insert("status-code".into(), SimpleValue::Int(self.status));
        properties.insert("status-description".into(), SimpleValue::String(self.description));
        if let Some(condition) = condition {
            let condition = SimpleValue::Symbol(Symbol::from(condition.name()));
            properties.insert("error-condition".into(), condition);
        }
        let id = request.properties.as_ref().and_then(|properties| properties.message_id.clone());
        let mut answer: AmqpMessage =
            Message::builder().body(Body::Value(AmqpValue(self.body))).build();
        answer.properties = Some(Properties {
            correlation_id: Some(id.unwrap_or(MessageId::Ulong(0))),
            ..Properties::default()
        });
        answer.application_properties = Some(ApplicationProperties(properties));
        answer
    }
}

/// An application property of a request, as text.
fn argument(request: &AmqpMessage, name: &str) -> String {
    let properties = request.application_properties.as_ref();
    match properties.and_then(|properties| properties.0.get(name)) {
        Some(SimpleValue::String(text)) => text.clone(),
        Some(SimpleValue::Symbol(text)) => text.0.clone(),
        _ => String::new(),
    }
}

fn put_token(broker: &Broker, connection: &Connection, request: &AmqpMessage) -> Option<Answer> {
    broker.count(|counts| counts.tokens += 1);
    let answer = match broker.strike(|faults| faults.token.strike()) {
        Some(TokenFault::NoAnswer) => None,
        Some(TokenFault::Status(status)) => Some(Answer::status(status, "a fault of a test")),
        None => Some(check_token(broker, connection, request)),
    };
    if answer.as_ref().is_none_or(|answer| answer.status >= 300) {
        broker.count(|counts| counts.refused_tokens += 1);
    }
    answer
}

fn check_token(broker: &Broker, connection: &Connection, request: &AmqpMessage) -> Answer {
    let text = match &request.body {
        Body::Value(AmqpValue(Value::String(text))) => text.clone(),
        Body::Value(AmqpValue(Value::Binary(bytes))) => String::from_utf8_lossy(bytes).into_owned(),
        _ => return Answer::status(400, "the body is not a token"),
    };
    let operation = argument(request, "operation");
    if operation != "put-token" {
        return Answer::status(400, format!("the operation `{operation}` is not supported"));
    }
    let (kind, audience) = (argument(request, "type"), argument(request, "name"));
    match token::check(&kind, &text, &audience, &broker.policies) {
        Ok(grant) => {
            connection.grant(grant);
            Answer::status(202, "Accepted")
        }
        Err(reason) => Answer::status(401, reason),
    }
}

fn read(broker: &Broker, connection: &Connection, request: &AmqpMessage) -> Option<Answer> {
    broker.count(|counts| counts.questions += 1);
    match broker.strike(|faults| faults.management.strike()) {
        Some(ManagementFault::NoAnswer) => return None,
        Some(ManagementFault::Status(status)) => {
            return Some(Answer::status(status, "a fault of a test"));
        }
        None => {}
    }
    let name = argument(request, "name");
    let Some(hub) = broker.hub(&name) else {
        return Some(Answer::status(404, format!("the hub `{name}` could not be found")));
    };
    if !may_ask(broker, connection, request, &name) {
        return Some(Answer::status(401, "Unauthorized access. 'Listen' claim(s) are required."));
    }
    Some(match argument(request, "type").as_str() {
        "com.microsoft:eventhub" => hub_properties(hub),
        "com.microsoft:partition" => partition_properties(hub, &argument(request, "partition")),
        other => Answer::status(400, format!("the type `{other}` is not supported")),
    })
}

/// Whether a token allows questions about a hub: one that was put before, or one in the request.
fn may_ask(broker: &Broker, connection: &Connection, request: &AmqpMessage, hub: &str) -> bool {
    let text = argument(request, "security_token");
    let is_signature = text.starts_with("SharedAccessSignature ");
    let kind = if is_signature { "servicebus.windows.net:sastoken" } else { "jwt" };
    let with_request = token::check(kind, &text, hub, &broker.policies);
    with_request.is_ok_and(|grant| {
        includes(&grant.claims, Claim::Listen) || includes(&grant.claims, Claim::Send)
    }) || connection.allowed_until(hub, None).is_some()
}

/// What a management answer has of an entity.
fn entity(name: &Hub, kind: &str, fields: Vec<(&str, Value)>) -> Answer {
    let own =
        [("name", Value::String(name.name.clone())), ("type", Value::String(kind.to_owned()))];
    let fields = own.into_iter().chain(fields);
    let body = fields.map(|(name, value)| (Value::String(name.to_owned()), value)).collect();
    Answer { status: 200, description: "OK".into(), body: Value::Map(body) }
}

fn hub_properties(hub: &Hub) -> Answer {
    let created = Timestamp::from_milliseconds(clock::milliseconds(hub.created));
    let partitions = 0..hub.partitions.len();
    let ids = partitions.clone().map(|number| Value::String(number.to_string())).collect();
    entity(
        hub,
        "com.microsoft:eventhub",
        vec![
            ("created_at", Value::Timestamp(created)),
            ("partition_count", Value::Int(partitions.len() as i32)),
            ("partition_ids", Value::Array(Array(ids))),
            ("georeplication_factor", Value::Int(1)),
        ],
    )
}

fn partition_properties(hub: &Hub, name: &str) -> Answer {
    let Some(partition) = hub.partition(name).map(|number| &hub.partitions[number]) else {
        return Answer::status(404, format!("the partition `{name}` could not be found"));
    };
    let log = partition.log();
    let last = log.records.last();
    let first = log.records.first().map_or(log.next_sequence, |record| record.sequence);
    let enqueued = Timestamp::from_milliseconds(last.map_or(0, |record| record.enqueued_ms));
    let offset = last.map_or("-1".into(), |record| record.offset.to_string());
    entity(
        hub,
        "com.microsoft:partition",
        vec![
            ("partition", Value::String(name.to_owned())),
            ("begin_sequence_number", Value::Long(first)),
            ("last_enqueued_sequence_number", Value::Long(log.next_sequence - 1)),
            ("last_enqueued_offset", Value::String(offset)),
            ("last_enqueued_time_utc", Value::Timestamp(enqueued)),
            ("is_partition_empty", Value::Bool(last.is_none())),
            ("begin_sequence_number_epoch", Value::Long(0)),
            ("last_enqueued_sequence_number_epoch", Value::Long(0)),
        ],
    )
}
