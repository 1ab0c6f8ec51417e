//! What a stream does not take is refused, event by event, and the rest is delivered.

use async_nats::jetstream::stream::Config;
use engine_plugin::{Error, Outcome};
use serde_json::{Value, json};

use crate::server::{Server, is_there};
use crate::trial::Trial;
use crate::{event, ids, receipt, settings};

/// Rows that were refused for good, with their reasons.
fn rejected(outcome: &Outcome) -> Vec<(usize, &str)> {
    assert_eq!(outcome.error, None);
    let rejected = outcome.refusals.iter().map(|refusal| match &refusal.error {
        Error::Rejected(reason) => (refusal.row, reason.as_str()),
        other => panic!("{other:?}"),
    });
    rejected.collect()
}

fn existing(server: &Server) -> Value {
    let mut settings = settings(&server.url());
    settings["stream"]["create"] = json!(false);
    settings
}

#[test]
fn an_event_whose_subject_no_stream_has_is_refused() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    server.client().make_stream("RETAIL", &["retail.receipt_created"]);
    server.client().make_stream("OTHER", &["retail.other"]);
    let mut trial = Trial::new(&existing(&server)).unwrap();
    let outcome = trial.write(&[
        receipt(0, "1"),
        event("store_opened", 1, &json!({})),
        event("other", 2, &json!({})),
        event("store_opened", 3, &json!({})),
        receipt(4, "1"),
    ]);
    let rejected = rejected(&outcome);
    let homeless = "no stream takes messages of the subject `retail.store_opened`";
    assert_eq!((rejected[0], rejected[2]), ((1, homeless), (3, homeless)));
    let (row, reason) = rejected[1];
    assert!(row == 2 && reason.contains("expected stream does not match"), "{reason}");
    assert_eq!(server.client().ids("RETAIL"), ["TR_0", "TR_4"]);
    assert!(server.client().ids("OTHER").is_empty());
}

#[test]
fn an_event_that_is_too_large_is_refused() {
    if !is_there() {
        return;
    }
    let server = Server::with("max_payload: 2048\n");
    server.client().make_stream_with(Config {
        name: "RETAIL".to_owned(),
        subjects: vec!["retail.*".to_owned()],
        max_message_size: 1024,
        ..Config::default()
    });
    let mut trial = Trial::new(&existing(&server)).unwrap();
    let large = |number, bytes: usize| event("note", number, &json!({ "x": "x".repeat(bytes) }));
    let outcome = trial.write(&[receipt(0, "1"), large(1, 4096), large(2, 1500), receipt(3, "1")]);
    let rejected = rejected(&outcome);
    assert_eq!(rejected.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [1, 2]);
    assert!(rejected[0].1.contains("Payload size limit of 2048 exceeded"), "{rejected:?}");
    assert!(rejected[1].1.contains("message size exceeds maximum allowed"), "{rejected:?}");
    assert_eq!(server.client().ids("RETAIL"), ["TR_0", "TR_3"]);
}

#[test]
fn a_stream_that_is_full_is_waited_for() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    server.client().make_stream_with(Config {
        name: "RETAIL".to_owned(),
        subjects: vec!["retail.*".to_owned()],
        max_messages: 2,
        discard: async_nats::jetstream::stream::DiscardPolicy::New,
        ..Config::default()
    });
    let mut trial = Trial::new(&existing(&server)).unwrap();
    let outcome = trial.write(&crate::receipts(0..3));
    assert_eq!(outcome.refusals.len(), 1);
    assert!(matches!(outcome.refusals[0].error, Error::Retry(_)), "{outcome:?}");
    assert_eq!(outcome.refusals[0].row, 2);
    assert_eq!(server.client().ids("RETAIL"), ids(0..2));
}

#[test]
fn nothing_is_sent_before_what_has_to_wait() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    server.client().make_stream_with(Config {
        name: "RETAIL".to_owned(),
        subjects: vec!["retail.*".to_owned()],
        max_messages_per_subject: 1,
        discard: async_nats::jetstream::stream::DiscardPolicy::New,
        discard_new_per_subject: true,
        ..Config::default()
    });
    let mut settings = existing(&server);
    settings["max_in_flight"] = json!(1);
    let mut trial = Trial::new(&settings).unwrap();
    // There is room for the last one, but not before the second.
    let outcome =
        trial.write(&[receipt(0, "1"), receipt(1, "1"), event("store_opened", 2, &json!({}))]);
    let rows: Vec<_> = outcome.refusals.iter().map(|refusal| refusal.row).collect();
    assert_eq!(rows, [1, 2], "{outcome:?}");
    assert!(outcome.refusals.iter().all(|refusal| matches!(refusal.error, Error::Retry(_))));
    assert_eq!(server.client().ids("RETAIL"), ["TR_0"]);
}

#[test]
fn an_event_that_can_be_no_message_is_refused() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let mut settings = settings(&server.url());
    settings["subject"] = json!("retail".to_owned() + &"{event_type}".repeat(40));
    let mut trial = Trial::new(&settings).unwrap();
    let mut broken = receipt(1, "1");
    broken["trace_id"] = json!("TR\r\nNats-Msg-Id: x");
    let outcome = trial.write(&[receipt(0, "1"), broken, event(&"x".repeat(64), 2, &json!({}))]);
    let rejected = rejected(&outcome);
    assert_eq!(rejected[0], (1, "its `trace_id` has a line break in it"));
    assert!(rejected[1].1.starts_with("the subject has more than 2048 bytes: `retailxx"));
    assert_eq!(server.client().ids("RETAIL"), ["TR_0"]);
}
