//! Text of an event: short strings inline, and ids kept as numbers until they are written.

use std::fmt;
use std::hash::{Hash, Hasher};

use compact_str::CompactString;
use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::Prefix;

/// A string, or an id that will be one when it is written. Two texts are equal when they read the
/// same, however they are kept.
#[derive(Clone)]
pub enum Text {
    /// Any string; up to 24 bytes without an allocation.
    Plain(CompactString),
    /// `<prefix><number>`, such as `store_12`.
    Numbered {
        /// What stands before the number, with its separator.
        prefix: Prefix,
        /// The number, written in decimal.
        number: u64,
    },
    /// `<prefix><second>_<sequence>`, such as `TR_1704067200_00001`.
    Stamped {
        /// What stands before the second, with its separator.
        prefix: Prefix,
        /// Seconds since 1970.
        second: u32,
        /// Written with at least five digits.
        sequence: u64,
    },
}

impl Text {
    /// A text that lives in the program; no copy is made.
    pub const fn from_static(text: &'static str) -> Self {
        Self::Plain(CompactString::const_new(text))
    }

    /// `<prefix><number>`.
    pub fn numbered(prefix: Prefix, number: u64) -> Self {
        Self::Numbered { prefix, number }
    }

    /// `<prefix><second>_<sequence>`, the form of every id that carries its time.
    pub fn stamped(prefix: Prefix, second: i64, sequence: u64) -> Self {
        match u32::try_from(second) {
            Ok(second) => Self::Stamped { prefix, second, sequence },
            Err(_) => Self::Plain(compact_str::format_compact!(
                "{}{second}_{sequence:05}",
                prefix.as_str()
            )),
        }
    }

    /// The id that reads exactly like `text`, if it is one.
    pub(super) fn parse_stamped(text: &str) -> Option<Self> {
        let end = memchr::memrchr(b'_', text.as_bytes())?;
        let start = memchr::memrchr(b'_', &text.as_bytes()[..end])? + 1;
        let number = |digits: &str, padded_to: usize| {
            let is_canonical =
                digits.len() == padded_to || digits.len() > padded_to && !digits.starts_with('0');
            is_canonical.then(|| decimal(digits.as_bytes())).flatten()
        };
        Some(Self::Stamped {
            second: number(&text[start..end], 1)?.try_into().ok()?,
            sequence: number(&text[end + 1..], 5)?,
            prefix: Prefix::find(&text[..start])?,
        })
    }

    /// The parts of an id that carries its time, also where it is kept as a string.
    pub fn as_stamped(&self) -> Option<(Prefix, u32, u64)> {
        match self {
            Self::Stamped { prefix, second, sequence } => Some((*prefix, *second, *sequence)),
            Self::Plain(text) => match Self::parse_stamped(text)? {
                Self::Stamped { prefix, second, sequence } => Some((prefix, second, sequence)),
                _ => None,
            },
            Self::Numbered { .. } => None,
        }
    }

    /// Calls `read` with the text, rendered on the stack where it is an id.
    pub fn with_str<R>(&self, read: impl FnOnce(&str) -> R) -> R {
        if let Self::Plain(text) = self {
            return read(text);
        }
        // The longest prefix, ten digits, a dash and twenty digits fit.
        let mut buffer = [0; 64];
        let mut end = 0;
        self.parts(|part| {
            buffer[end..end + part.len()].copy_from_slice(part);
            end += part.len();
        });
        read(std::str::from_utf8(&buffer[..end]).expect("a prefix and digits are UTF-8"))
    }

    /// The text as a string of its own; inline when short.
    pub fn to_compact(&self) -> CompactString {
        self.with_str(|text| CompactString::new(text))
    }

    /// How many bytes a plain text has; an id has a few.
    pub fn plain_len(&self) -> Option<usize> {
        match self {
            Self::Plain(text) => Some(text.len()),
            Self::Numbered { .. } | Self::Stamped { .. } => None,
        }
    }

    /// The bytes of the text, piece by piece, unescaped.
    fn parts(&self, mut part: impl FnMut(&[u8])) {
        match self {
            Self::Plain(text) => part(text.as_bytes()),
            Self::Numbered { prefix, number } => {
                part(prefix.as_str().as_bytes());
                part(itoa::Buffer::new().format(*number).as_bytes());
            }
            Self::Stamped { prefix, second, sequence } => {
                part(prefix.as_str().as_bytes());
                part(itoa::Buffer::new().format(*second).as_bytes());
                let mut digits = itoa::Buffer::new();
                let digits = digits.format(*sequence).as_bytes();
                part(&b"_00000"[..=5_usize.saturating_sub(digits.len())]);
                part(digits);
            }
        }
    }
}

