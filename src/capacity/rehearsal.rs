//! Makes a pipeline harmless and measurable: the same stages, but nothing comes from outside, and
//! nothing goes there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::tally::{Routing, Tally, partition_named};
use crate::batchers::count_or_time::CountOrTime;
use crate::component::{Component, Settings};
use crate::event::{Batch, Event, Timestamp};
use crate::event_hubs::partition_key::hash;
use crate::kind::Kind;
use crate::plan::{Plan, PlannedStage};
use crate::sources::silent::Silent;
use crate::spec::DeliverySettings;
use crate::stage::{Outcome, Sink, Stage};

/// The `type:` of the sinks that are measured, and of a source that cannot be simulated.
const EVENT_HUBS: &str = "event_hubs";

/// A pipeline to measure.
pub(super) struct Rehearsal {
    pub(super) plan: Plan,
    pub(super) sinks: Vec<MeasuredSink>,
}

/// A sink that measures.
pub(super) struct MeasuredSink {
    pub(super) name: String,
    pub(super) unknown_sources: Vec<String>,
    pub(super) tally: Arc<Mutex<Tally>>,
}

/// How much event time says enough: a day where the hour matters, else an hour.
pub(super) fn span(plan: &Plan) -> Duration {
    let has_days = |stage: &PlannedStage| {
        stage.kind == Kind::Source && ["retail", "file"].contains(&stage.component.name)
    };
    Duration::from_hours(if plan.stages.iter().any(has_days) { 24 } else { 1 })
}

impl Rehearsal {
    /// Of a pipeline whose event time goes from `start` to `end`, at `speed` when it is paced.
    pub(super) fn of(
        mut plan: Plan,
        speed: Option<f64>,
        partitions: usize,
        start: Timestamp,
        end: Timestamp,
    ) -> Self {
        let mut sinks = Vec::new();
        for stage in &mut plan.stages {
            stage.delivery =
                DeliverySettings { lanes: stage.delivery.lanes, ..DeliverySettings::default() };
        }
        for place in 0..plan.stages.len() {
            if is_measured(&plan.stages[place]) {
                let unknown_sources = unknown_before(&plan.stages, place);
                let stage = &mut plan.stages[place];
                let routing = routing(&stage.settings, partitions);
                let bytes = stage.settings["max_batch_bytes"].as_u64();
                let tally = Tally::new(routing, partitions, bytes, start, end.since(start));
                let by_key = tally.is_by_key();
                let tally = Arc::new(Mutex::new(tally));
                let sink = Measuring { tally: Some(Arc::clone(&tally)), by_key };
                build_with(stage, move || Stage::Sink(Box::new(sink.clone())));
                sinks.push(MeasuredSink { name: stage.name.clone(), unknown_sources, tally });
            } else if plan.stages[place].kind == Kind::Sink {
                build_with(&mut plan.stages[place], || Stage::Sink(Box::new(Measuring::default())));
            } else if is_unknown(&plan.stages[place]) {
                build_with(&mut plan.stages[place], || Stage::Source(Box::new(Silent)));
            }
        }
        put_batchers_before_sinks(&mut plan.stages);
        stretch_timeouts(&mut plan.stages, speed.unwrap_or(1.0));
        Self { plan, sinks }
    }
}

fn is_measured(stage: &PlannedStage) -> bool {
    stage.kind == Kind::Sink && stage.component.name == EVENT_HUBS
}

/// Whether nobody can know what a source will give, or when.
fn is_unknown(stage: &PlannedStage) -> bool {
    let is_outside = match stage.component.name {
        // Without the events' own times it gives as many as are taken.
        "file" => stage.settings["replay"] != "by_event_time" || reads_stdin(&stage.settings),
        name => ["http", EVENT_HUBS].contains(&name),
    };
    stage.kind == Kind::Source && is_outside
}

fn reads_stdin(settings: &Value) -> bool {
    match &settings["path"] {
        Value::Array(paths) => paths.iter().any(|path| path == "-"),
        path => path == "-",
    }
}

