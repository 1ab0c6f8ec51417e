//! A record to an event: as an envelope, or as the payload of a new one. What the sources share
//! that read JSON.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::{
    EVENT_TYPE, Event, Fields, JsonError, JsonReader, Key, PAYLOAD, Text, Timestamp, Value,
};

/// From this number on, a time is in milliseconds since 1970: as seconds it would be after 5138.
const MILLIS_FROM: f64 = 100_000_000_000.0;

/// What a JSON object is: an event, or what one is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// An object with `event_type` and `payload` is an envelope, any other one a payload.
    #[default]
    Auto,
    /// An envelope; everything else is malformed.
    Envelopes,
    /// A payload, whatever its keys are.
    Json,
}

/// Reads records of one source.
pub(super) struct Parser {
    json: JsonReader,
    format: Format,
    event_type: Key,
    time_field: Option<Key>,
    /// Whether the last line was no envelope: the next one will hardly be one.
    met_payload: bool,
}

impl Parser {
    /// A parser of one format; `event_type` and `time_field` are for lines that are no envelopes.
    pub(super) fn new(format: Format, event_type: Key, time_field: Option<Key>) -> Self {
        Self { json: JsonReader::new(), format, event_type, time_field, met_payload: false }
    }

    /// The event of a line; `now` is asked for its time where it says none itself. Its trace id is
    /// empty where it has none.
    pub(super) fn event(
        &mut self,
        line: &[u8],
        now: impl FnOnce() -> Timestamp,
    ) -> Result<Event, JsonError> {
        match self.format {
            Format::Envelopes => self.json.event(line),
            Format::Json => {
                let payload = self.json.object(line)?;
                self.around(payload, now)
            }
            Format::Auto => self.either(line, now),
        }
    }

    fn either(&mut self, line: &[u8], now: impl FnOnce() -> Timestamp) -> Result<Event, JsonError> {
        if !self.met_payload
            && let Ok(event) = self.json.event(line)
        {
            return Ok(event);
        }
        let payload = self.json.object(line)?;
        let is_envelope = [EVENT_TYPE, PAYLOAD].iter().all(|key| payload.get(*key).is_some());
        self.met_payload = !is_envelope;
        if is_envelope { self.json.event(line) } else { self.around(payload, now) }
    }

    fn around(&self, payload: Fields, now: impl FnOnce() -> Timestamp) -> Result<Event, JsonError> {
        let time = match self.time_field {
            None => now(),
            Some(field) => time_of(field, payload.get(field))
                .map_err(|message| JsonError { message, offset: 0 })?,
        };
        let mut event = Event::new(self.event_type, Text::default(), time);
        event.payload = payload;
        Ok(event)
    }
}

fn time_of(field: Key, value: Option<&Value>) -> Result<Timestamp, String> {
    let field = field.as_str();
    let Some(value) = value else {
        return Err(format!("the object has no `{field}`, which holds its time"));
    };
    match (value, value.as_f64()) {
        (Value::Text(text), _) => text
            .with_str(str::parse)
            .map_err(|error: String| format!("`{field}` holds no time: {error}")),
        (_, Some(number)) => {
            let millis = if number.abs() < MILLIS_FROM { number * 1000.0 } else { number };
            // Beyond the calendar, the cast and the timestamp both stop at its end.
            Ok(Timestamp::from_millis(millis.round() as i64))
        }
        _ => Err(format!("`{field}` holds no time, but {}", value.type_name())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENVELOPE: &str =
        r#"{"event_type":"x","payload":{"a":1},"ingest_timestamp":"2024-11-29T10:00:00Z"}"#;

    fn parser(format: Format, time_field: Option<&str>) -> Parser {
        let key = |name| Key::intern(name).unwrap();
        Parser::new(format, key("record"), time_field.map(key))
    }

    fn now() -> Timestamp {
        Timestamp::from_millis(1_000)
    }

    #[test]
    fn an_envelope_is_told_from_other_objects_line_by_line() {
        let mut parser = parser(Format::Auto, None);
        let object = r#"{"a":1,"payload":2}"#;
        for (line, event_type) in
            [(ENVELOPE, "x"), (object, "record"), (object, "record"), (ENVELOPE, "x")]
        {
            let event = parser.event(line.as_bytes(), now).unwrap();
            assert_eq!(event.event_type.as_str(), event_type, "{line}");
        }
        assert_eq!(parser.event(object.as_bytes(), now).unwrap().time, now());
    }

    #[test]
    fn a_damaged_envelope_is_not_taken_for_a_payload() {
        let line = r#"{"event_type":"x","payload":{}}"#;
        for met_payload in [false, true] {
            let mut parser = Parser { met_payload, ..parser(Format::Auto, None) };
            let error = parser.event(line.as_bytes(), now).unwrap_err();
            assert_eq!(error.message, "the envelope has no `ingest_timestamp`");
        }
    }

    #[test]
    fn with_format_json_even_an_envelope_is_a_payload() {
        let event = parser(Format::Json, None).event(ENVELOPE.as_bytes(), now).unwrap();
        assert_eq!((event.event_type.as_str(), event.payload.len()), ("record", 3));
    }

    #[test]
    fn a_time_field_may_be_text_seconds_or_milliseconds() {
        let mut parser = parser(Format::Json, Some("at"));
        let mut time = |value: &str| {
            let line = format!("{{\"at\":{value}}}");
            match parser.event(line.as_bytes(), now) {
                Ok(event) => event.time.to_string(),
                Err(error) => error.message,
            }
        };
        assert_eq!(time("\"2024-11-29T11:00:00+01:00\""), "2024-11-29T10:00:00.000Z");
        assert_eq!(time("1732874400"), "2024-11-29T10:00:00.000Z");
        assert_eq!(time("1732874400.25"), "2024-11-29T10:00:00.250Z");
        assert_eq!(time("1732874400250"), "2024-11-29T10:00:00.250Z");
        assert_eq!(time("1e300"), Timestamp::MAX.to_string());
        assert_eq!(time("[1]"), "`at` holds no time, but an array");
        assert_eq!(
            time("\"soon\""),
            "`at` holds no time: `soon` is not an instant such as `2024-11-29T10:00:00Z`"
        );
        let error = parser.event(b"{}", now).unwrap_err();
        assert_eq!(error.message, "the object has no `at`, which holds its time");
    }
}
