//! Waits until a file changes. Files are looked at now and then: that works on every file system,
//! and there are few.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often files are looked at.
const INTERVAL: Duration = Duration::from_millis(200);

/// Files, with what they were like when they were added.
#[derive(Default)]
pub(super) struct Files(Vec<(PathBuf, Stamp)>);

/// When a file was written last, and how long it is; none if there is none.
type Stamp = Option<(SystemTime, u64)>;

impl Files {
    /// A file that matters from now on. It may be missing.
    pub(super) fn add(&mut self, path: &Path) {
        if !self.0.iter().any(|(known, _)| known == path) {
            self.0.push((path.to_owned(), stamp(path)));
        }
    }

    /// Waits until one of them has changed, and says which.
    pub(super) fn wait(&self) -> PathBuf {
        loop {
            std::thread::sleep(INTERVAL);
            let changed = self.0.iter().find(|(path, before)| stamp(path) != *before);
            if let Some((path, _)) = changed {
                self.settle();
                return path.clone();
            }
        }
    }

    /// Waits until whoever writes has written all.
    fn settle(&self) {
        let stamps = || self.0.iter().map(|(path, _)| stamp(path)).collect::<Vec<_>>();
        let mut before = stamps();
        loop {
            std::thread::sleep(INTERVAL);
            let now = stamps();
            if now == before {
                return;
            }
            before = now;
        }
    }
}

fn stamp(path: &Path) -> Stamp {
    let file = std::fs::metadata(path).ok()?;
    Some((file.modified().ok()?, file.len()))
}
