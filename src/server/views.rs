//! The shapes in which a run is shown: its graph, its state, and what a page needs each second.

use schemars::JsonSchema;
use serde::Serialize;

use super::Served;
use crate::clock::{Clock, Speed};
use crate::control::Phase;
use crate::event::Timestamp;
use crate::monitor::{BreakerState, Connection, Health, Sample, Statistics};
use crate::plan::Plan;

/// The stages of a pipeline, in the order of the flow.
#[derive(Clone, JsonSchema, Serialize)]
pub(super) struct Graph {
    pub(super) name: String,
    description: Option<String>,
    stages: Vec<Node>,
}

#[derive(Clone, JsonSchema, Serialize)]
struct Node {
    stage: String,
    kind: &'static str,
    component: &'static str,
    inputs: Vec<String>,
    /// Whether a condition decides which events it sees.
    when: bool,
}

/// How far a run is.
#[derive(JsonSchema, Serialize)]
pub(super) struct RunState {
    phase: &'static str,
    pub(super) speed: ShownSpeed,
    event_time: Option<Timestamp>,
    started: Timestamp,
    elapsed_seconds: f64,
    can_control: bool,
}

/// A number, or `max`.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(untagged)]
pub(super) enum ShownSpeed {
    Factor(f64),
    Named(&'static str),
}

/// What a page shows, once a second.
#[derive(JsonSchema, Serialize)]
pub(super) struct Live {
    state: RunState,
    sample: Sample,
    stages: Vec<LiveStage>,
    totals: Totals,
    health: bool,
    /// What is not well.
    reasons: Vec<String>,
}

#[derive(JsonSchema, Serialize)]
struct LiveStage {
    stage: String,
    rate: f64,
    backlog: u64,
    failed: u64,
    healthy: bool,
    reason: Option<String>,
    connection: Option<Connection>,
    circuit_breaker: Option<BreakerState>,
    /// Events in a sink's buffer, and how many it holds at most.
    buffer: Option<(u64, u64)>,
}

#[derive(JsonSchema, Serialize)]
struct Totals {
    events_generated: u64,
    events_sent_successfully: u64,
    events_failed: u64,
    dead_letter_queue_size: u64,
    batches_sent: u64,
    bytes_sent: u64,
    circuit_breaker_trips: u64,
}

impl Graph {
    pub(super) fn of(plan: &Plan) -> Self {
        let stages = plan.stages.iter().map(|stage| Node {
            stage: stage.name.clone(),
            kind: stage.kind.singular(),
            component: stage.component.name,
            inputs: stage.inputs.iter().map(|input| plan.stages[*input].name.clone()).collect(),
            when: stage.when.is_some(),
        });
        let description = plan.spec.description.clone();
        Self { name: plan.name(), description, stages: stages.collect() }
    }
}

impl RunState {
    pub(super) fn of(run: &Served) -> Self {
        let clock = run.monitor.clock();
        Self::at(run, clock, run.monitor.statistics().last_event_time)
    }

    fn at(run: &Served, clock: &Clock, last_event_time: Option<Timestamp>) -> Self {
        let is_over = *run.ended.borrow() || run.monitor.has_ended();
        let phase = match run.control.phase() {
            _ if is_over => "ended",
            Phase::Running if run.drains() => "draining",
            Phase::Running if clock.is_paused() => "paused",
            Phase::Running => "running",
            Phase::Draining => "draining",
            Phase::Keeping | Phase::Aborted => "keeping",
        };
        let elapsed = clock.elapsed();
        Self {
            phase,
            speed: match clock.speed() {
                Speed::Max => ShownSpeed::Named("max"),
                Speed::Factor(speed) => ShownSpeed::Factor(speed),
            },
            // How far the events are: the clock may be ahead of what waits for room.
            event_time: last_event_time,
            started: clock.wall() - elapsed,
            elapsed_seconds: elapsed.as_secs_f64(),
            can_control: run.token.is_some(),
        }
    }
}

impl Live {
    pub(super) fn of(run: &Served) -> Self {
        let (statistics, health) = (run.monitor.statistics(), run.monitor.health());
        let mask = |text: String| run.failures.masked(&text);
        Self {
            state: RunState::at(run, run.monitor.clock(), statistics.last_event_time),
            sample: run.monitor.sample(),
            stages: stages(&statistics, &health, mask),
            totals: Totals {
                events_generated: statistics.events_generated,
                events_sent_successfully: statistics.events_sent_successfully,
                events_failed: statistics.events_failed,
                dead_letter_queue_size: statistics.dead_letter_queue_size,
                batches_sent: statistics.batches_sent,
                bytes_sent: statistics.bytes_sent,
                circuit_breaker_trips: statistics.circuit_breaker_trips,
            },
            health: health.overall_healthy,
            reasons: health.reasons().into_iter().map(mask).collect(),
        }
    }
}

fn stages(
    statistics: &Statistics,
    health: &Health,
    mask: impl Fn(String) -> String,
) -> Vec<LiveStage> {
    let live = |stage: &crate::monitor::StageStatistics| {
        let health = health.of_stage(&stage.stage);
        let delivery = stage.delivery.as_ref();
        LiveStage {
            stage: stage.stage.clone(),
            rate: stage.rate,
            backlog: stage.backlog,
            failed: stage.dead_lettered.values().chain(stage.dropped.values()).sum(),
            healthy: health.is_none_or(|health| health.healthy),
            reason: health.and_then(|health| health.reason.clone()).map(&mask),
            connection: delivery.map(|delivery| delivery.connection),
            circuit_breaker: delivery.map(|delivery| delivery.circuit_breaker),
            buffer: delivery.map(|delivery| (delivery.buffer_size, delivery.buffer_max_events)),
        }
    };
    statistics.stages.iter().map(live).collect()
}
