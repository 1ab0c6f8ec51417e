//! `engine new --plugin`: a folder with a native plugin to begin with, which builds, and passes its
//! own tests, on a machine that has nothing of ours but this program.

mod sdk;
mod templates;

use std::fs;
use std::path::Path;

use clap::ValueEnum;
use engine::problem::Problem;
use engine::registry::built_in;

use super::super::{CommandError, CommandResult, Exit, terminal};

/// What kind of stage a plugin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PluginKind {
    /// Makes or reads events
    Source,
    /// Changes or drops events one by one
    Enricher,
    /// Derives events from several
    Correlator,
    /// Hands events to the outside
    Sink,
}

/// What a plugin is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// With a crate that makes it safe, and a kit for tests
    Rust,
    /// C11, with one header
    C,
}

impl PluginKind {
    fn singular(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Enricher => "enricher",
            Self::Correlator => "correlator",
            Self::Sink => "sink",
        }
    }
}

/// A plugin that is to be written.
struct Plan<'a> {
    folder: &'a Path,
    /// The `type:` in a pipeline.
    name: String,
    kind: PluginKind,
    language: Language,
}

/// Writes the folder.
pub(super) fn new(folder: &Path, kind: PluginKind, language: Language) -> CommandResult {
    let name = type_name(folder)?;
    let plan = Plan { folder, name, kind, language };
    let files = templates::files(&plan)?;
    let shown = folder.display();
    fs::create_dir(folder).map_err(|error| {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            let problem = Problem::error(format!("`{shown}` is there already"));
            return problem.help("choose another name").into();
        }
        CommandError::Failed(Problem::error(format!("cannot make `{shown}`: {error}")).into())
    })?;
    for (path, text) in files {
        write(&folder.join(path), &text)?;
    }
    terminal::note(&next_steps(&plan));
    Ok(Exit::Done)
}

/// The longest `type:` that there is.
const NAME_MAX: usize = 64;

/// The `type:` of a plugin in a folder: its name, with `_` for `-`.
fn type_name(folder: &Path) -> Result<String, CommandError> {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_else(|| folder.display().to_string());
    let word = name.replace('-', "_");
    let fits = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
    let is_name = word.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
        && word.as_bytes().iter().all(fits);
    if !is_name || word.len() > NAME_MAX {
        let problem = Problem::error(format!("`{name}` is no name for a plugin"));
        let help = format!(
            "a name begins with a lowercase letter, goes on with those, digits, `_` and `-`, and has \
             at most {NAME_MAX} letters, such as `loyalty-tier`"
        );
        return Err(problem.help(help).into());
    }
    if let Some(known) = built_in().iter().find(|component| component.name == word) {
        let kind = known.kind.singular();
        let problem = Problem::error(format!("there is a built-in {kind} `{word}` already"));
        return Err(problem.help("choose another name").into());
    }
    Ok(word)
}

fn write(path: &Path, text: &str) -> Result<(), CommandError> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(path, text)).map_err(|error| {
        let problem = Problem::error(format!("cannot write `{}`: {error}", path.display()));
        CommandError::Failed(problem.into())
    })
}

fn next_steps(plan: &Plan<'_>) -> String {
    let Plan { folder, name, kind, language } = plan;
    let (folder, kind) = (folder.display(), kind.singular());
    match language {
        Language::Rust => format!(
            "wrote {folder}, the {kind} `{name}` in Rust\n\n\
             Go there:                    cd {folder}\n\
             Run its tests:               cargo test\n\
             Build the library:           cargo build --release\n\
             Run a pipeline with it:      engine run pipeline.yaml\n\
             See what its users see:      engine describe {name} --plugins target/release"
        ),
        Language::C => format!(
            "wrote {folder}, the {kind} `{name}` in C\n\n\
             Go there:                    cd {folder}\n\
             Build the library:           make\n\
             Run a pipeline with it:      engine run pipeline.yaml\n\
             Run the pipeline's tests:    engine test pipeline.yaml\n\
             See what its users see:      engine describe {name} --plugins ."
        ),
    }
}

#[cfg(test)]
mod tests;
