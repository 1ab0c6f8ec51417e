//! `engine new --plugin`: what it writes passes its own tests, and runs in its own pipeline.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Ended, Test, project};

/// Where the libraries come to be; one folder for all, so that what they depend on is built once.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-plugins")
}

/// Runs cargo in a folder, with the versions of our own dependencies, which are there.
fn cargo(folder: &Path, arguments: &[&str]) {
    std::fs::copy(project("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let run = Command::new(cargo)
        .args(arguments)
        .args(["--offline", "--quiet"])
        .env("CARGO_TARGET_DIR", target())
        .current_dir(folder)
        .output()
        .unwrap();
    let (out, errors) =
        (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "cargo {arguments:?}: {out}{errors}");
}

fn engine(folder: &Path, arguments: &[&str]) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_engine"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "engine {arguments:?}: {errors}");
    String::from_utf8(run.stdout).unwrap()
}

fn new(arguments: &[&str]) -> Ended {
    Test::new(&[&["new", "--plugin"], arguments].concat()).run()
}

/// A plugin in Rust: written, tested, built; what its pipeline says of an hour.
fn rust(name: &str, kind: &str) -> String {
    let ended = new(&[name, "--kind", kind]).exits(0).says("cargo build --release");
    let folder = ended.path(name);
    cargo(&folder, &["test"]);
    cargo(&folder, &["build"]);
    let pipeline = folder.join("pipeline.yaml");
    let text = std::fs::read_to_string(&pipeline).unwrap();
    let built = target().join("debug");
    let text =
        text.replace("plugins: [target/release]", &format!("plugins: [{}]", built.display()));
    std::fs::write(&pipeline, &text).unwrap();
    engine(&folder, &["validate", "--deny-warnings", "pipeline.yaml"]);
    if text.contains("\ntests:") {
        engine(&folder, &["test", "pipeline.yaml"]);
    }
    let output = engine(&folder, &["run", "pipeline.yaml"]);
    let written = folder.join("events.ndjson");
    if written.exists() { std::fs::read_to_string(written).unwrap() } else { output }
}

#[test]
fn a_new_plugin_in_rust_passes_its_tests_and_runs_in_its_pipeline() {
    let baskets = rust("new-baskets", "enricher");
    assert!(baskets.contains(r#""basket":"large""#) && baskets.contains(r#""basket":"small""#));
    let counts = rust("new-counts", "correlator");
    assert!(counts.contains(r#""count":10"#), "{counts}");
    let heartbeats = rust("new-heartbeats", "source");
    assert_eq!(heartbeats.lines().count(), 15);
    assert!(heartbeats.contains(r#""ingest_timestamp":"2024-11-29T15:04:00.000Z""#));
    let lines = rust("new-lines", "sink");
    assert!(lines.contains("receipt_created"));
}

#[test]
fn a_new_plugin_in_c_runs_in_its_pipeline() {
    for (kind, expected) in [("enricher", r#""basket":"large""#), ("source", r#""bar":1"#)] {
        let ended = new(&["in-c", "--kind", kind, "--language", "c"]).exits(0).says("make");
        let folder = ended.path("in-c");
        let make = Command::new("make").arg("CFLAGS=-O1 -Werror").current_dir(&folder).output();
        let Ok(make) = make else {
            println!("skipped: there is no `make`");
            return;
        };
        assert!(make.status.success(), "{}", String::from_utf8_lossy(&make.stderr));
        engine(&folder, &["validate", "--deny-warnings", "pipeline.yaml"]);
        engine(&folder, &["test", "pipeline.yaml"]);
        let output = engine(&folder, &["run", "pipeline.yaml"]);
        assert!(output.contains(expected), "{output}");
    }
}

#[test]
fn what_stands_in_the_way_of_a_new_plugin_is_told() {
    new(&["Loyalty"]).exits(2).says("`Loyalty` is no name for a plugin").says("`loyalty-tier`");
    new(&["filter"]).exits(2).says("there is a built-in enricher `filter` already");
    new(&["no/such/loyalty"]).exits(1).says("cannot make `no/such/loyalty`");
    new(&["x", "--language", "c", "--kind", "sink"]).exits(2).says("there is no sink in C");
    let there = Test::new(&["new", "--plugin", "mine"]).file("mine/notes", "mine").run();
    there.exits(2).says("`mine` is there already");
    Test::new(&["new", "shop", "--kind", "sink"]).run().exits(2).says("--plugin");
    Test::new(&["new", "shop", "--plugin", "--force"]).run().exits(2).says("--force");
}

#[test]
fn the_tutorial_shows_what_is_written() {
    let tutorial = std::fs::read_to_string(project("docs/plugins.md")).unwrap();
    let (tutorial, _) = tutorial.split_once("\n## The four kinds").unwrap();
    let ended = new(&["baskets"]).exits(0);
    let code = ended.read("baskets/src/lib.rs");
    let blocks: Vec<&str> = tutorial.split("```rust\n").skip(1).collect();
    for block in &blocks {
        let block = block.split("```").next().unwrap();
        assert!(code.contains(block), "not in `src/lib.rs`: {block}");
    }
    assert_eq!(blocks.len(), 3);
    let told = tutorial.split("$ engine new --plugin baskets\n").nth(1).unwrap();
    ended.says(told.split("```").next().unwrap().trim());
}
