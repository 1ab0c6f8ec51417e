//! The client by itself, as a program uses it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::time::OffsetDateTime;
use engine::event::{Event, Key, Text, Timestamp};
use engine::event_hubs::{Access, EventHubsClient, Partitioning};
use engine::stage::Retry;
use event_hubs_peer::{Condition, Peer, SendFault, Times, test_jwt};

use super::HUB;

fn client(peer: &Peer) -> EventHubsClient {
    EventHubsClient::new(
        Access::with_connection_string(&peer.connection_string(HUB), None).unwrap(),
    )
}

fn events(count: u32) -> Vec<Event> {
    let event = |number: u32| {
        let time = Timestamp::from_millis(1_732_874_400_000 + i64::from(number));
        let id = Text::from(format!("TR_{number}").as_str());
        let mut event = Event::new(Key::intern("receipt_created").unwrap(), id, time);
        event.partition_key = Some(Text::from(format!("store_{}", number % 10).as_str()));
        event
    };
    (0..count).map(event).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_connects_sends_counts_looks_after_itself_and_takes_leave() {
    let peer = Peer::builder().hub(HUB, 4).start();
    let client = client(&peer);
    assert_eq!(client.connect().await.unwrap(), 4);
    let hub = client.health_check().await.unwrap();
    assert_eq!((hub.name.as_str(), hub.partitions.len(), hub.events()), (HUB, 4, 0));
    client.send_events(&events(1000)).await.unwrap();
    assert_eq!(client.health_check().await.unwrap().events(), 1000);
    let statistics = client.statistics();
    assert_eq!((statistics.events_sent_successfully, statistics.events_failed), (1000, 0));
    assert_eq!((statistics.connections, statistics.connection_failures), (1, 0));
    assert!(statistics.batches_sent <= 4 && statistics.bytes_sent > 100_000);
    client.disconnect().await;
    peer.wait_until(|peer| peer.statistics().open.connections == 0);
    client.send_events(&events(10)).await.unwrap();
    assert_eq!(peer.events(HUB).len(), 1010, "it connects anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_taken_is_said_event_by_event() {
    let peer = Peer::builder().hub(HUB, 2).start();
    let client = client(&peer);
    peer.on_send(SendFault::Reject(Condition::INTERNAL_ERROR), Times::N(1));
    let unsent = client.send_events(&events(100)).await.unwrap_err().0;
    let stored = peer.events(HUB).len();
    assert_eq!(stored + unsent.len(), 100);
    assert!(!unsent.is_empty() && stored > 0, "one of two partitions: {stored}");
    assert!(unsent.iter().all(|(_, refusal)| refusal.retry == Retry::Later));
    assert!(unsent.windows(2).all(|pair| pair[0].0 < pair[1].0));
    let again: Vec<Event> = unsent.iter().map(|(place, _)| events(100)[*place].clone()).collect();
    client.send_events(&again).await.unwrap();
    assert_eq!(peer.events(HUB).len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_takes_longer_than_its_timeouts() {
    let peer = Peer::builder().hub(HUB, 1).start();
    let timeout = Duration::from_millis(300);
    let client = client(&peer).with_timeouts(Duration::from_secs(5), timeout);
    client.connect().await.unwrap();
    for stored in [true, false] {
        for fault in [SendFault::NeverSettle { stored }, SendFault::Stall { stored }] {
            peer.on_send(fault.clone(), Times::N(1));
            let events = events(10);
            let sent = tokio::time::timeout(Duration::from_secs(10), client.send_events(&events));
            let unsent = sent.await.expect("it hangs").unwrap_err();
            assert_eq!(unsent.0.len(), 10, "{fault:?}");
            assert_eq!(unsent.0[0].1.failure.category, "timeout", "{fault:?}");
        }
    }
    peer.stop();
    let nobody = tokio::time::timeout(Duration::from_secs(10), client.health_check());
    assert_eq!(nobody.await.expect("it hangs").unwrap_err().failure.category, "connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_beside_each_other_have_connections_of_their_own_and_leave_them_for_others() {
    let peer = Peer::builder().hub(HUB, 4).start();
    peer.settle_after(Duration::from_millis(50));
    let client = client(&peer).with_partitioning(Partitioning::RoundRobin);
    let events = events(100);
    for _ in 0..2 {
        let sent = (0..8).map(|_| client.send_events(&events));
        for sent in futures::future::join_all(sent).await {
            sent.unwrap();
        }
    }
    assert_eq!(peer.events(HUB).len(), 1600);
    assert_eq!(client.statistics().connections, 8);
}

/// Answers are at once here: on a runtime of several threads the official client waits for some of
/// them for ever.
#[tokio::test(flavor = "multi_thread")]
async fn settlement_at_once_is_never_lost() {
    let peer = Peer::builder().hub(HUB, 1).start();
    peer.settle_after(Duration::ZERO);
    let client = client(&peer);
    let events = events(1);
    for _ in 0..3000 {
        client.send_events(&events).await.unwrap();
    }
    assert_eq!(client.statistics().connections, 1);
}

/// Issues tokens as Microsoft Entra ID does, but unsigned.
#[derive(Debug)]
struct Issuer {
    valid_for: Duration,
}

#[async_trait]
impl TokenCredential for Issuer {
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        assert_eq!(scopes, ["https://eventhubs.azure.net/.default"]);
        let end = OffsetDateTime::now_utc() + Duration::from_hours(1);
        Ok(AccessToken::new(test_jwt(self.valid_for), end))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_entra_opens_the_hub_and_one_that_ended_does_not() {
    let peer = Peer::builder().hub(HUB, 2).start();
    let endpoint = format!("amqp://127.0.0.1:{}", peer.port());
    let client = |valid_for| {
        let access = Access::with_tokens("localhost", HUB, Arc::new(Issuer { valid_for }));
        EventHubsClient::new(access.unwrap().at_endpoint(&endpoint).unwrap())
    };
    client(Duration::from_hours(1)).send_events(&events(10)).await.unwrap();
    assert_eq!(peer.events(HUB).len(), 10);
    let refusal = client(Duration::ZERO).connect().await.unwrap_err();
    assert_eq!((refusal.retry, refusal.failure.category), (Retry::Never, "unauthorized"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_an_authority_that_nobody_knows_is_refused_with_the_remedy() {
    let peer = Peer::builder().hub(HUB, 1).tls().start();
    let access = Access::with_connection_string(&peer.tls_connection_string(HUB), None).unwrap();
    let refusal = EventHubsClient::new(access).connect().await.unwrap_err();
    assert_eq!((refusal.retry, refusal.failure.category), (Retry::Later, "connection"));
    let reason = refusal.failure.reason;
    assert!(reason.contains("SSL_CERT_FILE"), "{reason}");
}
