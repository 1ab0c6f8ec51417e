//! Interned names: event types and field names, compared by address, encoded once.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{LazyLock, PoisonError, RwLock};

use rustc_hash::FxBuildHasher;
use serde::ser::{Serialize, Serializer};

use super::out_buffer::Piece;

/// How many different names may exist in one process; input that brings more is refused.
const NAMES_MAX: usize = 65_536;
/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// A name that exists once in the process: copying is free, comparing is one address.
#[derive(Clone, Copy)]
pub struct Key(pub(super) &'static Name);

/// The text of a [`Key`] and the form in which it stands before a JSON value.
pub(super) struct Name {
    pub(super) text: &'static str,
    /// `"text":`, escaped where JSON asks for it.
    pub(super) encoded: &'static str,
    /// `,"text":`, unless it is too long for a piece.
    pub(super) piece: Option<Piece<32>>,
}

/// The process holds as many names as it may, or this one is too long: the input it came from is
/// not what a schema describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyNames;

impl fmt::Display for TooManyNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "more than {NAMES_MAX} different field names, or one of more than {NAME_BYTES_MAX} bytes"
        )
    }
}

impl std::error::Error for TooManyNames {}

static NAMES: LazyLock<RwLock<HashMap<&'static str, Key, FxBuildHasher>>> = LazyLock::new(|| {
    RwLock::new(super::names::CONTRACT.iter().map(|key| (key.as_str(), *key)).collect())
});

impl Key {
    /// The key for a name, made if it is new. Takes a lock: callers on a hot path keep the key.
    pub fn intern(text: &str) -> Result<Self, TooManyNames> {
        if let Some(key) = NAMES.read().unwrap_or_else(PoisonError::into_inner).get(text) {
            return Ok(*key);
        }
        let mut names = NAMES.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = names.get(text) {
            return Ok(*key);
        }
        if names.len() >= NAMES_MAX || text.len() > NAME_BYTES_MAX {
            return Err(TooManyNames);
        }
        let quoted = serde_json::to_string(text).expect("a string is JSON");
        let key = Self(Box::leak(Box::new(Name {
            text: text.to_owned().leak(),
            encoded: format!("{quoted}:").leak(),
            piece: Piece::new(&format!(",{quoted}:")),
        })));
        names.insert(key.as_str(), key);
        Ok(key)
    }

    /// The name itself.
    pub fn as_str(self) -> &'static str {
        self.0.text
    }

    /// Whether the event contract has this name; others came with a pipeline or its input.
    pub fn is_of_contract(self) -> bool {
        super::names::CONTRACT.contains(&self)
    }

    /// The name as it stands before a JSON value: quoted, escaped, with the colon.
    pub fn encoded(self) -> &'static str {
        self.0.encoded
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Key {}

impl PartialEq<str> for Key {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// By name, so that an order of keys is the same in every process.
impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::ptr::from_ref(self.0).hash(state);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_the_contract_and_the_same_name_from_input_are_one_key() {
        assert_eq!(Key::intern("store_id").unwrap(), super::super::STORE_ID);
    }

    #[test]
    fn a_name_is_encoded_as_json_writes_it() {
        assert_eq!(Key::intern("a\"b\n").unwrap().encoded(), "\"a\\\"b\\n\":");
    }

    #[test]
    fn a_name_beyond_the_bound_is_refused() {
        assert_eq!(Key::intern(&"x".repeat(NAME_BYTES_MAX + 1)), Err(TooManyNames));
    }
}
