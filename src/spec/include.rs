//! Reads a spec's file and those it includes into one tree, variables filled in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::document::source_of;
use super::file::read_bytes;
use super::node::{Content, Entry, Filled, Node, place};
use super::variables::{Environment, fill_in};
use super::yaml;
use crate::problem::{Place, Problem, Problems, SourceText};

/// The keys that an included file may have.
const SECTIONS: [&str; 5] = ["sources", "enrichers", "correlators", "batchers", "sinks"];

/// The key of the libraries that the stages of a file are from.
const LIBRARIES: &str = "plugins";

/// Gathers the files of one spec.
pub(super) struct Loader<'a> {
    environment: &'a Environment,
    /// The folder of each text.
    pub(super) directories: Vec<(Arc<SourceText>, PathBuf)>,
    /// What is wrong but lets the rest be read.
    pub(super) problems: Problems,
    /// Whether an included file could not be read.
    pub(super) lacks_an_include: bool,
    /// The files that are being read, each included by the one before.
    open: Vec<OpenFile>,
    /// The files that were read.
    done: Vec<PathBuf>,
}

struct OpenFile {
    name: String,
    canonical: Option<PathBuf>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(environment: &'a Environment) -> Self {
        let problems = Problems::default();
        Self {
            environment,
            directories: vec![],
            problems,
            lacks_an_include: false,
            open: vec![],
            done: vec![],
        }
    }

    /// The tree of a text with all it includes; `path` is its file, if it is in one.
    pub(super) fn load(
        &mut self,
        source: &Arc<SourceText>,
        directory: &Path,
        path: Option<&Path>,
    ) -> Result<Node, Problem> {
        self.directories.push((source.clone(), directory.to_owned()));
        let mut root = yaml::read(source, 0..source.text.len(), &mut self.problems)?;
        let Content::Mapping(_) = root.content else {
            return Err(no_mapping(&root, source));
        };
        fill_in_leaves(&mut root, self.environment, directory, &mut self.problems);
        let canonical = path.and_then(|path| path.canonicalize().ok());
        self.open.push(OpenFile { name: source.name.clone(), canonical });
        for (path, place) in included_paths(&mut root) {
            self.include(&mut root, directory, &path, &place);
        }
        self.open.pop();
        Ok(root)
    }

    fn include(&mut self, root: &mut Node, directory: &Path, path: &str, place: &Place) {
        let file = directory.join(path);
        let canonical = file.canonicalize().ok();
        if let Some(first) = self.open.iter().position(|open| same(open, canonical.as_ref())) {
            let mut names: Vec<_> = self.open[first..].iter().map(|open| &*open.name).collect();
            names.push(&self.open[first].name);
            let message = format!("files include each other: `{}`", names.join("` -> `"));
            return self.problems.push(Problem::error(message).at(place.clone()));
        }
        if canonical.as_ref().is_some_and(|file| self.done.contains(file)) {
            return;
        }
        self.done.extend(canonical);
        let name = file.display().to_string();
        self.environment.files_read.note(&file, "");
        let read = read_bytes(&file).map_err(|reason| {
            Problem::error(format!("cannot read the included file `{name}`: {reason}"))
                .at(place.clone())
                .help("the path is relative to the file that names it")
        });
        let folder = file.parent().unwrap_or(Path::new("")).to_owned();
        let source = read.and_then(|bytes| source_of(&name, bytes));
        match source.and_then(|source| self.load(&source, &folder, Some(&file))) {
            Ok(included) => self.add_stages(root, included),
            Err(problem) => {
                self.lacks_an_include = true;
                self.problems.push(problem);
            }
        }
    }

