//! What each stage of a pipeline costs: the pipeline runs on one thread, as fast as it goes, with
//! sinks that write nothing, and is measured wherever one stage hands over to another.
//!
//! It is the graph of a real run, with its merges, conditions and drivers, and not a copy of it
//! that calls the stages by itself: so what is measured is what runs, and a stage that shares its
//! input with others pays for its copies here, too. On one thread a stage's own time is what goes
//! by between its being asked for a batch and its answer, less what its inputs take of that.

mod harmless;
mod meter;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::checkpoint::Checkpoints;
use crate::clock::{Clock, ProcessorTime, Speed};
use crate::control::Control;
use crate::dead_letter::DeadLetters;
use crate::event::Timestamp;
use crate::graph::{Graph, Surroundings, Tap, Taps};
use crate::kind::Kind;
use crate::monitor::{Observers, StageStatistics, Statistics};
use crate::plan::Plan;
use crate::problem::{Problem, Problems};
use crate::runtime::Run;

use meter::{Meter, Reading};

/// How many source events are made where nobody says.
pub const EVENTS_DEFAULT: u64 = 200_000;
/// Processor time after which a pass ends where nobody says how long it is to be: a slow rule is
/// known by then.
pub const PROCESSOR_TIME_MAX: Duration = Duration::from_secs(5);
/// Nothing here waits for a receiver, so no run gets near it.
const DRAIN_TIMEOUT: Duration = Duration::from_mins(10);

/// Reads how many allocations the thread that asks has made so far, and of how many bytes.
pub type AllocationCounter = fn() -> (u64, u64);

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How many source events; by default [`EVENTS_DEFAULT`], or fewer where they take longer than
    /// [`PROCESSOR_TIME_MAX`].
    pub events: Option<u64>,
    /// How much event time, in place of a number of events.
    pub span: Option<Duration>,
    /// How often; the quickest time of each stage is told, as whatever else the machine does only
    /// makes it slower.
    pub passes: u32,
    /// Counts allocations, if the program's allocator can.
    pub allocations: Option<AllocationCounter>,
}

/// What a pipeline's stages cost.
#[derive(Clone, Debug, Serialize)]
pub struct Bench {
    /// What the pipeline is called.
    pub pipeline: String,
    /// Source events of one pass.
    pub events: u64,
    /// How many passes there were.
    pub passes: u32,
    /// Whether a pass ended early, since it had taken so much time.
    pub is_cut_short: bool,
    /// The sources in whose place events were made up, since theirs come from outside, and once.
    pub made_up: Vec<String>,
    /// The stages, in the order of the flow.
    pub stages: Vec<StageCost>,
    /// What belongs to no stage: tasks, channels, what stands between the stages and a sink.
    pub graph: Cost,
    /// What sources do in threads of their own, such as reading a file.
    pub other_threads: Cost,
    /// All of it.
    pub total: Cost,
}

/// What one stage costs.
#[derive(Clone, Debug, Serialize)]
pub struct StageCost {
    /// Its name in the spec.
    pub stage: String,
    /// `source`, `enricher`, `correlator`, `batcher` or `sink`.
    pub kind: &'static str,
    /// What it is built from; a sink's part is to write JSON, whatever it is.
    pub component: String,
    /// Events that came in.
    pub events_in: u64,
    /// Events that went out; of a sink, that it took.
    pub events_out: u64,
    /// What it took.
    #[serde(flatten)]
    pub cost: Cost,
    /// Of a rule: its functions, with the reason where the interpreter runs one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub functions: BTreeMap<String, Option<String>>,
}

/// What something takes, for as many events as it is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Seconds of processor time.
    pub cpu_seconds: f64,
    /// Events in a second of processor time; none where nothing was measured.
    pub events_per_cpu_second: Option<f64>,
    /// Seconds of processor time for a million events.
    pub cpu_seconds_per_million: Option<f64>,
    /// Allocations for each event; none where they are not counted.
    pub allocations_per_event: Option<f64>,
    /// Bytes that are allocated for each event.
    pub allocated_bytes_per_event: Option<f64>,
}

impl Cost {
    fn of(reading: &Reading, events: u64, counts_allocations: bool) -> Self {
        let seconds = reading.cpu.as_secs_f64();
        let has_figure = events > 0 && seconds > 0.0;
        let each =
            |sum: u64| (events > 0 && counts_allocations).then(|| sum as f64 / events as f64);
        Self {
            cpu_seconds: seconds,
            events_per_cpu_second: has_figure.then(|| events as f64 / seconds),
            cpu_seconds_per_million: has_figure.then(|| seconds * 1e6 / events as f64),
            allocations_per_event: each(reading.allocations),
            allocated_bytes_per_event: each(reading.bytes),
        }
    }
}

/// Measures a pipeline: nothing is written or sent, nothing is kept. `tell` hears of each pass
/// before it begins, from 1.
///
/// Files that its sources read are read. Does not belong in a runtime: it makes its own.
pub fn measure(plan: Plan, effort: &Effort, tell: impl FnMut(u32)) -> Result<Bench, Problems> {
    let clock = Clock::new(plan.spec.clock.start, Speed::Max, false);
    let meter = Meter::new(plan.stages.len(), effort.allocations);
    let (plan, made_up) = harmless::plan(plan, clock.start(), &meter)?;
    let mut bench = Benched::new(plan, clock, meter, effort);
    bench.passes(effort.passes.max(1), tell)?;
    Ok(bench.result(effort, made_up))
}

