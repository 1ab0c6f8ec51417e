//! Reads the records of a segment one by one, checks each, and finds its way past damage.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use super::format::{FILE_HEADER_BYTES, RECORD_HEADER_BYTES, RECORD_MAGIC, RecordHeader};

/// How much is read at a time where a payload is only checked, and behind damage.
const CHUNK_BYTES: usize = 64 * 1024;

/// What stands next in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// An intact record.
    Record(RecordHeader),
    /// A stretch that is no record, with more behind it, or which is whole and wrong.
    Damaged(Stretch),
    /// What an interrupted write leaves at the end of a file.
    Torn(Stretch),
    /// The end.
    End,
}

/// Part of a file that is no intact record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Where it begins, in bytes from the file's start.
    pub offset: u64,
    /// Its length; 0 where something is missing between two records.
    pub bytes: u64,
    /// What is wrong with it.
    pub reason: String,
    /// The record that it was, where the header is left.
    pub record: Option<RecordHeader>,
}

/// Where a reader is, and what it expects there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    pub(super) offset: u64,
    /// The sequence that the next record has.
    pub(super) sequence: u64,
    /// How many records the damage since the last intact one may have held.
    pub(super) lost_max: u64,
}

/// Reads a segment. Needs little memory whatever the file holds; a payload that is asked for is
/// never longer than the file.
pub struct SegmentReader<R> {
    file: R,
    /// Where the file itself stands, if that is known.
    file_offset: Option<u64>,
    end: u64,
    position: Position,
    chunk: Vec<u8>,
}

impl<R: Read + Seek> SegmentReader<R> {
    /// A reader of the records behind the file header, up to the byte `end`; the first has this
    /// sequence.
    pub fn new(file: R, end: u64, sequence: u64) -> Self {
        let position = Position { offset: FILE_HEADER_BYTES, sequence, lost_max: 0 };
        Self::at(file, end, position)
    }

    pub(super) fn at(file: R, end: u64, position: Position) -> Self {
        Self { file, file_offset: None, end, position, chunk: Vec::new() }
    }

    pub(super) fn position(&self) -> Position {
        self.position
    }

    pub(super) fn go_to(&mut self, position: Position) {
        self.position = position;
    }

    /// Tells how far the file reaches by now.
    pub(super) fn set_end(&mut self, end: u64) {
        self.end = end;
    }

    /// The next record, its payload put into `payload` if that is wanted, or what stands there
    /// instead. Moves on past it, unless the file cannot be read.
    pub fn next(&mut self, payload: Option<&mut Vec<u8>>) -> io::Result<Step> {
        let Position { offset, sequence, lost_max } = self.position;
        if offset >= self.end {
            return Ok(Step::End);
        }
        let Some(header) = self.header_at(offset)? else {
            return self.pass_damage(None, "there is no record header");
        };
        if header.sequence < sequence {
            let reason = format!("record {} comes again", header.sequence);
            let end = header.end().min(self.end);
            return Ok(self.damaged(end, reason, None));
        }
        if header.sequence - sequence > lost_max {
            let reason =
                format!("records {} to {} are missing", sequence + lost_max, header.sequence - 1);
            self.position = Position { offset, sequence: header.sequence, lost_max: 0 };
            return Ok(Step::Damaged(Stretch { offset, bytes: 0, reason, record: None }));
        }
        if header.end() > self.end {
            return self.pass_damage(Some(header), "the record goes on past the end of the file");
        }
        if !self.payload_holds(&header, payload)? {
            return self.pass_damage(Some(header), "the checksum of the payload does not hold");
        }
        self.position =
            Position { offset: header.end(), sequence: header.sequence + 1, lost_max: 0 };
        Ok(Step::Record(header))
    }

    /// Moves behind a stretch that reaches to `end`.
    fn damaged(&mut self, end: u64, reason: String, record: Option<RecordHeader>) -> Step {
        let offset = self.position.offset;
        let bytes = end - offset;
        self.position.offset = end;
        if let Some(record) = record {
            self.position.sequence = record.sequence + 1;
            self.position.lost_max = 0;
        } else {
            self.position.lost_max += 1 + bytes / RECORD_HEADER_BYTES;
        }
        Step::Damaged(Stretch { offset, bytes, reason, record })
    }

    /// What is not intact ends where the next header is found. A record whose own header holds is
    /// looked through as well: bytes may be missing from it.
    fn pass_damage(&mut self, record: Option<RecordHeader>, reason: &str) -> io::Result<Step> {
        let (from, to) = match record {
            None => (self.position.offset + 1, self.end),
            Some(record) => (record.offset + RECORD_HEADER_BYTES, record.end().min(self.end)),
        };
        let sequence = record.map_or(self.position.sequence, |record| record.sequence + 1);
        if let Some(found) = self.find_header(from, to, sequence)? {
            return Ok(self.damaged(found, reason.to_owned(), record));
        }
        let torn = match record {
            Some(record) => record.end() > self.end,
            None => self.is_torn()?,
        };
        let Step::Damaged(stretch) = self.damaged(to, reason.to_owned(), record) else {
            return Ok(Step::End);
        };
        Ok(if torn { Step::Torn(stretch) } else { Step::Damaged(stretch) })
    }

