//! A link on which a client receives the events of a partition.

use std::ops::ControlFlow;
use std::sync::Arc;

use fe2o3_amqp::link::Sender;
use fe2o3_amqp::link::delivery::Sendable;
use fe2o3_amqp_types::definitions::Error;
use fe2o3_amqp_types::performatives::Attach;
use fe2o3_amqp_types::primitives::{Symbol, Value};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::broker::{Broker, Entry};
use crate::claim::Claim;
use crate::condition::Condition;
use crate::connection::Connection;
use crate::fault::ReceiveFault;
use crate::readers::Reader;
use crate::selector::Start;
use crate::session::unauthorized;
use crate::store::{Hub, Partition, Record};

/// Where the events of a link come from.
pub(crate) struct Outlet {
    broker: Arc<Broker>,
    connection: Arc<Connection>,
    hub: Arc<Hub>,
    partition: usize,
    path: String,
    /// The sequence of the next event; the first one behind it, if it is gone.
    next: i64,
    entry: Entry,
    ended: UnboundedReceiver<Error>,
}

impl Outlet {
    /// Lets a receiver in, or says why not. It starts from the events that are there now.
    pub(crate) fn open(
        broker: &Arc<Broker>,
        connection: &Arc<Connection>,
        hub: Arc<Hub>,
        partition: usize,
        group: String,
        path: String,
        attach: &Attach,
    ) -> Result<Self, Error> {
        let start = match filter_of(attach) {
            Some(filter) => {
                Start::read(&filter).map_err(|reason| Condition::ARGUMENT_ERROR.error(reason))?
            }
            None => Start::Earliest,
        };
        // What comes once the receiver is counted, it gets.
        let next = {
            let log = hub.partitions[partition].log();
            let first = log.records.get(start.index(&log.records));
            first.map_or(log.next_sequence, |record| record.sequence)
        };
        let (entry, ended) = broker.enter_link(|open| &mut open.receivers);
        if let Some(end) = broker.end_of(&entry) {
            let reader = Reader { link: entry.number, group, epoch: epoch_of(attach), end };
            hub.partitions[partition].readers.enter(reader)?;
        }
        let (broker, connection) = (Arc::clone(broker), Arc::clone(connection));
        Ok(Self { broker, connection, hub, partition, path, next, entry, ended })
    }

    fn partition(&self) -> &Partition {
        &self.hub.partitions[self.partition]
    }

    fn next_record(&self) -> Option<Record> {
        let log = self.partition().log();
        log.records.get(log.index_of(self.next)).cloned()
    }

    /// Lets something happen instead of the next event. Breaks if the link ends.
    fn strike(&self) -> ControlFlow<Error> {
        let Some(fault) = self.broker.strike(|faults| faults.receive.strike()) else {
            return ControlFlow::Continue(());
        };
        let because = |condition: &Condition| condition.error("a fault that a test has set");
        match &fault {
            ReceiveFault::Cut => self.connection.switch.cut(),
            ReceiveFault::Stall => self.connection.switch.stall(),
            ReceiveFault::Close(condition) => self.connection.close(because(condition)),
            ReceiveFault::Detach(condition) => return ControlFlow::Break(because(condition)),
        }
        ControlFlow::Continue(())
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.partition().readers.leave(self.entry.number);
    }
}

/// Sends events as they come, as far as the client gives credit, until the link ends.
pub(crate) async fn serve(mut outlet: Outlet, mut link: Sender) {
    let (connection, path) = (Arc::clone(&outlet.connection), outlet.path.clone());
    let not_allowed = connection.allowance_ends(&path, Claim::Listen);
    tokio::pin!(not_allowed);
    let hub = Arc::clone(&outlet.hub);
    let partition = &hub.partitions[outlet.partition];
    let error = loop {
        let grown = partition.grown.notified();
        tokio::pin!(grown);
        grown.as_mut().enable();
        let record = outlet.next_record();
        if record.is_some()
            && let ControlFlow::Break(error) = outlet.strike()
        {
            break Some(error);
        }
        let step = async {
            if let Some(record) = record {
                let sequence = record.sequence;
                return send(&mut link, record).await.map(|()| Some(sequence));
            }
            tokio::select! {
                () = grown => Ok(None),
                _ = link.on_detach() => Err(()),
            }
        };
        tokio::select! {
            biased;
            Some(error) = outlet.ended.recv() => break Some(error),
            () = &mut not_allowed => break Some(unauthorized(&path, Claim::Listen)),
            sent = step => {
                let Ok(sent) = sent else { break None };
                if let Some(sequence) = sent {
                    outlet.next = sequence + 1;
                    outlet.broker.count(|counts| counts.delivered += 1);
                }
            }
        }
    };
    // It counts as closed from here on: an idle client may answer late.
    drop(outlet);
    // The client may have left, with or without a word.
    let _ = match error {
        Some(error) => link.close_with_error(error).await,
        None => link.close().await,
    };
}

/// Sends an event as soon as there is credit. Clients read transfers that are said to be batchable
/// with all their fields.
async fn send(link: &mut Sender, record: Record) -> Result<(), ()> {
    let message = Sendable::builder().message(record.annotated()).settled(true).build();
    link.send_batchable(message).await.map(drop).map_err(drop)
}

/// The selector, if the client has one.
fn filter_of(attach: &Attach) -> Option<String> {
    let filters = attach.source.as_ref()?.filter.as_ref()?;
    let (_, filter) = filters.iter().find(|(name, _)| name.0.contains("selector"))?;
    let filter = match filter {
        Value::Described(described) => &described.value,
        other => other,
    };
    match filter {
        Value::String(text) => Some(text.clone()),
        Value::Binary(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    }
}

/// The epoch, or owner level, if the client has one.
fn epoch_of(attach: &Attach) -> Option<i64> {
    match attach.properties.as_ref()?.get(&Symbol::from("com.microsoft:epoch"))? {
        Value::Long(epoch) => Some(*epoch),
        Value::Int(epoch) => Some((*epoch).into()),
        _ => None,
    }
}
