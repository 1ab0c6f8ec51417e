//! What was found damaged, and how it is put aside: nothing is thrown away unseen.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::error::DiskError;
use super::segment::Stretch;

/// A stretch of a file that holds no intact record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where in it the stretch begins, in bytes.
    pub offset: u64,
    /// Its length; 0 where something is missing.
    pub bytes: u64,
    /// What is wrong with it.
    pub reason: String,
    /// How many events are known to be lost with it: of those that `waiting_events` counted where
    /// it was found on reading, else what its own header says.
    pub events: u64,
    /// The file that it was copied to, at the same offset.
    pub copy: Option<PathBuf>,
}

/// The end of the last file, which an interrupted write left and which was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The file.
    pub file: PathBuf,
    /// The length that is left of it, in bytes.
    pub offset: u64,
    /// How many bytes were cut off.
    pub bytes: u64,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, bytes, reason, events, copy } = self;
        write!(f, "`{}` is damaged at byte {offset}: {reason}", file.display())?;
        if *bytes > 0 {
            write!(f, ", {bytes} bytes")?;
        }
        if *events > 0 {
            write!(f, ", {events} events lost")?;
        }
        match copy {
            Some(copy) => write!(f, "; a copy is in `{}`", copy.display()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, bytes } = self;
        write!(
            f,
            "`{}` ended in {bytes} bytes of an interrupted write, cut off at byte {offset}",
            file.display()
        )
    }
}

impl Damage {
    /// Copies a stretch of a file to `FILE.damaged`, at the same offset, and describes it.
    pub(super) fn put_aside(file: &Path, stretch: Stretch, events: u64) -> Result<Self, DiskError> {
        let Stretch { offset, bytes, reason, .. } = stretch;
        let copy = (bytes > 0)
            .then(|| {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                let copy = file.with_file_name(format!("{name}.damaged"));
                copy_stretch(file, &copy, offset, bytes)
                    .map_err(DiskError::io(&copy, "put what is damaged aside in"))
                    .map_err(|error| error.at(offset))?;
                Ok(copy)
            })
            .transpose()?;
        Ok(Self { file: file.to_owned(), offset, bytes, reason, events, copy })
    }
}

fn copy_stretch(from: &Path, to: &Path, offset: u64, bytes: u64) -> io::Result<()> {
    let mut from = File::open(from)?;
    from.seek(SeekFrom::Start(offset))?;
    let mut to = OpenOptions::new().write(true).create(true).truncate(false).open(to)?;
    to.seek(SeekFrom::Start(offset))?;
    io::copy(&mut from.take(bytes), &mut to)?;
    to.sync_all()
}
