//! `engine validate`: everything that can be known about pipelines without running them.

#[cfg(feature = "event_hubs")]
mod capacity;
mod github;
mod json;
mod sarif;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use engine::engine::Engine;
use engine::problem::{Problem, Problems, Severity};
use engine::spec::Environment;
use engine::testing::Suite;
use serde_json::{Value, json};

use super::pipeline::{ReadArguments, ShardArgument};
use super::{CommandError, CommandResult, Exit, terminal};

/// What to check.
#[derive(Args)]
#[command(after_help = "\
Examples:
  engine validate pipelines/*.yaml
  engine validate shop.yaml --deny-warnings --format github
  engine validate shop.yaml --format sarif > engine.sarif
  engine validate shop.yaml --probe
  engine validate to-azure.yaml --capacity --partitions 8

Exits with 2 if there is a problem.")]
pub(super) struct ValidateArguments {
    /// The pipelines, or `-` for stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How to write the problems
    #[arg(long, value_enum, default_value_t)]
    format: ProblemFormat,
    /// Take warnings for errors
    #[arg(long)]
    deny_warnings: bool,
    /// Connect to where sources and sinks connect to, and say what is there
    #[arg(long)]
    probe: bool,
    #[command(flatten)]
    read: ReadArguments,
    #[command(flatten)]
    shard: ShardArgument,
    #[cfg(feature = "event_hubs")]
    #[command(flatten)]
    capacity: capacity::CapacityArguments,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum ProblemFormat {
    /// For reading, on stderr
    #[default]
    Text,
    /// An array of objects
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Annotations of a GitHub workflow
    Github,
}

pub(super) fn validate(arguments: &ValidateArguments) -> CommandResult {
    if arguments.predicts() && !arguments.format.has_predictions() {
        let problem = Problem::error("problems alone can be written in this format");
        return Err(problem.help("`--capacity` goes with `--format text` or `json`").into());
    }
    let environment = arguments.read.environment()?;
    let mut all = Problems::default();
    let mut predictions = Vec::new();
    for file in &arguments.files {
        let checked = check(file, arguments, &environment);
        let (mut problems, engine) = checked.unwrap_or_else(|problems| (problems, None));
        if arguments.deny_warnings {
            problems.0.iter_mut().for_each(|problem| problem.severity = Severity::Error);
        }
        all.append(problems);
        if let Some(engine) = engine {
            all.append(predict(file, arguments, engine, &mut predictions)?);
        }
    }
    let all = all.sorted();
    match arguments.format {
        ProblemFormat::Text if all.is_empty() => {}
        ProblemFormat::Text => terminal::report(&all),
        ProblemFormat::Json if arguments.predicts() => {
            let object = json!({ "problems": json::array(&all), "capacity": predictions });
            terminal::data(&format!("{object:#}"))?;
        }
        ProblemFormat::Json => _ = terminal::data(&json::render(&all))?,
        ProblemFormat::Sarif => _ = terminal::data(&sarif::render(&all))?,
        ProblemFormat::Github => _ = terminal::data(&github::render(&all))?,
    }
    Ok(if all.has_errors() { Exit::Wrong } else { Exit::Done })
}

impl ProblemFormat {
    /// Whether predictions have a place in it.
    fn has_predictions(self) -> bool {
        matches!(self, Self::Text | Self::Json)
    }
}

/// The warnings about one file, and the pipeline; or its problems. One without errors is told at
/// once.
fn check(
    file: &Path,
    arguments: &ValidateArguments,
    environment: &Environment,
) -> Result<(Problems, Option<Engine>), Problems> {
    let mut document = arguments.read.read(file, environment)?;
    arguments.shard.edit(&mut document);
    let engine = arguments.read.engine(document)?;
    let mut problems = engine.warnings().clone();
    problems.append(Suite::new(engine.plan())?.warnings().clone());
    let denied = arguments.deny_warnings && !problems.is_empty();
    if arguments.format == ProblemFormat::Text && !denied {
        let (name, stages) = (file.display(), engine.plan().stages.len());
        let plural = if stages == 1 { "" } else { "s" };
        terminal::note(&format!("{name}: ok ({stages} stage{plural})"));
    }
    if arguments.probe {
        problems.append(probe(&engine, arguments.format));
    }
    Ok((problems, Some(engine)))
}

#[cfg(feature = "event_hubs")]
impl ValidateArguments {
    fn predicts(&self) -> bool {
        self.capacity.capacity
    }
}

#[cfg(not(feature = "event_hubs"))]
impl ValidateArguments {
    fn predicts(&self) -> bool {
        false
    }
}

/// Predicts what the pipeline would send, where that is asked for: told at once, or put beside the
/// others. Returns why it cannot.
#[cfg(feature = "event_hubs")]
fn predict(
    file: &Path,
    arguments: &ValidateArguments,
    engine: Engine,
    predictions: &mut Vec<Value>,
) -> Result<Problems, CommandError> {
    if !arguments.predicts() {
        return Ok(Problems::default());
    }
    match arguments.capacity.predict(engine.into_plan()) {
        Ok(prediction) if arguments.format == ProblemFormat::Text => {
            terminal::data(&capacity::text(file, &prediction))?;
        }
        Ok(prediction) => predictions.push(capacity::object(file, &prediction)),
        Err(problems) => return Ok(problems),
    }
    Ok(Problems::default())
}

#[cfg(not(feature = "event_hubs"))]
#[expect(clippy::unnecessary_wraps, clippy::needless_pass_by_value, reason = "as with the feature")]
fn predict(
    _: &Path,
    _: &ValidateArguments,
    _: Engine,
    _: &mut Vec<Value>,
) -> Result<Problems, CommandError> {
    Ok(Problems::default())
}

/// Says what the pipeline's stages find where they connect to.
fn probe(engine: &Engine, format: ProblemFormat) -> Problems {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return Problem::error(format!("cannot start a thread: {error}")).into(),
    };
    let (found, problems) = runtime.block_on(engine.probe());
    if format == ProblemFormat::Text {
        for (stage, what) in found {
            terminal::note(&format!("  `{stage}`: {what}"));
        }
    }
    problems
}

/// `error` or `warning`
fn level(problem: &Problem) -> &'static str {
    match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// All that a problem says, in one text.
fn full_message(problem: &Problem) -> String {
    let label = problem.label.as_deref().map(|label| format!(" ({label})"));
    let help = problem.help.as_deref().map(|help| format!("; {help}"));
    format!("{}{}{}", problem.message, label.unwrap_or_default(), help.unwrap_or_default())
}
