//! `delivery:`, the same block on every sink.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ChaosSettings, DeadLetterSettings, SpecDuration};

/// How events get to a sink: held in a buffer, sent, sent again, kept when that is no use.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeliverySettings {
    /// How often, and how far apart, events are sent that the receiver could not take.
    pub retry: RetrySettings,
    /// When sending is given up for a while.
    pub circuit_breaker: CircuitBreakerSettings,
    /// Where events wait for the receiver.
    pub buffer: BufferSettings,
    /// Where events go that the receiver refuses, in place of the pipeline's dead letters.
    pub dead_letter: Option<DeadLetterSettings>,
    /// How long one attempt may take; what it was to send is sent again then.
    pub timeout: SpecDuration,
    /// How many writes may be on their way at once. Events with one partition key go the same way,
    /// and keep their order.
    #[schemars(range(max = 1024))]
    pub lanes: NonZeroUsize,
    /// Faults on purpose, to rehearse failure with.
    pub chaos: Option<ChaosSettings>,
}

impl Default for DeliverySettings {
    fn default() -> Self {
        Self {
            retry: RetrySettings::default(),
            circuit_breaker: CircuitBreakerSettings::default(),
            buffer: BufferSettings::default(),
            dead_letter: None,
            timeout: SpecDuration(std::time::Duration::from_secs(30)),
            lanes: NonZeroUsize::MIN,
            chaos: None,
        }
    }
}

/// Attempts, and the time between them: it grows by a factor, up to a bound, and is jittered so
/// that many senders do not come back at once. A receiver's own hint goes before it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetrySettings {
    /// How often events are sent in all: with 3, two times again.
    pub attempts: NonZeroU32,
    /// The wait before the second attempt, in milliseconds.
    pub initial_backoff_ms: u64,
    /// By what each further wait is longer.
    #[schemars(range(min = 1.0, max = 1000.0))]
    pub backoff_multiplier: f64,
    /// The longest wait, in milliseconds.
    pub max_backoff_ms: u64,
    /// Whether each wait is a random part, at least half, of what it would be.
    pub jitter: bool,
    /// What becomes of events whose attempts are used up.
    pub on_exhausted: OnExhausted,
}

impl Default for RetrySettings {
    fn default() -> Self {
        const ATTEMPTS: NonZeroU32 = NonZeroU32::new(3).unwrap();
        Self {
            attempts: ATTEMPTS,
            initial_backoff_ms: 1000,
            backoff_multiplier: 2.0,
            max_backoff_ms: 30_000,
            jitter: true,
            on_exhausted: OnExhausted::Buffer,
        }
    }
}

/// What becomes of events whose attempts are used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnExhausted {
    /// They go back to the head of the buffer: an outage fills the buffer, and is waited for.
    #[default]
    Buffer,
    /// They become dead letters, and what is behind them goes on.
    DeadLetter,
}

/// Closed, sending goes on; open, after failures in a row, nothing is sent for a while; then one
/// attempt decides which of both it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CircuitBreakerSettings {
    /// Whether there is one.
    pub enabled: bool,
    /// How many attempts in a row have to fail for it to open.
    pub failure_threshold: NonZeroU32,
    /// How long it stays open before the one attempt, in milliseconds.
    pub recovery_timeout_ms: NonZeroU64,
}

impl Default for CircuitBreakerSettings {
    fn default() -> Self {
        const THRESHOLD: NonZeroU32 = NonZeroU32::new(5).unwrap();
        const RECOVERY: NonZeroU64 = NonZeroU64::new(60_000).unwrap();
        Self { enabled: true, failure_threshold: THRESHOLD, recovery_timeout_ms: RECOVERY }
    }
}

/// Where events wait for the receiver.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BufferSettings {
    /// What it is kept in.
    pub r#type: BufferType,
    /// The folder of a `disk` buffer, for this sink alone; `buffers/<pipeline>/<sink>` by default.
    /// Relative to the working directory.
    pub path: Option<PathBuf>,
    /// How many events it holds at most.
    pub max_events: NonZeroU64,
    /// How many bytes it holds at most: as JSON on disk, about as much in memory.
    pub max_bytes: NonZeroU64,
    /// What happens when it is full.
    pub when_full: WhenBufferFull,
    /// How long events may wait for their way to the disk itself, in milliseconds; what is on its
    /// way there is not acknowledged to the source. For a `disk` buffer only.
    pub sync_interval_ms: u64,
}

impl Default for BufferSettings {
    fn default() -> Self {
        const EVENTS: NonZeroU64 = NonZeroU64::new(10_000).unwrap();
        const BYTES: NonZeroU64 = NonZeroU64::new(256 << 20).unwrap();
        Self {
            r#type: BufferType::Memory,
            path: None,
            max_events: EVENTS,
            max_bytes: BYTES,
            when_full: WhenBufferFull::Block,
            sync_interval_ms: 50,
        }
    }
}

/// What a buffer is kept in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BufferType {
    /// In memory: gone when the process is, and read again from where the source can go back to.
    #[default]
    Memory,
    /// In files: there again after a crash.
    Disk,
}

/// What happens when a buffer is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenBufferFull {
    /// The source is held back.
    #[default]
    Block,
    /// What comes is dropped, and counted.
    DropNewest,
    /// What has waited longest is dropped, and counted.
    DropOldest,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_left_out_has_its_default() {
        let delivery = |value| serde_json::from_value::<DeliverySettings>(value).ok();
        assert_eq!(delivery(json!({})), Some(DeliverySettings::default()));
        let disk = delivery(json!({ "buffer": { "type": "disk" } })).unwrap();
        assert_eq!((disk.buffer.r#type, disk.buffer.max_events.get()), (BufferType::Disk, 10_000));
        assert_eq!(delivery(json!({ "retry": { "attempts": 0 } })), None);
    }
}
