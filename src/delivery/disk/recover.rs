//! What is left of a queue when it is opened: every segment is read through once, in small pieces.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::cursor::CursorFound;
use super::damage::{Damage, Torn};
use super::error::{DiskError, DiskErrorReason};
use super::folder;
use super::format::{FILE_HEADER_BYTES, FileHeader, decode_file_header};
use super::segment::{Position, SegmentReader, Step, Stretch};

const READ_BYTES: usize = 256 * 1024;

/// What was found when a queue was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// How many records wait to be delivered.
    pub records: u64,
    /// How many events they hold.
    pub events: u64,
    /// What an interrupted write left, if one was.
    pub torn: Option<Torn>,
    /// What is damaged. A segment stays until all its intact records are settled, and its damage
    /// is found again at each start until then.
    pub damaged: Vec<Damage>,
}

/// One file of the queue.
pub(super) struct Segment {
    /// The sequence of its first record, which it is named after.
    pub(super) first: u64,
    pub(super) path: PathBuf,
    /// How far it is read.
    pub(super) end: u64,
    /// Where reading begins.
    pub(super) start: Position,
    /// Intact records that were not read yet: how many events they hold, and bytes they take up.
    pub(super) unread_events: u64,
    pub(super) unread_bytes: u64,
    /// Damage that was reported: offset and length, in order.
    pub(super) known_damage: Vec<(u64, u64)>,
}

impl Segment {
    pub(super) fn new(folder: &Path, first: u64) -> Self {
        Self {
            first,
            path: folder::segment_path(folder, first),
            end: FILE_HEADER_BYTES,
            start: Position { offset: FILE_HEADER_BYTES, sequence: first, lost_max: 0 },
            unread_events: 0,
            unread_bytes: 0,
            known_damage: Vec::new(),
        }
    }

    fn failed(&self, doing: &'static str) -> impl FnOnce(io::Error) -> DiskError {
        DiskError::io(&self.path, doing)
    }
}

/// The segments that hold records which are not settled, and the sequence that comes next.
pub(super) struct Found {
    pub(super) segments: VecDeque<Segment>,
    pub(super) next_sequence: u64,
    pub(super) recovery: Recovery,
}

/// Reads all segments. Those that the cursor is past are removed.
pub(super) fn recover(folder: &Path, cursor: CursorFound) -> Result<Found, DiskError> {
    let firsts = folder::segments(folder)?;
    // Before anything is changed.
    let mut headers = Vec::new();
    for first in &firsts {
        headers.push(read_header(&Segment::new(folder, *first))?);
    }
    let settled = cursor.sequence;
    let mut recovery = Recovery { damaged: cursor.damaged, ..Recovery::default() };
    let mut segments = VecDeque::new();
    let oldest = firsts.first().copied().unwrap_or(1);
    // What lies between the two is missing; without a sure cursor it may have been settled.
    let sequence = if cursor.is_newest { settled.min(oldest) } else { oldest };
    let mut next = Position { offset: FILE_HEADER_BYTES, sequence, lost_max: 0 };
    for (place, (first, header)) in firsts.iter().zip(headers).enumerate() {
        let mut segment = Segment::new(folder, *first);
        if firsts.get(place + 1).is_some_and(|following| *following <= settled) {
            remove(&segment)?;
            next.sequence = next.sequence.max(firsts[place + 1]);
            continue;
        }
        let is_last = place + 1 == firsts.len();
        next = read_segment(&mut segment, &header, next, settled, is_last, &mut recovery)?;
        let is_empty = segment.unread_bytes == 0 && segment.known_damage.is_empty();
        if is_last && is_empty {
            remove(&segment)?;
        } else {
            segments.push_back(segment);
        }
    }
    // Numbers that damage may have held are not given out again.
    let taken = segments.back().map_or(0, |segment: &Segment| segment.first + 1);
    let next_sequence = (next.sequence + next.lost_max).max(settled).max(taken);
    Ok(Found { segments, next_sequence, recovery })
}

