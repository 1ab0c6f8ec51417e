//! Engines that share a hub by a checkpoint store: each event comes to one of them, whoever comes
//! and goes.

use std::collections::{BTreeMap, BTreeSet};

use event_hubs_peer::Peer;
use serde_json::Value;

use super::container::Container;
use super::{READER, Reader, append, hub};
use crate::harness::Test;

/// An engine that shares the hub with those that have the same directory.
fn engine(peer: &Peer, store: &tempfile::TempDir) -> Reader {
    let store = store.path().display();
    let with = format!(
        "start: earliest, checkpoint_store: {{ directory: '{store}', balance_interval: 100ms, \
         checkpoint_interval: 50ms, expiry: 8s }}"
    );
    Reader::start(peer, &with)
}

fn append_to_all(peer: &Peer, partitions: usize, numbers: std::ops::Range<usize>) {
    for partition in 0..partitions {
        append(peer, partition, numbers.clone());
    }
}

/// Waits until an engine has so many partitions.
fn wait_for_share(engine: &Reader, partitions: usize) -> BTreeSet<usize> {
    loop {
        let line = engine.running.wait_for_line("reading partitions [");
        let names = line.split_once('[').unwrap().1.split(']').next().unwrap();
        let share: BTreeSet<usize> =
            names.split(", ").filter_map(|name| name.parse().ok()).collect();
        if share.len() == partitions {
            return share;
        }
    }
}

/// How often each event came to engines, and that it had one id wherever it did.
fn came(events: &[&[Value]]) -> BTreeMap<(u64, u64), usize> {
    let mut ids = BTreeMap::new();
    let mut came = BTreeMap::new();
    for event in events.iter().copied().flatten() {
        let number = |name: &str| event["payload"][name].as_u64().unwrap();
        let place = (number("partition"), number("number"));
        assert_eq!(ids.entry(place).or_insert(&event["trace_id"]), &&event["trace_id"]);
        *came.entry(place).or_default() += 1;
    }
    came
}

#[test]
fn an_engine_that_comes_gets_its_share_and_one_that_leaves_leaves_it_to_the_others() {
    let (peer, store) = (hub(4), tempfile::tempdir().unwrap());
    append_to_all(&peer, 4, 0..50);
    let mut first = engine(&peer, &store);
    first.read_up_to(200).has_in_order(&[0..50, 0..50, 0..50, 0..50]);
    let mut second = engine(&peer, &store);
    let of_second = wait_for_share(&second, 2);
    let of_first = wait_for_share(&first, 2);
    assert!(of_first.is_disjoint(&of_second));
    append_to_all(&peer, 4, 50..100);
    first.read_up_to(300);
    second.read_up_to(100);
    // An engine that has to leave a partition may tell what comes before it has left.
    let mut events = std::mem::take(&mut first.events);
    let (rest, ended) = first.stop_and_read();
    events.extend(rest);
    ended.never_says("another receiver took");
    wait_for_share(&second, 4);
    append_to_all(&peer, 4, 100..150);
    second.read_up_to(300);
    let came = came(&[&events, &second.events]);
    assert_eq!(came.len(), 600);
    let moved = came.iter().filter(|((partition, number), _)| {
        *number >= 50 && of_first.contains(&(*partition as usize))
    });
    assert!(moved.into_iter().all(|(_, count)| *count == 1), "it was noted before it went over");
    second.stop();
}

#[test]
fn what_an_engine_had_that_was_killed_goes_on_with_another() {
    let (peer, store) = (hub(3), tempfile::tempdir().unwrap());
    append_to_all(&peer, 3, 0..500);
    let mut first = engine(&peer, &store);
    first.read_up_to(1000);
    first.running.signal("KILL");
    let mut second = engine(&peer, &store);
    wait_for_share(&second, 3);
    let mut all: BTreeSet<(u64, u64)> = BTreeSet::new();
    while all.len() < 1500 {
        let count = second.events.len();
        second.read_up_to(count + 1);
        all = came(&[&first.events, &second.events]).into_keys().collect();
    }
    let events = std::mem::take(&mut second.events);
    let (rest, _) = second.stop_and_read();
    assert_eq!(came(&[&first.events, &events, &rest]).len(), 1500, "the same ids");
}

