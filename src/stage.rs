//! The five kinds of stage. The kinds are closed, the components behind them are open: the graph
//! drives these traits and cannot tell a plugin from a built-in.
//!
//! Cores are synchronous and know neither streams nor clocks; only sources and sinks may wait.

mod hold;
mod rows;

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Clock;
use crate::dead_letter::Failures;
use crate::event::{Batch, Event, Ledger, Timestamp, TraceIds};
use crate::monitor::{FindingsBoard, StageMetrics};
use crate::problem::Problems;
use crate::script::{Premises, RuleFigures};

pub use crate::failure::Failure;
pub use crate::state::{State, StateError};
pub use hold::{Hold, Holds};
pub use rows::{Rows, Verdict};

/// A built stage of one of the five kinds.
pub enum Stage {
    /// Makes or reads events.
    Source(Box<dyn Source>),
    /// Changes or drops events one by one.
    Enricher(Box<dyn Enricher>),
    /// Derives events from several.
    Correlator(Box<dyn Correlator>),
    /// Groups events.
    Batcher(Box<dyn Batcher>),
    /// Hands events to the outside.
    Sink(Box<dyn Sink>),
}

/// Makes or reads events, once it is open.
#[async_trait]
pub trait Source: Send {
    /// Gets ready: opens, connects. With a state, it goes on where the feed that gave it was;
    /// without one it begins at the beginning.
    async fn open(
        self: Box<Self>,
        cx: SourceContext,
        state: Option<&State>,
    ) -> Result<Box<dyn Feed>, StageError>;

    /// Whether it can go back, and gives the same events with the same ids again from a state.
    /// Events that come only once get ids that no run before has given.
    fn replays(&self) -> bool {
        true
    }

    /// Whether it makes events of the contract, with the fields that each type has and no others.
    fn keeps_contract(&self) -> bool {
        false
    }

    /// Where it records what it measures itself.
    fn metrics(&self) -> Option<StageMetrics> {
        None
    }

    /// Connects and looks, for `engine validate --probe`: takes nothing. Says what is there.
    async fn probe(&mut self) -> Probe {
        Probe::Nothing
    }
}

/// An open source. It is asked only when downstream has room, and dropped between two batches to
/// stop it.
#[async_trait]
pub trait Feed: Send {
    /// The next batch, with its watermark and a token from the ledger; none at the end. An error
    /// ends the source and fails the run; what came before it is still delivered.
    ///
    /// Cancel safe: the graph drops the call while it waits, asks for the state, and calls again.
    async fn next(&mut self) -> Result<Option<Batch>, StageError>;

    /// What another feed needs to go on after the batch that this one gave last: the same events
    /// again, with the same ids.
    fn state(&self) -> State;
}

/// What a source is given when it starts.
#[derive(Clone)]
pub struct SourceContext {
    /// The stage's name in the spec.
    pub stage: String,
    /// Paces generated events; wall time for events that have none.
    pub clock: Clock,
    /// The instant at which event time ends, if it does: a generator makes nothing at or after it.
    pub end: Option<Timestamp>,
    /// Issues the tokens.
    pub ledger: Ledger,
    /// Trace ids for events that have none.
    pub trace_ids: TraceIds,
    /// Takes input that is no event.
    pub failures: Failures,
    /// How many events a batch should hold at most.
    pub batch_events: usize,
    /// Keeps the run from ending before the source has done what comes after its last batch.
    pub holds: Holds,
}

#[cfg(test)]
impl SourceContext {
    /// A source by itself, without an end, that drops what it fails on.
    pub(crate) fn for_test(clock: Clock) -> Self {
        let account = crate::monitor::Account::new("source", crate::kind::Kind::Source, "test");
        let letters = crate::dead_letter::DeadLetters::off();
        Self {
            stage: "source".to_owned(),
            clock,
            end: None,
            ledger: Ledger::new(),
            trace_ids: TraceIds::new(42, 0),
            failures: Failures::new(account.into(), letters, crate::control::Control::new()),
            batch_events: 256,
            holds: Holds::default(),
        }
    }
}

