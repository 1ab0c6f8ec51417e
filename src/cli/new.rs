//! `engine new`: a pipeline to begin with, or the one that a generator's `config.json` describes; or
//! a plugin.

mod config;
mod env_file;
mod plugin;
mod starter;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use engine::engine::Engine;
use engine::problem::{Problem, Problems, Severity};
use engine::registry::built_in;
use engine::spec::{Document, Environment, Secret};

use self::config::Config;
use self::plugin::{Language, PluginKind};
use self::starter::CONNECTION_STRING_VARIABLE;
use super::{CommandError, CommandResult, Exit, terminal};

/// What to write.
#[derive(Args)]
#[command(after_help = "\
Examples:
  engine new shop                     write shop.yaml
  engine new shop --from config.json  with the settings of a retail generator's configuration
  engine new --plugin loyalty         write a folder with a native plugin, an enricher in Rust
  engine new --plugin archive --kind sink
  engine new --plugin beat --kind source --language c")]
pub(super) struct NewArguments {
    /// The name of the pipeline, or the path of its file; with `--plugin` the folder of the plugin,
    /// whose name is that of the plugin
    name: PathBuf,
    /// Write a native plugin in place of a pipeline
    #[arg(long, conflicts_with_all = ["from", "force"])]
    plugin: bool,
    /// The kind of stage that the plugin is
    #[arg(long, requires = "plugin", value_enum, default_value_t = PluginKind::Enricher)]
    kind: PluginKind,
    /// What the plugin is written in
    #[arg(long, requires = "plugin", value_enum, default_value_t = Language::Rust)]
    language: Language,
    /// Take settings from the JSON configuration of a retail generator
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

pub(super) fn new(arguments: &NewArguments) -> CommandResult {
    if arguments.plugin {
        return plugin::new(&arguments.name, arguments.kind, arguments.language);
    }
    let path = file_path(&arguments.name);
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    let config = match &arguments.from {
        Some(from) => Config::read(from)?,
        None => Config::default(),
    };
    let yaml = starter::pipeline(&name, &path, &config);
    let mut remarks = check(&path, &yaml, config.connection_string.as_ref())?;
    write(&path, &yaml, arguments.force)?;
    let env_file = path.with_file_name(".env");
    if let Some(connection_string) = &config.connection_string {
        remarks.append(keep_secret(&env_file, connection_string)?);
    }
    remarks.append(config.remarks);
    if !remarks.is_empty() {
        terminal::report(&remarks);
    }
    terminal::note(&match config.connection_string {
        Some(_) => next_steps_with_hub(&path, &env_file),
        None => next_steps(&path),
    });
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

/// A value from a configuration may be one that no pipeline takes. A connection string is not in
/// the pipeline, so one that is wrong can be mended later: what is wrong with it is a warning.
fn check(
    path: &Path,
    yaml: &str,
    connection_string: Option<&Secret>,
) -> Result<Problems, Problems> {
    let name = path.display().to_string();
    let check_with = |connection_string: &str| {
        let mut environment = Environment::default();
        environment.set(CONNECTION_STRING_VARIABLE, connection_string);
        let document = Document::parse(&name, yaml, ".", &environment)?;
        Engine::new(document, &built_in()).map(|_| ())
    };
    let Some(connection_string) = connection_string else {
        return check_with("").map(|()| Problems::default());
    };
    let Err(mut problems) = check_with(connection_string.reveal()) else {
        return Ok(Problems::default());
    };
    check_with(ANY_CONNECTION_STRING)?;
    problems.0.iter_mut().for_each(|problem| problem.severity = Severity::Warning);
    Ok(problems)
}

/// One that nothing is wrong with, of a namespace that does not exist.
const ANY_CONNECTION_STRING: &str = "Endpoint=sb://any.servicebus.windows.net/;\
     SharedAccessKeyName=any;SharedAccessKey=YW55";

/// Puts the connection string into the environment file. Returns what there is to say about it.
fn keep_secret(env_file: &Path, connection_string: &Secret) -> Result<Problems, CommandError> {
    let name = CONNECTION_STRING_VARIABLE;
    let shown = env_file.display();
    let added = env_file::add(env_file, name, connection_string.reveal()).map_err(|error| {
        let problem = Problem::error(format!("cannot write `{shown}`: {error}"));
        let help = format!("set `{name}` to the connection string when the pipeline runs");
        CommandError::Failed(problem.help(help).into())
    })?;
    let mut remarks = Problems::default();
    if added == env_file::Added::Kept {
        let remark = Problem::warning(format!("`{name}` is in `{shown}` already, and was kept"));
        remarks.push(remark.help("take that line out and begin again to have the other one"));
    }
    if env_file::is_open_to_others(env_file) {
        let remark = Problem::warning(format!("`{shown}` holds a secret, and others may read it"));
        remarks.push(remark.help(format!("keep it to yourself with `chmod 600 {shown}`")));
    }
    Ok(remarks)
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

fn next_steps_with_hub(path: &Path, env_file: &Path) -> String {
    let (file, env) = (path.display(), env_file.display());
    format!(
        "wrote {file}; its connection string is in {env}, which does not belong in a repository\n\n\
         Look at some events of it:   engine run {file} --env-file {env} --sample 20\n\
         See what a hub has to take:  engine validate {file} --env-file {env} --capacity\n\
         Run it:                      engine run {file} --env-file {env}\n\
         Check it after a change:     engine validate {file} --env-file {env}"
    )
}
