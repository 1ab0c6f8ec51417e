//! What a client counts of itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

use super::parcels::Settled;

/// The figures of a client at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EventHubsStatistics {
    /// Events that the service has taken.
    pub events_sent_successfully: u64,
    /// Events that were refused, once for each time.
    pub events_failed: u64,
    /// Batches that the service has taken.
    pub batches_sent: u64,
    /// Bytes of the batches that it has taken.
    pub bytes_sent: u64,
    /// Connections that were made.
    pub connections: u64,
    /// Connections that could not be made, or were lost.
    pub connection_failures: u64,
}

#[derive(Debug, Default)]
pub(super) struct Figures {
    events_sent: AtomicU64,
    events_failed: AtomicU64,
    batches_sent: AtomicU64,
    bytes_sent: AtomicU64,
    connections: AtomicU64,
    connection_failures: AtomicU64,
}

impl Figures {
    pub(super) fn settle(&self, settled: &Settled) {
        let failed = settled.failed.len();
        self.events_sent.fetch_add((settled.decided - failed) as u64, Relaxed);
        self.events_failed.fetch_add(failed as u64, Relaxed);
        self.batches_sent.fetch_add(settled.batches, Relaxed);
        self.bytes_sent.fetch_add(settled.bytes, Relaxed);
    }

    pub(super) fn refuse(&self, events: usize) {
        self.events_failed.fetch_add(events as u64, Relaxed);
    }

    pub(super) fn connect(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    pub(super) fn lose_connection(&self) {
        self.connection_failures.fetch_add(1, Relaxed);
    }

    pub(super) fn bytes_sent(&self) -> u64 {
        self.bytes_sent.load(Relaxed)
    }

    pub(super) fn statistics(&self) -> EventHubsStatistics {
        EventHubsStatistics {
            events_sent_successfully: self.events_sent.load(Relaxed),
            events_failed: self.events_failed.load(Relaxed),
            batches_sent: self.batches_sent.load(Relaxed),
            bytes_sent: self.bytes_sent.load(Relaxed),
            connections: self.connections.load(Relaxed),
            connection_failures: self.connection_failures.load(Relaxed),
        }
    }
}