/// The unknown sources whose events come to a stage.
fn unknown_before(stages: &[PlannedStage], place: usize) -> Vec<String> {
    let mut comes_from = vec![false; stages.len()];
    comes_from[place] = true;
    // Each stage stands behind its inputs.
    for later in (0..=place).rev() {
        if comes_from[later] {
            stages[later].inputs.iter().for_each(|input| comes_from[*input] = true);
        }
    }
    let unknown =
        stages.iter().zip(comes_from).filter(|(stage, comes)| *comes && is_unknown(stage));
    unknown.map(|(stage, _)| stage.name.clone()).collect()
}

fn routing(settings: &Value, partitions: usize) -> Routing {
    match settings["partition_by"].as_str() {
        Some("round_robin") => Routing::RoundRobin,
        Some("id") => {
            let id = &settings["partition_id"];
            let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
            Routing::One(partition_named(&id, partitions))
        }
        _ => Routing::Key,
    }
}

fn build_with(stage: &mut PlannedStage, build: impl Fn() -> Stage + Send + Sync + 'static) {
    stage.component.build = Arc::new(move |_, _| Ok(build()));
}

/// A network sink gets a default batcher where the spec has none. Here it is a stage, so that its
/// timeout can be stretched as that of any other.
fn put_batchers_before_sinks(stages: &mut Vec<PlannedStage>) {
    let mut place = 0;
    while place < stages.len() {
        let is_batched = |input: &usize| stages[*input].kind == Kind::Batcher;
        if is_measured(&stages[place]) && !stages[place].inputs.iter().all(is_batched) {
            let batcher = batcher_before(&mut stages[place]);
            for stage in &mut stages[place..] {
                let moved = stage.inputs.iter_mut().filter(|input| **input >= place);
                moved.for_each(|input| *input += 1);
            }
            stages[place].inputs = vec![place];
            stages.insert(place, batcher);
            place += 1;
        }
        place += 1;
    }
}

/// It takes the sink's inputs, and lets in what the sink lets in.
fn batcher_before(sink: &mut PlannedStage) -> PlannedStage {
    PlannedStage {
        name: format!("{} (batches)", sink.name),
        kind: Kind::Batcher,
        component: Component::of::<CountOrTime>(),
        settings: json!({}),
        inputs: std::mem::take(&mut sink.inputs),
        when: sink.when.take(),
        parallelism: 1,
        order: sink.order,
        idle_timeout: sink.idle_timeout,
        delivery: DeliverySettings::default(),
        pointer: sink.pointer.clone(),
        ordinal: sink.ordinal,
    }
}

/// A batch waits in wall time, and here only event time goes by.
fn stretch_timeouts(stages: &mut [PlannedStage], speed: f64) {
    let is_batcher = |stage: &&mut PlannedStage| {
        stage.component.name == CountOrTime::NAME && stage.kind == Kind::Batcher
    };
    for stage in stages.iter_mut().filter(is_batcher) {
        let timeout = stage.settings["batch_timeout_ms"].as_u64();
        let timeout = timeout.unwrap_or_else(|| CountOrTime::default().batch_timeout_ms);
        stage.settings["batch_timeout_ms"] = json!(((timeout as f64 * speed) as u64).max(1));
    }
}

/// A sink that keeps nothing; it measures where there is a tally.
#[derive(Clone, Default)]
struct Measuring {
    tally: Option<Arc<Mutex<Tally>>>,
    /// Whether keys choose partitions.
    by_key: bool,
}

#[async_trait]
impl Sink for Measuring {
    async fn write(&self, batch: &Batch) -> Outcome {
        if let Some(tally) = &self.tally {
            tally.lock().unwrap_or_else(PoisonError::into_inner).take(batch);
        }
        Outcome::Delivered
    }

    /// As the sink that it stands for parts events over lanes.
    fn lane_key(&self, event: &Event) -> Option<u32> {
        let key = event.partition_key.as_ref().filter(|_| self.by_key)?;
        Some(key.with_str(hash).into())
    }
}
