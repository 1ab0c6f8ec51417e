//! `--watch`: the pipeline is loaded again whenever a file of it changes; a wrong one does not take
//! the place of the one that runs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use engine::control::{Control, Phase};
use engine::engine::{Changes, Engine, Succession};
use engine::problem::{Problem, Problems};
use engine::runtime::{Report, Threads};
use tokio::runtime::Handle;

use super::export::Export;
use super::report_file::ReportFile;
use super::{RunArguments, cannot_start, drive, heed, load, prepare, tell};
use crate::cli::watched_files::Files;
use crate::cli::{CommandError, CommandResult, Exit, OutputArguments, terminal};

/// Runs until a signal ends it, whatever the files become meanwhile.
pub(super) fn run(arguments: &RunArguments, output: &OutputArguments) -> CommandResult {
    if arguments.file.as_os_str() == "-" {
        let problem = Problem::error("stdin cannot be watched");
        return Err(problem.help("put the pipeline into a file").into());
    }
    let report_file = arguments.report.as_deref().map(ReportFile::new).transpose()?;
    let hand_over = HandOver::new();
    let threads = Threads::new().map_err(cannot_start)?;
    let (stages, files) = (threads.stages().clone(), Files::default());
    let (served_at, changed) = (None, vec![]);
    let mut watch = Watch { arguments, output, hand_over, stages, files, served_at, changed };
    let first = watch.load()?;
    first.listen().map_err(CommandError::Failed)?;
    let (report, engine) = threads.block_on(watch.runs(first))?;
    if let Some(file) = report_file {
        file.write(&report)?;
    }
    tell(&report, &engine, output);
    Ok(if report.is_success() { Exit::Done } else { Exit::Failed })
}

struct Watch<'a> {
    arguments: &'a RunArguments,
    output: &'a OutputArguments,
    hand_over: HandOver,
    /// Where the stages of a version run.
    stages: Handle,
    files: Files,
    /// Where the version that runs is served.
    served_at: Option<SocketAddr>,
    /// Files that were changed since the version that runs was loaded.
    changed: Vec<PathBuf>,
}

/// A pipeline that was found sound after files were changed.
struct Next {
    engine: Engine,
    files: Vec<PathBuf>,
}

