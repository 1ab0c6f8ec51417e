//! `engine dlq`: dead letters are looked at, sent again, thrown away, or made tests of.

mod export_test;
mod list;
mod purge;
mod replay;
mod show;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use engine::dead_letter::{Entry, Filter, Letters, Replaying, count, read};
use engine::engine::Engine;
use engine::problem::{Problem, Problems, did_you_mean};

use super::pipeline::ReadArguments;
use super::{CommandError, CommandResult, terminal};

/// What to do with dead letters.
#[derive(Args)]
#[command(after_help = "\
Examples:
  engine dlq list dead_letters/shop.ndjson              what failed, where and why
  engine dlq show shop.yaml --stage high_value          each letter, for reading
  engine dlq show shop.yaml --format events | jq .payload
  engine dlq replay shop.yaml                           again, from the stage that failed
  engine dlq export-test shop.yaml --limit 1            as a test of the pipeline
  engine dlq purge shop.yaml --older-than 7d --yes

PATH is a dead-letter file, or a pipeline (.yaml) whose dead letters are meant.")]
pub(super) struct DlqArguments {
    #[command(subcommand)]
    command: DlqCommand,
}

#[derive(Subcommand)]
enum DlqCommand {
    /// Count dead letters by stage, category and reason
    List(list::DlqListArguments),
    /// Show dead letters one by one
    Show(show::DlqShowArguments),
    /// Send dead letters through the pipeline again, from the stage that failed
    Replay(replay::DlqReplayArguments),
    /// Print dead letters as tests, to be pasted into the pipeline
    ExportTest(export_test::DlqExportTestArguments),
    /// Throw dead letters away
    Purge(purge::DlqPurgeArguments),
}

pub(super) fn dlq(arguments: &DlqArguments) -> CommandResult {
    match &arguments.command {
        DlqCommand::List(list) => list::list(list),
        DlqCommand::Show(show) => show::show(show),
        DlqCommand::Replay(replay) => replay::replay(replay),
        DlqCommand::ExportTest(export) => export_test::export_test(export),
        DlqCommand::Purge(purge) => purge::purge(purge),
    }
}

/// Which file, or whose files.
#[derive(Args)]
struct QueueArguments {
    /// The dead-letter file, or a pipeline (`.yaml`) whose dead letters are meant
    path: PathBuf,
    #[command(flatten)]
    read: ReadArguments,
}

/// Which letters; all of them without any of these.
#[derive(Args)]
struct FilterArguments {
    /// Only letters of this stage
    #[arg(long, value_name = "NAME")]
    stage: Option<String>,
    /// Only letters of this category, such as `script`
    #[arg(long, value_name = "NAME")]
    category: Option<String>,
    /// Only the event with this trace id
    #[arg(long, value_name = "TRACE_ID")]
    id: Option<String>,
}

impl FilterArguments {
    fn filter(&self) -> Filter {
        let Self { stage, category, id } = self;
        let (stage, category, id) = (stage.clone(), category.clone(), id.clone());
        Filter { stage, category, id, before: None }
    }

    /// `--stage a --id b`
    fn as_written(&self) -> String {
        let Self { stage, category, id } = self;
        let given = [("--stage", stage), ("--category", category), ("--id", id)];
        let given = given.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        given.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(" ")
    }
}

impl QueueArguments {
    /// The files, all of which are there, and the pipeline where one was named.
    fn queues(&self) -> Result<(Vec<PathBuf>, Option<Engine>), CommandError> {
        if !is_pipeline(&self.path) {
            return Ok((vec![self.path.clone()], None));
        }
        let engine = pipeline(&self.path, &self.read)?;
        let mut paths = engine.dead_letter_paths();
        if paths.is_empty() {
            let message = format!("`{}` keeps no dead letters", self.path.display());
            return Err(Problem::error(message).into());
        }
        paths.retain(|path| path.exists() || Replaying::aside(path).exists());
        Ok((paths, Some(engine)))
    }
}

fn is_pipeline(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "yaml" || end == "yml")
}

fn pipeline(path: &Path, read: &ReadArguments) -> Result<Engine, Problems> {
    read.engine(read.read(path, &read.environment()?)?)
}

/// Opens a queue for reading. Letters that a replay has put aside are told of.
fn open(path: &Path) -> Result<Letters, CommandError> {
    let aside = Replaying::aside(path);
    match count(&aside) {
        Ok(0) => {}
        Ok(letters) => terminal::note(&format!(
            "note: {letters} more in `{}`: a replay goes on, or the next one puts them back",
            aside.display()
        )),
        Err(error) => return Err(unreadable(&aside, &error)),
    }
    read(path).map_err(|error| unreadable(path, &error))
}

/// Says which line is no letter; it stays where it is.
fn tell_broken(path: &Path, line: u64, wrong: &str) {
    let message = format!("{}:{line}: no dead letter: {wrong}", path.display());
    let problem = Problem::warning(message).help("mend the line or take it out; nothing else does");
    terminal::report(&problem.into());
}

fn unreadable(path: &Path, error: &io::Error) -> CommandError {
    let message = format!("cannot read the dead-letter file `{}`: {error}", path.display());
    Problem::error(message).into()
}

/// Says why there is nothing to do: there are no letters, or none of them fits.
fn tell_none(queues: &[PathBuf], filter: &FilterArguments) -> Result<(), CommandError> {
    let (mut letters, mut stages) = (0_usize, BTreeSet::new());
    for queue in queues {
        for entry in read(queue).map_err(|error| unreadable(queue, &error))? {
            let Ok(letter) = entry.map_err(|error| unreadable(queue, &error))?.letter else {
                continue;
            };
            letters += 1;
            stages.insert(letter.stage);
        }
    }
    if letters == 0 {
        terminal::note("no dead letters");
        return Ok(());
    }
    let asked = filter.as_written();
    let problem = Problem::warning(format!("none of {letters} dead letters fits `{asked}`"));
    let stage = filter.stage.as_deref().filter(|stage| !stages.contains(*stage));
    let stages: Vec<&str> = stages.iter().map(String::as_str).collect();
    let problem = match stage {
        Some(stage) => problem.help(match did_you_mean(stage, stages.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("there are letters of `{}`", stages.join("`, `")),
        }),
        None => problem,
    };
    terminal::report(&problem.into());
    Ok(())
}

/// Calls `see` with each letter that fits, and tells of lines that are none. Stops when it says so.
fn each_letter(
    path: &Path,
    filter: &Filter,
    mut see: impl FnMut(Entry) -> bool,
) -> Result<(), CommandError> {
    for entry in open(path)? {
        let entry = entry.map_err(|error| unreadable(path, &error))?;
        let goes_on = match &entry.letter {
            Err(wrong) => {
                tell_broken(path, entry.line, wrong);
                true
            }
            Ok(letter) => !filter.fits(letter) || see(entry),
        };
        if !goes_on {
            break;
        }
    }
    Ok(())
}
