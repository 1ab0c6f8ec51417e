//! Imports go only downward. The order below is the order of `src/README.md`.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules from the ground up; each may import those before it, and itself.
const FLOORS: &[&[&str]] = &[
    &["event"],
    &["clock", "control", "failure", "file_lock", "kind", "problem", "retail", "security"],
    &["spec", "script"],
    &[
        "monitor",
        "audit",
        "hooks",
        "dead_letter",
        "state",
        "checkpoint",
        "stage",
        "component",
        "event_hubs",
    ],
    &["sources", "enrichers", "correlators", "batchers", "sinks", "delivery"],
    &["plugin", "registry"],
    &["plan"],
    &["graph"],
    &["runtime"],
    &["server", "otlp"],
    &["engine", "testing", "bench", "capacity"],
    &["cli", "main"],
];

fn rank(module: &str) -> Option<usize> {
    FLOORS.iter().flat_map(|floor| floor.iter()).position(|name| *name == module)
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
}

/// The top-level modules that a line names: `crate::x`, or `engine::x` in the binary.
fn imports(line: &str) -> impl Iterator<Item = &str> {
    ["crate::", "engine::"]
        .into_iter()
        .flat_map(move |root| {
            line.match_indices(root).filter_map(move |(place, _)| {
                let before = line[..place].chars().next_back();
                let is_path_start =
                    before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':');
                is_path_start.then_some(&line[place + root.len()..])
            })
        })
        .flat_map(heads)
}

/// The first names of a path, or of each path of a group: `a` of `a::b`, `a` and `c` of `{a::b, c}`.
fn heads(path: &str) -> impl Iterator<Item = &str> {
    let group = path.strip_prefix('{').map(|group| group.split('}').next().unwrap_or(group));
    group.unwrap_or(path).split(',').take(if group.is_some() { usize::MAX } else { 1 }).map(
        |path| {
            let path = path.trim();
            let end = path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len());
            &path[..end]
        },
    )
}

#[test]
fn a_group_of_imports_is_looked_into() {
    let names: Vec<&str> = imports("use crate::{cli, graph::merge};").collect();
    assert_eq!(names, ["cli", "graph"]);
    assert_eq!(
        imports("use crate::engine::Engine, crate::x;").collect::<Vec<_>>(),
        ["engine", "x"]
    );
}

#[test]
fn imports_go_only_downward() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&source).unwrap();
        let top = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if top == "lib" {
            continue;
        }
        let floor = rank(top).unwrap_or_else(|| panic!("src/{top} stands on no floor"));
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
        for (number, line) in code.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for import in imports(line) {
                if rank(import).is_some_and(|imported| imported > floor) {
                    let place = format!("src/{}:{}", relative.display(), number + 1);
                    wrong.push(format!("{place}: `{top}` imports `{import}`, which is above it"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports that go up:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_of_the_library_stands_on_a_floor() {
    let library = include_str!("../../src/lib.rs");
    for line in library.lines().filter_map(|line| line.trim().strip_prefix("pub mod ")) {
        let module = line.trim_end_matches(';');
        assert!(rank(module).is_some(), "`{module}` stands on no floor");
    }
}
