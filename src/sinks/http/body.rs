//! Events as bodies of requests: written once, then cut where a body would get too large.

use std::io::{self, Write};
use std::ops::Range;

use bytes::Bytes;
use flate2::write::GzEncoder;

use super::BodyFormat;
use crate::event::{Event, JsonWriter, mix};

/// The events of a batch, each as JSON on a line.
pub(super) struct Lines {
    bytes: Bytes,
    /// Where each line ends, its newline included.
    ends: Vec<usize>,
    format: BodyFormat,
}

impl Lines {
    /// Writes as many events, from the first, as make a body that is not larger than this; at
    /// least one.
    pub(super) fn first_of(events: &[Event], format: BodyFormat, body_bytes_max: usize) -> Self {
        let mut json = JsonWriter::new();
        let mut lines = Self { bytes: Bytes::new(), ends: Vec::new(), format };
        for event in events {
            json.line(event);
            lines.ends.push(json.as_bytes().len());
            let count = lines.ends.len();
            if count == 1 {
                lines.ends.reserve(events.len());
            } else if lines.body_bytes(&(0..count)) > body_bytes_max {
                lines.ends.pop();
                break;
            }
            if format == BodyFormat::Event {
                break;
            }
        }
        lines.bytes = json.into_bytes().into();
        lines
    }

    /// How many events there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// How large the body of these events is.
    pub(super) fn body_bytes(&self, range: &Range<usize>) -> usize {
        let lines = self.span(range).len();
        match self.format {
            BodyFormat::Ndjson => lines,
            // Each newline becomes a comma, but the last, and brackets come around it.
            BodyFormat::Json => lines + 1,
            BodyFormat::Event => lines - 1,
        }
    }

    /// The body of these events; there is at least one.
    pub(super) fn body(&self, range: &Range<usize>) -> Bytes {
        let lines = self.span(range);
        let text = lines.start..lines.end - 1;
        match self.format {
            BodyFormat::Ndjson => self.bytes.slice(lines),
            BodyFormat::Event => self.bytes.slice(text),
            BodyFormat::Json => {
                let mut array = Vec::with_capacity(text.len() + 2);
                array.push(b'[');
                let before = array.len();
                let offset = text.start;
                array.extend_from_slice(&self.bytes[text]);
                for end in &self.ends[range.start..range.end - 1] {
                    array[before + end - 1 - offset] = b',';
                }
                array.push(b']');
                array.into()
            }
        }
    }

    /// What the body says it is.
    pub(super) fn content_type(&self) -> &'static str {
        match self.format {
            BodyFormat::Ndjson => "application/x-ndjson",
            BodyFormat::Json | BodyFormat::Event => "application/json",
        }
    }

    fn span(&self, range: &Range<usize>) -> Range<usize> {
        let start = range.start.checked_sub(1).map_or(0, |before| self.ends[before]);
        let end = range.end.checked_sub(1).map_or(0, |last| self.ends[last]);
        start..end
    }
}

/// A body with gzip.
pub(super) fn packed(body: &[u8]) -> io::Result<Bytes> {
    let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(body)?;
    Ok(packed.finish()?.into())
}

/// A key that is the same for the same body, and another for every other one: 128 bits, far more
/// than the bodies there will be. It keeps nobody from making a collision on purpose.
pub(super) fn idempotency_key(body: &[u8]) -> String {
    let (mut one, mut two) = (mix(body.len() as u64), mix(!(body.len() as u64)));
    for chunk in body.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        let word = u64::from_le_bytes(word);
        one = mix(one ^ word);
        two = mix(two.rotate_left(23).wrapping_add(word));
    }
    format!("{one:016x}{two:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{RECEIPT_CREATED, Text, Timestamp};
    use serde_json::Value;

    fn events(count: usize) -> Vec<Event> {
        let event = |number| {
            let id = Text::from(format!("T{number}"));
            Event::new(RECEIPT_CREATED, id, Timestamp::from_millis(0))
        };
        (0..count).map(event).collect()
    }

    fn ids(body: &[u8], format: BodyFormat) -> Vec<String> {
        let events: Vec<Value> = match format {
            BodyFormat::Json => serde_json::from_slice(body).unwrap(),
            _ => body
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
                .map(|line| serde_json::from_slice(line).unwrap())
                .collect(),
        };
        events.iter().map(|event| event["trace_id"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_event_is_in_one_body_and_no_body_is_larger_than_it_may_be() {
        for format in [BodyFormat::Ndjson, BodyFormat::Json, BodyFormat::Event] {
            let events = events(10);
            let one = Lines::first_of(&events, format, 1).body_bytes(&(0..1));
            for limit in [one, 3 * one, 3 * one + 1, 100 * one] {
                let (mut rest, mut met) = (&events[..], Vec::new());
                while !rest.is_empty() {
                    let lines = Lines::first_of(rest, format, limit);
                    let all = 0..lines.len();
                    let body = lines.body(&all);
                    assert_eq!(body.len(), lines.body_bytes(&all), "{format:?} {all:?}");
                    assert!(body.len() <= limit);
                    let more = Lines::first_of(rest, format, usize::MAX);
                    let is_last = more.len() == lines.len();
                    assert!(is_last || more.body_bytes(&(0..lines.len() + 1)) > limit);
                    met.append(&mut ids(&body, format));
                    rest = &rest[lines.len()..];
                }
                let wanted: Vec<_> = (0..10).map(|number| format!("T{number}")).collect();
                assert_eq!(met, wanted, "{format:?} {limit}");
            }
        }
    }

    #[test]
    fn an_event_that_is_too_large_by_itself_is_alone() {
        assert_eq!(Lines::first_of(&events(3), BodyFormat::Ndjson, 1).len(), 1);
        assert_eq!(Lines::first_of(&[], BodyFormat::Ndjson, 1).len(), 0);
    }

    #[test]
    fn the_key_of_a_body_is_its_own() {
        let keys = [&b"a"[..], b"b", b"a\0", b"", b"12345678", b"123456781"].map(idempotency_key);
        assert_eq!(keys[0], idempotency_key(b"a"));
        let different: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(different.len(), keys.len());
    }
}
