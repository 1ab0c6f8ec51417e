//! Numbers for the fields that plugins ask for: one table for the process, which is read without a
//! lock and grows no further than it may.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use engine_plugin::abi;

use crate::event::FieldPath;

/// Numbers come in blocks, so that few of them take little room.
const BLOCK: usize = 1024;
const BLOCKS: usize = 64;

type Block = Box<[OnceLock<FieldPath>]>;

/// Paths by number; 0 is none.
static PATHS: [OnceLock<Block>; BLOCKS] = [const { OnceLock::new() }; BLOCKS];

/// Numbers by path.
static NUMBERS: LazyLock<Mutex<HashMap<String, abi::Key>>> = LazyLock::new(Mutex::default);

/// The number of a path, the same whenever it is asked for. None if it is no path, or there are too
/// many of them.
pub(super) fn number(path: &str) -> Option<abi::Key> {
    let mut numbers = NUMBERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(number) = numbers.get(path) {
        return Some(*number);
    }
    let parsed: FieldPath = path.parse().ok()?;
    let number = numbers.len() + 1;
    let block = PATHS.get(number / BLOCK)?;
    let block = block.get_or_init(|| (0..BLOCK).map(|_| OnceLock::new()).collect());
    // Whoever holds the lock is the only one who writes here.
    let _ = block[number % BLOCK].set(parsed);
    numbers.insert(path.to_owned(), number as abi::Key);
    Some(number as abi::Key)
}

/// The path of a number; none if it was never given.
pub(super) fn path(number: abi::Key) -> Option<&'static FieldPath> {
    let number = number as usize;
    PATHS.get(number / BLOCK)?.get()?[number % BLOCK].get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_number_and_a_number_that_was_not_given_has_no_path() {
        let total = number("payload.total").unwrap();
        assert_eq!(number("payload.total"), Some(total));
        assert_eq!(path(total).unwrap().to_string(), "payload.total");
        assert_ne!(number("payload.a.b"), number("partition_key"));
        assert_eq!(number("total"), None, "a field of the payload is written with `payload.`");
        for unknown in [0, 65_535, u32::MAX] {
            assert!(path(unknown).is_none());
        }
    }
}
