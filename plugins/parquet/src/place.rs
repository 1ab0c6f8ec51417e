//! Where files go: folders by event type and time, names by content, and never half of a file under
//! the name of a whole one.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

/// The end of a file's name until it is complete.
const PART: &str = "part";
/// How many parts of one file are there at most: some of writers that are at work, others of
/// writers that were killed.
const PARTS_MAX: u32 = 1000;
/// How long the name of a folder is at most; file systems allow 255 bytes.
const NAME_BYTES: usize = 200;

/// `event_type=receipt_created`: what is no letter, digit, `_`, `-` or `.` is written as `%2F`, as
/// Hive does, so no type leads out of the folder.
///
/// # Errors
///
/// The type is longer than the name of a folder may be.
pub(crate) fn type_folder(event_type: &str) -> Result<String, String> {
    let mut name = "event_type=".to_owned();
    for byte in event_type.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.') {
            name.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(name, "%{byte:02X}");
        }
    }
    if name.len() > NAME_BYTES {
        return Err(format!(
            "the event type is too long for the name of a folder: {event_type:.40}"
        ));
    }
    Ok(name)
}

/// `date=2024-11-29`, or with `hour=09` in it, of a time in milliseconds since 1970, in UTC.
///
/// # Errors
///
/// The time is beyond the year 9999.
pub(crate) fn time_folder(time: i64, with_hour: bool) -> Result<String, String> {
    let civil = civil(time)?;
    let date = format!("date={}", civil.date());
    Ok(if with_hour { format!("{date}/hour={:02}", civil.hour()) } else { date })
}

fn civil(time: i64) -> Result<jiff::civil::DateTime, String> {
    let instant = Timestamp::from_millisecond(time)
        .map_err(|_| format!("{time} ms since 1970 is beyond the calendar"))?;
    Ok(TimeZone::UTC.to_datetime(instant))
}

/// The name of a file: the time of its first event, and what is in it. Two files of one name are
/// the same, byte for byte.
pub(crate) fn file_name(time: i64, bytes: &[u8]) -> String {
    let mut name = civil(time).map_or_else(
        |_| "undated".to_owned(),
        |civil| civil.strftime("%Y%m%dT%H%M%SZ").to_string(),
    );
    name.push('-');
    for byte in &Sha256::digest(bytes)[..16] {
        // Writing to a string does not fail.
        let _ = write!(name, "{byte:02x}");
    }
    name + ".parquet"
}

/// Makes a folder that is missing, and those it is in, so that they are there after a crash.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(Path::new(""));
    make_folder(parent)?;
    match fs::create_dir(folder) {
        // Another writer was quicker.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_folder(parent),
    }
}

/// Writes a whole file into a folder, which is made where it is missing. When this returns, the
/// file is on the disk itself under its name.
pub(crate) fn store(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    make_folder(folder)?;
    Part::write(folder, name, bytes)?.finish()
}

/// A file that is on the disk, but not under its name yet.
struct Part {
    path: PathBuf,
    whole: PathBuf,
    /// Whether it has its name, or has to be removed.
    is_finished: bool,
}

impl Part {
    fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<Self> {
        let whole = folder.join(name);
        for number in 0..PARTS_MAX {
            let number = if number == 0 { String::new() } else { format!("{number}.") };
            let path = folder.join(format!("{name}.{number}{PART}"));
            // A part that is there is another writer's, at work or killed: it is never shared.
            let mut file = match File::create_new(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                file => file?,
            };
            let part = Self { path, whole, is_finished: false };
            file.write_all(bytes)?;
            file.sync_all()?;
            return Ok(part);
        }
        Err(io::Error::other(format!("there are {PARTS_MAX} parts of `{name}` already")))
    }

    fn finish(mut self) -> io::Result<()> {
        fs::rename(&self.path, &self.whole)?;
        self.is_finished = true;
        sync_folder(self.whole.parent().unwrap_or(Path::new("")))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_finished {
            // What cannot be removed is no whole file, as its name says.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes sure that the names in a folder are on the disk.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(windows) {
        // A folder is no file there.
        return Ok(());
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-11-29T09:59:59.999Z
    const TIME: i64 = 1_732_874_399_999;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn folders_are_those_that_hive_reads() {
        assert_eq!(type_folder("receipt_created").unwrap(), "event_type=receipt_created");
        assert_eq!(type_folder("../a b").unwrap(), "event_type=..%2Fa%20b");
        assert!(
            type_folder(&"x".repeat(300)).unwrap_err().starts_with("the event type is too long")
        );
        assert_eq!(time_folder(TIME, false).unwrap(), "date=2024-11-29");
        assert_eq!(time_folder(TIME, true).unwrap(), "date=2024-11-29/hour=09");
        assert_eq!(time_folder(-1, true).unwrap(), "date=1969-12-31/hour=23");
        assert!(time_folder(i64::MAX, false).unwrap_err().ends_with("is beyond the calendar"));
    }

    #[test]
    fn a_name_says_when_and_what() {
        let name = file_name(TIME, b"a");
        assert_eq!(name, "20241129T095959Z-ca978112ca1bbdcafac231b39a23dc4d.parquet");
        assert_eq!(name, file_name(TIME, b"a"));
        assert_ne!(name, file_name(TIME, b"b"));
    }

    #[test]
    fn who_is_killed_before_the_name_is_given_leaves_a_part_and_the_next_one_a_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let killed = Part::write(folder.path(), "x.parquet", b"half").unwrap();
        std::mem::forget(killed);
        assert_eq!(names(folder.path()), ["x.parquet.part"]);
        store(folder.path(), "x.parquet", b"whole").unwrap();
        store(folder.path(), "x.parquet", b"whole").unwrap();
        assert_eq!(names(folder.path()), ["x.parquet", "x.parquet.part"]);
        assert_eq!(fs::read(folder.path().join("x.parquet")).unwrap(), b"whole");
    }

    #[test]
    fn what_cannot_be_named_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("x.parquet/in the way")).unwrap();
        store(folder.path(), "x.parquet", b"whole").unwrap_err();
        assert_eq!(names(folder.path()), ["x.parquet"]);
    }

    #[test]
    fn folders_that_are_missing_are_made() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b/c");
        store(&deep, "x.parquet", b"whole").unwrap();
        assert_eq!(names(&deep), ["x.parquet"]);
        fs::write(folder.path().join("file"), "").unwrap();
        make_folder(&folder.path().join("file/d")).unwrap_err();
    }
}
