//! What cannot be contained ends the process as the system ends it. What was delivered before is
//! delivered, and a run with a state goes on from there and loses nothing.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};

use super::{Trial, faults, id, lines};

/// Some batches of them.
const EVENTS: usize = 20_000;

const SIGABRT: i32 = 6;
const SIGSEGV: i32 = 11;

/// Runs it in a folder, without leaving a core behind.
fn run(folder: &Path, spec: &str) -> (ExitStatus, String) {
    std::fs::write(folder.join("p.yaml"), spec).unwrap();
    let script = format!("ulimit -c 0; exec '{}' run p.yaml", env!("CARGO_BIN_EXE_engine"));
    let output = Command::new("sh").args(["-c", &script]).current_dir(folder).output().unwrap();
    (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_plugin_that_crashes_takes_the_process_with_it_and_the_next_run_loses_nothing() {
    for (fault, signal) in
        [("abort", Some(SIGABRT)), ("segfault", Some(SIGSEGV)), ("overflow", None), ("exit", None)]
    {
        let folder = tempfile::tempdir().unwrap();
        let event = |n| {
            format!(
                "{{\"event_type\":\"sale\",\"payload\":{{\"k\":{n}}},\"trace_id\":\"TR_1_{n:05}\",\
                 \"ingest_timestamp\":\"2024-11-29T10:00:00Z\"}}\n"
            )
        };
        let events: Vec<String> = (0..EVENTS).map(event).collect();
        std::fs::write(folder.path().join("in.ndjson"), events.concat()).unwrap();
        let with = format!("{{ fault: {fault}, at: process, after: 9 }}");
        let mut trial = Trial::new(faults(false), "c_enricher", &with);
        trial.more = "state: { path: state, interval: 1ms }\n".to_owned();
        let file = "shop: { type: file, with: { path: in.ndjson } }";
        let spec = trial.spec().replace(&format!(", events: {}", super::EVENTS), "");
        let spec = spec.replace("shop: { type: retail_mix, with: { burst: 50, seed: 1 } }", file);
        let (status, said) = run(folder.path(), &spec);
        match fault {
            "exit" => assert_eq!(status.code(), Some(3), "{said}"),
            // Rust's own handler of a stack that overflows says so, and aborts.
            "overflow" => {
                assert!(
                    [Some(SIGABRT), Some(SIGSEGV)].contains(&status.signal()),
                    "{status}: {said}"
                );
            }
            _ => assert_eq!(status.signal(), signal, "{fault}: {said}"),
        }
        let (status, said) = run(folder.path(), &spec.replace("at: process", "at: nowhere"));
        assert_eq!(status.code(), Some(0), "{fault}: {said}");
        let out = std::fs::read_to_string(folder.path().join("out.ndjson")).unwrap();
        let out: BTreeSet<_> = lines(&out).iter().map(id).collect();
        assert_eq!(out.len(), EVENTS, "{fault}: {said}");
    }
}
