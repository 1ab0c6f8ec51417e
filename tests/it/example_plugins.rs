//! The plugins that people copy: they build, and their pipelines do what they say.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::project;
use crate::libraries;

/// Builds a package of this workspace beside this test; the folder of its library.
fn built(package: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(3).unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let run = Command::new(cargo)
        .args(["build", "--quiet", "--offline", "--package", package])
        .env("CARGO_TARGET_DIR", target)
        .current_dir(project(""))
        .output()
        .unwrap();
    assert!(run.status.success(), "{package}: {}", String::from_utf8_lossy(&run.stderr));
    target.join("debug")
}

/// What the engine prints, in the folder of a plugin.
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

fn events(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A folder with the files of a plugin's pipeline, which looks for the library elsewhere.
fn pipeline(plugin: &str, libraries: (&str, &Path), files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let text = std::fs::read_to_string(project(&format!("plugins/{plugin}/{file}"))).unwrap();
        let (from, to) = (format!("plugins: [{}]", libraries.0), libraries.1.display());
        let text = text.replace(&from, &format!("plugins: [{to}]"));
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    folder
}

#[test]
fn loyalty_tiers_are_looked_up_and_who_rises_and_falls_is_told() {
    let library = built("engine-plugin-loyalty");
    let files = ["loyalty.yaml", "customers.csv"];
    let folder = pipeline("loyalty", ("../../target/release", &library), &files);
    engine(folder.path(), &["validate", "--deny-warnings", "loyalty.yaml"]);
    engine(folder.path(), &["test", "loyalty.yaml"]);
    let changes = events(&engine(folder.path(), &["run", "loyalty.yaml"]));
    let tiers = |from: &str, to: &str| {
        let is = |event: &&Value| {
            event["payload"]["from_tier"] == from && event["payload"]["to_tier"] == to
        };
        changes.iter().filter(is).count()
    };
    let (risen, fallen) = (tiers("bronze", "silver"), tiers("silver", "bronze"));
    assert!(risen > 0 && fallen > 0, "{risen} rise, {fallen} fall");
    assert!(changes.iter().all(|event| event["event_type"] == "tier_changed"));
    let again = events(&engine(folder.path(), &["run", "loyalty.yaml"]));
    assert_eq!(changes, again, "the same pipeline, the same events");
}

#[test]
fn a_metronome_in_c_beats_in_event_time_and_goes_on_where_it_was() {
    let folder = pipeline("metronome", (".", Path::new(".")), &["metronome.yaml", "metronome.c"]);
    let (library, source) = ("libmetronome.so", "metronome.c");
    let [library, source] = [library, source].map(|name| folder.path().join(name));
    if !libraries::compile(&library, &source, ["-O2", "-fvisibility=hidden"]) {
        return;
    }
    engine(folder.path(), &["validate", "--deny-warnings", "metronome.yaml"]);
    engine(folder.path(), &["test", "metronome.yaml"]);
    let beats = |arguments: &[&str]| {
        let arguments = [&["run", "metronome.yaml"], arguments].concat();
        let beat = |event: &Value| {
            let time = event["ingest_timestamp"].as_str().unwrap().to_owned();
            (event["payload"]["beat"].as_i64().unwrap(), time)
        };
        events(&engine(folder.path(), &arguments)).iter().map(beat).collect::<Vec<_>>()
    };
    let all = beats(&[]);
    assert_eq!(all.len(), 8);
    assert_eq!(all[0], (0, "2024-11-29T10:00:00.000Z".to_owned()));
    assert_eq!(all[7], (7, "2024-11-29T10:00:03.500Z".to_owned()));
    let state = ["--set", "state.path=state"];
    let first = beats(&[&state[..], &["--duration", "1500ms"]].concat());
    let rest = beats(&[&state[..], &["--duration", "1h"]].concat());
    assert_eq!(first.len(), 3);
    assert_eq!([first, rest].concat(), all, "with a state, no beat is twice or missing");
}
