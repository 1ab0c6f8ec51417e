//! The figures for reading: a table for each pipeline, and how two of them compare.

use std::fmt::Write;

use comfy_table::{CellAlignment, ContentArrangement, Table};
use engine::bench::{Bench, Cost, StageCost};

use super::Measured;
use crate::cli::list::plain_table;
use crate::cli::run::number;

/// Columns that are texts; figures follow.
const TEXTS: usize = 2;
/// The share of the total from which on what belongs to no stage has a row.
const SHARE_SHOWN: f64 = 0.001;

pub(super) fn text(all: &[Measured]) -> String {
    let mut text = String::new();
    for Measured { file, bench } in all {
        let _ = write!(text, "{file}\n\n{}\n{}\n", stages(bench), functions(bench));
        text.push_str(&remarks(bench));
    }
    if let [first, second] = all {
        text.push_str(&ratios(first, second));
    }
    let passes = all.first().map_or(1, |measured| measured.bench.passes);
    let quickest = match passes {
        1 => "one pass".to_owned(),
        _ => format!("the quickest of {passes} passes for each row"),
    };
    let _ = writeln!(
        text,
        "processor time of one thread, {quickest}; compare rows of one run: other machines, and \
         this one at another time, give other figures"
    );
    text
}

/// One row a stage; columns without a figure are left out.
fn stages(bench: &Bench) -> String {
    let counts = bench.total.allocations_per_event.is_some();
    let heads = ["STAGE", "TYPE", "IN", "OUT", "EVENTS/CPU S", "CPU S/MILLION"];
    let more: &[&str] = if counts { &["ALLOCATIONS/EVENT", "BYTES/EVENT"] } else { &[] };
    let heads = heads.iter().chain(more).map(|head| (*head).to_owned());
    let mut table = plain_table(heads);
    table.set_content_arrangement(ContentArrangement::Disabled);
    for stage in &bench.stages {
        let names = [stage.stage.clone(), type_of(stage)];
        let events = [events(stage.events_in), events(stage.events_out)];
        add_row(&mut table, names, events, &stage.cost, counts);
    }
    let rest = [
        ("(the graph)", "tasks, channels, delivery", &bench.graph),
        ("(other threads)", "reading of files", &bench.other_threads),
        ("(total)", "for each source event", &bench.total),
    ];
    for (name, about, cost) in rest {
        if cost.cpu_seconds > bench.total.cpu_seconds * SHARE_SHOWN {
            let names = [name.to_owned(), about.to_owned()];
            add_row(&mut table, names, <_>::default(), cost, counts);
        }
    }
    for column in table.column_iter_mut().skip(TEXTS) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

fn type_of(stage: &StageCost) -> String {
    format!("{} {}", stage.kind, stage.component)
}

fn add_row(
    table: &mut Table,
    names: [String; TEXTS],
    events: [String; 2],
    cost: &Cost,
    counts: bool,
) {
    let each = |figure: Option<f64>, decimals: usize| {
        figure.map_or(String::new(), |figure| format!("{figure:.decimals$}"))
    };
    let a_second = cost.events_per_cpu_second.map_or(String::new(), |rate| number(rate as u64));
    let mut row: Vec<String> = names.into_iter().chain(events).collect();
    row.extend([a_second, each(cost.cpu_seconds_per_million, 3)]);
    if counts {
        row.push(each(cost.allocations_per_event, 2));
        row.push(each(cost.allocated_bytes_per_event, 0));
    }
    table.add_row(row);
}

/// A figure, or nothing where there is none.
fn events(count: u64) -> String {
    if count == 0 { String::new() } else { number(count) }
}

/// How each function of a rule is run.
fn functions(bench: &Bench) -> String {
    let mut text = String::new();
    for stage in &bench.stages {
        for (function, reason) in &stage.functions {
            let how = match reason {
                None => "compiled".to_owned(),
                Some(reason) => format!("interpreted: {reason}"),
            };
            let _ = writeln!(text, "  `{function}` of `{}` runs {how}", stage.stage);
        }
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

fn remarks(bench: &Bench) -> String {
    let mut text = String::new();
    if bench.is_cut_short {
        let events = number(bench.events);
        let _ =
            writeln!(text, "note: cut short after {events} source events; `--events` sets more");
    }
    for source in &bench.made_up {
        let _ = writeln!(
            text,
            "note: events of `{source}` come from outside, so in their place others are made up, of \
             all types"
        );
    }
    if text.is_empty() { text } else { text + "\n" }
}

/// How much more the stages of the second cost than those of the same name in the first.
fn ratios(first: &Measured, second: &Measured) -> String {
    let heads = ["STAGE", "CPU S/MILLION", "THEN", "RATIO"].map(str::to_owned);
    let mut table = plain_table(heads);
    table.set_content_arrangement(ContentArrangement::Disabled);
    let mut rows = 0;
    let stages = first.bench.stages.iter().filter_map(|stage| {
        let other = second.bench.stages.iter().find(|other| other.stage == stage.stage)?;
        Some((stage.stage.as_str(), &stage.cost, &other.cost))
    });
    let total = ("(total)", &first.bench.total, &second.bench.total);
    for (name, before, after) in stages.chain([total]) {
        let costs = (before.cpu_seconds_per_million, after.cpu_seconds_per_million);
        let (Some(before), Some(after)) = costs else { continue };
        let ratio = format!("{:.2}", after / before);
        table.add_row([name.to_owned(), format!("{before:.3}"), format!("{after:.3}"), ratio]);
        rows += 1;
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    if rows == 0 {
        return String::new();
    }
    format!("{}, then {}\n\n{}\n\n", first.file, second.file, table.trim_fmt())
}
