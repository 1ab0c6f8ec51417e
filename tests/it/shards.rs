//! `--shard`: several runs that share the work of one pipeline.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::harness::Test;

const SHOP: &str = "
name: shop
clock: { start: 2024-11-29T10:00:00Z, speed: max, duration: 3m }
sources: { stores: { type: retail_mix, with: { stores: 10, burst: 7 } } }
correlators:
  sales:
    type: rhai
    inputs: [stores]
    with:
      key: partition_key
      on: [receipt_created]
      script: |
        fn on_event(event, state, out) {
            out.emit(\"sale\", #{ store_id: event.payload.store_id });
        }
sinks: { out: { type: console, inputs: [sales] } }
";

fn events(arguments: &[&str]) -> Vec<Value> {
    let ended = Test::new(&[&["run", "shop.yaml", "-q"], arguments].concat())
        .file("shop.yaml", SHOP)
        .run()
        .exits(0);
    assert_eq!(ended.stderr, "");
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The numbers in an id, such as `RCP_<second>_<sequence>`, and in all of its kind.
fn ids(events: &[Value], pointer: &str) -> BTreeSet<String> {
    let ids = events.iter().filter_map(|event| event.pointer(pointer)?.as_str());
    ids.map(str::to_owned).collect()
}

#[test]
fn shards_share_the_stores_and_give_no_id_twice() {
    let shards = ["0/4", "1/4", "2/4", "3/4"].map(|shard| events(&["--shard", shard]));
    let mut traces = BTreeSet::new();
    let mut made = 0;
    for (index, events) in shards.iter().enumerate() {
        let stores: BTreeSet<u64> =
            events.iter().filter_map(|event| event["payload"]["store_id"].as_u64()).collect();
        let own: BTreeSet<u64> = (1..=10).filter(|store| (store - 1) % 4 == index as u64).collect();
        assert_eq!(stores, own);
        assert!(events.iter().any(|event| event["event_type"] == "sale"));
        made += events.iter().filter(|event| event["event_type"] != "sale").count();
        for event in events {
            let id = event["trace_id"].as_str().unwrap();
            assert!(traces.insert(id.to_owned()), "{id} comes twice");
        }
    }
    assert_eq!(made, 360 * 7, "the bursts of all shards add up to the burst");

    // Receipts that an event of another shard refers to would be in two of them.
    for pointer in ["/payload/receipt_id", "/payload/shipment_id", "/payload/impression_id"] {
        let mut owners: BTreeMap<String, usize> = BTreeMap::new();
        for (index, events) in shards.iter().enumerate() {
            for id in ids(events, pointer) {
                let owner = *owners.entry(id.clone()).or_insert(index);
                assert_eq!(owner, index, "{id} is of two shards");
            }
        }
        assert!(owners.len() > 20, "{pointer}: {}", owners.len());
    }
}

#[test]
fn a_shard_gives_the_same_again_and_one_of_one_is_the_whole() {
    assert_eq!(events(&["--shard", "2/4"]), events(&["--set", "shard=2/4"]));
    assert_eq!(events(&["--shard", "0/1"]), events(&[]));
}

#[test]
fn what_is_no_shard_is_refused_by_run_and_validate() {
    for (shard, message) in [
        ("4/4", "`4/4`: 4 shards are numbered from 0 to 3"),
        ("a/b", "`a/b` is not a shard"),
        ("1/0", "`1/0`: there can be 1 to 1023 shards"),
        ("/8", "`/8` is not a shard"),
        ("0/11", "11 shards cannot share the stores: there are 10"),
    ] {
        for command in ["run", "validate"] {
            let ended = Test::new(&[command, "shop.yaml", "--shard", shard])
                .file("shop.yaml", SHOP)
                .run()
                .exits(2);
            assert!(ended.stderr.contains(message), "{}", ended.stderr);
            assert!(ended.stderr.contains("--> --shard:1:1"), "{}", ended.stderr);
            assert_eq!(ended.stderr.matches("error").count(), 1, "{}", ended.stderr);
        }
    }
}

#[test]
fn what_hardly_makes_sense_in_a_shard_is_told() {
    let spec = "
sources:
  lines: { type: file, with: { path: in.ndjson } }
  stores: { type: retail_mix }
correlators:
  all: { type: rhai, inputs: [lines, stores], with: { script: &rule 'fn on_event(e, s, o) { }' } }
  products: { type: rhai, inputs: all, with: { key: payload.product_id, script: *rule } }
  stock: { type: rhai, inputs: products, with: { key: [payload.store_id, event_type], script: *rule } }
sinks: { out: { type: blackhole, inputs: [stock] } }
";
    let validate = |arguments: &[&str]| {
        let arguments = [&["validate", "shop.yaml"], arguments].concat();
        Test::new(&arguments).file("shop.yaml", spec).file("in.ndjson", "").run().exits(0)
    };
    let said = validate(&["--shard", "0/2"]).stderr;
    for warning in [
        "each of the 2 shards gets all that `lines` gives",
        "`all` remembers what it sees of all stores, and a shard has some",
        "events of one key may be in several shards, and each sees its own",
    ] {
        assert!(said.contains(warning), "{said}");
    }
    assert!(said.contains("3 warnings"), "{said}");
    assert!(!validate(&[]).stderr.contains("warning"));
}

#[test]
fn the_state_of_another_shard_is_refused_and_files_are_apart() {
    let spec = format!("{SHOP}state: {{ path: state/shop }}\n");
    let ended = Test::new(&["run", "shop.yaml", "-q", "--shard", "0/4"])
        .file("shop.yaml", &spec)
        .run()
        .exits(0);
    let state = std::fs::read_to_string(ended.path("state/shop")).unwrap();
    let again = |shard: &str| {
        Test::new(&["run", "shop.yaml", "-q", "--shard", shard])
            .file("shop.yaml", &spec)
            .file("state/shop", &state)
            .run()
    };
    let refused = again("1/4").exits(2);
    assert!(refused.stderr.contains("of another spec"), "{}", refused.stderr);
    assert!(refused.stderr.contains("shard 0/4"), "{}", refused.stderr);
    assert!(refused.stderr.contains("shard 1/4"), "{}", refused.stderr);
    assert_ne!(again("0/4").exits(0).stdout, "", "another leg");
}

#[test]
fn shards_keep_dead_letters_and_buffers_of_their_own() {
    let spec = "
name: shop
clock: { start: 2024-11-29T10:00:00Z, speed: max, events: 20 }
sources: { stores: { type: retail_mix } }
enrichers:
  fail: { type: rhai, inputs: [stores], with: { script: 'fn enrich(event) { throw \"no\" }' } }
sinks:
  out: { type: blackhole, inputs: [fail], delivery: { buffer: { type: disk } } }
";
    let ended =
        Test::new(&["run", "shop.yaml", "--shard", "1/2"]).file("shop.yaml", spec).run().exits(0);
    assert!(ended.path("dead_letters/shop.shard1.ndjson").exists());
    assert!(ended.path("buffers/shop.shard1/out").exists());
    assert!(!ended.path("dead_letters/shop.ndjson").exists());
}
