//! THE FLOW: YAML text -> Spec -> Plan -> Graph -> run -> drain -> Report.

mod probe;
mod replay;
mod succession;
mod watchers;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::checkpoint::{Checkpoints, Snapshot, SnapshotFile};
use crate::clock::{Clock, Speed};
use crate::component::Component;
use crate::control::Control;
use crate::dead_letter::DeadLetters;
use crate::file_lock::FileLock;
use crate::graph::{Graph, Surroundings, Tap, Taps};
use crate::monitor::{Health, Hook, Observer, Observers, Statistics};
use crate::plan::{Plan, PlannedStage};
use crate::plugin::Search;
use crate::problem::{Problem, Problems};
use crate::registry::available;
use crate::runtime::{Limits, Monitor, Report, Run, Threads};
use crate::server::{Listener, Token};
use crate::spec::{DeadLetterSettings, Document, Environment, SpecDuration, StateSettings};

use watchers::Watchers;

pub use replay::{Outlook, Replay, ReplayError, Replayed};
pub use succession::{Changes, Succession};

/// How long a stopped run may drain before it is given up.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a state is written that is only there to be handed over: hardly ever before the end.
const HAND_OVER_INTERVAL: Duration = Duration::from_hours(24);

/// A pipeline that was checked as a whole and can run.
pub struct Engine {
    plan: Plan,
    warnings: Problems,
    drain_timeout: Duration,
    reset_state: bool,
    taps: Taps,
    observers: Observers,
    token: Option<Token>,
    /// Where it will be served, if that address was taken before the run is wired.
    listener: Mutex<Option<Listener>>,
}