    /// Adds the stages of an included file to those of the file that includes it.
    fn add_stages(&mut self, root: &mut Node, included: Node) {
        let (Content::Mapping(sections), Some(known)) = (included.content, root.entries_mut())
        else {
            return;
        };
        for section in sections {
            if section.key.starts_with("x-") {
                continue;
            }
            if section.key == LIBRARIES {
                self.add_libraries(known, section);
                continue;
            }
            if !SECTIONS.contains(&section.key.as_str()) {
                let message = format!("`{}` in an included file", section.key);
                self.problems.push(Problem::error(message).at(section.key_place).help(format!(
                    "an included file adds stages: it may have `{}`, `{LIBRARIES}` and `include`",
                    SECTIONS.join("`, `")
                )));
                continue;
            }
            match known.iter_mut().find(|entry| entry.key == section.key) {
                Some(entry) if is_null(&entry.value) => entry.value = section.value,
                Some(entry) => self.add_to_section(entry, section.value),
                None => known.push(section),
            }
        }
    }

    /// Adds the libraries that the stages of an included file need.
    fn add_libraries(&mut self, known: &mut Vec<Entry>, included: Entry) {
        let Content::Sequence(libraries) = included.value.content else {
            if !is_null(&included.value) {
                let message = format!("`{LIBRARIES}` is a list of files and folders");
                self.problems.push(Problem::error(message).at(included.value.place));
            }
            return;
        };
        match known.iter_mut().find(|entry| entry.key == LIBRARIES) {
            Some(entry) if is_null(&entry.value) => {
                entry.value.content = Content::Sequence(libraries);
            }
            // What is no list is told by the check of the frame.
            Some(entry) => {
                if let Content::Sequence(all) = &mut entry.value.content {
                    all.extend(libraries);
                }
            }
            None => {
                let content = Content::Sequence(libraries);
                known.push(Entry { value: Node { content, ..included.value }, ..included });
            }
        }
    }

    fn add_to_section(&mut self, section: &mut Entry, included: Node) {
        let (Content::Mapping(stages), Some(known)) =
            (included.content, section.value.entries_mut())
        else {
            return;
        };
        for stage in stages {
            match known.iter().find(|entry| entry.key == stage.key) {
                Some(first) => self.problems.push(name_clash(&stage.key, stage.key_place, first)),
                None => known.push(stage),
            }
        }
    }
}

fn name_clash(name: &str, place: Place, first: &Entry) -> Problem {
    Problem::error(format!("two stages are called `{name}`"))
        .at(place)
        .help(format!("the other one stands at {}", first.key_place.display()))
}

fn same(open: &OpenFile, canonical: Option<&PathBuf>) -> bool {
    canonical.is_some() && open.canonical.as_ref() == canonical
}

fn is_null(node: &Node) -> bool {
    node.scalar().is_some_and(|scalar| scalar.value.is_null())
}

fn no_mapping(root: &Node, source: &Arc<SourceText>) -> Problem {
    if is_null(root) {
        return Problem::error(format!("`{}` is empty", source.name))
            .at(place(source, 0..0))
            .help("a pipeline has at least `sources` and `sinks`");
    }
    Problem::error("a spec is a mapping, with keys such as `sources` and `sinks`")
        .at(root.place.clone())
}

/// Takes `include` out of a tree if it is well-formed: what it names, and where.
fn included_paths(root: &mut Node) -> Vec<(String, Place)> {
    let Some(Content::Sequence(items)) = root.entry("include").map(|entry| &entry.value.content)
    else {
        return Vec::new();
    };
    let path = |item: &Node| {
        let text = item.scalar()?.value.as_str()?.to_owned();
        Some((text, item.place.clone()))
    };
    let Some(paths) = items.iter().map(path).collect::<Option<Vec<_>>>() else {
        return Vec::new();
    };
    if let Some(entries) = root.entries_mut() {
        entries.retain(|entry| entry.key != "include");
    }
    paths
}

