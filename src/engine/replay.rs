//! Dead letters through the pipeline again: each enters at the stage that failed on it, and goes
//! on from there on the way of the spec.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::path::Path;

use serde_json::Value;

use super::Engine;
use crate::checkpoint::Checkpoints;
use crate::clock::{Clock, Speed};
use crate::control::{Control, Phase};
use crate::dead_letter::{DeadLetters, Filter, Letter, QueueError, Replaying, read};
use crate::event::{Event, JsonReader, Timestamp};
use crate::graph::{Entries, Graph, Surroundings, Taps};
use crate::kind::Kind;
use crate::plan::{Plan, RunId};
use crate::problem::Problems;
use crate::runtime::{Report, Run};
use crate::spec::{BufferType, OnExhausted, WhenBufferFull, WhenFull};

/// A pipeline without its sources, its state and its buffers on disk: what fails in it fails at
/// once, and the pipeline that runs with the same spec is not touched.
pub struct Replay {
    engine: Engine,
}

/// What a replay would do, or could not do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// How many letters would enter, by stage.
    pub enters: BTreeMap<String, usize>,
    /// How many stay, by the reason.
    pub stays: BTreeMap<String, usize>,
    /// How many letters are not asked for.
    pub unasked: usize,
    /// How many of those that would enter failed in another version of the spec.
    pub of_other_spec: usize,
    /// Lines that are no letters, with what is wrong with them.
    pub broken: Vec<(u64, String)>,
}

/// What a replay came to.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// What the letters were that stayed.
    pub outlook: Outlook,
    /// How many letters left the queue for the pipeline.
    pub replayed: usize,
    /// How many events failed, and are dead letters again.
    pub failed_again: u64,
    /// Whether the fate of every letter is known. Where it is not, all are in the queue again that
    /// are not known to have failed, and what was delivered will be delivered once more.
    pub settled: bool,
    /// The figures of the run.
    pub report: Report,
}

/// Why a replay did not begin, or did not end; no letter is lost.
#[derive(Debug)]
pub enum ReplayError {
    /// The file.
    Queue(QueueError),
    /// The pipeline.
    Pipeline(Problems),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue(error) => error.fmt(f),
            Self::Pipeline(problems) => problems.fmt(f),
        }
    }
}

impl std::error::Error for ReplayError {}

impl From<QueueError> for ReplayError {
    fn from(error: QueueError) -> Self {
        Self::Queue(error)
    }
}

impl Replay {
    /// Makes a pipeline ready to be replayed into.
    pub fn new(mut engine: Engine) -> Self {
        // What it derives is new: it gets other ids than in the run that failed.
        engine.plan.spec.clock.start = None;
        for stage in &mut engine.plan.stages {
            let delivery = &mut stage.delivery;
            delivery.buffer.r#type = BufferType::Memory;
            delivery.buffer.when_full = WhenBufferFull::Block;
            delivery.circuit_breaker.enabled = false;
            delivery.retry.on_exhausted = OnExhausted::DeadLetter;
            // What fails again goes back where it came from.
            delivery.dead_letter = None;
            // A file that a run replaces is added to, or the replay would cost what is in it.
            if stage.kind == Kind::Sink
                && let Some(mode) = stage.settings.get_mut("mode")
                && *mode == "replace"
            {
                *mode = Value::from("append");
            }
        }
        Self { engine }
    }

    /// The pipeline.
    pub fn plan(&self) -> &Plan {
        &self.engine.plan
    }

    /// What a replay would do.
    pub fn outlook(&self, queue: &Path, filter: &Filter) -> io::Result<Outlook> {
        let mut outlook = Outlook::default();
        let hash = self.engine.plan.document.hash();
        for entry in read(queue)? {
            let entry = entry?;
            match entry.letter {
                Err(wrong) => outlook.broken.push((entry.line, wrong)),
                Ok(letter) if !filter.fits(&letter) => outlook.unasked += 1,
                Ok(letter) => match self.event_of(&letter) {
                    Ok(_) => {
                        outlook.of_other_spec += usize::from(letter.spec_hash != hash);
                        *outlook.enters.entry(letter.stage).or_default() += 1;
                    }
                    Err(reason) => *outlook.stays.entry(reason).or_default() += 1,
                },
            }
        }
        Ok(outlook)
    }