impl Engine {
    /// The pipeline in a file. Its components are the built-in ones, and those of the plugins that
    /// the spec or the variable `ENGINE_PLUGIN_PATH` names.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Problems> {
        Self::open(Document::read(path.as_ref(), &Environment::of_process())?)
    }

    /// The pipeline in a text, with the same components; its paths are relative to the working
    /// directory.
    pub fn from_yaml(text: &str) -> Result<Self, Problems> {
        let environment = Environment::of_process();
        Self::open(Document::parse("<yaml>", text, Path::new("."), &environment)?)
    }

    fn open(mut document: Document) -> Result<Self, Problems> {
        let components = available(&mut document, &Search::of_process());
        Self::new(document, &components)
    }

    /// The pipeline in a document, with these components.
    pub fn new(document: Document, components: &[Component]) -> Result<Self, Problems> {
        let (plan, warnings) = Plan::new(document, components)?;
        let drain_timeout = DRAIN_TIMEOUT;
        Ok(Self {
            plan,
            warnings,
            drain_timeout,
            reset_state: false,
            taps: Taps::new(),
            observers: Observers::default(),
            token: None,
            listener: Mutex::default(),
        })
    }

    /// Lets it run for so much event time, whatever the spec says about its end.
    #[must_use]
    pub fn with_duration(mut self, duration: Duration) -> Self {
        let clock = &mut self.plan.spec.clock;
        clock.duration = Some(SpecDuration(duration));
        (clock.until, clock.events) = (None, None);
        self
    }

    /// How long it may drain when it is stopped, instead of [`DRAIN_TIMEOUT`].
    #[must_use]
    pub fn with_drain_timeout(self, drain_timeout: Duration) -> Self {
        Self { drain_timeout, ..self }
    }

    /// Forgets what the stages of earlier runs remember, and begins anew.
    #[must_use]
    pub fn with_reset_state(self, reset_state: bool) -> Self {
        Self { reset_state, ..self }
    }

    /// Keeps what the stages remember in a file, whatever the spec says, so that another engine can
    /// take over when this one is stopped.
    #[must_use]
    pub fn with_state(mut self, path: impl Into<PathBuf>) -> Self {
        let interval = SpecDuration(HAND_OVER_INTERVAL);
        self.plan.spec.state = Some(StateSettings { path: path.into(), interval });
        self
    }

    /// Lets someone see what goes in and out of a stage.
    #[must_use]
    pub fn with_tap(mut self, stage: &str, tap: Arc<dyn Tap>) -> Self {
        self.taps.insert(stage.to_owned(), tap);
        self
    }

    /// Serves the live page, statistics, health and metrics at an address such as `127.0.0.1:8080`,
    /// whatever the spec says.
    #[must_use]
    pub fn with_http(mut self, address: &str) -> Self {
        self.plan.spec.monitoring.http = Some(address.to_owned());
        self
    }

    /// What who changes something over HTTP has to know, where the spec does not say.
    #[must_use]
    pub fn with_token(self, token: Token) -> Self {
        Self { token: Some(token), ..self }
    }

    /// Lets someone know what happens.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Calls a hook with what the run makes, delivers and fails on.
    #[must_use]
    pub fn with_hook(mut self, hook: impl Hook + 'static) -> Self {
        self.observers.push_hook(hook);
        self
    }

    /// What was checked.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What was checked, to do something else with it.
    pub fn into_plan(self) -> Plan {
        self.plan
    }

    /// What does not keep it from running, but is hardly meant.
    pub fn warnings(&self) -> &Problems {
        &self.warnings
    }

    /// Takes the address at which the next run is served, if the spec names one; else
    /// [`Self::prepare`] does. What is wrong here is not the spec: it may be free a moment later.
    pub fn listen(&self) -> Result<(), Problems> {
        let listener = Listener::bind(&self.plan)?;
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = listener;
        Ok(())
    }

    /// Wires the pipeline; event time begins now. Belongs in a tokio runtime.
    pub fn prepare(&self, control: Control) -> Result<Run, Problems> {
        let settings = &self.plan.spec.clock;
        let lock = self.lock_state()?;
        let before = self.snapshot()?;
        let clock = self.clock(before.as_ref());
        let Watchers { taps, observers, server } = self.watchers(&clock)?;
        let leg = before.as_ref().map_or(clock.start(), Snapshot::next_leg);
        let checkpoints = self.checkpoints(lock, before, &clock)?;
        let around = Surroundings {
            end: settings.end(leg),
            events: settings.events,
            dead_letters: self.dead_letters(clock.clone()),
            own_dead_letters: self.own_dead_letters(&clock),
            checkpoints: checkpoints.clone(),
            control,
            entries: None,
            taps,
            observers,
            clock,
        };
        for letters in around.own_dead_letters.values().chain([&around.dead_letters]) {
            checkpoints.sync_before(letters.clone());
        }
        let graph = Graph::wire(&self.plan, &around)?;
        self.refuse_misfits(&checkpoints.misfits())?;
        let monitoring = &self.plan.spec.monitoring;
        let limits =
            Limits { max_memory_bytes: monitoring.max_memory_bytes, max_cpu: monitoring.max_cpu };
        let run = Run::new(graph, &around, self.drain_timeout).with_limits(limits).recorded();
        Ok(match server {
            Some(server) => {
                let run = run.served_at(server.address());
                let serving = server.serve(run.monitor(), around.control.clone());
                run.beside(serving)
            }
            None => run,
        })
    }

    /// Event time begins where the spec says, or goes on from where it was. Where it is the wall's,
    /// it catches up with that.
    fn clock(&self, before: Option<&Snapshot>) -> Clock {
        let settings = &self.plan.spec.clock;
        let speed = settings.speed.into();
        let Some(before) = before else {
            return Clock::new(settings.start, speed, settings.catch_up);
        };
        let is_live = settings.start.is_none() && speed == Speed::Factor(1.0);
        Clock::new(Some(before.start), speed, settings.catch_up || is_live)
            .going_on_from(before.time)
    }

    /// Keeps other engines from the state, before it is looked at.
    fn lock_state(&self) -> Result<Option<FileLock>, Problems> {
        let settings = self.plan.spec.state.as_ref();
        let lock = settings.map(|settings| SnapshotFile::new(&settings.path).lock());
        lock.transpose().map_err(|error| self.state_problem(error))
    }

    /// What the run before this one left.
    fn snapshot(&self) -> Result<Option<Snapshot>, Problems> {
        let Some(settings) = &self.plan.spec.state else { return Ok(None) };
        let file = SnapshotFile::new(&settings.path);
        if self.reset_state {
            file.remove().map_err(|error| self.state_problem(error))?;
        }
        let before = file.read().map_err(|error| self.stale(error))?;
        match before {
            Some(before) if before.identity != self.plan.identity() => {
                let path = settings.path.display();
                Err(self.stale(format!(
                    "the state `{path}` is of another spec: of {}, and this one has {}",
                    before.identity,
                    self.plan.identity()
                )))
            }
            before => Ok(before),
        }
    }

    fn checkpoints(
        &self,
        lock: Option<FileLock>,
        before: Option<Snapshot>,
        clock: &Clock,
    ) -> Result<Checkpoints, Problems> {
        let (Some(settings), Some(lock)) = (&self.plan.spec.state, lock) else {
            return Ok(Checkpoints::off());
        };
        let before = before.unwrap_or_else(|| Snapshot::new(clock.start(), self.plan.identity()));
        Checkpoints::new(SnapshotFile::new(&settings.path), lock, settings.interval.0, before)
            .map_err(|error| self.state_problem(error))
    }

    fn refuse_misfits(&self, misfits: &[String]) -> Result<(), Problems> {
        let Some(settings) = self.plan.spec.state.as_ref().filter(|_| !misfits.is_empty()) else {
            return Ok(());
        };
        let (path, misfits) = (settings.path.display(), misfits.join(", "));
        Err(self.stale(format!("the state `{path}` is of another version of the spec: {misfits}")))
    }

    fn stale(&self, message: String) -> Problems {
        let problem = Problem::error(message).at(self.plan.document.key_place("/state"));
        problem.help("begin anew with `--reset-state`, or name another `path`").into()
    }

    fn state_problem(&self, message: String) -> Problems {
        Problem::error(message).at(self.plan.document.key_place("/state")).into()
    }

    /// The file of the dead letters, unless they are off.
    pub fn dead_letter_path(&self) -> Option<PathBuf> {
        self.plan.dead_letter_path()
    }

    /// The files of the dead letters: the pipeline's, and those that sinks have of their own.
    pub fn dead_letter_paths(&self) -> Vec<PathBuf> {
        let own = self.plan.stages.iter().filter_map(|stage| stage.delivery.dead_letter.as_ref());
        let own = own.filter(|settings| settings.enabled);
        let own = own.filter_map(|settings| settings.path.clone());
        let mut paths = Vec::new();
        for path in self.dead_letter_path().into_iter().chain(own) {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        paths
    }

    fn dead_letters(&self, clock: Clock) -> DeadLetters {
        self.letters(self.dead_letter_path(), &self.plan.spec.dead_letter, clock)
    }

    /// The dead letters of sinks that do not share the pipeline's, by their names.
    fn own_dead_letters(&self, clock: &Clock) -> HashMap<String, DeadLetters> {
        let own = |stage: &PlannedStage| {
            let settings = stage.delivery.dead_letter.as_ref()?;
            let letters =
                self.letters(self.plan.own_dead_letter_path(stage), settings, clock.clone());
            Some((stage.name.clone(), letters))
        };
        self.plan.stages.iter().filter_map(own).collect()
    }

    fn letters(
        &self,
        path: Option<PathBuf>,
        settings: &DeadLetterSettings,
        clock: Clock,
    ) -> DeadLetters {
        let Some(path) = path else { return DeadLetters::off() };
        let hash = self.plan.document.hash();
        DeadLetters::new(path, settings.max_events, settings.when_full, hash, clock)
    }

    /// Runs in the current runtime, until the pipeline ends or `control` stops it.
    pub async fn run(&self, control: Control) -> Result<Report, Problems> {
        Ok(self.prepare(control)?.finish().await)
    }

    /// Runs in threads of its own.
    pub fn start(self) -> Result<Session, Problems> {
        let control = Control::new();
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let runs_with = control.clone();
        let thread = std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || {
                let threads = Threads::new().map_err(no_thread)?;
                let run = {
                    let _inside = threads.stages().enter();
                    self.prepare(runs_with)?
                };
                // Whoever started the run waits for this.
                let _ = ready.send(run.monitor());
                Ok(threads.block_on(run.finish()))
            })
            .map_err(no_thread)?;
        match started.recv() {
            Ok(monitor) => Ok(Session { control, monitor, thread: Some(thread) }),
            Err(_) => Err(join(thread).err().unwrap_or_default()),
        }
    }
}

