//! Every fault does what it says.

use std::time::Duration;

use azure_messaging_eventhubs::StartLocation;
use event_hubs_peer::{
    AttachFault, Condition, ManagementFault, Peer, ReceiveFault, SendFault, Times, TokenFault,
};

use crate::sdk::{self, Address, anywhere, event, meanwhile, read, send};

const HUB: &str = "retail-events";

fn peer() -> Peer {
    Peer::builder().hub(HUB, 1).start()
}

/// Sends an event in a batch with a client of its own.
fn send_one(peer: &Peer, text: &'static str) -> Result<(), String> {
    let address = Address::of(peer, HUB);
    sdk::run(async move || {
        let producer = address.producer().await;
        send(&producer, anywhere(), vec![event(text)]).await
    })
}

/// Starts to send an event, and leaves it to that while something is looked at.
fn while_sending(peer: &Peer, check: impl FnOnce()) {
    let address = Address::of(peer, HUB);
    let client = async move || {
        let producer = address.producer().await;
        send(&producer, anywhere(), vec![event("x")]).await
    };
    meanwhile(client, check);
}

fn texts(peer: &Peer) -> Vec<String> {
    peer.events(HUB).iter().map(|event| event.text().to_owned()).collect()
}

#[test]
fn rejections_name_their_condition_and_store_nothing() {
    for (condition, name) in [
        (Condition::SERVER_BUSY, "ServerBusy"),
        (Condition::QUOTA_EXCEEDED, "ResourceLimitExceeded"),
        (Condition::TOO_LARGE, "LinkPayloadSizeExceeded"),
        (Condition::UNAUTHORIZED, "UnauthorizedAccess"),
        (Condition::NOT_FOUND, "NotFound"),
        (Condition::INTERNAL_ERROR, "InternalError"),
        (Condition::ENTITY_DISABLED, "EntityDisabled"),
        (Condition::TIMEOUT, "Timeout"),
    ] {
        let peer = peer();
        peer.on_send(SendFault::Reject(condition), Times::N(1));
        let error = send_one(&peer, "x").unwrap_err();
        assert!(error.contains(&format!("condition: {name}")), "{name}: {error}");
        assert_eq!(peer.events(HUB), []);
        send_one(&peer, "y").unwrap();
        assert_eq!(texts(&peer), ["y"]);
    }
}

#[test]
fn released_and_modified_messages_are_not_stored() {
    let peer = peer();
    for fault in [SendFault::Released, SendFault::Modified] {
        peer.on_send(fault, Times::N(1));
        // The SDK takes both for success.
        let _ = send_one(&peer, "x");
    }
    assert_eq!(peer.events(HUB), []);
    assert_eq!(peer.statistics().not_accepted, 2);
}

#[test]
fn cut_ends_the_connection_before_or_after_storing() {
    for stored in [false, true] {
        let peer = peer();
        peer.on_send(SendFault::Cut { stored }, Times::N(1));
        while_sending(&peer, || {
            peer.wait_until(|peer| {
                let counts = peer.statistics();
                counts.faults == 1 && counts.open.connections == 0
            });
        });
        assert_eq!(peer.events(HUB).len(), usize::from(stored));
        assert_eq!(peer.statistics().accepted, 0);
    }
}

#[test]
fn stalled_connection_is_swallowed_and_does_not_end_before_its_client_does() {
    for stored in [false, true] {
        let peer = peer();
        peer.on_send(SendFault::Stall { stored }, Times::N(1));
        while_sending(&peer, || peer.wait_until(|peer| peer.statistics().faults == 1));
        peer.wait_until(|peer| peer.statistics().open.connections == 0);
        assert_eq!(peer.events(HUB).len(), usize::from(stored));
        assert_eq!(peer.statistics().accepted, 0);
    }
}

#[test]
fn message_that_is_never_settled_keeps_its_sender_waiting() {
    let peer = peer();
    peer.on_send(SendFault::NeverSettle { stored: true }, Times::N(1));
    while_sending(&peer, || {
        peer.wait_until(|peer| peer.events(HUB).len() == 1);
        let counts = peer.statistics();
        assert_eq!((counts.accepted, counts.not_accepted, counts.open.senders), (0, 0, 1));
    });
}

#[test]
fn link_is_detached_and_connection_closed_with_a_condition() {
    let condition = Condition::LINK_DETACH_FORCED;
    for fault in [
        SendFault::Detach { condition: condition.clone(), stored: true },
        SendFault::Close { condition, stored: true },
    ] {
        let peer = peer();
        peer.on_send(fault, Times::N(1));
        while_sending(&peer, || {
            peer.wait_until(|peer| {
                let counts = peer.statistics();
                counts.faults == 1 && counts.open.senders == 0
            });
        });
        assert_eq!(peer.events(HUB).len(), 1);
    }
}

