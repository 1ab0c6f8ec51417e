//! Runs a test: the graph on a paused runtime, where whoever waits makes time go by.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::cases::{Case, Input};
use super::observer::Observer;
use super::rehearsal::{Observers, rehearsal};
use crate::checkpoint::Checkpoints;
use crate::clock::{Clock, Speed};
use crate::control::Control;
use crate::dead_letter::{Collected, DeadLetters, Found};
use crate::graph::{Graph, Surroundings, Tap, Taps};
use crate::kind::Kind;
use crate::monitor::Statistics;
use crate::plan::Plan;
use crate::problem::{Problem, Problems};
use crate::runtime::Run;

/// How much virtual time sinks have for what is left when event time has ended.
pub(super) const DELIVERY_TIMEOUT: Duration = Duration::from_hours(1);

/// What came of a run.
pub(super) struct Seen {
    /// In the order of the test's watches.
    pub(super) observers: Vec<Arc<Observer>>,
    pub(super) failed: Found,
    /// Why the run failed as a whole.
    pub(super) errors: Vec<String>,
    /// Whether the fate of all events was known in the end.
    pub(super) ended: bool,
    pub(super) statistics: Statistics,
}

/// Runs a test to its end, in a thread of its own: the caller may be in a runtime already.
pub(super) fn run(plan: &Plan, case: &Case) -> Result<Seen, Problems> {
    let in_a_thread = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .map_err(|error| Problem::error(format!("cannot start a thread: {error}")))?;
        let seen = runtime.block_on(to_its_end(plan, case));
        runtime.shutdown_background();
        seen
    };
    std::thread::scope(|scope| scope.spawn(in_a_thread).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

async fn to_its_end(plan: &Plan, case: &Case) -> Result<Seen, Problems> {
    let observers: Vec<Arc<Observer>> =
        case.watches.iter().map(|watch| Arc::new(Observer::new(&watch.checks))).collect();
    let by_name: Observers = case
        .watches
        .iter()
        .zip(&observers)
        .map(|(watch, observer)| (watch.stage.clone(), Arc::clone(observer)))
        .collect();
    let is_sink =
        |name: &str| plan.stages.iter().any(|stage| stage.name == name && stage.kind == Kind::Sink);
    let tapped = by_name.iter().filter(|(name, _)| !is_sink(name));
    let taps: Taps = tapped
        .map(|(name, observer)| (name.clone(), Arc::clone(observer) as Arc<dyn Tap>))
        .collect();
    let plan = rehearsal(plan, case, &by_name);
    let (collected, control) = (Collected::default(), Control::new());
    // Receivers fail at times of the machine, so event time goes beside it there.
    let is_paced = !case.faults.is_empty();
    let speed = if is_paced { Speed::Factor(1.0) } else { Speed::Max };
    let clock = Clock::new(Some(case.now), speed, false);
    let around = Surroundings {
        clock,
        end: Some(case.end),
        events: None,
        dead_letters: DeadLetters::collected_by(collected.clone()),
        own_dead_letters: HashMap::new(),
        checkpoints: Checkpoints::off(),
        control: control.clone(),
        entries: match &case.input {
            Input::Events(entries) => Some(entries.clone()),
            Input::Source { .. } => None,
        },
        taps,
        observers: crate::monitor::Observers::default(),
    };
    let graph = Graph::wire(&plan, &around)?;
    let run = Run::new(graph, &around, DELIVERY_TIMEOUT);
    let monitor = run.monitor();
    let length = if is_paced { case.end.since(case.now) } else { Duration::ZERO };
    let report = tokio::time::timeout(length + DELIVERY_TIMEOUT, run.finish()).await;
    let failed = collected.found();
    let (errors, ended) = match report {
        // That a sink got nothing through is for the test to judge, as its letters are.
        Ok(_) if !failed.letters.is_empty() => (control.errors(), true),
        Ok(report) => (report.errors, true),
        Err(_) => (control.errors(), false),
    };
    let statistics = monitor.statistics();
    Ok(Seen { observers, failed, errors, ended, statistics })
}
