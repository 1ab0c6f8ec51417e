//! The report's table of rules: what their calls came to.

use std::fmt::Write;
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement};
use engine::monitor::Statistics;
use engine::script::RuleTally;

use super::summary::number;
use crate::cli::list::plain_table;

/// A column of the table: its head, and what it says of a rule.
type Column = (&'static str, fn(&RuleTally) -> String);

const COLUMNS: [Column; 8] = [
    ("CALLS", |rule| count(rule.calls)),
    ("ERRORS", |rule| count(rule.errors)),
    ("OPERATIONS", |rule| count(rule.operations)),
    ("TIME (ESTIMATED)", |rule| time(rule.seconds_estimated)),
    ("EACH", |rule| time(rule.seconds_estimated / (rule.calls as f64).max(1.0))),
    ("KEYS", |rule| count(rule.keys)),
    ("EXPIRED", |rule| count(rule.keys_expired)),
    ("EVICTED", |rule| count(rule.keys_evicted)),
];

/// One row a rule, with an empty line behind; columns without a figure are left out. Nothing where
/// no rule was called.
pub(super) fn table(statistics: &Statistics) -> String {
    let stages = statistics.stages.iter();
    let rules: Vec<(&str, &RuleTally)> = stages
        .filter_map(|stage| Some((stage.stage.as_str(), stage.rule.as_ref()?)))
        .filter(|(_, rule)| rule.calls > 0)
        .collect();
    if rules.is_empty() {
        return String::new();
    }
    let says_something = |(_, text): &Column| rules.iter().any(|(_, rule)| !text(rule).is_empty());
    let columns: Vec<Column> = COLUMNS.into_iter().filter(says_something).collect();
    let heads = std::iter::once("RULE").chain(columns.iter().map(|(head, _)| *head));
    let mut table = plain_table(heads.map(str::to_owned));
    table.set_content_arrangement(ContentArrangement::Disabled);
    for (name, rule) in &rules {
        let figures = columns.iter().map(|(_, text)| text(rule));
        table.add_row(std::iter::once((*name).to_owned()).chain(figures));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = table.trim_fmt() + "\n";
    for (name, rule) in rules {
        for (function, reason) in &rule.functions {
            if let Some(reason) = reason {
                let _ = writeln!(text, "  `{function}` of `{name}` runs interpreted: {reason}");
            }
        }
    }
    text + "\n"
}

/// A figure, or nothing where there is none.
fn count(count: u64) -> String {
    if count == 0 { String::new() } else { number(count) }
}

/// `850 ns`, `1.7 µs`, `12 ms`, `3.4 s`; nothing where there is none.
fn time(seconds: f64) -> String {
    let duration = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let (value, unit) = match duration.as_nanos() {
        0 => return String::new(),
        1..1_000 => (seconds * 1e9, "ns"),
        1_000..1_000_000 => (seconds * 1e6, "µs"),
        1_000_000..1_000_000_000 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    };
    let decimals = usize::from(value < 10.0 && unit != "ns");
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_unit_that_suits_them() {
        let texts = [0.0, 850e-9, 1.72e-6, 12.2e-6, 3.46e-3, 0.25, 3.44, 75.0].map(time);
        assert_eq!(texts, ["", "850 ns", "1.7 µs", "12 µs", "3.5 ms", "250 ms", "3.4 s", "75 s"]);
    }
}
