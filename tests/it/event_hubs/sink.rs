//! What arrives, where, and in which shape.

use std::collections::{BTreeMap, BTreeSet};

use event_hubs_peer::{Claim, Peer, Property};
use serde_json::Value;

use super::{HUB, Outcome, Trial, ids_by_key, made_by_key};
use crate::harness::Test;

const PLAIN: &str = "    with: { connection_string: \"${HUB}\" }\n";

#[test]
fn events_arrive_once_in_the_partition_of_their_key_and_in_its_order() {
    for lanes in ["1", "4", "3"] {
        let peer = Peer::builder().hub(HUB, 4).start();
        let sink =
            "    with: { connection_string: \"${HUB}\" }\n    delivery: { lanes: \"${LANES}\" }\n";
        let outcome = Trial::new(&peer, 5000, sink).env("LANES", lanes).run(|_| {});
        assert_eq!(outcome.adds_up(&peer), 0, "{lanes} lanes");
        let stored = peer.events(HUB);
        for event in &stored {
            let key = event.key.as_deref().unwrap();
            assert_eq!(event.partition, peer.partition_of(HUB, key), "{key}");
        }
        assert_eq!(ids_by_key(&stored), made_by_key(&outcome.ended.read("all.ndjson")));
        let connections = peer.statistics().connections;
        assert!(connections <= lanes.parse().unwrap(), "{connections} connections");
    }
}

#[test]
fn a_message_says_what_it_is_so_that_consumers_can_route_it() {
    let peer = Peer::builder().hub(HUB, 2).start();
    Trial::new(&peer, 300, PLAIN).run(|_| {}).adds_up(&peer);
    for stored in peer.events(HUB) {
        let event: Value = serde_json::from_slice(&stored.body).unwrap();
        let text = |name: &str| event[name].as_str().map(str::to_owned);
        assert_eq!(stored.content_type.as_deref(), Some("application/json"));
        assert_eq!(stored.message_id, text("trace_id"));
        assert_eq!(stored.correlation_id, text("correlation_id"));
        assert_eq!(stored.key, text("partition_key"));
        let property = |name: &str| match &stored.properties[name] {
            Property::Text(text) => Some(text.clone()),
            other => panic!("{other:?}"),
        };
        assert_eq!(property("event_type"), text("event_type"));
        assert_eq!(property("trace_id"), text("trace_id"));
        assert_eq!(stored.properties.len(), 2);
    }
}

#[test]
fn a_round_robin_keeps_batches_whole_and_an_id_sends_all_to_one_partition() {
    let peer = Peer::builder().hub(HUB, 4).start();
    let sink = "    with: { connection_string: \"${HUB}\", partition_by: round_robin }\n    delivery: { lanes: 2 }\n";
    assert_eq!(Trial::new(&peer, 2000, sink).run(|_| {}).adds_up(&peer), 0);
    assert_eq!(peer.statistics().transfers, 20);
    assert_eq!(peer.partition_sizes(HUB), [500; 4]);

    let peer = Peer::builder().hub(HUB, 4).start();
    let sink =
        "    with: { connection_string: \"${HUB}\", partition_by: id, partition_id: \"2\" }\n";
    assert_eq!(Trial::new(&peer, 2000, sink).run(|_| {}).adds_up(&peer), 0);
    assert_eq!(peer.partition_sizes(HUB), [0, 0, 2000, 0]);
}

#[test]
fn batches_are_as_large_as_the_setting_and_the_service_allow() {
    let bytes = |setting: &str, service: u64| {
        let peer = Peer::builder().hub(HUB, 1).message_bytes_max(service).start();
        let sink = format!("    with: {{ connection_string: \"${{HUB}}\"{setting} }}\n");
        assert_eq!(Trial::new(&peer, 1000, &sink).run(|_| {}).adds_up(&peer), 0);
        peer.statistics().transfers
    };
    assert_eq!(bytes("", 1 << 20), 10, "a batch of the pipeline is one of the service");
    let by_setting = bytes(", max_batch_bytes: 8000", 1 << 20);
    let by_service = bytes("", 8000);
    assert!(by_setting > 50, "{by_setting}");
    assert!(by_service.abs_diff(by_setting) <= 10, "{by_service} and {by_setting}");
}

#[test]
fn an_event_that_is_too_large_becomes_a_dead_letter_alone() {
    let peer = Peer::builder().hub(HUB, 2).start();
    let spec = r#"
name: trial
clock: { start: 2024-11-29T10:00:00Z, speed: max, events: 500 }
sources: { shop: { type: retail_mix, with: { burst: 50 } } }
enrichers:
  grown:
    type: rhai
    inputs: shop
    when: event.event_type == "truck_arrived"
    with:
      script: |
        fn enrich(event) {
            let text = "";
            text.pad(30000, "x");
            event.payload.note = text;
        }
sinks:
  all: { type: file, inputs: grown, with: { path: all.ndjson } }
  hub: { type: event_hubs, inputs: grown, with: { connection_string: "${HUB}", max_batch_bytes: 20000 } }
"#;
    let ended = Test::new(&["run", "trial.yaml", "--report", "report.json"])
        .file("trial.yaml", spec)
        .env("HUB", &peer.connection_string(HUB))
        .run()
        .exits(0);
    let outcome = Outcome::of(ended);
    assert_eq!(outcome.adds_up(&peer), 0);
    let trucks = outcome.made.iter().filter(|(_, line)| line.contains("\"truck_arrived\""));
    let trucks: BTreeSet<&String> = trucks.map(|(id, _)| id).collect();
    assert!(!trucks.is_empty());
    assert_eq!(outcome.dead.keys().collect::<BTreeSet<_>>(), trucks);
    assert!(outcome.dead.values().all(|category| category == "too_large"));
}

