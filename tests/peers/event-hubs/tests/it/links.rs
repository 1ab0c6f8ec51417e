//! All links and connections at once: detached, closed, without their tokens.

use azure_messaging_eventhubs::{ProducerClient, StartLocation};
use event_hubs_peer::{Condition, Peer};

use crate::sdk::{Address, anywhere, event, meanwhile, read, send};

const HUB: &str = "retail-events";

/// A sender and a receiver that are attached while something is done to them.
fn while_attached(peer: &Peer, act: impl FnOnce()) {
    let address = Address::of(peer, HUB);
    let client = async move || {
        let producer: ProducerClient = address.producer().await;
        send(&producer, anywhere(), vec![event("x")]).await.unwrap();
        let consumer = address.consumer("$Default").await;
        let _ = read(&consumer, 0, StartLocation::Latest, false, 1).await;
        std::future::pending::<()>().await;
    };
    meanwhile(client, || {
        peer.wait_until(|peer| {
            let open = peer.statistics().open;
            (open.senders, open.receivers) == (1, 1)
        });
        act();
    });
}

#[test]
fn all_links_are_detached_and_their_connections_stay() {
    let peer = Peer::builder().hub(HUB, 1).start();
    while_attached(&peer, || {
        peer.detach_all(&Condition::LINK_DETACH_FORCED);
        peer.wait_until(|peer| peer.statistics().open.senders == 0);
        assert_eq!(peer.statistics().open.connections, 2);
    });
}

#[test]
fn links_end_when_tokens_run_out() {
    let peer = Peer::builder().hub(HUB, 1).start();
    while_attached(&peer, || {
        peer.expire_tokens();
        peer.wait_until(|peer| peer.statistics().open.senders == 0);
        assert_eq!(peer.statistics().open.connections, 2);
    });
}

#[test]
fn all_connections_are_closed_with_a_condition() {
    let peer = Peer::builder().hub(HUB, 1).start();
    while_attached(&peer, || {
        peer.close_all(&Condition::CONNECTION_FORCED);
        peer.wait_until(|peer| peer.statistics().open.senders == 0);
    });
}

#[test]
fn what_was_open_is_closed_when_clients_leave() {
    let peer = Peer::builder().hub(HUB, 1).start();
    while_attached(&peer, || {});
    peer.wait_until(|peer| peer.statistics().open == event_hubs_peer::Open::default());
}
