//! A spec as a tree in which every node keeps its place: read once, with its includes and its
//! variables filled in.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::excerpt;
use super::file::{read_bytes, read_text};
use super::include::Loader;
use super::libraries::Unloaded;
use super::node::{Content, Node, place};
use super::variables::Environment;
use crate::event::mix;
use crate::problem::{Excerpt, Place, Problem, Problems, SourceText};

/// A parsed spec with everything it includes.
#[derive(Clone)]
pub struct Document {
    pub(super) root: Node,
    /// Where the file of each text is.
    pub(super) directories: Vec<(Arc<SourceText>, PathBuf)>,
    pub(super) environment: Environment,
    /// What was wrong, but did not keep the rest from being read.
    pub(super) problems: Problems,
    /// Whether an included file could not be read.
    pub(super) lacks_an_include: bool,
    /// Libraries that could not be loaded.
    pub(super) unloaded: Vec<Unloaded>,
    /// Pointers of leaves that are never shown.
    pub(super) secrets: BTreeSet<String>,
}

impl Document {
    /// Reads a file. Fails only where there is no tree at all; see [`Self::problems`].
    pub fn read(path: &Path, environment: &Environment) -> Result<Self, Problems> {
        let name = path.display().to_string();
        environment.files_read.note(path, "");
        let bytes = read_bytes(path)
            .map_err(|reason| Problem::error(format!("cannot read `{name}`: {reason}")))?;
        let directory = path.parent().unwrap_or(Path::new(""));
        Self::load(&source_of(&name, bytes)?, directory, Some(path), environment)
    }

    /// Reads a text that goes by `name`; relative paths in it are relative to `directory`.
    pub fn parse(
        name: &str,
        text: impl Into<Vec<u8>>,
        directory: impl AsRef<Path>,
        environment: &Environment,
    ) -> Result<Self, Problems> {
        Self::load(&source_of(name, text.into())?, directory.as_ref(), None, environment)
    }

    fn load(
        source: &Arc<SourceText>,
        directory: &Path,
        path: Option<&Path>,
        environment: &Environment,
    ) -> Result<Self, Problems> {
        let mut loader = Loader::new(environment);
        let root = match loader.load(source, directory, path) {
            Ok(root) => root,
            Err(problem) => {
                loader.problems.push(problem);
                return Err(loader.problems.sorted());
            }
        };
        Ok(Self {
            root,
            directories: loader.directories,
            environment: environment.clone(),
            problems: loader.problems,
            lacks_an_include: loader.lacks_an_include,
            unloaded: Vec::new(),
            secrets: BTreeSet::new(),
        })
    }

    /// What was found wrong on reading: duplicate keys, variables without a value, includes that
    /// failed. They stop a plan.
    pub fn problems(&self) -> &Problems {
        &self.problems
    }

    /// Whether an included file could not be read, so that stages are missing.
    pub(crate) fn lacks_an_include(&self) -> bool {
        self.lacks_an_include
    }

    /// What the user calls the spec: the path as it was given, or `<stdin>`.
    pub fn name(&self) -> &str {
        &self.root.place.source.name
    }

    /// Tells this spec from others, in 16 hexadecimal digits: of what it says, not of how it is
    /// laid out, nor of how it is tested.
    pub fn hash(&self) -> String {
        let mut spec = self.value("");
        if let Some(keys) = spec.as_object_mut() {
            keys.shift_remove("tests");
        }
        let text = spec.to_string();
        let hash = text.bytes().fold(0, |hash, byte| mix(hash ^ u64::from(byte)));
        format!("{hash:016x}")
    }

    /// The value at a JSON pointer, or `null`.
    pub fn value(&self, pointer: &str) -> Value {
        self.root.at(pointer).map(Node::value).unwrap_or_default()
    }

    /// Whether something stands at a JSON pointer.
    pub fn contains(&self, pointer: &str) -> bool {
        self.root.at(pointer).is_some()
    }

    /// Where the value at a JSON pointer stands, such as `/sources/stores/with/seed`. A block of
    /// several lines is shown by its key, and what is not there by what it would stand under.
    pub fn place(&self, pointer: &str) -> Option<Place> {
        let Some(node) = self.root.at(pointer) else {
            return self.place(parent(pointer)?);
        };
        let is_leaf = matches!(node.content, Content::Scalar(_));
        let text = node.place.source.text.get(node.place.span.clone()).unwrap_or_default();
        if is_leaf && !node.place.span.is_empty() || !text.contains('\n') && !text.is_empty() {
            return Some(node.place.clone());
        }
        self.key_place(pointer)
    }

