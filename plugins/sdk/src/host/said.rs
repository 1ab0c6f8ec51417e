//! What a plugin says, checked before it is believed.

use std::time::Duration;

use super::module::copy_sized;
use crate::abi::{self, Status, Str};
use crate::outcome::{Error, Outcome, Refusal};
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
#[inline(always)]
#[expect(clippy::inline_always, reason = "read where it is used: what is copied is waited for")]
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

/// More than a batch has events.
const REFUSALS_MAX: usize = 1 << 24;

/// What a plugin says that became of a batch.
///
/// # Safety
///
/// `given` points to an outcome of at least as many bytes as its size says.
pub(super) unsafe fn outcome(given: *const abi::Outcome) -> Outcome {
    // SAFETY: the size comes first, and as many bytes are there as it says.
    let given = unsafe { copy_sized::<abi::Outcome>(given.cast()) };
    let Some(given) = given else {
        return Outcome::refused(Error::rejected("an outcome without a size"));
    };
    // SAFETY: texts that the plugin hands over for the call.
    let why = |status: Status, reason: Str| unsafe { error(status, reason) };
    if given.status > 0 {
        // Not taken for a success: what the plugin means by it is not known.
        let reason = format!("an outcome with status {}, which means nothing there", given.status);
        return Outcome::refused(Error::Rejected(reason));
    }
    let is_taken = given.status == abi::OK;
    let mut refusals = Vec::new();
    if is_taken && !given.refusals.is_null() {
        for place in 0..given.refusals_len.min(REFUSALS_MAX) {
            // SAFETY: the plugin hands over that many refusals.
            let refusal = unsafe { given.refusals.add(place).read_unaligned() };
            let mut error = why(refusal.status, refusal.reason);
            if !matches!(error, Error::Retry(_)) {
                error = Error::Rejected(error.reason().to_owned());
            }
            refusals.push((Refusal { row: refusal.row, error }, refusal.retry_after_ms));
        }
    }
    refusals.sort_by_key(|(refusal, _)| refusal.row);
    refusals.dedup_by_key(|(refusal, _)| refusal.row);
    let wait = refusals.iter().map(|(_, wait)| *wait).max().unwrap_or(0);
    Outcome {
        error: (!is_taken).then(|| why(given.status, given.error)),
        refusals: refusals.into_iter().map(|(refusal, _)| refusal).collect(),
        retry_after: Duration::from_millis(given.retry_after_ms.max(wait).into()),
    }
}

/// # Safety
///
/// As for [`text`].
unsafe fn error(status: Status, reason: Str) -> Error {
    // SAFETY: the caller vouches for the text.
    let reason = unsafe { short_message(reason) };
    let reason = if reason.is_empty() { format!("status {status}") } else { reason };
    match status {
        abi::E_CONFIG => Error::Config(reason),
        abi::E_RETRY | abi::E_STOPPED => Error::Retry(reason),
        abi::E_FATAL | abi::E_PANIC => Error::Fatal(reason),
        _ => Error::Rejected(reason),
    }
}
