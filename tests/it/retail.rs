//! The `retail` source as a user runs it: a small chain, at full speed.

mod always;
mod incidents;
mod settings;

use std::collections::{BTreeMap, BTreeSet};

use engine::retail::{EventType, schema};
use serde_json::Value;

use crate::harness::Test;

/// A chain from the morning of Black Friday on.
const CHAIN: &str = "
name: chain
seed: 11
clock: { start: 2024-11-29T12:00:00Z, speed: max, duration: 60h }
sources:
  shop:
    type: retail
    with:
      stores: 4
      dcs: 2
      customers: 400
      products: 60
      visitors_per_day: 60
      ads_per_customer: 1
      orders_per_customer: 0.3
      emit: [transactions, inventory, customers, operations, marketing, online, incidents]
      incidents:
        - { type: inventory_shortage, begin: 2h, length: 4h, severity: 1 }
sinks: { out: { type: console, inputs: shop } }
";

fn chain(arguments: &[&str]) -> String {
    let arguments = [&["run", "chain.yaml", "-q"], arguments].concat();
    let ended = Test::new(&arguments).file("chain.yaml", CHAIN).run().exits(0);
    assert_eq!(ended.stderr, "");
    ended.stdout
}

fn events(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of_type<'a>(events: &'a [Value], event_type: &str) -> impl Iterator<Item = &'a Value> {
    events.iter().filter(move |event| event["event_type"] == event_type)
}

#[test]
fn a_run_gives_the_same_bytes_again_in_any_number_of_threads() {
    let once = chain(&[]);
    assert!(once == chain(&["--set", "sources.shop.with.threads=2"]));
    assert!(once == chain(&["--shard", "0/1"]));
    assert!(once != chain(&["--set", "seed=12"]));
}

#[test]
fn every_event_is_as_the_schema_of_its_type_says() {
    let schemas: BTreeMap<String, jsonschema::Validator> = EventType::ALL
        .into_iter()
        .map(|it| (it.to_string(), jsonschema::validator_for(&schema(it)).unwrap()))
        .collect();
    let mut seen = BTreeSet::new();
    for event in events(&chain(&[])) {
        let event_type = event["event_type"].as_str().unwrap().to_owned();
        if let Some(error) = schemas[&event_type].iter_errors(&event).next() {
            panic!("{error} at {}: {event}", error.instance_path());
        }
        seen.insert(event_type);
    }
    let missing: Vec<&String> = schemas.keys().filter(|name| !seen.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?} did not come");
}

#[test]
fn two_shards_are_the_whole() {
    let mut whole: Vec<String> = chain(&[]).lines().map(str::to_owned).collect();
    let [first, second] = ["0/2", "1/2"].map(|shard| chain(&["--shard", shard]));
    let stores = |lines: &str| -> BTreeSet<u64> {
        of_type(&events(lines), "store_opened")
            .filter_map(|event| event["payload"]["store_id"].as_u64())
            .collect()
    };
    assert_eq!((stores(&first), stores(&second)), ([1, 3].into(), [2, 4].into()));
    let mut parts: Vec<String> = first.lines().chain(second.lines()).map(str::to_owned).collect();
    whole.sort_unstable();
    parts.sort_unstable();
    assert!(parts == whole);
}

#[test]
fn the_first_events_are_at_the_start_and_none_is_at_the_end() {
    let events = events(&chain(&["--duration", "1h"]));
    let times: Vec<&str> =
        events.iter().map(|event| event["ingest_timestamp"].as_str().unwrap()).collect();
    assert!(times.is_sorted());
    assert!(times.iter().all(|time| *time < "2024-11-29T13:00:00.000Z"));
    let opened: Vec<&str> = of_type(&events, "store_opened")
        .map(|event| event["payload"]["operation_time"].as_str().unwrap())
        .filter(|time| *time == "2024-11-29T12:00:00.000Z")
        .collect();
    // Doors open at six on Black Friday: in the east it is seven.
    assert!(!opened.is_empty());
}
