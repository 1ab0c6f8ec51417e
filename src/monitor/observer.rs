//! Whoever wants to know what happens in a run while it does: hooks, the audit log, the live page.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::hook::{Hook, HookFigures, Hooked};
use crate::event::{Batch, Event};
use crate::failure::Failure;
use crate::kind::Kind;

/// Sees what happens in a run. It is called in the stages' own tasks, so it takes not long, does not
/// panic, and waits, if it has to, [with the others going on](waiting).
pub trait Observer: Send + Sync {
    /// A source has given out a batch.
    fn generated(&self, source: &str, batch: &Batch) {
        let _ = (source, batch);
    }

    /// These events are with a sink's receiver.
    fn delivered(&self, sink: &str, events: &Batch) {
        let _ = (sink, events);
    }

    /// A sink has tried to hand over a batch.
    fn attempted(&self, attempt: &Attempt<'_>) {
        let _ = attempt;
    }

    /// Something went wrong.
    fn failed(&self, incident: &Incident<'_>) {
        let _ = incident;
    }

    /// The run has ended, and nothing comes any more. It is called outside of the stages, once, and
    /// may wait for what is on its way.
    fn ended(&self) {}
}

/// All of a run's observers, and what the calls of those that are hooks come to.
#[derive(Clone, Default)]
pub struct Observers {
    all: Vec<Arc<dyn Observer>>,
    /// What the calls of hooks come to.
    pub hooks: HookFigures,
}

impl Observers {
    /// Adds one.
    pub fn push(&mut self, observer: Arc<dyn Observer>) {
        self.all.push(observer);
    }

    /// Adds a hook: what fails in it stays in it.
    pub fn push_hook(&mut self, hook: impl Hook + 'static) {
        let figures = self.hooks.clone();
        self.push(Arc::new(Hooked { hook, figures }));
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Observer> {
        self.all.iter().map(AsRef::as_ref)
    }
}

/// Waits in the task of a stage, while the other tasks of this thread go on elsewhere if they can.
pub fn waiting<R>(wait: impl FnOnce() -> R) -> R {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
        _ => wait(),
    }
}

/// One attempt of a sink to hand over a batch.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The sink.
    pub sink: &'a str,
    /// Which of its lanes, from 0.
    pub lane: usize,
    /// The number of the batch in a buffer on disk, which its attempts share; 0 in memory.
    pub batch: u64,
    /// The first attempt at these events is 1.
    pub attempt: u32,
    /// The batch.
    pub events: &'a Batch,
    /// How many of its events were tried, from the first; the others come next.
    pub tried: usize,
    /// How many of the events are with the receiver now.
    pub delivered: usize,
    /// How many are never going to be.
    pub rejected: usize,
    /// The first failure, if not all were delivered.
    pub failure: Option<&'a Failure>,
    /// Where the sink puts events.
    pub partition_of: PartitionOf<'a>,
}

/// Tells the partition of an event, where a sink has some and knows.
#[derive(Clone, Copy)]
pub struct PartitionOf<'a>(pub &'a (dyn Fn(&Event) -> Option<u32> + Sync));

impl std::fmt::Debug for PartitionOf<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PartitionOf")
    }
}

/// Something that went wrong.
#[derive(Clone, Copy, Debug)]
pub struct Incident<'a> {
    /// The stage in which it did.
    pub stage: &'a str,
    /// The stage's kind.
    pub kind: Kind,
    /// What happened: a category for counting, a reason for reading.
    pub category: &'a str,
    /// For reading.
    pub reason: &'a str,
    /// The event that it happened to; of several the first, and none where it belongs to none.
    pub event: Option<&'a Event>,
    /// What comes of it.
    pub fate: Fate,
}

/// What comes of something that went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// The event is a dead letter.
    DeadLetter,
    /// The event is lost, and counted.
    Dropped,
    /// It is tried again.
    Retried,
    /// No event is affected.
    Noted,
    /// The stage, and with it the run, has failed.
    StageFailed,
}

impl Fate {
    /// Its name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::DeadLetter => "dead_letter",
            Self::Dropped => "dropped",
            Self::Retried => "retried",
            Self::Noted => "noted",
            Self::StageFailed => "stage_failed",
        }
    }
}
