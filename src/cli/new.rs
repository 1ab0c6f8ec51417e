//! `engine new`: a pipeline to begin with, or the one that a generator's `config.json` describes.

mod config;
mod starter;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use engine::engine::Engine;
use engine::problem::{Problem, Problems};
use engine::registry::built_in;
use engine::spec::{Document, Environment};

use self::config::Config;
use super::{CommandError, CommandResult, Exit, terminal};

/// What to write.
#[derive(Args)]
#[command(after_help = "\
Examples:
  engine new shop                     write shop.yaml
  engine new shop --from config.json  with the settings of a retail generator's configuration")]
pub(super) struct NewArguments {
    /// The name of the pipeline, or the path of its file
    name: PathBuf,
    /// Take settings from the JSON configuration of a retail generator
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

pub(super) fn new(arguments: &NewArguments) -> CommandResult {
    let path = file_path(&arguments.name);
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    let config = match &arguments.from {
        Some(from) => Config::read(from)?,
        None => Config::default(),
    };
    let yaml = starter::pipeline(&name, &path, &config);
    check(&path, &yaml)?;
    write(&path, &yaml, arguments.force)?;
    if !config.remarks.is_empty() {
        terminal::report(&config.remarks);
    }
    terminal::note(&next_steps(&path));
    Ok(Exit::Done)
}

/// `shop` means `shop.yaml`.
fn file_path(name: &Path) -> PathBuf {
    let has_end = name.extension().is_some_and(|end| end == "yaml" || end == "yml");
    if has_end {
        return name.to_owned();
    }
    let mut path = name.as_os_str().to_owned();
    path.push(".yaml");
    path.into()
}

/// A value from a configuration may be one that no pipeline takes.
fn check(path: &Path, yaml: &str) -> Result<(), Problems> {
    let name = path.display().to_string();
    let document = Document::parse(&name, yaml, ".", &Environment::default())?;
    Engine::new(document, &built_in()).map(|_| ())
}

fn write(path: &Path, yaml: &str, force: bool) -> Result<(), CommandError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    if force {
        options.truncate(true);
    } else {
        options.create_new(true);
    }
    let written = options.open(path).and_then(|mut file| file.write_all(yaml.as_bytes()));
    written.map_err(|error| {
        let file = path.display();
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            let problem = Problem::error(format!("`{file}` is there already"));
            return problem.help("choose another name, or replace it with `--force`").into();
        }
        CommandError::Failed(Problem::error(format!("cannot write `{file}`: {error}")).into())
    })
}

fn next_steps(path: &Path) -> String {
    let file = path.display();
    format!(
        "wrote {file}\n\n\
         Look at some events of it:   engine run {file} --sample 20\n\
         Run an hour of it, quickly:  engine run {file} --duration 1h --speed max > events.ndjson\n\
         Check it after a change:     engine validate {file}\n\
         See what else there is:      engine list"
    )
}
