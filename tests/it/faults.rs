//! Every way in which a receiver fails, with each sort of buffer, with the breaker and without it:
//! what the peer holds at the end is held against the accounts of the run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Running, Test};
use crate::peer::{Fault, Log, Peer};

const EVENTS: u64 = 1000;

const SPEC: &str = r#"
name: faults
clock: { start: 2024-11-29T10:00:00Z, speed: max, events: 1000 }
sources: { shop: { type: retail_mix, with: { burst: 50 } } }
batchers: { fifties: { type: count_or_time, inputs: shop, with: { max_batch_size: 50 } } }
sinks:
  all: { type: file, inputs: shop, with: { path: all.ndjson } }
  hook:
    type: http
    inputs: fifties
    with: { url: "${URL}" }
    delivery:
      timeout: "${TIMEOUT}"
      retry: { attempts: 3, initial_backoff_ms: 2, max_backoff_ms: 20 }
      circuit_breaker: { enabled: "${BREAKER}", failure_threshold: 5, recovery_timeout_ms: 30 }
      buffer: { type: "${BUFFER}", max_events: 300 }
"#;

/// A cell of the matrix.
#[derive(Clone, Copy, Debug)]
struct Cell {
    buffer: &'static str,
    breaker: bool,
}

const CELLS: [Cell; 4] = [
    Cell { buffer: "memory", breaker: true },
    Cell { buffer: "memory", breaker: false },
    Cell { buffer: "disk", breaker: true },
    Cell { buffer: "disk", breaker: false },
];

/// What a run left, and what the peer got of it.
struct Outcome {
    /// The lines of all events, by trace id.
    made: BTreeMap<String, String>,
    /// How often the peer took each event.
    taken: BTreeMap<String, usize>,
    /// How often each event was sent.
    attempts: BTreeMap<String, usize>,
    /// The trace ids of the dead letters.
    dead: BTreeSet<String>,
    statistics: Value,
}

/// Runs the pipeline against the peer in one cell. `mend` is called while it runs.
fn run(cell: Cell, peer: &Peer, mend: impl FnOnce(&Running)) -> Outcome {
    // Longer than a peer takes on any machine, or what it took late would come twice.
    run_with_timeout(cell, peer, "30s", mend)
}

fn run_with_timeout(
    cell: Cell,
    peer: &Peer,
    timeout: &str,
    mend: impl FnOnce(&Running),
) -> Outcome {
    let test = Test::new(&["run", "faults.yaml", "--report", "report.json"])
        .file("faults.yaml", SPEC)
        .env("URL", &peer.url())
        .env("BREAKER", &cell.breaker.to_string())
        .env("BUFFER", cell.buffer)
        .env("TIMEOUT", timeout);
    let (running, _stdout) = test.start();
    mend(&running);
    let ended = running.end(String::new()).exits(0);
    let events = |text: &str| -> BTreeMap<String, String> {
        let id = |line: &str| {
            let event: Value = serde_json::from_str(line).unwrap();
            event["trace_id"].as_str().unwrap().to_owned()
        };
        text.lines().map(|line| (id(line), line.to_owned())).collect()
    };
    let letters = std::fs::read_to_string(ended.path("dead_letters/faults.ndjson"));
    let letters = letters.unwrap_or_default();
    let dead = letters.lines().map(|line| {
        let letter: Value = serde_json::from_str(line).unwrap();
        letter["event"]["trace_id"].as_str().unwrap().to_owned()
    });
    let dead = dead.collect();
    let report: Value = serde_json::from_str(&ended.read("report.json")).unwrap();
    assert_eq!(report["balanced"], true, "{cell:?}");
    let made = events(&ended.read("all.ndjson"));
    let taken = |log: &Log| log.taken().into_iter().map(|(id, n)| (id.to_owned(), n)).collect();
    let wrong = |log: &Log| {
        let other = |event: &&crate::peer::Accepted| made[&event.trace_id] != event.line;
        log.events.iter().find(other).map(|event| event.line.clone())
    };
    assert_eq!(peer.look(wrong), None, "{cell:?}: an event changed on its way");
    Outcome {
        taken: peer.look(taken),
        attempts: peer.look(|log| log.attempts.clone()),
        made,
        dead,
        statistics: report["statistics"].clone(),
    }
}

