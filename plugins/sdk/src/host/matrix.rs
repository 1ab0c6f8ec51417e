//! Many fields of many rows at once: `gather` and `scatter`, row by row.

use std::cell::Cell;

use super::BadArgument;
use super::loans::{change, read};
use super::said::value;
use super::table::{give, number, status};
use crate::abi::{self, Batch, Key, Status};
use crate::value::Value;

/// How many values a matrix of all rows and these keys has; none if it cannot be one.
fn len(batch: *const Batch, keys: usize) -> Option<usize> {
    let values = read(number(batch), |batch| batch.len())?.checked_mul(keys)?;
    (values <= isize::MAX as usize / size_of::<abi::Value>()).then_some(values)
}

pub(super) unsafe extern "C" fn gather(
    batch: *const Batch,
    keys: *const Key,
    keys_len: usize,
    out: *mut abi::Value,
) -> Status {
    let Some(values) = len(batch, keys_len) else { return abi::E_ARG };
    if values == 0 {
        return abi::OK;
    }
    if keys.is_null() || out.is_null() || !out.is_aligned() {
        return abi::E_ARG;
    }
    let done = read(number(batch), |batch| {
        for place in 0..values {
            // SAFETY: the plugin hands over `keys_len` keys and has room for rows * keys_len values.
            unsafe {
                let key = keys.add(place % keys_len).read_unaligned();
                give(out.add(place), batch.get(place / keys_len, key));
            }
        }
    });
    if done.is_some() { abi::OK } else { abi::E_ARG }
}

/// Values that were copied from where a plugin has them.
#[derive(Default)]
struct Copied {
    /// Without their texts, of which each has the end; none for what is no value.
    values: Vec<(Option<Value<'static>>, usize)>,
    texts: String,
}

impl Copied {
    fn clear(&mut self) {
        self.values.clear();
        self.texts.clear();
    }

    fn push(&mut self, value: Option<Value<'_>>) {
        if let Some(Value::Str(text) | Value::Json(text)) = value {
            self.texts.push_str(text);
        }
        let value = value.map(|value| match value {
            Value::Str(_) => Value::Str(""),
            Value::Json(_) => Value::Json(""),
            Value::Absent => Value::Absent,
            Value::Null => Value::Null,
            Value::Bool(value) => Value::Bool(value),
            Value::I64(number) => Value::I64(number),
            Value::F64(number) => Value::F64(number),
            Value::Time(ms) => Value::Time(ms),
        });
        self.values.push((value, self.texts.len()));
    }

    fn iter(&self) -> impl Iterator<Item = Option<Value<'_>>> {
        let mut begin = 0;
        self.values.iter().map(move |(value, end)| {
            let text = &self.texts[std::mem::replace(&mut begin, *end)..*end];
            value.map(|value| match value {
                Value::Str(_) => Value::Str(text),
                Value::Json(_) => Value::Json(text),
                other => other,
            })
        })
    }
}

thread_local! {
    static COPIED: Cell<Copied> =
        const { Cell::new(Copied { values: Vec::new(), texts: String::new() }) };
}

pub(super) unsafe extern "C" fn scatter(
    batch: *mut Batch,
    keys: *const Key,
    keys_len: usize,
    given: *const abi::Value,
) -> Status {
    let Some(values) = len(batch, keys_len) else { return abi::E_ARG };
    if values == 0 {
        return abi::OK;
    }
    if keys.is_null() || given.is_null() || !given.is_aligned() {
        return abi::E_ARG;
    }
    // All of them are copied before the first change: their texts may be those that `gather` gave,
    // which a change frees.
    let mut copied = COPIED.try_with(Cell::take).unwrap_or_default();
    copied.clear();
    for place in 0..values {
        // SAFETY: the plugin hands over rows * keys_len values, whose texts hold until the batch is
        // changed.
        copied.push(unsafe { value(&*given.add(place)) });
    }
    let mut all = Ok(());
    let done = change(number(batch), |batch| {
        for (place, value) in copied.iter().enumerate() {
            // SAFETY: the plugin hands over `keys_len` keys.
            let key = unsafe { keys.add(place % keys_len).read_unaligned() };
            let set =
                value.ok_or(BadArgument).and_then(|value| batch.set(place / keys_len, key, value));
            all = all.and(set);
        }
    });
    let _ = COPIED.try_with(|kept| kept.set(copied));
    status(done.map(|()| all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Lent;
    use crate::host::loans::lend;
    use crate::host::table::as_batch;

    /// Two columns of texts; what is set is written where the text before stood.
    struct Texts(Vec<[String; 2]>);

    impl Lent for Texts {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn get(&self, row: usize, key: Key) -> Value<'_> {
            Value::Str(&self.0[row][key as usize])
        }

        fn write_json(&self, _: usize, _: &mut Vec<u8>) -> Result<(), BadArgument> {
            Err(BadArgument)
        }

        fn set(&mut self, row: usize, key: Key, value: Value<'_>) -> Result<(), BadArgument> {
            let text = value.as_str().ok_or(BadArgument)?;
            let place = &mut self.0[row][key as usize];
            place.clear();
            place.push_str(text);
            Ok(())
        }
    }

    /// Gathers both columns of a batch, and scatters what becomes of them.
    fn scattered(rows: &[[&str; 2]], change: impl Fn(&mut [abi::Value])) -> (Status, Texts) {
        let mut texts = Texts(rows.iter().map(|row| row.map(str::to_owned)).collect());
        let keys = [0, 1];
        let status = lend([&mut texts], |[number]| {
            let mut values = vec![abi::Value::ABSENT; 2 * rows.len()];
            // SAFETY: as many keys as it is told, and room for as many values for each row.
            let status = unsafe { gather(as_batch(number), keys.as_ptr(), 2, values.as_mut_ptr()) };
            assert_eq!(status, abi::OK);
            change(&mut values);
            // SAFETY: as above, of values that were gathered from the same batch.
            unsafe { scatter(as_batch(number), keys.as_ptr(), 2, values.as_ptr()) }
        });
        (status, texts)
    }

    #[test]
    fn texts_that_were_gathered_are_scattered_whole_over_each_other() {
        let long = ["A", "B"].map(|letter| letter.repeat(70));
        let rows = [["a", "b"], [long[0].as_str(), &long[1]], [&long[0], "b"], ["a", &long[1]]];
        let swap = |values: &mut [abi::Value]| values.chunks_mut(2).for_each(|row| row.swap(0, 1));
        let (status, swapped) = scattered(&rows, swap);
        assert_eq!(status, abi::OK);
        let wanted = rows.map(|[first, second]| [second, first].map(str::to_owned));
        assert_eq!(swapped.0, wanted);
        // Rows, too: what was the last text becomes the first.
        let (_, turned) = scattered(&rows, <[abi::Value]>::reverse);
        let wanted: Vec<_> = wanted.into_iter().rev().collect();
        assert_eq!(turned.0, wanted);
    }

    #[test]
    fn what_is_no_value_is_told_and_the_others_are_set() {
        let (status, texts) = scattered(&[["a", "b"], ["c", "d"]], |values| {
            values[1].tag = 4711;
            values.swap(0, 3);
        });
        assert_eq!(status, abi::E_ARG);
        assert_eq!(texts.0, [["d", "b"], ["c", "a"]]);
    }
}
