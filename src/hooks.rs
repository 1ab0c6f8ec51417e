//! The hooks of a spec: scripts that are called beside the stages, on a thread of their own.
//!
//! ```text
//! stages -> Observer -> queue -> thread -> script -> log, counts
//!           copies,     bounded  its own   sandbox
//!           or skips
//! ```

mod queue;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::event::{Batch, Event, Key};
use crate::failure::Failure;
use crate::monitor::{Fate, HookFigures, HookKind, Incident, MetricKind, Observer, StageMetrics};
use crate::problem::{Place, Problem, Problems};
use crate::script::{
    BATCH_SENT, Condition, ERROR, EVENT_GENERATED, Function, HookFailure, HookHost, HookMeasure,
    HookScript, Premises, seed_of,
};
use crate::spec::{Document, HookSettings, SecretTexts, WhenBehind};

use queue::Queue;

/// How long hooks may go on with what waits for them when the run has ended.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call may go on that is under way then: the sandbox ends it long before.
const LAST_CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// The functions, each at the place of its kind.
const FUNCTIONS: [Function; 3] = [EVENT_GENERATED, BATCH_SENT, ERROR];

/// The scripts of a spec, compiled.
pub struct HookScripts {
    /// Each at the place of its kind.
    scripts: [Option<HookScript>; 3],
    /// The events that `event_generated` is called for.
    when: Option<Condition>,
}

impl HookScripts {
    /// Compiles the scripts that a spec names. What they count and measure is recorded in `metrics`.
    /// The second part are warnings.
    pub fn compile(
        document: &Document,
        metrics: &StageMetrics,
    ) -> Result<(Self, Problems), Problems> {
        let mut problems = Problems::default();
        let host = host(metrics.clone());
        let seed = seed_of(document.value("/seed").as_u64().unwrap_or_default(), "hooks");
        let scripts = HookKind::ALL.map(|kind| {
            let (pointer, text) = setting(document, kind.name())?;
            let excerpt = document.script(&pointer, &text).map_err(Problems::from);
            let function = FUNCTIONS[kind as usize];
            let script =
                excerpt.and_then(|excerpt| HookScript::compile(excerpt, function, seed, &host));
            // A file with all three functions is compiled as often, and said to be wrong once.
            script.map_err(|found| extend(&mut problems, found)).ok()
        });
        let when = setting(document, "when").and_then(|(pointer, text)| {
            let condition = Condition::compile(&document.excerpt(&pointer, &text));
            condition.map_err(|found| problems.append(found)).ok()
        });
        if problems.has_errors() {
            return Err(problems);
        }
        problems.extend(when.iter().flat_map(|when| when.warnings().0.clone()));
        if when.is_some() && scripts[HookKind::EventGenerated as usize].is_none() {
            let problem = Problem::warning("`when` is for `event_generated`, which is not there");
            problems.push(problem.at(document.key_place("/hooks/when")));
        }
        let missing: Vec<Function> = FUNCTIONS
            .into_iter()
            .zip(&scripts)
            .filter(|(_, script)| script.is_none())
            .map(|(function, _)| function)
            .collect();
        for script in scripts.iter().flatten() {
            extend(&mut problems, Problems(script.never_called(&missing)));
        }
        Ok((Self { scripts, when }, problems))
    }

    /// Tries the scripts out, and says what is wrong with them. They print nothing from now on.
    /// `is_closed` says whether all sources make events of the contract, and no others.
    pub fn try_out(&mut self, document: &Document, is_closed: bool) -> Problems {
        let types = self.types();
        let place =
            |setting: &str| -> Option<Place> { document.place(&format!("/hooks{setting}")) };
        let premises = Premises { types, added: BTreeSet::new(), is_closed, place: &place };
        let mut problems = Problems::default();
        for script in self.scripts.iter_mut().flatten() {
            problems.append(script.try_out(&premises));
        }
        problems
    }

    /// The only types of events that `event_generated` does something for; none where neither it
    /// nor `when` says.
    fn types(&self) -> Option<BTreeSet<String>> {
        let own = self.scripts[HookKind::EventGenerated as usize].as_ref()?.types().cloned();
        let chosen = self.when.as_ref().and_then(Condition::types);
        let chosen = chosen.map(|types| types.iter().map(|key| key.as_str().to_owned()).collect());
        own.into_iter().chain(chosen).reduce(|one, two| &one & &two)
    }
}

