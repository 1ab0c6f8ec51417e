//! The account of one stage: every event that comes in is entered once when it leaves.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustc_hash::FxBuildHasher;
use tokio::time::Instant;

use super::{
    DeliveryFigures, DeliveryTally, Fate, Findings, FindingsBoard, Incident, LatencyFigures,
    LatencyTally, MetricTally, Observer, Observers, StageMetrics,
};
use crate::event::{Batch, Event, Key, Timestamp};
use crate::failure::Failure;
use crate::kind::Kind;
use crate::script::{RuleFigures, RuleTally};

/// What has happened at one stage. Entries are made per batch; reading takes no part in the flow.
pub struct Account {
    /// The stage's name in the spec.
    pub stage: String,
    /// Its kind.
    pub kind: Kind,
    /// The component it is built from.
    pub component: String,
    /// What a sink's delivery says of itself.
    pub delivery: DeliveryFigures,
    /// How long delivered events took.
    latency: LatencyFigures,
    /// Who is told what happens.
    observers: OnceLock<Observers>,
    received: AtomicU64,
    sent: AtomicU64,
    derived: AtomicU64,
    recovered: AtomicU64,
    copied: AtomicU64,
    filtered: AtomicU64,
    absorbed: AtomicU64,
    delivered: AtomicU64,
    batches: AtomicU64,
    unfired_timers: AtomicU64,
    late: AtomicU64,
    /// Where a stage that checks events enters what it finds.
    findings: OnceLock<FindingsBoard>,
    /// Where the instances of a rule enter what their calls come to.
    rules: OnceLock<Vec<RuleFigures>>,
    /// Where the instances of the stage record metrics of their own.
    metrics: OnceLock<Vec<StageMetrics>>,
    /// How many calls of the stage are going on.
    calls: AtomicU32,
    details: Mutex<Details>,
}

#[derive(Debug, Default)]
struct Details {
    event_types: HashMap<Key, u64, FxBuildHasher>,
    dead_lettered: BTreeMap<&'static str, u64>,
    dropped: BTreeMap<&'static str, u64>,
    errors: BTreeMap<&'static str, u64>,
    first_event_time: Option<Timestamp>,
    last_event_time: Option<Timestamp>,
    error: Option<String>,
}

/// An account at one moment; where a figure does not count events, it says so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Whether the events that it made are the run's own, and not derived from others.
    pub is_source: bool,
    /// Events that came in.
    pub received: u64,
    /// Events that went out to other stages, each once.
    pub sent: u64,
    /// Events that the stage made: all of a source's, or those derived from others.
    pub derived: u64,
    /// Events that another run left behind for this one, such as in a buffer.
    pub recovered: u64,
    /// Copies made because several stages read this one.
    pub copied: u64,
    /// Events dropped on purpose, by a filter.
    pub filtered: u64,
    /// Events that went into a correlator's state and not on.
    pub absorbed: u64,
    /// Events that are with a sink's receiver.
    pub delivered: u64,
    /// Events kept as dead letters, by category.
    pub dead_lettered: BTreeMap<&'static str, u64>,
    /// Events lost on purpose because of a failure, by category.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Failures that belong to no event, by category.
    pub errors: BTreeMap<&'static str, u64>,
    /// Events that are in a buffer on disk, for the next run.
    pub buffered: u64,
    /// A sink's delivery.
    pub delivery: Option<DeliveryTally>,
    /// Why a sink does not have its receiver, if it does not.
    pub missed: Option<String>,
    /// How long delivered events took.
    pub latency: LatencyTally,
    /// Batches that were delivered.
    pub batches: u64,
    /// What a stage that checks events has found.
    pub findings: Option<Findings>,
    /// What the calls of a rule come to.
    pub rule: Option<RuleTally>,
    /// What the stage measures itself, by name.
    pub metrics: BTreeMap<String, MetricTally>,
    /// Timers that were still open at the end.
    pub unfired_timers: u64,
    /// Events that came too late for what they would have been part of; they are counted
    /// elsewhere, too, as absorbed or sent.
    pub late: u64,
    /// Events by type, at a source.
    pub event_types: BTreeMap<Key, u64>,
    /// The time of a source's first event.
    pub first_event_time: Option<Timestamp>,
    /// The time of the last event.
    pub last_event_time: Option<Timestamp>,
    /// Why the stage could not go on.
    pub error: Option<String>,
}

