//! The sink `parquet` as a library: pipelines run with it, are killed, and leave files that are
//! whole.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::build::{example, library};
use crate::harness::{Ended, Test, project_text};

/// The files in a folder and its folders whose names end so.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    // One that is being filled may not be there yet.
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if path.to_str().unwrap().ends_with(end) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The rows of all files that have their names; that each of them is whole is seen by reading it.
fn rows(ended: &Ended, folder: &str) -> Vec<Value> {
    let mut command = Command::new(example("engine-plugin-parquet", "parquet_cat"));
    let output = command.args(files(&ended.path(folder), ".parquet")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    lines(&String::from_utf8(output.stdout).unwrap())
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The ids of events or rows.
fn ids(events: &[Value]) -> BTreeSet<&str> {
    events.iter().map(|event| event["trace_id"].as_str().unwrap()).collect()
}

fn plugin() -> String {
    library("engine-plugin-parquet").display().to_string()
}

/// The same events to Parquet files and to stdout.
const BOTH: &str = "
name: both
clock: { start: 2024-11-29T10:00:00Z, speed: max, events: 6000 }
state: { path: state, interval: 10ms }
sources: { shop: { type: retail_mix, with: { stores: 5 } } }
batchers:
  large: { type: count_or_time, inputs: [shop], with: { max_batch_size: 300, batch_timeout_ms: 3600000 } }
sinks:
  lake: { type: parquet, inputs: [large], with: { path: lake, partition: hour } }
  out: { type: console, inputs: [large] }
";

#[test]
fn the_pipeline_that_comes_with_it_makes_a_lake() {
    let path = project_text("plugins/parquet/parquet.yaml");
    let plugin = plugin();
    Test::new(&["validate", "--deny-warnings", &path, "--plugins", &plugin]).run().exits(0);
    let run = ["run", &path, "--plugins", &plugin, "--duration", "25h", "--report", "report.json"];
    let ended = Test::new(&run).run().exits(0);
    let report: Value = serde_json::from_str(&ended.read("report.json")).unwrap();
    let rows = rows(&ended, "lake");
    assert_eq!(report["statistics"]["events_sent_successfully"], rows.len(), "{report:#}");
    assert_eq!(ids(&rows).len(), rows.len());
    let lake = ended.path("lake");
    let receipts = lake.join("event_type=receipt_created");
    let days: Vec<_> =
        std::fs::read_dir(receipts).unwrap().map(|day| day.unwrap().file_name()).collect();
    assert_eq!(days.len(), 2, "{days:?}");
    assert!(files(&lake, ".part").is_empty());
    let receipt = rows.iter().find(|row| row["event_type"] == "receipt_created").unwrap();
    assert!(receipt["total"].is_f64() && receipt["store_id"].is_i64(), "{receipt}");
}

#[test]
fn every_event_is_a_row_of_the_file_of_its_type() {
    let plugin = plugin();
    let test = Test::new(&["run", "p.yaml", "--plugins", &plugin, "-q"]).file("p.yaml", BOTH);
    let ended = test.run().exits(0);
    let (events, rows) = (lines(&ended.stdout), rows(&ended, "lake"));
    assert_eq!((events.len(), rows.len()), (6000, 6000));
    assert_eq!(ids(&rows), ids(&events));
    for event in events.iter().take(200) {
        let row = rows.iter().find(|row| row["trace_id"] == event["trace_id"]).unwrap();
        for name in ["event_type", "partition_key", "correlation_id", "source"] {
            assert_eq!(row[name], event[name], "{name}");
        }
        for (name, value) in event["payload"].as_object().unwrap() {
            // The envelope has a `source`, too.
            let name = if name == "source" { "payload_source" } else { name };
            match value {
                Value::Array(_) | Value::Object(_) => assert_eq!(row[name], value.to_string()),
                Value::Number(number) => assert_eq!(row[name].as_f64(), number.as_f64(), "{name}"),
                Value::Null => assert_eq!(row.get(name).unwrap_or(&Value::Null), value),
                _ => assert_eq!(row[name], *value, "{name}"),
            }
        }
    }
}

#[test]
fn a_run_that_is_killed_leaves_whole_files_and_the_next_one_has_the_rest() {
    let plugin = plugin();
    let arguments = ["run", "p.yaml", "--plugins", &plugin, "-q"];
    let uncut = Test::new(&arguments).file("p.yaml", BOTH).run().exits(0);
    let expected = lines(&uncut.stdout);
    let (killed, mut stdout) = Test::new(&arguments).file("p.yaml", BOTH).start();
    // It does not end before the rest of its lines is read.
    while files(&killed.path("lake"), ".parquet").is_empty() {
        let mut line = String::new();
        assert!(stdout.read_line(&mut line).unwrap() > 0, "it was over before it was killed");
    }
    killed.signal("KILL");
    let killed = killed.end(String::new());
    let there = rows(&killed, "lake");
    assert!(!there.is_empty() && there.len() < 6000, "{} rows", there.len());
    let ended = killed.again(&arguments).run().exits(0);
    let rows = rows(&ended, "lake");
    assert_eq!(ids(&rows), ids(&expected));
    // What was between the last snapshot and the kill may be there twice.
    assert!(rows.len() <= 6000 + there.len(), "{} rows", rows.len());
}

#[test]
fn an_event_that_does_not_fit_the_columns_becomes_a_dead_letter() {
    let spec = "
name: fits
sources: { lines: { type: file, with: { path: in.ndjson } } }
sinks:
  lake:
    type: parquet
    inputs: [lines]
    with: { path: lake, split_by: none, columns: [ { name: total, path: payload.total, type: double } ] }
";
    let line = |id: &str, total: &str| {
        format!(
            r#"{{"event_type":"x","trace_id":"{id}","ingest_timestamp":"2024-11-29T10:00:00Z","payload":{{"total":{total}}}}}"#
        ) + "\n"
    };
    let input = [line("TR_1", "1"), line("TR_2", "\"a lot\""), line("TR_3", "2.5")].concat();
    let plugin = plugin();
    let test = Test::new(&["run", "p.yaml", "--plugins", &plugin]).file("p.yaml", spec);
    let ended = test.file("in.ndjson", &input).run().exits(0);
    let totals: Vec<_> = rows(&ended, "lake").into_iter().map(|row| row["total"].clone()).collect();
    assert_eq!(totals, [1.0, 2.5]);
    let letters = lines(&ended.read("dead_letters/fits.ndjson"));
    assert_eq!(letters.len(), 1);
    let letter = letters[0].to_string();
    assert!(letter.contains("TR_2"), "{letter}");
    assert!(letter.contains("`payload.total` is `a lot`, which is no double"), "{letter}");
}

#[test]
fn settings_are_checked_with_their_places() {
    let spec = "
sources: { shop: { type: retail_mix } }
sinks:
  lake:
    type: parquet
    inputs: [shop]
    with:
      path: lake
      partition: week
";
    let plugin = plugin();
    let test = Test::new(&["validate", "p.yaml", "--plugins", &plugin]).file("p.yaml", spec);
    let ended = test.run().exits(2).says("p.yaml:9:").says("week");
    // Checking makes no folder.
    assert_eq!(ended.files(), ["p.yaml"]);
}
