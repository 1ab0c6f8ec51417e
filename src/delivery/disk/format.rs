//! The bytes of a segment: a header for the file, then records, each with a header of its own.
//!
//! All numbers are little endian; checksums are CRC-32 (IEEE).
//!
//! | at | bytes | file header, 24 bytes |
//! |---:|------:|---|
//! |  0 | 8 | `ENGQUEUE` |
//! |  8 | 4 | version of the format; this is 1 |
//! | 12 | 8 | sequence of the first record, as in the file's name |
//! | 20 | 4 | checksum of the 20 bytes before |
//!
//! The file header looks like this in every version, so that a newer one can be told.
//!
//! | at | bytes | record, 28 bytes and the payload |
//! |---:|------:|---|
//! |  0 | 4 | `ff 52 45 fe`, which no UTF-8 text contains: behind damage, it is looked for |
//! |  4 | 4 | length of the payload, at most 64 MiB |
//! |  8 | 4 | number of events in it |
//! | 12 | 8 | sequence; each is one more than that of the record before |
//! | 20 | 4 | checksum of the payload |
//! | 24 | 4 | checksum of the 24 bytes before |
//! | 28 |   | payload |

/// The version that is written.
pub(super) const VERSION: u32 = 1;
/// The length of a file header.
pub(super) const FILE_HEADER_BYTES: u64 = 24;
/// The length of a record's header.
pub(super) const RECORD_HEADER_BYTES: u64 = 28;
/// The longest payload that is written, and that is believed when read.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What every record begins with.
pub(super) const RECORD_MAGIC: [u8; 4] = [0xff, b'R', b'E', 0xfe];

const FILE_MAGIC: [u8; 8] = *b"ENGQUEUE";
/// No queue gets this far; what claims to is no record.
pub(super) const SEQUENCE_MAX: u64 = u64::MAX / 2;

/// What a file header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileHeader {
    /// It is one of ours, and its first record has this sequence.
    First(u64),
    /// It is whole, but of a version that is not known here.
    Newer(u32),
    /// It is none.
    Damaged,
}

/// The header of a record that holds, and where in its file it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// Where the record begins, in bytes from the file's start.
    pub offset: u64,
    /// Its number in the queue.
    pub sequence: u64,
    /// How many events it holds.
    pub events: u32,
    /// The length of its payload in bytes.
    pub payload_bytes: u32,
    pub(super) checksum: u32,
}

impl RecordHeader {
    /// How many bytes of the file the record takes up, its header included.
    pub fn bytes(&self) -> u64 {
        RECORD_HEADER_BYTES + u64::from(self.payload_bytes)
    }

    pub(super) fn end(&self) -> u64 {
        self.offset + self.bytes()
    }

    /// The header at `offset`, unless these bytes are none.
    pub(super) fn decode(bytes: &[u8; RECORD_HEADER_BYTES as usize], offset: u64) -> Option<Self> {
        let header = Self {
            offset,
            payload_bytes: u32_at(bytes, 4),
            events: u32_at(bytes, 8),
            sequence: u64_at(bytes, 12),
            checksum: u32_at(bytes, 20),
        };
        let holds = bytes[..4] == RECORD_MAGIC
            && u32_at(bytes, 24) == crc32fast::hash(&bytes[..24])
            && header.payload_bytes as usize <= PAYLOAD_BYTES_MAX
            && header.sequence <= SEQUENCE_MAX;
        holds.then_some(header)
    }
}

/// The header of a file whose first record has this sequence.
pub(super) fn encode_file_header(first: u64) -> [u8; FILE_HEADER_BYTES as usize] {
    let mut bytes = [0; FILE_HEADER_BYTES as usize];
    bytes[..8].copy_from_slice(&FILE_MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..20].copy_from_slice(&first.to_le_bytes());
    let checksum = crc32fast::hash(&bytes[..20]);
    bytes[20..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Reads the header of a file.
pub(super) fn decode_file_header(bytes: &[u8; FILE_HEADER_BYTES as usize]) -> FileHeader {
    if bytes[..8] != FILE_MAGIC || u32_at(bytes, 20) != crc32fast::hash(&bytes[..20]) {
        return FileHeader::Damaged;
    }
    match u32_at(bytes, 8) {
        VERSION => FileHeader::First(u64_at(bytes, 12)),
        version if version > VERSION => FileHeader::Newer(version),
        _ => FileHeader::Damaged,
    }
}

/// A record as it stands in the file, into `out`; the payload is at most [`PAYLOAD_BYTES_MAX`].
pub(super) fn encode_record(out: &mut Vec<u8>, sequence: u64, events: u32, payload: &[u8]) {
    out.clear();
    out.extend_from_slice(&RECORD_MAGIC);
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&events.to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    let checksum = crc32fast::hash(out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(payload);
}

/// The number at a place that the caller knows to be within `bytes`.
pub(super) fn u32_at(bytes: &[u8], place: usize) -> u32 {
    bytes[place..place + 4].iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// The number at a place that the caller knows to be within `bytes`.
pub(super) fn u64_at(bytes: &[u8], place: usize) -> u64 {
    u64::from(u32_at(bytes, place + 4)) << 32 | u64::from(u32_at(bytes, place))
}
