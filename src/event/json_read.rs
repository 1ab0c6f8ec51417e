//! JSON to events: pulled from the text straight into our values, no tree between.

use std::collections::HashMap;
use std::fmt;

use jiter::{Jiter, JiterError, JiterErrorType, JsonType, NumberAny, NumberInt, Peek};
use rustc_hash::FxBuildHasher;

use super::{Event, Fields, Key, Text, Timestamp, Value, names};

/// How deep arrays and objects may nest.
const DEPTH_MAX: usize = 64;
/// The length up to which a string is kept inline.
const INLINE_BYTES: usize = 24;
/// How many names of an event, and orders of how many types, are learnt.
const NAMES_LEARNT_MAX: usize = 64;
const ORDERS_MAX: usize = 64;
/// `YYYY-MM-DD`
const DATE_BYTES: usize = 10;

/// Why a line is no event, and where in the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// What is wrong, in lowercase, without a full stop.
    pub message: String,
    /// The byte in the line at which it shows, from 0.
    pub offset: usize,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (column {})", self.message, self.offset + 1)
    }
}

impl std::error::Error for JsonError {}

/// Reads events from JSON; keep one per input, it remembers the names that it met.
#[derive(Default)]
pub struct JsonReader {
    names: HashMap<&'static str, Key, FxBuildHasher>,
    /// The names behind `event_type` in the last event of each type: most often the next event of
    /// the type has the same ones, and comparing is quicker than looking up.
    orders: Vec<(Key, Vec<Key>)>,
    /// The names that are expected in this event, and the place of the next one.
    expected: Vec<Key>,
    next_expected: usize,
    /// The last date that was read, and its midnight: events come in order of time.
    date: [u8; DATE_BYTES],
    midnight: i64,
}

/// The keys of an envelope whose values are text or null.
const TEXTS: [Key; 7] = [
    names::TRACE_ID,
    names::SCHEMA_VERSION,
    names::SOURCE,
    names::CORRELATION_ID,
    names::PARTITION_KEY,
    names::SESSION_ID,
    names::PARENT_EVENT_ID,
];

/// An envelope as far as it was read.
#[derive(Default)]
struct Envelope {
    event_type: Option<Key>,
    payload: Option<Fields>,
    time: Option<Timestamp>,
    /// In the order of [`TEXTS`].
    texts: [Option<Text>; 7],
}

impl JsonReader {
    /// A reader that has met no name yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads an envelope. `event_type`, `payload` and `ingest_timestamp` must be there; a missing
    /// `trace_id` is left empty, for the source to fill. A key that no envelope has is an error:
    /// nothing is lost in silence.
    pub fn event(&mut self, line: &[u8]) -> Result<Event, JsonError> {
        let mut json = Jiter::new(line);
        let mut envelope = Envelope::default();
        let mut next = self.next_key(json.next_object(), 0)?;
        while let Some(key) = next {
            self.envelope_key(&mut json, key, &mut envelope)?;
            next = self.next_key(json.next_key(), line.len())?;
        }
        json.finish().map_err(|error| at(&error))?;
        self.learn_order(envelope.event_type);
        envelope.into_event().map_err(|message| JsonError { message, offset: 0 })
    }

    /// Reads any JSON object.
    pub fn object(&mut self, line: &[u8]) -> Result<Fields, JsonError> {
        let mut json = Jiter::new(line);
        let fields = match json.peek().map_err(|error| at(&error))? {
            Peek::Object => self.fields(&mut json, 0)?,
            _ => return Err(JsonError { message: "expected a JSON object".to_owned(), offset: 0 }),
        };
        json.finish().map_err(|error| at(&error))?;
        Ok(fields)
    }

