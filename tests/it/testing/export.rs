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
    let ended = exporting.run().exits(0).says("1 left out").says("no dead letters");
    assert_eq!(ended.stdout, "");
}
