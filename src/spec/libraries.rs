//! `plugins:` of a spec: where the libraries are that its components are from, and what becomes of
//! the spec when one of them cannot be had.

use std::path::{Path, PathBuf};

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;

use super::Document;
use crate::problem::{Place, Problems};

/// Where libraries with components are.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum PluginPath {
    /// A file or a folder.
    Any(String),
    /// One certain file.
    Pinned {
        /// The file.
        path: String,
        /// What its SHA-256 has to be, in hexadecimal digits.
        sha256: Option<String>,
    },
}

/// The schema of the list, which may be commented out as a whole.
pub(super) fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": ["array", "null"],
        "examples": [["plugins"]],
        "items": {
            "type": ["string", "object"],
            "minLength": 1,
            "properties": {
                "path": {
                    "description": "A library, or a folder that is searched for libraries.",
                    "type": "string",
                    "minLength": 1,
                },
                "sha256": {
                    "description": "What the file's SHA-256 has to be. It is checked before anything \
                                    of the library runs; a folder has none.",
                    "type": "string",
                    "title": "SHA-256 in 64 hexadecimal digits",
                    "pattern": "^[0-9A-Fa-f]{64}$",
                },
            },
            "required": ["path"],
            "additionalProperties": false,
        },
    })
}

/// A library, or a folder of them, that a spec names.
pub(crate) struct NamedLibrary {
    /// Where it is, as seen from the working directory.
    pub(crate) path: PathBuf,
    /// What its SHA-256 has to be, and where that stands.
    pub(crate) sha256: Option<(String, Option<Place>)>,
    /// Where it is named.
    pub(crate) place: Option<Place>,
}

/// A library that was found in a folder and could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unloaded {
    /// The file, as seen from the working directory.
    pub(crate) file: PathBuf,
    /// Why.
    pub(crate) reason: String,
}

impl Document {
    /// What stands under `plugins:`. Where any of it is malformed, which the plan tells, it is nothing:
    /// what a library is pinned to may be just what is malformed.
    pub(crate) fn named_libraries(&self) -> Vec<NamedLibrary> {
        let Value::Array(named) = self.value("/plugins") else { return Vec::new() };
        let named = (0..).zip(named).map(|(index, value): (usize, _)| {
            let pointer = format!("/plugins/{index}");
            if self.has_unfilled(&pointer) {
                return None;
            }
            let (path, sha256, at) = match serde_json::from_value(value).ok()? {
                PluginPath::Any(path) => (path, None, pointer.clone()),
                PluginPath::Pinned { path, sha256 } => (path, sha256, format!("{pointer}/path")),
            };
            let is_digest = |text: &String| {
                text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit())
            };
            if path.is_empty() || !sha256.iter().all(is_digest) {
                return None;
            }
            Some(NamedLibrary {
                path: self.directory_of(&at).join(path),
                sha256: sha256.map(|digest| (digest, self.place(&format!("{pointer}/sha256")))),
                place: self.place(&at),
            })
        });
        named.collect::<Option<_>>().unwrap_or_default()
    }

    /// Notes a library, or a folder of them, as one of the files that the spec is made of.
    pub(crate) fn note_library(&self, path: &Path) {
        self.environment.files_read.note(path, "");
    }

    /// Adds what is wrong with libraries, to be told with the rest.
    pub(crate) fn add_problems(&mut self, problems: Problems) {
        self.problems.append(problems);
    }

    /// Notes a library that was not loaded: a component that is missing may be in it.
    pub(crate) fn lack_library(&mut self, library: Unloaded) {
        if !self.unloaded.contains(&library) {
            self.unloaded.push(library);
        }
    }

    /// The libraries in which a component may be that is missing.
    pub(crate) fn unloaded(&self) -> &[Unloaded] {
        &self.unloaded
    }
}
