//! Libraries of plugins, and their examples, built when a test asks for one: once per process, in the folder where the
//! program under test was built, so that nothing is compiled twice.

use std::collections::BTreeMap;
use std::env::consts::DLL_EXTENSION;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::Value;

use crate::harness::project;

/// The library of a package of this workspace, or of one by the path of its `Cargo.toml`.
pub(crate) fn library(package: &str) -> PathBuf {
    built(package, None)
}

/// A program among the examples of a package.
pub(crate) fn example(package: &str, name: &str) -> PathBuf {
    built(package, Some(name))
}

fn built(package: &str, example: Option<&str>) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, Arc<OnceLock<PathBuf>>>> = Mutex::new(BTreeMap::new());
    let name = format!("{package} {}", example.unwrap_or_default());
    let built = BUILT.lock().unwrap().entry(name).or_default().clone();
    // Others wait for this one only where they want the same.
    built.get_or_init(|| build(package, example)).clone()
}

fn build(package: &str, example: Option<&str>) -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_engine"));
    let profile_folder = program.parent().unwrap();
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--quiet", "--message-format=json"]);
    command.arg("--target-dir").arg(profile_folder.parent().unwrap());
    if profile_folder.ends_with("release") {
        command.arg("--release");
    }
    if package.ends_with("Cargo.toml") {
        command.arg("--manifest-path").arg(package);
    } else {
        command.args(["--locked", "--package", package]);
    }
    command.args(example.map(|name| ["--example", name]).into_iter().flatten());
    // What Cargo told this process is about another package.
    let told = std::env::vars_os().map(|(name, _)| name);
    for name in told.filter(|name| name.to_string_lossy().starts_with("CARGO_PKG_")) {
        command.env_remove(name);
    }
    let done = command.current_dir(project("")).stderr(Stdio::inherit()).output().unwrap();
    assert!(done.status.success(), "{package} does not build");
    let messages = done.stdout.split(|byte| *byte == b'\n');
    let mut messages = messages.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let file = messages.find_map(|message| match example {
        Some(name) if message["target"]["name"] == name => path(&message["executable"]),
        Some(_) => None,
        None => library_of(&message),
    });
    file.unwrap_or_else(|| panic!("{package} makes nothing of the kind"))
}

/// The library that a message of Cargo's tells of, if it is one to be loaded.
fn library_of(message: &Value) -> Option<PathBuf> {
    let kinds = message["target"]["kind"].as_array()?;
    if !kinds.contains(&"cdylib".into()) {
        return None;
    }
    let mut files = message["filenames"].as_array()?.iter().filter_map(path);
    files.find(|path| path.extension().is_some_and(|end| end == DLL_EXTENSION))
}

fn path(value: &Value) -> Option<PathBuf> {
    value.as_str().map(PathBuf::from)
}
