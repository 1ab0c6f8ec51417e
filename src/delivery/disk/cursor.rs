//! How far a queue was acknowledged, in a file of two slots that are written in turn.
//!
//! A write that is interrupted spoils one slot, and the other still holds: then some records are
//! delivered again, and none is lost. The slots lie in pages of their own.
//!
//! | at | bytes | slot, at 0 and at 4096 |
//! |---:|------:|---|
//! |  0 | 4 | `ENGC` |
//! |  4 | 4 | version of the format; this is 1 |
//! |  8 | 8 | generation; the slot with the higher one counts |
//! | 16 | 8 | sequence; all records before it are settled |
//! | 24 | 4 | checksum of the 24 bytes before |

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::damage::Damage;
use super::error::{DiskError, DiskErrorReason};
use super::folder;
use super::format::{SEQUENCE_MAX, VERSION, u32_at, u64_at};
use super::segment::Stretch;

const NAME: &str = "cursor";
const MAGIC: [u8; 4] = *b"ENGC";
const SLOT_BYTES: usize = 28;
const SLOT_OFFSETS: [u64; 2] = [0, 4096];

/// The file, and what stands in it.
pub(super) struct CursorFile {
    path: PathBuf,
    file: File,
    generation: u64,
    /// All records before this one are settled, as far as the file says.
    sequence: u64,
}

/// What was found on opening.
pub(super) struct CursorFound {
    /// All records before this one are settled.
    pub(super) sequence: u64,
    /// Whether no later one was: where a slot was damaged, this may be the older.
    pub(super) is_newest: bool,
    pub(super) damaged: Vec<Damage>,
}

#[derive(Clone, Copy)]
struct Slot {
    generation: u64,
    sequence: u64,
}

impl CursorFile {
    /// Opens the cursor of a folder, or makes it; `is_new` says that there are no segments either.
    /// What is damaged is put aside and written anew.
    pub(super) fn open(folder: &Path, is_new: bool) -> Result<(Self, CursorFound), DiskError> {
        let path = folder.join(NAME);
        let mut file = folder::open(&path)?;
        let length = file.metadata().map_err(DiskError::io(&path, "open"))?.len();
        let (mut slots, mut damaged) = (Vec::new(), Vec::new());
        for offset in SLOT_OFFSETS.into_iter().filter(|_| length > 0 || !is_new) {
            match read_slot(&mut file, offset).map_err(DiskError::io(&path, "read"))? {
                Ok(slot) => slots.push(slot),
                Err(Some(version)) => {
                    return Err(DiskError::new(&path, DiskErrorReason::NewerVersion(version)));
                }
                Err(None) => {
                    let bytes = length.saturating_sub(offset).min(SLOT_BYTES as u64);
                    let reason = "the note of what was acknowledged does not hold, so records may \
                                  be delivered again";
                    let reason = reason.to_owned();
                    let stretch = Stretch { offset, bytes, reason, record: None };
                    damaged.push(Damage::put_aside(&path, stretch, 0)?);
                }
            }
        }
        let newest = slots.iter().max_by_key(|slot| slot.generation).copied();
        let Slot { generation, sequence } = newest.unwrap_or(Slot { generation: 0, sequence: 1 });
        let mut cursor = Self { path, file, generation, sequence };
        if slots.len() < SLOT_OFFSETS.len() {
            // Each slot is written while the other still stands.
            for _ in SLOT_OFFSETS {
                cursor.write(sequence)?;
                cursor.sync()?;
            }
        }
        let found = CursorFound { sequence, is_newest: damaged.is_empty(), damaged };
        Ok((cursor, found))
    }

    /// All records before this one are settled, as far as the file says.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Writes how far the queue is settled; the slot that was written last is left alone.
    pub(super) fn write(&mut self, sequence: u64) -> Result<(), DiskError> {
        let generation = self.generation.saturating_add(1);
        let offset = SLOT_OFFSETS[(generation % 2) as usize];
        let mut bytes = [0; SLOT_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&VERSION.to_le_bytes());
        bytes[8..16].copy_from_slice(&generation.to_le_bytes());
        bytes[16..24].copy_from_slice(&sequence.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..24]);
        bytes[24..].copy_from_slice(&checksum.to_le_bytes());
        self.file
            .seek(SeekFrom::Start(offset))
            .and_then(|_| self.file.write_all(&bytes))
            .map_err(|error| DiskError::io(&self.path, "write")(error).at(offset))?;
        (self.generation, self.sequence) = (generation, sequence);
        Ok(())
    }

    /// Waits until what was written is on the disk.
    pub(super) fn sync(&self) -> Result<(), DiskError> {
        self.file.sync_data().map_err(DiskError::io(&self.path, "sync"))
    }
}

/// A slot; `Err` holds the version of a newer one, or nothing of a damaged one.
fn read_slot(file: &mut File, offset: u64) -> io::Result<Result<Slot, Option<u32>>> {
    let mut bytes = [0; SLOT_BYTES];
    file.seek(SeekFrom::Start(offset))?;
    match file.read_exact(&mut bytes) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(Err(None)),
        read => read?,
    }
    if bytes[..4] != MAGIC || u32_at(&bytes, 24) != crc32fast::hash(&bytes[..24]) {
        return Ok(Err(None));
    }
    let slot = Slot { generation: u64_at(&bytes, 8), sequence: u64_at(&bytes, 16) };
    Ok(match u32_at(&bytes, 4) {
        VERSION if slot.sequence <= SEQUENCE_MAX => Ok(slot),
        version if version > VERSION => Err(Some(version)),
        _ => Err(None),
    })
}
