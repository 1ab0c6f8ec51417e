//! How much memory an event takes up, for queues that are bounded by bytes.

use super::{Event, Fields, Key, Text, Value};

impl Event {
    /// About how many bytes of memory the event takes up, with what it points to. What the
    /// allocator adds is left out, and so are texts of up to 24 bytes, which are in place.
    pub fn memory_bytes(&self) -> usize {
        let links =
            [&self.correlation_id, &self.partition_key, &self.session_id, &self.parent_event_id];
        size_of::<Self>()
            + of_fields(&self.payload)
            + [&self.trace_id, &self.schema_version, &self.source]
                .map(of_text)
                .iter()
                .sum::<usize>()
            + links.into_iter().flatten().map(of_text).sum::<usize>()
    }
}

fn of_fields(fields: &Fields) -> usize {
    fields.capacity() * size_of::<(Key, Value)>()
        + fields.iter().map(|(_, value)| of_value(value)).sum::<usize>()
}

fn of_value(value: &Value) -> usize {
    match value {
        Value::Text(text) => of_text(text),
        Value::List(values) => {
            size_of::<Vec<Value>>()
                + values.capacity() * size_of::<Value>()
                + values.iter().map(of_value).sum::<usize>()
        }
        Value::Map(fields) => size_of::<Fields>() + of_fields(fields),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Time(_) => 0,
    }
}

fn of_text(text: &Text) -> usize {
    match text {
        Text::Plain(text) if text.is_heap_allocated() => text.capacity(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{RECEIPT_CREATED, STORE_ID, Timestamp};
    use super::*;

    #[test]
    fn what_an_event_points_to_counts() {
        let mut event = Event::new(RECEIPT_CREATED, Text::from("TR_1"), Timestamp::MIN);
        assert_eq!(event.memory_bytes(), size_of::<Event>());
        event.payload.set(STORE_ID, Text::from("x".repeat(1000)));
        assert!((1000..3000).contains(&(event.memory_bytes() - size_of::<Event>())));
        let list = Value::from(vec![Value::Int(1); 100]);
        let before = event.memory_bytes();
        event.payload.set(STORE_ID, list);
        assert!(
            (1400..before + 2400).contains(&(event.memory_bytes())),
            "{}",
            event.memory_bytes()
        );
    }
}
