//! What a plugin says, checked before it is believed.

use crate::abi::{self, Str};
use crate::value::Value;

/// The text behind an `ep_str`; none if it is no text.
///
/// # Safety
///
/// Where `text.len` is not 0, `text.ptr` is NULL or points to that many bytes, which nobody
/// changes during `'a`.
pub(super) unsafe fn text<'a>(text: Str) -> Option<&'a str> {
    if text.len == 0 {
        return Some("");
    }
    if text.ptr.is_null() || isize::try_from(text.len).is_err() {
        return None;
    }
    // SAFETY: not null, and the caller vouches for the bytes.
    let bytes = unsafe { std::slice::from_raw_parts(text.ptr.cast::<u8>(), text.len) };
    std::str::from_utf8(bytes).ok()
}

/// What a plugin says, for people: what is no text in it is shown as such.
///
/// # Safety
///
/// As for [`text`].
unsafe fn message(said: Str) -> String {
    if said.len == 0 || said.ptr.is_null() || isize::try_from(said.len).is_err() {
        return String::new();
    }
    // SAFETY: as in `text`.
    let bytes = unsafe { std::slice::from_raw_parts(said.ptr.cast::<u8>(), said.len) };
    String::from_utf8_lossy(bytes).into_owned()
}

/// Messages are cut off here: a plugin does not fill the log or the dead letters by itself.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// A text on one line, without what a terminal obeys.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.trim_end().chars() {
        match character {
            '\n' | '\r' | '\t' => line.push(' '),
            control if control.is_control() => line.extend(control.escape_default()),
            other => line.push(other),
        }
    }
    line
}

/// The same, of a length that a log line can have, and on one.
///
/// # Safety
///
/// As for [`text`].
pub(super) unsafe fn short_message(mut said: Str) -> String {
    said.len = said.len.min(MESSAGE_BYTES_MAX);
    // SAFETY: fewer bytes of the same.
    one_line(&unsafe { message(said) })
}

/// A value; none if its tag or its text is none.
///
/// # Safety
///
/// The union holds what the tag says; a text is as [`text`] asks for.
pub(super) unsafe fn value<'a>(value: &abi::Value) -> Option<Value<'a>> {
    // SAFETY: the tag says which one holds, and all bits are a value of it; texts as for `text`.
    unsafe {
        Some(match value.tag {
            abi::ABSENT => Value::Absent,
            abi::NULL => Value::Null,
            abi::BOOL => Value::Bool(value.u.b != 0),
            abi::I64 => Value::I64(value.u.i),
            abi::F64 => Value::F64(value.u.f),
            abi::STRING => Value::Str(text(value.u.s)?),
            abi::JSON => Value::Json(text(value.u.s)?),
            abi::TIME => Value::Time(value.u.i),
            _ => return None,
        })
    }
}
