//! Events that the peer holds reach receivers, from where these start.

use std::time::{Duration, UNIX_EPOCH};

use azure_messaging_eventhubs::{OpenReceiverOptions, StartLocation, StartPosition};
use event_hubs_peer::{NewEvent, Peer};

use crate::sdk::{self, Address, read, read_with, text};

const HUB: &str = "retail-events";

/// Ten events, a second apart, with bodies from 0 to 9.
fn peer_with_ten() -> Peer {
    let peer = Peer::builder().hub(HUB, 2).consumer_group(HUB, "analytics").start();
    let event = |number: u64| {
        let time = UNIX_EPOCH + Duration::from_secs(1_700_000_000 + number);
        NewEvent::new(number.to_string()).key("k").property("n", number as i64).enqueued(time)
    };
    peer.append(HUB, 1, (0..10).map(event));
    peer
}

#[test]
fn receiver_starts_where_it_wants() {
    let peer = peer_with_ten();
    let address = Address::of(&peer, HUB);
    let offset = peer.events(HUB)[4].offset.clone();
    let sixth = peer.events(HUB)[6].enqueued;
    let firsts = sdk::run(async move || {
        let mut firsts = Vec::new();
        for (location, inclusive) in [
            (StartLocation::Earliest, false),
            (StartLocation::SequenceNumber(3), true),
            (StartLocation::SequenceNumber(3), false),
            (StartLocation::Offset(offset.clone()), true),
            (StartLocation::Offset(offset), false),
            (StartLocation::EnqueuedTime(sixth), false),
        ] {
            let consumer = address.consumer("analytics").await;
            let events = read(&consumer, 1, location, inclusive, 2).await.unwrap();
            firsts.push(events.iter().map(text).collect::<Vec<_>>().join(" "));
        }
        firsts
    });
    assert_eq!(firsts, ["0 1", "3 4", "4 5", "4 5", "5 6", "7 8"]);
}

#[test]
fn received_events_say_where_they_stand_and_what_they_were_sent_with() {
    let peer = peer_with_ten();
    let address = Address::of(&peer, HUB);
    let seen = sdk::run(async move || {
        let consumer = address.consumer("$Default").await;
        let event = read(&consumer, 1, StartLocation::SequenceNumber(7), true, 1).await.unwrap();
        let event = &event[0];
        let n = event.event_data().properties().map(|properties| format!("{:?}", properties["n"]));
        (
            event.sequence_number(),
            event.offset().clone(),
            event.enqueued_time(),
            event.partition_key().clone(),
            n,
        )
    });
    let stored = &peer.events(HUB)[7];
    assert_eq!(seen.0, Some(7));
    assert_eq!(seen.1.as_deref(), Some(stored.offset.as_str()));
    assert_eq!(seen.2, Some(stored.enqueued));
    assert_eq!(seen.3.as_deref(), Some("k"));
    assert_eq!(seen.4.as_deref(), Some("Long(7)"));
}

#[test]
fn receiver_at_the_end_gets_what_comes_then() {
    let peer = peer_with_ten();
    let address = Address::of(&peer, HUB);
    let reading = std::thread::spawn(move || {
        sdk::run(async move || {
            let consumer = address.consumer("$Default").await;
            let events = read(&consumer, 1, StartLocation::Latest, false, 2).await.unwrap();
            events.iter().map(text).collect::<Vec<_>>()
        })
    });
    peer.wait_until(|peer| peer.statistics().open.receivers == 1);
    peer.append(HUB, 1, ["10", "11"]);
    assert_eq!(reading.join().unwrap(), ["10", "11"]);
}

#[test]
fn unknown_group_partition_and_hub_are_refused() {
    let peer = peer_with_ten();
    for (hub, group, partition) in
        [(HUB, "nobody", 1), (HUB, "$Default", 7), ("none", "$Default", 0)]
    {
        let address = Address::of(&peer, hub);
        let error = sdk::run(async move || {
            let consumer = address.consumer(group).await;
            read(&consumer, partition, StartLocation::Earliest, false, 1).await.unwrap_err()
        });
        assert!(error.contains("NotFound") || error.contains("ArgumentOutOfRange"), "{error}");
    }
}

#[test]
fn receiver_with_a_higher_owner_level_takes_the_partition() {
    let peer = peer_with_ten();
    let read = |owner_level| {
        let address = Address::of(&peer, HUB);
        let start_position =
            Some(StartPosition { location: StartLocation::Earliest, inclusive: false });
        let options = OpenReceiverOptions {
            owner_level: Some(owner_level),
            start_position,
            ..OpenReceiverOptions::default()
        };
        std::thread::spawn(move || {
            sdk::run(async move || {
                let consumer = address.consumer("$Default").await;
                read_with(&consumer, 1, options, 11).await.map(|events| events.len())
            })
        })
    };
    let first = read(1);
    peer.wait_until(|peer| peer.statistics().delivered == 10);
    let second = read(2);
    let lost = first.join().unwrap().unwrap_err();
    assert!(lost.contains("New receiver with epoch of '2'"), "{lost}");
    peer.wait_until(|peer| peer.statistics().delivered == 20);
    let refused = read(1).join().unwrap().unwrap_err();
    assert!(refused.contains("a higher epoch '2' exists"), "{refused}");
    peer.append(HUB, 1, ["10"]);
    assert_eq!(second.join().unwrap(), Ok(11));
}
