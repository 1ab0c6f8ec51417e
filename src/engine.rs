//! THE FLOW: YAML text -> Spec -> Plan -> Graph -> run -> drain -> Report.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::Clock;
use crate::component::Component;
use crate::control::Control;
use crate::dead_letter::DeadLetters;
use crate::graph::{Graph, Surroundings};
use crate::monitor::{Health, Statistics};
use crate::plan::Plan;
use crate::problem::{Problem, Problems};
use crate::registry::built_in;
use crate::runtime::{Monitor, Report, Run};
use crate::spec::{Document, Environment, SpecDuration};

/// How long a stopped run may drain before it is given up.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// A pipeline that was checked as a whole and can run.
pub struct Engine {
    plan: Plan,
    warnings: Problems,
    drain_timeout: Duration,
}

impl Engine {
    /// The pipeline in a file.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Problems> {
        Self::new(Document::read(path.as_ref(), &Environment::of_process())?, &built_in())
    }

    /// The pipeline in a text; its paths are relative to the working directory.
    pub fn from_yaml(text: &str) -> Result<Self, Problems> {
        let environment = Environment::of_process();
        Self::new(Document::parse("<yaml>", text, Path::new("."), &environment)?, &built_in())
    }

    /// The pipeline in a document, with these components.
    pub fn new(document: Document, components: &[Component]) -> Result<Self, Problems> {
        let (plan, warnings) = Plan::new(document, components)?;
        Ok(Self { plan, warnings, drain_timeout: DRAIN_TIMEOUT })
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

    /// What was checked.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What does not keep it from running, but is hardly meant.
    pub fn warnings(&self) -> &Problems {
        &self.warnings
    }

    /// Wires the pipeline; event time begins now. Belongs in a tokio runtime.
    pub fn prepare(&self, control: Control) -> Result<Run, Problems> {
        let settings = &self.plan.spec.clock;
        let clock = Clock::new(settings.start, settings.speed.into(), settings.catch_up);
        let around = Surroundings {
            clock,
            end: settings.end(clock.start()),
            events: settings.events,
            dead_letters: self.dead_letters(clock),
            control: control.clone(),
        };
        let graph = Graph::wire(&self.plan, &around)?;
        Ok(Run::new(graph, clock, control, self.drain_timeout))
    }

    /// The file of the dead letters, unless they are off.
    pub fn dead_letter_path(&self) -> Option<PathBuf> {
        let settings = &self.plan.spec.dead_letter;
        let file = || Path::new("dead_letters").join(format!("{}.ndjson", self.plan.name()));
        settings.enabled.then(|| settings.path.clone().unwrap_or_else(file))
    }

    fn dead_letters(&self, clock: Clock) -> DeadLetters {
        let Some(path) = self.dead_letter_path() else { return DeadLetters::off() };
        let settings = &self.plan.spec.dead_letter;
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
                let runtime = tokio::runtime::Runtime::new().map_err(no_thread)?;
                let report = runtime.block_on(async {
                    let run = self.prepare(runs_with)?;
                    // Whoever started the run waits for this.
                    let _ = ready.send(run.monitor());
                    Ok(run.finish().await)
                });
                runtime.shutdown_background();
                report
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
