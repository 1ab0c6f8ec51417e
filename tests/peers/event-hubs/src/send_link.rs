//! A link on which a client sends events.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use fe2o3_amqp::link::Receiver;
use fe2o3_amqp::link::delivery::{Delivery, DeliveryInfo};
use fe2o3_amqp_types::definitions::Error;
use fe2o3_amqp_types::messaging::message::__private::{Deserializable, Serializable};
use fe2o3_amqp_types::messaging::{Body, Message, Modified};
use fe2o3_amqp_types::primitives::Value;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use crate::broker::{Broker, Entry};
use crate::claim::Claim;
use crate::clock;
use crate::condition::Condition;
use crate::connection::Connection;
use crate::event::{AmqpMessage, key_of};
use crate::fault::SendFault;
use crate::partition_key::partition_of;
use crate::session::unauthorized;
use crate::store::Hub;

/// The format of messages that are batches: each data section is an encoded event.
const BATCH_FORMAT: u32 = 0x8001_3700;

/// Where the events of a link go.
pub(crate) struct Inlet {
    pub(crate) broker: Arc<Broker>,
    pub(crate) connection: Arc<Connection>,
    pub(crate) hub: Arc<Hub>,
    /// The partition that the link is for; the key decides if there is none, or it is their turn.
    pub(crate) partition: Option<usize>,
    pub(crate) path: String,
    #[expect(dead_code, reason = "the link counts as open for as long as this is there")]
    pub(crate) entry: Entry,
    pub(crate) ended: UnboundedReceiver<Error>,
}

/// What a message is settled with.
enum Outcome {
    Accepted,
    Rejected(Error),
    Released,
    Modified,
}

/// What follows from a message.
enum Step {
    /// It is settled after so long.
    Settle(Outcome, Duration),
    /// It is not settled.
    Nothing,
    /// The link ends.
    End(Error),
}

/// Takes what comes on the link until it ends.
pub(crate) async fn serve(mut inlet: Inlet, mut link: Receiver) {
    let connection = Arc::clone(&inlet.connection);
    let path = inlet.path.clone();
    let not_allowed = connection.allowance_ends(&path, Claim::Send);
    tokio::pin!(not_allowed);
    let mut waiting: VecDeque<(Instant, DeliveryInfo, Outcome)> = VecDeque::new();
    let error = loop {
        let due = waiting.front().map(|(due, _, _)| *due);
        tokio::select! {
            biased;
            Some(error) = inlet.ended.recv() => break Some(error),
            () = &mut not_allowed => break Some(unauthorized(&path, Claim::Send)),
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                if let Some((_, delivery, outcome)) = waiting.pop_front() {
                    inlet.settle(&link, delivery, outcome).await;
                }
            }
            delivery = link.recv::<Body<Value>>() => {
                let Ok(delivery) = delivery else { break None };
                match inlet.take(&delivery) {
                    Step::Settle(outcome, Duration::ZERO) => {
                        inlet.settle(&link, delivery.into(), outcome).await;
                    }
                    Step::Settle(outcome, wait) => {
                        let due = Instant::now() + wait;
                        let place = waiting.partition_point(|(other, _, _)| *other <= due);
                        waiting.insert(place, (due, delivery.into(), outcome));
                    }
                    Step::Nothing => {}
                    Step::End(error) => break Some(error),
                }
            }
        }
    };
    // It counts as closed from here on: an idle client may answer late.
    drop(inlet);
    // The client may have left, with or without a word.
    let _ = match error {
        Some(error) => link.close_with_error(error).await,
        None => link.close().await,
    };
}

impl Inlet {
    async fn settle(&self, link: &Receiver, delivery: DeliveryInfo, outcome: Outcome) {
        self.broker.count(|counts| match outcome {
            Outcome::Accepted => counts.accepted += 1,
            _ => counts.not_accepted += 1,
        });
        // If the link is gone, so is whoever waits for it.
        let _ = match outcome {
            Outcome::Accepted => link.accept(delivery).await,
            Outcome::Rejected(error) => link.reject(delivery, error).await,
            Outcome::Released => link.release(delivery).await,
            Outcome::Modified => {
                let modified = Modified {
                    delivery_failed: Some(true),
                    undeliverable_here: None,
                    message_annotations: None,
                };
                link.modify(delivery, modified).await
            }
        };
    }

    /// Takes a message, or lets it come to grief.
    fn take(&self, delivery: &Delivery<Body<Value>>) -> Step {
        self.broker.count(|counts| counts.transfers += 1);
        let wait = self.broker.settle_after();
        let message = delivery.message();
        let size = size_of(message);
        if size > self.broker.message_bytes_max {
            let error = Condition::TOO_LARGE.error(format!(
                "The received message (delivery-id:{}, size:{size} bytes) exceeds the limit ({} \
                 bytes) currently allowed on the link.",
                delivery.delivery_id(),
                self.broker.message_bytes_max
            ));
            return Step::Settle(Outcome::Rejected(error), wait);
        }
        let store = || self.store(delivery.message_format().unwrap_or(0), message);
        let fault = self.broker.faults().send.strike();
        let Some(fault) = fault else { return settled(store(), wait) };
        let step = self.strike(&fault, store, wait);
        // Whoever waits for the fault finds done what it does.
        self.broker.count(|counts| counts.faults += 1);
        step
    }

