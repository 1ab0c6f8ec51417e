//! Where values stand: fields of the event and of the state, variables. They are read where they
//! stand, and copied only where a copy is asked for.

use super::frame::{Code, Frame, NULL, ordinary, seen};
use crate::event::{EnvelopeKey, Key, Timestamp, Value};
use crate::script::state::FIELDS_MAX;

/// A place that can be read and, mostly, written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    /// A field of the payload.
    Field(Key),
    /// The payload as a whole.
    Payload,
    /// A key of the envelope.
    Envelope(EnvelopeKey),
    /// Event time, in milliseconds.
    Millis,
    /// A field of the state.
    State(Key),
    /// A variable.
    Slot(usize),
    /// What names lead to inside the object at a place; read only.
    Inside(Box<Place>, Vec<Name>),
    /// What stands at a place, or this where nothing does (`place ?? 0`); read only.
    Or(Box<Place>, Value),
}

/// A name after a dot.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Name {
    pub(super) key: Key,
    /// Whether all is nothing where that before the dot is (`?.`).
    pub(super) is_lenient: bool,
}

impl Place {
    /// Whether writing it changes the event.
    pub(super) fn is_of_event(&self) -> bool {
        matches!(self, Self::Field(_) | Self::Payload | Self::Envelope(_) | Self::Millis)
    }

    /// Whether its value stands somewhere as a whole.
    pub(super) fn is_read_where_it_stands(&self) -> bool {
        match self {
            Self::Field(_) | Self::State(_) | Self::Slot(_) | Self::Inside(..) | Self::Or(..) => {
                true
            }
            Self::Payload | Self::Envelope(_) | Self::Millis => false,
        }
    }

    /// What names lead to inside the object that is here.
    pub(super) fn inside(self, names: Vec<Name>) -> Self {
        if names.is_empty() { self } else { Self::Inside(Box::new(self), names) }
    }

    /// The value where it stands; nothing where it stands nowhere as a value.
    pub(super) fn peek<'f>(&'f self, frame: &'f Frame<'_>) -> Option<&'f Value> {
        match self {
            Self::Field(key) => ordinary(frame.field(*key)?),
            Self::State(key) => ordinary(frame.state_field(*key)?),
            Self::Slot(slot) => frame.scratch.slots.get(*slot),
            Self::Inside(place, names) => {
                let outer = match &**place {
                    Self::Field(key) => frame.field(*key)?,
                    Self::State(key) => frame.state_field(*key)?,
                    other => other.peek(frame)?,
                };
                ordinary(inside(outer, names)?)
            }
            Self::Or(place, otherwise) => match place.peek(frame)? {
                Value::Null => Some(otherwise),
                value => Some(value),
            },
            Self::Payload | Self::Envelope(_) | Self::Millis => None,
        }
    }

    /// A copy of the value, as a script reads it.
    pub(super) fn get(&self, frame: &Frame<'_>) -> Option<Value> {
        match self {
            Self::Envelope(key) => seen(&frame.event()?.envelope(*key)),
            Self::Millis => Some(Value::Int(frame.event()?.time.as_millis())),
            // A variable holds what was read before, or an array or an object of the script's own.
            Self::Slot(slot) => frame.scratch.slots.get(*slot).cloned(),
            _ => seen(self.peek(frame)?),
        }
    }

    /// Writes it; nothing where the interpreter would refuse to.
    pub(super) fn set(&mut self, frame: &mut Frame<'_>, value: Value) -> Option<()> {
        match self {
            Self::Slot(slot) => *frame.scratch.slots.get_mut(*slot)? = value,
            Self::State(key) => {
                let fields = &mut **frame.state.as_mut()?;
                if fields.len() >= FIELDS_MAX {
                    return None;
                }
                frame.scratch.state.set(fields, *key, value);
            }
            Self::Field(key) => {
                let (event, changes) = frame.event_mut()?;
                changes.set(event, *key, value);
            }
            Self::Payload => {
                let Value::Map(fields) = value else { return None };
                let (event, changes) = frame.event_mut()?;
                changes.replace(event, *fields);
            }
            Self::Envelope(key) => {
                let (event, changes) = frame.event_mut()?;
                changes.set_envelope(event, *key, value).ok()?;
            }
            Self::Millis => {
                let millis = value.as_i64()?;
                let (event, changes) = frame.event_mut()?;
                changes.set_time(event, Timestamp::from_millis(millis));
            }
            Self::Inside(..) | Self::Or(..) => return None,
        }
        Some(())
    }
}

/// What names lead to inside a value.
pub(super) fn inside<'f>(mut value: &'f Value, names: &[Name]) -> Option<&'f Value> {
    for name in names {
        value = match value {
            Value::Map(fields) => fields.get(name.key).unwrap_or(&NULL),
            Value::Null if name.is_lenient => return Some(&NULL),
            _ => return None,
        };
    }
    Some(value)
}

/// What an operator takes.
pub(super) enum Operand {
    Constant(Value),
    Place(Place),
    Code(Code),
}

impl Operand {
    /// The value.
    pub(super) fn eval(&mut self, frame: &mut Frame<'_>) -> Option<Value> {
        match self {
            Self::Constant(value) => Some(value.clone()),
            Self::Place(place) => place.get(frame),
            Self::Code(code) => code(frame),
        }
    }

    /// The value where it stands, if it stands anywhere.
    pub(super) fn peek<'f>(&'f self, frame: &'f Frame<'_>) -> Option<&'f Value> {
        match self {
            Self::Constant(value) => Some(value),
            Self::Place(place) => place.peek(frame),
            Self::Code(_) => None,
        }
    }

    /// Whether it has to be worked out.
    pub(super) fn is_code(&self) -> bool {
        match self {
            Self::Constant(_) => false,
            Self::Place(place) => !place.is_read_where_it_stands(),
            Self::Code(_) => true,
        }
    }
}
