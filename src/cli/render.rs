//! `engine render`: the effective spec, secrets masked.

use std::path::PathBuf;

use clap::Args;
use engine::plan::{Plan, render_effective};

use super::pipeline::ReadArguments;
use super::{CommandResult, terminal};

/// What to render.
#[derive(Args)]
#[command(after_help = "\
Includes, variables, `--set` and anchors are in their places. Secrets show as `***`.

Example:
  engine render shop.yaml --env-file prod.env --set clock.speed=max")]
pub(super) struct RenderArguments {
    /// The pipeline, or `-` for stdin
    file: PathBuf,
    #[command(flatten)]
    read: ReadArguments,
}

pub(super) fn render(arguments: &RenderArguments) -> CommandResult {
    let mut document = arguments.read.read(&arguments.file, &arguments.read.environment()?)?;
    let components = arguments.read.components(&mut document);
    match Plan::new(document.clone(), &components) {
        Ok((plan, _)) => terminal::data(&plan.document.render_effective()),
        // What it came to may be just what explains the problems.
        Err(problems) => {
            terminal::data(&render_effective(document, &components))?;
            Err(problems.into())
        }
    }
}