    /// Where the key of the value at a JSON pointer stands.
    pub fn key_place(&self, pointer: &str) -> Option<Place> {
        let Some(parent) = parent(pointer) else {
            let start = self.root.place.span.start;
            return Some(place(&self.root.place.source, start..start));
        };
        let key = last_key(pointer);
        match self.root.at(parent).and_then(|node| node.entry(&key)) {
            Some(entry) => Some(entry.key_place.clone()),
            None => match self.root.at(pointer) {
                Some(item) => Some(item.place.clone()),
                None => self.key_place(parent),
            },
        }
    }

    /// The folder of the file, for paths that are relative to it.
    pub fn directory(&self) -> &Path {
        self.directory_of("")
    }

    /// The folder of the file in which the value at a JSON pointer stands: it may be included.
    pub fn directory_of(&self, pointer: &str) -> &Path {
        let source = self.place(pointer).map(|place| place.source);
        self.directories
            .iter()
            .find(|(known, _)| source.as_ref().is_some_and(|source| Arc::ptr_eq(known, source)))
            .or(self.directories.first())
            .map_or(Path::new(""), |(_, directory)| directory)
    }

    /// The path of a file that the value at a JSON pointer names. The file is noted as one that
    /// the spec is made of.
    pub fn file_beside(&self, pointer: &str, path: impl AsRef<Path>) -> PathBuf {
        let file = self.directory_of(pointer).join(path);
        self.environment.files_read.note(&file, pointer);
        file
    }

    /// The names of the stages that read a file.
    pub fn readers_of(&self, file: &Path) -> Vec<String> {
        self.environment.files_read.readers(file)
    }

    /// Whether a file is a script of `hooks:`.
    pub fn is_read_by_hooks(&self, file: &Path) -> bool {
        self.environment.files_read.is_of_hooks(file)
    }

    /// The script that the value at a JSON pointer is: the text itself, or the `.rhai` file that it
    /// names.
    pub fn script(&self, pointer: &str, text: &str) -> Result<Excerpt, Problem> {
        let names_a_file = !text.contains('\n')
            && Path::new(text.trim()).extension().is_some_and(|end| end == "rhai");
        if !names_a_file {
            return Ok(self.excerpt(pointer, text));
        }
        let path = self.file_beside(pointer, text.trim());
        match read_text(&path) {
            Ok(text) => {
                let name = path.display().to_string();
                Ok(Excerpt::whole(Arc::new(SourceText { name, text })))
            }
            Err(reason) => {
                let message = format!("cannot read the script `{}`: {reason}", path.display());
                let problem = Problem::error(message).at(self.place(pointer));
                Err(problem.help("the path is relative to the file that names it"))
            }
        }
    }

    /// A text of the spec with the places of its lines.
    pub fn excerpt(&self, pointer: &str, text: &str) -> Excerpt {
        match self.root.at(pointer) {
            Some(node) => excerpt::excerpt(node, text),
            None => Excerpt::whole(Arc::new(SourceText {
                name: self.name().to_owned(),
                text: text.to_owned(),
            })),
        }
    }

    /// Whether the leaf at a pointer lacks the value of a variable; that was reported.
    pub(crate) fn is_unfilled(&self, pointer: &str) -> bool {
        let leaf = self.root.at(pointer).and_then(Node::scalar);
        leaf.and_then(|leaf| leaf.filled.as_ref()).is_some_and(|filled| filled.missing)
    }

    /// Whether any leaf at or below a pointer does.
    pub(crate) fn has_unfilled(&self, pointer: &str) -> bool {
        let mut any = false;
        if let Some(node) = self.root.at(pointer) {
            node.clone().for_each_leaf("", &mut |_, leaf, _| {
                any |= leaf.filled.as_ref().is_some_and(|filled| filled.missing);
            });
        }
        any
    }
}

pub(super) fn parent(pointer: &str) -> Option<&str> {
    pointer.rfind('/').map(|slash| &pointer[..slash])
}

pub(super) fn last_key(pointer: &str) -> String {
    super::node::segments(&pointer[pointer.rfind('/').unwrap_or(0)..]).next().unwrap_or_default()
}

/// The text of a file, or where it stops being one.
pub(super) fn source_of(name: &str, bytes: Vec<u8>) -> Result<Arc<SourceText>, Problem> {
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Arc::new(SourceText { name: name.to_owned(), text })),
        Err(error) => {
            let start = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let source = Arc::new(SourceText { name: name.to_owned(), text });
            let width = char::REPLACEMENT_CHARACTER.len_utf8();
            Err(Problem::error("not UTF-8")
                .at(place(&source, start..start + width))
                .help("save the file as UTF-8"))
        }
    }
}
