//! `engine export`: what a pipeline's events refer to, as files.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use engine::component::Settings;
use engine::problem::{Problem, Problems, did_you_mean};
use engine::retail::{MasterKind, World};
use engine::sources::retail::Retail;
use engine::spec::Document;

use super::pipeline::ReadArguments;
use super::{CommandError, CommandResult, Exit, terminal};

/// What to export.
#[derive(Args)]
#[command(after_help = "\
Examples:
  engine export master shop.yaml              master/stores.csv, master/products.csv, ...
  engine export master shop.yaml --to data/shop --force
  engine export master mall.yaml --source east

What was exported can be edited and given back as `master_data:` of the source.")]
pub(super) struct ExportArguments {
    #[command(subcommand)]
    what: ExportWhat,
}

#[derive(Subcommand)]
enum ExportWhat {
    /// Write the stores, distribution centres, products, customers and trucks of a `retail` source
    /// as CSV files
    Master(MasterArguments),
}

/// Whose master data, and where to.
#[derive(Args)]
struct MasterArguments {
    /// The pipeline, or `-` for stdin
    file: PathBuf,
    /// The source, where the pipeline has several `retail` sources
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// The folder to write to; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "master")]
    to: PathBuf,
    /// Replace files that are there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    read: ReadArguments,
}

pub(super) fn export(arguments: &ExportArguments) -> CommandResult {
    match &arguments.what {
        ExportWhat::Master(master) => export_master(master),
    }
}

fn export_master(arguments: &MasterArguments) -> CommandResult {
    let document = arguments.read.read(&arguments.file, &arguments.read.environment()?)?;
    if document.problems().has_errors() {
        return Err(document.problems().clone().into());
    }
    let source = retail_source(&document, arguments.source.as_deref())?;
    let paths = MasterKind::ALL.iter().map(|kind| arguments.to.join(format!("{kind}.csv")));
    let files: Vec<(MasterKind, PathBuf)> = MasterKind::ALL.iter().copied().zip(paths).collect();
    if !arguments.force {
        refuse_to_replace(&files)?;
    }
    let world = world_of(&arguments.read, document, &source)?;
    write_all(&world, &arguments.to, &files)?;
    for (kind, path) in &files {
        terminal::note(&format!("wrote {} {kind} to {}", world.count(*kind), path.display()));
    }
    Ok(Exit::Done)
}

/// The world of a source, as the source itself reads it.
fn world_of(read: &ReadArguments, document: Document, source: &str) -> Result<World, Problems> {
    let engine = read.engine(document)?;
    let plan = engine.plan();
    let stage = plan.stages.iter().find(|stage| stage.name == source);
    let stage = stage.ok_or_else(|| Problem::error(format!("no source is called `{source}`")))?;
    let settings: Retail = serde_json::from_value(stage.settings.clone())
        .map_err(|error| Problem::error(error.to_string()))?;
    settings.world(plan.spec.seed, &plan.document, &format!("{}/with", stage.pointer))
}

/// The name of the `retail` source that is meant.
fn retail_source(document: &Document, asked: Option<&str>) -> Result<String, Problem> {
    let sources = document.value("/sources");
    let is_retail = |source: &serde_json::Value| source["type"] == Retail::NAME;
    let mut names: Vec<String> = match sources.as_object() {
        Some(sources) => sources.iter().filter(|one| is_retail(one.1)).map(|one| one.0.clone()),
        None => return Err(no_source(document)),
    }
    .collect();
    let list = |names: &[String]| {
        names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    };
    match asked {
        _ if names.is_empty() => Err(no_source(document)),
        Some(asked) => names.iter().find(|name| *name == asked).cloned().ok_or_else(|| {
            let problem = Problem::error(format!("no `retail` source is called `{asked}`"));
            match did_you_mean(asked, names.iter().map(String::as_str)) {
                Some(meant) => problem.help(format!("did you mean `{meant}`?")),
                None => problem.help(format!("there is {}", list(&names))),
            }
        }),
        None if names.len() > 1 => {
            let problem = Problem::error("the pipeline has several `retail` sources");
            Err(problem.help(format!("choose one with `--source`: {}", list(&names))))
        }
        None => Ok(names.remove(0)),
    }
}

fn no_source(document: &Document) -> Problem {
    Problem::error("the pipeline has no `retail` source")
        .at(document.place("/sources"))
        .help("master data is what the events of a `retail` source refer to")
}

/// What is to be written may be the very files that the source reads, with the user's changes.
fn refuse_to_replace(files: &[(MasterKind, PathBuf)]) -> Result<(), Problems> {
    let there = files.iter().filter(|(_, path)| path.exists());
    let problems: Vec<Problem> = there
        .map(|(_, path)| {
            Problem::error(format!("`{}` is there already", path.display()))
                .help("choose another folder with `--to`, or replace it with `--force`")
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
}

fn write_all(
    world: &World,
    folder: &Path,
    files: &[(MasterKind, PathBuf)],
) -> Result<(), CommandError> {
    let failed = |path: &Path, error: &io::Error| {
        let problem = Problem::error(format!("cannot write `{}`: {error}", path.display()));
        CommandError::Failed(problem.into())
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    for (kind, path) in files {
        write_one(world, *kind, path).map_err(|error| failed(path, &error))?;
    }
    Ok(())
}

fn write_one(world: &World, kind: MasterKind, path: &Path) -> io::Result<()> {
    let file: File = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    let mut text = BufWriter::new(file);
    world.write_csv(kind, &mut text)?;
    text.flush()
}
