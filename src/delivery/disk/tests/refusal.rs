//! What cannot be done is said with the file and the reason, and harms nothing.

use std::fs;
use std::io::{self, ErrorKind, Write};

use super::*;
use crate::delivery::disk::format::{FILE_HEADER_BYTES, PAYLOAD_BYTES_MAX};
use crate::delivery::disk::writer::{SegmentFile, SegmentWriter};
use crate::delivery::disk::{DiskError, DiskErrorReason, SegmentReader, Step};

fn refusal(folder: &Path) -> DiskError {
    DiskQueue::open(folder, LIMITS).err().unwrap()
}

/// A disk with room for so many bytes, and one that may fail to cut.
struct SmallDisk {
    bytes: Vec<u8>,
    room: usize,
    cuts: bool,
    syncs: bool,
}

impl Write for SmallDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = bytes.len().min(self.room - self.bytes.len());
        if written == 0 {
            return Err(ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SegmentFile for &mut SmallDisk {
    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        if !self.cuts {
            return Err(ErrorKind::PermissionDenied.into());
        }
        self.bytes.truncate(bytes as usize);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.syncs { Ok(()) } else { Err(ErrorKind::Other.into()) }
    }
}

fn records(disk: &SmallDisk) -> Vec<u64> {
    let end = disk.bytes.len() as u64;
    let mut reader = SegmentReader::new(io::Cursor::new(&disk.bytes), end, 1);
    let mut found = Vec::new();
    loop {
        match reader.next(None).unwrap() {
            Step::Record(record) => found.push(record.sequence),
            Step::End => return found,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_record_that_does_not_fit_on_the_disk_leaves_no_trace() {
    let whole = FILE_HEADER_BYTES as usize + 36;
    for room in whole..whole + 36 {
        let mut disk = SmallDisk { bytes: Vec::new(), room, cuts: true, syncs: true };
        let mut writer = SegmentWriter::create(Path::new("x.segment"), &mut disk, 1).unwrap();
        writer.append(1, 1, &payload(1)).unwrap();
        let error = writer.append(2, 1, &payload(2)).unwrap_err();
        assert!(error.is_full_disk());
        assert!(error.to_string().starts_with("cannot append to `x.segment` at byte 60: "));
        assert!(error.help().is_some());
        assert_eq!((writer.end(), records(&disk)), (60, vec![1]), "room for {room}");
    }
}

#[test]
fn what_could_not_be_cut_off_is_cut_off_before_the_next_record() {
    let mut disk = SmallDisk { bytes: Vec::new(), room: 80, cuts: false, syncs: true };
    let mut writer = SegmentWriter::create(Path::new("x.segment"), &mut disk, 1).unwrap();
    writer.append(1, 1, &payload(1)).unwrap();
    writer.append(2, 1, &payload(2)).unwrap_err();
    let error = writer.append(2, 1, &payload(2)).unwrap_err();
    assert!(error.to_string().starts_with("cannot cut off `x.segment` at byte 60: "), "{error}");
    let mut writer = SegmentWriter::create(Path::new("x.segment"), &mut disk, 1);
    assert!(writer.as_mut().is_err_and(|error| error.is_full_disk()));
}

#[test]
fn a_failed_sync_is_not_forgotten() {
    let mut disk = SmallDisk { bytes: Vec::new(), room: 80, cuts: true, syncs: false };
    let mut writer = SegmentWriter::create(Path::new("x.segment"), &mut disk, 1).unwrap();
    writer.append(1, 1, &payload(1)).unwrap();
    assert!(writer.sync().is_err() && writer.sync().is_err());
}

/// Mounted by root only; elsewhere the tests above stand for it.
#[cfg(target_os = "linux")]
#[test]
fn a_queue_on_a_full_disk_goes_on_when_there_is_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let mount = |arguments: &[&str]| {
        let status = std::process::Command::new(arguments[0])
            .args(&arguments[1..])
            .arg(folder.path())
            .stderr(std::process::Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    };
    if !mount(&["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs"]) {
        return;
    }
    let path = folder.path().join("hub");
    let outcome = std::panic::catch_unwind(|| {
        let limits = Limits { max_events: 1 << 20, max_bytes: 1 << 30, segment_bytes: 40_000 };
        let (mut queue, _) = DiskQueue::open(&path, limits).unwrap();
        let (mut appended, payload) = (0, vec![b'x'; 5000]);
        let error = loop {
            match queue.append(&payload, 1) {
                Ok(_) => appended += 1,
                Err(error) => break error,
            }
        };
        assert!(error.is_full_disk() && appended > 20, "{error} after {appended}");
        assert!(queue.append(&payload, 1).is_err());
        assert_eq!(queue.waiting_events(), appended);
        let (records, damaged) = drain(&mut queue);
        assert_eq!((records.len() as u64, damaged), (appended, vec![]));
        queue.sync().unwrap();
        assert_eq!(queue.append(&payload, 1).unwrap(), appended + 1);
        drop(queue);
        let (mut queue, recovery) = DiskQueue::open(&path, limits).unwrap();
        assert_eq!((recovery.records, recovery.torn, recovery.damaged), (1, None, vec![]));
        assert_eq!(sequences(&drain(&mut queue).0), [appended + 1]);
    });
    assert!(mount(&["umount"]));
    outcome.unwrap();
}

#[test]
fn a_folder_has_one_queue_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let (queue, _) = open(folder.path());
    let error = refusal(folder.path());
    let process = std::process::id();
    let expected =
        format!("the disk buffer `{}` is in use by process {process}", folder.path().display());
    assert_eq!(error.to_string(), expected);
    assert!(error.help().is_some());
    drop(queue);
    open(folder.path());
}

#[test]
fn a_file_of_a_newer_version_is_left_alone() {
    for (name, place, covered) in [("00000000000000000003.segment", 8, 20), ("cursor", 4, 24)] {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path(), 4, 0);
        let path = folder.path().join(name);
        let mut bytes = fs::read(&path).unwrap();
        bytes[place] = 2;
        let checksum = crc32fast::hash(&bytes[..covered]).to_le_bytes();
        bytes[covered..covered + 4].copy_from_slice(&checksum);
        fs::write(&path, &bytes).unwrap();
        let before = files(folder.path());
        let error = refusal(folder.path());
        let expected = format!("`{}` was written by a newer version (format 2)", path.display());
        assert_eq!(error.to_string(), expected);
        assert_eq!((files(folder.path()), fs::read(&path).unwrap()), (before, bytes));
    }
}

#[test]
fn a_record_that_is_too_large_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (mut queue, _) = open(folder.path());
    let error = queue.append(&vec![0; PAYLOAD_BYTES_MAX + 1], 1).unwrap_err();
    assert!(error.to_string().contains("67108865 bytes is too large"), "{error}");
    assert_eq!(queue.append(b"x", 1).unwrap(), 1);
}

#[test]
fn a_folder_that_is_a_file_or_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    for path in [file.clone(), file.join("deeper")] {
        let error = refusal(&path).to_string();
        let expected = format!("cannot make the folder `{}`: ", path.display());
        assert!(error.starts_with(&expected), "{error}");
    }
    for name in ["lock", "cursor", "00000000000000000001.segment"] {
        let path = folder.path().join("queue").join(name);
        fs::create_dir_all(&path).unwrap();
        let error = refusal(path.parent().unwrap()).to_string();
        assert!(error.contains(&format!("`{}`", path.display())), "{error}");
        fs::remove_dir(&path).unwrap();
    }
}

