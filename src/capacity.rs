//! What an Event Hubs namespace would have to take: the pipeline runs in simulated time, with its
//! `event_hubs` sinks replaced by ones that measure.

mod limits;
mod load;
mod measured;
mod rehearsal;
mod tally;
mod wire;

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

use serde::Serialize;

use crate::checkpoint::Checkpoints;
use crate::clock::{Clock, Speed};
use crate::control::Control;
use crate::dead_letter::DeadLetters;
use crate::event::Timestamp;
use crate::graph::{Graph, Surroundings, Taps};
use crate::monitor::Observers;
use crate::plan::Plan;
use crate::problem::{Problem, Problems};
use crate::runtime::Run;

use rehearsal::{MeasuredSink, Rehearsal};

pub use limits::{PARTITION_BYTES_A_SECOND, PARTITIONS_MAX, partitions_for, throughput_units};
pub use load::Load;
pub use measured::{HottestKey, Keys, Measured};

/// A day of a large chain is some millions; what would give more is cut short.
const EVENTS_MAX: u64 = 20_000_000;
/// Nothing here waits for a receiver, so no run gets near it.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// What is taken for granted, since the spec does not say it.
#[derive(Clone, Copy, Debug)]
pub struct Assumptions {
    /// How many partitions each hub has.
    pub partitions: usize,
    /// How much event time is simulated. By default a day where the hour of the day matters, else
    /// an hour.
    pub span: Option<Duration>,
}

/// What was found out about a pipeline.
#[derive(Clone, Debug, Serialize)]
pub struct Prediction {
    /// How many partitions each hub was taken to have.
    pub partitions: usize,
    /// Seconds of event time in a second of wall time; none for as fast as the hub takes it.
    pub speed: Option<f64>,
    /// Where simulated time began.
    pub from: Timestamp,
    /// How much event time was simulated, in seconds.
    pub seconds: u64,
    /// Whether the run was cut short because it had made so many events.
    pub is_cut_short: bool,
    /// What the sinks would send.
    pub sinks: Vec<SinkPrediction>,
}

/// What one `event_hubs` sink would send.
#[derive(Clone, Debug, Serialize)]
pub struct SinkPrediction {
    /// The sink.
    pub sink: String,
    /// The sources before it of which nobody can know what they will give; nothing of them is in
    /// the figures.
    pub unknown_sources: Vec<String>,
    /// The figures; none where no event reached it.
    pub measured: Option<Measured>,
}

/// Runs the pipeline without its surroundings: no sink writes, nothing is kept, nothing waits.
///
/// Files that its sources read are read. Belongs in a tokio runtime.
pub async fn predict(plan: Plan, assumed: Assumptions) -> Result<Prediction, Problems> {
    let settings = plan.spec.clock.clone();
    let speed = match settings.speed.into() {
        Speed::Factor(factor) => Some(factor),
        Speed::Max => None,
    };
    let clock = Clock::new(settings.start, Speed::Max, false);
    let wanted = clock.start() + assumed.span.unwrap_or_else(|| rehearsal::span(&plan));
    let end = settings.end(clock.start()).map_or(wanted, |end| end.min(wanted));
    let rehearsal = Rehearsal::of(plan, speed, assumed.partitions, clock.start(), end);
    let events = settings.events.map_or(EVENTS_MAX, |events| events.min(EVENTS_MAX));
    let is_cut_short = run(&rehearsal.plan, clock.clone(), end, events).await?;
    // What the first event beyond the bound would have been nobody knows.
    let last = rehearsal.sinks.iter().filter_map(|sink| lock(sink).last());
    let end = if is_cut_short { last.max().unwrap_or(end) } else { end };
    let span = end.since(clock.start());
    Ok(Prediction {
        partitions: assumed.partitions,
        speed,
        from: clock.start(),
        seconds: span.as_secs(),
        is_cut_short,
        sinks: rehearsal.sinks.iter().map(|sink| prediction(sink, span, speed)).collect(),
    })
}

/// Runs it to its end; says whether it was cut short.
async fn run(plan: &Plan, clock: Clock, end: Timestamp, events: u64) -> Result<bool, Problems> {
    let around = Surroundings {
        clock,
        end: Some(end),
        events: Some(events),
        dead_letters: DeadLetters::off(),
        own_dead_letters: HashMap::new(),
        checkpoints: Checkpoints::off(),
        control: Control::new(),
        entries: None,
        taps: Taps::new(),
        observers: Observers::default(),
    };
    let graph = Graph::wire(plan, &around)?;
    let report = Run::new(graph, &around, DRAIN_TIMEOUT).finish().await;
    if report.is_success() {
        return Ok(report.statistics.events_generated >= events);
    }
    let failed = |error: &String| {
        let error = plan.document.masked(error);
        Problem::error(format!("the pipeline cannot be simulated: {error}"))
    };
    Err(Problems(report.errors.iter().map(failed).collect()))
}

fn prediction(sink: &MeasuredSink, span: Duration, speed: Option<f64>) -> SinkPrediction {
    SinkPrediction {
        sink: sink.name.clone(),
        unknown_sources: sink.unknown_sources.clone(),
        measured: lock(sink).measured(span, speed),
    }
}

fn lock(sink: &MeasuredSink) -> std::sync::MutexGuard<'_, tally::Tally> {
    sink.tally.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
