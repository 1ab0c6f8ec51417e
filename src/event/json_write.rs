//! Events to JSON: one pass, no tree, the bytes that `serde_json` would write.

use super::timestamp::{Rendered, render_millis};
use super::{Event, Fields, Key, Text, Timestamp, Value, names};

/// Writes events to a buffer that is kept from batch to batch.
pub struct JsonWriter {
    out: Vec<u8>,
    /// Events come in order of time, so the last second's text serves the next event too.
    second: i64,
    rendered: Rendered,
}

impl Default for JsonWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl JsonWriter {
    /// A writer with an empty buffer.
    pub fn new() -> Self {
        let epoch = Timestamp::from_millis(0);
        Self { out: Vec::new(), second: 0, rendered: epoch.render() }
    }

    /// What was written since the buffer was last taken or cleared.
    pub fn as_bytes(&self) -> &[u8] {
        &self.out
    }

    /// Forgets what was written, and keeps the memory.
    pub fn clear(&mut self) {
        self.out.clear();
    }

    /// Takes what was written.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// Writes an event and the end of the line.
    pub fn line(&mut self, event: &Event) {
        self.event(event);
        self.out.push(b'\n');
    }

    /// Writes an event as one JSON object.
    pub fn event(&mut self, event: &Event) {
        self.out.push(b'{');
        self.key(names::EVENT_TYPE);
        self.string(event.event_type.as_str());
        self.next(names::PAYLOAD);
        self.fields(&event.payload);
        self.next(names::TRACE_ID);
        self.text(&event.trace_id);
        self.next(names::INGEST_TIMESTAMP);
        self.time(event.time);
        self.next(names::SCHEMA_VERSION);
        self.text(&event.schema_version);
        self.next(names::SOURCE);
        self.text(&event.source);
        self.next(names::CORRELATION_ID);
        self.optional(event.correlation_id.as_ref());
        self.next(names::PARTITION_KEY);
        self.optional(event.partition_key.as_ref());
        self.next(names::SESSION_ID);
        self.optional(event.session_id.as_ref());
        self.next(names::PARENT_EVENT_ID);
        self.optional(event.parent_event_id.as_ref());
        self.out.push(b'}');
    }

    /// Writes a payload or any other object.
    pub fn fields(&mut self, fields: &Fields) {
        self.out.push(b'{');
        for (place, (key, value)) in fields.iter().enumerate() {
            if place > 0 {
                self.out.push(b',');
            }
            self.key(key);
            self.value(value);
        }
        self.out.push(b'}');
    }

    fn next(&mut self, key: Key) {
        self.out.push(b',');
        self.key(key);
    }

    fn key(&mut self, key: Key) {
        self.out.extend_from_slice(key.encoded().as_bytes());
    }

    /// Writes a single value.
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Bool(true) => self.out.extend_from_slice(b"true"),
            Value::Bool(false) => self.out.extend_from_slice(b"false"),
            Value::Int(number) => {
                self.out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes());
            }
            Value::Float(number) if number.is_finite() => {
                self.out.extend_from_slice(zmij::Buffer::new().format_finite(*number).as_bytes());
            }
            // JSON has no word for the floats that are no numbers.
            Value::Null | Value::Float(_) => self.out.extend_from_slice(b"null"),
            Value::Text(text) => self.text(text),
            Value::Time(time) => self.time(*time),
            Value::List(values) => {
                self.out.push(b'[');
                for (place, value) in values.iter().enumerate() {
                    if place > 0 {
                        self.out.push(b',');
                    }
                    self.value(value);
                }
                self.out.push(b']');
            }
            Value::Map(fields) => self.fields(fields),
        }
    }

    fn optional(&mut self, text: Option<&Text>) {
        match text {
            Some(text) => self.text(text),
            None => self.out.extend_from_slice(b"null"),
        }
    }

    fn text(&mut self, text: &Text) {
        match text {
            Text::Plain(text) => self.string(text),
            // The prefixes of ids are the engine's own: nothing in them needs an escape.
            id => {
                self.out.push(b'"');
                id.parts(|part| self.out.extend_from_slice(part));
                self.out.push(b'"');
            }
        }
    }

    fn time(&mut self, time: Timestamp) {
        if time.as_seconds() == self.second {
            render_millis(&mut self.rendered, time);
        } else {
            self.second = time.as_seconds();
            self.rendered = time.render();
        }
        self.out.push(b'"');
        self.out.extend_from_slice(&self.rendered);
        self.out.push(b'"');
    }

    fn string(&mut self, text: &str) {
        self.out.push(b'"');
        if text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
            self.escaped(text);
        } else {
            self.out.extend_from_slice(text.as_bytes());
        }
        self.out.push(b'"');
    }

    #[cold]
    fn escaped(&mut self, text: &str) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        for byte in text.bytes() {
            match byte {
                b'"' => self.out.extend_from_slice(b"\\\""),
                b'\\' => self.out.extend_from_slice(b"\\\\"),
                b'\n' => self.out.extend_from_slice(b"\\n"),
                b'\r' => self.out.extend_from_slice(b"\\r"),
                b'\t' => self.out.extend_from_slice(b"\\t"),
                0x08 => self.out.extend_from_slice(b"\\b"),
                0x0c => self.out.extend_from_slice(b"\\f"),
                0..0x20 => {
                    let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                    self.out.extend_from_slice(b"\\u00");
                    self.out.extend_from_slice(&digits);
                }
                _ => self.out.push(byte),
            }
        }
    }
}
