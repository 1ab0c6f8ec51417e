//! Where a source or a correlator puts new events.

use std::any::Any;

use bumpalo::Bump;
use engine_plugin::host::{BadArgument, Lent};
use engine_plugin::{Value as Seen, abi};

use super::{fill, is_plain, seen, set, write};
use crate::event::{Event, JsonReader, Key, Text, Timestamp, Value};
use crate::plugin::keys;

/// Where a source or a correlator puts new events.
pub(in crate::plugin) struct NewEvents {
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
    pub(in crate::plugin) fn new(is_source: bool, most: usize) -> Option<Self> {
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
    pub(in crate::plugin) fn begin(&mut self, now: Timestamp) {
        self.events.clear();
        self.texts.reset();
        (self.now, self.watermark) = (now, None);
    }

    /// What the source said about what is still to come.
    pub(in crate::plugin) fn watermark(&self) -> Option<Timestamp> {
        self.watermark
    }

    /// Whether anything was put in, or said about what is to come.
    pub(in crate::plugin) fn has_something(&self) -> bool {
        !self.events.is_empty() || self.watermark.is_some()
    }

    /// What was put in; ids are for the taker to give where they are empty. One without a type is
    /// told by the error, and then none of them counts.
    pub(in crate::plugin) fn take(&mut self) -> Result<Vec<Event>, String> {
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
