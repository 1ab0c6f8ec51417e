//! Hooks: functions of a script that are told what happens in a run. They print, count and remember,
//! and change nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use rhai::{ASTNode, Dynamic, Engine, Expr, FuncArgs, Map, Stmt};

use super::check::{alone, property_of, walk};
use super::compile::place;
use super::condition::types::guarded;
use super::hook_events::{self, EventsHandle};
use super::trial::all_samples;
use super::values::{ScriptResult, text_to_rhai};
use super::{
    EventHandle, Function, PayloadFields, Premises, Runner, Sandbox, Script, StateHandle, body,
    fuse,
};
use crate::event::{Batch, Event, Timestamp};
use crate::failure::Failure;
use crate::problem::{Excerpt, Problem, Problems};

/// Called for each event that a source makes.
pub const EVENT_GENERATED: Function =
    Function { name: "event_generated", parameters: &["event"], required: true };
/// Called for each batch that a sink's receiver has taken.
pub const BATCH_SENT: Function =
    Function { name: "batch_sent", parameters: &["events"], required: true };
/// Called for each failure.
pub const ERROR: Function =
    Function { name: "error", parameters: &["error", "context"], required: true };

/// What the hooks of a run share: what they remember, and where they count. Copies are the same.
#[derive(Clone)]
pub struct HookHost {
    state: StateHandle,
    measure: Measure,
}

type Measure = Arc<dyn Fn(HookMeasure, &str, f64) -> Result<(), MeasureError> + Send + Sync>;

/// Why something cannot be measured.
pub type MeasureError = String;

/// What a hook measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookMeasure {
    /// How often, or how much in all.
    Count,
    /// How much at the moment.
    Gauge,
}

/// What went wrong, as a hook is told of it.
#[derive(Clone, Copy, Debug)]
pub struct HookFailure<'a> {
    /// The stage in which it did.
    pub stage: &'a str,
    /// The stage's kind.
    pub kind: &'a str,
    /// What happened, for counting.
    pub category: &'a str,
    /// What happened, for reading.
    pub reason: &'a str,
    /// What comes of it.
    pub fate: &'a str,
    /// The event that it happened to.
    pub event: Option<&'a Event>,
}

/// One hook of a spec: a script, and which of its functions is called.
pub struct HookScript {
    function: Function,
    runner: Runner,
    excerpt: Arc<Excerpt>,
    fields: Arc<PayloadFields>,
    types: Option<BTreeSet<String>>,
    defined: Vec<String>,
    event: EventHandle,
    state: StateHandle,
}

impl HookHost {
    /// Nothing remembered yet; what hooks count and measure goes to `measure`.
    pub fn new(
        measure: impl Fn(HookMeasure, &str, f64) -> Result<(), MeasureError> + Send + Sync + 'static,
    ) -> Self {
        Self { state: StateHandle::default(), measure: Arc::new(measure) }
    }

    /// Gives scripts `state`, `count` and `gauge`, and teaches them what `events` is.
    pub(super) fn register(&self, engine: &mut Engine) {
        hook_events::register(engine);
        let state = self.state.clone();
        engine.register_fn("state", move || state.clone());
        let count = Arc::clone(&self.measure);
        engine.register_fn("count", move |name: &str| {
            of_script(&count, HookMeasure::Count, name, 1.0)
        });
        let count = Arc::clone(&self.measure);
        engine.register_fn("count", move |name: &str, by: i64| {
            of_script(&count, HookMeasure::Count, name, by as f64)
        });
        let count = Arc::clone(&self.measure);
        engine.register_fn("count", move |name: &str, by: f64| {
            of_script(&count, HookMeasure::Count, name, by)
        });
        let gauge = Arc::clone(&self.measure);
        engine.register_fn("gauge", move |name: &str, value: i64| {
            of_script(&gauge, HookMeasure::Gauge, name, value as f64)
        });
        let gauge = Arc::clone(&self.measure);
        engine.register_fn("gauge", move |name: &str, value: f64| {
            of_script(&gauge, HookMeasure::Gauge, name, value)
        });
    }
}

/// Records what a script measures. What the metrics would leave out in silence is an error here.
fn of_script(measure: &Measure, what: HookMeasure, name: &str, value: f64) -> ScriptResult<()> {
    if what == HookMeasure::Count && value < 0.0 {
        return Err(format!("`count` adds 0 or more, and not {value}").into());
    }
    if !value.is_finite() {
        return Err(format!("`{name}` cannot be {value}").into());
    }
    Ok(measure(what, name, value)?)
}

impl HookScript {
    /// Compiles a script for one of the functions above. Random numbers derive from `seed`.
    pub fn compile(
        excerpt: Excerpt,
        function: Function,
        seed: u64,
        host: &HookHost,
    ) -> Result<Self, Problems> {
        let mut sandbox = Sandbox::new(seed).of_hook(function.name);
        host.register(&mut sandbox.engine);
        let script = Script::compile(excerpt, sandbox, &[function])?;
        let problems = changes(&script, function);
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        let parameters = function.parameters.len();
        let types = guarded(&body::statements(&script.ast, function.name, parameters));
        Ok(Self {
            function,
            types,
            excerpt: Arc::clone(&script.excerpt),
            fields: script.payload_fields(),
            defined: script.ast.iter_functions().map(|found| found.name.to_owned()).collect(),
            runner: Runner::new(script),
            event: EventHandle::new(false),
            state: host.state.clone(),
        })
    }