/// A pipeline that is measured.
struct Benched {
    plan: Plan,
    clock: Clock,
    meter: Meter,
    end: Option<Timestamp>,
    events: u64,
    time_max: Option<Duration>,
    is_cut_short: bool,
    /// The least that each stage took, and last what belongs to none.
    least: Vec<Reading>,
    other_threads: Duration,
    statistics: Option<Statistics>,
}

impl Benched {
    fn new(plan: Plan, clock: Clock, meter: Meter, effort: &Effort) -> Self {
        let settings = &plan.spec.clock;
        let is_open = effort.events.is_none() && effort.span.is_none();
        let end = effort.span.map(|span| clock.start() + span);
        let events = if is_open { Some(EVENTS_DEFAULT) } else { effort.events };
        let events = events.unwrap_or(u64::MAX);
        Self {
            end: end.or_else(|| settings.end(clock.start()).filter(|_| effort.events.is_none())),
            events: settings.events.filter(|_| is_open).map_or(events, |own| own.min(events)),
            time_max: is_open.then_some(PROCESSOR_TIME_MAX),
            is_cut_short: false,
            least: Vec::new(),
            other_threads: Duration::MAX,
            statistics: None,
            plan,
            clock,
            meter,
        }
    }

    fn passes(&mut self, passes: u32, mut tell: impl FnMut(u32)) -> Result<(), Problems> {
        for pass in 1..=passes {
            tell(pass);
            let statistics = self.pass()?;
            // The passes after one that was cut short see the same events.
            self.events = statistics.events_generated;
            self.time_max = None;
            self.statistics = Some(statistics);
        }
        Ok(())
    }

    fn pass(&mut self) -> Result<Statistics, Problems> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Problem::error(format!("cannot start a thread: {error}")))?;
        let control = Control::new();
        let around = Surroundings {
            clock: self.clock.clone(),
            end: self.end,
            events: Some(self.events),
            dead_letters: DeadLetters::off(),
            own_dead_letters: HashMap::new(),
            checkpoints: Checkpoints::off(),
            control: control.clone(),
            entries: None,
            taps: self.taps(),
            observers: Observers::default(),
        };
        // Wiring asks for the runtime's timers.
        let run = {
            let _inside = runtime.enter();
            Run::new(Graph::wire(&self.plan, &around)?, &around, DRAIN_TIMEOUT)
        };
        let before = [ProcessorTime::Process, ProcessorTime::Thread].map(ProcessorTime::now);
        self.meter.begin(control, self.time_max);
        let report = runtime.block_on(run.finish());
        let (readings, is_cut_short) = self.meter.end();
        let after = [ProcessorTime::Process, ProcessorTime::Thread].map(ProcessorTime::now);
        runtime.shutdown_background();
        if !report.is_success() {
            let failed = |error: &String| {
                let error = self.plan.document.masked(error);
                Problem::error(format!("the pipeline cannot be measured: {error}"))
            };
            return Err(Problems(report.errors.iter().map(failed).collect()));
        }
        let [process, thread] = [0, 1].map(|which| after[which].saturating_sub(before[which]));
        self.other_threads = self.other_threads.min(process.saturating_sub(thread));
        self.is_cut_short |= is_cut_short;
        self.keep_least(readings);
        Ok(report.statistics)
    }

    fn taps(&self) -> Taps {
        let stages = self.plan.stages.iter().enumerate();
        let tap = |place| Arc::new(self.meter.gauge(place)) as Arc<dyn Tap>;
        stages.map(|(place, stage)| (stage.name.clone(), tap(place))).collect()
    }

    fn keep_least(&mut self, readings: Vec<Reading>) {
        if self.least.is_empty() {
            self.least = readings;
            return;
        }
        for (least, reading) in self.least.iter_mut().zip(readings) {
            if reading.cpu < least.cpu {
                *least = reading;
            }
        }
    }

    fn result(&self, effort: &Effort, made_up: Vec<String>) -> Bench {
        let counts = effort.allocations.is_some();
        let stages = self.statistics.iter().flat_map(|statistics| &statistics.stages);
        let stages = stages.zip(&self.least).map(|(stage, least)| stage_cost(stage, least, counts));
        let other = Reading { cpu: self.other_threads, ..Reading::default() };
        let mut total = other;
        self.least.iter().for_each(|reading| total.add(reading));
        let graph = self.least.last().copied().unwrap_or_default();
        Bench {
            pipeline: self.plan.name(),
            events: self.events,
            passes: effort.passes.max(1),
            is_cut_short: self.is_cut_short,
            made_up,
            stages: stages.collect(),
            graph: Cost::of(&graph, self.events, counts),
            other_threads: Cost::of(&other, self.events, false),
            total: Cost::of(&total, self.events, counts),
        }
    }
}

fn stage_cost(stage: &StageStatistics, least: &Reading, counts: bool) -> StageCost {
    let is_source = stage.kind == Kind::Source.singular();
    let is_sink = stage.kind == Kind::Sink.singular();
    let component = if is_sink { "write JSON".to_owned() } else { stage.component.clone() };
    let events = if is_source { stage.derived } else { stage.received };
    StageCost {
        stage: stage.stage.clone(),
        kind: stage.kind,
        component,
        events_in: if is_source { 0 } else { stage.received },
        events_out: stage.sent,
        cost: Cost::of(least, events, counts),
        functions: stage.rule.as_ref().map(|rule| rule.functions.clone()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
