//! Stages that are plugins of this very program, so that nothing is loaded.

mod correlator;
mod enricher;
mod sink;
mod source;

use engine_plugin::boundary::Exported;
use engine_plugin::host;
use serde_json::Value as Json;

use super::stage::build;
use crate::component::BuildContext;
use crate::event::{Event, JsonReader, TraceIds};
use crate::spec::{Document, Environment, Shard};
use crate::stage::Stage;

/// The stage of a plugin.
fn stage(plugin: Exported, settings: Json) -> Stage {
    let descriptor = host::exported(plugin).unwrap();
    let document = Document::parse("test.yaml", "{}", "", &Environment::of_process()).unwrap();
    let cx = BuildContext {
        stage: "tested",
        seed: 1,
        shard: Shard::WHOLE,
        trace_ids: TraceIds::new(1, 0),
        document: &document,
        pointer: "/x/tested".to_owned(),
    };
    match build(&descriptor, settings, &cx) {
        Ok(stage) => stage,
        Err(problems) => panic!("{problems}"),
    }
}

/// An event with this payload, at this millisecond.
#[expect(clippy::needless_pass_by_value, reason = "a payload is written where it is used")]
fn event(ms: i64, payload: Json) -> Event {
    let time = crate::event::Timestamp::from_millis(ms);
    let line = serde_json::json!({
        "event_type": "receipt_created", "payload": payload, "trace_id": format!("T{ms}"),
        "ingest_timestamp": time.to_string(), "partition_key": "store_1",
    });
    JsonReader::new().event(line.to_string().as_bytes()).unwrap()
}
