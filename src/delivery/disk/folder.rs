//! The folder of a queue: made, held against others, and its files named.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::error::{DiskError, DiskErrorReason};
use super::format::SEQUENCE_MAX;
use crate::file_lock::FileLock;

const LOCK_NAME: &str = "lock";
const SEGMENT_ENDING: &str = ".segment";

/// Makes the folder with all above it, so that a power cut does not take it away again.
pub(super) fn make(folder: &Path) -> Result<(), DiskError> {
    let is_new = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let new: Vec<&Path> = folder.ancestors().take_while(is_new).collect();
    std::fs::create_dir_all(folder).map_err(DiskError::io(folder, "make the folder"))?;
    new.into_iter().filter_map(Path::parent).try_for_each(sync)
}

/// A file to read and write, made if it is not there.
pub(super) fn open(path: &Path) -> Result<File, DiskError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path).map_err(DiskError::io(path, "open"))
}

/// Holds the folder until the lock is dropped. The process's number in the file is for messages only.
pub(super) fn lock(folder: &Path) -> Result<FileLock, DiskError> {
    let path = folder.join(LOCK_NAME);
    let Some(lock) = FileLock::try_new(open(&path)?).map_err(DiskError::io(&path, "lock"))? else {
        let mut holder = String::new();
        let read = open(&path)?.take(20).read_to_string(&mut holder);
        let process = read.ok().and_then(|_| holder.trim().parse().ok());
        return Err(DiskError::new(folder, DiskErrorReason::Locked(process)));
    };
    // On a full disk the lock holds without it.
    let _ = lock
        .set_len(0)
        .and_then(|()| (&*lock).write_all(format!("{}\n", std::process::id()).as_bytes()));
    Ok(lock)
}

/// The file whose first record has this sequence. Names sort as numbers do.
pub(super) fn segment_path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}{SEGMENT_ENDING}"))
}

/// The sequences that segments begin with, in order.
pub(super) fn segments(folder: &Path) -> Result<Vec<u64>, DiskError> {
    let failed = |error| DiskError::io(folder, "list the folder")(error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(SEGMENT_ENDING));
        let digits = digits.filter(|digits| digits.len() == 20);
        let first = digits.and_then(|digits| digits.parse::<u64>().ok());
        found.extend(first.filter(|first| *first <= SEQUENCE_MAX));
    }
    found.sort_unstable();
    Ok(found)
}

/// Makes sure that files which were made in a folder are found there after a power cut.
pub(super) fn sync(folder: &Path) -> Result<(), DiskError> {
    if cfg!(not(unix)) {
        // Elsewhere folders cannot be opened, and need not be synced.
        return Ok(());
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(DiskError::io(folder, "sync the folder"))
}
