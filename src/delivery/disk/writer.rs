//! Appends records to a segment; one that does not fit on the disk leaves no trace.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::DiskError;
use super::format::{FILE_HEADER_BYTES, encode_file_header, encode_record};

/// What a segment is written to.
pub(super) trait SegmentFile: Write {
    /// Cuts the file off, and goes on writing there.
    fn cut(&mut self, bytes: u64) -> io::Result<()>;
    /// Waits until what was written is on the disk.
    fn sync(&mut self) -> io::Result<()>;
}

/// The file is open for appending, so that it goes on at its end.
impl SegmentFile for File {
    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// The segment that grows.
pub(super) struct SegmentWriter<F> {
    path: PathBuf,
    file: F,
    /// How long the file is, up to the last whole record.
    end: u64,
    /// Something is behind that, of a record that was not written whole.
    is_torn: bool,
    is_synced: bool,
    record: Vec<u8>,
}

impl<F: SegmentFile> SegmentWriter<F> {
    /// Begins a segment in an empty file.
    pub(super) fn create(path: &Path, mut file: F, first: u64) -> Result<Self, DiskError> {
        file.write_all(&encode_file_header(first)).map_err(DiskError::io(path, "write"))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            end: FILE_HEADER_BYTES,
            is_torn: false,
            is_synced: false,
            record: Vec::new(),
        })
    }

    /// How long the file is.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Writes a record; says how many bytes that took.
    pub(super) fn append(
        &mut self,
        sequence: u64,
        events: u32,
        payload: &[u8],
    ) -> Result<u64, DiskError> {
        self.mend()?;
        encode_record(&mut self.record, sequence, events, payload);
        self.is_synced = false;
        if let Err(error) = self.file.write_all(&self.record) {
            self.is_torn = true;
            // Should this fail too, it is tried again before the next record.
            let _ = self.mend();
            return Err(DiskError::io(&self.path, "append to")(error).at(self.end));
        }
        let bytes = self.record.len() as u64;
        self.end += bytes;
        Ok(bytes)
    }

    /// Waits until all records are on the disk.
    pub(super) fn sync(&mut self) -> Result<(), DiskError> {
        if self.is_synced {
            return Ok(());
        }
        self.file.sync().map_err(DiskError::io(&self.path, "sync"))?;
        self.is_synced = true;
        Ok(())
    }

    /// Cuts off what is left of a record that was not written whole.
    pub(super) fn mend(&mut self) -> Result<(), DiskError> {
        if self.is_torn {
            let end = self.end;
            self.file
                .cut(end)
                .map_err(|error| DiskError::io(&self.path, "cut off")(error).at(end))?;
            self.is_torn = false;
        }
        Ok(())
    }
}
