//! `engine dlq list`: what failed, where and why, counted.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use engine::dead_letter::Letter;
use engine::event::Timestamp;
use serde_json::{Value, json};

use super::{FilterArguments, QueueArguments, each_letter, tell_none};
use crate::cli::list::plain_table;
use crate::cli::{CommandResult, terminal};

/// What to count.
#[derive(Args)]
#[command(after_help = "\
Examples:
  engine dlq list shop.yaml
  engine dlq list dead_letters/shop.ndjson --format json | jq '.[0].reason'")]
pub(super) struct DlqListArguments {
    #[command(flatten)]
    queue: QueueArguments,
    #[command(flatten)]
    filter: FilterArguments,
    /// How to write the list
    #[arg(long, value_enum, default_value_t)]
    format: DlqListFormat,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum DlqListFormat {
    /// A table
    #[default]
    Text,
    /// An array of objects
    Json,
}

/// Letters of one stage, category and reason.
struct Group {
    count: u64,
    attempts: u32,
    first_time: Timestamp,
    last_time: Timestamp,
    /// One of them, by its trace id; input that is no event is told by where it came from.
    example: String,
}

impl Group {
    fn new(letter: &Letter) -> Self {
        let id = letter.event.as_ref().map(|event| event.trace_id.to_string());
        Self {
            count: 0,
            attempts: 0,
            first_time: letter.first_time,
            last_time: letter.last_time,
            example: id.or_else(|| letter.origin.clone()).unwrap_or_default(),
        }
    }

    fn add(&mut self, letter: &Letter) {
        self.count += 1;
        self.attempts = self.attempts.max(letter.attempts);
        self.first_time = self.first_time.min(letter.first_time);
        self.last_time = self.last_time.max(letter.last_time);
    }
}

type Groups = BTreeMap<(String, String, String), Group>;

pub(super) fn list(arguments: &DlqListArguments) -> CommandResult {
    let mut groups = Groups::new();
    let filter = arguments.filter.filter();
    let (queues, _) = arguments.queue.queues()?;
    for queue in &queues {
        each_letter(queue, &filter, |entry| {
            if let Ok(letter) = entry.letter {
                let key = (letter.stage.clone(), letter.category.clone(), letter.reason.clone());
                groups.entry(key).or_insert_with(|| Group::new(&letter)).add(&letter);
            }
            true
        })?;
    }
    match arguments.format {
        DlqListFormat::Json => terminal::data(&format!("{:#}", as_json(&groups))),
        DlqListFormat::Text if groups.is_empty() => {
            tell_none(&queues, &arguments.filter)?;
            terminal::data("")
        }
        DlqListFormat::Text => terminal::data(&as_table(&groups)),
    }
}

fn as_json(groups: &Groups) -> Value {
    let object = |((stage, category, reason), group): (&(String, String, String), &Group)| {
        json!({
            "stage": stage, "category": category, "reason": reason, "count": group.count,
            "attempts": group.attempts, "first_time": group.first_time,
            "last_time": group.last_time, "example": group.example,
        })
    };
    groups.iter().map(object).collect()
}

fn as_table(groups: &Groups) -> String {
    let heads = ["STAGE", "CATEGORY", "COUNT", "ATTEMPTS", "FIRST", "LAST", "EXAMPLE", "REASON"];
    let mut table = plain_table(heads.map(str::to_owned));
    for ((stage, category, reason), group) in groups {
        table.add_row([
            stage.clone(),
            category.clone(),
            group.count.to_string(),
            group.attempts.to_string(),
            group.first_time.to_string(),
            group.last_time.to_string(),
            group.example.clone(),
            reason.replace('\n', " "),
        ]);
    }
    table.trim_fmt()
}