/// The pointer of a setting, and its text; none where it is not there, or lacks a variable.
fn setting(document: &Document, name: &str) -> Option<(String, String)> {
    let pointer = format!("/hooks/{name}");
    let value = document.value(&pointer);
    let text = value.as_str().filter(|_| !document.is_unfilled(&pointer))?;
    Some((pointer, text.to_owned()))
}

fn extend(problems: &mut Problems, found: Problems) {
    for problem in found.0 {
        if !problems.0.contains(&problem) {
            problems.push(problem);
        }
    }
}

fn host(metrics: StageMetrics) -> HookHost {
    HookHost::new(move |measure, name, value| {
        let kind = match measure {
            HookMeasure::Count => MetricKind::Counter,
            HookMeasure::Gauge => MetricKind::Gauge,
        };
        let number = metrics.add(kind, name, "").map_err(|error| error.to_string())?;
        metrics.record(number, value);
        Ok(())
    })
}

/// Hands what happens in a run on to the thread of its hooks.
pub struct ScriptHooks {
    queue: Arc<Queue<Message>>,
    figures: HookFigures,
    /// Which hooks there are, each at the place of its kind.
    has: [bool; 3],
    /// The only types of events that are handed on; none for all.
    types: Option<Vec<Key>>,
    waits: bool,
    drain_timeout: Duration,
}

/// What hooks are told.
enum Message {
    /// A source has made this batch.
    Generated(Batch),
    /// A source has made these events, and others that nobody wants.
    Chosen(Vec<Event>),
    Sent(Box<str>, Batch),
    Failed(Box<Failed>),
}

struct Failed {
    stage: String,
    kind: &'static str,
    category: String,
    reason: String,
    event: Option<Event>,
    fate: Fate,
}

impl Message {
    fn hook(&self) -> HookKind {
        match self {
            Self::Generated(_) | Self::Chosen(_) => HookKind::EventGenerated,
            Self::Sent(..) => HookKind::BatchSent,
            Self::Failed(_) => HookKind::Error,
        }
    }

    /// How many calls it is for.
    fn calls(&self) -> u64 {
        match self {
            Self::Generated(batch) => batch.len() as u64,
            Self::Chosen(events) => events.len() as u64,
            Self::Sent(..) | Self::Failed(_) => 1,
        }
    }
}

impl ScriptHooks {
    /// Starts the thread for the hooks of a spec, if it has any. What their calls come to is entered
    /// in `figures`; when the run has ended they go on for `drain_timeout` at most.
    pub fn start(
        document: &Document,
        settings: &HookSettings,
        figures: &HookFigures,
        drain_timeout: Duration,
    ) -> Result<Option<Self>, Problems> {
        let (scripts, _) = HookScripts::compile(document, figures.metrics())
            .map_err(|problems| document.without_secrets(problems))?;
        let has = [0, 1, 2].map(|kind| scripts.scripts[kind].is_some());
        if !has.contains(&true) {
            return Ok(None);
        }
        let types = scripts.types().map(|names| {
            // A name that cannot be interned is no event's type.
            names.iter().filter_map(|name| Key::intern(name).ok()).collect()
        });
        let queue = Arc::new(Queue::new());
        let worker = Worker {
            queue: Arc::clone(&queue),
            figures: figures.clone(),
            secrets: document.secret_texts(),
            scripts,
        };
        std::thread::Builder::new()
            .name("hooks".to_owned())
            .spawn(move || worker.work())
            .map_err(|error| Problem::error(format!("cannot start a thread: {error}")))?;
        let waits = settings.when_behind == WhenBehind::Wait;
        Ok(Some(Self { queue, figures: figures.clone(), has, types, waits, drain_timeout }))
    }

    fn hand_on(&self, hook: HookKind, waits: bool, calls: u64, make: impl FnOnce() -> Message) {
        if !self.queue.push(hook, waits, make) {
            self.figures.skip(hook, calls);
        }
    }
}

impl Observer for ScriptHooks {
    fn generated(&self, _: &str, batch: &Batch) {
        let hook = HookKind::EventGenerated;
        if !self.has[hook as usize] {
            return;
        }
        let Some(types) = &self.types else {
            let calls = batch.len() as u64;
            return self
                .hand_on(hook, self.waits, calls, || Message::Generated(batch.without_tokens()));
        };
        let chosen = || batch.events().iter().filter(|event| types.contains(&event.event_type));
        let calls = chosen().count() as u64;
        if calls > 0 {
            self.hand_on(hook, self.waits, calls, || Message::Chosen(chosen().cloned().collect()));
        }
    }

