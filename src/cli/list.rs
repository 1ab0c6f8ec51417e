//! `engine list`: which components there are, and which functions rules may call.

mod functions;

use clap::{Args, ValueEnum};
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use engine::component::{Component, Kind};
use serde_json::{Value, json};

use super::components::{of_kind, origin};
use super::plugins::PluginArguments;
use super::{CommandResult, terminal};

/// What to list.
#[derive(Args)]
#[command(after_help = "\
Examples:
  engine list
  engine list sinks --format json
  engine list --plugins plugins           with the plugins of a folder
  engine list functions                   what a rule may call
  engine list functions --format markdown > docs/functions.md")]
pub(super) struct ListArguments {
    /// Only components of this kind, or what rules may call
    kind: Option<KindName>,
    /// How to write the list
    #[arg(long, value_enum, default_value_t)]
    format: ListFormat,
    #[command(flatten)]
    plugins: PluginArguments,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum ListFormat {
    /// A table
    #[default]
    Text,
    /// An array of objects
    Json,
    /// For a page of documentation
    Markdown,
}

#[derive(Clone, Copy, ValueEnum)]
enum KindName {
    Sources,
    Enrichers,
    Correlators,
    Batchers,
    Sinks,
    Functions,
}

impl KindName {
    /// The kind of component; none for functions.
    fn kind(self) -> Option<Kind> {
        Some(match self {
            Self::Sources => Kind::Source,
            Self::Enrichers => Kind::Enricher,
            Self::Correlators => Kind::Correlator,
            Self::Batchers => Kind::Batcher,
            Self::Sinks => Kind::Sink,
            Self::Functions => return None,
        })
    }
}

pub(super) fn list(arguments: &ListArguments) -> CommandResult {
    if matches!(arguments.kind, Some(KindName::Functions)) {
        return terminal::data(&functions::list(arguments.format));
    }
    let components = arguments.plugins.components()?;
    let chosen = arguments.kind.and_then(KindName::kind);
    let kinds = Kind::ALL.into_iter().filter(|kind| chosen.is_none_or(|chosen| chosen == *kind));
    let rows: Vec<_> = kinds.flat_map(|kind| of_kind(&components, kind)).collect();
    terminal::data(&match arguments.format {
        ListFormat::Json => format!("{:#}", rows.into_iter().map(object).collect::<Value>()),
        ListFormat::Markdown => markdown(&rows),
        ListFormat::Text => text(&rows),
    })
}

fn object(row: &Component) -> Value {
    let kind = row.kind.singular();
    let mut object = json!({ "name": row.name, "kind": kind, "summary": row.summary() });
    if let Some(plugin) = row.plugin() {
        object["plugin"] = origin(plugin);
    }
    object
}

fn markdown(rows: &[&Component]) -> String {
    let head = "| name | kind | summary |\n|---|---|---|\n".to_owned();
    rows.iter().fold(head, |text, row| {
        let (kind, summary) = (row.kind.singular(), row.summary());
        let file = row.plugin().map(|plugin| format!(" (`{}`)", plugin.file.display()));
        format!("{text}| `{}` | {kind} | {summary}{} |\n", row.name, file.unwrap_or_default())
    })
}

/// A table, in which plugins have their file.
fn text(rows: &[&Component]) -> String {
    let has_plugins = rows.iter().any(|row| row.plugin().is_some());
    let heads = ["NAME", "KIND", "FROM", "SUMMARY"].into_iter();
    let mut table =
        plain_table(heads.filter(|head| has_plugins || *head != "FROM").map(str::to_owned));
    for row in rows {
        let mut cells = vec![row.name.to_owned(), row.kind.singular().to_owned()];
        if has_plugins {
            let file = row.plugin().map(|plugin| plugin.file.display().to_string());
            cells.push(file.unwrap_or_else(|| "built in".to_owned()));
        }
        cells.push(row.summary());
        table.add_row(cells);
    }
    table.trim_fmt()
}

/// A terminal that is narrower, or does not know its width, wraps the lines itself.
const WIDTH_MIN: u16 = 60;

/// A table of aligned columns without lines; wrapped to a terminal's width, and not wrapped into a
/// pipe.
pub(super) fn plain_table(heads: impl IntoIterator<Item = String>) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(heads.into_iter().collect::<Vec<_>>());
    if table.width().is_some_and(|width| width < WIDTH_MIN) {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}
