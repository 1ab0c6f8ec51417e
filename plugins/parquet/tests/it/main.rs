//! The sink writes, and readers read: the one of the same library, and others that nobody here wrote.

mod columns;
mod files;
mod foreign;
mod property;
mod reading;
mod trial;

use serde_json::{Value, json};

/// A receipt at 2024-11-29T09:30:00Z with these facts.
fn receipt(trace_id: &str, payload: Value) -> Value {
    event("receipt_created", "2024-11-29T09:30:00Z", trace_id, payload)
}

fn event(event_type: &str, time: &str, trace_id: &str, payload: Value) -> Value {
    let mut event = json!({
        "event_type": event_type,
        "trace_id": trace_id,
        "ingest_timestamp": time,
        "schema_version": "1.0",
        "source": "retail-datagen",
        "correlation_id": null,
        "partition_key": "store_1",
        "session_id": null,
        "parent_event_id": null,
    });
    event["payload"] = payload;
    event
}