fn remove(segment: &Segment) -> Result<(), DiskError> {
    std::fs::remove_file(&segment.path).map_err(segment.failed("remove"))
}

/// As much of the file header as there is.
fn read_header(segment: &Segment) -> Result<Vec<u8>, DiskError> {
    let mut bytes = Vec::new();
    let file = File::open(&segment.path).map_err(segment.failed("open"))?;
    file.take(FILE_HEADER_BYTES).read_to_end(&mut bytes).map_err(segment.failed("read"))?;
    if let Some(whole) = bytes.first_chunk()
        && let FileHeader::Newer(version) = decode_file_header(whole)
    {
        return Err(DiskError::new(&segment.path, DiskErrorReason::NewerVersion(version)));
    }
    Ok(bytes)
}

/// Counts what is in a segment and puts aside what is damaged; says where its successor begins.
fn read_segment(
    segment: &mut Segment,
    header: &[u8],
    next: Position,
    settled: u64,
    is_last: bool,
    recovery: &mut Recovery,
) -> Result<Position, DiskError> {
    let file = File::open(&segment.path).map_err(segment.failed("open"))?;
    segment.end = file.metadata().map_err(segment.failed("read"))?.len();
    let expected = super::format::encode_file_header(segment.first);
    if is_last && segment.end < FILE_HEADER_BYTES && expected.starts_with(header) {
        cut(segment, 0, recovery)?;
        return Ok(Position { sequence: next.sequence.max(segment.first), ..next });
    }
    let mut next = next;
    if header != expected {
        let bytes = segment.end.min(FILE_HEADER_BYTES);
        let reason = "the header of the file does not hold".to_owned();
        report(segment, Stretch { offset: 0, bytes, reason, record: None }, settled, recovery)?;
        next.lost_max += 1;
    }
    let file = BufReader::with_capacity(READ_BYTES, file);
    let mut reader = SegmentReader::at(file, segment.end, next);
    let mut start = None;
    loop {
        let before = reader.position();
        let step = reader.next(None);
        match step.map_err(|error| segment.failed("read")(error).at(before.offset))? {
            Step::Record(record) => {
                if record.sequence >= settled {
                    start.get_or_insert(before);
                    segment.unread_events += u64::from(record.events);
                    segment.unread_bytes += record.bytes();
                    recovery.records += 1;
                    recovery.events += u64::from(record.events);
                }
            }
            Step::Torn(stretch) if is_last => {
                cut(segment, stretch.offset, recovery)?;
                next = before;
                break;
            }
            Step::Damaged(stretch) | Step::Torn(stretch) => {
                report(segment, stretch, settled, recovery)?;
            }
            Step::End => {
                next = before;
                break;
            }
        }
    }
    let end = Position { offset: segment.end, ..next };
    segment.start = start.unwrap_or(end);
    Ok(Position { offset: FILE_HEADER_BYTES, ..next })
}

fn report(
    segment: &mut Segment,
    stretch: Stretch,
    settled: u64,
    recovery: &mut Recovery,
) -> Result<(), DiskError> {
    segment.known_damage.push((stretch.offset, stretch.bytes));
    let record = stretch.record.filter(|record| record.sequence >= settled);
    let events = record.map_or(0, |record| u64::from(record.events));
    recovery.damaged.push(Damage::put_aside(&segment.path, stretch, events)?);
    Ok(())
}

/// Cuts off what an interrupted write left.
fn cut(segment: &mut Segment, offset: u64, recovery: &mut Recovery) -> Result<(), DiskError> {
    let bytes = segment.end - offset;
    OpenOptions::new()
        .write(true)
        .open(&segment.path)
        .and_then(|file| file.set_len(offset).and_then(|()| file.sync_all()))
        .map_err(|error| segment.failed("cut off")(error).at(offset))?;
    segment.end = offset;
    recovery.torn = (bytes > 0).then(|| Torn { file: segment.path.clone(), offset, bytes });
    Ok(())
}