    fn envelope_key(
        &mut self,
        json: &mut Jiter<'_>,
        key: Key,
        envelope: &mut Envelope,
    ) -> Result<(), JsonError> {
        let offset = json.current_index();
        let fault = |message| JsonError { message, offset };
        let peek = json.peek().map_err(|error| at(&error))?;
        if let Some(place) = TEXTS.iter().position(|text| *text == key) {
            envelope.texts[place] = match peek {
                Peek::Null => json.known_null().map(|()| None).map_err(|error| at(&error))?,
                Peek::String => Some(text_of(json.known_str().map_err(|error| at(&error))?)),
                _ => return Err(fault(format!("`{key}` is neither a string nor null"))),
            };
        } else if key == names::PAYLOAD {
            if peek != Peek::Object {
                return Err(fault("`payload` is not an object".to_owned()));
            }
            envelope.payload = Some(self.fields(json, 0)?);
        } else if key == names::EVENT_TYPE || key == names::INGEST_TIMESTAMP {
            if peek != Peek::String {
                return Err(fault(format!("`{key}` is not a string")));
            }
            let text = json.known_str().map_err(|error| at(&error))?;
            if key == names::INGEST_TIMESTAMP {
                envelope.time = Some(self.time(text).map_err(fault)?);
            } else {
                let event_type = self.key(text).map_err(fault)?;
                envelope.event_type = Some(event_type);
                self.expect_order(event_type);
            }
        } else {
            return Err(fault(format!("`{key}` is not a key of the envelope")));
        }
        Ok(())
    }

    /// From here on, expects the names of the last event of this type.
    fn expect_order(&mut self, event_type: Key) {
        let known = self.orders.iter_mut().find(|(key, _)| *key == event_type);
        self.expected = known.map(|(_, order)| std::mem::take(order)).unwrap_or_default();
        self.next_expected = 0;
    }

    /// Keeps the names of this event for the next one of its type.
    fn learn_order(&mut self, event_type: Option<Key>) {
        let Some(event_type) = event_type else { return };
        self.expected.truncate(self.next_expected);
        let order = std::mem::take(&mut self.expected);
        self.next_expected = 0;
        match self.orders.iter().position(|(key, _)| *key == event_type) {
            Some(place) => self.orders[place].1 = order,
            None if self.orders.len() < ORDERS_MAX => self.orders.push((event_type, order)),
            None => {}
        }
    }

    /// The object that was peeked at.
    fn fields(&mut self, json: &mut Jiter<'_>, depth: usize) -> Result<Fields, JsonError> {
        let mut fields = Fields::with_capacity(16);
        let start = json.current_index();
        let mut next = self.next_key(json.known_object(), start)?;
        while let Some(key) = next {
            let value = self.value(json, depth + 1)?;
            fields.set(key, value);
            next = self.next_key(json.next_key(), start)?;
        }
        Ok(fields)
    }

