//! The committed JSON Schema is that of the code, and takes and refuses what the plan does.

use std::path::Path;

use engine::plan::pipeline_schema;
use engine::registry::built_in;
use serde_json::{Value, json};

use crate::{fakes, golden};

#[test]
fn the_pipeline_schema_is_fresh() {
    let schema = pipeline_schema(&built_in());
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    let drift = golden::drift(Path::new("schemas/pipeline.schema.json"), &text);
    assert!(drift.is_none(), "{}", drift.unwrap_or_default());
}

fn spec() -> Value {
    json!({
        "version": 1,
        "x-shared": { "anything": [1] },
        "clock": { "speed": "max", "duration": "1h30m" },
        "dead_letter": "off",
        "sources": { "stores": { "type": "retail_mix", "with": { "burst": 3 } } },
        "enrichers": {
            "big": { "type": "filter", "inputs": "stores", "parallelism": 2, "with": { "condition": "x" } },
        },
        "correlators": null,
        "sinks": { "out": { "type": "console", "inputs": ["big"], "with": { "format": "pretty" } } },
    })
}

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::new(&pipeline_schema(&fakes::components())).unwrap()
}

#[test]
fn the_pipeline_schema_is_a_schema_and_takes_a_sound_spec() {
    let schema = pipeline_schema(&fakes::components());
    assert!(jsonschema::draft202012::meta::is_valid(&schema));
    let errors: Vec<_> = validator().iter_errors(&spec()).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn an_editor_sees_what_the_plan_refuses() {
    let validator = validator();
    for (pointer, wrong) in [
        ("/version", json!(2)),
        ("/clock/speed", json!("fast")),
        ("/clock/duration", json!("5 minutes")),
        ("/sources/stores/type", json!("retail_mx")),
        ("/sources/stores/type", json!("console")),
        ("/sources/stores/with", json!({ "brust": 3 })),
        ("/sources/stores/with/burst", json!("ten")),
        ("/sources/stores/with/burst", json!(0)),
        ("/sources/stores", json!({ "type": "retail_mix", "inputs": ["big"] })),
        ("/enrichers/big/with", json!({})),
        ("/enrichers/big", json!({ "type": "filter", "inputs": ["stores"] })),
        ("/sinks/out", json!({ "type": "console" })),
        ("/sinks/out", json!({ "type": "console", "inputs": ["big"], "parallelism": 2 })),
        ("/sinks/out/with/format", json!("xml")),
        ("/sinks", json!({ "1st": { "type": "console", "inputs": ["big"] } })),
        ("/dead_letter", json!({ "max_event": 3 })),
    ] {
        let mut spec = spec();
        *spec.pointer_mut(pointer).unwrap() = wrong.clone();
        assert!(!validator.is_valid(&spec), "{pointer}: {wrong}");
    }
}

#[test]
fn an_editor_lets_variables_stand_where_numbers_do() {
    let validator = validator();
    for (pointer, variable) in [
        ("/sources/stores/with/burst", json!("${BURST}")),
        ("/clock/duration", json!("${DURATION:-1h}")),
        ("/enrichers/big/parallelism", json!("${CORES}")),
    ] {
        let mut spec = spec();
        *spec.pointer_mut(pointer).unwrap() = variable;
        assert!(validator.is_valid(&spec), "{pointer}");
    }
}

#[test]
fn settings_are_defined_under_their_kind_and_name() {
    let schema = pipeline_schema(&fakes::components());
    for name in ["source_retail_mix", "enricher_rhai", "correlator_rhai", "sink_console"] {
        assert!(schema["$defs"][name]["properties"].is_object(), "{name}");
    }
    let burst = &schema["$defs"]["source_retail_mix"]["properties"]["burst"];
    assert_eq!(burst["default"], 100);
    assert_eq!(burst["description"], "How many events at once.");
}
