//! The pipelines to Event Hubs, against a peer on loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use event_hubs_peer::Peer;
use serde_json::Value;

use super::{assert_keeps_the_contract, root};

/// Runs a pipeline to its end, in a folder of its own.
fn run(pipeline: &Path, variables: &[(&str, String)], arguments: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_engine"))
        .current_dir(folder.path())
        .args(["run", pipeline.to_str().unwrap(), "--speed", "max"])
        .args(arguments)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{errors}");
    assert!(errors.contains("the accounts add up"), "{errors}");
}

fn events(peer: &Peer, hub: &str) -> Vec<Value> {
    let stored = peer.events(hub);
    stored.iter().map(|event| serde_json::from_str(event.text()).unwrap()).collect()
}

fn ids(events: &[Value]) -> BTreeSet<&str> {
    events.iter().map(|event| event["trace_id"].as_str().unwrap()).collect()
}

#[test]
fn a_hub_gets_every_event_and_a_key_stays_in_its_partition() {
    let peer = Peer::builder().hub("retail-events", 4).start();
    let variable = ("AZURE_EVENTHUB_CONNECTION_STRING", peer.connection_string("retail-events"));
    run(&root().join("pipelines/retail-to-event-hubs.yaml"), &[variable], &["--events", "5000"]);
    let events = events(&peer, "retail-events");
    assert!(events.len() >= 5000 && ids(&events).len() == events.len());
    let told: Vec<Value> =
        events.iter().filter(|event| event["event_type"] != "till_rush").cloned().collect();
    assert_keeps_the_contract(&told);
    let mut partitions = BTreeMap::new();
    for stored in peer.events("retail-events") {
        let event: Value = serde_json::from_str(stored.text()).unwrap();
        let Some(key) = event["partition_key"].as_str() else { continue };
        let before = partitions.insert(key.to_owned(), stored.partition);
        assert!(before.is_none_or(|before| before == stored.partition), "{key}");
    }
    assert!(partitions.values().collect::<BTreeSet<_>>().len() == 4, "{partitions:?}");
}

/// Runs the pipeline of two regions; its two hubs, of which the east one may be away.
fn two_regions(is_east_away: bool) -> (Vec<Value>, Vec<Value>) {
    let east = Peer::builder().hub("retail-east", 2).start();
    let west = Peer::builder().hub("retail-west", 2).start();
    if is_east_away {
        east.stop();
    }
    let variables = [
        ("EAST_CONNECTION_STRING", east.connection_string("retail-east")),
        ("WEST_CONNECTION_STRING", west.connection_string("retail-west")),
    ];
    let soon = [
        ["--set", "sinks.east.with.failover.after=1ms"],
        ["--set", "sinks.east.delivery.retry.initial_backoff_ms=1"],
        ["--set", "sinks.east.delivery.circuit_breaker.enabled=false"],
        ["--events", "3000"],
    ];
    run(&root().join("pipelines/event-hubs-two-regions.yaml"), &variables, &soon.concat());
    (events(&east, "retail-east"), events(&west, "retail-west"))
}

#[test]
fn each_region_gets_the_events_of_its_stores() {
    let (east, west) = two_regions(false);
    assert_eq!(east.len() + west.len(), 3000);
    let is_western = |event: &Value| {
        let region = event["payload"]["region"].as_str();
        region.is_some_and(|region| region.ends_with("west"))
            && event["payload"]["region"] != "midwest"
    };
    assert!(west.len() > 100 && west.iter().all(is_western));
    assert!(east.len() > 100 && !east.iter().any(is_western));
}

#[test]
fn while_a_region_is_away_the_other_gets_its_events() {
    let (east, west) = two_regions(true);
    assert_eq!((east.len(), ids(&west).len()), (0, 3000));
}
