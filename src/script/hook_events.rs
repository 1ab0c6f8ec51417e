//! `events` in hooks: a batch, read as a list. An event is an object once it is asked for, so a hook
//! that only counts costs the same for any batch.

use rhai::{Array, Dynamic, Engine, ImmutableString};

use super::EventHandle;
use super::sandbox::ELEMENTS_MAX;
use super::values::ScriptResult;
use crate::event::Batch;

/// `events` in scripts.
#[derive(Clone)]
pub(super) struct EventsHandle {
    batch: Batch,
    sink: ImmutableString,
}

/// The events one after the other.
#[derive(Clone)]
pub(super) struct EventsIterator {
    events: EventsHandle,
    next: usize,
}

impl EventsHandle {
    pub(super) fn new(sink: &str, batch: &Batch) -> Self {
        Self { batch: batch.clone(), sink: sink.into() }
    }

    fn len(&self) -> i64 {
        self.batch.len() as i64
    }

    fn event(&self, place: usize) -> Option<EventHandle> {
        self.batch.events().get(place).cloned().map(EventHandle::seen)
    }

    /// The event at a place; from the end, where it is negative.
    fn at(&self, place: i64) -> ScriptResult<EventHandle> {
        let from_start = if place < 0 { self.len().saturating_add(place) } else { place };
        let event = usize::try_from(from_start).ok().and_then(|place| self.event(place));
        event.ok_or_else(|| {
            format!("there is no event {place} in a batch of {}", self.batch.len()).into()
        })
    }

    fn to_array(&self) -> ScriptResult<Array> {
        if self.batch.len() > ELEMENTS_MAX {
            let events = self.batch.len();
            let message = format!(
                "an array may have {ELEMENTS_MAX} elements, and the batch has {events} events; \
                 `for event in events` takes one after the other"
            );
            return Err(message.into());
        }
        Ok(self.clone().into_iter().map(Dynamic::from).collect())
    }

    fn shown(&self) -> String {
        format!("{} events for `{}`", self.batch.len(), self.sink)
    }
}

impl IntoIterator for EventsHandle {
    type Item = EventHandle;
    type IntoIter = EventsIterator;

    fn into_iter(self) -> EventsIterator {
        EventsIterator { events: self, next: 0 }
    }
}

impl Iterator for EventsIterator {
    type Item = EventHandle;

    fn next(&mut self) -> Option<EventHandle> {
        let event = self.events.event(self.next)?;
        self.next += 1;
        Some(event)
    }
}

/// Teaches an engine what `events` is.
pub(super) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<EventsHandle>("events");
    engine.register_iterator::<EventsHandle>();
    engine.register_get("sink", |events: &mut EventsHandle| events.sink.clone());
    engine.register_fn("len", |events: &mut EventsHandle| events.len());
    engine.register_fn("is_empty", |events: &mut EventsHandle| events.len() == 0);
    engine.register_indexer_get(|events: &mut EventsHandle, place: i64| events.at(place));
    engine.register_fn("to_array", |events: &mut EventsHandle| events.to_array());
    engine.register_fn("to_string", |events: &mut EventsHandle| events.shown());
    engine.register_fn("to_debug", |events: &mut EventsHandle| events.shown());
}
