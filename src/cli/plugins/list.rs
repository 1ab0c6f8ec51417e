//! `engine plugins list`: a line for each plugin of the libraries, and a reason for each library that
//! cannot be used.

use std::path::{Path, PathBuf};

use clap::Args;
use engine::component::Component;
use engine::plugin::{Library, Refusal, find};
use engine::problem::{Problem, Severity};
use engine::registry::Table;
use serde_json::{Value, json};

use super::PluginArguments;
use crate::cli::components::abi;
use crate::cli::list::plain_table;
use crate::cli::{CommandResult, Exit, terminal};

/// Where to look, and how to write what is there.
#[derive(Args)]
#[command(after_help = "\
Examples:
  engine plugins list plugins
  engine plugins list plugins target/release/libloyalty.so --json

Libraries are loaded, and a library that is loaded runs code: list only what you would run.
Exits with 1 if one of them cannot be used.")]
pub(in crate::cli) struct PluginsListArguments {
    /// Libraries, and folders of them
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write an array of objects, with the JSON Schema of the settings, or with the error of what
    /// cannot be used
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    plugins: PluginArguments,
}

pub(super) fn list(arguments: &PluginsListArguments) -> CommandResult {
    let search = arguments.plugins.and(&arguments.paths);
    let places: Vec<String> = search.paths().map(|path| format!("`{}`", path.display())).collect();
    if places.is_empty() {
        let problem = Problem::error("nothing says where plugins are");
        let help = "name a library or a folder, or set `ENGINE_PLUGIN_PATH`";
        return Err(problem.help(help).into());
    }
    let table = Table::with(find(&search, &mut |_: &Path| {}));
    let libraries = &table.found.libraries;
    let mut problems = table.found.problems.clone();
    problems.extend(libraries.iter().filter_map(Library::problem).map(|problem| Problem {
        // Here it is what was asked for.
        severity: Severity::Error,
        ..problem
    }));
    if arguments.json {
        let unread = table.found.unread.iter();
        let unread = unread.map(|(place, refusal)| error(&place.display().to_string(), refusal));
        let objects = libraries.iter().flat_map(objects).chain(unread).collect::<Value>();
        terminal::data(&format!("{objects:#}"))?;
    } else {
        let loaded = || libraries.iter().filter_map(|library| library.outcome.as_ref().ok());
        if loaded().any(|components| !components.is_empty()) {
            terminal::data(&text(loaded().flatten()))?;
        }
    }
    if libraries.is_empty() && problems.is_empty() {
        terminal::note(&format!("no library in {}", places.join(", ")));
    }
    if !problems.is_empty() {
        terminal::report(&problems);
    }
    Ok(if problems.has_errors() { Exit::Failed } else { Exit::Done })
}

fn text<'a>(components: impl Iterator<Item = &'a Component>) -> String {
    let heads = ["NAME", "KIND", "VERSION", "ABI", "BUILT WITH", "FILE", "SUMMARY"];
    let mut table = plain_table(heads.map(str::to_owned));
    for component in components {
        let Some(plugin) = component.plugin() else { continue };
        table.add_row([
            component.name.to_owned(),
            component.kind.singular().to_owned(),
            plugin.version.clone(),
            abi(plugin),
            plugin.built_with.clone(),
            plugin.file.display().to_string(),
            component.summary(),
        ]);
    }
    table.trim_fmt()
}

/// An object for each plugin of a library, or one that says why there is none.
fn objects(library: &Library) -> Vec<Value> {
    let file = library.file.display().to_string();
    match &library.outcome {
        Ok(components) => components.iter().filter_map(|row| object(&file, row)).collect(),
        Err(refusal) => vec![error(&file, refusal)],
    }
}

fn error(file: &str, refusal: &Refusal) -> Value {
    json!({ "file": file, "error": refusal.reason, "help": refusal.help })
}

fn object(file: &str, component: &Component) -> Option<Value> {
    let plugin = component.plugin()?;
    Some(json!({
        "name": component.name,
        "kind": component.kind.singular(),
        "version": plugin.version,
        "abi": abi(plugin),
        "built_with": plugin.built_with,
        "file": file,
        "summary": component.summary(),
        "example": component.example,
        "settings": (component.schema)(),
    }))
}
