//! `engine list`, `describe`, `schema` and `render`

use super::SHOP;
use crate::harness::{Test, project};

#[test]
fn components_are_listed_by_kind() {
    Test::new(&["list"]).run().exits(0).prints("retail_mix").prints("console");
    let sinks = Test::new(&["list", "sinks"]).run().exits(0).prints("console");
    sinks.never_says("retail_mix");
    let json = Test::new(&["list", "sources", "--format", "json"]).run().exits(0).json();
    let names: Vec<_> = json.as_array().unwrap().iter().map(|row| row["name"].clone()).collect();
    assert!(names.contains(&"retail_mix".into()), "{names:?}");
    Test::new(&["list", "things"]).run().exits(2).says("things");
}

#[test]
fn a_component_is_described_with_settings_and_example() {
    Test::new(&["describe", "retail_mix"])
        .run()
        .exits(0)
        .prints("retail_mix (source)")
        .prints("emit_interval_ms")
        .prints("500")
        .prints("type: retail_mix");
    let both = Test::new(&["describe", "file"]).run().exits(0);
    both.prints("file (source)").prints("file (sink)");
    Test::new(&["describe", "sink/file"]).run().exits(0).never_says("file (source)");
    let json = Test::new(&["describe", "console", "--format", "json"]).run().exits(0).json();
    assert_eq!(json[0]["kind"], "sink");
    assert!(json[0]["settings"]["properties"]["format"].is_object());
}

#[test]
fn an_unknown_component_is_met_with_a_likely_one() {
    Test::new(&["describe", "retail_mx"]).run().exits(2).says("did you mean `retail_mix`?");
    Test::new(&["describe", "sink/consle"]).run().exits(2).says("did you mean `sink/console`?");
    Test::new(&["describe"]).run().exits(2);
}

#[test]
fn every_example_is_a_stage_of_a_pipeline() {
    let json = Test::new(&["describe", "--all", "--format", "json"]).run().exits(0).json();
    for component in json.as_array().unwrap() {
        let example = component["example"].as_str().unwrap();
        assert!(example.contains(component["name"].as_str().unwrap()), "{example}");
    }
}

#[test]
fn schemas_are_printed() {
    let pipeline = Test::new(&["schema"]).run().exits(0);
    assert_eq!(pipeline.stdout, Test::new(&["schema", "pipeline"]).run().exits(0).stdout);
    assert!(pipeline.json()["properties"]["sources"].is_object());
    let event = Test::new(&["schema", "event", "receipt_created"]).run().exits(0);
    let committed = project("schemas/events/receipt_created.json");
    assert_eq!(event.stdout, std::fs::read_to_string(committed).unwrap());
    Test::new(&["schema", "event", "receipt_create"])
        .run()
        .exits(2)
        .says("did you mean `receipt_created`?");
}

#[test]
fn the_effective_spec_is_rendered() {
    let spec =
        SHOP.replace("seed: 42", "seed: '${SEED}'").replace("name: shop", "name: '${file:s}'");
    Test::new(&["render", "shop.yaml", "--set", "clock.events=7"])
        .env("SEED", "99")
        .file("shop.yaml", &spec)
        .file("s", "hunter2\n")
        .run()
        .exits(0)
        .prints("seed: 99")
        .prints("events: 7")
        .prints("name: \"***\"")
        .never_says("hunter2");
    Test::new(&["render", "shop.yaml"])
        .file("shop.yaml", &spec)
        .file("s", "x")
        .run()
        .exits(2)
        .says("`SEED` is not set");
}

#[test]
#[cfg(target_os = "linux")]
fn stdout_that_cannot_be_written_is_a_failure_and_one_that_is_closed_is_none() {
    use std::process::{Command, Stdio};

    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    for (stdout, code) in [(Stdio::from(full), 1), (Stdio::from(closed), 0)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_engine"));
        let status = command.arg("list").stdout(stdout).stderr(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(code));
    }
}
