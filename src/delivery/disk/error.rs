//! What can go wrong with a disk queue: in which file, at which byte, why, and what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::format::PAYLOAD_BYTES_MAX;

/// A disk queue could not do what it was asked to; its records are as they were before.
#[derive(Debug)]
pub struct DiskError {
    /// The file, or the folder of the queue.
    pub file: PathBuf,
    /// The byte in the file, from 0, where one is meant.
    pub offset: Option<u64>,
    /// What is wrong.
    pub reason: DiskErrorReason,
}

/// Why a disk queue could not do what it was asked to.
#[derive(Debug)]
pub enum DiskErrorReason {
    /// Another queue is open on the folder, in the process of this number where that is known.
    Locked(Option<u32>),
    /// The file has a format that this version does not know.
    NewerVersion(u32),
    /// The payload of a record, in bytes, is longer than any may be.
    TooLarge(usize),
    /// An earlier sync failed: what was appended before it may never have reached the disk, and
    /// the system does not say so twice.
    SyncFailed,
    /// The system refused.
    Io {
        /// What was tried, as in "cannot ... the file".
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

impl DiskError {
    pub(super) fn new(file: &Path, reason: DiskErrorReason) -> Self {
        Self { file: file.to_owned(), offset: None, reason }
    }

    /// For `map_err`: an error of the system on doing something with a file.
    pub(super) fn io(file: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::new(file, DiskErrorReason::Io { doing, error })
    }

    pub(super) fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    /// Whether the disk, or a quota on it, is used up: the same may succeed later.
    pub fn is_full_disk(&self) -> bool {
        let DiskErrorReason::Io { error, .. } = &self.reason else { return false };
        matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// The remedy, where there is one.
    pub fn help(&self) -> Option<String> {
        Some(match &self.reason {
            DiskErrorReason::Locked(_) => {
                "give each pipeline that runs a folder of its own, or stop the other one".to_owned()
            }
            DiskErrorReason::NewerVersion(_) => {
                "run the version that wrote it until it is empty, or move the folder away"
                    .to_owned()
            }
            DiskErrorReason::TooLarge(_) => "make the batches smaller".to_owned(),
            DiskErrorReason::SyncFailed => {
                "look after the disk, then start again: what was not synced is sent again where \
                 its source can go back"
                    .to_owned()
            }
            DiskErrorReason::Io { .. } if self.is_full_disk() => {
                "make room on the disk, or lower `max_bytes`".to_owned()
            }
            DiskErrorReason::Io { .. } => return None,
        })
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match &self.reason {
            DiskErrorReason::Locked(Some(process)) => {
                write!(f, "the disk buffer `{file}` is in use by process {process}")
            }
            DiskErrorReason::Locked(None) => {
                write!(f, "the disk buffer `{file}` is in use by another process")
            }
            DiskErrorReason::NewerVersion(version) => {
                write!(f, "`{file}` was written by a newer version (format {version})")
            }
            DiskErrorReason::TooLarge(bytes) => write!(
                f,
                "a record of {bytes} bytes is too large for the disk buffer `{file}`: \
                 {PAYLOAD_BYTES_MAX} is the most"
            ),
            DiskErrorReason::SyncFailed => {
                write!(f, "an earlier sync of `{file}` failed, so it takes no more records")
            }
            DiskErrorReason::Io { doing, error } => {
                write!(f, "cannot {doing} `{file}`")?;
                if let Some(offset) = self.offset {
                    write!(f, " at byte {offset}")?;
                }
                write!(f, ": {error}")
            }
        }
    }
}

impl std::error::Error for DiskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.reason {
            DiskErrorReason::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}
