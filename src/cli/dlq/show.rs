//! `engine dlq show`: dead letters one by one, for reading or for another program.

use std::fmt::Write;

use clap::{Args, ValueEnum};
use engine::dead_letter::{Entry, Letter};

use super::{FilterArguments, QueueArguments, each_letter};
use crate::cli::{CommandResult, Exit, terminal};

/// What to show.
#[derive(Args)]
#[command(after_help = "\
Examples:
  engine dlq show shop.yaml --stage high_value --limit 3
  engine dlq show dead_letters/shop.ndjson --id TR_1704067200_00001
  engine dlq show shop.yaml --format events | jq .payload")]
pub(super) struct DlqShowArguments {
    #[command(flatten)]
    queue: QueueArguments,
    #[command(flatten)]
    filter: FilterArguments,
    /// How many to show at most
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// How to show them
    #[arg(long, value_enum, default_value_t)]
    format: DlqShowFormat,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum DlqShowFormat {
    /// For reading
    #[default]
    Text,
    /// The records as they are in the file, one a line
    Ndjson,
    /// The events alone, one a line; input that is no event is left out
    Events,
}

pub(super) fn show(arguments: &DlqShowArguments) -> CommandResult {
    let filter = arguments.filter.filter();
    let mut left = arguments.limit.unwrap_or(usize::MAX);
    let (queues, _) = arguments.queue.queues()?;
    for queue in &queues {
        let mut ended = Ok(Exit::Done);
        each_letter(queue, &filter, |entry| {
            if left == 0 {
                return false;
            }
            let Some(text) = text_of(entry, arguments.format) else { return true };
            left -= 1;
            ended = terminal::data(&text);
            ended.is_ok() && left > 0
        })?;
        ended?;
    }
    Ok(Exit::Done)
}

fn text_of(entry: Entry, format: DlqShowFormat) -> Option<String> {
    let letter = entry.letter.ok()?;
    match format {
        DlqShowFormat::Ndjson => Some(String::from_utf8_lossy(&entry.text).into_owned()),
        DlqShowFormat::Events => letter.event.map(|event| event.to_json() + "\n"),
        DlqShowFormat::Text => Some(readable(&letter)),
    }
}

fn readable(letter: &Letter) -> String {
    let Letter { stage, category, reason, attempts, .. } = letter;
    let times = if letter.first_time == letter.last_time {
        format!("at {}", letter.last_time)
    } else {
        format!("first at {}, last at {}", letter.first_time, letter.last_time)
    };
    let mut text = format!(
        "stage     {stage}\nfailure   {category}: {reason}\nattempts  {attempts}, {times}\n\
         spec      {}\n",
        letter.spec_hash
    );
    if let Some(origin) = &letter.origin {
        let _ = writeln!(text, "from      {origin}");
    }
    match (&letter.event, &letter.input) {
        (Some(event), _) => {
            let tree = serde_json::from_str::<serde_json::Value>(&event.to_json());
            let pretty = tree.map_or_else(|_| event.to_json(), |tree| format!("{tree:#}"));
            let _ = writeln!(text, "{pretty}");
        }
        (None, input) => {
            let _ = writeln!(text, "{}", input.as_deref().unwrap_or_default().trim_end());
        }
    }
    text + "\n"
}
