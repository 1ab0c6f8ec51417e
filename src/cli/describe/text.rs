//! A component's page on the terminal.

use std::fmt::Write;

use engine::component::Component;

use super::example;
use crate::cli::components::{SettingRow, description, origin_sentence, settings};
use crate::cli::list::plain_table;

/// The page.
pub(super) fn page(component: &Component) -> String {
    let kind = component.kind.singular();
    let mut page = format!("{} ({kind})\n\n{}\n", component.name, description(component));
    if let Some(origin) = origin_sentence(component) {
        let _ = write!(page, "\n{origin}\n");
    }
    let rows = settings(component);
    if rows.is_empty() {
        page.push_str("\nIt has no settings.\n");
    } else {
        page.push_str("\nSettings\n\n");
        page.push_str(&table(&rows));
        page.push('\n');
    }
    // Writing to a string does not fail.
    let _ = write!(page, "\nExample\n\n{}", example::stage(component));
    page
}

fn table(rows: &[SettingRow]) -> String {
    let heads = ["  NAME", "TYPE", "DEFAULT", "DESCRIPTION"];
    let mut table = plain_table(heads.map(str::to_owned));
    for row in rows {
        let default = match (&row.default, row.required) {
            (Some(default), _) => default.clone(),
            (None, true) => "required".to_owned(),
            (None, false) => "-".to_owned(),
        };
        let name = format!("  {}{}", "  ".repeat(row.depth), row.name);
        let about = row.about.split("\n\n").next().unwrap_or_default().to_owned();
        table.add_row([name, row.takes.clone(), default, about]);
    }
    table.trim_fmt()
}
