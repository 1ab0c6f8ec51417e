//! The rows of an enricher: what a call changes of them can be taken back.

use std::any::Any;

use bumpalo::Bump;
use engine_plugin::host::{BadArgument, Lent};
use engine_plugin::{Value as Seen, abi};

use super::{failed, fill, is_plain, seen, set, write};
use crate::event::{Event, JsonReader, Key, Undo, Value};
use crate::plugin::keys;
use crate::stage::{Failure, Rows, Verdict};

/// What a loan needs room for, kept from call to call.
#[derive(Default)]
pub(in crate::plugin) struct Room {
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
pub(in crate::plugin) struct RowsLoan<'a, 'b> {
    rows: &'a mut Rows<'b>,
    room: &'a mut Room,
}

impl<'a, 'b> RowsLoan<'a, 'b> {
    pub(in crate::plugin) fn new(rows: &'a mut Rows<'b>, room: &'a mut Room) -> Self {
        room.clear();
        Self { rows, room }
    }

    /// The call went well: what it changed stays, and what it judged is done. `failure` is what a
    /// reason becomes.
    pub(in crate::plugin) fn keep(self, failure: impl Fn(&str) -> Failure) {
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
    pub(in crate::plugin) fn take_back(self, failure: &Failure) {
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