impl Account {
    /// An account without entries.
    pub fn new(stage: &str, kind: Kind, component: &str) -> Self {
        Self {
            stage: stage.to_owned(),
            kind,
            component: component.to_owned(),
            delivery: DeliveryFigures::default(),
            latency: LatencyFigures::default(),
            observers: OnceLock::new(),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            derived: AtomicU64::new(0),
            recovered: AtomicU64::new(0),
            copied: AtomicU64::new(0),
            filtered: AtomicU64::new(0),
            absorbed: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            unfired_timers: AtomicU64::new(0),
            late: AtomicU64::new(0),
            findings: OnceLock::new(),
            rules: OnceLock::new(),
            metrics: OnceLock::new(),
            calls: AtomicU32::new(0),
            details: Mutex::default(),
        }
    }

    /// Has observers told what happens from now on; they are set once.
    pub fn observe(&self, observers: Observers) {
        let _ = self.observers.set(observers);
    }

    /// Tells each observer something about this stage.
    pub fn tell(&self, mut tell: impl FnMut(&dyn Observer, &str)) {
        for observer in self.observers.get().into_iter().flat_map(Observers::iter) {
            tell(observer, &self.stage);
        }
    }

    /// Tells observers what went wrong.
    pub fn incident(&self, failure: &Failure, event: Option<&Event>, fate: Fate) {
        let Failure { category, reason } = failure;
        let (stage, kind) = (self.stage.as_str(), self.kind);
        let incident = Incident { stage, kind, category, reason, event, fate };
        self.tell(|observer, _| observer.failed(&incident));
    }

    /// Shows what the stage finds; it has one board.
    pub fn show(&self, findings: FindingsBoard) {
        let _ = self.findings.set(findings);
    }

    /// Shows what the calls of a rule come to, of all its instances; they are those of one stage.
    pub fn show_rules(&self, instances: Vec<RuleFigures>) {
        let _ = self.rules.set(instances);
    }

    /// Shows what the instances of the stage measure themselves.
    pub fn show_metrics(&self, instances: Vec<StageMetrics>) {
        let _ = self.metrics.set(instances);
    }

