//! The report's table of hooks: how often each was called, failed and was skipped.

use std::fmt::Write;

use comfy_table::{CellAlignment, ContentArrangement};
use engine::monitor::Statistics;

use super::summary::number;
use crate::cli::list::plain_table;

/// One row a hook, with an empty line behind. Nothing where none was called.
pub(super) fn table(statistics: &Statistics) -> String {
    if statistics.hooks.is_empty() {
        return String::new();
    }
    let mut table = plain_table(["HOOK", "CALLS", "FAILED", "SKIPPED"].map(str::to_owned));
    table.set_content_arrangement(ContentArrangement::Disabled);
    for (name, tally) in &statistics.hooks {
        let figures = [tally.calls, tally.failed, tally.skipped].map(number);
        table.add_row(std::iter::once((*name).to_owned()).chain(figures));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt() + "\n\n"
}

/// A warning for each hook that failed or was not called.
pub(super) fn remarks(statistics: &Statistics) -> String {
    let mut text = String::new();
    for (name, tally) in &statistics.hooks {
        if tally.failed > 0 {
            let (failed, calls) = (number(tally.failed), number(tally.calls));
            let _ = writeln!(
                text,
                "warning: calls of the hook `{name}` that failed: {failed} of {calls}; the log has \
                 the first"
            );
        }
        if tally.skipped > 0 {
            let skipped = number(tally.skipped);
            let _ = writeln!(
                text,
                "warning: calls of the hook `{name}` that were skipped, since it was behind: \
                 {skipped}"
            );
        }
    }
    text
}
