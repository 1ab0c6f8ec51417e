//! `engine dlq export-test`: dead letters as tests of the pipeline, to be pasted under `tests:`.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use engine::dead_letter::Letter;
use engine::engine::Engine;
use engine::event::Event;
use engine::kind::Kind;
use serde_json::{Value, json};

use super::{FilterArguments, QueueArguments, each_letter, pipeline, tell_none};
use crate::cli::{CommandResult, Exit, terminal};

/// Which dead letters to turn into tests.
#[derive(Args)]
#[command(after_help = "\
Examples:
  engine dlq export-test shop.yaml --id TR_1704067200_00001
  engine dlq export-test shop.yaml --stage high_value --limit 3 >> shop.yaml

Each test lets its event enter at the stage that failed, and expects that it fails as it did: it
passes until the rule is mended. Say then what has to come out instead. What a correlator failed on may
have needed events before it, which the test has to be given. The last example goes for a spec that ends
with `tests:`.")]
pub(super) struct DlqExportTestArguments {
    #[command(flatten)]
    queue: QueueArguments,
    #[command(flatten)]
    filter: FilterArguments,
    /// The pipeline, where PATH is a dead-letter file: tells what kinds its stages are of
    #[arg(long, value_name = "FILE")]
    pipeline: Option<PathBuf>,
    /// How many to turn into tests at most
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
}

pub(super) fn export_test(arguments: &DlqExportTestArguments) -> CommandResult {
    let filter = arguments.filter.filter();
    let (queues, own) = arguments.queue.queues()?;
    let engine = match &arguments.pipeline {
        Some(path) => Some(pipeline(path, &arguments.queue.read)?),
        None => own,
    };
    let (mut left, mut without_event, mut of_correlators) = (arguments.limit, 0, 0);
    let mut ended = Ok(Exit::Done);
    for queue in &queues {
        each_letter(queue, &filter, |entry| {
            if left == 0 {
                return false;
            }
            let Ok(letter) = entry.letter else { return true };
            let Some(event) = &letter.event else {
                without_event += 1;
                return true;
            };
            left -= 1;
            let kind = kind_of(engine.as_ref(), &letter.stage);
            of_correlators += usize::from(kind == Some(Kind::Correlator));
            ended = terminal::data(&test(&letter, event, kind));
            ended.is_ok()
        })?;
    }
    if without_event > 0 {
        terminal::note(&format!(
            "note: {without_event} left out: input that is no event enters at no stage"
        ));
    }
    if of_correlators > 0 {
        terminal::note(&format!(
            "note: {of_correlators} of correlators, whose failures may depend on events before: \
             where such a test fails, put them into its `input`"
        ));
    }
    if left == arguments.limit && without_event == 0 && left > 0 {
        tell_none(&queues, &arguments.filter)?;
    }
    ended
}

fn kind_of(engine: Option<&Engine>, name: &str) -> Option<Kind> {
    let mut stages = engine.map(|engine| engine.plan().stages.iter()).into_iter().flatten();
    stages.find(|stage| stage.name == name).map(|stage| stage.kind)
}

/// An item of `tests:`.
fn test(letter: &Letter, event: &Event, kind: Option<Kind>) -> String {
    let Letter { stage, category, reason, .. } = letter;
    let name = format!("{} {} in {stage}", event.event_type, event.trace_id);
    let mut text = format!("  - name: {}\n    at: {}\n    input:\n", quoted(&name), quoted(stage));
    let envelope = serde_json::to_value(event).unwrap_or_default();
    let keys = envelope.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    for (place, (key, value)) in keys.enumerate() {
        let lead = if place == 0 { "-" } else { " " };
        let _ = writeln!(text, "      {lead} {key}: {value}");
    }
    if kind == Some(Kind::Correlator) {
        text.push_str(
            "    # A correlator may have failed because of events before this one: where the test does\n    \
             # not pass as it stands, put them in front of it.\n",
        );
    }
    if kind == Some(Kind::Sink) {
        // The sink of a test takes everything, so what failed outside cannot fail here.
        let _ = writeln!(text, "    # The receiver said ({category}): {}", one_line(reason));
        let expected = json!({ "event_type": event.event_type, "payload": event.payload });
        let _ = writeln!(text, "    expect:\n      - {expected}");
    } else {
        let letter = json!({ "stage": stage, "category": category, "reason": said(reason) });
        text.push_str(
            "    # Once it is mended: what comes out, in place of nothing and a dead letter.\n",
        );
        let _ = writeln!(text, "    expect: []\n    dead_letters:\n      - {letter}");
    }
    if text.contains("${") {
        terminal::note(&format!(
            "note: `{name}` has `${{`, which a spec fills in: put its event into a file, and name that"
        ));
    }
    text
}

/// JSON is YAML.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A reason without the place in the script, which moves.
fn said(reason: &str) -> &str {
    let place = reason.rfind(" (").filter(|place| reason[*place..].contains(", line "));
    place.map_or(reason, |place| &reason[..place])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_kept_without_the_place_that_moves() {
        assert_eq!(
            said("division by zero: 1 / 0 (a.yaml, line 4, column 7)"),
            "division by zero: 1 / 0"
        );
        assert_eq!(said("`total` is missing (or null)"), "`total` is missing (or null)");
    }
}
