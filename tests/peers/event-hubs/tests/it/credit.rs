//! What goes to a receiver is limited by its credit, and a sender is told how large a message may be.

use event_hubs_peer::Peer;
use fe2o3_amqp::Sender;
use fe2o3_amqp_types::messaging::Body;
use fe2o3_amqp_types::primitives::Value;

use crate::raw::Raw;

const PARTITION: &str = "hub/ConsumerGroups/$Default/Partitions/0";

#[tokio::test]
async fn receiver_gets_as_many_events_as_it_has_credit_for() {
    let peer = Peer::builder().hub("hub", 1).start();
    peer.append("hub", 0, (0..10).map(|number| number.to_string()));
    let mut raw = Raw::connect(&peer, "hub").await;
    let mut receiver = raw.receiver(PARTITION).await;
    let mut seen = Vec::new();
    for credit in [3, 2] {
        receiver.set_credit(credit).await.unwrap();
        for _ in 0..credit {
            let event = receiver.recv::<Body<Value>>().await.unwrap();
            let Body::Data(body) = event.body() else { panic!("no data") };
            seen.push(String::from_utf8(body[0].0.to_vec()).unwrap());
        }
        peer.wait_until(|peer| peer.statistics().delivered == seen.len() as u64);
    }
    assert_eq!(seen, ["0", "1", "2", "3", "4"]);
    // An answered request shows that nothing more was on its way before it.
    raw.put_token("hub", &event_hubs_peer::test_jwt(std::time::Duration::from_mins(1))).await;
    assert_eq!(peer.statistics().delivered, 5);
}

#[tokio::test]
async fn link_says_how_large_a_message_may_be() {
    let peer = Peer::builder().hub("hub", 1).message_bytes_max(10_000).start();
    let mut raw = Raw::connect(&peer, "hub").await;
    let sender = Sender::attach(&mut raw.session, "sender", "hub").await.unwrap();
    assert_eq!(sender.max_message_size(), Some(10_000));
}