/// Changes events one by one, or drops them. Several instances may run beside each other.
pub trait Enricher: Send {
    /// Looks at each row; what is to go is marked with its verdict, never taken out in silence.
    fn enrich(&mut self, rows: &mut Rows<'_>);

    /// Gets ready: connects. Called once before the first batch, where it may block. Where it
    /// fails, the run does.
    fn open(&mut self) -> Result<(), StageError> {
        Ok(())
    }

    /// Finishes what is half done. Called once behind the last batch, where it may block. An
    /// instance of a run that is given up, or that cannot go on, is dropped without it.
    fn close(&mut self) -> Result<(), StageError> {
        Ok(())
    }

    /// Whether [`Enricher::enrich`] may block: then it is called where nobody waits for the thread.
    fn blocks(&self) -> bool {
        false
    }

    /// Where it records what it measures itself.
    fn metrics(&self) -> Option<StageMetrics> {
        None
    }

    /// Where it enters what it finds out about the events, if that is what it is for.
    fn findings(&self) -> Option<FindingsBoard> {
        None
    }

    /// Where it enters what its calls come to, if it is a rule.
    fn figures(&self) -> Option<RuleFigures> {
        None
    }

    /// Names of fields that it may add to payloads; none where it does not say.
    fn adds(&self) -> Option<BTreeSet<String>> {
        None
    }

    /// Tries itself out before a run, if it is a rule, and says what is wrong with it. An instance
    /// that was tried out does nothing else.
    fn try_out(&mut self, premises: &Premises<'_>) -> Problems {
        let _ = premises;
        Problems::default()
    }
}

/// Derives events from several, with keyed state and timers in event time.
///
/// Events come in the order of their times. Before an event at `t`, timers due before `t` have
/// fired; an event at the very instant of a timer is seen first.
pub trait Correlator: Send {
    /// Sees an event, or fails on it: then the event becomes a dead letter, and what was emitted
    /// for it is dropped.
    fn observe(&mut self, event: &Event, out: &mut Output) -> Result<(), Failure>;

    /// When the next timer is due.
    fn next_timer(&self) -> Option<Timestamp>;

    /// Fires all timers due at or before `until`, in the order of their times. Behind each batch it
    /// is called once with nothing due, to say how far the time is: nothing that is not after
    /// `until` comes any more, but for what is late.
    fn advance(&mut self, until: Timestamp, out: &mut Output);

    /// Sees the end of the stream; timers that are still open will not fire, and are returned as a
    /// count.
    fn drain(&mut self, end: Timestamp, out: &mut Output) -> u64;

    /// All that it remembers: keyed state, open timers, the count of its ids.
    fn state(&self) -> State;

    /// Goes on from what another instance with the same settings remembered.
    fn restore(&mut self, state: &State) -> Result<(), StateError>;

    /// Gets ready: connects. Called once before the first batch, after [`Correlator::restore`],
    /// where it may block. Where it fails, the run does.
    fn open(&mut self) -> Result<(), StageError> {
        Ok(())
    }

    /// Finishes what is half done. Called once at the end, after the last [`Correlator::state`],
    /// where it may block. An instance of a run that is given up, or that cannot go on, is dropped
    /// without it.
    fn close(&mut self) -> Result<(), StageError> {
        Ok(())
    }

    /// Whether its calls may block: then they are made where nobody waits for the thread.
    fn blocks(&self) -> bool {
        false
    }

    /// Where it records what it measures itself.
    fn metrics(&self) -> Option<StageMetrics> {
        None
    }

    /// A batch is through: what was counted event by event can be entered where others see it.
    fn end_batch(&mut self) {}

    /// Where it enters what its calls come to, if it is a rule.
    fn figures(&self) -> Option<RuleFigures> {
        None
    }

    /// Types and fields of the events that it derives; none where it does not say.
    fn adds(&self) -> Option<BTreeSet<String>> {
        None
    }

    /// Tries itself out before a run, if it is a rule, and says what is wrong with it. An instance
    /// that was tried out does nothing else.
    fn try_out(&mut self, premises: &Premises<'_>) -> Problems {
        let _ = premises;
        Problems::default()
    }

    /// Whether events pass through, or only what is derived from them.
    fn passes_through(&self) -> bool {
        true
    }
}

/// What a correlator says: derived events, and failures that belong to no single event.
#[derive(Debug, Default)]
pub struct Output {
    /// Derived events, in order; made with [`Event::caused_by`] while an event is observed, so
    /// that they share its token.
    pub events: Vec<Event>,
    /// What went wrong in a timer or at the end.
    pub failures: Vec<Failure>,
    /// The event that is observed goes no further, and is counted as filtered.
    pub drops: bool,
    /// The event that is observed came too late for what it would have been part of.
    pub late: bool,
    /// The correlator cannot go on at all: the run fails, what was emitted in this call is dropped,
    /// and what was not passed on yet is not acknowledged.
    pub broken: Option<StageError>,
}

/// Decides where one batch ends and the next begins; the graph holds the events. Its time is wall
/// time in a paced run and event time at full speed; the graph tells it which.
pub trait Batcher: Send {
    /// Whether the open batch has to go before this event, which would make it too large.
    fn goes_before(&mut self, event: &Event) -> bool;

    /// Adds an event to the open batch, and may set its partition key. Says whether the batch is
    /// complete with it.
    fn push(&mut self, event: &mut Event, now: Timestamp) -> bool;

    /// When the open batch has to go, complete or not; none while it is empty.
    fn deadline(&self) -> Option<Timestamp>;

    /// The open batch went out; the next one is empty.
    fn reset(&mut self);
}

/// Hands events to the outside. Retry, breaker, buffer and dead letters are the delivery's work.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Gets ready: opens, connects. Called once before the first write.
    async fn open(&self) -> Result<(), StageError> {
        Ok(())
    }