/// A pipeline that runs beside the program. Dropping it stops and drains it.
pub struct Session {
    control: Control,
    monitor: Monitor,
    /// None once it was waited for.
    thread: Option<JoinHandle<Result<Report, Problems>>>,
}

impl Session {
    /// The figures now.
    pub fn statistics(&self) -> Statistics {
        self.monitor.statistics()
    }

    /// Whether all stages are well.
    pub fn health(&self) -> Health {
        self.monitor.health()
    }

    /// Where the live page, statistics, health and metrics are served, if the spec says so.
    pub fn address(&self) -> Option<SocketAddr> {
        self.monitor.address()
    }

    /// Stops or aborts the run from elsewhere.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Waits until the pipeline ends by itself, or is stopped from elsewhere.
    pub fn wait(mut self) -> Report {
        self.join()
    }

    /// Stops the sources, drains, and reports.
    pub fn stop(mut self) -> Report {
        self.control.stop();
        self.join()
    }

    fn join(&mut self) -> Report {
        let report = self.thread.take().map(join);
        match report {
            Some(Ok(report)) => report,
            _ => unreachable!("a session is joined once, and was prepared without problems"),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.control.stop();
        if let Some(thread) = self.thread.take() {
            // The report is not asked for, and a panic was the run's own.
            let _ = thread.join();
        }
    }
}

fn join(thread: JoinHandle<Result<Report, Problems>>) -> Result<Report, Problems> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` asks for")]
fn no_thread(error: std::io::Error) -> Problems {
    Problem::error(format!("cannot start a thread: {error}")).into()
}

#[cfg(test)]
mod tests;
