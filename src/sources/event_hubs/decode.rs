//! A message to an event, with what the message knows and the event does not say.

use std::sync::Arc;

use super::OnMalformed;
use super::news::Received;
use crate::event::{Event, Key, Text, TraceIds};
use crate::sources::records::{Format, Parser};
use crate::stage::Failure;

/// Reads messages of one hub.
pub(super) struct Decoder {
    hub: String,
    parser: Parser,
    pub(super) on_malformed: OnMalformed,
    trace_ids: TraceIds,
}

/// A message that is no event.
pub(super) struct Malformed {
    pub(super) text: String,
    /// Such as `retail-events/0:17`.
    pub(super) origin: String,
    pub(super) failure: Failure,
}

impl Decoder {
    pub(super) fn new(
        hub: &str,
        format: Format,
        event_type: Key,
        time_field: Option<Key>,
        on_malformed: OnMalformed,
        trace_ids: TraceIds,
    ) -> Self {
        let parser = Parser::new(format, event_type, time_field);
        Self { hub: hub.to_owned(), parser, on_malformed, trace_ids }
    }

    /// The event of a message.
    pub(super) fn event(
        &mut self,
        partition: &Arc<str>,
        message: Received,
    ) -> Result<Event, Malformed> {
        let Received { sequence, enqueued, key, body, .. } = message;
        let mut event = self.parser.event(&body, || enqueued).map_err(|error| {
            let reason = format!("{} (column {})", error.message, error.offset + 1);
            Malformed {
                text: String::from_utf8_lossy(&body).into_owned(),
                origin: format!("{}/{partition}:{sequence}", self.hub),
                failure: Failure::new("malformed", reason),
            }
        })?;
        if event.trace_id == "" {
            event.trace_id = self.trace_id(partition, sequence, &event);
        }
        if event.partition_key.is_none() {
            event.partition_key = key.map(|key| Text::from(key.as_str()));
        }
        Ok(event)
    }

    /// An id that is this message's, whoever reads it and whenever.
    fn trace_id(&self, partition: &str, sequence: i64, event: &Event) -> Text {
        let number = partition.parse().unwrap_or(0).min(TraceIds::CELL_MAX);
        let mut trace_ids = self.trace_ids.cell(number);
        trace_ids.go_on_from(sequence as u64);
        trace_ids.next(event.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timestamp;

    fn decoder(format: Format) -> Decoder {
        let key = Key::intern("record").unwrap();
        let on_malformed = OnMalformed::DeadLetter;
        Decoder::new("retail-events", format, key, None, on_malformed, TraceIds::new(7, 1))
    }

    fn message(sequence: i64, body: &str) -> Received {
        let enqueued = Timestamp::from_millis(5_000);
        Received { sequence, enqueued, body: body.into(), ..Received::default() }
    }

    fn event(partition: &str, message: Received) -> Event {
        let event = decoder(Format::Auto).event(&partition.into(), message);
        event.unwrap_or_else(|malformed| panic!("{:?}", malformed.failure))
    }

    #[test]
    fn an_envelope_stays_as_it_is() {
        let envelope = r#"{"event_type":"x","payload":{"a":1},"trace_id":"T1","partition_key":"k","ingest_timestamp":"2024-11-29T10:00:00Z"}"#;
        let read = event("0", Received { key: Some("other".into()), ..message(3, envelope) });
        assert_eq!(read.trace_id, "T1");
        assert_eq!(read.partition_key, Some(Text::from("k")));
        assert_eq!(read.time.to_string(), "2024-11-29T10:00:00.000Z");
    }

    #[test]
    fn an_object_gets_time_and_key_of_its_message() {
        let read = event("0", Received { key: Some("k".into()), ..message(3, r#"{"a":1}"#) });
        assert_eq!(read.time, Timestamp::from_millis(5_000));
        assert_eq!(read.partition_key, Some(Text::from("k")));
    }

    #[test]
    fn an_id_follows_from_partition_and_sequence() {
        let id = |partition, sequence| event(partition, message(sequence, "{}")).trace_id;
        assert_eq!(id("0", 3), id("0", 3));
        assert_ne!(id("0", 3), id("0", 4));
        assert_ne!(id("0", 3), id("1", 3));
    }

    #[test]
    fn what_is_no_event_is_named_with_its_place() {
        let malformed = decoder(Format::Auto).event(&"2".into(), message(17, "{\"a\" 1}"));
        let malformed = malformed.err().unwrap();
        assert_eq!(malformed.origin, "retail-events/2:17");
        assert!(malformed.failure.reason.ends_with("(column 6)"), "{:?}", malformed.failure);
    }
}
