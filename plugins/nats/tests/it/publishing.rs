//! What is in the stream.

use engine_plugin::Outcome;
use serde_json::json;

use crate::server::{Server, is_there};
use crate::trial::Trial;
use crate::{event, ids, receipt, receipts, settings};

#[test]
fn all_events_arrive_once_in_order_with_their_ids() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let mut settings = settings(&server.url());
    settings["max_in_flight"] = json!(7);
    let mut trial = Trial::new(&settings).unwrap();
    for start in [0, 100, 200] {
        assert_eq!(trial.write(&receipts(start..start + 100)), Outcome::delivered());
    }
    assert_eq!(trial.write(&[]), Outcome::delivered());
    let look = server.client();
    let stored = look.stored("RETAIL");
    assert_eq!(look.ids("RETAIL"), ids(0..300));
    for (number, message) in stored.iter().enumerate() {
        assert_eq!(message.subject, "retail.receipt_created");
        assert_eq!(message.content_type, "application/json");
        let sent = receipt(number, "1");
        assert_eq!(message.event["trace_id"], sent["trace_id"]);
        assert_eq!(message.event["payload"], sent["payload"]);
        assert_eq!(message.event["schema_version"], "1.0");
    }
    assert_eq!(trial.metric("messages"), 300);
    let bytes = stored.iter().map(|message| message.event.to_string().len()).sum::<usize>();
    assert_eq!(trial.metric("bytes"), bytes as u64);
    assert_eq!((trial.metric("connections"), trial.metric("duplicates")), (1, 0));
}

#[test]
fn what_is_sent_again_is_dropped_by_the_stream_and_delivered() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let mut trial = Trial::new(&settings(&server.url())).unwrap();
    assert_eq!(trial.write(&receipts(0..10)), Outcome::delivered());
    assert_eq!(trial.write(&receipts(5..15)), Outcome::delivered());
    assert_eq!(server.client().ids("RETAIL"), ids(0..15));
    assert_eq!(trial.metric("duplicates"), 5);
}

#[test]
fn several_batches_are_on_their_way_at_once() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let mut settings = settings(&server.url());
    settings["max_in_flight"] = json!(2);
    let mut trial = Trial::new(&settings).unwrap();
    let batches = 16;
    let tokens: Vec<_> =
        (0..batches).map(|batch| trial.begin(&receipts(batch * 50..batch * 50 + 50))).collect();
    for token in tokens {
        assert_eq!(trial.end(token), Outcome::delivered());
    }
    let mut found = server.client().ids("RETAIL");
    found.sort_by_key(|id| id[3..].parse::<usize>().unwrap());
    assert_eq!(found, ids(0..batches * 50));
}

#[test]
fn subjects_come_from_events_and_no_value_makes_a_token_more() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let mut settings = settings(&server.url());
    settings["subject"] = json!("retail.s-{payload.store_id}.{event_type}.{payload.deep.er}");
    let mut trial = Trial::new(&settings).unwrap();
    let long = "x".repeat(100);
    let outcome = trial.write(&[
        receipt(0, "12"),
        receipt(1, "a.b c*d>e\u{0}\n$f"),
        receipt(2, ""),
        receipt(3, &long),
        event("x", 4, &json!({ "store_id": 7, "deep": { "er": 2.5 } })),
        event("x", 5, &json!({ "store_id": true, "deep": { "er": [1, 2] } })),
        event("ä", 6, &json!({ "store_id": null, "deep": 3 })),
    ]);
    assert_eq!(outcome, Outcome::delivered());
    let stored = server.client().stored("RETAIL");
    let subjects: Vec<_> = stored.iter().map(|message| message.subject.as_str()).collect();
    let long = format!("retail.s-{}.receipt_created.none", &long[..64]);
    let wanted = [
        "retail.s-12.receipt_created.none",
        "retail.s-a_b_c_d_e___f.receipt_created.none",
        "retail.s-none.receipt_created.none",
        long.as_str(),
        "retail.s-7.x.2_5",
        "retail.s-true.x.[1,2]",
        "retail.s-none.ä.none",
    ];
    assert_eq!(subjects, wanted);
}