impl Watch<'_> {
    /// Runs one version after the other. Returns the report of the last one.
    async fn runs(&mut self, first: Engine) -> Result<(Report, Engine), Problems> {
        let all = Control::new();
        heed(all.clone())
            .map_err(|error| Problem::error(format!("cannot wait for signals: {error}")))?;
        let mut engine = first.with_reset_state(self.arguments.reset_state);
        let mut is_first = true;
        loop {
            let (report, next) = match self.one(&engine, &all).await {
                Ok((report, next)) => (Some(report), next),
                Err(problems) if is_first => return Err(problems),
                Err(problems) => {
                    terminal::report(&problems);
                    (None, None)
                }
            };
            is_first = false;
            let has_ended = next.is_none();
            let next = match (next, report) {
                (_, Some(report)) if all.phase() >= Phase::Draining => return Ok((report, engine)),
                (Some(next), Some(report)) => {
                    if !report.is_success() {
                        tell(&report, &engine, self.output);
                    }
                    next
                }
                (_, report) => {
                    if let Some(report) = &report {
                        tell(report, &engine, self.output);
                    }
                    self.say("waiting for a change");
                    tokio::select! {
                        next = self.next(&engine, false) => next,
                        () = all.reached(Phase::Draining) => match report {
                            Some(report) => return Ok((report, engine)),
                            None => return Err(Problem::error("no run was going on").into()),
                        },
                    }
                }
            };
            self.hand_on(&engine, &next, has_ended);
            engine = next.engine;
        }
    }

    /// Lets a version run until it ends, a signal comes, or another version takes over.
    async fn one(
        &mut self,
        engine: &Engine,
        all: &Control,
    ) -> Result<(Report, Option<Next>), Problems> {
        let control = Control::new();
        let export = Export::start(engine)?;
        let run = prepare(engine, control.clone(), &self.stages)?;
        self.served_at = run.monitor().address();
        let checkpoints = run.checkpoints();
        let is_kept = !self.hand_over.is_of(engine);
        let relay = async {
            all.reached(Phase::Draining).await;
            if !is_kept {
                checkpoints.end_for_good();
            }
            control.stop();
            all.reached(Phase::Keeping).await;
            control.keep();
            all.reached(Phase::Aborted).await;
            control.abort();
            std::future::pending::<()>().await;
        };
        tokio::pin!(relay);
        let running = drive(run, engine, export, self.output);
        tokio::pin!(running);
        let next = tokio::select! {
            report = &mut running => return Ok((report, None)),
            next = self.next(engine, true) => Some(next),
            () = all.reached(Phase::Draining) => None,
        };
        if next.is_some() {
            control.stop();
        }
        tokio::select! {
            report = &mut running => Ok((report, next)),
            () = &mut relay => unreachable!("it waits for ever"),
        }
    }

    /// Waits for a version that is sound and another one. What is wrong is told.
    async fn next(&mut self, before: &Engine, is_running: bool) -> Next {
        loop {
            for file in self.files.changed().await {
                if !self.changed.contains(&file) {
                    self.changed.push(file);
                }
            }
            let engine = self.load();
            let is_same =
                |engine: &Engine| engine.changes_since(before.plan(), &self.changed).is_empty();
            if is_running && engine.as_ref().is_ok_and(is_same) {
                self.changed.clear();
                self.say("nothing has changed that matters, and the run goes on");
                continue;
            }
            match engine.and_then(|engine| self.with_address(engine, is_running)) {
                Ok(engine) => return Next { engine, files: std::mem::take(&mut self.changed) },
                Err(problems) => {
                    terminal::report(&problems);
                    if is_running {
                        self.say("the run goes on with what was right before");
                    }
                }
            }
        }
    }

    /// Takes the address of a version before the one that runs ends for it. The port at which that
    /// one is served is free only then.
    fn with_address(&self, engine: Engine, is_running: bool) -> Result<Engine, Problems> {
        let address = engine.plan().spec.monitoring.http.as_deref();
        let port = address.and_then(|address| address.rsplit_once(':')?.1.parse().ok());
        let own = self.served_at.filter(|_| is_running).map(|address| address.port());
        if own.is_none() || own != port {
            engine.listen()?;
        }
        Ok(engine)
    }

    /// The pipeline as the files are now, which are watched from now on.
    fn load(&mut self) -> Result<Engine, Problems> {
        let (environment, engine) = load(self.arguments, self.output);
        let files = environment.files_read();
        let engine = match engine {
            Ok(engine) => {
                self.files.follow(files);
                engine
            }
            Err(problems) => {
                self.files.add(files);
                return Err(problems);
            }
        };
        Ok(match &engine.plan().spec.state {
            Some(_) => engine,
            None => engine.with_state(self.hand_over.path()),
        })
    }

    /// Gives the state of a version to the next one, and says what becomes of it. A run that had
    /// ended begins again, unless the spec says that its state is kept.
    fn hand_on(&self, before: &Engine, next: &Next, has_ended: bool) {
        let changes = next.engine.changes_since(before.plan(), &next.files);
        let what = describe(&changes);
        if has_ended && self.hand_over.is_of(&next.engine) {
            self.hand_over.forget();
            return self.say(&format!("reloaded, from the beginning: {what}"));
        }
        match next.engine.take_over(before.plan(), &next.files) {
            Ok(Succession::GoesOn { anew }) if anew.is_empty() => {
                self.say(&format!("reloaded: {what}"));
            }
            Ok(Succession::GoesOn { anew }) => {
                let anew = anew.join(", ");
                self.say(&format!("reloaded: {what}; forgotten: what {anew} remembered"));
            }
            Ok(Succession::BeginsAgain) => {
                self.say(&format!("reloaded, from the beginning: {what}"));
            }
            Err(problems) => terminal::report(&problems),
        }
    }

    fn say(&self, text: &str) {
        let file = self.arguments.file.display();
        if crate::cli::log::is_json() {
            tracing::info!("{file}: {text}");
        } else if self.output.quiet == 0 {
            terminal::note(&format!("{file}: {text}"));
        }
    }
}

/// `high_value changed, rush is new`
fn describe(changes: &Changes) -> String {
    let Changes { changed, new, gone, others } = changes;
    let kinds = [(changed, "changed"), (new, "new"), (gone, "gone")];
    let named = kinds.iter().filter(|(names, _)| !names.is_empty());
    let mut parts: Vec<String> =
        named.map(|(names, what)| format!("{} {what}", names.join(", "))).collect();
    if *others {
        parts.push("settings of the run changed".to_owned());
    }
    if parts.is_empty() { "nothing changed".to_owned() } else { parts.join("; ") }
}

/// Where a run leaves what its stages remember for the version that takes over, if the spec keeps
/// no state: a folder that goes with the program.
struct HandOver(PathBuf);

impl HandOver {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("engine-watch-{}", std::process::id())))
    }

    fn path(&self) -> PathBuf {
        self.0.join("state")
    }

    /// Whether a pipeline's state is kept here.
    fn is_of(&self, engine: &Engine) -> bool {
        let path = |state: &engine::spec::StateSettings| state.path == self.path();
        engine.plan().spec.state.as_ref().is_some_and(path)
    }

    /// Lets the next run begin at the beginning.
    fn forget(&self) {
        remove(&self.0);
    }
}

impl Drop for HandOver {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(folder: &Path) {
    // It may never have been made.
    let _ = std::fs::remove_dir_all(folder);
}
