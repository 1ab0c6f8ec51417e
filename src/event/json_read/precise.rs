//! The reader that takes every line there is: by jiter, which says what is wrong and where.

use jiter::{Jiter, JiterError, JiterErrorType, JsonType, NumberAny, NumberInt, Peek};

use super::{
    DEPTH_MAX, ENVELOPE, Envelope, JsonError, JsonReader, Names, Part, Times, place_of, text_of,
};
use crate::event::{Event, Fields, Key, Text, Value};

/// A line that is read, and what the reader remembers.
pub(super) struct Precise<'a> {
    json: Jiter<'a>,
    line: &'a [u8],
    names: &'a mut Names,
    times: &'a mut Times,
}

impl<'a> Precise<'a> {
    pub(super) fn new(line: &'a [u8], reader: &'a mut JsonReader) -> Self {
        let JsonReader { names, times, .. } = reader;
        Self { json: Jiter::new(line), line, names, times }
    }

    /// The line as an envelope.
    pub(super) fn event(mut self) -> Result<Event, JsonError> {
        let mut envelope = Envelope::new();
        let mut next = key(self.names, self.json.next_object(), 0)?;
        while let Some(name) = next {
            self.envelope_key(name, &mut envelope)?;
            next = key(self.names, self.json.next_key(), self.line.len())?;
        }
        self.json.finish().map_err(|error| at(&error))?;
        match envelope.missing() {
            None => Ok(envelope.event),
            Some(key) => {
                let message = format!("the envelope has no `{key}`");
                Err(JsonError { message, offset: 0 })
            }
        }
    }

    /// The line as any object.
    pub(super) fn object(mut self) -> Result<Fields, JsonError> {
        let fields = match self.json.peek().map_err(|error| at(&error))? {
            Peek::Object => self.fields(0)?,
            _ => return Err(JsonError { message: "expected a JSON object".to_owned(), offset: 0 }),
        };
        self.json.finish().map_err(|error| at(&error))?;
        Ok(fields)
    }

    fn envelope_key(&mut self, key: Key, envelope: &mut Envelope) -> Result<(), JsonError> {
        let offset = self.json.current_index();
        let fault = |message| JsonError { message, offset };
        let peek = self.json.peek().map_err(|error| at(&error))?;
        let part = place_of(key).map(|place| ENVELOPE[place].1);
        match part.ok_or_else(|| fault(format!("`{key}` is not a key of the envelope")))? {
            Part::Payload if peek == Peek::Object => envelope.set_payload(self.fields(0)?),
            Part::Payload => return Err(fault("`payload` is not an object".to_owned())),
            Part::EventType | Part::Time if peek != Peek::String => {
                return Err(fault(format!("`{key}` is not a string")));
            }
            Part::EventType => {
                let text = self.json.known_str().map_err(|error| at(&error))?;
                let event_type = self.names.key(text).map_err(|error| fault(error.to_string()))?;
                envelope.set_type(event_type);
            }
            Part::Time => {
                let text = self.json.known_str().map_err(|error| at(&error))?;
                envelope.set_time(self.times.read(text).map_err(fault)?);
            }
            part => envelope.set_text(part, self.text_or_null(key, peek)?),
        }
        Ok(())
    }

    fn text_or_null(&mut self, key: Key, peek: Peek) -> Result<Option<Text>, JsonError> {
        let offset = self.json.current_index();
        match peek {
            Peek::Null => self.json.known_null().map(|()| None).map_err(|error| at(&error)),
            Peek::String => Ok(Some(text_of(self.json.known_str().map_err(|error| at(&error))?))),
            _ => {
                Err(JsonError { message: format!("`{key}` is neither a string nor null"), offset })
            }
        }
    }

    /// The object that was peeked at.
    fn fields(&mut self, depth: usize) -> Result<Fields, JsonError> {
        let mut fields = Fields::with_capacity(16);
        let start = self.json.current_index();
        let mut next = key(self.names, self.json.known_object(), start)?;
        while let Some(name) = next {
            let value = self.value(depth + 1)?;
            fields.set(name, value);
            next = key(self.names, self.json.next_key(), start)?;
        }
        Ok(fields)
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        let offset = self.json.current_index();
        let fault = |message| JsonError { message, offset };
        if depth > DEPTH_MAX {
            return Err(fault(format!("nested more than {DEPTH_MAX} deep")));
        }
        let json = &mut self.json;
        let peek = json.peek().map_err(|error| at(&error))?;
        Ok(match peek {
            Peek::Null => {
                json.known_null().map_err(|error| at(&error))?;
                Value::Null
            }
            Peek::True | Peek::False => {
                Value::Bool(json.known_bool(peek).map_err(|error| at(&error))?)
            }
            Peek::String => Value::Text(text_of(json.known_str().map_err(|error| at(&error))?)),
            Peek::Array => {
                let mut values = Vec::new();
                let mut more = json.known_array().map_err(|error| at(&error))?.is_some();
                while more {
                    values.push(self.value(depth + 1)?);
                    more = self.json.array_step().map_err(|error| at(&error))?.is_some();
                }
                Value::List(Box::new(values))
            }
            Peek::Object => Value::Map(Box::new(self.fields(depth)?)),
            _ => {
                let number = json.known_number(peek).map_err(|error| at(&error))?;
                number_of(number).ok_or_else(|| fault("number out of range".to_owned()))?
            }
        })
    }
}

/// The name that jiter came to, as a key; `offset` is where to point when there is no room.
fn key(
    names: &mut Names,
    name: Result<Option<&str>, JiterError>,
    offset: usize,
) -> Result<Option<Key>, JsonError> {
    let name = name.map_err(|error| at(&error))?;
    let key = name.map(|name| names.key(name)).transpose();
    key.map_err(|error| JsonError { message: error.to_string(), offset })
}

/// A whole number that fits, or else a float; none where it is larger than every float.
fn number_of(number: NumberAny) -> Option<Value> {
    match number {
        NumberAny::Int(NumberInt::Int(number)) => Some(Value::Int(number)),
        number => Some(f64::from(number)).filter(|number| number.is_finite()).map(Value::Float),
    }
}

/// The text of a string that a line goes on with, and how many bytes it takes up there.
pub(super) fn string(line: &[u8]) -> Option<(Text, usize)> {
    let mut json = Jiter::new(line);
    let text = text_of(json.next_str().ok()?);
    Some((text, json.current_index()))
}

/// The number that a line goes on with, and how many bytes it takes up there.
pub(super) fn number(line: &[u8]) -> Option<(Value, usize)> {
    let mut json = Jiter::new(line);
    let number = number_of(json.next_number().ok()?)?;
    Some((number, json.current_index()))
}

fn at(error: &JiterError) -> JsonError {
    let message = match &error.error_type {
        JiterErrorType::WrongType { expected: JsonType::Object, .. } => {
            "expected a JSON object".to_owned()
        }
        JiterErrorType::WrongType { expected, actual } => {
            format!("expected {expected}, found {actual}")
        }
        JiterErrorType::JsonError(error) => error.to_string(),
    };
    JsonError { message, offset: error.index }
}
