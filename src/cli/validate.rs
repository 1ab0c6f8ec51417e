//! `engine validate`: everything that can be known about pipelines without running them.

mod github;
mod json;
mod sarif;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use engine::engine::Engine;
use engine::problem::{Problem, Problems, Severity};
use engine::registry::built_in;
use engine::spec::Environment;

use super::pipeline::{ReadArguments, ShardArgument};
use super::{CommandResult, Exit, terminal};

/// What to check.
#[derive(Args)]
#[command(after_help = "\
Examples:
  engine validate pipelines/*.yaml
  engine validate shop.yaml --deny-warnings --format github
  engine validate shop.yaml --format sarif > engine.sarif

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
    #[command(flatten)]
    read: ReadArguments,
    #[command(flatten)]
    shard: ShardArgument,
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
    let environment = arguments.read.environment()?;
    let mut all = Problems::default();
    for file in &arguments.files {
        let mut problems = check(file, arguments, &environment);
        if arguments.deny_warnings {
            problems.0.iter_mut().for_each(|problem| problem.severity = Severity::Error);
        }
        all.append(problems);
    }
    let all = all.sorted();
    match arguments.format {
        ProblemFormat::Text if all.is_empty() => {}
        ProblemFormat::Text => terminal::report(&all),
        ProblemFormat::Json => _ = terminal::data(&json::render(&all))?,
        ProblemFormat::Sarif => _ = terminal::data(&sarif::render(&all))?,
        ProblemFormat::Github => _ = terminal::data(&github::render(&all))?,
    }
    Ok(if all.has_errors() { Exit::Wrong } else { Exit::Done })
}

/// The problems of one file. One without errors is told at once.
fn check(file: &Path, arguments: &ValidateArguments, environment: &Environment) -> Problems {
    let mut document = match arguments.read.read(file, environment) {
        Ok(document) => document,
        Err(problems) => return problems,
    };
    arguments.shard.edit(&mut document);
    match Engine::new(document, &built_in()) {
        Ok(engine) => {
            let denied = arguments.deny_warnings && !engine.warnings().is_empty();
            if arguments.format == ProblemFormat::Text && !denied {
                let (name, stages) = (file.display(), engine.plan().stages.len());
                let plural = if stages == 1 { "" } else { "s" };
                terminal::note(&format!("{name}: ok ({stages} stage{plural})"));
            }
            engine.warnings().clone()
        }
        Err(problems) => problems,
    }
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
