//! `engine dlq export-test`: a dead letter becomes a test that can be pasted.

use super::{SHOP, shop};
use crate::harness::Test;

/// A letter of a stage, about a sale of nothing.
fn letter(stage: &str, category: &str, reason: &str) -> String {
    let letter = serde_json::json!({
        "stage": stage, "category": category, "reason": reason, "attempts": 1, "spec_hash": "x",
        "first_time": "2024-11-29T10:00:00.000Z", "last_time": "2024-11-29T10:00:00.000Z",
        "event": {
            "event_type": "sale", "payload": { "n": 0, "note": "he said: \"no\" # so\n" },
            "trace_id": "TR_1732874400_00001", "ingest_timestamp": "2024-11-29T10:00:00.000Z",
            "schema_version": "1.0", "source": "till", "correlation_id": null,
            "partition_key": "store_1", "session_id": null, "parent_event_id": null,
        },
    });
    format!("{letter}\n")
}

const REASON: &str = "division by zero: 100 / 0 (shop.yaml, line 9, column 70)";

#[test]
fn a_dead_letter_is_a_test_that_passes_until_the_rule_is_mended() {
    let letters = letter("halved", "script", REASON);
    let exporting = Test::new(&["dlq", "export-test", "shop.yaml", "--stage", "halved"]);
    let exporting = exporting.file("shop.yaml", SHOP).file("dead_letters/shop.ndjson", &letters);
    let exported = exporting.run().exits(0).stdout;
    let pasted = shop(&exported);
    let test = Test::new(&["test", "shop.yaml"]).file("shop.yaml", &pasted);
    test.run().exits(0).prints("ok     shop.yaml: sale TR_1732874400_00001 in halved");
    let mended = pasted.replace("100 / event.payload.n", "1");
    let test = Test::new(&["test", "shop.yaml"]).file("shop.yaml", &mended);
    test.run().exits(1).prints("an event did not become a dead letter");
}

#[test]
fn what_a_receiver_refused_is_expected_to_be_sent() {
    let letters = letter("hub", "rejected", "422: no\nway");
    let exporting = Test::new(&["dlq", "export-test", "hub.dead", "--pipeline", "shop.yaml"]);
    let exporting = exporting.file("shop.yaml", SHOP).file("hub.dead", &letters);
    let ended = exporting.run().exits(0).prints("# The receiver said (rejected): 422: no way");
    let test = Test::new(&["test", "shop.yaml"]).file("shop.yaml", &shop(&ended.stdout));
    test.run().exits(0).prints("1 test: 1 ok");
}

#[test]
fn input_that_is_no_event_is_left_out_with_a_word() {
    let letters = "{\"stage\":\"tills\",\"category\":\"malformed\",\"reason\":\"x\",\"attempts\":1,\
                   \"spec_hash\":\"x\",\"first_time\":\"2024-11-29T10:00:00Z\",\
                   \"last_time\":\"2024-11-29T10:00:00Z\",\"origin\":\"a:1\",\"input\":\"{\"}\n";
    let exporting = Test::new(&["dlq", "export-test", "a.dead"]).file("a.dead", letters);
    let ended = exporting.run().exits(0).says("1 left out");
    assert_eq!(ended.stdout, "");
    assert!(!ended.stderr.contains("no dead letters"), "there is one: {}", ended.stderr);
}

#[test]
fn a_filter_that_no_letter_fits_is_told_from_no_letters() {
    let run = |command: &[&str]| {
        let letters = letter("halved", "script", REASON);
        Test::new(command).file("a.dead", &letters).file("empty.dead", "").run().exits(0)
    };
    let ended = run(&["dlq", "export-test", "a.dead", "--stage", "halvd"]);
    ended.says("none of 1 dead letters fits `--stage halvd`").says("did you mean `halved`?");
    let ended = run(&["dlq", "export-test", "a.dead", "--stage", "nope", "--id", "x"]);
    ended.says("fits `--stage nope --id x`").says("there are letters of `halved`");
    let ended = run(&["dlq", "export-test", "a.dead", "--id", "nope"]);
    ended.says("none of 1 dead letters fits `--id nope`");
    run(&["dlq", "list", "a.dead", "--stage", "halvd"]).says("did you mean `halved`?");
    run(&["dlq", "export-test", "empty.dead", "--stage", "halvd"]).says("no dead letters");
}

#[test]
fn of_a_correlator_it_says_that_events_before_may_be_missing() {
    let counting = SHOP.replace("enrichers:", "correlators:").replace(
        "{ script: \"fn enrich(event) { event.payload.half = 100 / event.payload.n; }\" }",
        "{ script: \"fn on_event(event, state, out) { state.n = event.payload.n; }\" }",
    );
    let letters = letter("halved", "script", REASON);
    let exporting = Test::new(&["dlq", "export-test", "shop.yaml"]);
    let exporting =
        exporting.file("shop.yaml", &counting).file("dead_letters/shop.ndjson", &letters);
    let ended = exporting.run().exits(0).says("1 of correlators");
    let ended = ended.prints("# A correlator may have failed because of events before this one");
    let pasted = format!("{counting}tests:\n{}", ended.stdout);
    let test = Test::new(&["validate", "shop.yaml"]).file("shop.yaml", &pasted);
    test.run().exits(0);
}
