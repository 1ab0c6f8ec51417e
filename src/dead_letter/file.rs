//! A dead-letter file that several processes use: locked for each change, replaced as a whole
//! where letters leave it.
//!
//! The lock is on the file itself. Whoever gets it looks whether the file still is the one that the
//! path names, since a rewrite puts another in its place.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::filter::Filter;
use super::letter::{Entry, Letters};
use crate::file_lock::FileLock;

/// How often, and how far apart, a command asks for a file that another process holds.
const TRIES: u32 = 20;
const TRY_INTERVAL: Duration = Duration::from_millis(50);

/// Why letters could not be taken out of a file, which is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueError {
    /// Another process has it.
    InUse(PathBuf),
    /// It cannot be read or written.
    Io(String),
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(path) => {
                write!(f, "the file `{}` is in use by another process", path.display())
            }
            Self::Io(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for QueueError {}

impl QueueError {
    pub(super) fn io(doing: &str, path: &Path, error: &io::Error) -> Self {
        Self::Io(format!("cannot {doing} the dead-letter file `{}`: {error}", path.display()))
    }
}

/// Takes the letters that fit out of a file, for good, and says how many. Lines that are no
/// letters stay.
pub fn purge(path: &Path, filter: &Filter) -> Result<usize, QueueError> {
    let file = lock_briefly(path)?;
    let fits = |entry: &Entry| entry.letter.as_ref().is_ok_and(|letter| filter.fits(letter));
    let mut purged = 0;
    rewrite(
        path,
        &file,
        |_| Ok(()),
        |entry| {
            let goes = fits(entry);
            purged += usize::from(goes);
            !goes
        },
    )
    .map_err(|error| QueueError::io("rewrite", path, &error))?;
    Ok(purged)
}

/// Locks a file for a change; not for long if another process has it.
pub(super) fn lock_briefly(path: &Path) -> Result<FileLock, QueueError> {
    for attempt in 0..TRIES {
        if attempt > 0 {
            std::thread::sleep(TRY_INTERVAL);
        }
        let file = OpenOptions::new().read(true).append(true).open(path);
        let file = file.map_err(|error| QueueError::io("open", path, &error))?;
        let lock = FileLock::try_new_where_supported(file);
        if let Some(lock) = lock.map_err(|error| QueueError::io("lock", path, &error))?
            && is_at(&lock, path).map_err(|error| QueueError::io("read", path, &error))?
        {
            return Ok(lock);
        }
    }
    Err(QueueError::InUse(path.to_owned()))
}

/// Waits for the lock; it is held for single changes only. A file system without locks has one user.
pub(super) fn lock(file: &File) -> io::Result<()> {
    without_locks(file.lock())
}

pub(super) fn lock_shared(file: &File) -> io::Result<()> {
    without_locks(file.lock_shared())
}

fn without_locks(locked: io::Result<()>) -> io::Result<()> {
    match locked {
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(()),
        locked => locked,
    }
}

/// Whether a path still names this file.
pub(super) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Puts another file in the place of a locked one: what `first` writes, then the lines that stay.
/// It is there as a whole or not at all, also after a power cut.
pub(super) fn rewrite(
    path: &Path,
    locked: &File,
    first: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    mut stays: impl FnMut(&Entry) -> bool,
) -> io::Result<()> {
    // A link stays one, and what it leads to is replaced.
    let path = fs::canonicalize(path)?;
    let draft = beside(&path, &format!(".{}.tmp", std::process::id()));
    let written = (|| {
        let mut out = BufWriter::new(File::create(&draft)?);
        out.get_ref().set_permissions(locked.metadata()?.permissions())?;
        first(&mut out)?;
        for entry in entries(locked)? {
            let entry = entry?;
            if stays(&entry) {
                out.write_all(&entry.text)?;
            }
        }
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&draft, &path)
    })();
    if written.is_err() {
        // What went wrong is told; a draft that is left tells no more.
        let _ = fs::remove_file(&draft);
        return written;
    }
    sync_folder(&path)
}

/// The lines of an open file, from its beginning.
pub(super) fn entries(file: &File) -> io::Result<Letters> {
    let mut reader = file.try_clone()?;
    reader.seek(SeekFrom::Start(0))?;
    Ok(Letters::new(reader, u64::MAX))
}

/// Has a new name in a folder survive a power cut.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if folder != Path::new("") => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// A path with something behind its name.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// How many lines there are from here on, and whether the last one is whole.
pub(super) fn count_lines(file: &mut File) -> io::Result<(u64, bool)> {
    let (mut lines, mut last) = (0, b'\n');
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut chunk)?;
        let Some(end) = chunk[..read].last() else { break };
        last = *end;
        lines += memchr::memchr_iter(b'\n', &chunk[..read]).count() as u64;
    }
    Ok((lines, last == b'\n'))
}