#[test]
fn a_certificate_of_a_private_authority_is_trusted_where_the_environment_names_it() {
    let peer = Peer::builder().hub(HUB, 1).tls().start();
    let sink = "    with: { connection_string: \"${TLS}\" }\n";
    let trial = Trial::new(&peer, 200, sink).env("TLS", &peer.tls_connection_string(HUB));
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("ca.pem");
    std::fs::write(&roots, peer.ca_pem()).unwrap();
    let outcome = trial.env("SSL_CERT_FILE", roots.to_str().unwrap()).run(|_| {});
    assert_eq!(outcome.adds_up(&peer), 0);
}

#[test]
fn who_may_not_send_or_names_no_hub_learns_it_at_the_start() {
    let peer = Peer::builder()
        .hub(HUB, 2)
        .policy("send-only", "c2VuZA==", [Claim::Send])
        .policy("listen-only", "bGlzdGVu", [Claim::Listen])
        .start();
    let with = |string: &str| {
        let sink = "    with: { connection_string: \"${WHO}\" }\n";
        Trial::new(&peer, 200, sink).env("WHO", string)
    };
    let send = peer.connection_string_with(HUB, "send-only", "c2VuZA==");
    assert_eq!(with(&send).run(|_| {}).adds_up(&peer), 0);
    let before = peer.statistics().events;

    let wrong_key = peer.connection_string_with(HUB, "send-only", "d3Jvbmc=");
    with(&wrong_key)
        .fails()
        .says("event hub `retail-events` of `localhost`: status 401")
        .says("event=\"auth_failed\" stage=\"hub\"")
        .never_says("d3Jvbmc=");
    let may_not = peer.connection_string_with(HUB, "listen-only", "bGlzdGVu");
    with(&may_not)
        .fails()
        .says("event hub `retail-events` of `localhost`: amqp:unauthorized-access");
    let no_hub = peer.connection_string(HUB).replace(HUB, "orders");
    with(&no_hub).fails().says("event hub `orders` of `localhost`: status 404");
    assert_eq!(peer.statistics().events, before);
}

#[test]
fn a_partition_that_is_not_there_and_a_hub_in_reserve_that_is_of_no_use_fail_the_run() {
    let peer = Peer::builder().hub(HUB, 2).start();
    let with = |settings: &str| {
        let sink = format!("    with: {{ connection_string: \"${{HUB}}\", {settings} }}\n");
        Trial::new(&peer, 200, &sink)
            .env("OTHER", &peer.connection_string(HUB).replace(HUB, "orders"))
    };
    with("partition_by: id, partition_id: \"9\"")
        .fails()
        .says("it has no partition `9`, but 2 others");
    with("failover: { connection_string: \"${OTHER}\" }")
        .fails()
        .says("event hub `orders` of `localhost`: status 404");
    assert_eq!(peer.statistics().events, 0);
}

#[test]
fn a_probe_says_what_the_hub_is_and_sends_nothing() {
    let peer = Peer::builder().hub(HUB, 4).start();
    peer.append(HUB, 0, ["one", "two"]);
    let probe = |string: &str| {
        Test::new(&["validate", "--probe", "trial.yaml"])
            .file(
                "trial.yaml",
                "sources: { shop: { type: retail_mix } }\n\
                 sinks: { hub: { type: event_hubs, inputs: shop, with: { connection_string: \"${HUB}\" } } }\n",
            )
            .env("HUB", string)
            .run()
    };
    probe(&peer.connection_string(HUB))
        .exits(0)
        .says("`hub`: event hub `retail-events` of `localhost`, 4 partitions, 2 events kept");
    probe(&peer.connection_string(HUB).replace(HUB, "orders"))
        .exits(2)
        .says("event hub `orders` of `localhost`: status 404")
        .says("trial.yaml:2");
    assert_eq!(peer.statistics().transfers, 0);
    peer.stop();
    probe(&peer.connection_string(HUB)).exits(2).says("Connection refused");
}

#[test]
fn the_audit_log_says_which_partitions_an_attempt_was_for() {
    let peer = Peer::builder().hub(HUB, 4).start();
    let sink = "    with: { connection_string: \"${HUB}\" }\n    delivery: { lanes: 4 }\n\
                monitoring: { audit: { path: audit.ndjson } }\n";
    let outcome = Trial::new(&peer, 400, sink).run(|_| {});
    assert_eq!(outcome.adds_up(&peer), 0);
    let stored: BTreeMap<String, u64> = peer
        .events(HUB)
        .iter()
        .map(|event| (event.message_id.clone().unwrap(), event.partition as u64))
        .collect();
    let mut lanes = BTreeSet::new();
    for line in outcome.ended.read("audit.ndjson").lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if line["sink"] == "all" {
            assert!(line.get("partitions").is_none(), "a file has none: {line}");
            continue;
        }
        let ids = line["trace_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap());
        let partitions: BTreeSet<u64> = ids.map(|id| stored[id]).collect();
        let told = line["partitions"].as_array().unwrap().iter().map(|it| it.as_u64().unwrap());
        assert_eq!(told.collect::<BTreeSet<u64>>(), partitions, "{line}");
        assert_eq!(line["outcome"], "delivered");
        lanes.insert(line["lane"].as_u64().unwrap());
    }
    assert_eq!(lanes, BTreeSet::from([0, 1, 2, 3]));
}
