//! Tokens of Entra, and tokens that run out.

use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::time::OffsetDateTime;
use azure_messaging_eventhubs::ProducerClient;
use event_hubs_peer::{Claim, Peer, test_jwt};
use fe2o3_amqp::sasl_profile::SaslProfile;

use crate::raw::Raw;
use crate::sdk::{self, anywhere, event, no_retries, send};

const HUB: &str = "retail-events";

/// Gives tokens as Entra does.
#[derive(Debug)]
struct Issuer;

#[async_trait::async_trait]
impl TokenCredential for Issuer {
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        assert_eq!(scopes, ["https://eventhubs.azure.net/.default"]);
        let hour = Duration::from_hours(1);
        Ok(AccessToken::new(test_jwt(hour), OffsetDateTime::now_utc() + hour))
    }
}

#[test]
fn token_of_entra_lets_a_sender_in() {
    let peer = Peer::builder().hub(HUB, 1).start();
    let endpoint = format!("amqp://127.0.0.1:{}", peer.port());
    sdk::run(async move || {
        let producer = ProducerClient::builder()
            .with_custom_endpoint(endpoint)
            .with_retry_options(no_retries())
            .open("retail.servicebus.windows.net", HUB, Arc::new(Issuer));
        let producer = sdk::in_time(producer).await.unwrap();
        send(&producer, anywhere(), vec![event("x")]).await.unwrap();
    });
    assert_eq!(peer.events(HUB)[0].text(), "x");
}

#[tokio::test]
async fn link_is_detached_when_its_token_runs_out_unless_another_was_put() {
    let peer = Peer::builder().hub(HUB, 1).start();
    let mut raw = Raw::connect(&peer, HUB).await;
    let mut sender = fe2o3_amqp::Sender::attach(&mut raw.session, "a", HUB).await.unwrap();
    // The path is the same, so this takes the place of the token before.
    assert_eq!(raw.put_token(HUB, &test_jwt(Duration::from_secs(2))).await, 202);
    let detached = tokio::time::timeout(Duration::from_secs(30), sender.on_detach()).await;
    assert!(format!("{detached:?}").contains("UnauthorizedAccess"), "{detached:?}");
    assert_eq!(raw.put_token(HUB, &test_jwt(Duration::from_mins(1))).await, 202);
    fe2o3_amqp::Sender::attach(&mut raw.session, "b", HUB).await.unwrap();
    assert_eq!(raw.put_token(HUB, "no token").await, 401);
}

#[tokio::test]
async fn name_and_key_of_a_policy_are_checked_if_they_are_given() {
    let peer = Peer::builder().hub(HUB, 1).policy("reader", "a key", [Claim::Listen]).start();
    for (key, is_right) in [("a key", true), ("another", false)] {
        let profile = SaslProfile::Plain { username: "reader".into(), password: key.into() };
        let opened = Raw::open(&peer, profile).await;
        assert_eq!(opened.is_ok(), is_right, "{opened:?}");
    }
}
