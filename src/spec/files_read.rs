//! Which files a spec is made of: itself, what it includes, and what its stages read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::node::segments;

/// Files by the stages that read them; the spec's own belong to none. Also those that could not be
/// read are among them: once they can be, the spec may be another one. Copies note in the same list.
#[derive(Clone, Default)]
pub(super) struct FilesRead(Arc<Mutex<BTreeMap<PathBuf, Vec<String>>>>);

impl FilesRead {
    /// Notes a file that the value at a JSON pointer names, such as `/enrichers/rule/with/script`.
    pub(super) fn note(&self, path: &Path, pointer: &str) {
        let stage = segments(pointer).nth(1);
        let mut files = self.files();
        let stages = files.entry(path.to_owned()).or_default();
        stages.extend(stage.filter(|stage| !stages.contains(stage)));
    }

    /// All of them.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.files().keys().cloned().collect()
    }

    /// The names of the stages that read a file.
    pub(super) fn readers(&self, path: &Path) -> Vec<String> {
        self.files().get(path).cloned().unwrap_or_default()
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Vec<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