    fn value(&mut self, json: &mut Jiter<'_>, depth: usize) -> Result<Value, JsonError> {
        let offset = json.current_index();
        let fault = |message| JsonError { message, offset };
        if depth > DEPTH_MAX {
            return Err(fault(format!("nested more than {DEPTH_MAX} deep")));
        }
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
                    values.push(self.value(json, depth + 1)?);
                    more = json.array_step().map_err(|error| at(&error))?.is_some();
                }
                Value::List(Box::new(values))
            }
            Peek::Object => Value::Map(Box::new(self.fields(json, depth)?)),
            _ => match json.known_number(peek).map_err(|error| at(&error))? {
                NumberAny::Int(NumberInt::Int(number)) => Value::Int(number),
                number => match f64::from(number) {
                    number if number.is_finite() => Value::Float(number),
                    _ => return Err(fault("number out of range".to_owned())),
                },
            },
        })
    }

    /// The name that jiter came to, as a key; `offset` is where to point when there is no room.
    fn next_key(
        &mut self,
        name: Result<Option<&str>, JiterError>,
        offset: usize,
    ) -> Result<Option<Key>, JsonError> {
        let name = name.map_err(|error| at(&error))?;
        name.map(|name| self.key(name)).transpose().map_err(|message| JsonError { message, offset })
    }

    /// Most names are the expected ones, and most others were met before; so the table with the
    /// lock is asked once for each.
    fn key(&mut self, name: &str) -> Result<Key, String> {
        let expected = self.expected.get(self.next_expected);
        if let Some(key) = expected.filter(|key| key.as_str() == name) {
            self.next_expected += 1;
            return Ok(*key);
        }
        let key = if let Some(key) = self.names.get(name) {
            *key
        } else {
            let key = Key::intern(name).map_err(|error| error.to_string())?;
            self.names.insert(key.as_str(), key);
            key
        };
        // From the first name that differs, what comes is learnt anew.
        self.expected.truncate(self.next_expected);
        if self.expected.len() < NAMES_LEARNT_MAX {
            self.expected.push(key);
            self.next_expected += 1;
        }
        Ok(key)
    }

    fn time(&mut self, text: &str) -> Result<Timestamp, String> {
        if let Some(millis) = self.time_of_known_date(text.as_bytes()) {
            return Ok(Timestamp::from_millis(millis));
        }
        let time: Timestamp = text.parse()?;
        if let (24, Some(date)) = (text.len(), text.as_bytes().first_chunk()) {
            self.date = *date;
            self.midnight = time.as_millis() - time.as_millis().rem_euclid(86_400_000);
        }
        Ok(time)
    }

    /// The contract's own form, on the date of the event before.
    fn time_of_known_date(&self, text: &[u8]) -> Option<i64> {
        let number = |from: usize, to: usize| {
            text[from..to].iter().try_fold(0_i64, |number, digit| {
                digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0'))
            })
        };
        let in_form = text.len() == 24
            && text[..DATE_BYTES] == self.date
            && (text[10], text[13], text[16], text[19], text[23]) == (b'T', b':', b':', b'.', b'Z');
        if !in_form {
            return None;
        }
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let in_range = hour < 24 && minute < 60 && second < 60;
        let seconds = (hour * 60 + minute) * 60 + second;
        in_range.then_some(self.midnight + seconds * 1000 + number(20, 23)?)
    }
}

impl Envelope {
    fn into_event(self) -> Result<Event, String> {
        let missing = |name: &str| format!("the envelope has no `{name}`");
        let [trace_id, schema_version, source, correlation, partition, session, parent] =
            self.texts;
        let mut event = Event::new(
            self.event_type.ok_or_else(|| missing("event_type"))?,
            trace_id.unwrap_or_default(),
            self.time.ok_or_else(|| missing("ingest_timestamp"))?,
        );
        event.payload = self.payload.ok_or_else(|| missing("payload"))?;
        event.schema_version = schema_version.unwrap_or(event.schema_version);
        event.source = source.unwrap_or(event.source);
        event.correlation_id = correlation;
        event.partition_key = partition;
        event.session_id = session;
        event.parent_event_id = parent;
        Ok(event)
    }
}

