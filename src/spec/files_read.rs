//! Which files a spec is made of: itself, what it includes, and what its stages read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::node::segments;

/// Who reads the scripts of hooks; no stage has such a name.
const HOOKS: &str = "/hooks/";

/// Files by the stages that read them; the spec's own belong to none. Also those that could not be
/// read are among them: once they can be, the spec may be another one. Copies note in the same list.
#[derive(Clone, Default)]
pub(super) struct FilesRead(Arc<Mutex<BTreeMap<PathBuf, Vec<String>>>>);

impl FilesRead {
    /// Notes a file that the value at a JSON pointer names, such as `/enrichers/rule/with/script`.
    pub(super) fn note(&self, path: &Path, pointer: &str) {
        let is_of_hooks = pointer.starts_with(HOOKS);
        let reader = if is_of_hooks { Some(HOOKS.to_owned()) } else { segments(pointer).nth(1) };
        let mut files = self.files();
        let readers = files.entry(path.to_owned()).or_default();
        readers.extend(reader.filter(|reader| !readers.contains(reader)));
    }

    /// All of them.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.files().keys().cloned().collect()
    }

    /// The names of the stages that read a file.
    pub(super) fn readers(&self, path: &Path) -> Vec<String> {
        self.files().get(path).cloned().unwrap_or_default()
    }

    /// Whether a file is a script of `hooks:`.
    pub(super) fn is_of_hooks(&self, path: &Path) -> bool {
        self.readers(path).iter().any(|reader| reader == HOOKS)
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Vec<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
