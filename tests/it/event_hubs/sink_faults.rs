//! Every way in which the hub fails: what it holds at the end is held against the accounts.

use std::time::Duration;

use event_hubs_peer::{
    AttachFault, Condition, ConnectFault, ManagementFault, Peer, SendFault, Times, TokenFault,
};

use super::{HUB, Outcome, Trial};

const EVENTS: u64 = 1000;

/// How much is in one batch of the pipeline.
const BATCH: usize = 100;

/// A cell of the matrix: how events wait, and how many send.
#[derive(Clone, Copy, Debug)]
struct Cell {
    buffer: &'static str,
    lanes: &'static str,
    partition_by: &'static str,
}

const CELLS: [Cell; 3] = [
    Cell { buffer: "memory", lanes: "1", partition_by: "key" },
    Cell { buffer: "disk", lanes: "2", partition_by: "key" },
    Cell { buffer: "memory", lanes: "3", partition_by: "round_robin" },
];

/// Settlement within this is not in doubt on a machine that is busy; a test waits for so long where
/// a fault keeps it from coming.
const PATIENT: &str = "6s";

const SINK: &str = r#"
    with:
      connection_string: "${HUB}"
      partition_by: "${PARTITION_BY}"
      connect_timeout: "${CONNECT_TIMEOUT}"
      send_timeout: "${SEND_TIMEOUT}"
    delivery:
      lanes: "${LANES}"
      retry: { initial_backoff_ms: 2, max_backoff_ms: 20 }
      circuit_breaker: { failure_threshold: 3, recovery_timeout_ms: 20 }
      buffer: { type: "${BUFFER}", max_events: 400 }
"#;

/// Runs the pipeline against a peer with this fault, and checks the accounts. The duplicates.
fn run(cell: Cell, timeouts: [&str; 2], set: impl FnOnce(&Peer)) -> (Peer, Outcome, usize) {
    let peer = Peer::builder().hub(HUB, 4).start();
    set(&peer);
    let outcome = Trial::new(&peer, EVENTS, SINK)
        .env("BUFFER", cell.buffer)
        .env("LANES", cell.lanes)
        .env("PARTITION_BY", cell.partition_by)
        .env("CONNECT_TIMEOUT", timeouts[0])
        .env("SEND_TIMEOUT", timeouts[1])
        .run(|_| {});
    let duplicates = outcome.adds_up(&peer);
    if cell.partition_by == "key" {
        outcome.keeps_order(&peer);
    }
    (peer, outcome, duplicates)
}

/// A fault of messages that leaves nothing behind: all arrives, and once. Where it takes the
/// connection with it, batches for other partitions may have been stored on it and not settled.
fn is_overcome(fault: &SendFault, times: u64) {
    let takes_connection = matches!(fault, SendFault::Cut { .. } | SendFault::Close { .. });
    for cell in CELLS {
        let (peer, outcome, duplicates) =
            run(cell, [PATIENT; 2], |peer| peer.on_send(fault.clone(), Times::N(times)));
        assert!(peer.statistics().faults >= times, "{fault:?} {cell:?}: it never happened");
        let has_others = takes_connection && cell.partition_by == "key";
        let at_most = if has_others { times as usize * BATCH } else { 0 };
        assert!(duplicates <= at_most, "{fault:?} {cell:?}: {duplicates} duplicates");
        assert_eq!(outcome.dead.len(), 0, "{fault:?} {cell:?}");
        assert!(outcome.figure("delivery_attempts_failed") > 0, "{fault:?} {cell:?}");
    }
}

/// A fault after which nobody knows whether the message is stored: all arrives, some of it twice.
fn is_overcome_with_duplicates(fault: &SendFault, times: u64, timeouts: [&str; 2]) {
    for cell in CELLS {
        let (_, outcome, duplicates) =
            run(cell, timeouts, |peer| peer.on_send(fault.clone(), Times::N(times)));
        assert_eq!(outcome.dead.len(), 0, "{fault:?} {cell:?}");
        let lanes: usize = cell.lanes.parse().unwrap();
        let at_most = (times as usize) * BATCH * lanes;
        assert!((1..=at_most).contains(&duplicates), "{fault:?} {cell:?}: {duplicates} duplicates");
    }
}

#[test]
fn what_is_rejected_for_a_while_is_sent_again() {
    for condition in [Condition::INTERNAL_ERROR, Condition::TIMEOUT, Condition::ENTITY_DISABLED] {
        is_overcome(&SendFault::Reject(condition), 5);
    }
}

