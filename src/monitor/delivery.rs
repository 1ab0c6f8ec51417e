//! What the delivery in front of a sink says of itself: its attempts, its buffer, its breaker.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;

use crate::failure::Failure;

/// The state of a circuit breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Sending goes on.
    #[default]
    Closed,
    /// Nothing is sent for a while.
    Open,
    /// One attempt decides which of both it will be.
    HalfOpen,
}

/// Whether a sink has its receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Connection {
    /// It is being opened, or looks for its receiver.
    #[default]
    Connecting,
    /// It found its receiver, and the last attempt, if there was one, got through.
    Connected,
    /// It cannot be opened, has not found its receiver, or the last attempt did not get through.
    Failed,
}

/// The figures of one delivery, entered while it works.
#[derive(Debug, Default)]
pub struct DeliveryFigures {
    is_there: AtomicBool,
    has_connected: AtomicBool,
    connection: AtomicU8,
    /// Why it did not get through, the last time that it did not.
    missed: Mutex<Option<String>>,
    attempts_failed: AtomicU64,
    connection_failures: AtomicU64,
    retried_events: AtomicU64,
    breaker: AtomicU8,
    breaker_trips: AtomicU64,
    bytes_sent: AtomicU64,
    waiting_events: AtomicU64,
    waiting_bytes: AtomicU64,
    max_events: AtomicU64,
    max_bytes: AtomicU64,
    on_disk: AtomicU64,
}

/// The figures of a delivery at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct DeliveryTally {
    /// Whether the sink has its receiver.
    pub connection: Connection,
    /// Whether the sink has ever had its receiver, whatever became of the connection since.
    #[serde(skip)]
    pub has_connected: bool,
    /// Attempts of which nothing was delivered, and that are made again.
    pub attempts_failed: u64,
    /// Those of them that did not get through to the receiver.
    pub connection_failures: u64,
    /// Events that were sent again, once for each time.
    pub retried_events: u64,
    /// Whether sending goes on.
    pub circuit_breaker: BreakerState,
    /// How often the breaker opened.
    pub circuit_breaker_trips: u64,
    /// Bytes that were handed over, where the sink knows.
    pub bytes_sent: u64,
    /// Events in the buffer: those that wait, and those that are being sent.
    pub buffer_size: u64,
    /// About how many bytes they take up.
    pub buffer_bytes: u64,
    /// How many events the buffer holds at most.
    pub buffer_max_events: u64,
    /// How many bytes it holds at most.
    pub buffer_max_bytes: u64,
    /// Those events in the buffer that are on disk, and outlast the run.
    #[serde(skip)]
    pub buffered: u64,
}

impl DeliveryTally {
    /// How full the buffer is, 0 to 1, by the bound that is nearer.
    pub fn buffer_utilisation(&self) -> f64 {
        let part = |size: u64, max: u64| size as f64 / (max as f64).max(1.0);
        part(self.buffer_size, self.buffer_max_events)
            .max(part(self.buffer_bytes, self.buffer_max_bytes))
    }
}

impl DeliveryFigures {
    /// There is a delivery, with a buffer of this size.
    pub fn begin(&self, max_events: u64, max_bytes: u64) {
        self.max_events.store(max_events, Relaxed);
        self.max_bytes.store(max_bytes, Relaxed);
        self.is_there.store(true, Relaxed);
    }

    /// Enters that the receiver is there.
    pub fn connect(&self) {
        self.has_connected.store(true, Relaxed);
        self.connection.store(Connection::Connected as u8, Relaxed);
    }

    /// Enters that it is not, and why.
    pub fn miss(&self, why: &str) {
        *self.missed.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_owned());
        self.connection.store(Connection::Failed as u8, Relaxed);
    }

    /// Whether the receiver was ever there.
    pub fn has_connected(&self) -> bool {
        self.has_connected.load(Relaxed)
    }

    /// Why the receiver is not there, if it is not.
    pub fn missed(&self) -> Option<String> {
        if self.connection.load(Relaxed) != Connection::Failed as u8 {
            return None;
        }
        self.missed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Enters an attempt that failed and is made again.
    pub fn fail_attempt(&self, failure: &Failure) {
        self.attempts_failed.fetch_add(1, Relaxed);
        if failure.category == "connection" {
            self.connection_failures.fetch_add(1, Relaxed);
            self.miss(&failure.reason);
        }
    }

    /// Enters events that are sent again.
    pub fn retry(&self, events: usize) {
        self.retried_events.fetch_add(events as u64, Relaxed);
    }

    /// Enters what the breaker does.
    pub fn set_breaker(&self, state: BreakerState) {
        let before = self.breaker.swap(state as u8, Relaxed);
        if state == BreakerState::Open && before != state as u8 {
            self.breaker_trips.fetch_add(1, Relaxed);
        }
    }

    /// Enters how many bytes the sink has handed over so far.
    pub fn set_bytes_sent(&self, bytes: u64) {
        self.bytes_sent.store(bytes, Relaxed);
    }

    /// Enters what the buffer holds.
    pub fn set_waiting(&self, events: u64, bytes: u64) {
        self.waiting_events.store(events, Relaxed);
        self.waiting_bytes.store(bytes, Relaxed);
    }

    /// Enters events of the buffer that outlast the run.
    pub fn keep(&self, events: u64) {
        self.on_disk.fetch_add(events, Relaxed);
    }

    /// Enters events that no longer do: their fate is known.
    pub fn let_go(&self, events: u64) {
        self.on_disk.fetch_sub(events, Relaxed);
    }

    /// How many events wait.
    pub fn waiting(&self) -> u64 {
        self.waiting_events.load(Relaxed)
    }

    /// The figures now, where there is a delivery.
    pub fn tally(&self) -> Option<DeliveryTally> {
        self.is_there.load(Relaxed).then(|| DeliveryTally {
            connection: match self.connection.load(Relaxed) {
                0 => Connection::Connecting,
                1 => Connection::Connected,
                _ => Connection::Failed,
            },
            has_connected: self.has_connected(),
            attempts_failed: self.attempts_failed.load(Relaxed),
            connection_failures: self.connection_failures.load(Relaxed),
            retried_events: self.retried_events.load(Relaxed),
            circuit_breaker: match self.breaker.load(Relaxed) {
                0 => BreakerState::Closed,
                1 => BreakerState::Open,
                _ => BreakerState::HalfOpen,
            },
            circuit_breaker_trips: self.breaker_trips.load(Relaxed),
            bytes_sent: self.bytes_sent.load(Relaxed),
            buffer_size: self.waiting_events.load(Relaxed),
            buffer_bytes: self.waiting_bytes.load(Relaxed),
            buffer_max_events: self.max_events.load(Relaxed),
            buffer_max_bytes: self.max_bytes.load(Relaxed),
            buffered: self.on_disk.load(Relaxed),
        })
    }
}