    /// The only types of events for which the function does something: it begins with
    /// `if event.event_type == ...`, and there is nothing else. None where it does not say.
    pub fn types(&self) -> Option<&BTreeSet<String>> {
        self.types.as_ref()
    }

    /// Calls `event_generated` with an event, which is lent and comes back as it was.
    pub fn event_generated(&mut self, event: &mut Event) -> Result<(), Failure> {
        self.event.swap(event);
        let called = self.call((self.event.clone(),));
        self.event.swap(event);
        called
    }

    /// Calls `batch_sent` with the events that a sink's receiver has taken.
    pub fn batch_sent(&mut self, sink: &str, batch: &Batch) -> Result<(), Failure> {
        self.call((EventsHandle::new(sink, batch),))
    }

    /// Calls `error` with what went wrong.
    pub fn error(&mut self, failure: &HookFailure<'_>) -> Result<(), Failure> {
        self.call((failure.reason.to_owned(), context(failure)))
    }

    /// What the function has remembered stays only where it did not fail.
    fn call(&mut self, arguments: impl FuncArgs) -> Result<(), Failure> {
        let called = self.runner.call(self.function.name, arguments);
        match &called {
            Ok(_) => self.state.keep_changes(),
            Err(_) => self.state.undo_changes(),
        }
        called.map(drop)
    }

    /// Tries the function out, and says what is wrong with it. It prints nothing from now on.
    pub fn try_out(&mut self, premises: &Premises<'_>) -> Problems {
        let name = self.function.name;
        let types = premises.types.as_ref();
        let mut trial = self.runner.trial(&self.fields, types, premises);
        match name {
            "event_generated" => trial.on_events(name, |event| {
                self.event_generated(&mut event.clone())
                    .map_err(|failure| self.runner.mishap(name, &failure))
            }),
            "batch_sent" => {
                let batch = Batch::new(all_samples(), Timestamp::MAX, None);
                let called = self.batch_sent("hub", &batch);
                let called = called.map_err(|failure| self.runner.mishap(name, &failure));
                trial.of_calls(name, "a batch of events of all types", vec![called]);
            }
            _ => {
                let events = all_samples();
                let failed = [events.first(), None].map(|event| {
                    let (category, fate) = ("timeout", "retried");
                    let (kind, reason) = ("sink", "no answer within 30 s");
                    let failure = HookFailure { stage: "hub", kind, category, reason, fate, event };
                    self.error(&failure).map_err(|failure| self.runner.mishap(name, &failure))
                });
                trial.of_calls(
                    name,
                    "a failure of a sink, with an event and without",
                    failed.into(),
                );
            }
        }
        trial.into_problems()
    }

    /// A warning for each of these functions that the script has, too.
    pub fn never_called(&self, others: &[Function]) -> Vec<Problem> {
        let is_here = |other: &&Function| self.defined.iter().any(|name| name == other.name);
        let warning = |other: &Function| {
            let place = super::compile::function_place(&self.excerpt, other.name);
            let problem = Problem::warning(format!("`{}` is never called", other.name)).at(place);
            problem.help(format!("add `{}` below `hooks`, with this script", other.name))
        };
        others.iter().filter(is_here).map(warning).collect()
    }
}

/// `context` in scripts.
fn context(failure: &HookFailure<'_>) -> Map {
    let HookFailure { stage, kind, category, fate, event, .. } = *failure;
    let mut context: Map =
        [("stage", stage), ("kind", kind), ("category", category), ("fate", fate)]
            .into_iter()
            .map(|(name, text)| (name.into(), Dynamic::from(text.to_owned())))
            .collect();
    let of_event = |read: fn(&Event) -> Dynamic| event.map_or(Dynamic::UNIT, read);
    context.insert("trace_id".into(), of_event(|event| text_to_rhai(&event.trace_id)));
    context.insert("event_type".into(), of_event(|event| event.event_type.as_str().into()));
    context
        .insert("event".into(), of_event(|event| Dynamic::from(EventHandle::seen(event.clone()))));
    context
}

/// Places where the function changes its event. What is hidden better fails when it runs.
fn changes(script: &Script, function: Function) -> Vec<Problem> {
    let Some(number) = function.parameters.iter().position(|name| *name == "event") else {
        return Vec::new();
    };
    let alone = alone(&script.ast, function.name, function.parameters.len());
    let Some((alone, parameters)) = alone else { return Vec::new() };
    let event = &parameters[number];
    let mut problems = Vec::new();
    if fuse::is_redefined(&alone, event) {
        return problems;
    }
    walk(&alone, |node| {
        let ASTNode::Stmt(Stmt::Assignment(assignment)) = node else { return };
        let changed: &Expr = &assignment.1.lhs;
        if let Some((name, position)) = property_of(changed, event) {
            let place = place(&script.excerpt, position, name.chars().count());
            let problem = Problem::error("a hook cannot change the event").at(place);
            problems.push(problem.help("an enricher of type `rhai` can"));
        }
    });
    problems
}

#[cfg(test)]
mod tests;
