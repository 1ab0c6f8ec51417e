//! TLS, with an authority that only this peer knows.

use std::process::Command;

use azure_messaging_eventhubs::ProducerClient;
use event_hubs_peer::{DEFAULT_POLICY, Peer};

use crate::sdk::{self, anywhere, event, no_retries, send};

const HUB: &str = "retail-events";

/// Says to the process of the client where the peer is.
const ENDPOINT: &str = "EVENT_HUBS_PEER_ENDPOINT";

/// Runs the test `client` below in a process of its own: what it trusts is said in its environment.
fn run_client(peer: &Peer, ca_file: Option<&std::path::Path>) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "tls::client", "--nocapture"])
        .env(ENDPOINT, format!("amqps://localhost:{}", peer.tls_port()));
    if let Some(file) = ca_file {
        command.env("SSL_CERT_FILE", file);
    }
    command.output().unwrap().status.success()
}

/// The client: does nothing unless it is told where to send to.
#[test]
fn client() {
    let Ok(endpoint) = std::env::var(ENDPOINT) else { return };
    sdk::run(async move || {
        let (policy, key) = DEFAULT_POLICY;
        let connection_string = format!(
            "Endpoint=sb://localhost/;SharedAccessKeyName={policy};SharedAccessKey={key};\
             EntityPath={HUB}"
        );
        let producer = ProducerClient::builder()
            .with_custom_endpoint(endpoint)
            .with_retry_options(no_retries())
            .open_with_connection_string(&connection_string, None);
        let producer = sdk::in_time(producer).await.unwrap();
        send(&producer, anywhere(), vec![event("over TLS")]).await.unwrap();
    });
}

#[test]
fn client_that_trusts_the_authority_gets_in_and_no_other() {
    let peer = Peer::builder().hub(HUB, 1).tls().start();
    assert!(!run_client(&peer, None));
    assert_eq!(peer.events(HUB), []);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, peer.ca_pem()).unwrap();
    assert!(run_client(&peer, Some(&file)));
    assert_eq!(peer.events(HUB)[0].text(), "over TLS");
}
