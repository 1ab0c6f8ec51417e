//! The peer is away, or there and silent.

use std::io::Read;
use std::net::TcpStream;

use event_hubs_peer::{ConnectFault, Peer, Times};

use crate::sdk::{self, Address, anywhere, event, meanwhile, send};

const HUB: &str = "retail-events";

fn send_one(peer: &Peer, text: &'static str) {
    let address = Address::of(peer, HUB);
    sdk::run(async move || {
        let producer = address.producer().await;
        send(&producer, anywhere(), vec![event(text)]).await.unwrap();
    });
}

#[test]
fn peer_that_is_started_again_has_its_ports_and_its_events() {
    let peer = Peer::builder().hub(HUB, 1).start();
    send_one(&peer, "before");
    for _ in 0..3 {
        peer.stop();
        assert!(TcpStream::connect(("127.0.0.1", peer.port())).is_err());
        peer.start_again();
    }
    send_one(&peer, "after");
    let texts: Vec<_> = peer.events(HUB).iter().map(|event| event.text().to_owned()).collect();
    assert_eq!(texts, ["before", "after"]);
}

#[test]
fn connections_end_when_all_are_cut_or_the_peer_is_dropped() {
    let peer = Peer::builder().hub(HUB, 1).start();
    let mut cut = TcpStream::connect(("127.0.0.1", peer.port())).unwrap();
    peer.wait_until(|peer| peer.statistics().open.connections == 1);
    peer.cut_all();
    assert!(ends(&mut cut));
    let mut dropped = TcpStream::connect(("127.0.0.1", peer.port())).unwrap();
    peer.wait_until(|peer| peer.statistics().open.connections == 1);
    drop(peer);
    assert!(ends(&mut dropped));
}

/// Reads until the end; an error is one, too.
fn ends(socket: &mut TcpStream) -> bool {
    let mut bytes = Vec::new();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    match socket.read_to_end(&mut bytes) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn connection_is_reset_or_met_with_silence() {
    let peer = Peer::builder().hub(HUB, 1).start();
    peer.on_connect(ConnectFault::Reset, Times::N(1));
    let mut reset = TcpStream::connect(("127.0.0.1", peer.port())).unwrap();
    assert!(ends(&mut reset));
    peer.on_connect(ConnectFault::Silence, Times::N(1));
    let address = Address::of(&peer, HUB);
    meanwhile(
        async move || address.producer().await,
        || {
            peer.wait_until(|peer| peer.statistics().faults == 2);
            assert_eq!(peer.statistics().open.connections, 1);
        },
    );
    peer.wait_until(|peer| peer.statistics().open.connections == 0);
    assert_eq!(peer.statistics().sessions, 0);
}