    /// The stage is called, until what is returned is dropped: so it is known which stage does not
    /// come back.
    pub fn work(&self) -> Working<'_> {
        self.calls.fetch_add(1, Relaxed);
        Working(self)
    }

    /// Whether a call of the stage is going on.
    pub fn is_working(&self) -> bool {
        self.calls.load(Relaxed) > 0
    }

    /// Enters a batch that came in.
    pub fn receive(&self, batch: &Batch) {
        self.received.fetch_add(batch.len() as u64, Relaxed);
    }

    /// Enters a batch that goes on.
    pub fn send(&self, batch: &Batch) {
        self.sent.fetch_add(batch.len() as u64, Relaxed);
    }

    /// Enters a source's batch: its events begin here.
    pub fn generate(&self, batch: &Batch) {
        self.derived.fetch_add(batch.len() as u64, Relaxed);
        if !batch.is_empty() {
            self.tell(|observer, source| observer.generated(source, batch));
        }
        let times = || batch.events().iter().map(|event| event.time);
        let (Some(earliest), Some(latest)) = (times().min(), times().max()) else { return };
        let mut details = self.details();
        let (first, last) = (details.first_event_time, details.last_event_time);
        details.first_event_time = Some(first.map_or(earliest, |first| first.min(earliest)));
        details.last_event_time = Some(last.map_or(latest, |last| last.max(latest)));
        for run in batch.events().chunk_by(|one, next| one.event_type == next.event_type) {
            *details.event_types.entry(run[0].event_type).or_default() += run.len() as u64;
        }
    }

    /// Enters events that were derived from others.
    pub fn derive(&self, events: usize) {
        self.derived.fetch_add(events as u64, Relaxed);
    }

    /// Enters events that another run left in front of this stage; they are yet to come in.
    pub fn recover(&self, events: usize) {
        self.recovered.fetch_add(events as u64, Relaxed);
    }

    /// Enters events that another run left in this stage: they are in.
    pub fn recover_inside(&self, events: usize) {
        self.recover(events);
        self.received.fetch_add(events as u64, Relaxed);
    }

    /// Enters events that stay in front of this stage, for the run that goes on from this one.
    pub fn leave(&self, events: usize) {
        self.received.fetch_add(events as u64, Relaxed);
        self.absorb(events);
    }

    /// Enters copies for further readers.
    pub fn copy(&self, events: usize) {
        self.copied.fetch_add(events as u64, Relaxed);
    }

    /// Enters events that a filter dropped.
    pub fn filter(&self, events: usize) {
        self.filtered.fetch_add(events as u64, Relaxed);
    }

    /// Enters events that stay in a correlator's state.
    pub fn absorb(&self, events: usize) {
        self.absorbed.fetch_add(events as u64, Relaxed);
    }

    /// Enters a batch of which that many events were delivered; `emitted` is when a source gave out
    /// the oldest of them.
    pub fn deliver(&self, batch: &Batch, events: usize, emitted: Option<Instant>) {
        if let Some(emitted) = emitted {
            self.latency.record(emitted.elapsed());
        }
        self.delivered.fetch_add(events as u64, Relaxed);
        self.batches.fetch_add(1, Relaxed);
        if let Some(last) = batch.events().last() {
            self.details().last_event_time = Some(last.time);
        }
    }

    /// Enters timers that were open at the end.
    pub fn leave_timers(&self, timers: u64) {
        self.unfired_timers.fetch_add(timers, Relaxed);
    }

    /// Notes an event that came too late for what it would have been part of.
    pub fn come_late(&self) {
        self.late.fetch_add(1, Relaxed);
    }

    /// Enters an event that became a dead letter.
    pub fn dead_letter(&self, category: &'static str) {
        *self.details().dead_lettered.entry(category).or_default() += 1;
    }

    /// Enters events that were lost because of a failure.
    pub fn drop_events(&self, category: &'static str, events: usize) {
        if events > 0 {
            *self.details().dropped.entry(category).or_default() += events as u64;
        }
    }

    /// Whether an event has failed here for a reason of this category.
    pub fn has_failed(&self, category: &'static str) -> bool {
        let details = self.details();
        details.dead_lettered.contains_key(category) || details.dropped.contains_key(category)
    }

    /// Notes a failure that belongs to no event.
    pub fn note_error(&self, category: &'static str) {
        *self.details().errors.entry(category).or_default() += 1;
    }

    /// Notes why the stage cannot go on.
    pub fn break_off(&self, error: &str) {
        self.details().error.get_or_insert_with(|| error.to_owned());
        self.incident(&Failure::new("stage_failed", error), None, Fate::StageFailed);
    }

    /// The figures now.
    pub fn tally(&self) -> Tally {
        let (details, delivery) = (self.details(), self.delivery.tally());
        Tally {
            is_source: self.kind == Kind::Source,
            received: self.received.load(Relaxed),
            sent: self.sent.load(Relaxed),
            derived: self.derived.load(Relaxed),
            recovered: self.recovered.load(Relaxed),
            copied: self.copied.load(Relaxed),
            filtered: self.filtered.load(Relaxed),
            absorbed: self.absorbed.load(Relaxed),
            delivered: self.delivered.load(Relaxed),
            dead_lettered: details.dead_lettered.clone(),
            dropped: details.dropped.clone(),
            errors: details.errors.clone(),
            buffered: delivery.map_or(0, |delivery| delivery.buffered),
            delivery,
            missed: self.delivery.missed(),
            latency: self.latency.tally(),
            batches: self.batches.load(Relaxed),
            findings: self.findings.get().map(|board| board.lock().clone()),
            rule: self.rules.get().and_then(|instances| RuleFigures::tally(instances)),
            metrics: self.metrics.get().map(|all| StageMetrics::tally(all)).unwrap_or_default(),
            unfired_timers: self.unfired_timers.load(Relaxed),
            late: self.late.load(Relaxed),
            event_types: details.event_types.iter().map(|(key, count)| (*key, *count)).collect(),
            first_event_time: details.first_event_time,
            last_event_time: details.last_event_time,
            error: details.error.clone(),
        }
    }

    fn details(&self) -> MutexGuard<'_, Details> {
        self.details.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("stage", &self.stage).finish_non_exhaustive()
    }
}

/// A call of a stage that is going on.
#[derive(Debug)]
pub struct Working<'a>(&'a Account);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Relaxed);
    }
}

impl Tally {
    /// Events kept as dead letters.
    pub fn dead_letters(&self) -> u64 {
        self.dead_lettered.values().sum()
    }

    /// Events lost because of a failure.
    pub fn losses(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// Events that are inside: they wait, are worked on, or are in the buffer of a sink.
    pub fn backlog(&self) -> u64 {
        let left = self.sent + self.delivered + self.filtered + self.absorbed;
        (self.received + self.derived).saturating_sub(left + self.dead_letters() + self.losses())
    }

    /// Whether everything that came in or was made here has left: the account balances. While a
    /// run goes on, what is missing is inside the stage.
    pub fn balances(&self) -> bool {
        let left = self.sent + self.delivered + self.filtered + self.absorbed + self.buffered;
        self.received + self.derived == left + self.dead_letters() + self.losses()
    }
}