    /// Replays the letters that fit. What succeeds leaves the queue, what fails stays with one
    /// more attempt. Belongs in a tokio runtime.
    pub async fn run(
        &self,
        queue: &Path,
        filter: &Filter,
        control: Control,
    ) -> Result<Replayed, ReplayError> {
        let mut replaying = Replaying::begin(queue)?;
        let outlook = self.outlook(queue, filter).map_err(|error| {
            QueueError::Io(format!("cannot read `{}`: {error}", queue.display()))
        })?;
        replaying.take(|letter| filter.fits(letter) && self.event_of(letter).is_ok())?;
        let clock = Clock::new(None, Speed::Max, false);
        let hash = self.engine.plan.document.hash();
        // They had their room before.
        let dead_letters = DeadLetters::new(queue, u64::MAX, WhenFull::Stop, hash, clock.clone())
            .going_on_from(replaying.letters());
        let observers = match self.engine.audited(&clock) {
            Ok(observers) => observers,
            Err(problems) => {
                replaying.put_back()?;
                return Err(ReplayError::Pipeline(problems));
            }
        };
        let entries = self.entries(replaying.letters(), clock.start());
        let around = Surroundings {
            clock,
            end: None,
            events: None,
            dead_letters: dead_letters.clone(),
            own_dead_letters: HashMap::new(),
            checkpoints: Checkpoints::off(),
            control: control.clone(),
            entries: Some(entries),
            taps: Taps::new(),
            observers,
        };
        let graph = match Graph::wire(&self.engine.plan, &around) {
            Ok(graph) => graph,
            Err(problems) => {
                replaying.put_back()?;
                return Err(ReplayError::Pipeline(problems));
            }
        };
        let report = Run::new(graph, &around, self.engine.drain_timeout).finish().await;
        let replayed = replaying.letters().len();
        let settled = is_settled(&report, &control);
        dead_letters.sync().map_err(|error| {
            QueueError::Io(format!("cannot write `{}` to the disk: {error}", queue.display()))
        })?;
        let failed_again = dead_letters.counts().iter().map(|count| count.kept).sum();
        if settled {
            replaying.done()?;
        } else {
            replaying.put_back()?;
        }
        Ok(Replayed { outlook, replayed, failed_again, settled, report })
    }

    fn entries(&self, letters: &[Letter], start: Timestamp) -> Entries {
        let mut entries = Entries::new();
        for planned in &self.engine.plan.stages {
            let mut trace_ids = self.engine.plan.trace_ids(planned, RunId::of(start));
            let mut events = Vec::new();
            for letter in letters.iter().filter(|letter| letter.stage == planned.name) {
                let Ok(mut event) = self.event_of(letter) else { continue };
                if event.trace_id == "" {
                    event.trace_id = trace_ids.next(event.time);
                }
                events.push(event);
            }
            entries.insert(planned.name.clone(), events);
        }
        entries
    }

    /// The event that a letter is about, or why it cannot enter.
    fn event_of(&self, letter: &Letter) -> Result<Event, String> {
        let stage = &letter.stage;
        if !self.engine.plan.stages.iter().any(|planned| planned.name == *stage) {
            return Err(format!("the pipeline has no stage `{stage}`"));
        }
        match (&letter.event, &letter.input) {
            (Some(event), _) => Ok(event.clone()),
            (None, Some(input)) => JsonReader::new()
                .event(input.trim().as_bytes())
                .map_err(|error| format!("the input of `{stage}` is no event: {error}")),
            (None, None) => Err("it holds nothing".to_owned()),
        }
    }
}

/// Whether every event was delivered, dropped on purpose or dead-lettered.
fn is_settled(report: &Report, control: &Control) -> bool {
    let lost = report.statistics.stages.iter().any(|stage| !stage.dropped.is_empty());
    let went_on = control.phase() < Phase::Aborted && control.errors().is_empty();
    went_on && report.balanced && report.undelivered == 0 && !lost
}
