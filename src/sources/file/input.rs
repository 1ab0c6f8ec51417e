//! A file, a pipe or stdin as a stream of bytes, unpacked where it is packed.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};

use flate2::read::MultiGzDecoder;

use super::Compression;

/// The first two bytes of every gzip member (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// An opened input.
pub(super) struct Input {
    /// The unpacked bytes.
    pub(super) bytes: Box<dyn Read + Send>,
    /// Whether more may come later: what is there should not wait for it.
    pub(super) is_live: bool,
}

impl Input {
    /// Opens a file, or stdin for `-`.
    pub(super) fn open(path: &str, compression: Compression) -> io::Result<Self> {
        if path == "-" {
            return Ok(Self { bytes: unpacked(io::stdin(), compression)?, is_live: true });
        }
        let file = File::open(path)?;
        let kind = file.metadata()?;
        if kind.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::IsADirectory,
                "it is a folder; a glob such as `folder/*.ndjson` reads the files in it",
            ));
        }
        Ok(Self { bytes: unpacked(file, compression)?, is_live: !kind.is_file() })
    }

    /// Opens a file and steps over the first bytes of what is in it. What is live cannot be gone
    /// back to, and begins with what comes.
    pub(super) fn open_at(path: &str, compression: Compression, offset: u64) -> io::Result<Self> {
        let mut input = Self::open(path, compression)?;
        if input.is_live || offset == 0 {
            return Ok(input);
        }
        let there = if is_gzip(path, compression)? {
            io::copy(&mut input.bytes.by_ref().take(offset), &mut io::sink())?
        } else {
            let mut file = File::open(path)?;
            let there = file.metadata()?.len();
            file.seek(SeekFrom::Start(offset))?;
            input.bytes = Box::new(file);
            there
        };
        if there < offset {
            let message = format!("it has {there} bytes, and {offset} of them were read");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(input)
    }
}

/// Whether a file is packed with gzip.
fn is_gzip(path: &str, compression: Compression) -> io::Result<bool> {
    Ok(match compression {
        Compression::None => false,
        Compression::Gzip => true,
        Compression::Auto => {
            let mut head = Vec::with_capacity(GZIP_MAGIC.len());
            File::open(path)?.take(GZIP_MAGIC.len() as u64).read_to_end(&mut head)?;
            head == GZIP_MAGIC
        }
    })
}

fn unpacked(
    mut packed: impl Read + Send + 'static,
    compression: Compression,
) -> io::Result<Box<dyn Read + Send>> {
    Ok(match compression {
        Compression::None => Box::new(packed),
        Compression::Gzip => Box::new(MultiGzDecoder::new(BufReader::new(packed))),
        Compression::Auto => {
            let mut head = Vec::with_capacity(GZIP_MAGIC.len());
            packed.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut head)?;
            let is_gzip = head == GZIP_MAGIC;
            let all = Cursor::new(head).chain(packed);
            if is_gzip { Box::new(MultiGzDecoder::new(BufReader::new(all))) } else { Box::new(all) }
        }
    })
}
