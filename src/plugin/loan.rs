//! Events as plugins see them, for the length of a call. Fields are found where they stand; what has
//! to be written out first, such as an id, lives in an arena until the call is over.

mod new_events;
mod rows;

use std::any::Any;
use std::cell::RefCell;
use std::sync::Arc;

use bumpalo::Bump;
use elsa::sync::FrozenMap;
use engine_plugin::host::{BadArgument, Lent};
use engine_plugin::{Value as Seen, abi};

use super::keys;
use crate::event::{
    Batch, Event, FieldPath, JsonReader, JsonWriter, Look, Text, Timestamp, Undo, Value,
};

pub(super) use new_events::NewEvents;
pub(super) use rows::{Room, RowsLoan};

/// A field as a plugin sees it; [`Seen::Absent`] where there is no such number.
#[inline]
fn seen<'a>(event: &'a Event, key: abi::Key, texts: &'a Bump) -> Seen<'a> {
    let Some(field) = keys::field(key) else { return Seen::Absent };
    if let Some(name) = field.name {
        return event.payload.get(name).map_or(Seen::Absent, |value| seen_value(value, texts));
    }
    match field.path.look(event) {
        Look::Absent => Seen::Absent,
        Look::Text(text) => seen_text(text, texts),
        Look::Type(key) => Seen::Str(key.as_str()),
        Look::Time(time) => Seen::Time(time.as_millis()),
        Look::Value(value) => seen_value(value, texts),
    }
}

#[inline]
fn seen_value<'a>(value: &'a Value, texts: &'a Bump) -> Seen<'a> {
    match value {
        Value::Null => Seen::Null,
        Value::Bool(value) => Seen::Bool(*value),
        Value::Int(number) => Seen::I64(*number),
        Value::Float(number) => Seen::F64(*number),
        Value::Text(text) => seen_text(text, texts),
        Value::Time(time) => Seen::Str(bumpalo::format!(in texts, "{}", time).into_bump_str()),
        Value::List(_) | Value::Map(_) => {
            let mut json = JsonWriter::new();
            json.value(value);
            let json = texts.alloc_slice_copy(json.as_bytes());
            std::str::from_utf8(json).map_or(Seen::Absent, Seen::Json)
        }
    }
}

fn seen_text<'a>(text: &'a Text, texts: &'a Bump) -> Seen<'a> {
    Seen::Str(match text {
        Text::Plain(text) => text,
        id => id.with_str(|id| texts.alloc_str(id)),
    })
}

/// A value as an event holds it; none where the field is to be taken out.
fn held(value: Seen<'_>, json: &mut JsonReader) -> Result<Option<Value>, BadArgument> {
    Ok(Some(match value {
        Seen::Absent => return Ok(None),
        Seen::Null => Value::Null,
        Seen::Bool(value) => Value::Bool(value),
        Seen::I64(number) => Value::Int(number),
        Seen::F64(number) => Value::Float(number),
        Seen::Str(text) => Value::Text(Text::from(text)),
        Seen::Time(ms) => Value::Time(Timestamp::from_millis(ms)),
        Seen::Json(text) => read_json(text, json).ok_or(BadArgument)?,
    }))
}

