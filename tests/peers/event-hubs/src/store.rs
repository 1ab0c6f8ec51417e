//! Hubs with their partitions, and what these hold.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use fe2o3_amqp_types::messaging::message::__private::Serializable;
use fe2o3_amqp_types::primitives::{Timestamp, Value};
use tokio::sync::Notify;

use crate::clock;
use crate::event::{AmqpMessage, Stored, annotate, body_of, id_text, key_of, properties_of};
use crate::readers::Readers;

/// A hub.
pub(crate) struct Hub {
    pub(crate) name: String,
    pub(crate) created: SystemTime,
    pub(crate) partitions: Vec<Partition>,
    groups: Vec<String>,
    /// The partition that the next send without a key goes to.
    next: AtomicUsize,
}

impl Hub {
    pub(crate) fn new(name: &str, partitions: usize, groups: Vec<String>) -> Self {
        Self {
            name: name.into(),
            created: clock::now(),
            partitions: (0..partitions).map(|_| Partition::default()).collect(),
            groups,
            next: AtomicUsize::new(0),
        }
    }

    /// The number of a partition that there is.
    pub(crate) fn partition(&self, name: &str) -> Option<usize> {
        name.parse().ok().filter(|number| *number < self.partitions.len())
    }

    pub(crate) fn has_group(&self, name: &str) -> bool {
        self.groups.iter().any(|group| group.eq_ignore_ascii_case(name))
    }

    /// One partition after the other, for sends without a key.
    pub(crate) fn next_partition(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed) % self.partitions.len()
    }

    /// Everything, in the order of partitions and sequences.
    pub(crate) fn stored(&self) -> Vec<Stored> {
        let mut stored = Vec::new();
        for (number, partition) in self.partitions.iter().enumerate() {
            stored.extend(partition.log().records.iter().map(|record| record.seen(number)));
        }
        stored
    }
}

/// A partition: a log, and those who read it.
#[derive(Default)]
pub(crate) struct Partition {
    log: Mutex<Log>,
    /// Tells receivers that the log has grown.
    pub(crate) grown: Notify,
    pub(crate) readers: Readers,
}

impl Partition {
    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets events before a sequence, as the service does with old ones.
    pub(crate) fn expire(&self, sequence: i64) {
        let mut log = self.log();
        let kept = log.index_of(sequence);
        log.records.drain(..kept);
    }

    /// Puts events at the end, all at once.
    pub(crate) fn append(&self, messages: impl IntoIterator<Item = (AmqpMessage, SystemTime)>) {
        let mut log = self.log();
        for (message, enqueued) in messages {
            log.push(message, enqueued);
        }
        drop(log);
        self.grown.notify_waiters();
    }
}

/// What a partition holds.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) records: Vec<Record>,
    pub(crate) next_sequence: i64,
    next_offset: i64,
}

impl Log {
    /// The index of the first record with this sequence or a later one.
    pub(crate) fn index_of(&self, sequence: i64) -> usize {
        self.records.partition_point(|record| record.sequence < sequence)
    }

    fn push(&mut self, message: AmqpMessage, enqueued: SystemTime) {
        let size = serde_amqp::serialized_size(&Serializable(&message)).unwrap_or(1);
        self.records.push(Record {
            sequence: self.next_sequence,
            offset: self.next_offset,
            enqueued_ms: clock::milliseconds(enqueued),
            message,
        });
        self.next_sequence += 1;
        self.next_offset += size as i64;
    }
}

/// An event in a partition.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) sequence: i64,
    pub(crate) offset: i64,
    pub(crate) enqueued_ms: i64,
    pub(crate) message: AmqpMessage,
}

impl Record {
    /// As a receiver gets it: with the annotations of the service.
    pub(crate) fn annotated(mut self) -> AmqpMessage {
        let enqueued = Timestamp::from_milliseconds(self.enqueued_ms);
        let message = &mut self.message;
        annotate(message, "x-opt-sequence-number", Value::Long(self.sequence));
        annotate(message, "x-opt-offset", Value::String(self.offset.to_string()));
        annotate(message, "x-opt-enqueued-time", Value::Timestamp(enqueued));
        self.message
    }

    /// As a test sees it.
    fn seen(&self, partition: usize) -> Stored {
        let properties = self.message.properties.as_ref();
        let content_type = properties.and_then(|properties| properties.content_type.as_ref());
        Stored {
            partition,
            sequence: self.sequence,
            offset: self.offset.to_string(),
            enqueued: clock::from_milliseconds(self.enqueued_ms),
            key: key_of(&self.message),
            body: body_of(&self.message),
            properties: properties_of(&self.message),
            content_type: content_type.map(|text| text.0.clone()),
            message_id: properties
                .and_then(|properties| properties.message_id.as_ref())
                .map(id_text),
            correlation_id: properties
                .and_then(|properties| properties.correlation_id.as_ref())
                .map(id_text),
        }
    }
}
