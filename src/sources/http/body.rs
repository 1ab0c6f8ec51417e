//! A body to events: JSON lines, a JSON array, or one object.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use serde_json::value::RawValue;

use super::super::records::Parser;
use crate::event::{Event, JsonError, Timestamp};

/// What is in a body.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// In the order of their times.
    pub(super) events: Vec<Event>,
    /// What is no event.
    pub(super) faults: Vec<BodyFault>,
}

/// A place in a body at which there is no event.
#[derive(Debug, PartialEq, serde::Serialize)]
pub(super) struct BodyFault {
    /// From 1.
    pub(super) line: usize,
    /// In bytes, from 1.
    pub(super) column: usize,
    /// What is wrong.
    pub(super) message: String,
    /// What stands there.
    #[serde(skip)]
    pub(super) text: String,
}

/// Unpacks a body with gzip, if it is not larger than this; none if it is.
pub(super) fn unpacked(packed: &[u8], bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    MultiGzDecoder::new(packed).take(bytes_max as u64 + 1).read_to_end(&mut body)?;
    Ok((body.len() <= bytes_max).then_some(body))
}

/// Reads a body; `now` is the time of what says none itself.
pub(super) fn read(body: &[u8], parser: &mut Parser, now: Timestamp) -> Contents {
    let mut reading = Reading { body, parser, now, contents: Contents::default() };
    match serde_json::from_slice::<&RawValue>(body) {
        Ok(whole) if whole.get().starts_with('[') => {
            // It is sound, so it can be taken apart.
            let items: Vec<&RawValue> = serde_json::from_str(whole.get()).unwrap_or_default();
            for item in items {
                reading.record(item.get().as_bytes());
            }
        }
        Ok(whole) => reading.record(whole.get().as_bytes()),
        Err(error) if body.trim_ascii_start().starts_with(b"[") => {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default().to_owned();
            let (line, column) = (error.line(), error.column().max(1));
            reading.contents.faults.push(BodyFault { line, column, message, text: String::new() });
        }
        Err(_) => {
            let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
            for line in lines.filter(|line| !line.is_empty()) {
                reading.record(line);
            }
        }
    }
    let mut contents = reading.contents;
    contents.events.sort_by_key(|event| event.time);
    contents
}

struct Reading<'a> {
    body: &'a [u8],
    parser: &'a mut Parser,
    now: Timestamp,
    contents: Contents,
}

impl Reading<'_> {
    /// A record, which is a part of the body.
    fn record(&mut self, text: &[u8]) {
        match self.parser.event(text, || self.now) {
            Ok(event) => self.contents.events.push(event),
            Err(error) => {
                let fault = self.fault(text, error);
                self.contents.faults.push(fault);
            }
        }
    }

    fn fault(&self, text: &[u8], error: JsonError) -> BodyFault {
        let start = text.as_ptr() as usize - self.body.as_ptr() as usize;
        let offset = (start + error.offset).min(self.body.len());
        let before = &self.body[..offset];
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        let text = String::from_utf8_lossy(text).into_owned();
        BodyFault { line, column: offset - line_start + 1, message: error.message, text }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::records::Format;
    use super::*;
    use crate::event::Key;

    fn contents(body: &str) -> Contents {
        let mut parser = Parser::new(Format::Auto, Key::intern("record").unwrap(), None);
        read(body.as_bytes(), &mut parser, Timestamp::from_millis(5))
    }

    #[test]
    fn a_body_is_lines_or_an_array_or_an_object() {
        for (body, count) in [
            ("{\"a\":1}\n\r\n{\"a\":2}\r\n", 2),
            (" [ {\"a\":1},\n {\"a\":2} ]\n", 2),
            ("{\n  \"a\": [\n 1 ]\n}\n", 1),
            ("{\"a\":1}", 1),
            ("[]", 0),
            ("", 0),
        ] {
            let contents = contents(body);
            assert_eq!((contents.events.len(), contents.faults.len()), (count, 0), "{body}");
        }
    }

    #[test]
    fn what_is_no_event_is_named_with_its_place() {
        let places = |body| {
            let faults = contents(body).faults;
            faults.into_iter().map(|fault| (fault.line, fault.column)).collect::<Vec<_>>()
        };
        assert_eq!(places("{\"a\":1}\n{\"a\" 2}\n\n[3]\n"), [(2, 6), (4, 1)]);
        assert_eq!(places("[\n{\"a\":1},\n  7]"), [(3, 3)]);
        assert_eq!(places("[{\"a\":1},\n{\"a\" 2}]"), [(2, 6)]);
        assert_eq!(places("7"), [(1, 1)]);
    }

    #[test]
    fn a_body_that_unpacks_to_too_much_is_not_unpacked() {
        let mut packed =
            flate2::read::GzEncoder::new(&[b' '; 100][..], flate2::Compression::default());
        let mut bytes = Vec::new();
        packed.read_to_end(&mut bytes).unwrap();
        assert_eq!(unpacked(&bytes, 100).unwrap().map(|body| body.len()), Some(100));
        assert_eq!(unpacked(&bytes, 99).unwrap(), None);
        assert!(unpacked(&bytes[..bytes.len() - 9], 100).is_err());
    }
}