#[test]
fn an_engine_goes_on_where_it_was_by_the_store_alone() {
    let (peer, store) = (hub(2), tempfile::tempdir().unwrap());
    append_to_all(&peer, 2, 0..100);
    let mut events = Vec::new();
    for numbers in [0..100, 100..150, 150..160] {
        if numbers.start > 0 {
            append_to_all(&peer, 2, numbers.clone());
        }
        let mut engine = engine(&peer, &store);
        engine.read_up_to(2 * numbers.len()).has_in_order(&[numbers.clone(), numbers]);
        events.append(&mut engine.events);
        engine.stop();
    }
    assert_eq!(came(&[&events]).len(), 320);
}

#[test]
fn a_store_takes_the_place_of_the_state_and_has_spans_that_fit() {
    let wrong = |with: &str, more: &str| {
        let spec = READER.replace("{with}", with) + more;
        let string = "Endpoint=sb://h.example/;SharedAccessKeyName=a;SharedAccessKey=b";
        let test = Test::new(&["validate", "-"]).stdin(&spec).env("HUB", string);
        test.run().exits(2)
    };
    wrong("checkpoint_store: { directory: d }", "state: { path: s }\n")
        .says("`state:` would go on where this engine was");
    wrong("checkpoint_store: { directory: d, expiry: 15s }", "").says("taken for gone");
}

/// An engine that shares the hub with those that have the same container.
fn engine_by_blobs(peer: &Peer, container: &Container) -> Reader {
    let with = "start: earliest, checkpoint_store: { container_url: '${CONTAINER}', \
                balance_interval: 100ms, checkpoint_interval: 50ms, expiry: 15s }";
    let test = Test::new(&["run", "-"]).stdin(&READER.replace("{with}", with));
    let test = test.env("HUB", &peer.connection_string(super::HUB));
    Reader::of(test.env("CONTAINER", &container.url()))
}

#[test]
fn engines_share_a_hub_by_a_container_of_blobs() {
    let (peer, container) = (hub(4), Container::start());
    append_to_all(&peer, 4, 0..50);
    let mut first = engine_by_blobs(&peer, &container);
    first.read_up_to(200);
    let mut second = engine_by_blobs(&peer, &container);
    let of_second = wait_for_share(&second, 2);
    assert!(wait_for_share(&first, 2).is_disjoint(&of_second));
    append_to_all(&peer, 4, 50..100);
    first.read_up_to(300);
    second.read_up_to(100);
    let mut events = std::mem::take(&mut first.events);
    let (rest, ended) = first.stop_and_read();
    events.extend(rest);
    ended.never_says("s3cret").never_says("checkpoint store");
    wait_for_share(&second, 4);
    append_to_all(&peer, 4, 100..150);
    second.read_up_to(300);
    let came = came(&[&events, &second.events]);
    assert_eq!(came.len(), 600);
    second.stop();
    assert!(container.checkpoints().values().eq(&[149; 4]), "{:?}", container.checkpoints());
    let names = container.names();
    assert!(names[0].ends_with("/retail-events/$default/checkpoint/0"), "{names:?}");
}

#[test]
fn a_container_that_does_not_let_it_in_is_named_without_its_signature() {
    let (peer, container) = (hub(1), Container::start());
    let url = container.url().replace("s3cret", "wr0ng");
    let with = "checkpoint_store: { container_url: '${CONTAINER}' }";
    let test = Test::new(&["run", "-"]).stdin(&READER.replace("{with}", with));
    let test = test.env("HUB", &peer.connection_string(super::HUB)).env("CONTAINER", &url);
    let reader = Reader::of(test);
    let line = reader.running.wait_for_line("cannot use the checkpoint store");
    assert!(line.contains("127.0.0.1/account/checkpoints`: 403"), "{line}");
    reader.stop().never_says("wr0ng");
}
