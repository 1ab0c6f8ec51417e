//! The queue behind a sink's disk buffer: records go in at one end, are read in order, and leave
//! the disk when they and all before them are settled.
//!
//! ```text
//! append -> NNN.segment ... NNN.segment -> read_next -> acknowledge -> sync: cursor, files removed
//! ```
//!
//! A record is on the disk after the next [`DiskQueue::sync`]; one fsync serves all that were
//! appended. What was acknowledged is noted then, too: a crash before it has records delivered
//! again, and none lost. Everything is read with a checksum; what is damaged is reported and put
//! aside, and the intact records around it are delivered.

mod cursor;
mod damage;
mod error;
mod folder;
mod format;
mod recover;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

pub use damage::{Damage, Torn};
pub use error::{DiskError, DiskErrorReason};
pub use format::{PAYLOAD_BYTES_MAX, RecordHeader};
pub use recover::Recovery;
pub use segment::{SegmentReader, Step, Stretch};

use cursor::CursorFile;
use recover::Segment;
use writer::SegmentWriter;

use crate::file_lock::FileLock;

/// How much a queue may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Events that wait, at most.
    pub max_events: u64,
    /// Bytes of the records that wait, at most. The folder holds at most twice as much and a
    /// segment: a record that is not settled keeps those behind it.
    pub max_bytes: u64,
    /// The length at which a file is followed by the next one.
    pub segment_bytes: u64,
}

/// An intact record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number, for [`DiskQueue::acknowledge`].
    pub sequence: u64,
    /// How many events it holds.
    pub events: u32,
    /// What was appended.
    pub payload: Vec<u8>,
}

/// What stood next in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A record.
    Record(Record),
    /// Something that got damaged since the queue was opened; reading goes on behind it.
    Damaged(Damage),
}

/// A record that was read, until it and all before it are settled.
struct InFlight {
    events: u64,
    bytes: u64,
    is_settled: bool,
}

/// What [`DiskQueue::pass`] came by.
enum Passed {
    Record(RecordHeader),
    Damaged(Damage),
}

/// A queue of records in a folder of its own. It waits for the disk: for a blocking thread.
pub struct DiskQueue {
    folder: PathBuf,
    limits: Limits,
    cursor: CursorFile,
    /// From the oldest to the one that is written.
    segments: VecDeque<Segment>,
    /// Writes the last segment. None is taken up again after a start.
    writer: Option<SegmentWriter<File>>,
    next_sequence: u64,
    /// The segment that is read, by its place.
    reading: usize,
    reader: Option<SegmentReader<File>>,
    /// All records before this one were read, or are lost.
    read_sequence: u64,
    in_flight: BTreeMap<u64, InFlight>,
    waiting_events: u64,
    waiting_bytes: u64,
    /// Bytes of records that are settled, but behind one that is not.
    held_bytes: u64,
    /// A file was made in the folder since its last sync.
    is_folder_new: bool,
    has_sync_failed: bool,
    /// Held until the queue is dropped.
    _lock: FileLock,
}

impl DiskQueue {
    /// Opens the queue of a folder, which is made if it is not there, and says what is in it.
    pub fn open(folder: impl Into<PathBuf>, limits: Limits) -> Result<(Self, Recovery), DiskError> {
        let folder = folder.into();
        folder::make(&folder)?;
        let lock = folder::lock(&folder)?;
        let is_new = folder::segments(&folder)?.is_empty();
        let (cursor, found) = CursorFile::open(&folder, is_new)?;
        let found = recover::recover(&folder, found)?;
        if is_new || !found.recovery.damaged.is_empty() {
            folder::sync(&folder)?;
        }
        let queue = Self {
            limits,
            read_sequence: cursor.sequence(),
            cursor,
            waiting_events: found.segments.iter().map(|segment| segment.unread_events).sum(),
            waiting_bytes: found.segments.iter().map(|segment| segment.unread_bytes).sum(),
            segments: found.segments,
            writer: None,
            next_sequence: found.next_sequence,
            reading: 0,
            reader: None,
            in_flight: BTreeMap::new(),
            held_bytes: 0,
            is_folder_new: false,
            has_sync_failed: false,
            folder,
            _lock: lock,
        };
        Ok((queue, found.recovery))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How many events wait: appended and not settled.
    pub fn waiting_events(&self) -> u64 {
        self.waiting_events
    }

    /// How many bytes their records take up.
    pub fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes
    }