    /// Whether what is left is the beginning of a header, or zeros, which some file systems leave
    /// where a write did not get through.
    fn is_torn(&mut self) -> io::Result<bool> {
        let Position { offset, .. } = self.position;
        if self.end - offset < RECORD_HEADER_BYTES {
            let mut rest = [0; RECORD_HEADER_BYTES as usize];
            let rest = &mut rest[..(self.end - offset) as usize];
            self.read_at(offset, rest)?;
            let shared = rest.len().min(RECORD_MAGIC.len());
            if rest[..shared] == RECORD_MAGIC[..shared] {
                return Ok(true);
            }
        }
        let mut only_zeros = true;
        self.chunks(offset, self.end, 0, |chunk, _| {
            only_zeros = chunk.iter().all(|byte| *byte == 0);
            (!only_zeros).then_some(())
        })?;
        Ok(only_zeros)
    }

    /// The header at an offset, if one is there.
    fn header_at(&mut self, offset: u64) -> io::Result<Option<RecordHeader>> {
        let mut bytes = [0; RECORD_HEADER_BYTES as usize];
        if self.end.saturating_sub(offset) < RECORD_HEADER_BYTES
            || self.read_at(offset, &mut bytes)? < bytes.len()
        {
            return Ok(None);
        }
        Ok(RecordHeader::decode(&bytes, offset))
    }

    /// The first header that begins in a stretch and has at least this sequence.
    fn find_header(&mut self, from: u64, to: u64, sequence: u64) -> io::Result<Option<u64>> {
        let mut from = from;
        while let Some(candidate) = self.find_magic(from, to)? {
            let header = self.header_at(candidate)?;
            if header.is_some_and(|header| header.sequence >= sequence) {
                return Ok(Some(candidate));
            }
            from = candidate + 1;
        }
        Ok(None)
    }

    fn find_magic(&mut self, from: u64, to: u64) -> io::Result<Option<u64>> {
        let overlap = RECORD_MAGIC.len() - 1;
        let to = self.end.min(to + overlap as u64);
        self.chunks(from, to, overlap, |chunk, offset| {
            memchr::memmem::find(chunk, &RECORD_MAGIC).map(|place| offset + place as u64)
        })
    }

    /// Reads a stretch chunk by chunk, each beginning with the last `overlap` bytes of the one
    /// before, until something was found.
    fn chunks<T>(
        &mut self,
        from: u64,
        to: u64,
        overlap: usize,
        mut look: impl FnMut(&[u8], u64) -> Option<T>,
    ) -> io::Result<Option<T>> {
        let mut chunk = std::mem::take(&mut self.chunk);
        let mut offset = from;
        let found = loop {
            let wanted = to.saturating_sub(offset).min(CHUNK_BYTES as u64) as usize;
            chunk.resize(wanted, 0);
            let read = self.read_at(offset, &mut chunk)?;
            let found = look(&chunk[..read], offset);
            if found.is_some() || read < wanted || offset + read as u64 >= to {
                break found;
            }
            offset += (read - overlap) as u64;
        };
        self.chunk = chunk;
        Ok(found)
    }

    fn payload_holds(
        &mut self,
        header: &RecordHeader,
        payload: Option<&mut Vec<u8>>,
    ) -> io::Result<bool> {
        let offset = header.offset + RECORD_HEADER_BYTES;
        if let Some(payload) = payload {
            payload.clear();
            // No more than the file holds, also where the buffer is used again.
            payload.reserve_exact(header.payload_bytes as usize);
            payload.resize(header.payload_bytes as usize, 0);
            let read = self.read_at(offset, payload)?;
            return Ok(
                crc32fast::hash(&payload[..read]) == header.checksum && read == payload.len()
            );
        }
        let mut checksum = crc32fast::Hasher::new();
        let mut read = 0;
        self.chunks(offset, header.end(), 0, |chunk, _| {
            checksum.update(chunk);
            read += chunk.len();
            None::<()>
        })?;
        Ok(read == header.payload_bytes as usize && checksum.finalize() == header.checksum)
    }

    /// Reads until the buffer is full or the file ends; says how much.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if self.file_offset != Some(offset) {
            self.file.seek(SeekFrom::Start(offset))?;
        }
        // Not known until all went well.
        self.file_offset = None;
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.file_offset = Some(offset + filled as u64);
        Ok(filled)
    }
}
