//! The official Python client, which nobody here wrote: it reads what the sink sent, and the source
//! reads what it sent.

use std::collections::BTreeMap;
use std::process::Command;

use event_hubs_peer::Peer;
use serde_json::Value;

use super::{HUB, Trial, made_by_key};
use crate::harness::{Test, project};

const PACKAGE: &str = "azure-eventhub";

/// Python with the package; none if the test is to be skipped. `ENGINE_TEST_PYTHON` says which
/// Python, and `ENGINE_TEST_REQUIRE` names what must not be skipped.
pub(crate) fn python() -> Option<Command> {
    let python = std::env::var("ENGINE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let imported = Command::new(&python).args(["-c", "import azure.eventhub"]).output();
    let is_there = imported.is_ok_and(|output| output.status.success());
    let required = std::env::var("ENGINE_TEST_REQUIRE").unwrap_or_default();
    let is_required = required.split(',').any(|name| name.trim() == PACKAGE);
    assert!(is_there || !is_required, "`{python}` has no package `{PACKAGE}`, which is required");
    if !is_there {
        println!("skipped: the Python package {PACKAGE} is not installed");
    }
    is_there.then(|| Command::new(python))
}

/// What a script of this folder prints.
pub(crate) fn printed(mut python: Command, script: &str, arguments: &[&str]) -> String {
    let script = project("tests/it/event_hubs").join(script);
    let output = python.arg(script).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// The connection string without its port, and the port: the client takes that only apart.
fn place(peer: &Peer) -> [String; 2] {
    let port = peer.port().to_string();
    [peer.connection_string(HUB).replace(&format!(":{port}"), ""), port]
}

#[test]
fn a_hundred_thousand_events_are_read_back_by_the_python_client() {
    const EVENTS: usize = 100_000;
    let Some(python) = python() else { return };
    let peer = Peer::builder().hub(HUB, 4).start();
    let sink = "    with: { connection_string: \"${HUB}\" }\n    delivery: { lanes: 4 }\n";
    let outcome = Trial::new(&peer, EVENTS as u64, sink).run(|_| {});
    let [string, port] = place(&peer);
    let read = printed(python, "read_all.py", &[&string, &port, &EVENTS.to_string()]);

    let read: Vec<Value> = read.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read.len(), EVENTS);
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in &read {
        let id = event["message_id"].as_str().unwrap();
        let line = outcome.made.get(id).unwrap_or_else(|| panic!("nobody made {id}"));
        assert_eq!(event["body"], *line);
        let made: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["key"], made["partition_key"]);
        assert_eq!(event["correlation_id"], made["correlation_id"]);
        assert_eq!(event["content_type"], "application/json");
        let routing = serde_json::json!({ "event_type": made["event_type"], "trace_id": id });
        assert_eq!(event["properties"], routing);
        let key = event["key"].as_str().unwrap_or_default().to_owned();
        keys.entry(key).or_default().push(id.to_owned());
    }
    assert_eq!(keys, made_by_key(&outcome.ended.read("all.ndjson")), "the order of a key's events");
}

#[test]
fn the_source_reads_what_the_python_client_sent_in_the_order_of_each_key() {
    const EVENTS: usize = 20_000;
    let Some(python) = python() else { return };
    let peer = Peer::builder().hub(HUB, 4).start();
    let [string, port] = place(&peer);
    printed(python, "send_keyed.py", &[&string, &port, &EVENTS.to_string()]);
    let spec = "name: reader\nclock: { events: 20000 }\n\
                sources: { hub: { type: event_hubs, with: { connection_string: \"${HUB}\", start: earliest } } }\n\
                sinks: { out: { type: file, inputs: hub, with: { path: out.ndjson } } }\n";
    let ended = Test::new(&["run", "reader.yaml"])
        .file("reader.yaml", spec)
        .env("HUB", &peer.connection_string(HUB))
        .run()
        .exits(0)
        .says("20 000 generated = 20 000 delivered: the accounts add up");
    let mut next: BTreeMap<u64, u64> = (0..10).map(|key| (key, key)).collect();
    for line in ended.read("out.ndjson").lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let field = |name: &str| event["payload"][name].as_u64().unwrap();
        let key = field("store");
        assert_eq!(event["partition_key"], format!("store_{key}"));
        assert_eq!(Some(&field("number")), next.get(&key), "the order of a key's events");
        next.insert(key, field("number") + 10);
    }
    let all: Vec<u64> = next.into_values().collect();
    assert_eq!(all, (0..10).map(|key| EVENTS as u64 + key).collect::<Vec<_>>());
}
