//! `engine dlq replay`: dead letters through the pipeline again.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use engine::control::Control;
use engine::dead_letter::Filter;
use engine::engine::{Outlook, Replay, ReplayError, Replayed};
use engine::problem::Problem;

use super::{FilterArguments, QueueArguments, open, pipeline, tell_broken, unreadable};
use crate::cli::run::heed;
use crate::cli::{CommandError, CommandResult, Exit, terminal};

/// What to send again, and through which pipeline.
#[derive(Args)]
#[command(after_help = "\
Examples:
  engine dlq replay shop.yaml --dry-run
  engine dlq replay dead_letters/shop.ndjson --pipeline shop.yaml --stage high_value

Each event enters at the stage that failed on it, and goes on from there. What succeeds leaves the
file, what fails stays with one more attempt. Sources do not run, rules begin without a state.
Exits with 1 if some failed again.")]
pub(super) struct DlqReplayArguments {
    #[command(flatten)]
    queue: QueueArguments,
    /// The pipeline, where PATH is a dead-letter file
    #[arg(long, value_name = "FILE")]
    pipeline: Option<PathBuf>,
    #[command(flatten)]
    filter: FilterArguments,
    /// Say what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn replay(arguments: &DlqReplayArguments) -> CommandResult {
    let (queues, own) = arguments.queue.queues()?;
    let engine = match (&arguments.pipeline, own) {
        (Some(path), _) => pipeline(path, &arguments.queue.read)?,
        (None, Some(own)) => own,
        (None, None) => {
            let problem = Problem::error("a replay goes through a pipeline, and none is named");
            return Err(problem.help("name it with `--pipeline FILE`").into());
        }
    };
    let replay = Replay::new(engine);
    let filter = arguments.filter.filter();
    if queues.is_empty() {
        terminal::note("no dead letters");
    }
    let mut exit = Exit::Done;
    for queue in &queues {
        let one = if arguments.dry_run {
            rehearse(&replay, queue, &filter)?
        } else {
            run(&replay, queue, &filter)?
        };
        if one != Exit::Done {
            exit = one;
        }
    }
    Ok(exit)
}

/// Says what would enter where.
fn rehearse(replay: &Replay, queue: &Path, filter: &Filter) -> CommandResult {
    // Says it too where letters are aside.
    drop(open(queue)?);
    let outlook = replay.outlook(queue, filter).map_err(|error| unreadable(queue, &error))?;
    tell(queue, &outlook);
    let mut text = String::new();
    for (stage, letters) in &outlook.enters {
        let _ = writeln!(text, "would enter at `{stage}`: {letters}");
    }
    terminal::note(&format!(
        "{}: {} would be replayed\n{text}",
        queue.display(),
        entering(&outlook)
    ));
    Ok(Exit::Done)
}

fn run(replay: &Replay, queue: &Path, filter: &Filter) -> CommandResult {
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| failed(format!("cannot start threads: {error}")))?;
    let replayed = runtime.block_on(async {
        let control = Control::new();
        heed(control.clone())
            .map_err(|error| failed(format!("cannot wait for signals: {error}")))?;
        replay.run(queue, filter, control).await.map_err(|error| match error {
            ReplayError::Pipeline(problems) => CommandError::Wrong(problems),
            ReplayError::Queue(error) => failed(error.to_string()),
        })
    })?;
    runtime.shutdown_background();
    tell(queue, &replayed.outlook);
    for error in &replayed.report.errors {
        terminal::report(&Problem::error(replay.plan().document.masked(error)).into());
    }
    terminal::note(&format!("{}: {}", queue.display(), summary(&replayed)));
    let is_well = replayed.settled && replayed.failed_again == 0;
    Ok(if is_well { Exit::Done } else { Exit::Failed })
}

/// Says what stays, and what may surprise.
fn tell(queue: &Path, outlook: &Outlook) {
    for (line, wrong) in &outlook.broken {
        tell_broken(queue, *line, wrong);
    }
    for (reason, letters) in &outlook.stays {
        let problem = Problem::warning(format!("{letters} stay: {reason}"));
        terminal::report(&problem.into());
    }
    if outlook.of_other_spec > 0 {
        let message = format!(
            "{} failed in another version of the spec; they go through this one",
            outlook.of_other_spec
        );
        terminal::report(&Problem::warning(message).into());
    }
}

fn entering(outlook: &Outlook) -> usize {
    outlook.enters.values().sum()
}

/// `5 replayed: 3 delivered, 2 failed again; 1 kept`
fn summary(replayed: &Replayed) -> String {
    let statistics = &replayed.report.statistics;
    let sum = |figure: fn(&engine::monitor::StageStatistics) -> u64| {
        statistics.stages.iter().map(figure).sum::<u64>()
    };
    let figures = [
        (statistics.events_sent_successfully, "delivered"),
        (replayed.failed_again, "failed again"),
        (sum(|stage| stage.filtered), "filtered"),
        (sum(|stage| stage.absorbed), "absorbed"),
    ];
    let figures: Vec<_> = figures
        .iter()
        .enumerate()
        .filter(|(place, (count, _))| *place < 2 || *count > 0)
        .map(|(_, (count, name))| format!("{count} {name}"))
        .collect();
    let Outlook { stays, unasked, broken, .. } = &replayed.outlook;
    let kept = stays.values().sum::<usize>() + unasked + broken.len();
    let mut text = format!("{} replayed: {}; {kept} kept", replayed.replayed, figures.join(", "));
    if !replayed.settled {
        text.push_str(
            "\nthe replay did not come to its end: all letters that are not known to have failed \
             are in the queue again",
        );
    }
    text
}

fn failed(message: String) -> CommandError {
    CommandError::Failed(Problem::error(message).into())
}
