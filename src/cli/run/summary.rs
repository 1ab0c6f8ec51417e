//! The report for reading: a table by stage, the totals, and the line in which they add up.

use std::fmt::Write;
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement};
use engine::engine::Engine;
use engine::monitor::{StageStatistics, Statistics};
use engine::runtime::{Ending, Report};

use super::{hooks, metrics, rules};
use crate::cli::list::plain_table;

/// How many event types are told one by one.
const TYPES_SHOWN: usize = 20;
/// How wide a line of event types gets.
const LINE_WIDTH: usize = 96;

/// A column of the table: its head, and its figure of a stage.
type Column = (&'static str, fn(&StageStatistics) -> u64);

const COLUMNS: [Column; 8] = [
    ("GENERATED", |stage| if stage.kind == "source" { stage.derived } else { 0 }),
    ("RECEIVED", |stage| stage.received),
    ("DERIVED", |stage| if stage.kind == "source" { 0 } else { stage.derived }),
    ("SENT", |stage| stage.sent),
    ("COPIED", |stage| stage.copied),
    ("FILTERED", |stage| stage.filtered),
    ("ABSORBED", |stage| stage.absorbed),
    ("DEAD LETTERS", |stage| stage.dead_lettered.values().sum()),
];

/// The report as it goes to stderr.
pub(super) fn text(report: &Report, engine: &Engine) -> String {
    let statistics = &report.statistics;
    let mut text =
        format!("\n{} {}\n\n{}\n\n", engine.plan().name(), ending(report), table(statistics));
    text.push_str(&rules::table(statistics));
    text.push_str(&hooks::table(statistics));
    text.push_str(&metrics::table(statistics));
    let _ = write!(
        text,
        "{} source events in {}, {} a second\n{}\n",
        number(statistics.events_generated),
        span(Duration::from_secs_f64(statistics.elapsed_seconds)),
        number(statistics.events_per_second.round() as u64),
        event_time(statistics),
    );
    text.push_str(&event_types(statistics));
    text.push_str(&accounts(report));
    text.push('\n');
    text.push_str(&remarks(report, engine));
    text
}

/// The report as one entry of the log.
pub(super) fn log(report: &Report) {
    let Statistics {
        events_generated,
        events_derived,
        events_sent_successfully,
        events_failed,
        elapsed_seconds,
        ..
    } = report.statistics;
    let (ending, accounts) = (ending_word(report), accounts(report));
    for error in &report.errors {
        tracing::error!("{error}");
    }
    tracing::info!(
        ending,
        events_generated,
        events_derived,
        events_sent_successfully,
        events_failed,
        elapsed_seconds,
        accounts,
        "ended"
    );
}

fn ending(report: &Report) -> &'static str {
    match report.ending {
        Ending::Finished => "finished",
        Ending::Stopped if report.statistics.buffer_size > 0 => "was stopped",
        Ending::Stopped => "was stopped, and drained",
        Ending::Aborted => "was stopped at once",
        Ending::Failed => "failed",
    }
}

fn ending_word(report: &Report) -> &'static str {
    match report.ending {
        Ending::Finished => "finished",
        Ending::Stopped => "stopped",
        Ending::Aborted => "aborted",
        Ending::Failed => "failed",
    }
}

