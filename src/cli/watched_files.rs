//! Looks at files now and then, and says which were changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often the files are looked at: often enough to feel at once, and a few files cost nothing.
const INTERVAL: Duration = Duration::from_millis(300);

/// What shows that a file is another one: when it was written last, and its length. None for a
/// file that is not there.
type Stamp = Option<(SystemTime, u64)>;

/// Files that are watched.
#[derive(Default)]
pub(super) struct Files {
    /// As they were when they were read.
    known: BTreeMap<PathBuf, Stamp>,
    /// As they were at the last look, if that was another one.
    unsettled: Option<BTreeMap<PathBuf, Stamp>>,
}

impl Files {
    /// Watches these files beside those that it watches, from how they are now on.
    pub(super) fn add(&mut self, paths: impl IntoIterator<Item = PathBuf>) {
        for path in paths {
            let stamp = stamp(&path);
            self.known.entry(path).or_insert(stamp);
        }
    }

    /// Watches these files, and no others. Those that were watched before are known as they were
    /// at the last look: what was written since was not read.
    pub(super) fn follow(&mut self, paths: Vec<PathBuf>) {
        self.known.retain(|path, _| paths.contains(path));
        self.add(paths);
    }

    /// Waits until files were changed and stay as they are for a moment: an editor may write in
    /// several steps.
    pub(super) async fn changed(&mut self) -> Vec<PathBuf> {
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            ticks.tick().await;
            let now = self.known.keys().map(|path| (path.clone(), stamp(path))).collect();
            let changed = self.look(now);
            if !changed.is_empty() {
                return changed;
            }
        }
    }

    /// The files that are others than they were, once two looks after each other agree.
    fn look(&mut self, now: BTreeMap<PathBuf, Stamp>) -> Vec<PathBuf> {
        if now == self.known {
            self.unsettled = None;
            return Vec::new();
        }
        if self.unsettled.as_ref() != Some(&now) {
            self.unsettled = Some(now);
            return Vec::new();
        }
        self.unsettled = None;
        let differs = |(path, stamp): &(&PathBuf, &Stamp)| self.known.get(*path) != Some(*stamp);
        let changed = now.iter().filter(differs).map(|(path, _)| path.clone()).collect();
        self.known = now;
        changed
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamps(lengths: [Option<u64>; 2]) -> BTreeMap<PathBuf, Stamp> {
        let stamp = |length| Some((SystemTime::UNIX_EPOCH, length?));
        ["a.yaml", "b.rhai"].map(PathBuf::from).into_iter().zip(lengths.map(stamp)).collect()
    }

    #[test]
    fn a_change_is_told_once_it_has_settled() {
        let known = stamps([Some(1), Some(2)]);
        let mut files = Files { known: known.clone(), unsettled: None };
        assert!(files.look(known).is_empty());
        // An editor empties the file, and writes it then.
        assert!(files.look(stamps([Some(1), Some(0)])).is_empty());
        assert!(files.look(stamps([Some(1), Some(3)])).is_empty());
        assert_eq!(files.look(stamps([Some(1), Some(3)])), [PathBuf::from("b.rhai")]);
        assert!(files.look(stamps([Some(1), Some(3)])).is_empty());
        // A file that goes is changed as well.
        files.look(stamps([None, Some(3)]));
        assert_eq!(files.look(stamps([None, Some(3)])), [PathBuf::from("a.yaml")]);
    }

    #[test]
    fn a_change_that_is_taken_back_at_once_is_none() {
        let known = stamps([Some(1), Some(2)]);
        let mut files = Files { known: known.clone(), unsettled: None };
        assert!(files.look(stamps([Some(1), Some(3)])).is_empty());
        assert!(files.look(known).is_empty());
        assert!(files.look(stamps([Some(1), Some(3)])).is_empty());
    }

    #[test]
    fn a_file_that_is_there_is_told_from_one_that_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        assert_eq!(stamp(&path), None);
        std::fs::write(&path, "text").unwrap();
        assert_eq!(stamp(&path).map(|(_, length)| length), Some(4));
        let mut files = Files::default();
        files.add([path.clone()]);
        files.follow(Vec::new());
        assert!(files.known.is_empty());
    }
}
