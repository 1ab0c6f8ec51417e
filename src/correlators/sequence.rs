//! `type: sequence`: one thing after the other within a time, or the other one missing.

mod memory;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use schemars::JsonSchema;
use serde::Deserialize;

use super::emit::{Emitter, cause_to_keep};
use super::keys::{self, KeyFields, KeySettings};
use super::side::{Pick, PickSettings, Row, Select};
use crate::component::{BuildContext, Kind, Settings};
use crate::event::{Event, Key, Timestamp};
use crate::problem::Problems;
use crate::script::{Premises, StateKey, TimerId, Timers};
use crate::spec::SpecDuration;
use crate::stage::{Correlator, Failure, Output, Stage, State, StateError};

/// The smallest step of event time.
const STEP: Duration = Duration::from_millis(1);

/// Notices when events of a key follow each other as `steps` say, all of them within a time; or,
/// with `absent`, when an event that should have followed does not come.
///
/// Others may come between the steps. An event that begins a sequence whose key has one under way
/// changes nothing, unless `restart` says so; each event is one step at the most. The event that
/// is emitted is at the time of the last step, which is its parent. With `absent`, it is emitted
/// when `within` is over since the first step, unless the absent event came before that; its
/// parent is the last step. Of the envelope it has what follows from its type, then what the parent
/// has. The payload is what `select` says.
///
/// An event without a value for its key is part of no sequence. A first step that comes when the
/// time of its sequence is over already is late: it begins nothing, and the report says how many
/// events that were. What is waited for when the stream ends is not told; it is counted as open
/// timers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SequenceSettings {
    /// What all steps have in common: a field, or several. A step may have a `key` of its own.
    /// Without one, all events are one sequence.
    #[serde(default)]
    pub key: KeySettings,
    /// The steps in their order, by names for `select`. At least two, or one with `absent`.
    pub steps: IndexMap<String, PickSettings>,
    /// What must not come between the first step and the end of the time.
    pub absent: Option<PickSettings>,
    /// The time that the whole may take, from its first step on.
    pub within: SpecDuration,
    /// The type of the events that are emitted.
    pub emit: String,
    /// The payload: names in it, each with a field of a step, such as `STEP.payload.total`.
    pub select: IndexMap<String, String>,
    /// Whether an event that could be a first step begins anew what is under way.
    #[serde(default)]
    pub restart: bool,
    /// How many sequences may be under way; an event that would begin one more fails. One takes
    /// about 300 bytes, 550 with `absent`, and what `select` takes over of its steps.
    #[serde(default = "default_max_keys")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub max_keys: usize,
    /// Whether the events that are seen go on too, or only those that are emitted.
    #[serde(default = "yes")]
    pub passthrough: bool,
}

fn default_max_keys() -> usize {
    100_000
}

fn yes() -> bool {
    true
}

impl Settings for SequenceSettings {
    const NAME: &'static str = "sequence";
    const KIND: Kind = Kind::Correlator;
    const EXAMPLE: &'static str = r"
key: session_id
steps:
  entered: { on: [customer_entered] }
absent: { on: [receipt_created] }
within: 30m
emit: visit_abandoned
select:
  store_id: entered.payload.store_id
  entered_at: entered.ingest_timestamp
";

    fn build(self, cx: &BuildContext<'_>) -> Result<Stage, Problems> {
        let mut problems = Vec::new();
        KeyFields::read(&self.key, "/key", cx, &mut problems);
        let mut pick =
            |settings, pointer: &str| Pick::read(settings, pointer, &self.key, cx, &mut problems);
        let pointer = |name: &String| format!("/steps/{}", keys::escaped(name));
        let steps: Vec<Pick> =
            self.steps.iter().map(|(name, step)| pick(step, &pointer(name))).collect();
        let absent = self.absent.as_ref().map(|absent| pick(absent, "/absent"));
        let first = steps.first().map_or(0, Pick::key_len);
        if steps.iter().chain(&absent).any(|pick| pick.key_len() != first) {
            problems.push(cx.problem("/steps", "the keys of the steps have not as many fields"));
        }
        if steps.len() < if absent.is_some() { 1 } else { 2 } {
            let problem = cx.problem("/steps", "a sequence has at least two steps");
            problems
                .push(problem.help("add another one, or say by `absent:` what must not follow"));
        }
        let names: Vec<&str> = self.steps.keys().map(String::as_str).collect();
        let select = Select::read(&self.select, &names, cx, &mut problems);
        match keys::interned(&self.emit, "/emit", cx, &mut problems) {
            Some(emit) if problems.is_empty() => Ok(Stage::Correlator(Box::new(Sequences {
                steps,
                absent,
                select,
                emit,
                within: self.within.0,
                restart: self.restart,
                passthrough: self.passthrough,
                under_way: HashMap::default(),
                timers: Timers::new(self.max_keys),
                emitter: Emitter::new(cx.trace_ids.clone()),
                horizon: Timestamp::MIN,
                taken: Vec::new(),
            }))),
            _ => Err(Problems(problems)),
        }
    }
}

/// The correlator: at most one sequence of each key is under way.
struct Sequences {
    steps: Vec<Pick>,
    absent: Option<Pick>,
    select: Select,
    emit: Key,
    within: Duration,
    restart: bool,
    passthrough: bool,
    under_way: HashMap<StateKey, Progress, FxBuildHasher>,
    /// One for each of them, due when its time is over.
    timers: Timers<StateKey>,
    emitter: Emitter,
    /// Nothing earlier comes any more, but for what is late.
    horizon: Timestamp,
    /// Which steps the event that is looked at could be; kept for its room.
    taken: Vec<bool>,
}

