//! What helps to write a rule: seeing what it prints, what goes in and out of it, what it costs,
//! and editing it while it runs.

mod succession;
mod trace;
mod trial;
mod watch;

use serde_json::Value;

use crate::harness::Test;

/// Receipts, of which the large ones are marked and the small ones dropped or failed on.
const RECEIPTS: &str = "\
name: receipts
clock: { start: 2024-11-29T10:00:00Z, speed: max, events: 30 }
dead_letter: off
sources:
  tills:
    type: retail_mix
    with: { stores: 2, burst: 10, event_weights: { receipt_created: 1 } }
enrichers:
  high_value:
    type: rhai
    inputs: [tills]
    with:
      script: |
        fn enrich(event) {
            let total = event.payload.total;
            if event.payload.item_count == 1 { throw \"a single item\" }
            if total < 20.0 { return false; }
            if total > 100.0 { print(`a total of ${total}`); }
            event.payload.high_value = total > 100.0;
        }
correlators:
  rush:
    type: rhai
    inputs: [high_value]
    with:
      key: payload.store_id
      max_keys: 1
      script: |
        fn on_event(event, state, out) {
            state.n = (state.n ?? 0) + 1;
            if state.n % 3 == 0 { out.emit(\"basket_rush\", #{ n: state.n }); }
        }
sinks:
  out: { type: console, inputs: [rush], with: { format: ndjson } }
";

fn receipts(arguments: &[&str]) -> crate::harness::Ended {
    let arguments: Vec<_> = ["run", "receipts.yaml"].iter().chain(arguments).copied().collect();
    Test::new(&arguments).file("receipts.yaml", RECEIPTS).run().exits(0)
}

#[test]
fn what_a_rule_prints_is_seen_without_a_flag_and_names_rule_file_and_line() {
    let ended = receipts(&[]);
    let printed: Vec<_> = ended.stderr.lines().filter(|line| line.contains("a total of")).collect();
    let marked = ended.stdout.matches("\"high_value\":true").count();
    assert!(marked > 0 && printed.len() == marked, "{printed:?}");
    for line in printed {
        assert!(line.contains("rule high_value (receipts.yaml:18): a total of "), "{line}");
    }
    receipts(&["-q"]).never_says("a total of");
}

#[test]
fn the_report_says_of_each_rule_what_its_calls_came_to() {
    let ended = receipts(&["--report", "report.json"]);
    let report: Value = serde_json::from_str(&ended.read("report.json")).unwrap();
    let stages = report["statistics"]["stages"].as_array().unwrap();
    let stage = |name: &str| stages.iter().find(|stage| stage["stage"] == name).unwrap();
    let (rule, rush) = (stage("high_value"), stage("rush"));
    assert_eq!(rule["rule"]["calls"], 30);
    let failed = rule["dropped"]["script"].as_u64().unwrap();
    assert!(failed > 0);
    assert_eq!(rule["rule"]["errors"], failed);
    assert!(rule["rule"]["operations"].as_u64().unwrap() > 100);
    assert!(rule["rule"]["seconds_estimated"].as_f64().unwrap() > 0.0);
    assert_eq!(rush["rule"]["calls"], rush["received"]);
    assert_eq!(rush["rule"]["keys"], 1);
    assert!(rush["rule"]["keys_evicted"].as_u64().unwrap() > 0);
    assert!(stage("tills").get("rule").is_none());
    let head = ended.stderr.lines().find(|line| line.starts_with("RULE")).unwrap();
    let heads: Vec<_> = head.split_whitespace().collect();
    assert_eq!(
        heads,
        ["RULE", "CALLS", "ERRORS", "OPERATIONS", "TIME", "(ESTIMATED)", "EACH", "KEYS", "EVICTED"]
    );
}
