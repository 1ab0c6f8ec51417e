//! What the `invariants` enricher finds, as a run tells it.

use crate::harness::Test;

/// Lines whose lines, receipt and customer are each other's or nobody's.
const EVENTS: &str = r#"{"event_type":"store_opened","payload":{"store_id":7,"operation_time":"2024-11-29T09:00:00.000Z","operation_type":"opened"},"trace_id":"TR_1732870800_00001","ingest_timestamp":"2024-11-29T09:00:00.000Z","correlation_id":"store_ops_7","partition_key":"store_7"}
{"event_type":"store_closed","payload":{"store_id":7,"operation_time":"2024-11-29T21:00:00.000Z","operation_type":"closed"},"trace_id":"TR_1732914000_00002","ingest_timestamp":"2024-11-29T21:00:00.000Z","correlation_id":"store_ops_7","partition_key":"store_7"}
{"event_type":"store_closed","payload":{"store_id":7,"operation_time":"2024-11-29T22:00:00.000Z","operation_type":"closed"},"trace_id":"TR_1732917600_00003","ingest_timestamp":"2024-11-29T22:00:00.000Z","correlation_id":"store_ops_7","partition_key":"store_7"}
"#;

fn run(on_violation: &str) -> Test {
    let spec = format!(
        "clock: {{ speed: max }}\n\
         sources: {{ day: {{ type: file, with: {{ path: day.ndjson }} }} }}\n\
         enrichers:\n  \
           check: {{ type: invariants, inputs: day, with: {{ on_violation: {on_violation} }} }}\n\
         sinks: {{ out: {{ type: blackhole, inputs: check }} }}\n"
    );
    Test::new(&["run", "check.yaml", "--report", "report.json"])
        .file("check.yaml", &spec)
        .file("day.ndjson", EVENTS)
}

#[test]
fn violations_are_in_the_report_with_their_first_example() {
    let ended = run("count").run().exits(0);
    let ended = ended.says("warning: invariants of `check`: 1 violations in 3 events\n");
    let ended = ended.says("  opening_alternates: 1, first `TR_1732917600_00003`: store 7 closes");
    let report: serde_json::Value = serde_json::from_str(&ended.read("report.json")).unwrap();
    let stages = report["statistics"]["stages"].as_array().unwrap();
    let stage = stages.iter().find(|stage| stage["stage"] == "check").unwrap();
    let expected = serde_json::json!({
        "events": 3, "unchecked": 0,
        "violations": { "opening_alternates": {
            "count": 1, "first_trace_id": "TR_1732917600_00003",
            "first_reason": "store 7 closes, and is not open",
        } },
    });
    assert_eq!(stage["findings"], expected);
}

#[test]
fn a_run_fails_at_its_end_if_violations_are_to_fail_it() {
    let ended = run("fail").run().exits(1);
    let ended = ended.says("`check` found violations: 1, of opening_alternates");
    let report: serde_json::Value = serde_json::from_str(&ended.read("report.json")).unwrap();
    assert_eq!((&report["ending"], &report["balanced"]), (&"failed".into(), &true.into()));
    assert_eq!(report["statistics"]["events_sent_successfully"], 3);
}

#[test]
fn what_breaks_a_rule_is_a_dead_letter_if_that_is_asked_for() {
    let ended = run("dead_letter").run().exits(0);
    let letter: serde_json::Value =
        serde_json::from_str(ended.read("dead_letters/check.ndjson").trim()).unwrap();
    assert_eq!(letter["event"]["trace_id"], "TR_1732917600_00003");
    assert_eq!(letter["category"], "opening_alternates");
}

#[test]
fn a_stream_without_a_violation_is_told_to_have_none() {
    let valid = EVENTS.lines().take(2).collect::<Vec<_>>().join("\n");
    let ended = run("fail").file("day.ndjson", &valid).run().exits(0);
    ended.says("note: invariants of `check`: 0 violations in 2 events\n");
}