/// The number that these digits are, if they are digits, and it is one of 64 bits.
fn decimal(digits: &[u8]) -> Option<u64> {
    let (head, eights) = digits.as_rchunks();
    let head = head.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
    });
    eights.iter().try_fold(head?, |number: u64, eight| {
        number.checked_mul(100_000_000)?.checked_add(eight_digits(*eight)?)
    })
}

/// The number that eight digits are: pairs of them at once, then fours, then all.
fn eight_digits(digits: [u8; 8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let ones = u64::from_le_bytes(digits) & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = (ones.wrapping_mul(10 * 0x100 + 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100 * 0x1_0000 + 1) >> 16) & 0x0000_ffff_0000_ffff;
    Some(fours.wrapping_mul(10_000 * 0x1_0000_0000 + 1) >> 32)
}

impl Default for Text {
    fn default() -> Self {
        Self::from_static("")
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(one), Self::Plain(two)) => one == two,
            // Prefixes may themselves end in digits, so equal parts prove equality and
            // different parts prove nothing.
            (
                Self::Stamped { prefix, second, sequence },
                Self::Stamped { prefix: p, second: s, sequence: q },
            ) if prefix == p => second == s && sequence == q,
            (Self::Numbered { prefix, number }, Self::Numbered { prefix: p, number: n })
                if prefix == p =>
            {
                number == n
            }
            _ => self.with_str(|one| other.with_str(|two| one == two)),
        }
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.with_str(|text| text == other)
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.with_str(|text| text.hash(state));
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::Plain(CompactString::new(text))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::Plain(CompactString::from(text))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_str(|text| f.pad(text))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_str(|text| fmt::Debug::fmt(text, f))
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_str(|text| serializer.serialize_str(text))
    }
}

/// What reads like an id is one again.
impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text::parse_stamped(text).unwrap_or_else(|| Text::from(text)))
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{STORE, TR};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_sequence_is_padded_to_five_digits_and_no_further() {
        let id = |sequence| Text::stamped(TR, 1_704_067_200, sequence).to_string();
        assert_eq!(id(1), "TR_1704067200_00001");
        assert_eq!(id(1_234_567), "TR_1704067200_1234567");
    }

    #[test]
    fn texts_that_read_the_same_are_equal_and_hash_the_same() {
        use std::hash::BuildHasher;
        let late = Text::numbered(STORE, 12);
        let early = Text::from("store_12");
        assert_eq!(late, early);
        let hasher = rustc_hash::FxBuildHasher;
        assert_eq!(hasher.hash_one(&late), hasher.hash_one(&early));
        assert_ne!(late, Text::numbered(STORE, 13));
    }

    #[test]
    fn an_id_from_before_1970_or_after_2106_is_still_written() {
        assert_eq!(Text::stamped(TR, -1, 7).to_string(), "TR_-1_00007");
    }

    #[test]
    fn only_what_reads_back_the_same_is_taken_for_an_id() {
        for text in ["TR_1704067200_00001", "TR_0_123456", "TR_4294967295_18446744073709551615"] {
            let id = Text::parse_stamped(text).unwrap();
            assert_eq!(id.to_string(), text);
            assert_eq!(id.as_stamped(), Text::from(text).as_stamped());
        }
        for text in ["TR_01_00001", "TR_1_000001", "TR_1_0001", "XX_1_00001", "TR_1_", "TR__00001"]
        {
            assert!(Text::parse_stamped(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn digits_are_the_number_that_they_read_as(digits in "[0-9]{0,21}|[0-9/:a]{1,20}") {
            let expected = digits.parse().ok().or_else(|| digits.is_empty().then_some(0));
            prop_assert_eq!(decimal(digits.as_bytes()), expected);
        }
    }

    #[test]
    fn a_text_that_was_written_reads_the_same_again() {
        for text in [Text::stamped(TR, 7, 8), Text::numbered(STORE, 12), Text::from("é\"\n")] {
            let json = serde_json::to_string(&text).unwrap();
            assert_eq!(serde_json::from_str::<Text>(&json).unwrap(), text);
        }
        assert!(serde_json::from_str::<Text>("7").is_err());
    }

    #[test]
    fn a_text_takes_three_words() {
        assert_eq!(size_of::<Text>(), 24);
        assert_eq!(size_of::<Option<Text>>(), 24);
    }
}