#[test]
fn a_folder_that_is_taken_away_is_named_and_what_was_appended_before_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue");
    let (mut queue, _) = open(&path);
    queue.append(&payload(1), 1).unwrap();
    assert!(matches!(queue.read_next().unwrap(), Some(Next::Record(_))));
    fs::remove_dir_all(&path).unwrap();
    queue.append(&[b'x'; 100], 1).unwrap_err();
    let error = queue.append(&[b'x'; 100], 1).unwrap_err().to_string();
    assert!(error.contains(&path.display().to_string()), "{error}");
}

#[test]
fn after_a_failed_sync_nothing_more_is_taken_and_what_is_there_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue");
    let (mut queue, _) = open(&path);
    queue.append(&payload(1), 1).unwrap();
    assert!(matches!(queue.read_next().unwrap(), Some(Next::Record(_))));
    queue.append(&payload(2), 1).unwrap();
    fs::remove_dir_all(&path).unwrap();
    let error = queue.sync().unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot sync the folder `{}`", path.display())), "{error}");
    for error in [queue.append(b"x", 1).unwrap_err(), queue.sync().unwrap_err()] {
        assert!(matches!(error.reason, DiskErrorReason::SyncFailed), "{error}");
        assert!(error.help().is_some());
    }
    assert_eq!(sequences(&drain(&mut queue).0), [2]);
}
