//! Numbers for the fields that plugins ask for: one table for the process, which is read without a
//! lock and grows no further than it may.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use engine_plugin::abi;

use crate::event::{FieldPath, Key};

/// Numbers come in blocks, so that few of them take little room.
const BLOCK: usize = 1024;
const BLOCKS: usize = 64;

type Block = Box<[OnceLock<Field>]>;

/// What a number stands for.
pub(super) struct Field {
    /// Where it is.
    pub(super) path: FieldPath,
    /// Its name, where it is a field right in the payload: most are, and are found by that alone.
    pub(super) name: Option<Key>,
}

/// Fields by number; 0 is none.
static FIELDS: [OnceLock<Block>; BLOCKS] = [const { OnceLock::new() }; BLOCKS];

/// Numbers by path.
static NUMBERS: LazyLock<Mutex<HashMap<String, abi::Key>>> = LazyLock::new(Mutex::default);

/// The number of a path, the same whenever it is asked for. None if it is no path, or there are too
/// many of them.
pub(super) fn number(path: &str) -> Option<abi::Key> {
    let mut numbers = NUMBERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(number) = numbers.get(path) {
        return Some(*number);
    }
    let field: FieldPath = path.parse().ok()?;
    let number = numbers.len() + 1;
    let block = FIELDS.get(number / BLOCK)?;
    let block = block.get_or_init(|| (0..BLOCK).map(|_| OnceLock::new()).collect());
    // Whoever holds the lock is the only one who writes here.
    let _ = block[number % BLOCK].set(Field { name: field.payload_name(), path: field });
    numbers.insert(path.to_owned(), number as abi::Key);
    Some(number as abi::Key)
}

/// The field of a number; none if it was never given.
#[inline]
pub(super) fn field(number: abi::Key) -> Option<&'static Field> {
    let number = number as usize;
    FIELDS.get(number / BLOCK)?.get()?[number % BLOCK].get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_number_and_a_number_that_was_not_given_has_no_path() {
        let total = number("payload.total").unwrap();
        assert_eq!(number("payload.total"), Some(total));
        assert_eq!(field(total).unwrap().path.to_string(), "payload.total");
        assert_eq!(field(total).unwrap().name, Some(crate::event::TOTAL));
        assert_eq!(field(number("payload.a.b").unwrap()).unwrap().name, None);
        assert_ne!(number("payload.a.b"), number("partition_key"));
        assert_eq!(number("total"), None, "a field of the payload is written with `payload.`");
        for unknown in [0, 65_535, u32::MAX] {
            assert!(field(unknown).is_none());
        }
    }
}
