//! Events as plugins see them, for the length of a call. Fields are found where they stand; what has
//! to be written out first, such as an id, lives in an arena until the call is over.

use std::any::Any;
use std::cell::RefCell;
use std::sync::Arc;

use bumpalo::Bump;
use elsa::sync::FrozenMap;
use engine_plugin::host::{BadArgument, Lent};
use engine_plugin::{Value as Seen, abi};

use super::keys;
use crate::event::{
    Batch, Event, FieldPath, JsonReader, JsonWriter, Key, Look, Text, Timestamp, Undo, Value,
};
use crate::stage::{Failure, Rows, Verdict};

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

/// What a loan needs room for, kept from call to call.
#[derive(Default)]
pub(super) struct Room {
    texts: Bump,
    json: JsonReader,
    changes: Changes,
    /// What becomes of rows, by row: they failed for a reason, or are dropped on purpose.
    verdicts: Vec<(usize, Option<String>)>,
}

impl Room {
    fn clear(&mut self) {
        self.texts.reset();
        self.changes.clear();
        self.verdicts.clear();
    }
}

/// What takes the changes of a call back. Each leaves a few bytes in the order that they were made,
/// and what was there before beside that, where there was something: a new field has nothing.
#[derive(Default)]
struct Changes {
    /// Rows, and what was changed of them, latest last.
    made: Vec<(u32, Change)>,
    /// Values that fields of payloads had.
    values: Vec<(Key, Value)>,
    /// Whatever else was there.
    others: Vec<Undo>,
}

/// What was changed.
#[derive(Clone, Copy)]
enum Change {
    /// A field was added at the end of the payload.
    Added,
    /// A field of the payload had another value.
    Value,
    /// Something deeper in the payload, or in the envelope, or a field was taken out.
    Other,
}

impl Changes {
    fn clear(&mut self) {
        self.made.clear();
        self.values.clear();
        self.others.clear();
    }

    /// The place of a field right in the payload, to be set: null is there now.
    #[inline]
    fn place<'a>(&mut self, row: usize, event: &'a mut Event, name: Key) -> &'a mut Value {
        let (place, is_new) = event.payload.place_for(name);
        if is_new {
            self.made.push((row as u32, Change::Added));
        } else {
            self.values.push((name, std::mem::take(place)));
            self.made.push((row as u32, Change::Value));
        }
        place
    }

    fn note(&mut self, row: usize, undo: Option<Undo>) {
        if let Some(undo) = undo {
            self.others.push(undo);
            self.made.push((row as u32, Change::Other));
        }
    }

    /// Takes all of it back, the latest first.
    fn take_back(&mut self, rows: &mut Rows<'_>) {
        while let Some((row, change)) = self.made.pop() {
            let event = rows.get_mut(row as usize);
            match change {
                Change::Added => event.payload.pop(),
                Change::Value => {
                    if let Some((name, before)) = self.values.pop() {
                        event.payload.set(name, before);
                    }
                }
                Change::Other => {
                    if let Some(undo) = self.others.pop() {
                        undo.undo(event);
                    }
                }
            }
        }
    }
}

/// The rows of an enricher.
pub(super) struct RowsLoan<'a, 'b> {
    rows: &'a mut Rows<'b>,
    room: &'a mut Room,
}

impl<'a, 'b> RowsLoan<'a, 'b> {
    pub(super) fn new(rows: &'a mut Rows<'b>, room: &'a mut Room) -> Self {
        room.clear();
        Self { rows, room }
    }

    /// The call went well: what it changed stays, and what it judged is done. `failure` is what a
    /// reason becomes.
    pub(super) fn keep(self, failure: impl Fn(&str) -> Failure) {
        let verdicts = &mut self.room.verdicts;
        // Of several verdicts about one row, the last counts.
        verdicts.sort_by_key(|(row, _)| *row);
        let mut verdicts = verdicts.drain(..).peekable();
        while let Some((row, verdict)) = verdicts.next() {
            if verdicts.peek().is_none_or(|(next, _)| *next != row) {
                let failed = |reason: String| Verdict::Fail(failure(&reason));
                self.rows.judge(row, verdict.map_or(Verdict::Drop, failed));
            }
        }
    }

    /// The call failed: what it changed is taken back, and its rows become dead letters.
    pub(super) fn take_back(self, failure: &Failure) {
        self.room.changes.take_back(self.rows);
        for row in 0..self.rows.len() {
            self.rows.judge(row, Verdict::Fail(failure.clone()));
        }
    }

    fn row(&self, row: usize) -> Option<&Event> {
        (row < self.rows.len()).then(|| self.rows.get(row))
    }

    fn judge(&mut self, row: usize, verdict: Option<String>) -> Result<(), BadArgument> {
        self.row(row).ok_or(BadArgument)?;
        self.room.verdicts.push((row, verdict));
        Ok(())
    }
}

