//! `engine list`: which components there are.

use clap::{Args, ValueEnum};
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use engine::component::Kind;
use engine::registry::built_in;
use serde_json::{Value, json};

use super::components::of_kind;
use super::{CommandResult, terminal};

/// What to list.
#[derive(Args)]
#[command(after_help = "\
Examples:
  engine list
  engine list sinks --format json")]
pub(super) struct ListArguments {
    /// Only components of this kind
    kind: Option<KindName>,
    /// How to write the list
    #[arg(long, value_enum, default_value_t)]
    format: ListFormat,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum ListFormat {
    /// A table
    #[default]
    Text,
    /// An array of objects
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
enum KindName {
    Sources,
    Enrichers,
    Correlators,
    Batchers,
    Sinks,
}

impl From<KindName> for Kind {
    fn from(name: KindName) -> Self {
        match name {
            KindName::Sources => Self::Source,
            KindName::Enrichers => Self::Enricher,
            KindName::Correlators => Self::Correlator,
            KindName::Batchers => Self::Batcher,
            KindName::Sinks => Self::Sink,
        }
    }
}

pub(super) fn list(arguments: &ListArguments) -> CommandResult {
    let components = built_in();
    let chosen: Option<Kind> = arguments.kind.map(Kind::from);
    let kinds = Kind::ALL.into_iter().filter(|kind| chosen.is_none_or(|chosen| chosen == *kind));
    let rows: Vec<_> = kinds.flat_map(|kind| of_kind(&components, kind)).collect();
    terminal::data(&match arguments.format {
        ListFormat::Json => {
            let object = |row: &&engine::component::Component| json!({ "name": row.name, "kind": row.kind.singular(), "summary": row.summary() });
            format!("{:#}", rows.iter().map(object).collect::<Value>())
        }
        ListFormat::Text => {
            let mut table = plain_table(["NAME", "KIND", "SUMMARY"].map(str::to_owned));
            for row in rows {
                table.add_row([row.name, row.kind.singular(), &row.summary()]);
            }
            table.trim_fmt()
        }
    })
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
