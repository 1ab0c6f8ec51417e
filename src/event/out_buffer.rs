//! The buffer that JSON is written to: short pieces are copied as chunks of a fixed size.
//!
//! A copy whose length is known only at run time is a call, and JSON is made of many that are a few
//! bytes long. So a piece is written as a whole chunk, of which only the first bytes count, and
//! the next piece overwrites the rest. Functions take the place where they write and return the
//! one where they end: a place in memory would have to be read again after every piece.

/// What is open at a time: a name or a short value fits, with the rest of its last chunk.
const WINDOW: usize = 256;
/// What a buffer begins with: two events or three.
const BYTES_MIN: usize = 1024;

/// Bytes, with memory ahead of them that may be overwritten.
#[derive(Debug, Default)]
pub(super) struct OutBuffer {
    bytes: Vec<u8>,
    /// How many of the bytes count.
    pub(super) len: usize,
}

/// The bytes from a place on, and how many of them were written.
pub(super) struct Window<'a> {
    bytes: &'a mut [u8; WINDOW],
    pub(super) len: usize,
}

/// A short text that is always the same, in a chunk of a fixed size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<const N: usize> {
    chunk: [u8; N],
    /// All bits of each byte that counts but the first one.
    mask: [u8; N],
    len: u8,
}

impl<const N: usize> Piece<N> {
    /// The text, if it fits.
    pub(super) const fn new(text: &str) -> Option<Self> {
        let (mut chunk, mut mask, mut len) = ([0; N], [0; N], 0);
        if text.len() > N || N > u8::MAX as usize {
            return None;
        }
        while len < text.len() {
            chunk[len] = text.as_bytes()[len];
            mask[len] = if len > 0 { u8::MAX } else { 0 };
            len += 1;
        }
        Some(Self { chunk, mask, len: len as u8 })
    }

    /// How many bytes it has.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len.into()
    }

    /// Whether bytes begin with the piece, but for its first byte. A few words are compared, where
    /// a comparison of any length would be a call.
    #[inline]
    pub(super) fn begins_but_for_first(&self, bytes: &[u8; N]) -> bool {
        let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
        let words = bytes.as_chunks().0.iter().zip(self.chunk.as_chunks().0);
        let differs = words
            .zip(self.mask.as_chunks().0)
            .fold(0, |any, ((this, ours), mask)| any | (word(this) ^ word(ours)) & word(mask));
        differs == 0
    }
}

impl OutBuffer {
    /// What was written.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Takes what was written.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let Self { mut bytes, len } = std::mem::take(self);
        bytes.truncate(len);
        bytes
    }

    /// Opens the bytes from a place on.
    #[inline]
    pub(super) fn window(&mut self, at: usize) -> Window<'_> {
        if at + WINDOW > self.bytes.len() {
            self.grow(at + WINDOW);
        }
        let bytes = (&mut self.bytes[at..at + WINDOW]).try_into().expect("it is as long as that");
        Window { bytes, len: 0 }
    }

    /// Forgets the first bytes, and keeps the rest.
    pub(super) fn forget(&mut self, bytes: usize) {
        let bytes = bytes.min(self.len);
        self.bytes.copy_within(bytes..self.len, 0);
        self.len -= bytes;
    }

    /// Writes bytes at a place, however many they are, and returns where they end.
    pub(super) fn slice(&mut self, at: usize, bytes: &[u8]) -> usize {
        let end = at + bytes.len();
        if end > self.bytes.len() {
            self.grow(end);
        }
        self.bytes[at..end].copy_from_slice(bytes);
        end
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, len: usize) {
        self.bytes.resize(len.max(2 * self.bytes.len()).max(BYTES_MIN), 0);
    }
}

impl Window<'_> {
    /// Writes a chunk, and goes on after the first bytes of it.
    #[inline]
    pub(super) fn chunk<const N: usize>(&mut self, chunk: [u8; N], len: usize) {
        debug_assert!(len <= N, "{len} bytes of {N}");
        self.chunk_ahead(0, chunk);
        self.len += len;
    }

    /// Writes a chunk that many bytes ahead, and does not go on.
    #[inline]
    pub(super) fn chunk_ahead<const N: usize>(&mut self, ahead: usize, chunk: [u8; N]) {
        self.bytes[self.len + ahead..][..N].copy_from_slice(&chunk);
    }

    /// Writes one byte.
    #[inline]
    pub(super) fn byte(&mut self, byte: u8) {
        self.chunk([byte], 1);
    }

    /// Writes a piece.
    #[inline]
    pub(super) fn piece<const N: usize>(&mut self, piece: &Piece<N>) {
        self.chunk(piece.chunk, piece.len.into());
    }

    /// Writes a piece with another first byte.
    #[inline]
    pub(super) fn piece_from<const N: usize>(&mut self, first: u8, piece: &Piece<N>) {
        let start = self.len;
        self.piece(piece);
        self.bytes[start] = first;
    }
}