/// Fills in the variables of all leaves; what has no value is reported at its own place.
pub(super) fn fill_in_leaves(
    root: &mut Node,
    environment: &Environment,
    directory: &Path,
    problems: &mut Problems,
) {
    root.for_each_leaf("", &mut |_, scalar, leaf_place| {
        let Value::String(raw) = &scalar.value else { return };
        let raw = raw.clone();
        let (text, secret, missing) = match fill_in(&raw, environment, directory) {
            None => return,
            Some(Ok(filled)) => (filled.text, filled.secret, false),
            Some(Err(unfilled)) => {
                for variable in unfilled {
                    let place = place_of(&variable.written, leaf_place);
                    let problem = Problem::error(variable.message).at(place);
                    problems.push(problem.help(variable.help));
                }
                (raw.clone(), false, true)
            }
        };
        scalar.value = text.clone().into();
        scalar.filled = Some(Filled { raw, text, secret, missing });
    });
}

/// The place of a piece of a leaf; of the whole leaf if it is written in another way there.
fn place_of(written: &str, leaf: &Place) -> Place {
    let text = leaf.source.text.get(leaf.span.clone()).unwrap_or_default();
    match text.find(written) {
        Some(found) => {
            let start = leaf.span.start + found;
            place(&leaf.source, start..start + written.len())
        }
        None => leaf.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Document;
    use super::*;
    use serde_json::json;

    /// Reads `main.yaml` of a folder with these files.
    fn read(files: &[(&str, &str)]) -> (tempfile::TempDir, Document) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let document = Document::read(&folder.path().join("main.yaml"), &Environment::default());
        (folder, document.unwrap())
    }

    #[test]
    fn stages_of_included_files_are_added_once() {
        let (_folder, document) = read(&[
            ("main.yaml", "include: [a/a.yaml, b.yaml]\nsources: { x: 1 }\nsinks:\n"),
            ("a/a.yaml", "include: [../b.yaml]\nx-shared: 0\nsources: { y: 2 }\n"),
            ("b.yaml", "sinks: { z: 3 }\n"),
        ]);
        assert!(document.problems().is_empty(), "{}", document.problems());
        let expected = json!({ "sources": { "x": 1, "y": 2 }, "sinks": { "z": 3 } });
        assert_eq!(document.value(""), expected);
    }

    #[test]
    fn libraries_of_included_files_are_added_and_are_relative_to_them() {
        for own in ["", "plugins:\n", "plugins: [x]\n"] {
            let main = format!("include: [a/a.yaml]\n{own}");
            let included = "plugins: [y, { path: z }]\n";
            let (folder, document) = read(&[("main.yaml", &main), ("a/a.yaml", included)]);
            assert!(document.problems().is_empty(), "{}", document.problems());
            let libraries = document.value("/plugins");
            let libraries = libraries.as_array().unwrap();
            let included = &libraries[libraries.len() - 2..];
            assert_eq!(included, [json!("y"), json!({ "path": "z" })], "{own}");
            let last = format!("/plugins/{}", libraries.len() - 1);
            assert_eq!(document.directory_of(&last), folder.path().join("a"), "{own}");
        }
        let (_folder, document) =
            read(&[("main.yaml", "include: [a.yaml]\n"), ("a.yaml", "plugins: y\n")]);
        let said = document.problems().to_string();
        assert!(said.contains("`plugins` is a list") && said.contains("a.yaml:1:10"), "{said}");
    }

    #[test]
    fn paths_in_an_included_file_are_relative_to_it() {
        let (folder, document) = read(&[
            ("main.yaml", "include: [a/a.yaml]\nsources: { x: 1 }\n"),
            ("a/a.yaml", "sinks: { y: { key: '${file:key}' } }\n"),
            ("a/key", "hunter2\n"),
        ]);
        assert_eq!(document.value("/sinks/y/key"), json!("hunter2"));
        assert!(!document.render_effective().contains("hunter2"));
        assert_eq!(document.directory_of("/sinks/y"), folder.path().join("a"));
        assert_eq!(document.directory_of("/sources/x"), folder.path());
        assert_eq!(document.directory(), folder.path());
    }
}