/// One row a stage; columns without a figure are left out.
fn table(statistics: &Statistics) -> String {
    let stages = &statistics.stages;
    let has_figure = |(_, figure): &Column| stages.iter().any(|stage| figure(stage) > 0);
    let columns: Vec<Column> = COLUMNS.into_iter().filter(has_figure).collect();
    let mut reasons: Vec<&str> =
        stages.iter().flat_map(|stage| stage.dropped.keys().map(String::as_str)).collect();
    reasons.sort_unstable();
    reasons.dedup();

    let heads = ["STAGE", "KIND", "TYPE"].into_iter().map(str::to_owned);
    let heads = heads.chain(columns.iter().map(|(head, _)| (*head).to_owned()));
    let heads = heads.chain(reasons.iter().map(|reason| format!("DROPPED ({reason})")));
    let mut table = plain_table(heads);
    table.set_content_arrangement(ContentArrangement::Disabled);
    for stage in stages {
        let names = [stage.stage.clone(), stage.kind.to_owned(), stage.component.clone()];
        let figures = columns.iter().map(|(_, figure)| figure(stage));
        let dropped = reasons.iter().map(|reason| stage.dropped.get(*reason).copied().unwrap_or(0));
        table.add_row(names.into_iter().chain(figures.chain(dropped).map(figure)));
    }
    for column in table.column_iter_mut().skip(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

/// A figure, or nothing where there is none.
fn figure(count: u64) -> String {
    if count == 0 { String::new() } else { number(count) }
}

fn event_time(statistics: &Statistics) -> String {
    match (statistics.first_event_time, statistics.last_event_time) {
        (Some(first), Some(last)) => {
            format!("event time {first} to {last} ({})", span(last.since(first)))
        }
        _ => "no event time has passed".to_owned(),
    }
}

/// Types by their number, in lines of bearable width.
fn event_types(statistics: &Statistics) -> String {
    let mut counts: Vec<_> = statistics.event_type_counts.iter().collect();
    counts.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), name.as_str()));
    let named = counts.iter().take(TYPES_SHOWN);
    let mut parts: Vec<_> =
        named.map(|(name, count)| format!("{name} {}", number(**count))).collect();
    if let more @ 1.. = counts.len().saturating_sub(TYPES_SHOWN) {
        parts.push(format!("and {more} further types"));
    }
    let mut text = String::new();
    let mut width = 0;
    for part in parts {
        if width > 0 && width + part.len() + 2 > LINE_WIDTH {
            text.push_str(",\n");
            width = 0;
        } else if width > 0 {
            text.push_str(", ");
        }
        text.push_str(if width == 0 { "  " } else { "" });
        text.push_str(&part);
        width += part.len() + 2;
    }
    if text.is_empty() { text } else { text + "\n" }
}

/// `20 000 generated + 1 204 derived = 21 204 delivered`
pub(super) fn accounts(report: &Report) -> String {
    let statistics = &report.statistics;
    let sum =
        |figure: fn(&StageStatistics) -> u64| statistics.stages.iter().map(figure).sum::<u64>();
    let made = [
        (statistics.events_generated, "generated"),
        (sum(|stage| stage.recovered), "of an earlier run"),
        (statistics.events_derived, "derived"),
        (sum(|stage| stage.copied), "copied"),
    ];
    let found = [
        (statistics.events_sent_successfully, "delivered"),
        (sum(|stage| stage.filtered), "filtered"),
        (sum(|stage| stage.absorbed), "absorbed"),
        (sum(|stage| stage.dead_lettered.values().sum()), "dead letters"),
        (sum(|stage| stage.dropped.values().sum()), "dropped"),
        (sum(|stage| stage.buffered), "buffered"),
        (report.undelivered, "given up on their way"),
    ];
    let total = |side: &[(u64, &str)]| side.iter().map(|(count, _)| count).sum::<u64>();
    let adds_up = total(&made) == total(&found);
    let sign = if adds_up { "=" } else { "is not" };
    let line = format!("{} {sign} {}", side(&made), side(&found));
    match (adds_up, report.balanced || report.undelivered > 0) {
        (true, true) => format!("{line}: the accounts add up"),
        (true, false) => {
            let stages = statistics.stages.iter().filter(|stage| !stage.balances);
            let names: Vec<_> = stages.map(|stage| format!("`{}`", stage.stage)).collect();
            format!("{line}, but the accounts of {} do not add up", names.join(", "))
        }
        (false, _) => format!("{line}: the accounts do not add up"),
    }
}

fn side(parts: &[(u64, &str)]) -> String {
    let (first, others) = parts.split_at(1);
    let shown = first.iter().chain(others.iter().filter(|(count, _)| *count > 0));
    let shown: Vec<_> = shown.map(|(count, name)| format!("{} {name}", number(*count))).collect();
    shown.join(" + ")
}