    fn strike(
        &self,
        fault: &SendFault,
        store: impl Fn() -> Result<(), Error>,
        wait: Duration,
    ) -> Step {
        let stored = match fault {
            SendFault::Cut { stored }
            | SendFault::Stall { stored }
            | SendFault::NeverSettle { stored }
            | SendFault::Detach { stored, .. }
            | SendFault::Close { stored, .. } => *stored,
            SendFault::Reject(_) | SendFault::Released | SendFault::Modified => false,
            SendFault::Duplicate | SendFault::Slow(_) => true,
        };
        if stored && let Err(error) = store() {
            return Step::Settle(Outcome::Rejected(error), wait);
        }
        let because = |condition: &Condition| condition.error("a fault that a test has set");
        match fault {
            SendFault::Cut { .. } => self.connection.switch.cut(),
            SendFault::Stall { .. } => self.connection.switch.stall(),
            SendFault::NeverSettle { .. } => {}
            SendFault::Close { condition, .. } => self.connection.close(because(condition)),
            SendFault::Detach { condition, .. } => return Step::End(because(condition)),
            SendFault::Reject(condition) => {
                return Step::Settle(Outcome::Rejected(because(condition)), wait);
            }
            SendFault::Released => return Step::Settle(Outcome::Released, wait),
            SendFault::Modified => return Step::Settle(Outcome::Modified, wait),
            SendFault::Duplicate => return settled(store(), wait),
            SendFault::Slow(slow) => return Step::Settle(Outcome::Accepted, *slow),
        }
        Step::Nothing
    }

    /// Stores the events of a message in one partition.
    fn store(&self, format: u32, message: &AmqpMessage) -> Result<(), Error> {
        let is_batch = format == BATCH_FORMAT;
        if self.broker.only_counts() {
            let events = if is_batch { parts_of(message)?.len() } else { 1 };
            self.count(events, size_of(message));
            return Ok(());
        }
        let events = if is_batch {
            parts_of(message)?.into_iter().map(decoded).collect::<Result<_, _>>()?
        } else {
            vec![message.clone()]
        };
        // A batch says its key once; what is sent without a batch says it on the event.
        let key = key_of(message).or_else(|| events.first().and_then(key_of));
        let partition = match (self.partition, key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_of(&key, self.hub.partitions.len()),
            (None, None) => self.hub.next_partition(),
        };
        let (count, now) = (events.len(), clock::now());
        self.hub.partitions[partition].append(events.into_iter().map(|event| (event, now)));
        self.count(count, size_of(message));
        Ok(())
    }

    fn count(&self, events: usize, bytes: u64) {
        self.broker.count(|counts| {
            counts.events += events as u64;
            counts.bytes += bytes;
        });
    }
}

fn settled(stored: Result<(), Error>, wait: Duration) -> Step {
    match stored {
        Ok(()) => Step::Settle(Outcome::Accepted, wait),
        Err(error) => Step::Settle(Outcome::Rejected(error), wait),
    }
}

/// The encoded events of a batch.
fn parts_of(message: &AmqpMessage) -> Result<Vec<&[u8]>, Error> {
    match &message.body {
        Body::Data(parts) => Ok(parts.iter().map(|part| part.0.as_slice()).collect()),
        _ => Err(Condition::DECODE_ERROR.error("a batch has to be of data sections")),
    }
}

fn decoded(event: &[u8]) -> Result<AmqpMessage, Error> {
    serde_amqp::from_slice::<Deserializable<AmqpMessage>>(event)
        .map(|event| event.0)
        .map_err(|error| Condition::DECODE_ERROR.error(error.to_string()))
}

/// How many bytes a message has as it is encoded. Data sections are many and simple, so they are
/// counted without encoding them again.
fn size_of(message: &AmqpMessage) -> u64 {
    let Body::Data(parts) = &message.body else {
        return serde_amqp::serialized_size(&Serializable(message)).map_or(0, |size| size as u64);
    };
    let mut rest: AmqpMessage = Message::builder().body(Body::Data(Vec::new().into())).build();
    rest.header.clone_from(&message.header);
    rest.delivery_annotations.clone_from(&message.delivery_annotations);
    rest.message_annotations.clone_from(&message.message_annotations);
    rest.properties.clone_from(&message.properties);
    rest.application_properties.clone_from(&message.application_properties);
    rest.footer.clone_from(&message.footer);
    let rest = serde_amqp::serialized_size(&Serializable(&rest)).map_or(0, |size| size as u64);
    // The descriptor, the code, the length in one byte or four.
    let section = |bytes: usize| bytes as u64 + if bytes < 256 { 5 } else { 8 };
    rest + parts.iter().map(|part| section(part.0.len())).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use fe2o3_amqp_types::messaging::message::__private::Serializable;
    use fe2o3_amqp_types::messaging::{Body, Data, Message};

    use super::{AmqpMessage, size_of};
    use crate::event::NewEvent;

    #[test]
    fn size_of_a_message_is_what_it_takes_encoded() {
        let parts = [10, 254, 256, 100_000].map(|length| Data(vec![7; length].into())).to_vec();
        let batch: AmqpMessage = Message::builder().body(Body::Data(parts.into())).build();
        let event = NewEvent::new("body").key("a key").property("n", 5).into_message();
        for message in [batch, event] {
            let encoded = serde_amqp::to_vec(&Serializable(&message)).unwrap();
            assert_eq!(size_of(&message), encoded.len() as u64);
        }
    }
}
