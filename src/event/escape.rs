//! Which bytes must not stand in a JSON string as they are, found while the text is copied.

use super::out_buffer::Window;

/// 1 in each byte of a word.
const EACH: u64 = 0x0101_0101_0101_0101;

/// Whether a byte must not stand in a JSON string as it is.
pub(super) fn must_be_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Whether that is true of one of eight bytes.
#[inline]
fn one_must_be_escaped(word: u64) -> bool {
    let is = |byte: u8| (word ^ (u64::from(byte) * EACH)).wrapping_sub(EACH);
    let below = |byte: u8| word.wrapping_sub(u64::from(byte) * EACH);
    // A byte that is below what is taken from it borrows, so that its upper bit is set which was
    // not before (Warren, "Hacker's Delight", 6-1).
    (below(0x20) | is(b'"') | is(b'\\')) & !word & (0x80 * EACH) != 0
}

/// Whether a text of any length may stand in a JSON string as it is.
pub(super) fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks();
    !words.iter().any(|word| one_must_be_escaped(u64::from_le_bytes(*word)))
        && !rest.iter().any(|byte| must_be_escaped(*byte))
}

impl Window<'_> {
    /// Writes a text of up to 32 bytes if nothing in it must be escaped, and returns whether it
    /// did.
    #[inline]
    pub(super) fn plain(&mut self, text: &[u8]) -> bool {
        let len = text.len();
        // The words from the start and those from the end overlap.
        let escape = match len {
            0..8 => self.short(text),
            8..=16 => self.word(text, 0) | self.word(text, len - 8),
            17..=32 => {
                (self.word(text, 0) | self.word(text, 8))
                    | (self.word(text, len - 16) | self.word(text, len - 8))
            }
            _ => true,
        };
        self.len += len;
        !escape
    }

    /// Copies eight bytes of a text to their place, and returns whether one must be escaped.
    #[inline]
    fn word(&mut self, text: &[u8], place: usize) -> bool {
        let mut word = [0; 8];
        word.copy_from_slice(&text[place..place + 8]);
        self.chunk_ahead(place, word);
        one_must_be_escaped(u64::from_le_bytes(word))
    }

    /// The same for a text of less than eight bytes.
    #[inline]
    fn short(&mut self, text: &[u8]) -> bool {
        let len = text.len();
        let at = |place: usize, part: u64| part << (8 * place);
        let word = match (text.first_chunk(), text.last_chunk()) {
            (Some(first), Some(last)) => {
                let [first, last] = [first, last].map(|four| u32::from_le_bytes(*four).into());
                at(0, first) | at(len - 4, last)
            }
            // The first of up to three bytes, the middle one and the last may be the same.
            _ if len > 0 => {
                let byte = |place: usize| at(place, text[place].into());
                byte(0) | byte(len / 2) | byte(len - 1)
            }
            _ => 0,
        };
        self.chunk_ahead(0, word.to_le_bytes());
        // What follows the text is made spaces, which pass.
        one_must_be_escaped(word | at(len, u64::from(b' ') * EACH))
    }
}