/// How far a sequence has come.
#[derive(Debug)]
struct Progress {
    timer: TimerId,
    first: Timestamp,
    last: Timestamp,
    /// What is taken over of each step that was made; at least the first.
    rows: Vec<Row>,
    /// The last of all steps, where it waits for what is absent.
    cause: Option<Box<Event>>,
}

impl Sequences {
    /// Finds out which steps an event could be, and whether it is the absent one; before anything
    /// is changed, since conditions may fail.
    fn look(&mut self, event: &Event) -> Result<bool, Failure> {
        self.taken.clear();
        for step in &mut self.steps {
            self.taken.push(step.takes(event)?);
        }
        self.absent.as_mut().map_or(Ok(false), |absent| absent.takes(event))
    }

    /// Ends the sequence that an absent event belongs to.
    fn end(&mut self, event: &Event) {
        let Some(key) = self.absent.as_ref().and_then(|absent| absent.key_of(event)) else {
            return;
        };
        if self.under_way.get(&key).is_some_and(|progress| progress.first <= event.time) {
            self.stop(&key);
        }
    }

    fn stop(&mut self, key: &StateKey) {
        if let Some(progress) = self.under_way.remove(key) {
            self.timers.cancel(progress.timer);
        }
    }

    /// Makes the next step of a sequence, if the event is one.
    fn go_on(&mut self, event: &Event, out: &mut Output) -> bool {
        for step in (1..self.steps.len()).filter(|step| self.taken[*step]) {
            let Some(key) = self.steps[step].key_of(event) else { continue };
            let Some(progress) = self.under_way.get_mut(&key) else { continue };
            if progress.rows.len() != step || event.time < progress.last {
                continue;
            }
            progress.rows.push(self.select.row(step, event));
            progress.last = event.time;
            self.complete(&key, event, out);
            return true;
        }
        false
    }

    /// Begins a sequence with an event.
    fn begin(&mut self, event: &Event, out: &mut Output) -> Result<(), Failure> {
        let Some(key) = self.steps[0].key_of(event) else { return Ok(()) };
        let due = event.time + self.within;
        if due < self.horizon {
            out.late = true;
            return Ok(());
        }
        match self.under_way.get(&key) {
            Some(progress) if !self.restart || event.time < progress.first => return Ok(()),
            Some(_) => self.stop(&key),
            None => {}
        }
        let Ok(timer) = self.timers.set(due, key.clone()) else {
            let reason = "there are as many sequences under way as `max_keys` allows";
            return Err(Failure::new("sequence", reason));
        };
        let rows = vec![self.select.row(0, event)];
        let (first, last) = (event.time, event.time);
        let progress = Progress { timer, first, last, rows, cause: None };
        self.under_way.insert(key.clone(), progress);
        self.complete(&key, event, out);
        Ok(())
    }

    /// Emits a sequence if this was its last step, or lets it wait for what is absent.
    fn complete(&mut self, key: &StateKey, event: &Event, out: &mut Output) {
        let Some(progress) = self.under_way.get_mut(key) else { return };
        if progress.rows.len() < self.steps.len() {
            return;
        }
        if self.absent.is_some() {
            progress.cause = Some(Box::new(cause_to_keep(Some(event), event.time)));
            return;
        }
        let rows: Vec<Option<&Row>> = progress.rows.iter().map(Some).collect();
        let payload = self.select.payload(&rows);
        out.events.push(self.emitter.caused(self.emit, payload, event, event.time));
        self.stop(key);
    }
}

impl Correlator for Sequences {
    fn observe(&mut self, event: &Event, out: &mut Output) -> Result<(), Failure> {
        self.horizon = self.horizon.max(event.time);
        if self.look(event)? {
            self.end(event);
        }
        if !self.go_on(event, out) && self.taken[0] {
            self.begin(event, out)?;
        }
        Ok(())
    }

    fn next_timer(&self) -> Option<Timestamp> {
        self.timers.next_due()
    }

    fn advance(&mut self, until: Timestamp, out: &mut Output) {
        self.horizon = self.horizon.max(until + STEP);
        while let Some((timer, key)) = self.timers.pop(until) {
            let Some(progress) = self.under_way.remove(&key) else { continue };
            // Without a cause, it has not come to its last step.
            if let Some(cause) = progress.cause {
                let rows: Vec<Option<&Row>> = progress.rows.iter().map(Some).collect();
                let payload = self.select.payload(&rows);
                out.events.push(self.emitter.caused(self.emit, payload, &cause, timer.due()));
            }
        }
    }

    fn drain(&mut self, _: Timestamp, _: &mut Output) -> u64 {
        self.under_way.values().filter(|progress| progress.cause.is_some()).count() as u64
    }

    fn adds(&self) -> Option<BTreeSet<String>> {
        Some(self.select.names().chain([self.emit.as_str().to_owned()]).collect())
    }

    fn try_out(&mut self, premises: &Premises<'_>) -> Problems {
        self.select.misfits(self.steps.iter().chain(&self.absent), premises)
    }

    fn state(&self) -> State {
        self.memory()
    }

    fn restore(&mut self, state: &State) -> Result<(), StateError> {
        self.remember(state)
    }

    fn passes_through(&self) -> bool {
        self.passthrough
    }
}

#[cfg(test)]
mod tests;
