//! The snapshot's file: whole or the one before, never half.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::event::Timestamp;
use crate::file_lock::FileLock;
use crate::state::State;

/// The version of the format; another one is refused.
const FORMAT: u32 = 1;

/// What all stages of a pipeline remember at one checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// The version of this format.
    format: u32,
    /// The checkpoint's number; it grows from run to run.
    pub checkpoint: u64,
    /// The instant at which event time began, in the first of the runs that go on from each other.
    pub start: Timestamp,
    /// The instant at which the leg began that the run is on: a run that ended by itself is
    /// followed by a new leg.
    pub leg: Timestamp,
    /// How far event time had come.
    pub time: Timestamp,
    /// How often the pipeline was started since its beginning.
    pub starts: u64,
    /// Whether the run had come to its end by itself, so that the next one is a new leg.
    pub ended: bool,
    /// What tells the spec's sources of ids, seed and start, from those of another spec.
    pub identity: String,
    /// The stages' memories, by name.
    pub stages: BTreeMap<String, StageSnapshot>,
}

/// What one stage remembers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StageSnapshot {
    /// Tells the stage's part of the spec from another version of it.
    pub spec: String,
    /// Its memory.
    pub state: State,
}

impl StageSnapshot {
    /// What takes the place of a memory that the stage of another spec cannot go on from.
    pub fn anew() -> Self {
        Self { spec: String::new(), state: State::none() }
    }

    /// Whether the stage begins anew, among others that go on.
    pub fn begins_anew(&self) -> bool {
        self.spec.is_empty()
    }
}

impl Snapshot {
    /// The instant at which the leg begins that goes on from here.
    pub fn next_leg(&self) -> Timestamp {
        if self.ended { self.time } else { self.leg }
    }

    /// The snapshot of a pipeline that has not begun.
    pub fn new(start: Timestamp, identity: String) -> Self {
        let stages = BTreeMap::new();
        let (format, leg, time, ended) = (FORMAT, start, start, false);
        Self { format, checkpoint: 0, start, leg, time, starts: 0, ended, identity, stages }
    }
}

/// Where the snapshot is kept.
#[derive(Clone, Debug)]
pub struct SnapshotFile(PathBuf);

impl SnapshotFile {
    /// The file at a path; nothing is touched.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The snapshot, if there is one; or what is wrong with it.
    pub fn read(&self) -> Result<Option<Snapshot>, String> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let path = self.0.display();
        let text = match std::fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("cannot read the snapshot `{path}`: {error}")),
        };
        // The last line is the checksum of what stands before it.
        let whole = text.trim_end().rsplit_once('\n').filter(|(json, sum)| *sum == checksum(json));
        let Some((json, _)) = whole else {
            return Err(format!("the snapshot `{path}` is damaged: its checksum does not fit"));
        };
        match serde_json::from_str::<Format>(json) {
            Ok(Format { format: FORMAT }) => {}
            Ok(Format { format }) => {
                return Err(format!(
                    "the snapshot `{path}` has format {format}, and this engine reads {FORMAT}"
                ));
            }
            Err(error) => return Err(format!("the snapshot `{path}` is damaged: {error}")),
        }
        serde_json::from_str(json)
            .map(Some)
            .map_err(|error| format!("the snapshot `{path}` is damaged: {error}"))
    }

    /// Puts a snapshot in the place of the one before; it is on the disk itself then.
    pub fn write(&self, snapshot: &Snapshot) -> Result<(), String> {
        let replace = || -> io::Result<()> {
            let folder = self.0.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new("."));
            std::fs::create_dir_all(folder)?;
            let part = self.0.with_added_extension("part");
            let json = serde_json::to_string(snapshot)?;
            let mut file = File::create(&part)?;
            writeln!(file, "{json}\n{}", checksum(&json))?;
            file.sync_all()?;
            std::fs::rename(&part, &self.0)?;
            File::open(folder)?.sync_all()
        };
        replace()
            .map_err(|error| format!("cannot write the snapshot `{}`: {error}", self.0.display()))
    }

    /// Keeps other engines from the snapshot for as long as the lock is held; it goes with the
    /// process, however that ends.
    pub fn lock(&self) -> Result<FileLock, String> {
        let path = self.0.with_added_extension("lock");
        let open = || -> io::Result<File> {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            File::options().create(true).append(true).open(&path)
        };
        let failed = |error: io::Error| format!("cannot lock `{}`: {error}", path.display());
        let lock = open().and_then(FileLock::try_new).map_err(failed)?;
        lock.ok_or_else(|| {
            format!(
                "another engine uses the state `{}`: each run needs one of its own",
                self.0.display()
            )
        })
    }

    /// Takes the snapshot away, so that the next run begins at the beginning.
    pub fn remove(&self) -> Result<(), String> {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(format!("cannot remove the snapshot `{}`: {error}", self.0.display()))
            }
            _ => Ok(()),
        }
    }
}

fn checksum(json: &str) -> String {
    format!("{:08x}", crc32fast::hash(json.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot::new(Timestamp::from_millis(7), "42".to_owned());
        let stage = StageSnapshot { spec: "a1".to_owned(), state: State::of(&[1, 2]) };
        snapshot.stages.insert("shop".to_owned(), stage);
        snapshot
    }

    #[test]
    fn what_was_written_is_read_again_and_nothing_is_there_at_first() {
        let folder = tempfile::tempdir().unwrap();
        let file = SnapshotFile::new(folder.path().join("state/shop"));
        assert!(file.read().unwrap().is_none());
        file.write(&snapshot()).unwrap();
        let read = file.read().unwrap().unwrap();
        assert_eq!(read.stages["shop"].state.read::<Vec<u8>>().unwrap(), [1, 2]);
        assert_eq!((read.start, read.identity.as_str()), (Timestamp::from_millis(7), "42"));
        file.remove().unwrap();
        assert!(file.read().unwrap().is_none());
    }

    #[test]
    fn a_snapshot_that_was_changed_or_cut_anywhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = SnapshotFile::new(folder.path().join("shop"));
        file.write(&snapshot()).unwrap();
        let bytes = std::fs::read(file.path()).unwrap();
        for place in 0..bytes.len() - 1 {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            std::fs::write(file.path(), changed).unwrap();
            assert!(file.read().is_err(), "byte {place} was changed");
            std::fs::write(file.path(), &bytes[..place]).unwrap();
            assert!(file.read().is_err(), "cut before byte {place}");
        }
    }

    #[test]
    fn a_snapshot_is_one_engines_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = SnapshotFile::new(folder.path().join("shop"));
        let lock = file.lock().unwrap();
        assert!(file.lock().unwrap_err().starts_with("another engine uses the state `"));
        drop(lock);
        file.lock().unwrap();
    }

    #[test]
    fn another_format_is_refused_by_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let file = SnapshotFile::new(folder.path().join("shop"));
        file.write(&Snapshot { format: 2, ..snapshot() }).unwrap();
        assert!(file.read().unwrap_err().ends_with("has format 2, and this engine reads 1"));
    }
}
