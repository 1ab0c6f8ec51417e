//! The sink against a real server.

mod access;
mod look;
mod outage;
mod publishing;
mod refusals;
mod server;
mod trial;

use serde_json::{Value, json};

/// A receipt with this number, in this store.
fn receipt(number: usize, store: &str) -> Value {
    event("receipt_created", number, &json!({ "store_id": store, "total": 1.5 }))
}

fn event(event_type: &str, number: usize, payload: &Value) -> Value {
    json!({ "event_type": event_type, "trace_id": format!("TR_{number}"), "payload": payload })
}

fn receipts(numbers: std::ops::Range<usize>) -> Vec<Value> {
    numbers.map(|number| receipt(number, "1")).collect()
}

/// The ids of events, in order.
fn ids(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("TR_{number}")).collect()
}

/// Settings for a server, with a stream that is made.
fn settings(url: &str) -> Value {
    json!({
        "servers": [url],
        "subject": "retail.{event_type}",
        "stream": { "name": "RETAIL", "create": true },
    })
}
