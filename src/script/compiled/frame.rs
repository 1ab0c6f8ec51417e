//! What a compiled call works on: the event, the state of its key, its variables, what it asks for.

use compact_str::ToCompactString;

use crate::event::{Event, EventChanges, FieldChanges, Fields, Key, Text, Value};
use crate::script::output::Command;
use crate::script::sandbox::STRING_BYTES_MAX;

/// A piece of a rule. It gives a value, or nothing where the interpreter has to decide.
pub(super) type Code = Box<dyn FnMut(&mut Frame<'_>) -> Option<Value> + Send + Sync>;

/// The same for what is true or false.
pub(super) type Test = Box<dyn FnMut(&mut Frame<'_>) -> Option<bool> + Send + Sync>;

/// The same for a statement: its value, or the end of the function with one.
pub(super) type Step = Box<dyn FnMut(&mut Frame<'_>) -> Option<Flow> + Send + Sync>;

/// How a statement ends.
pub(super) type Flow = std::ops::ControlFlow<Value, Value>;

/// What stands where nothing stands.
pub(super) static NULL: Value = Value::Null;

/// The event of a call.
pub enum GivenEvent<'a> {
    /// There is none: a timer, the end.
    Nothing,
    /// The script looks at it.
    Seen(&'a Event),
    /// The script may change it.
    Changed(&'a mut Event),
}

impl GivenEvent<'_> {
    /// The same event, lent.
    pub(in crate::script) fn lend(&mut self) -> GivenEvent<'_> {
        match self {
            Self::Nothing => GivenEvent::Nothing,
            Self::Seen(event) => GivenEvent::Seen(event),
            Self::Changed(event) => GivenEvent::Changed(event),
        }
    }
}

/// What a call works on.
pub(in crate::script) struct Frame<'a> {
    pub(in crate::script) event: GivenEvent<'a>,
    pub(in crate::script) state: Option<&'a mut Fields>,
    pub(in crate::script) scratch: &'a mut Scratch,
}

/// What is kept from call to call for its room.
#[derive(Default)]
pub(in crate::script) struct Scratch {
    /// Variables, by their places.
    pub(in crate::script) slots: Vec<Value>,
    /// What the call changed of its event.
    pub(in crate::script) event: EventChanges,
    /// What it changed of the state.
    pub(in crate::script) state: FieldChanges,
    /// What it asked for.
    pub(in crate::script) commands: Vec<Command>,
}

impl Scratch {
    /// Makes room for so many variables.
    pub(super) fn make_room(&mut self, slots: usize) {
        if self.slots.len() < slots {
            self.slots.resize(slots, Value::Null);
        }
    }
}

impl Frame<'_> {
    pub(super) fn event(&self) -> Option<&Event> {
        match &self.event {
            GivenEvent::Nothing => None,
            GivenEvent::Seen(event) => Some(event),
            GivenEvent::Changed(event) => Some(event),
        }
    }

    /// The event with the list of its changes.
    pub(super) fn event_mut(&mut self) -> Option<(&mut Event, &mut EventChanges)> {
        match &mut self.event {
            GivenEvent::Changed(event) => Some((event, &mut self.scratch.event)),
            GivenEvent::Nothing | GivenEvent::Seen(_) => None,
        }
    }

    /// A field of the payload; null if it is not there.
    pub(super) fn field(&self, key: Key) -> Option<&Value> {
        Some(self.event()?.payload.get(key).unwrap_or(&NULL))
    }

    /// A field of the state; null if it is not there.
    pub(super) fn state_field(&self, key: Key) -> Option<&Value> {
        Some(self.state.as_ref()?.get(key).unwrap_or(&NULL))
    }
}

/// A value that compiled code may look at. Arrays and objects are for the interpreter, and so is a
/// text that is too long for a script.
pub(super) fn ordinary(value: &Value) -> Option<&Value> {
    match value {
        Value::List(_) | Value::Map(_) => None,
        Value::Text(Text::Plain(text)) if text.len() > STRING_BYTES_MAX => None,
        _ => Some(value),
    }
}

/// A copy of such a value as a script reads it: instants as text.
pub(super) fn seen(value: &Value) -> Option<Value> {
    Some(match ordinary(value)? {
        Value::Time(time) => Value::Text(Text::Plain(time.to_compact_string())),
        value => value.clone(),
    })
}
