//! Events that the SDK sends are there, where they belong.

use std::time::Duration;

use azure_messaging_eventhubs::models::EventData;
use event_hubs_peer::{Claim, Peer, Property};

use crate::sdk::{self, Address, anywhere, event, send, to_partition, with_key};

const HUB: &str = "retail-events";

#[test]
fn batch_with_a_key_is_in_the_partition_of_the_key_as_it_was_sent() {
    let peer = Peer::builder().hub(HUB, 4).start();
    let address = Address::of(&peer, HUB);
    sdk::run(async move || {
        let producer = address.producer().await;
        let event = |number: i64| {
            EventData::builder()
                .with_body(format!("event {number}").into_bytes())
                .with_content_type("application/json".into())
                .with_message_id(format!("id-{number}"))
                .with_correlation_id("trace".to_owned())
                .add_property("number".into(), number)
                .add_property("tenant".into(), "acme")
                .build()
        };
        send(&producer, with_key("device-7"), (0..3).map(event).collect()).await.unwrap();
    });
    let events = peer.events(HUB);
    let partition = peer.partition_of(HUB, "device-7");
    assert_eq!(events.len(), 3);
    for (event, number) in events.iter().zip(0..) {
        assert_eq!(event.partition, partition);
        assert_eq!(event.sequence, number);
        assert_eq!(event.text(), format!("event {number}"));
        assert_eq!(event.key.as_deref(), Some("device-7"));
        assert_eq!(event.content_type.as_deref(), Some("application/json"));
        assert_eq!(event.message_id, Some(format!("id-{number}")));
        assert_eq!(event.correlation_id.as_deref(), Some("trace"));
        assert_eq!(event.properties["number"], Property::from(number));
        assert_eq!(event.properties["tenant"], Property::from("acme"));
    }
}

#[test]
fn batches_go_to_their_partition_or_one_after_the_other() {
    let peer = Peer::builder().hub(HUB, 3).start();
    let address = Address::of(&peer, HUB);
    sdk::run(async move || {
        let producer = address.producer().await;
        send(&producer, to_partition(2), vec![event("a"), event("b")]).await.unwrap();
        for _ in 0..3 {
            send(&producer, anywhere(), vec![event("c")]).await.unwrap();
        }
        sdk::in_time(producer.send_event("d", None)).await.unwrap();
    });
    assert_eq!(peer.partition_sizes(HUB), [2, 1, 3]);
    let counts = peer.statistics();
    assert_eq!((counts.transfers, counts.events, counts.accepted), (5, 6, 5));
}

#[test]
fn wrong_key_and_policy_without_the_claim_do_not_get_anything_in() {
    let peer = Peer::builder().hub(HUB, 2).policy("reader", "a key", [Claim::Listen]).start();
    for wrong in [("reader", "a key"), ("reader", "another"), ("nobody", "a key")] {
        let address = Address::with(&peer, HUB, wrong);
        let sent = sdk::run(async move || {
            let producer = address.producer().await;
            send(&producer, anywhere(), vec![event("x")]).await
        });
        let error = sent.unwrap_err();
        assert!(error.contains("Unauthorized") || error.contains("InvalidSignature"), "{error}");
    }
    assert_eq!(peer.events(HUB), []);
    let counts = peer.statistics();
    assert_eq!((counts.refused_attaches, counts.refused_tokens), (1, 2));
}

#[test]
fn message_larger_than_the_link_takes_is_rejected_and_the_link_goes_on() {
    let peer = Peer::builder().hub(HUB, 1).message_bytes_max(10_000).start();
    let address = Address::of(&peer, HUB);
    let too_large = sdk::run(async move || {
        let producer = address.producer().await;
        // Sent alone, it is not measured by the SDK, which then cuts it at what the link takes. With two
        // pieces it would give each an id of its own, and the link would be detached for that.
        let too_large = sdk::in_time(producer.send_event(vec![b'x'; 25_000], None)).await;
        sdk::in_time(producer.send_event(vec![b'x'; 9_000], None)).await.unwrap();
        too_large.unwrap_err()
    });
    assert!(too_large.contains("LinkPayloadSizeExceeded"), "{too_large}");
    assert_eq!(peer.partition_sizes(HUB), [1]);
    let counts = peer.statistics();
    assert_eq!((counts.transfers, counts.not_accepted, counts.accepted), (2, 1, 1));
}

#[test]
fn counting_only_counts_and_keeps_nothing() {
    let peer = Peer::builder().hub(HUB, 1).start();
    peer.store_only_counts(true);
    let address = Address::of(&peer, HUB);
    sdk::run(async move || {
        let producer = address.producer().await;
        send(&producer, anywhere(), vec![event("a"), event("b")]).await.unwrap();
    });
    assert_eq!(peer.events(HUB), []);
    let counts = peer.statistics();
    assert_eq!((counts.events, counts.accepted), (2, 1));
    assert!(counts.bytes > 0);
}

#[test]
fn no_settlement_is_lost_be_it_at_once_or_later() {
    for (wait, sends) in [(Duration::ZERO, 500), (Duration::from_millis(2), 50)] {
        let peer = Peer::builder().hub(HUB, 1).start();
        peer.settle_after(wait);
        let address = Address::of(&peer, HUB);
        sdk::run(async move || {
            let producer = address.producer().await;
            for number in 0..sends {
                send(&producer, anywhere(), vec![event(&number.to_string())]).await.unwrap();
            }
        });
        let events = peer.events(HUB);
        assert_eq!(events.len(), sends);
        assert!(events.iter().zip(0..).all(|(event, number)| event.text() == number.to_string()));
    }
}
