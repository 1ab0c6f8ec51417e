//! `engine plugins`: what libraries hold, and the header that they are written with.

mod list;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use engine::component::Component;
use engine::plugin::{HEADER, Search, find};
use engine::problem::Problems;
use engine::registry::Table;

use super::{CommandResult, terminal};

/// Where plugins are.
#[derive(Args)]
pub(super) struct PluginArguments {
    /// Take the components of a library, or of all in a folder (repeatable), beside those that
    /// `ENGINE_PLUGIN_PATH` names
    #[arg(long, value_name = "PATH", global = true)]
    plugins: Vec<PathBuf>,
}

impl PluginArguments {
    /// Where to look: what the command line names, and the environment.
    pub(super) fn search(&self) -> Search {
        self.and(&[])
    }

    /// The same, with arguments that are places themselves.
    fn and(&self, paths: &[PathBuf]) -> Search {
        let named = paths.iter().map(|path| ("PATH", path));
        let flags = self.plugins.iter().map(|path| ("--plugins", path));
        named.chain(flags).fold(Search::of_process(), |search, (origin, path): (_, &PathBuf)| {
            search.and(origin, path)
        })
    }

    /// All components, for commands that read no spec. What keeps a library that was named from
    /// being used is an error, and everything else is told.
    pub(super) fn components(&self) -> Result<Vec<Component>, Problems> {
        let table = Table::with(find(&self.search(), &mut |_: &Path| {}));
        let problems = table.problems();
        if problems.has_errors() {
            return Err(problems);
        }
        if !problems.is_empty() {
            terminal::report(&problems);
        }
        Ok(table.components)
    }
}

/// What to do with plugins.
#[derive(Args)]
#[command(after_help = "\
Examples:
  engine plugins list plugins
  engine plugins list target/release/libloyalty.so --json
  engine plugins header > engine_plugin.h

A plugin is native code. Whatever names a library, a pipeline too, has its code run.")]
pub(super) struct PluginsArguments {
    #[command(subcommand)]
    command: PluginsCommand,
}

#[derive(Subcommand)]
enum PluginsCommand {
    /// Say what each library holds, or why it cannot be used
    List(list::PluginsListArguments),
    /// Print `engine_plugin.h`, all that a plugin in C needs
    Header,
}

pub(super) fn plugins(arguments: &PluginsArguments) -> CommandResult {
    match &arguments.command {
        PluginsCommand::List(list) => list::list(list),
        PluginsCommand::Header => terminal::data(HEADER),
    }
}