#[test]
fn connections_that_are_cut_before_anything_was_stored_are_made_again() {
    is_overcome(&SendFault::Cut { stored: false }, 3);
}

#[test]
fn links_that_are_detached_and_connections_that_are_closed_are_made_again() {
    for condition in [Condition::LINK_DETACH_FORCED, Condition::INTERNAL_ERROR] {
        is_overcome(&SendFault::Detach { condition, stored: false }, 1);
    }
    is_overcome(&SendFault::Close { condition: Condition::CONNECTION_FORCED, stored: false }, 2);
}

#[test]
fn where_the_outcome_is_unknown_events_may_come_twice_but_never_not() {
    let condition = Condition::LINK_DETACH_FORCED;
    is_overcome_with_duplicates(&SendFault::Cut { stored: true }, 3, [PATIENT; 2]);
    is_overcome_with_duplicates(&SendFault::Detach { condition, stored: true }, 1, [PATIENT; 2]);
    let condition = Condition::CONNECTION_FORCED;
    is_overcome_with_duplicates(&SendFault::Close { condition, stored: true }, 3, [PATIENT; 2]);
}

#[test]
fn a_batch_that_is_never_settled_is_given_up_after_its_time_and_sent_again() {
    for stored in [false, true] {
        for fault in [SendFault::NeverSettle { stored }, SendFault::Stall { stored }] {
            for cell in CELLS {
                let (_, outcome, duplicates) = run(cell, [PATIENT, "2s"], |peer| {
                    peer.on_send(fault.clone(), Times::N(2));
                });
                assert_eq!(outcome.dead.len(), 0, "{fault:?} {cell:?}");
                let others = matches!(fault, SendFault::Stall { .. }) && cell.partition_by == "key";
                let at_most = if stored || others { 2 * BATCH } else { 0 };
                assert!(duplicates <= at_most, "{fault:?} {cell:?}: {duplicates} duplicates");
            }
        }
    }
}

#[test]
fn a_service_that_is_busy_is_left_alone_for_as_long_as_it_asks() {
    let start = tokio::time::Instant::now();
    let (_, outcome, duplicates) = run(CELLS[0], [PATIENT; 2], |peer| {
        peer.on_send(SendFault::Reject(Condition::SERVER_BUSY), Times::N(1));
    });
    assert_eq!((duplicates, outcome.dead.len()), (0, 0));
    let took = start.elapsed();
    assert!(took.as_secs() >= 4, "it was asked again after {took:?}");
}

#[test]
fn what_the_service_will_never_take_becomes_a_dead_letter_after_one_attempt() {
    for (condition, category) in [
        (Condition::NOT_ALLOWED, "rejected"),
        (Condition::ARGUMENT_ERROR, "rejected"),
        (Condition::UNAUTHORIZED, "unauthorized"),
    ] {
        let cell = Cell { lanes: "1", ..CELLS[2] };
        let (_, outcome, duplicates) = run(cell, [PATIENT; 2], |peer| {
            peer.on_send(SendFault::Reject(condition.clone()), Times::N(1));
        });
        assert_eq!((duplicates, outcome.dead.len()), (0, BATCH), "{condition:?}");
        assert!(outcome.dead.values().all(|it| it == category), "{condition:?}");
    }
}

#[test]
fn a_right_that_ends_while_it_is_used_is_asked_for_again() {
    for cell in CELLS {
        let (_, outcome, duplicates) = run(cell, [PATIENT; 2], |peer| {
            let fault = SendFault::Detach { condition: Condition::UNAUTHORIZED, stored: false };
            peer.on_send(fault, Times::OnceAfter(8));
        });
        assert_eq!((duplicates, outcome.dead.len()), (0, 0), "{cell:?}");
    }
}

#[test]
fn a_batch_that_is_too_large_after_all_is_sent_in_smaller_ones() {
    for cell in CELLS {
        let (peer, outcome, duplicates) = run(cell, [PATIENT; 2], |peer| {
            peer.on_send(SendFault::Reject(Condition::TOO_LARGE), Times::N(2));
        });
        assert_eq!((duplicates, outcome.dead.len()), (0, 0), "{cell:?}");
        assert!(peer.statistics().transfers > EVENTS / BATCH as u64, "{cell:?}");
    }
}