    /// Whether a record of so many events and bytes would stay within the limits. An empty queue
    /// has room for any.
    pub fn has_room(&self, events: u32, payload_bytes: usize) -> bool {
        if self.waiting_bytes == 0 && self.held_bytes == 0 {
            return true;
        }
        let bytes = format::RECORD_HEADER_BYTES + payload_bytes as u64;
        self.waiting_events.saturating_add(events.into()) <= self.limits.max_events
            && self.waiting_bytes.saturating_add(bytes) <= self.limits.max_bytes
            && !self.is_held_back()
    }

    /// Whether the folder is full of what is settled, behind a record that is not.
    fn is_held_back(&self) -> bool {
        self.waiting_bytes + self.held_bytes >= self.limits.max_bytes.saturating_mul(2)
    }

    /// Appends a record, whether or not there is room, and says its sequence. It can be read at
    /// once; it is on the disk after the next [`Self::sync`]. Where it fails nothing was appended,
    /// and the next call may succeed.
    pub fn append(&mut self, payload: &[u8], events: u32) -> Result<u64, DiskError> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            let reason = DiskErrorReason::TooLarge(payload.len());
            return Err(DiskError::new(&self.folder, reason));
        }
        if self.has_sync_failed {
            return Err(DiskError::new(&self.folder, DiskErrorReason::SyncFailed));
        }
        let bytes = format::RECORD_HEADER_BYTES + payload.len() as u64;
        let end = self.writer.as_ref().map_or(0, SegmentWriter::end);
        if end > format::FILE_HEADER_BYTES && end + bytes > self.limits.segment_bytes {
            self.end_segment()?;
        }
        let sequence = self.next_sequence;
        let writer = if let Some(writer) = &mut self.writer {
            writer
        } else {
            let (segment, writer) = create(&self.folder, sequence)?;
            self.is_folder_new = true;
            self.segments.push_back(segment);
            self.writer.insert(writer)
        };
        let bytes = writer.append(sequence, events, payload)?;
        if let Some(segment) = self.segments.back_mut() {
            segment.end = writer.end();
            segment.unread_events += u64::from(events);
            segment.unread_bytes += bytes;
        }
        self.next_sequence += 1;
        self.waiting_events += u64::from(events);
        self.waiting_bytes += bytes;
        Ok(sequence)
    }

    /// Waits until all that was appended is on the disk, notes what is settled, and removes the
    /// files that are not needed any more. Does little where nothing changed.
    pub fn sync(&mut self) -> Result<(), DiskError> {
        self.sync_records()?;
        let settled = self.settled();
        if settled > self.cursor.sequence() {
            self.cursor.write(settled)?;
        }
        // The cursor has to be on the disk before what it is past is gone.
        if self.is_oldest_done() {
            self.cursor.sync()?;
        }
        while self.is_oldest_done() {
            self.remove_oldest()?;
        }
        Ok(())
    }

    /// As [`Self::sync`], and waits for the note of what is settled, too.
    pub fn close(mut self) -> Result<(), DiskError> {
        self.sync()?;
        self.cursor.sync()
    }

    /// The next record, in the order in which they were appended, whether it was synced or not;
    /// `None` where all were read.
    pub fn read_next(&mut self) -> Result<Option<Next>, DiskError> {
        let mut payload = Vec::new();
        Ok(self.pass(Some(&mut payload))?.map(|passed| match passed {
            Passed::Damaged(damage) => Next::Damaged(damage),
            Passed::Record(header) => {
                let RecordHeader { sequence, events, .. } = header;
                let in_flight = InFlight {
                    events: u64::from(events),
                    bytes: header.bytes(),
                    is_settled: false,
                };
                self.in_flight.insert(sequence, in_flight);
                Next::Record(Record { sequence, events, payload })
            }
        }))
    }

    /// Settles a record that was read: it is not delivered again once that is noted by the next
    /// [`Self::sync`]. Any order will do; another number changes nothing.
    pub fn acknowledge(&mut self, sequence: u64) {
        let Some(record) = self.in_flight.get_mut(&sequence).filter(|record| !record.is_settled)
        else {
            return;
        };
        record.is_settled = true;
        self.waiting_events -= record.events;
        self.waiting_bytes -= record.bytes;
        self.held_bytes += record.bytes;
        while let Some(oldest) = self.in_flight.first_entry() {
            if !oldest.get().is_settled {
                break;
            }
            self.held_bytes -= oldest.remove().bytes;
        }
    }

    /// Puts aside the record that was read last, whose payload is not what was expected, and
    /// settles it. Where that fails it stays as it is.
    pub fn put_aside(&mut self, record: &Record, reason: String) -> Result<Damage, DiskError> {
        let Some((segment, reader)) = self.segments.get(self.reading).zip(self.reader.as_ref())
        else {
            let error = std::io::ErrorKind::NotFound.into();
            return Err(DiskError::io(&self.folder, "find a record that was read in")(error));
        };
        let bytes = format::RECORD_HEADER_BYTES + record.payload.len() as u64;
        let offset = reader.position().offset.saturating_sub(bytes);
        let stretch = Stretch { offset, bytes, reason, record: None };
        let damage = Damage::put_aside(&segment.path, stretch, record.events.into())?;
        self.acknowledge(record.sequence);
        Ok(damage)
    }

    /// Settles the oldest record that was not read, and says how many events it held; what is
    /// damaged before it is reported. `None` where all were read, or where it would make no room:
    /// the folder is full of what a record in flight keeps.
    pub fn drop_oldest(&mut self) -> Result<Option<Dropped>, DiskError> {
        if self.is_held_back() {
            return Ok(None);
        }
        Ok(self.pass(None)?.map(|passed| match passed {
            Passed::Damaged(damage) => Dropped::Damaged(damage),
            Passed::Record(header) => {
                let events = u64::from(header.events);
                let bytes = header.bytes();
                self.in_flight
                    .insert(header.sequence, InFlight { events, bytes, is_settled: false });
                self.acknowledge(header.sequence);
                Dropped::Events(events)
            }
        }))
    }

    /// Reads on to what is next and was not reported yet.
    fn pass(&mut self, mut payload: Option<&mut Vec<u8>>) -> Result<Option<Passed>, DiskError> {
        while let Some(segment) = self.segments.get_mut(self.reading) {
            let reader = match &mut self.reader {
                Some(reader) => reader,
                closed => {
                    let file =
                        File::open(&segment.path).map_err(DiskError::io(&segment.path, "open"))?;
                    closed.insert(SegmentReader::at(file, segment.end, segment.start))
                }
            };
            reader.set_end(segment.end);
            let before = reader.position();
            let step = reader
                .next(payload.as_deref_mut())
                .map_err(|error| DiskError::io(&segment.path, "read")(error).at(before.offset))?;
            match step {
                Step::Record(header) => {
                    // What could not be read on opening was not counted, and may be there again.
                    let (events, bytes) = (u64::from(header.events), header.bytes());
                    self.waiting_events += events.saturating_sub(segment.unread_events);
                    self.waiting_bytes += bytes.saturating_sub(segment.unread_bytes);
                    segment.unread_events = segment.unread_events.saturating_sub(events);
                    segment.unread_bytes = segment.unread_bytes.saturating_sub(bytes);
                    self.read_sequence = header.sequence + 1;
                    return Ok(Some(Passed::Record(header)));
                }
                Step::Damaged(stretch) | Step::Torn(stretch) => {
                    let place = (stretch.offset, stretch.bytes);
                    if segment.known_damage.binary_search(&place).is_ok() {
                        continue;
                    }
                    let damage = self.lose(stretch);
                    if let (Err(_), Some(reader)) = (&damage, &mut self.reader) {
                        reader.go_to(before);
                    }
                    return damage.map(|damage| Some(Passed::Damaged(damage)));
                }
                Step::End if self.reading + 1 < self.segments.len() => {
                    self.reading += 1;
                    self.reader = None;
                    self.read_sequence = self.read_sequence.max(self.segments[self.reading].first);
                }
                Step::End => break,
            }
        }
        self.read_sequence = self.next_sequence;
        Ok(None)
    }

    /// Puts aside what was found damaged on reading, and takes what is lost with it out of the
    /// counts: whatever is not intact behind it.
    fn lose(&mut self, stretch: Stretch) -> Result<Damage, DiskError> {
        let (segment, reader) = (&mut self.segments[self.reading], self.reader.as_ref());
        let position = reader.map_or(segment.start, SegmentReader::position);
        let failed = |error| DiskError::io(&segment.path, "read")(error).at(stretch.offset);
        let file = File::open(&segment.path).map_err(failed)?;
        let mut reader = SegmentReader::at(file, segment.end, position);
        let (mut events, mut bytes) = (0, 0);
        loop {
            match reader.next(None).map_err(failed)? {
                Step::Record(header) => {
                    events += u64::from(header.events);
                    bytes += header.bytes();
                }
                Step::Damaged(_) | Step::Torn(_) => {}
                Step::End => break,
            }
        }
        let lost_events = segment.unread_events.saturating_sub(events);
        let lost_bytes = segment.unread_bytes.saturating_sub(bytes);
        let damage = Damage::put_aside(&segment.path, stretch, lost_events)?;
        segment.unread_events -= lost_events;
        segment.unread_bytes -= lost_bytes;
        self.waiting_events -= lost_events;
        self.waiting_bytes -= lost_bytes;
        Ok(damage)
    }

    /// All records before this one are settled.
    fn settled(&self) -> u64 {
        self.in_flight.keys().next().copied().unwrap_or(self.read_sequence)
    }

    /// Has the next record begin a new file. Only the last one may end in a torn record.
    fn end_segment(&mut self) -> Result<(), DiskError> {
        if let Some(writer) = &mut self.writer {
            writer.mend()?;
        }
        self.sync_records()?;
        self.writer = None;
        Ok(())
    }

    fn sync_records(&mut self) -> Result<(), DiskError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        if self.has_sync_failed {
            return Err(DiskError::new(&self.folder, DiskErrorReason::SyncFailed));
        }
        let mut synced = writer.sync();
        if synced.is_ok() && self.is_folder_new {
            synced = folder::sync(&self.folder);
        }
        self.has_sync_failed = synced.is_err();
        self.is_folder_new &= synced.is_err();
        synced
    }

    /// Whether the oldest file holds nothing that is waited for, and nothing is to come.
    fn is_oldest_done(&self) -> bool {
        let end = match (self.segments.len(), &self.writer) {
            (0, _) | (1, Some(_)) => return false,
            (1, None) => self.next_sequence,
            _ => self.segments[1].first,
        };
        end <= self.cursor.sequence()
    }

    fn remove_oldest(&mut self) -> Result<(), DiskError> {
        if let Some(segment) = self.segments.front() {
            std::fs::remove_file(&segment.path).map_err(DiskError::io(&segment.path, "remove"))?;
            self.segments.pop_front();
            if self.reading == 0 {
                self.reader = None;
            }
            self.reading = self.reading.saturating_sub(1);
        }
        Ok(())
    }
}

/// What [`DiskQueue::drop_oldest`] dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// A record of so many events.
    Events(u64),
    /// Nothing: this was damaged, and is behind by now.
    Damaged(Damage),
}

/// Begins a segment. Its file can only be what an attempt before this one left.
fn create(folder: &Path, first: u64) -> Result<(Segment, SegmentWriter<File>), DiskError> {
    let segment = Segment::new(folder, first);
    let path = &segment.path;
    let file = OpenOptions::new().append(true).create(true).open(path);
    let file = file.map_err(DiskError::io(path, "make"))?;
    file.set_len(0).map_err(DiskError::io(path, "make"))?;
    let writer = SegmentWriter::create(path, file, first)?;
    Ok((segment, writer))
}