#[test]
fn duplicate_is_stored_twice_and_accepted_once() {
    let peer = peer();
    peer.on_send(SendFault::Duplicate, Times::Always);
    send_one(&peer, "x").unwrap();
    peer.heal();
    send_one(&peer, "y").unwrap();
    assert_eq!(texts(&peer), ["x", "x", "y"]);
    assert_eq!(peer.statistics().accepted, 2);
}

#[test]
fn settlement_takes_as_long_as_it_is_told() {
    let peer = peer();
    peer.on_send(SendFault::Slow(Duration::from_hours(1)), Times::N(1));
    while_sending(&peer, || {
        peer.wait_until(|peer| peer.events(HUB).len() == 1);
        assert_eq!(peer.statistics().accepted, 0);
    });
    peer.settle_after(Duration::from_millis(5));
    send_one(&peer, "y").unwrap();
    assert_eq!(peer.statistics().accepted, 1);
}

#[test]
fn attach_that_is_refused_says_why_and_the_next_gets_in() {
    let peer = peer();
    peer.on_attach(AttachFault::Refuse(Condition::NOT_FOUND), Times::N(1));
    let error = send_one(&peer, "x").unwrap_err();
    assert!(error.contains("NotFound"), "{error}");
    send_one(&peer, "y").unwrap();
    assert_eq!(peer.statistics().refused_attaches, 1);
}

#[test]
fn attach_that_is_not_answered_leaves_the_client_waiting() {
    let peer = peer();
    peer.on_attach(AttachFault::NoAnswer, Times::Always);
    while_sending(&peer, || {
        peer.wait_until(|peer| peer.statistics().faults == 1);
        assert_eq!(peer.statistics().open.senders, 0);
    });
}

#[test]
fn token_is_refused_with_a_status_or_not_answered() {
    let peer = peer();
    peer.on_token(TokenFault::Status(503), Times::N(1));
    let error = send_one(&peer, "x").unwrap_err();
    assert!(error.contains("503"), "{error}");
    peer.on_token(TokenFault::NoAnswer, Times::N(1));
    while_sending(&peer, || peer.wait_until(|peer| peer.statistics().refused_tokens == 2));
    send_one(&peer, "y").unwrap();
    assert_eq!(texts(&peer), ["y"]);
}

#[test]
fn questions_are_refused_with_a_status() {
    let peer = peer();
    peer.on_management(ManagementFault::Status(503), Times::N(1));
    let address = Address::of(&peer, HUB);
    let (refused, answered) = sdk::run(async move || {
        let producer = address.producer().await;
        let refused = sdk::in_time(producer.get_eventhub_properties()).await;
        let answered = sdk::in_time(producer.get_partition_properties("0")).await;
        (refused.map(drop), answered.map(|properties| properties.is_empty))
    });
    assert!(refused.unwrap_err().contains("503"));
    assert!(answered.unwrap());
}

#[test]
fn receivers_lose_connection_or_link_in_mid_stream() {
    let stolen = ReceiveFault::Detach(Condition::LINK_STOLEN);
    for fault in [ReceiveFault::Cut, stolen, ReceiveFault::Close(Condition::CONNECTION_FORCED)] {
        let peer = peer();
        peer.append(HUB, 0, ["0", "1", "2", "3"]);
        peer.on_receive(fault, Times::OnceAfter(2));
        let address = Address::of(&peer, HUB);
        let client = async move || {
            let consumer = address.consumer("$Default").await;
            read(&consumer, 0, StartLocation::Earliest, false, 4).await.map(drop)
        };
        meanwhile(client, || {
            peer.wait_until(|peer| peer.statistics().faults == 1);
        });
        peer.wait_until(|peer| peer.statistics().open.receivers == 0);
    }
}

#[test]
fn receiver_that_is_stalled_gets_nothing_more() {
    let peer = peer();
    peer.append(HUB, 0, ["0", "1", "2"]);
    peer.on_receive(ReceiveFault::Stall, Times::OnceAfter(1));
    let address = Address::of(&peer, HUB);
    let (read_all, is_read) = std::sync::mpsc::channel::<()>();
    let client = async move || {
        let consumer = address.consumer("$Default").await;
        read(&consumer, 0, StartLocation::Earliest, false, 2).await.unwrap();
        read_all.send(()).unwrap();
    };
    meanwhile(client, || {
        // The peer has sent what there is, but for the client it is as if it had not: another client
        // has long been answered.
        peer.wait_until(|peer| peer.statistics().delivered == 3);
        send_one(&peer, "3").unwrap();
        assert_eq!(peer.statistics().open.receivers, 1);
        assert!(is_read.try_recv().is_err());
    });
}
