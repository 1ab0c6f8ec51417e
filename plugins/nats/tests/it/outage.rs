//! Connections are lost, and come back: nothing is lost, and nothing comes twice.

use engine_plugin::{Error, Outcome};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::server::{Server, is_there};
use crate::trial::Trial;
use crate::{ids, receipts, settings};

/// The reason why all of it is to be tried again.
fn reason(outcome: &Outcome, events: usize) -> String {
    assert_eq!(outcome.refusals.len(), events, "{outcome:?}");
    match &outcome.refusals[0].error {
        Error::Retry(reason) => reason.clone(),
        other => panic!("{other:?}"),
    }
}

/// The events that are to be tried again.
fn left(outcome: &Outcome, events: &[Value]) -> Vec<Value> {
    let refusals = outcome.refusals.iter();
    let left = refusals.map(|refusal| {
        assert!(matches!(refusal.error, Error::Retry(_)), "{refusal:?}");
        events[refusal.row].clone()
    });
    left.collect()
}

#[test]
fn a_server_that_is_killed_and_comes_back_is_gone_on_with() {
    if !is_there() {
        return;
    }
    let mut server = Server::start();
    let mut trial = Trial::new(&settings(&server.url())).unwrap();
    assert_eq!(trial.write(&receipts(0..10)), Outcome::delivered());
    server.kill();
    let first = reason(&trial.write(&receipts(10..20)), 10);
    let second = reason(&trial.write(&receipts(10..20)), 10);
    let address = format!("`127.0.0.1:{}`", server.port);
    assert!(first.contains(&address), "{first}");
    assert!(second.starts_with(&format!("cannot connect to {address}: ")), "{second}");
    assert!(second.contains("Connection refused"), "{second}");
    server.restart();
    assert_eq!(trial.write(&receipts(10..20)), Outcome::delivered());
    assert_eq!(server.client().ids("RETAIL"), ids(0..20));
    assert_eq!(trial.metric("connections"), 2);
}

#[test]
fn a_server_that_is_killed_in_the_middle_of_a_batch_has_all_of_it_once_in_the_end() {
    const EVENTS: usize = 5000;
    if !is_there() {
        return;
    }
    let mut server = Server::start();
    let mut settings = settings(&server.url());
    // The loss is noticed; nobody waits for answers that cannot come.
    settings["ack_timeout_ms"] = json!(600_000);
    let mut trial = Trial::new(&settings).unwrap();
    let look = server.client();
    let mut seen = look.runtime.block_on(look.client.subscribe("retail.>")).unwrap();
    look.runtime.block_on(look.client.flush()).unwrap();
    let events = receipts(0..EVENTS);
    let token = trial.begin(&events);
    look.runtime.block_on(async {
        for _ in 0..EVENTS / 10 {
            seen.next().await.unwrap();
        }
    });
    server.kill();
    let outcome = trial.end(token);
    let mut left = left(&outcome, &events);
    assert!(!left.is_empty(), "it was killed too late");
    assert!(left.len() < EVENTS, "it was killed too early");
    server.restart();
    while !left.is_empty() {
        let outcome = trial.write(&left);
        left = self::left(&outcome, &left);
    }
    assert_eq!(server.client().ids("RETAIL"), ids(0..EVENTS));
}

#[test]
fn a_server_that_stops_answering_is_left_and_nothing_overtakes() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let mut settings = settings(&server.url());
    settings["ack_timeout_ms"] = json!(2000);
    settings["connect_timeout_ms"] = json!(2000);
    settings["max_in_flight"] = json!(4);
    let mut trial = Trial::new(&settings).unwrap();
    assert_eq!(trial.write(&receipts(0..10)), Outcome::delivered());
    server.signal("STOP");
    let silent = reason(&trial.write(&receipts(10..20)), 10);
    assert!(silent.starts_with("no answer from `127.0.0.1:"), "{silent}");
    assert!(silent.ends_with("within 2000 ms"), "{silent}");
    let silent = reason(&trial.write(&receipts(10..20)), 10);
    assert!(silent.ends_with("timed out"), "{silent}");
    server.signal("CONT");
    let mut outcome = trial.write(&receipts(10..20));
    // It may have more to do at first than there is time for.
    while outcome != Outcome::delivered() {
        outcome = trial.write(&receipts(10..20));
    }
    assert_eq!(server.client().ids("RETAIL"), ids(0..20));
}