#[test]
fn what_made_batches_smaller_does_not_last() {
    let cell = Cell { lanes: "1", ..CELLS[0] };
    let (peer, outcome, duplicates) = run(cell, [PATIENT; 2], |peer| {
        peer.on_send(SendFault::Reject(Condition::TOO_LARGE), Times::N(10));
    });
    // An event that was refused alone is too large by itself, and no other is.
    assert!(duplicates == 0 && outcome.dead.len() <= 10, "{} dead letters", outcome.dead.len());
    assert_eq!(peer.statistics().faults, 10);
}

#[test]
fn one_partition_keeps_the_order_of_keys_in_several_lanes() {
    let peer = Peer::builder().hub(HUB, 2).start();
    peer.on_send(SendFault::Reject(Condition::INTERNAL_ERROR), Times::N(7));
    let sink = r#"
    with: { connection_string: "${HUB}", partition_by: id, partition_id: "1" }
    delivery:
      lanes: 4
      retry: { initial_backoff_ms: 2, max_backoff_ms: 20 }
      circuit_breaker: { recovery_timeout_ms: 30 }
"#;
    let outcome = Trial::new(&peer, 2000, sink).run(|_| {});
    assert_eq!(outcome.adds_up(&peer), 0);
    outcome.keeps_order(&peer);
    assert_eq!(peer.partition_sizes(HUB), [0, 2000]);
}

#[test]
fn duplicates_of_the_service_and_slowness_change_no_account() {
    for cell in CELLS {
        let (_, _, duplicates) =
            run(cell, [PATIENT; 2], |peer| peer.on_send(SendFault::Duplicate, Times::N(3)));
        assert!(duplicates > 0, "{cell:?}");
        let slow = SendFault::Slow(Duration::from_millis(30));
        let (_, outcome, duplicates) =
            run(cell, [PATIENT; 2], |peer| peer.on_send(slow, Times::Always));
        assert_eq!((duplicates, outcome.figure("delivery_attempts_failed")), (0, 0), "{cell:?}");
    }
}

#[test]
fn what_is_released_or_modified_counts_as_delivered_as_the_client_has_it() {
    // A limit of the official client, which is written down where users look.
    for fault in [SendFault::Released, SendFault::Modified] {
        let peer = Peer::builder().hub(HUB, 1).start();
        peer.on_send(fault, Times::N(1));
        let sink = "    with: { connection_string: \"${HUB}\" }\n";
        let outcome = Trial::new(&peer, 300, sink).run(|_| {});
        assert_eq!(
            (outcome.stage("hub")["sent"].as_u64(), peer.events(HUB).len()),
            (Some(300), 200)
        );
    }
}

#[test]
fn a_hub_that_cannot_be_reached_at_first_is_waited_for() {
    for cell in &CELLS[..2] {
        let cell = *cell;
        for fault in [ConnectFault::Reset, ConnectFault::Silence] {
            let (peer, outcome, duplicates) = run(cell, ["2s", PATIENT], |peer| {
                peer.on_connect(fault.clone(), Times::N(2));
            });
            assert_eq!((duplicates, outcome.dead.len()), (0, 0), "{fault:?} {cell:?}");
            assert_eq!(peer.statistics().faults, 2, "{fault:?} {cell:?}");
        }
        for fault in [TokenFault::Status(503), TokenFault::NoAnswer] {
            let (_, outcome, duplicates) = run(cell, ["2s", PATIENT], |peer| {
                peer.on_token(fault.clone(), Times::N(2));
            });
            assert_eq!((duplicates, outcome.dead.len()), (0, 0), "{fault:?} {cell:?}");
        }
        for fault in [ManagementFault::Status(503), ManagementFault::NoAnswer] {
            let (_, outcome, duplicates) = run(cell, ["2s", PATIENT], |peer| {
                peer.on_management(fault.clone(), Times::N(2));
            });
            assert_eq!((duplicates, outcome.dead.len()), (0, 0), "{fault:?} {cell:?}");
        }
        for fault in [AttachFault::Refuse(Condition::SERVER_BUSY), AttachFault::NoAnswer] {
            let (_, outcome, duplicates) = run(cell, ["2s", PATIENT], |peer| {
                peer.on_attach(fault.clone(), Times::N(1));
            });
            assert_eq!((duplicates, outcome.dead.len()), (0, 0), "{fault:?} {cell:?}");
        }
    }
}
