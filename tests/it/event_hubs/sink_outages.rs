//! A hub that goes away while a run lasts, and comes back; and another that stands in for it.

use event_hubs_peer::{Condition, Peer, SendFault, Times, TokenFault};

use super::{HUB, Outcome, Trial};
use crate::harness::Test;

/// A paced run: events come whether the hub is there or not.
const SPEC: &str = r#"
name: trial
clock: { start: 2024-11-29T10:00:00Z, speed: 60, duration: 4m }
sources: { shop: { type: retail_mix, with: { emit_interval_ms: 1000, burst: 10 } } }
batchers: { packed: { type: count_or_time, inputs: shop, with: { max_batch_size: 50, batch_timeout_ms: 50 } } }
sinks:
  all: { type: file, inputs: shop, with: { path: all.ndjson } }
  hub:
    type: event_hubs
    inputs: packed
    with: { connection_string: "${HUB}", connect_timeout: 2s, send_timeout: 2s }
    delivery:
      retry: { initial_backoff_ms: 5, max_backoff_ms: 50 }
      circuit_breaker: { failure_threshold: 3, recovery_timeout_ms: 50 }
"#;

/// Runs four simulated minutes in four seconds; `happens` is done to the hub in their midst.
fn run(happens: impl FnOnce(&Peer)) -> (Peer, Outcome, usize) {
    let peer = Peer::builder().hub(HUB, 2).start();
    let (running, _stdout) = Test::new(&["run", "trial.yaml", "--report", "report.json"])
        .file("trial.yaml", SPEC)
        .env("HUB", &peer.connection_string(HUB))
        .start();
    peer.wait_until(|peer| peer.statistics().events >= 300);
    happens(&peer);
    let outcome = Outcome::of(running.end(String::new()).exits(0));
    let duplicates = outcome.adds_up(&peer);
    assert_eq!((outcome.made.len(), outcome.dead.len()), (2400, 0));
    (peer, outcome, duplicates)
}

#[test]
fn a_peer_that_is_restarted_gets_what_came_meanwhile() {
    let (_, outcome, duplicates) = run(|peer| {
        peer.stop();
        peer.wait_until(|peer| peer.statistics().open.connections == 0);
        peer.start_again();
    });
    assert!(duplicates <= 50, "{duplicates}: more than was on its way");
    assert!(outcome.figure("delivery_attempts_failed") > 0);
}

#[test]
fn an_idle_link_that_was_detached_is_attached_again() {
    for condition in [Condition::LINK_DETACH_FORCED, Condition::named("amqp:connection:forced")] {
        let (_, _, duplicates) = run(|peer| peer.detach_all(&condition));
        assert!(duplicates <= 50, "{duplicates}");
    }
}

#[test]
fn a_token_that_ended_is_followed_by_another() {
    let (peer, outcome, duplicates) = run(Peer::expire_tokens);
    assert!(duplicates <= 50, "{duplicates}");
    assert!(peer.statistics().connections >= 2);
    assert_eq!(outcome.dead.len(), 0);
}

#[test]
fn a_connection_that_became_a_black_hole_is_left_after_the_timeout() {
    let (peer, _, duplicates) = run(Peer::stall_all);
    assert!(duplicates <= 50, "{duplicates}");
    assert!(peer.statistics().connections >= 2);
}

#[test]
fn connections_that_are_cut_or_closed_are_made_again() {
    let (_, _, duplicates) = run(Peer::cut_all);
    assert!(duplicates <= 50, "{duplicates}");
    let (_, _, duplicates) = run(|peer| peer.close_all(&Condition::CONNECTION_FORCED));
    assert!(duplicates <= 50, "{duplicates}");
}

#[test]
fn another_hub_stands_in_for_one_that_is_away_until_it_is_back() {
    let (first, other) = (Peer::builder().hub(HUB, 2).start(), Peer::builder().hub(HUB, 4).start());
    let sink = r#"
    with:
      connection_string: "${HUB}"
      connect_timeout: 2s
      failover: { connection_string: "${OTHER}", after: 100ms, retry_primary: 200ms }
    delivery:
      retry: { initial_backoff_ms: 5, max_backoff_ms: 50 }
      circuit_breaker: { failure_threshold: 3, recovery_timeout_ms: 50 }
"#;
    let mut trial = Trial::new(&first, 1_000_000, sink).env("OTHER", &other.connection_string(HUB));
    trial.test = trial.test.env("RUST_LOG", "engine=info");
    let (running, _stdout) = trial.test.start();
    first.wait_until(|peer| peer.statistics().events >= 500);
    first.stop();
    other.wait_until(|peer| peer.statistics().events >= 500);
    let before = first.statistics().events;
    first.start_again();
    first.wait_until(|peer| peer.statistics().events >= before + 500);
    running.signal("INT");
    let ended = running.end(String::new()).exits(0);
    ended
        .says("sending to the event hub `retail-events` of `localhost` from now on")
        .says("the first hub is back")
        .says("the accounts add up");
}

#[test]
fn a_hub_that_settles_nothing_is_away_although_batches_are_parted() {
    let (first, other) = (Peer::builder().hub(HUB, 2).start(), Peer::builder().hub(HUB, 2).start());
    first.on_send(SendFault::NeverSettle { stored: false }, Times::Always);
    let sink = r#"
    with:
      connection_string: "${HUB}"
      max_batch_bytes: 8000
      send_timeout: 300ms
      failover: { connection_string: "${OTHER}", after: 500ms }
    delivery: { retry: { initial_backoff_ms: 5, max_backoff_ms: 50 } }
"#;
    let trial = Trial::new(&first, 1000, sink).env("OTHER", &other.connection_string(HUB));
    let outcome = trial.run(|_| {});
    assert_eq!((first.events(HUB).len(), outcome.adds_up(&other)), (0, 0));
}

#[test]
fn a_right_that_is_withdrawn_for_a_while_makes_no_dead_letters() {
    let (_, outcome, duplicates) = run(|peer| {
        peer.on_token(TokenFault::Status(401), Times::Always);
        peer.cut_all();
        let before = peer.statistics().refused_tokens;
        peer.wait_until(|peer| peer.statistics().refused_tokens >= before + 3);
        peer.heal();
    });
    assert_eq!(outcome.dead.len(), 0);
    assert!(duplicates <= 50, "{duplicates}");
}
