//! `engine describe`: the settings of a component, with their defaults and an example.

mod example;
mod markdown;
mod text;

use clap::{Args, ValueEnum};
use engine::component::{Component, Kind};
use engine::problem::{Problem, did_you_mean};
use serde_json::{Value, json};

use super::components::{description, of_kind, origin};
use super::plugins::PluginArguments;
use super::{CommandResult, terminal};

/// What to describe.
#[derive(Args)]
#[command(after_help = "\
Examples:
  engine describe retail_mix
  engine describe enricher/rhai           of the two components named rhai, the enricher
  engine describe parquet --plugins plugins
  engine describe --all --format markdown > docs/reference.md")]
pub(super) struct DescribeArguments {
    /// A component, such as `rhai` or `enricher/rhai`
    #[arg(required_unless_present = "all")]
    component: Option<String>,
    /// All components
    #[arg(long, conflicts_with = "component")]
    all: bool,
    /// How to write the description
    #[arg(long, value_enum, default_value_t)]
    format: DescribeFormat,
    #[command(flatten)]
    plugins: PluginArguments,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum DescribeFormat {
    /// For reading
    #[default]
    Text,
    /// An array of objects, with the JSON Schema of the settings
    Json,
    /// For a page of documentation
    Markdown,
}

pub(super) fn describe(arguments: &DescribeArguments) -> CommandResult {
    let components = arguments.plugins.components()?;
    let chosen = match &arguments.component {
        Some(name) => named(&components, name)?,
        None => Kind::ALL.into_iter().flat_map(|kind| of_kind(&components, kind)).collect(),
    };
    terminal::data(&match arguments.format {
        DescribeFormat::Text => chosen.into_iter().map(text::page).collect::<Vec<_>>().join("\n\n"),
        DescribeFormat::Json => format!("{:#}", chosen.into_iter().map(object).collect::<Value>()),
        DescribeFormat::Markdown if arguments.all => markdown::reference(&chosen),
        DescribeFormat::Markdown => {
            chosen.into_iter().map(markdown::section).collect::<Vec<_>>().join("\n")
        }
    })
}

fn object(component: &Component) -> Value {
    let mut object = json!({
        "name": component.name,
        "kind": component.kind.singular(),
        "description": description(component),
        "settings": (component.schema)(),
        "example": example::stage(component),
    });
    if let Some(plugin) = component.plugin() {
        object["plugin"] = origin(plugin);
    }
    object
}

/// The components that go by a name: `rhai`, `enricher/rhai` or `enrichers/rhai`.
fn named<'a>(components: &'a [Component], name: &str) -> Result<Vec<&'a Component>, Problem> {
    let (kind, own_name) = match name.split_once('/') {
        Some((kind, own_name)) => (Some(kind), own_name),
        None => (None, name),
    };
    let fits = |component: &&Component| {
        let [singular, section] = [component.kind.singular(), component.kind.section()];
        component.name == own_name && kind.is_none_or(|kind| kind == singular || kind == section)
    };
    let found: Vec<_> = components.iter().filter(fits).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let problem = Problem::error(format!("unknown component `{name}`"));
    let full_name = |component: &Component| match kind {
        Some(_) => format!("{}/{}", component.kind.singular(), component.name),
        None => component.name.to_owned(),
    };
    let names: Vec<String> = components.iter().map(full_name).collect();
    Err(match did_you_mean(name, names.iter().map(String::as_str)) {
        Some(meant) => problem.help(format!("did you mean `{meant}`?")),
        None => problem.help("`engine list` shows all of them"),
    })
}