impl Outcome {
    /// Every event is with the peer or a dead letter, and the accounts say so.
    fn adds_up(&self, cell: Cell) -> &Self {
        let Self { made, taken, dead, statistics, .. } = self;
        assert_eq!(made.len() as u64, EVENTS, "{cell:?}");
        for id in made.keys() {
            assert!(
                taken.contains_key(id) != dead.contains(id),
                "{cell:?}: {id} is lost or twofold"
            );
        }
        let stages = statistics["stages"].as_array().unwrap();
        let hook = stages.iter().find(|stage| stage["stage"] == "hook").unwrap();
        assert_eq!(hook["received"], EVENTS, "{cell:?}");
        assert_eq!(hook["sent"], taken.len() as u64, "{cell:?}");
        let dead_lettered = hook["dead_lettered"].as_object().unwrap().values();
        let dead_lettered: u64 = dead_lettered.map(|count| count.as_u64().unwrap()).sum();
        assert_eq!(dead_lettered, dead.len() as u64, "{cell:?}");
        assert_eq!(hook["dropped"], serde_json::json!({}), "{cell:?}");
        assert_eq!(hook["buffered"], 0, "{cell:?}");
        self
    }

    /// Nothing that could be sent again became a dead letter.
    fn has_no_dead_letters(&self, cell: Cell) -> &Self {
        assert_eq!(self.dead.len(), 0, "{cell:?}");
        self
    }

    /// What the peer took was not sent again.
    fn has_no_duplicates(&self, cell: Cell) -> &Self {
        let twice = self.taken.iter().find(|(_, count)| **count > 1);
        assert_eq!(twice, None, "{cell:?}");
        self
    }

    /// A figure of the final statistics.
    fn figure(&self, name: &str) -> u64 {
        self.statistics[name].as_u64().unwrap_or_else(|| panic!("no {name}"))
    }
}

/// A fault that lasts until the peer has seen so many requests, and is over then.
fn until_requests(fault: &Fault, requests: usize) -> impl Fn(Cell) -> Outcome {
    let fault = fault.clone();
    move |cell| {
        let peer = Peer::start();
        peer.set(fault.clone());
        let timeout = if matches!(fault, Fault::Stall) { "1s" } else { "30s" };
        run_with_timeout(cell, &peer, timeout, |_| {
            peer.wait_until(|log| log.requests.len() >= requests);
            peer.set(Fault::None);
        })
    }
}

#[test]
fn refused_connections_are_waited_for() {
    for cell in CELLS {
        let peer = Peer::start();
        peer.set(Fault::Refuse);
        let outcome = run(cell, &peer, |running| {
            running.wait_for("an attempt failed");
            peer.set(Fault::None);
        });
        outcome.adds_up(cell).has_no_dead_letters(cell).has_no_duplicates(cell);
        assert!(outcome.figure("connection_failures") > 0, "{cell:?}");
    }
}

#[test]
fn connections_that_are_cut_before_anything_was_taken_are_made_again() {
    for fault in [Fault::Cut, Fault::CutInBody(100)] {
        for cell in CELLS {
            let outcome = until_requests(&fault, 7)(cell);
            outcome.adds_up(cell).has_no_dead_letters(cell).has_no_duplicates(cell);
        }
    }
}

#[test]
fn where_the_outcome_is_unknown_events_may_come_twice_but_never_not() {
    for fault in [Fault::CutAfterStoring, Fault::CutInAnswer] {
        for cell in CELLS {
            let outcome = until_requests(&fault, 7)(cell);
            outcome.adds_up(cell).has_no_dead_letters(cell);
            let duplicates: usize = outcome.taken.values().map(|count| count - 1).sum();
            assert!(duplicates >= 50, "{cell:?}: {duplicates}");
            assert!(duplicates <= 7 * 50, "{cell:?}: {duplicates} is more than was on its way");
        }
    }
}

#[test]
fn a_receiver_that_stalls_is_left_after_the_timeout() {
    for cell in CELLS {
        let outcome = until_requests(&Fault::Stall, 3)(cell);
        outcome.adds_up(cell).has_no_dead_letters(cell).has_no_duplicates(cell);
    }
}

