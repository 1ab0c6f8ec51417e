//! `engine list functions`: what a rule may call.

use std::fmt::Write;

use engine::script::{GROUPS, HostFunction, host_functions};
use serde_json::json;

use super::{ListFormat, plain_table};

const INTRODUCTION: &str = "\
# What a rule may call

Every property, index and function that a script may use beside those of its own, taken from the
engine. This page is generated with `engine list functions --format markdown`. How rules are written
stands in [scripting.md](scripting.md), how hooks are in [hooks.md](hooks.md), and the language in [its own book](https://rhai.rs/book).

A function of a rule that uses only what is marked *compiled*, and the ordinary parts of the language, runs
as compiled code; with anything else in it the interpreter runs it, to the same results.
`engine bench` says which of a pipeline's functions do. `text.len()` and `len(text)` are the same call, and
what takes nothing more may be written without brackets.
";

pub(super) fn list(format: ListFormat) -> String {
    let rows = host_functions();
    match format {
        ListFormat::Json => format!("{:#}", json!(rows)),
        ListFormat::Markdown => markdown(&rows),
        ListFormat::Text => {
            let heads = ["GROUP", "NAME", "RUNS", "WHAT IT DOES"].map(str::to_owned);
            let mut table = plain_table(heads);
            for row in &rows {
                table.add_row([row.group, &row.name, tier(row), &row.about]);
            }
            table.trim_fmt()
        }
    }
}

fn tier(row: &HostFunction) -> &'static str {
    if row.compiled { "compiled" } else { "interpreted" }
}

fn markdown(rows: &[HostFunction]) -> String {
    let mut text = INTRODUCTION.to_owned();
    for (group, about) in GROUPS {
        let _ = write!(text, "\n## {group}\n\n{about}\n\n| call | does | runs |\n|---|---|---|\n");
        for row in rows.iter().filter(|row| row.group == group) {
            let calls: Vec<_> = row.signatures.iter().map(|call| format!("`{call}`")).collect();
            let about = row.about.replace('|', "\\|");
            let _ = writeln!(text, "| {} | {about} | {} |", calls.join("<br>"), tier(row));
        }
    }
    text
}