    /// Whether the receiver is there, for a sink that can be open without it: connects and looks, and
    /// hands nothing over. Called after [`Sink::open`] and beside writes, again and again until it
    /// finds the receiver or a write got through; may be dropped half way. A sink that connects in
    /// `open`, or to nothing, leaves it out.
    async fn reach(&self) -> Result<(), StageError> {
        Ok(())
    }

    /// Writes a batch and says what became of it. A batch that is reported as delivered is with
    /// the receiver. A sink that makes several requests of a batch returns [`Outcome::Partly`]
    /// after each, so that the time of an attempt bounds one request, and none that was answered
    /// is made again.
    async fn write(&self, batch: &Batch) -> Outcome;

    /// Finishes what is half done. Called once after the last write.
    async fn close(&self) -> Result<(), StageError> {
        Ok(())
    }

    /// Called in place of [`Sink::close`] when the run has failed: finishes what can be, and makes
    /// nothing incomplete look complete.
    async fn abandon(&self) -> Result<(), StageError> {
        self.close().await
    }

    /// Whether a default batcher should stand before it: yes for the network, no for local sinks.
    fn wants_batches(&self) -> bool {
        false
    }

    /// Whether a write that takes too long may be dropped half way and made again. Not where it
    /// would go on all the same, or leave half of an event behind, as in a file.
    fn times_out(&self) -> bool {
        true
    }

    /// Hears, before it is opened, how long an attempt may take: for a sink that does not time out
    /// as a whole, and bounds by itself what can be given up of it.
    fn set_timeout(&mut self, _timeout: Duration) {}

    /// What decides which of the delivery's lanes an event takes: those of one number take the same
    /// one, and keep their order. Where no event of a batch has one, the batch is left whole.
    fn lane_key(&self, event: &Event) -> Option<u32> {
        let key = event.partition_key.as_ref()?;
        Some(key.with_str(|key| crc32fast::hash(key.as_bytes())))
    }

    /// The partition of the receiver that it puts an event into, where there are some and it knows.
    fn partition(&self, _event: &Event) -> Option<u32> {
        None
    }

    /// How many bytes it has handed over so far, where it knows.
    fn bytes_sent(&self) -> u64 {
        0
    }

    /// Where it records what it measures itself.
    fn metrics(&self) -> Option<StageMetrics> {
        None
    }

    /// Connects and looks, for `engine validate --probe`: hands nothing over. Says what is there.
    async fn probe(&self) -> Probe {
        Probe::Nothing
    }
}

/// What there is to be found where a stage connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It does not connect to anything, or there is no way to look without handing something over.
    Nothing,
    /// It is there, and this is what it is.
    Found(String),
    /// It is not, or it does not let us in.
    Missing(String),
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is with the receiver.
    Delivered,
    /// All of it but these, by their place in the batch (ascending).
    Except(Vec<(usize, Refusal)>),
    /// The fate of the first `decided` is known, at least one: they are with the receiver but for
    /// these, none of which is to be sent again. What is behind them was not sent yet; it is
    /// written next, and nothing has failed.
    Partly {
        /// How many, from the first.
        decided: usize,
        /// Those that were not taken, by their place in the batch (ascending).
        failed: Vec<(usize, Refusal)>,
    },
    /// Nothing of it, as far as is known.
    Refused(Refusal),
    /// Nothing can be written any more: the receiver is gone, as a closed pipe is. The run ends
    /// without an error.
    Closed,
}

/// Why events were not taken, and whether to send them again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What the receiver said.
    pub failure: Failure,
    /// Whether they may be taken another time.
    pub retry: Retry,
}

/// Whether events that were not taken may be taken another time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// They will never be taken.
    Never,
    /// They may be, whenever the delivery sends them again.
    Later,
    /// They may be, but not before this much time is over: the receiver's own hint.
    After(Duration),
}

impl Refusal {
    /// The receiver will never take them.
    pub fn permanent(category: &'static str, reason: impl Into<String>) -> Self {
        Self { failure: Failure::new(category, reason), retry: Retry::Never }
    }

    /// The receiver may take them another time.
    pub fn transient(category: &'static str, reason: impl Into<String>) -> Self {
        Self { failure: Failure::new(category, reason), retry: Retry::Later }
    }

    /// The same, but not before this much time is over.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.retry = Retry::After(wait);
        self
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.failure.reason)
    }
}

impl std::error::Error for Refusal {}

/// Why a stage cannot go on at all. It fails the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageError(pub String);

impl std::fmt::Display for StageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StageError {}

/// A source opens where it was, or fails the run.
impl From<StateError> for StageError {
    fn from(error: StateError) -> Self {
        Self(format!("cannot go on from its state: {error}; `--reset-state` begins anew"))
    }
}