/// Any JSON value, by the reader of events.
fn read_json(text: &str, json: &mut JsonReader) -> Option<Value> {
    // As a value by itself first, so that it is one and no more.
    serde_json::from_str::<&serde_json::value::RawValue>(text).ok()?;
    let mut fields = json.object(format!(r#"{{"payload":{text}}}"#).as_bytes()).ok()?;
    fields.remove(crate::event::PAYLOAD)
}

/// Sets a field, or takes it out; what takes that back, if anything was changed.
fn set(
    event: &mut Event,
    path: &FieldPath,
    value: Seen<'_>,
    json: &mut JsonReader,
) -> Result<Option<Undo>, BadArgument> {
    match held(value, json)? {
        Some(value) => path.set(event, value).map(Some),
        None => path.remove(event),
    }
    .map_err(|_| BadArgument)
}

/// Whether a value is set as it is, right where it belongs.
fn is_plain(value: Seen<'_>) -> bool {
    matches!(value, Seen::Bool(_) | Seen::I64(_) | Seen::F64(_) | Seen::Str(_))
}

/// Puts a plain value where null is. Each kind is written where it stays: a value that is made
/// elsewhere and moved costs more than making it.
#[inline]
fn fill(place: &mut Value, value: Seen<'_>) {
    let before = match value {
        Seen::Bool(value) => std::mem::replace(place, Value::Bool(value)),
        Seen::I64(number) => std::mem::replace(place, Value::Int(number)),
        Seen::F64(number) => std::mem::replace(place, Value::Float(number)),
        Seen::Str(text) => std::mem::replace(place, Value::Text(Text::from(text))),
        _ => return,
    };
    // It was null, which has nothing to drop.
    std::mem::forget(before);
}

fn write(event: Option<&Event>, to: &mut Vec<u8>) -> Result<(), BadArgument> {
    let mut json = JsonWriter::new();
    json.event(event.ok_or(BadArgument)?);
    to.extend_from_slice(json.as_bytes());
    Ok(())
}

/// Why a row could not be processed, in the plugin's words.
fn failed(reason: &str) -> String {
    if reason.is_empty() { "it gives no reason" } else { reason }.to_owned()
}

/// One event that a correlator sees.
pub(super) struct EventLoan<'a> {
    event: &'a Event,
    texts: &'a Bump,
    /// It is dropped on purpose.
    pub(super) drops: bool,
    /// Why it could not be processed.
    pub(super) failed: Option<String>,
}

impl<'a> EventLoan<'a> {
    pub(super) fn new(event: &'a Event, texts: &'a mut Bump) -> Self {
        texts.reset();
        Self { event, texts, drops: false, failed: None }
    }

    fn row(&self, row: usize) -> Option<&Event> {
        (row == 0).then_some(self.event)
    }
}

impl Lent for EventLoan<'_> {
    fn len(&self) -> usize {
        1
    }

    fn get(&self, row: usize, key: abi::Key) -> Seen<'_> {
        self.row(row).map_or(Seen::Absent, |event| seen(event, key, self.texts))
    }

    fn write_json(&self, row: usize, to: &mut Vec<u8>) -> Result<(), BadArgument> {
        write(self.row(row), to)
    }

    fn drop_row(&mut self, row: usize) -> Result<(), BadArgument> {
        self.row(row).ok_or(BadArgument)?;
        self.drops = true;
        Ok(())
    }

    fn fail_row(&mut self, row: usize, reason: &str) -> Result<(), BadArgument> {
        self.row(row).ok_or(BadArgument)?;
        self.failed = Some(failed(reason));
        Ok(())
    }

    fn event(&self, row: usize) -> Option<&dyn Any> {
        self.row(row).map(|event| event as &dyn Any)
    }
}

/// A batch that a sink writes.
pub(super) struct BatchLoan<'a> {
    batch: &'a Batch,
    texts: Bump,
    json: RefCell<JsonWriter>,
}

impl<'a> BatchLoan<'a> {
    pub(super) fn new(batch: &'a Batch) -> Self {
        Self { batch, texts: Bump::new(), json: RefCell::default() }
    }

    fn row(&self, row: usize) -> Option<&Event> {
        self.batch.events().get(row)
    }
}

impl Lent for BatchLoan<'_> {
    fn len(&self) -> usize {
        self.batch.len()
    }

    fn get(&self, row: usize, key: abi::Key) -> Seen<'_> {
        self.row(row).map_or(Seen::Absent, |event| seen(event, key, &self.texts))
    }

    fn write_json(&self, row: usize, to: &mut Vec<u8>) -> Result<(), BadArgument> {
        let event = self.row(row).ok_or(BadArgument)?;
        let mut json = self.json.borrow_mut();
        json.clear();
        json.event(event);
        to.extend_from_slice(json.as_bytes());
        Ok(())
    }

    fn event(&self, row: usize) -> Option<&dyn Any> {
        self.row(row).map(|event| event as &dyn Any)
    }

    fn retain(&self) -> Option<Arc<dyn Lent + Send + Sync>> {
        Some(Arc::new(Kept { batch: self.batch.without_tokens(), texts: FrozenMap::new() }))
    }
}

/// A batch that a sink keeps: read by any thread, until it is released. It pins no source.
struct Kept {
    batch: Batch,
    /// What had to be written out, by row and key.
    texts: FrozenMap<(usize, abi::Key), Box<str>>,
}

impl Lent for Kept {
    fn len(&self) -> usize {
        self.batch.len()
    }

    fn get(&self, row: usize, key: abi::Key) -> Seen<'_> {
        let Some(event) = self.batch.events().get(row) else { return Seen::Absent };
        let arena = Bump::new();
        let keep = |text: &str| match self.texts.get(&(row, key)) {
            Some(kept) => kept,
            None => self.texts.insert((row, key), text.into()),
        };
        match seen(event, key, &arena) {
            Seen::Str(text) => Seen::Str(keep(text)),
            Seen::Json(text) => Seen::Json(keep(text)),
            Seen::Absent => Seen::Absent,
            Seen::Null => Seen::Null,
            Seen::Bool(value) => Seen::Bool(value),
            Seen::I64(number) => Seen::I64(number),
            Seen::F64(number) => Seen::F64(number),
            Seen::Time(ms) => Seen::Time(ms),
        }
    }

    fn write_json(&self, row: usize, to: &mut Vec<u8>) -> Result<(), BadArgument> {
        write(self.batch.events().get(row), to)
    }
}
