//! How many bytes an event is when it is sent: its JSON, and what AMQP needs round it.

use crate::event::{Event, Text};

/// A descriptor of a section: a zero, the code of a small number, the number.
const DESCRIPTOR: u64 = 3;
/// The head of a list or map of less than 256 bytes: its code, its size, its count.
const COMPOUND: u64 = 3;

/// The size of an event in a batch, with `json` bytes of body.
///
/// By part 1.6 and 3.2 of the AMQP 1.0 standard, of the sections that the sink writes: the partition
/// key as an annotation; message id, correlation id and content type; the event's type and trace id
/// as properties; the body. A batch holds each such message in a section of its own.
pub(super) fn bytes(event: &Event, json: u64) -> u64 {
    data(around_body(event) + data(json))
}

/// The size of all but the body. The client gives those of its first event to a batch, too.
pub(super) fn around_body(event: &Event) -> u64 {
    let key = event.partition_key.as_ref().map_or(0, |key| {
        DESCRIPTOR + COMPOUND + text("x-opt-partition-key".len() as u64) + text(length(key))
    });
    let id = text(length(&event.trace_id));
    let correlation = event.correlation_id.as_ref().map_or(1, |id| text(length(id)));
    // Between message id and correlation id are four fields that are null.
    let properties =
        DESCRIPTOR + COMPOUND + id + 4 + correlation + text("application/json".len() as u64);
    let event_type = text("event_type".len() as u64) + text(event.event_type.as_str().len() as u64);
    let trace_id = text("trace_id".len() as u64) + id;
    let application = DESCRIPTOR + COMPOUND + event_type + trace_id;
    key + properties + application
}

/// A section of bytes.
fn data(bytes: u64) -> u64 {
    DESCRIPTOR + text(bytes)
}

/// Text, a symbol or bytes: a code and a length before them.
fn text(bytes: u64) -> u64 {
    bytes + if bytes < 256 { 2 } else { 5 }
}

fn length(text: &Text) -> u64 {
    text.with_str(|text| text.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{RECEIPT_CREATED, Timestamp};

    #[test]
    fn the_size_is_that_of_the_encoded_message() {
        let mut event = Event::new(RECEIPT_CREATED, Text::from("TR_1"), Timestamp::from_millis(0));
        // Properties: 6 and 6 of the id, 4 nulls, a null, 18 of the content type. Application
        // properties: 6, 12 and 17, 10 and 6. Body: 3 and 2 and 100. Round all of it 3 and 2.
        assert_eq!(bytes(&event, 100), 35 + 51 + 105 + 5);
        event.partition_key = Some(Text::from("s1"));
        event.correlation_id = Some(Text::from("RCP"));
        // An annotation of 6, 21 and 4, and 5 of the correlation id in place of a null. With a body
        // of 300 both lengths round it take three bytes more.
        assert_eq!(bytes(&event, 100), 35 + 4 + 51 + 105 + 31 + 5);
        assert_eq!(bytes(&event, 300), 35 + 4 + 51 + 308 + 31 + 8);
    }
}