/// What else there is to know.
fn remarks(report: &Report, engine: &Engine) -> String {
    let statistics = &report.statistics;
    let mut text = String::new();
    for stage in statistics.stages.iter().filter(|stage| stage.unfired_timers > 0) {
        let (timers, name) = (number(stage.unfired_timers), &stage.stage);
        let _ =
            writeln!(text, "warning: timers of `{name}` that were still open at the end: {timers}");
    }
    for stage in statistics.stages.iter().filter(|stage| stage.late > 0) {
        let (late, name) = (number(stage.late), &stage.stage);
        let _ = writeln!(text, "warning: events that came too late for `{name}`: {late}");
    }
    for stage in &statistics.stages {
        text.push_str(&findings(stage));
        text.push_str(&delivery(stage));
    }
    text.push_str(&hooks::remarks(statistics));
    if let Some(damages) = statistics.error_counts.get("buffer_damaged") {
        let damages = number(*damages);
        let _ = writeln!(
            text,
            "warning: damages and cut ends found in buffers on disk: {damages}; the log says where, \
             and what is lost with them"
        );
    }
    if statistics.dead_letter_queue_size > 0
        && let Some(path) = engine.dead_letter_path()
    {
        let letters = number(statistics.dead_letter_queue_size);
        let _ =
            writeln!(text, "warning: dead letters of this run in `{}`: {letters}", path.display());
    }
    text
}

/// What a stage that checks events has found: nothing, or a line for each broken rule.
fn findings(stage: &StageStatistics) -> String {
    let Some(findings) = &stage.findings else { return String::new() };
    let (name, component) = (&stage.stage, &stage.component);
    let (found, events) = (number(findings.count()), number(findings.events));
    let level = if findings.violations.is_empty() { "note" } else { "warning" };
    let mut text =
        format!("{level}: {component} of `{name}`: {found} violations in {events} events");
    if findings.unchecked > 0 {
        let _ = write!(text, ", {} unchecked", number(findings.unchecked));
    }
    text.push('\n');
    for (rule, violations) in &findings.violations {
        let (count, trace_id) = (number(violations.count), &violations.first_trace_id);
        let _ =
            writeln!(text, "  {rule}: {count}, first `{trace_id}`: {}", violations.first_reason);
    }
    text
}

/// What a sink's delivery went through, if it did.
fn delivery(sink: &StageStatistics) -> String {
    let mut text = String::new();
    let (name, Some(delivery)) = (&sink.stage, &sink.delivery) else { return text };
    if delivery.attempts_failed > 0 {
        let trips = match delivery.circuit_breaker_trips {
            0 => String::new(),
            trips => format!("; its circuit opened {} times", number(trips)),
        };
        let failed = number(delivery.attempts_failed);
        let _ = writeln!(text, "warning: attempts of `{name}` that failed: {failed}{trips}");
    }
    if sink.buffered > 0 {
        let waiting = number(sink.buffered);
        let _ = writeln!(text, "note: events of `{name}` that wait for the next run: {waiting}");
    }
    text
}

/// `21 204`
pub(in crate::cli) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `12 ms`, `1.2 s`, `2m 05s`, `1h 02m`, `3d 04h`
pub(in crate::cli) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 86_400, seconds / 3600, seconds / 60) {
        (0, 0, 0) if seconds == 0 => format!("{} ms", duration.as_millis()),
        (0, 0, 0) => format!("{:.1} s", duration.as_millis() as f64 / 1000.0),
        (0, 0, minutes) => format!("{minutes}m {:02}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h {:02}m", minutes % 60),
        (days, hours, _) => format!("{days}d {:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        let texts = [0, 999, 1000, 21_204, 1_234_567].map(number);
        assert_eq!(texts, ["0", "999", "1 000", "21 204", "1 234 567"]);
    }

    #[test]
    fn spans_have_two_units_at_most() {
        let texts =
            [0.0124, 1.24, 59.96, 125.0, 3725.0, 273_600.0].map(Duration::from_secs_f64).map(span);
        assert_eq!(texts, ["12 ms", "1.2 s", "60.0 s", "2m 05s", "1h 02m", "3d 04h"]);
    }
}
