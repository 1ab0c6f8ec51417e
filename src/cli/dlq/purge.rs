//! `engine dlq purge`: dead letters are thrown away.

use std::io::{self, BufRead, IsTerminal};
use std::time::Duration;

use clap::Args;
use engine::clock::{Clock, Speed};
use engine::dead_letter::{self, Filter};
use engine::problem::Problem;
use engine::spec::SpecDuration;

use super::{FilterArguments, QueueArguments, each_letter};
use crate::cli::{CommandError, CommandResult, Exit, terminal};

/// What to throw away.
#[derive(Args)]
#[command(after_help = "\
Examples:
  engine dlq purge shop.yaml --stage high_value
  engine dlq purge dead_letters/shop.ndjson --older-than 7d --yes")]
pub(super) struct DlqPurgeArguments {
    #[command(flatten)]
    queue: QueueArguments,
    #[command(flatten)]
    filter: FilterArguments,
    /// Only letters that failed last longer ago than this
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    older_than: Option<Duration>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<SpecDuration>().map(|duration| duration.0)
}

pub(super) fn purge(arguments: &DlqPurgeArguments) -> CommandResult {
    let now = Clock::new(None, Speed::Max, false).wall();
    let before = arguments.older_than.map(|age| now - age);
    let filter = Filter { before, ..arguments.filter.filter() };
    let (queues, _) = arguments.queue.queues()?;
    for queue in &queues {
        let mut count = 0_usize;
        each_letter(queue, &filter, |_| {
            count += 1;
            true
        })?;
        if count == 0 {
            terminal::note(&format!("{}: nothing to purge", queue.display()));
            continue;
        }
        if !arguments.yes && !agreed(&format!("purge {count} from `{}`?", queue.display()))? {
            terminal::note("nothing was purged");
            return Ok(Exit::Failed);
        }
        let purged = dead_letter::purge(queue, &filter)
            .map_err(|error| CommandError::Failed(Problem::error(error.to_string()).into()))?;
        terminal::note(&format!("{}: {purged} purged", queue.display()));
    }
    Ok(Exit::Done)
}

/// Asks on a terminal; nobody else can say yes but with `--yes`.
fn agreed(question: &str) -> Result<bool, CommandError> {
    if !io::stdin().is_terminal() {
        let problem = Problem::error("purged letters are gone, and there is no terminal to ask on");
        return Err(problem.help("say `--yes`").into());
    }
    terminal::note(&format!("{question} [y/N]"));
    let mut answer = String::new();
    // Whoever closes the terminal has not agreed.
    let read = io::stdin().lock().read_line(&mut answer);
    Ok(read.is_ok() && ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}