    fn delivered(&self, sink: &str, batch: &Batch) {
        let hook = HookKind::BatchSent;
        if self.has[hook as usize] {
            let make = || Message::Sent(sink.into(), batch.without_tokens());
            self.hand_on(hook, self.waits, 1, make);
        }
    }

    fn failed(&self, incident: &Incident<'_>) {
        let hook = HookKind::Error;
        if !self.has[hook as usize] {
            return;
        }
        let Incident { stage, kind, category, reason, event, fate } = *incident;
        // What a stage fails with is told by whoever watches over the run, and that never waits.
        let waits = self.waits && fate != Fate::StageFailed;
        self.hand_on(hook, waits, 1, || {
            Message::Failed(Box::new(Failed {
                stage: stage.to_owned(),
                kind: kind.singular(),
                category: category.to_owned(),
                reason: reason.to_owned(),
                event: event.cloned(),
                fate,
            }))
        });
    }

    fn ended(&self) {
        self.queue.close();
        if self.queue.wait_for_end(self.drain_timeout) {
            return;
        }
        let left = self.queue.give_up();
        for message in &left {
            self.figures.skip(message.hook(), message.calls());
        }
        let has_ended = self.queue.wait_for_end(LAST_CALL_TIMEOUT);
        let seconds = self.drain_timeout.as_secs_f64();
        let calls: u64 = left.iter().map(Message::calls).sum();
        tracing::warn!(
            target: "engine::hook",
            calls,
            has_ended,
            "hooks were not through within {seconds} s after the run: what waited is skipped"
        );
    }
}

impl Drop for ScriptHooks {
    fn drop(&mut self) {
        // A run that was never finished leaves nothing to say.
        drop(self.queue.give_up());
    }
}

/// The thread of the hooks.
struct Worker {
    queue: Arc<Queue<Message>>,
    figures: HookFigures,
    secrets: SecretTexts,
    scripts: HookScripts,
}

impl Worker {
    fn work(mut self) {
        // Nobody may wait for a thread that is gone, however it went.
        let queue = Arc::clone(&self.queue);
        let _ending = Ending(&queue);
        while let Some(message) = queue.pop() {
            match message {
                Message::Generated(batch) => self.generated(batch.into_parts().0),
                Message::Chosen(events) => self.generated(events),
                Message::Sent(sink, batch) => {
                    self.call(HookKind::BatchSent, |script| script.batch_sent(&sink, &batch));
                }
                Message::Failed(failed) => self.failed(&failed),
            }
        }
    }

    fn generated(&mut self, events: Vec<Event>) {
        let hook = HookKind::EventGenerated;
        let mut left = events.len() as u64;
        for mut event in events {
            if self.queue.is_given_up() {
                return self.figures.skip(hook, left);
            }
            left -= 1;
            let is_chosen =
                self.scripts.when.as_mut().map_or(Ok(true), |when| when.is_true_of(&mut event));
            match is_chosen {
                Ok(true) => self.call(hook, |script| script.event_generated(&mut event)),
                Ok(false) => {}
                Err(failure) => {
                    self.figures.call(hook, 1);
                    self.figures.fail(hook, &failure.reason);
                }
            }
        }
    }

    fn failed(&mut self, failed: &Failed) {
        let reason = self.secrets.masked(&failed.reason);
        self.call(HookKind::Error, |script| {
            script.error(&HookFailure {
                stage: &failed.stage,
                kind: failed.kind,
                category: &failed.category,
                reason: &reason,
                fate: failed.fate.name(),
                event: failed.event.as_ref(),
            })
        });
    }

    fn call(&mut self, hook: HookKind, call: impl FnOnce(&mut HookScript) -> Result<(), Failure>) {
        let Some(script) = &mut self.scripts.scripts[hook as usize] else { return };
        self.figures.call(hook, 1);
        if let Err(failure) = call(script) {
            self.figures.fail(hook, &failure.reason);
        }
    }
}

struct Ending<'a>(&'a Queue<Message>);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        drop(self.0.give_up());
        self.0.end();
    }
}

#[cfg(test)]
mod tests;