impl Lent for RowsLoan<'_, '_> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn get(&self, row: usize, key: abi::Key) -> Seen<'_> {
        self.row(row).map_or(Seen::Absent, |event| seen(event, key, &self.room.texts))
    }

    fn write_json(&self, row: usize, to: &mut Vec<u8>) -> Result<(), BadArgument> {
        write(self.row(row), to)
    }

    fn set(&mut self, row: usize, key: abi::Key, value: Seen<'_>) -> Result<(), BadArgument> {
        if row >= self.rows.len() {
            return Err(BadArgument);
        }
        let field = keys::field(key).ok_or(BadArgument)?;
        let (event, room) = (self.rows.get_mut(row), &mut *self.room);
        if let Some(name) = field.name.filter(|_| is_plain(value)) {
            fill(room.changes.place(row, event, name), value);
        } else {
            let undo = set(event, &field.path, value, &mut room.json)?;
            room.changes.note(row, undo);
        }
        Ok(())
    }

    fn drop_row(&mut self, row: usize) -> Result<(), BadArgument> {
        self.judge(row, None)
    }

    fn fail_row(&mut self, row: usize, reason: &str) -> Result<(), BadArgument> {
        self.judge(row, Some(failed(reason)))
    }

    fn event(&self, row: usize) -> Option<&dyn Any> {
        self.row(row).map(|event| event as &dyn Any)
    }
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

/// Where a source or a correlator puts new events.
pub(super) struct NewEvents {
    events: Vec<Event>,
    /// The time of an event that says none.
    now: Timestamp,
    /// Whether it is a source that gives them: it may do so as JSON, and knows what is to come.
    is_source: bool,
    /// How many there may be.
    most: usize,
    watermark: Option<Timestamp>,
    untyped: Key,
    texts: Bump,
    json: JsonReader,
}

/// The type of an event until it is set.
const UNTYPED: &str = "untyped";

impl NewEvents {
    /// None if there are so many names already that there is none for an event without a type.
    pub(super) fn new(is_source: bool, most: usize) -> Option<Self> {
        Some(Self {
            events: Vec::new(),
            now: Timestamp::MIN,
            is_source,
            most,
            watermark: None,
            untyped: Key::intern(UNTYPED).ok()?,
            texts: Bump::new(),
            json: JsonReader::new(),
        })
    }

    /// Is empty again; events without a time of their own have this one.
    pub(super) fn begin(&mut self, now: Timestamp) {
        self.events.clear();
        self.texts.reset();
        (self.now, self.watermark) = (now, None);
    }

    /// What the source said about what is still to come.
    pub(super) fn watermark(&self) -> Option<Timestamp> {
        self.watermark
    }

    /// Whether anything was put in, or said about what is to come.
    pub(super) fn has_something(&self) -> bool {
        !self.events.is_empty() || self.watermark.is_some()
    }

    /// What was put in; ids are for the taker to give where they are empty. One without a type is
    /// told by the error, and then none of them counts.
    pub(super) fn take(&mut self) -> Result<Vec<Event>, String> {
        let events = std::mem::take(&mut self.events);
        match events.iter().position(|event| event.event_type == self.untyped) {
            Some(row) => Err(format!("the event in row {row} has no `event_type`")),
            None => Ok(events),
        }
    }
}

impl Lent for NewEvents {
    fn len(&self) -> usize {
        self.events.len()
    }

    fn get(&self, row: usize, key: abi::Key) -> Seen<'_> {
        self.events.get(row).map_or(Seen::Absent, |event| seen(event, key, &self.texts))
    }

    fn write_json(&self, row: usize, to: &mut Vec<u8>) -> Result<(), BadArgument> {
        write(self.events.get(row), to)
    }

    fn set(&mut self, row: usize, key: abi::Key, value: Seen<'_>) -> Result<(), BadArgument> {
        let event = self.events.get_mut(row).ok_or(BadArgument)?;
        let field = keys::field(key).ok_or(BadArgument)?;
        match field.name.filter(|_| is_plain(value)) {
            Some(name) => {
                let (place, _) = event.payload.place_for(name);
                *place = Value::Null;
                fill(place, value);
                Ok(())
            }
            None => set(event, &field.path, value, &mut self.json).map(drop),
        }
    }

    fn push_row(&mut self, parent: Option<&dyn Any>) -> Option<usize> {
        if self.events.len() >= self.most {
            return None;
        }
        let no_id = Text::from_static("");
        let event = match parent {
            Some(parent) => Event::caused_by(parent.downcast_ref()?, self.untyped, no_id),
            None => Event::new(self.untyped, no_id, self.now),
        };
        self.events.push(event);
        Some(self.events.len() - 1)
    }

    fn push_json(&mut self, json: &str) -> Result<(), BadArgument> {
        if !self.is_source || self.events.len() >= self.most {
            return Err(BadArgument);
        }
        let event = self.json.event(json.as_bytes()).map_err(|_| BadArgument)?;
        self.events.push(event);
        Ok(())
    }

    fn watermark(&mut self, ms: i64) -> Result<(), BadArgument> {
        if !self.is_source {
            return Err(BadArgument);
        }
        self.watermark = self.watermark.max(Some(Timestamp::from_millis(ms)));
        Ok(())
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
