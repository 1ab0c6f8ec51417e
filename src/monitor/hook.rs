//! Hooks of a program's own: code that is called with what a run makes, delivers and fails on.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use schemars::JsonSchema;
use serde::Serialize;

use super::{Incident, MetricTally, Observer, StageMetrics};
use crate::event::{Batch, Event};

/// Code that is called while a pipeline runs, in the stages' own tasks: it neither waits nor takes
/// long. What it returns as an error, or panics with, is logged and counted, and the run goes on.
///
/// ```
/// use engine::event::{Event, TOTAL, Value};
/// use engine::monitor::Hook;
///
/// struct HighValue;
///
/// impl Hook for HighValue {
///     fn event_generated(&self, event: &Event) -> Result<(), String> {
///         let total = event.payload.get(TOTAL).and_then(Value::as_f64);
///         if total.is_some_and(|total| total > 100.0) {
///             println!("a high-value receipt: {}", event.trace_id);
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Hook: Send + Sync {
    /// A source made an event.
    fn event_generated(&self, event: &Event) -> Result<(), String> {
        let _ = event;
        Ok(())
    }

    /// A sink's receiver has these events.
    fn batch_sent(&self, sink: &str, events: &[Event]) -> Result<(), String> {
        let _ = (sink, events);
        Ok(())
    }

    /// Something went wrong.
    fn error(&self, incident: &Incident<'_>) -> Result<(), String> {
        let _ = incident;
        Ok(())
    }
}

/// What hooks are called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookKind {
    /// Events that sources make.
    EventGenerated,
    /// Batches that are delivered.
    BatchSent,
    /// What goes wrong.
    Error,
}

/// What the calls of hooks come to, and what hooks measure themselves; copies are the same figures.
#[derive(Clone, Debug, Default)]
pub struct HookFigures(Arc<Board>);

#[derive(Debug, Default)]
struct Board {
    counts: [Counts; 3],
    metrics: StageMetrics,
}

#[derive(Debug, Default)]
struct Counts {
    calls: AtomicU64,
    failed: AtomicU64,
    skipped: AtomicU64,
    was_said: AtomicBool,
}

/// The figures of one hook at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct HookTally {
    /// How often it was called.
    pub calls: u64,
    /// How many of the calls failed.
    pub failed: u64,
    /// How many events or batches it was not called for, since it was behind.
    pub skipped: u64,
}

impl HookKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::EventGenerated, Self::BatchSent, Self::Error];

    /// Its name, as in a spec.
    pub fn name(self) -> &'static str {
        match self {
            Self::EventGenerated => "event_generated",
            Self::BatchSent => "batch_sent",
            Self::Error => "error",
        }
    }
}

impl HookFigures {
    /// Enters calls.
    pub fn call(&self, hook: HookKind, calls: u64) {
        self.0.counts[hook as usize].calls.fetch_add(calls, Relaxed);
    }

    /// Enters a call that failed. The first of a hook is said aloud.
    pub fn fail(&self, hook: HookKind, error: &str) {
        let counts = &self.0.counts[hook as usize];
        counts.failed.fetch_add(1, Relaxed);
        let hook = hook.name();
        if counts.was_said.swap(true, Relaxed) {
            tracing::debug!(hook, "a hook failed: {error}");
        } else {
            tracing::warn!(hook, "a hook failed, and the run goes on: {error}");
        }
    }

    /// Enters what a hook that is behind was not called for.
    pub fn skip(&self, hook: HookKind, skipped: u64) {
        self.0.counts[hook as usize].skipped.fetch_add(skipped, Relaxed);
    }

    /// Where hooks record what they measure themselves.
    pub fn metrics(&self) -> &StageMetrics {
        &self.0.metrics
    }

    /// What hooks have measured themselves, by name.
    pub fn measured(&self) -> BTreeMap<String, MetricTally> {
        StageMetrics::tally(std::slice::from_ref(&self.0.metrics))
    }

    /// The figures now, of those that were called or skipped something.
    pub fn tally(&self) -> BTreeMap<&'static str, HookTally> {
        let tally = |hook: HookKind| {
            let counts = &self.0.counts[hook as usize];
            let (calls, failed) = (counts.calls.load(Relaxed), counts.failed.load(Relaxed));
            let tally = HookTally { calls, failed, skipped: counts.skipped.load(Relaxed) };
            (tally != HookTally::default()).then(|| (hook.name(), tally))
        };
        HookKind::ALL.into_iter().filter_map(tally).collect()
    }
}

/// A hook as an observer: what fails in it stays in it.
pub(super) struct Hooked<H> {
    pub(super) hook: H,
    pub(super) figures: HookFigures,
}

impl<H: Hook> Hooked<H> {
    fn call(&self, kind: HookKind, call: impl FnOnce(&H) -> Result<(), String>) {
        self.figures.call(kind, 1);
        let called = catch_unwind(AssertUnwindSafe(|| call(&self.hook)));
        let called = called.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<&str>().map(ToString::to_string);
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(format!("it panicked: {}", text.as_deref().unwrap_or("without a word")))
        });
        if let Err(error) = called {
            self.figures.fail(kind, &error);
        }
    }
}

impl<H: Hook> Observer for Hooked<H> {
    fn generated(&self, _: &str, batch: &Batch) {
        for event in batch.events() {
            self.call(HookKind::EventGenerated, |hook| hook.event_generated(event));
        }
    }

    fn delivered(&self, sink: &str, batch: &Batch) {
        self.call(HookKind::BatchSent, |hook| hook.batch_sent(sink, batch.events()));
    }

    fn failed(&self, incident: &Incident<'_>) {
        self.call(HookKind::Error, |hook| hook.error(incident));
    }
}
