//! Events to JSON: one pass, no tree, the bytes that `serde_json` would write.

use super::digits::UpperDigits;
use super::escape::{is_plain, must_be_escaped};
use super::out_buffer::{OutBuffer, Piece};
use super::timestamp::{Rendered, render_millis};
use super::{Event, Fields, Key, Prefix, Text, Timestamp, Value, names};

/// How every event begins.
const START: Piece<16> = Piece::new("{\"event_type\"").unwrap();

/// Writes events to a buffer that is kept from batch to batch.
pub struct JsonWriter {
    out: OutBuffer,
    /// Events come in order of time, so the last second's text serves the next event too.
    second: i64,
    rendered: Rendered,
    upper_second: UpperDigits,
    upper_sequence: UpperDigits,
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
        Self {
            out: OutBuffer::default(),
            second: 0,
            rendered: epoch.render(),
            upper_second: UpperDigits::new(),
            upper_sequence: UpperDigits::new(),
        }
    }

    /// What was written since the buffer was last taken or cleared.
    pub fn as_bytes(&self) -> &[u8] {
        self.out.as_bytes()
    }

    /// Forgets what was written, and keeps the memory.
    pub fn clear(&mut self) {
        self.out.len = 0;
    }

    /// Forgets the first bytes of what was written, and keeps the rest.
    pub fn forget(&mut self, bytes: usize) {
        self.out.forget(bytes);
    }

    /// Takes what was written.
    pub fn take(&mut self) -> Vec<u8> {
        self.out.take()
    }

    /// What was written.
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.out.take()
    }

    /// Writes an event and the end of the line.
    pub fn line(&mut self, event: &Event) {
        self.event(event);
        self.out.len = self.out.slice(self.out.len, b"\n");
    }

    /// Writes an event as one JSON object.
    pub fn event(&mut self, event: &Event) {
        let mut at = self.out.len;
        let mut window = self.out.window(at);
        window.piece(&START);
        at += window.len;
        // The type is a name in the place of a value: the next comma takes that of its colon.
        at = self.key(at, b':', event.event_type) - 1;
        at = self.key(at, b',', names::PAYLOAD);
        at = self.put_fields(at, &event.payload);
        at = self.key(at, b',', names::TRACE_ID);
        at = self.text(at, &event.trace_id);
        at = self.key(at, b',', names::INGEST_TIMESTAMP);
        at = self.time(at, event.time);
        at = self.key(at, b',', names::SCHEMA_VERSION);
        at = self.text(at, &event.schema_version);
        at = self.key(at, b',', names::SOURCE);
        at = self.text(at, &event.source);
        at = self.link(at, names::CORRELATION_ID, event.correlation_id.as_ref());
        at = self.link(at, names::PARTITION_KEY, event.partition_key.as_ref());
        at = self.link(at, names::SESSION_ID, event.session_id.as_ref());
        at = self.link(at, names::PARENT_EVENT_ID, event.parent_event_id.as_ref());
        self.out.len = self.put(at, *b"}", 1);
    }

    /// Writes a payload or any other object.
    pub fn fields(&mut self, fields: &Fields) {
        self.out.len = self.put_fields(self.out.len, fields);
    }

    /// Writes a single value.
    pub fn value(&mut self, value: &Value) {
        self.out.len = self.put_value(self.out.len, value);
    }

    fn put_fields(&mut self, mut at: usize, fields: &Fields) -> usize {
        let mut before = b'{';
        for (key, value) in fields.iter() {
            at = self.key(at, before, key);
            at = self.put_value(at, value);
            before = b',';
        }
        if fields.is_empty() {
            at = self.put(at, *b"{", 1);
        }
        self.put(at, *b"}", 1)
    }

    #[inline]
    fn put<const N: usize>(&mut self, at: usize, chunk: [u8; N], len: usize) -> usize {
        self.out.window(at).chunk(chunk, len);
        at + len
    }

    /// Writes what stands before a name, the name, and a colon.
    #[inline]
    fn key(&mut self, at: usize, before: u8, key: Key) -> usize {
        match &key.0.piece {
            Some(piece) => {
                let mut window = self.out.window(at);
                window.piece_from(before, piece);
                at + window.len
            }
            None => self.long_key(at, before, key),
        }
    }

    #[cold]
    fn long_key(&mut self, at: usize, before: u8, key: Key) -> usize {
        let at = self.put(at, [before], 1);
        self.out.slice(at, key.encoded().as_bytes())
    }

    #[expect(clippy::inline_always, reason = "called for every field; 4 % of all writing")]
    #[inline(always)]
    fn put_value(&mut self, at: usize, value: &Value) -> usize {
        match value {
            Value::Bool(true) => self.put(at, *b"true", 4),
            Value::Bool(false) => self.put(at, *b"false", 5),
            Value::Int(number) => self.integer(at, *number),
            Value::Float(number) if number.is_finite() => self.float(at, *number),
            // JSON has no word for the floats that are no numbers.
            Value::Null | Value::Float(_) => self.put(at, *b"null", 4),
            Value::Text(text) => self.text(at, text),
            Value::Time(time) => self.time(at, *time),
            Value::List(values) => self.list(at, values),
            Value::Map(fields) => self.put_fields(at, fields),
        }
    }

    #[inline]
    fn integer(&mut self, at: usize, number: i64) -> usize {
        let mut window = self.out.window(at);
        if number < 0 {
            window.byte(b'-');
        }
        if window.decimal(number.unsigned_abs()) {
            return at + window.len;
        }
        let at = at + window.len;
        self.long_decimal(at, number.unsigned_abs())
    }

    #[inline(never)]
    fn long_decimal(&mut self, at: usize, number: u64) -> usize {
        self.out.slice(at, itoa::Buffer::new().format(number).as_bytes())
    }

    fn float(&mut self, at: usize, number: f64) -> usize {
        let mut window = self.out.window(at);
        if window.money(number) {
            return at + window.len;
        }
        self.any_float(at, number)
    }

    #[inline(never)]
    fn any_float(&mut self, at: usize, number: f64) -> usize {
        self.out.slice(at, zmij::Buffer::new().format_finite(number).as_bytes())
    }

    fn list(&mut self, mut at: usize, values: &[Value]) -> usize {
        let mut before = b'[';
        for value in values {
            at = self.put(at, [before], 1);
            at = self.put_value(at, value);
            before = b',';
        }
        if values.is_empty() {
            at = self.put(at, *b"[", 1);
        }
        self.put(at, *b"]", 1)
    }

    #[inline]
    fn link(&mut self, at: usize, key: Key, text: Option<&Text>) -> usize {
        let at = self.key(at, b',', key);
        match text {
            Some(text) => self.text(at, text),
            None => self.put(at, *b"null", 4),
        }
    }

    #[inline]
    fn text(&mut self, at: usize, text: &Text) -> usize {
        match text {
            Text::Plain(text) => self.string(at, text),
            Text::Numbered { prefix, number } => self.numbered(at, *prefix, *number),
            Text::Stamped { prefix, second, sequence } => {
                self.stamped(at, *prefix, *second, *sequence)
            }
        }
    }

    /// The prefixes of ids are the engine's own: nothing in them needs an escape.
    #[inline(never)]
    fn numbered(&mut self, at: usize, prefix: Prefix, number: u64) -> usize {
        let mut window = self.out.window(at);
        window.piece(prefix.quoted());
        if window.decimal(number) {
            window.byte(b'"');
            return at + window.len;
        }
        let at = at + window.len;
        let at = self.long_decimal(at, number);
        self.put(at, *b"\"", 1)
    }

    #[inline(never)]
    fn stamped(&mut self, at: usize, prefix: Prefix, second: u32, sequence: u64) -> usize {
        let mut window = self.out.window(at);
        window.piece(prefix.quoted());
        window.second(second, &mut self.upper_second);
        window.byte(b'_');
        window.sequence(sequence, &mut self.upper_sequence);
        window.byte(b'"');
        at + window.len
    }

    fn time(&mut self, at: usize, time: Timestamp) -> usize {
        if time.as_seconds() == self.second {
            render_millis(&mut self.rendered, time);
        } else {
            self.second = time.as_seconds();
            self.rendered = time.render();
        }
        let mut window = self.out.window(at);
        window.byte(b'"');
        window.chunk(self.rendered, 24);
        window.byte(b'"');
        at + window.len
    }

    #[inline(never)]
    fn string(&mut self, at: usize, text: &str) -> usize {
        let mut window = self.out.window(at);
        window.byte(b'"');
        if !window.plain(text.as_bytes()) {
            return self.long_or_escaped(at, text.as_bytes());
        }
        window.byte(b'"');
        at + window.len
    }

    #[inline(never)]
    fn long_or_escaped(&mut self, at: usize, mut rest: &[u8]) -> usize {
        let mut at = self.put(at, *b"\"", 1);
        while !is_plain(rest)
            && let Some(place) = rest.iter().position(|byte| must_be_escaped(*byte))
        {
            at = self.out.slice(at, &rest[..place]);
            at = self.escape(at, rest[place]);
            rest = &rest[place + 1..];
        }
        at = self.out.slice(at, rest);
        self.put(at, *b"\"", 1)
    }

    fn escape(&mut self, at: usize, byte: u8) -> usize {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let letter = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            _ => {
                let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                return self.put(at, [b'\\', b'u', b'0', b'0', digits[0], digits[1]], 6);
            }
        };
        self.put(at, [b'\\', letter], 2)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{PREFIXES, RECEIPT_CREATED, TR};
    use super::*;
    use proptest::prelude::*;

    /// The value as both write it: ours, and what `serde_json` makes of it.
    fn written(value: &Value) -> (String, String) {
        let mut writer = JsonWriter::new();
        writer.value(value);
        let ours = String::from_utf8(writer.into_bytes()).unwrap();
        (ours, serde_json::to_string(value).unwrap())
    }

    proptest! {
        #[test]
        fn a_whole_number_of_any_length_is_written_as_serde_json_does(
            number: i64,
            shorter in 0..64,
        ) {
            let (ours, theirs) = written(&Value::Int(number >> shorter));
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn money_is_written_as_serde_json_does_and_so_are_its_neighbours(
            cents: i64,
            shorter in 0..64,
            beside in -2..=2_i64,
        ) {
            let money = (cents >> shorter) as f64 / 100.0;
            let number = f64::from_bits(money.to_bits().wrapping_add_signed(beside));
            let (ours, theirs) = written(&Value::Float(number));
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn a_byte_that_must_be_escaped_is_found_wherever_it_stands(
            text in prop_oneof!["[ -~]{0,8}", "[ -~\u{80}-\u{10ffff}]{0,40}"],
            place: prop::sample::Index,
            unusual in 0..=0x80_u8,
        ) {
            let mut text: Vec<char> = text.chars().collect();
            text.insert(place.index(text.len() + 1), unusual.into());
            let text = text.into_iter().collect::<String>();
            let (ours, theirs) = written(&Value::Text(Text::from(text)));
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn ids_one_after_the_other_are_written_as_they_read(
            ids in prop::collection::vec((0..13_usize, any::<u32>(), any::<u64>(), 0..64), 1..9),
        ) {
            let mut writer = JsonWriter::new();
            for (prefix, second, number, shorter) in ids {
                let prefix = Prefix::find(PREFIXES[prefix]).unwrap();
                let (second, number) = (i64::from(second >> (shorter / 2)), number >> shorter);
                for id in [Text::stamped(prefix, second, number), Text::numbered(prefix, number)] {
                    writer.clear();
                    writer.value(&Value::Text(id.clone()));
                    let written = std::str::from_utf8(writer.as_bytes()).unwrap();
                    prop_assert_eq!(written, format!("\"{id}\""));
                }
            }
        }

        #[test]
        fn names_of_any_length_are_written(name in "[a-z\"]{0,60}") {
            let fields = Fields::from_iter([(Key::intern(&name).unwrap(), Value::Bool(true))]);
            let mut writer = JsonWriter::new();
            writer.fields(&fields);
            let written = std::str::from_utf8(writer.as_bytes()).unwrap();
            prop_assert_eq!(written, serde_json::to_string(&fields).unwrap());
        }
    }

    #[test]
    fn what_was_written_is_taken_whole_and_nothing_with_it() {
        let event = Event::new(RECEIPT_CREATED, Text::numbered(TR, 1), Timestamp::from_millis(0));
        let line = format!("{}\n", serde_json::to_string(&event).unwrap());
        let mut writer = JsonWriter::new();
        for lines in [100, 1, 7] {
            (0..lines).for_each(|_| writer.line(&event));
            assert_eq!(writer.as_bytes(), line.repeat(lines).as_bytes());
            assert_eq!(writer.take(), line.repeat(lines).as_bytes());
            assert!(writer.as_bytes().is_empty());
        }
        writer.line(&event);
        writer.line(&event);
        writer.forget(line.len() + 3);
        assert_eq!(writer.as_bytes(), &line.as_bytes()[3..]);
        writer.forget(usize::MAX);
        assert!(writer.as_bytes().is_empty());
        writer.line(&event);
        writer.clear();
        writer.event(&event);
        assert_eq!(writer.into_bytes(), line.trim_end().as_bytes());
    }
}
