//! What is held of any input. `cargo fuzz` searches for one that breaks it, and `tests/it/fuzz.rs`
//! tries some thousands on every change.

use std::io::Cursor;
use std::sync::LazyLock;

use engine::component::Component;
use engine::delivery::disk::{SegmentReader, Step};
use engine::event::{JsonReader, JsonWriter};
use engine::plan::Plan;
use engine::registry::built_in;
use engine::spec::{Document, Environment};

const FILE_HEADER_BYTES: usize = 24;
const RECORD_HEADER_BYTES: usize = 28;

/// Bytes as a segment of a disk buffer: each is part of a record or of what is reported, and no
/// payload is believed to be longer than the file. Where the first byte is odd, the checksums of
/// the headers are made right, to get behind them.
pub fn segment_reader(bytes: &[u8]) {
    let Some((mode, bytes)) = bytes.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if mode % 2 == 1 {
        mend_checksums(&mut bytes);
    }
    let end = bytes.len() as u64;
    let mut reader = SegmentReader::new(Cursor::new(&bytes), end, 1);
    let mut checker = SegmentReader::new(Cursor::new(&bytes), end, 1);
    let (mut offset, mut sequence, mut payload) = (FILE_HEADER_BYTES as u64, 0, Vec::new());
    loop {
        let step = reader.next(Some(&mut payload)).expect("memory can be read");
        assert_eq!(
            step,
            checker.next(None).expect("memory can be read"),
            "with and without payload"
        );
        assert!(payload.capacity() <= bytes.len().max(8), "{} bytes", payload.capacity());
        match step {
            Step::Record(record) => {
                assert_eq!(record.offset, offset);
                assert!(record.sequence > sequence, "{} after {sequence}", record.sequence);
                let start = offset as usize + RECORD_HEADER_BYTES;
                assert_eq!(payload, bytes[start..start + record.payload_bytes as usize]);
                sequence = record.sequence;
                offset += record.bytes();
            }
            Step::Damaged(stretch) | Step::Torn(stretch) => {
                assert_eq!(stretch.offset, offset);
                offset += stretch.bytes;
            }
            Step::End => break,
        }
    }
    assert_eq!(offset, end.max(FILE_HEADER_BYTES as u64));
}

fn mend_checksums(bytes: &mut [u8]) {
    for place in 0..bytes.len().saturating_sub(RECORD_HEADER_BYTES - 1) {
        let (header, rest) = bytes[place..].split_at_mut(RECORD_HEADER_BYTES);
        if header[..4] != [0xff, b'R', b'E', 0xfe] {
            continue;
        }
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        // A zero keeps the payload's checksum as it is.
        if let Some(payload) = rest.get(..length).filter(|_| header[20] != 0) {
            header[20..24].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
        }
        let checksum = crc32fast::hash(&header[..24]);
        header[24..].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// Text as a spec: it is read, planned and rendered, or its problems are told.
pub fn spec_reader(bytes: &[u8]) {
    static COMPONENTS: LazyLock<Vec<Component>> = LazyLock::new(built_in);
    let problems = match Document::parse("fuzz.yaml", bytes, "/nowhere", &Environment::default()) {
        Err(problems) => problems,
        Ok(document) => {
            document.hash();
            document.render_effective();
            match Plan::new(document, &COMPONENTS) {
                Err(problems) => problems,
                Ok((_, warnings)) => warnings,
            }
        }
    };
    problems.render(false);
}

/// Bytes as a line of JSON: an event that is read is written and read again as the same event.
pub fn json_event(bytes: &[u8]) {
    let mut reader = JsonReader::new();
    // The second time, the reader has met the names.
    let (first, event) = (reader.event(bytes), reader.event(bytes));
    assert_eq!(first, event);
    let _ = reader.object(bytes);
    let Ok(event) = event else { return };
    let mut writer = JsonWriter::default();
    writer.line(&event);
    let written = writer.as_bytes().to_vec();
    let again = reader.event(&written);
    assert_eq!(again.as_ref(), Ok(&event), "{}", String::from_utf8_lossy(&written));
    let mut writer = JsonWriter::default();
    writer.line(&event);
    assert_eq!(writer.as_bytes(), written);
}
