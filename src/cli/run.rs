//! `engine run`: a pipeline from its first event to its report.

mod export;
mod hooks;
mod metrics;
mod progress;
mod report_file;
mod rules;
mod signals;
mod summary;
mod trace;
mod watch;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use clap::Args;
use engine::control::Control;
use engine::engine::Engine;
use engine::plan::Plan;
use engine::problem::{Problem, Problems};
use engine::runtime::{Report, Run, Threads};
use engine::server::Token;
use engine::spec::{Environment, SpecDuration};
use serde_json::json;
use tokio::runtime::Handle;

pub(super) use self::signals::heed;
pub(super) use self::summary::{number, span};

use self::export::Export;
use self::progress::Progress;
use self::report_file::ReportFile;
use self::trace::TraceArguments;
use super::pipeline::{ClockArguments, ReadArguments, ShardArgument};
use super::{CommandError, CommandResult, Exit, LogFormat, OutputArguments, terminal};

/// What to run, and how long.
#[derive(Args)]
#[command(after_help = "\
Examples:
  engine run shop.yaml --sample 20                      look at 20 events
  engine run shop.yaml --duration 24h --speed max       a day, as fast as it goes
  engine run shop.yaml --shard 0/4                      a quarter of the stores, beside three others
  engine run shop.yaml --set sources.shop.with.burst=5 --env-file prod.env
  engine run shop.yaml --sample 20 --trace high_value   what goes in and out of a stage
  engine run shop.yaml --watch                          edit rules while it runs
  engine run - --events 1000 < shop.yaml | jq .payload

The first SIGINT or SIGTERM stops the sources and drains, the second has what is left kept in disk
buffers and dead letters, the third stops at once.
Exits with 0 when the run is done, 1 when it failed or its address is in use, 2 when the spec is
wrong.")]
pub(super) struct RunArguments {
    /// The pipeline, or `-` for stdin
    file: PathBuf,
    #[command(flatten)]
    read: ReadArguments,
    #[command(flatten)]
    clock: ClockArguments,
    #[command(flatten)]
    shard: ShardArgument,
    /// Load the pipeline again whenever one of its files changes, and go on with it if it is right
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    trace: TraceArguments,
    /// How long a stopped run may drain
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    drain_timeout: Duration,
    /// Forget what stages remember of earlier runs, and begin anew
    #[arg(long)]
    reset_state: bool,
    /// Serve the live page, statistics, health and metrics at an address such as `127.0.0.1:8080`
    #[arg(long, value_name = "ADDRESS")]
    http: Option<String>,
    /// Write the report as JSON to a file, or to stdout with `-`
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<SpecDuration>().map(|duration| duration.0)
}

pub(super) fn run(arguments: &RunArguments, output: &OutputArguments) -> CommandResult {
    if arguments.watch {
        return watch::run(arguments, output);
    }
    let (_, engine) = load(arguments, output);
    let engine = engine?.with_reset_state(arguments.reset_state);
    let report_file = arguments.report.as_deref().map(ReportFile::new).transpose()?;
    let report = run_once(&engine, output)?;
    if let Some(file) = report_file {
        file.write(&report)?;
    }
    tell(&report, &engine, output);
    Ok(if report.is_success() { Exit::Done } else { Exit::Failed })
}

/// The pipeline with all that the command line says about it, and the variables that it was read
/// with. What is hardly meant is told.
fn load(
    arguments: &RunArguments,
    output: &OutputArguments,
) -> (Environment, Result<Engine, Problems>) {
    let mut environment = Environment::of_process();
    let engine = arguments.read.read_variables(&mut environment).and_then(|()| {
        let mut document = arguments.read.read(&arguments.file, &environment)?;
        arguments.clock.edit(&mut document);
        arguments.shard.edit(&mut document);
        if let Some(address) = &arguments.http {
            document.put("--http", "/monitoring/http", &json!(address));
        }
        let engine = arguments.read.engine(document)?;
        let engine = engine.with_drain_timeout(arguments.drain_timeout);
        let engine = arguments.trace.tap(engine)?;
        let engine = controlled(engine);
        if output.quiet == 0 && !engine.warnings().is_empty() {
            terminal::report(engine.warnings());
        }
        Ok(engine)
    });
    (environment, engine)
}

/// With a token that is made, where the spec has none and somebody sits in front who sees it.
fn controlled(engine: Engine) -> Engine {
    /// The same for all versions of a pipeline.
    static MADE: LazyLock<Token> = LazyLock::new(|| Token::made(rand::random()));
    let monitoring = &engine.plan().spec.monitoring;
    if monitoring.http.is_some() && monitoring.token.is_none() && std::io::stderr().is_terminal() {
        return engine.with_token(MADE.clone());
    }
    engine
}

/// Runs to the end, with signals heeded.
fn run_once(engine: &Engine, output: &OutputArguments) -> Result<Report, CommandError> {
    engine.listen().map_err(CommandError::Failed)?;
    let threads = Threads::new().map_err(cannot_start)?;
    threads.block_on(async {
        let control = Control::new();
        heed(control.clone())
            .map_err(|error| Problem::error(format!("cannot wait for signals: {error}")))
            .map_err(|problem| CommandError::Failed(problem.into()))?;
        let export = Export::start(engine)?;
        let run = prepare(engine, control, threads.stages())?;
        Ok(drive(run, engine, export, output).await)
    })
}

/// Wires a pipeline whose stages have threads of their own.
fn prepare(engine: &Engine, control: Control, stages: &Handle) -> Result<Run, Problems> {
    let _inside = stages.enter();
    engine.prepare(control)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` asks for")]
fn cannot_start(error: std::io::Error) -> CommandError {
    CommandError::Failed(Problem::error(format!("cannot start threads: {error}")).into())
}

/// Runs to the end, with the progress shown.
async fn drive(run: Run, engine: &Engine, export: Export, output: &OutputArguments) -> Report {
    export.watch(run.monitor());
    let progress = Progress::choose(engine.plan(), output);
    let shown = tokio::spawn(progress.show(run.monitor()));
    let mut report = run.finish().await;
    for error in &mut report.errors {
        *error = engine.plan().document.masked(error);
    }
    shown.abort();
    // It was told to end, and its end takes the line away.
    let _ = shown.await;
    export.finish().await;
    report
}

/// Says how the run ended.
fn tell(report: &Report, engine: &Engine, output: &OutputArguments) {
    if output.log_format == LogFormat::Json {
        summary::log(report);
    } else if output.quiet == 0 && !reader_has_left(report) {
        terminal::note(&summary::text(report, engine));
    }
    if output.log_format == LogFormat::Text && output.quiet <= 1 {
        for error in &report.errors {
            terminal::report(&Problem::error(error).into());
        }
    }
}

/// Whether all is well but that a reader had seen enough, as `head` has: it is not interested in
/// a report either.
fn reader_has_left(report: &Report) -> bool {
    let mut stages = report.statistics.stages.iter();
    report.is_success() && stages.any(|stage| stage.dropped.contains_key("sink_closed"))
}

/// Whether the events themselves appear on the terminal that stderr is.
fn prints_to_terminal(plan: &Plan) -> bool {
    let is_console = plan.stages.iter().any(|stage| stage.component.name == "console");
    is_console && std::io::stdout().is_terminal()
}