#[test]
fn a_slow_receiver_holds_the_source_back_and_gets_everything_once() {
    for cell in CELLS {
        let peer = Peer::start();
        peer.set(Fault::Slow(Duration::from_millis(20)));
        let outcome = run(cell, &peer, |_| {});
        outcome.adds_up(cell).has_no_dead_letters(cell).has_no_duplicates(cell);
        assert_eq!(outcome.figure("delivery_attempts_failed"), 0, "{cell:?}");
    }
}

#[test]
fn a_busy_receiver_is_not_asked_again_before_it_said() {
    for cell in CELLS {
        let peer = Peer::start();
        peer.script([Fault::busy(429, 1), Fault::busy(503, 1)]);
        let outcome = run(cell, &peer, |_| {});
        outcome.adds_up(cell).has_no_dead_letters(cell).has_no_duplicates(cell);
        let times: Vec<_> = peer.requests().iter().map(|request| request.time).collect();
        for pair in times[..3].windows(2) {
            assert!(pair[1] - pair[0] >= Duration::from_secs(1), "{cell:?}: asked too early");
        }
    }
}

#[test]
fn only_the_events_that_failed_are_sent_again() {
    for cell in CELLS {
        let peer = Peer::start();
        let fails_at_first = |index: usize, attempts: usize| {
            (index.is_multiple_of(7) && attempts == 1).then_some(429)
        };
        peer.set(Fault::reject(move |offered| fails_at_first(offered.index, offered.attempts)));
        let outcome = run(cell, &peer, |_| {});
        outcome.adds_up(cell).has_no_dead_letters(cell).has_no_duplicates(cell);
        let sent_twice = outcome.attempts.values().filter(|attempts| **attempts == 2).count();
        // Of each batch of fifty, the places 0, 7, ... 49; of what is sent again, none.
        assert_eq!(sent_twice, 8 * 20, "{cell:?}");
        assert!(outcome.attempts.values().all(|attempts| *attempts <= 2), "{cell:?}");
    }
}

#[test]
fn events_that_are_refused_for_good_are_dead_letters_after_one_attempt() {
    for cell in CELLS {
        let peer = Peer::start();
        peer.set(Fault::reject(|offered| {
            (offered.event["event_type"] == "ble_ping_detected").then_some(422)
        }));
        let outcome = run(cell, &peer, |_| {});
        outcome.adds_up(cell).has_no_duplicates(cell);
        let pings = outcome.made.iter().filter(|(_, line)| line.contains("\"ble_ping_detected\""));
        let pings: BTreeSet<String> = pings.map(|(id, _)| id.clone()).collect();
        assert!(pings.len() > 10);
        assert_eq!(outcome.dead, pings, "{cell:?}");
        assert!(outcome.attempts.values().all(|attempts| *attempts == 1), "{cell:?}");
        assert_eq!(
            outcome.figure("delivery_attempts_failed"),
            0,
            "the receiver answered: {cell:?}"
        );
    }
}

#[test]
fn a_flapping_receiver_gets_everything_once() {
    for cell in CELLS {
        let peer = Peer::start();
        peer.set(Fault::EveryOther(Box::new(Fault::status(500))));
        let outcome = run(cell, &peer, |_| {});
        outcome.adds_up(cell).has_no_dead_letters(cell).has_no_duplicates(cell);
        assert_eq!(outcome.figure("delivery_attempts_failed"), EVENTS / 50, "{cell:?}");
        assert_eq!(outcome.figure("circuit_breaker_trips"), 0, "never five in a row: {cell:?}");
    }
}

#[test]
fn the_breaker_opens_in_an_outage_and_asks_less_often() {
    let requests = |breaker| {
        let cell = Cell { buffer: "memory", breaker };
        let peer = Peer::start();
        peer.set(Fault::status(503));
        let outcome = run(cell, &peer, |_| {
            peer.wait_until(|log| log.requests.len() >= 12);
            peer.set(Fault::None);
        });
        outcome.adds_up(cell).has_no_dead_letters(cell).has_no_duplicates(cell);
        outcome.figure("circuit_breaker_trips")
    };
    assert!(requests(true) >= 1);
    assert_eq!(requests(false), 0);
}