/// A long string is kept as numbers where it is an id, and needs no allocation then.
fn text_of(text: &str) -> Text {
    let id = if text.len() > INLINE_BYTES { Text::parse_stamped(text) } else { None };
    id.unwrap_or_else(|| Text::from(text))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::JsonWriter;
    use proptest::prelude::*;
    use serde_json::json;

    /// Strings with what JSON must escape, ids, and every plane of Unicode.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![".*", "[\\x00-\\x20\"\\\\/]{0,8}", "(TR|RCP|X)_[0-9]{1,10}_[0-9]{1,20}"]
    }

    fn json_value() -> impl Strategy<Value = serde_json::Value> {
        let float = any::<f64>().prop_filter("finite", |number| number.is_finite());
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(|value| json!(value)),
            any::<i64>().prop_map(|number| json!(number)),
            float.prop_map(|number| json!(number)),
            (-1_000_000_i64..1_000_000).prop_map(|cents| json!(cents as f64 / 100.0)),
            text().prop_map(|text| json!(text)),
        ];
        leaf.prop_recursive(4, 24, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(|values| json!(values)),
                object(inner),
            ]
        })
    }

    fn object(
        value: impl Strategy<Value = serde_json::Value>,
    ) -> impl Strategy<Value = serde_json::Value> {
        let name = "[a-z_]{1,6}|[\\x00-\\x7f]{1,3}";
        prop::collection::vec((name, value), 0..6)
            .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect()))
    }

    fn envelope() -> impl Strategy<Value = serde_json::Value> {
        let optional = || prop::option::of(text());
        let links = (optional(), optional(), optional(), optional());
        let times = Timestamp::from_millis(0).as_millis()..4_102_444_800_000;
        (object(json_value()), text(), times, text(), links).prop_map(
            |(payload, trace_id, millis, source, (correlation, partition, session, parent))| {
                json!({
                    "event_type": "receipt_created",
                    "payload": payload,
                    "trace_id": trace_id,
                    "ingest_timestamp": Timestamp::from_millis(millis).to_string(),
                    "schema_version": "1.0",
                    "source": source,
                    "correlation_id": correlation,
                    "partition_key": partition,
                    "session_id": session,
                    "parent_event_id": parent,
                })
            },
        )
    }

    fn read(line: &str) -> Result<Event, String> {
        JsonReader::new().event(line.as_bytes()).map_err(|error| error.to_string())
    }

    proptest! {
        #[test]
        fn reading_and_writing_agree_with_serde_json(envelopes in prop::collection::vec(envelope(), 1..4)) {
            // One reader and one writer for all, so that what they remember is tested too.
            let (mut reader, mut writer) = (JsonReader::new(), JsonWriter::new());
            for envelope in envelopes {
                let line = serde_json::to_string(&envelope).unwrap();
                let event = reader.event(line.as_bytes()).unwrap();
                writer.clear();
                writer.event(&event);
                prop_assert_eq!(std::str::from_utf8(writer.as_bytes()).unwrap(), &line);
                prop_assert_eq!(serde_json::to_string(&event).unwrap(), line);
            }
        }

        #[test]
        fn whatever_serde_json_refuses_is_refused(line in r#"[\[\]{}:,"a0-9.eE+-]{0,12}|\PC*"#) {
            let ours = JsonReader::new().object(line.as_bytes()).is_ok();
            let theirs = serde_json::from_str::<serde_json::Map<_, _>>(&line).is_ok();
            prop_assert_eq!(ours, theirs, "{}", line);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = JsonReader::new().event(&bytes);
            let _ = JsonReader::new().object(&bytes);
        }
    }

    #[test]
    fn a_damaged_envelope_says_what_and_where() {
        let cases = [
            ("", "EOF while parsing a value (column 1)"),
            ("[1]", "expected a JSON object (column 1)"),
            ("{\"event_type\":7}", "`event_type` is not a string (column 15)"),
            ("{\"payload\":[]}", "`payload` is not an object (column 12)"),
            ("{\"colour\":1}", "`colour` is not a key of the envelope (column 11)"),
            ("{\"payload\":{}}", "the envelope has no `event_type` (column 1)"),
            (
                "{\"ingest_timestamp\":\"soon\"}",
                "`soon` is not an instant such as `2024-11-29T10:00:00Z` (column 21)",
            ),
            ("{\"payload\":{\"a\":1e999}}", "number out of range (column 17)"),
        ];
        for (line, message) in cases {
            assert_eq!(read(line).unwrap_err(), message, "{line}");
        }
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let line = format!("{{\"payload\":{{\"a\":{}", "[".repeat(100_000));
        assert!(read(&line).unwrap_err().starts_with("nested more than 64 deep"));
    }

    #[test]
    fn a_time_that_no_clock_shows_is_refused_on_a_known_date_too() {
        let mut reader = JsonReader::new();
        assert!(reader.time("2024-11-29T10:00:00.000Z").is_ok());
        assert_eq!(
            reader.time("2024-11-29T10:00:01.234Z").unwrap().to_string(),
            "2024-11-29T10:00:01.234Z"
        );
        assert!(reader.time("2024-11-29T24:00:00.000Z").is_err());
        assert!(reader.time("2024-11-29T10:00:0x.000Z").is_err());
    }
}
