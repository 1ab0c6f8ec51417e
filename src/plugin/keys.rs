//! Numbers for the fields that plugins ask for: one table for the process, which is read without a
//! lock and grows no further than it may.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
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

/// How many numbers one stage may have made: what is there is for all of them.
pub(super) const PER_STAGE: usize = 4096;

/// Why there is no number for a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// It is no path, or the process has too many names.
    NoPath,
    /// The stage has had as many made as it may.
    TooMany,
}

/// The number of a path, the same whenever it is asked for; `made` counts those that were made for
/// who asks.
pub(super) fn number(path: &str, made: &AtomicUsize) -> Result<abi::Key, NoKey> {
    let mut numbers = NUMBERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(number) = numbers.get(path) {
        return Ok(*number);
    }
    if made.load(Relaxed) >= PER_STAGE {
        return Err(NoKey::TooMany);
    }
    let field: FieldPath = path.parse().map_err(|_| NoKey::NoPath)?;
    let number = numbers.len() + 1;
    let block = FIELDS.get(number / BLOCK).ok_or(NoKey::NoPath)?;
    let block = block.get_or_init(|| (0..BLOCK).map(|_| OnceLock::new()).collect());
    // Whoever holds the lock is the only one who writes here.
    let _ = block[number % BLOCK].set(Field { name: field.payload_name(), path: field });
    numbers.insert(path.to_owned(), number as abi::Key);
    made.fetch_add(1, Relaxed);
    Ok(number as abi::Key)
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
        let number = |path| number(path, &AtomicUsize::new(0));
        let total = number("payload.total").unwrap();
        assert_eq!(number("payload.total"), Ok(total));
        assert_eq!(field(total).unwrap().path.to_string(), "payload.total");
        assert_eq!(field(total).unwrap().name, Some(crate::event::TOTAL));
        assert_eq!(field(number("payload.a.b").unwrap()).unwrap().name, None);
        assert_ne!(number("payload.a.b"), number("partition_key"));
        let refused = number("total");
        assert_eq!(
            refused,
            Err(NoKey::NoPath),
            "a field of the payload is written with `payload.`"
        );
        for unknown in [0, 65_535, u32::MAX] {
            assert!(field(unknown).is_none());
        }
    }
    #[test]
    fn a_stage_has_no_more_numbers_made_than_it_may() {
        let (made, other) = (AtomicUsize::new(PER_STAGE - 1), AtomicUsize::new(0));
        let last = number("payload.the_last_one", &made).unwrap();
        for _ in 0..2 {
            assert_eq!(number("payload.one_too_many", &made), Err(NoKey::TooMany));
        }
        assert_eq!(number("payload.the_last_one", &made), Ok(last), "it is there already");
        number("payload.one_too_many", &other).unwrap();
        number("payload.one_too_many", &made).unwrap();
        assert_eq!(made.load(Relaxed), PER_STAGE);
    }
}
