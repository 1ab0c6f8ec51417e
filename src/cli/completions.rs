//! `engine completions`: a completion script for a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Arguments, CommandResult, terminal};

/// A shell.
#[derive(Args)]
#[command(after_help = "Example:
  engine completions bash > ~/.local/share/bash-completion/completions/engine")]
pub(super) struct CompletionsArguments {
    /// The shell
    shell: Shell,
}

pub(super) fn completions(arguments: &CompletionsArguments) -> CommandResult {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "engine", &mut script);
    terminal::data(&String::from_utf8_lossy(&script))
}
