//! `engine bench`: what each stage of a pipeline costs, or of two that are compared.

mod table;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use engine::bench::{Bench, Effort, measure};
use engine::engine::Engine;
use engine::problem::{Problem, Problems, did_you_mean};
use engine::spec::{Environment, SpecDuration};
use serde_json::{Value, json};

use super::pipeline::ReadArguments;
use super::{CommandError, CommandResult, OutputArguments, terminal};

/// What to measure, and how much of it.
#[derive(Args)]
#[command(after_help = "\
Examples:
  engine bench shop.yaml
  engine bench shop.yaml --stage high_value --events 1000000
  engine bench before.yaml after.yaml     two versions, and the ratio of stages of one name
  engine bench shop.yaml --set enrichers.high_value.with.compile=false

The pipeline runs on one thread as fast as it goes. Nothing is written or sent: sinks write their
events as JSON to nowhere. In place of events that come from outside, and once, others are made up.")]
pub(super) struct BenchArguments {
    /// The pipeline, or `-` for stdin; and another one to compare it with
    #[arg(required = true, num_args = 1..=2, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// End a pass after so much event time, such as `1h`
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "events")]
    duration: Option<Duration>,
    /// End a pass after so many source events; by default 200000, or what takes five seconds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    events: Option<u64>,
    /// How often to measure; of each stage the quickest time is told
    #[arg(
        long, value_name = "N", default_value_t = 3,
        value_parser = clap::value_parser!(u32).range(1..=100)
    )]
    passes: u32,
    /// Show this stage only (repeatable); all of them run
    #[arg(long, value_name = "NAME")]
    stage: Vec<String>,
    /// How to write the figures
    #[arg(long, value_enum, default_value_t)]
    format: BenchFormat,
    #[command(flatten)]
    read: ReadArguments,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum BenchFormat {
    /// A table
    #[default]
    Text,
    /// An array of objects
    Json,
}

/// The figures of one file.
struct Measured {
    file: String,
    bench: Bench,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = text.parse::<SpecDuration>()?.0;
    if duration.is_zero() { Err("it is no time at all".to_owned()) } else { Ok(duration) }
}

pub(super) fn bench(arguments: &BenchArguments, output: &OutputArguments) -> CommandResult {
    let environment = arguments.read.environment()?;
    let load = |file: &PathBuf| load(file, arguments, &environment);
    // All of them before the first is measured: nobody waits to hear of a mistake in the second.
    let engines = arguments.files.iter().map(load).collect::<Result<Vec<_>, _>>()?;
    check_stages(arguments, &engines)?;
    let mut all = Vec::new();
    for (file, engine) in arguments.files.iter().zip(engines) {
        let file = file.display().to_string();
        let bench = measured(&file, engine, arguments, output)?;
        all.push(Measured { file, bench });
    }
    terminal::data(&match arguments.format {
        BenchFormat::Text => table::text(&all),
        BenchFormat::Json => format!("{:#}", all.iter().map(object).collect::<Value>()),
    })
}

fn load(
    file: &Path,
    arguments: &BenchArguments,
    environment: &Environment,
) -> Result<Engine, Problems> {
    arguments.read.engine(arguments.read.read(file, environment)?)
}

/// A stage that is asked for is in one of the pipelines.
fn check_stages(arguments: &BenchArguments, engines: &[Engine]) -> Result<(), Problems> {
    let stages = engines.iter().flat_map(|engine| &engine.plan().stages);
    let names: Vec<&str> = stages.map(|stage| stage.name.as_str()).collect();
    let unknown = arguments.stage.iter().filter(|name| !names.contains(&name.as_str()));
    let problem = |name: &String| {
        let problem = Problem::error(format!("there is no stage `{name}`"));
        match did_you_mean(name, names.iter().copied()) {
            Some(close) => problem.help(format!("did you mean `{close}`?")),
            None => problem.help("`engine graph FILE` shows the stages"),
        }
    };
    let problems: Vec<Problem> = unknown.map(problem).collect();
    if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
}

fn measured(
    file: &str,
    engine: Engine,
    arguments: &BenchArguments,
    output: &OutputArguments,
) -> Result<Bench, CommandError> {
    let passes = arguments.passes;
    let effort = Effort {
        events: arguments.events,
        span: arguments.duration,
        passes,
        allocations: super::allocations::counter(),
    };
    let shows_progress = output.quiet == 0 && std::io::stderr().is_terminal();
    let bench = measure(engine.into_plan(), &effort, |pass| {
        if shows_progress {
            terminal::note(&format!("{file}: pass {pass} of {passes}"));
        }
    });
    let mut bench = bench.map_err(CommandError::Failed)?;
    if !arguments.stage.is_empty() {
        bench.stages.retain(|stage| arguments.stage.contains(&stage.stage));
    }
    Ok(bench)
}

fn object(measured: &Measured) -> Value {
    let mut object = json!(measured.bench);
    object["file"] = json!(measured.file);
    object
}
