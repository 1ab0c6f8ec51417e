//! Values on their way across, as both sides need them. What the host says is taken at its word; what
//! a plugin says is for its host to check.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_void};

use crate::abi::{self, Payload, Str};
use crate::value::Value;

/// A value as it crosses.
#[inline(always)]
#[expect(clippy::inline_always, reason = "built where it is read from, and not copied there")]
pub(crate) fn raw(value: Value<'_>) -> abi::Value {
    let (tag, u) = match value {
        Value::Absent => return abi::Value::ABSENT,
        Value::Null => (abi::NULL, Payload { i: 0 }),
        Value::Bool(value) => (abi::BOOL, Payload { i: i64::from(value) }),
        Value::I64(number) => (abi::I64, Payload { i: number }),
        Value::F64(number) => (abi::F64, Payload { f: number }),
        Value::Str(text) => (abi::STRING, Payload { s: Str::new(text) }),
        Value::Json(text) => (abi::JSON, Payload { s: Str::new(text) }),
        Value::Time(ms) => (abi::TIME, Payload { i: ms }),
    };
    abi::Value { tag, reserved: 0, u }
}

/// A value of the host.
///
/// # Safety
///
/// The host filled it in, and its text is valid UTF-8 for `'a`.
#[inline]
pub(crate) unsafe fn trusted_value<'a>(value: &abi::Value) -> Value<'a> {
    // SAFETY: the tag says which of the union holds.
    unsafe {
        match value.tag {
            abi::NULL => Value::Null,
            abi::BOOL => Value::Bool(value.u.b != 0),
            abi::I64 => Value::I64(value.u.i),
            abi::F64 => Value::F64(value.u.f),
            abi::STRING => Value::Str(trusted_text(value.u.s)),
            abi::JSON => Value::Json(trusted_text(value.u.s)),
            abi::TIME => Value::Time(value.u.i),
            _ => Value::Absent,
        }
    }
}

/// A text of the host.
///
/// # Safety
///
/// It is a text of the host: valid UTF-8 for `'a`.
#[inline]
pub(crate) unsafe fn trusted_text<'a>(text: Str) -> &'a str {
    if text.len == 0 || text.ptr.is_null() {
        return "";
    }
    // SAFETY: the caller vouches for it.
    unsafe {
        let bytes = std::slice::from_raw_parts(text.ptr.cast::<u8>(), text.len);
        std::str::from_utf8_unchecked(bytes)
    }
}

/// Appends to the `Vec<u8>` that its argument points to: an `ep_write_fn`.
///
/// # Safety
///
/// `to` points to a `Vec<u8>` that nobody else uses, and `text` is NULL or points to `len` bytes.
pub(crate) unsafe extern "C" fn append(to: *mut c_void, text: *const c_char, len: usize) {
    if text.is_null() || len == 0 || isize::try_from(len).is_err() {
        return;
    }
    // SAFETY: the caller vouches for both.
    unsafe {
        let bytes = std::slice::from_raw_parts(text.cast::<u8>(), len);
        (*to.cast::<Vec<u8>>()).extend_from_slice(bytes);
    }
}
