//! The audit log: a line for each attempt to deliver, over the life of several files and runs.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::{Ended, Test};
use crate::peer::{Fault, Peer};

/// Events of a mix to a webhook; `{url}` is where it is, `{audit}` the settings of the log.
const SPEC: &str = r"
name: shop
seed: 7
clock: { start: 2024-11-29T10:00:00Z, speed: max, events: 2000 }
monitoring: { audit: { {audit} } }
sources: { stores: { type: retail_mix } }
sinks:
  hook:
    type: http
    inputs: [stores]
    delivery: { retry: { initial_backoff_ms: 1 } }
    with: { url: '{url}', auth: { bearer: '${TOKEN}' } }
";

fn test(url: &str, audit: &str) -> Test {
    let spec = SPEC.replace("{url}", url).replace("{audit}", audit);
    Test::new(&["run", "shop.yaml"]).file("shop.yaml", &spec).env("TOKEN", "s3cret-t0ken")
}

fn lines(ended: &Ended, name: &str) -> Vec<Value> {
    let text = ended.read(name);
    assert!(text.ends_with('\n'), "{name} ends in the middle of a line");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn trace_ids(line: &Value) -> Vec<&str> {
    line["trace_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect()
}

#[test]
fn each_attempt_has_a_line_and_each_event_one_in_which_it_was_delivered() {
    let peer = Peer::start();
    peer.script([Fault::status(503), Fault::status(503)]);
    let ended = test(&peer.url(), "path: state/audit.ndjson").run().exits(0);
    let lines = lines(&ended, "state/audit.ndjson");
    let outcomes: Vec<&str> = lines.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes[..3], ["retry", "retry", "delivered"]);
    let attempts: Vec<u64> = lines.iter().map(|line| line["attempt"].as_u64().unwrap()).collect();
    assert_eq!(attempts[..4], [1, 2, 3, 1]);
    let first = &lines[0];
    assert_eq!((&first["pipeline"], &first["sink"]), (&"shop".into(), &"hook".into()));
    assert_eq!((&first["delivered"], &first["lane"]), (&0.into(), &0.into()));
    assert_eq!(first["category"], "unavailable");
    assert!(first["reason"].as_str().unwrap().starts_with("HTTP 503"), "{first}");
    assert_eq!(trace_ids(first), trace_ids(&lines[2]), "the same events, until they are delivered");
    let delivered = || lines.iter().filter(|line| line["outcome"] == "delivered");
    let ids: Vec<&str> = delivered().flat_map(trace_ids).collect();
    assert_eq!(ids.len(), 2000);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 2000, "each once");
    for line in &lines {
        assert_eq!(line["events"].as_u64().unwrap() as usize, trace_ids(line).len());
        assert!(line["partition_keys"].as_array().unwrap().len() <= 32);
        assert!(line["time"].as_str().unwrap().ends_with('Z'));
    }
    assert!(!ended.read("state/audit.ndjson").contains("s3cret-t0ken"));
}

#[test]
fn files_get_a_number_when_they_are_full_and_the_oldest_goes() {
    let peer = Peer::start();
    let ended =
        test(&peer.url(), "path: audit.ndjson, max_bytes: 65536, keep_files: 2").run().exits(0);
    let size = |name: &str| std::fs::metadata(ended.path(name)).unwrap().len();
    for name in ["audit.ndjson", "audit.ndjson.1"] {
        assert!(!lines(&ended, name).is_empty() && size(name) <= 65536, "{name}");
    }
    assert!(!ended.files().contains(&"audit.ndjson.2".to_owned()), "{:?}", ended.files());

    // The next run goes on behind what is there.
    let before = lines(&ended, "audit.ndjson").len();
    let of_before = lines(&ended, "audit.ndjson")[before - 1]["trace_ids"].clone();
    let again = ended.again(&["run", "shop.yaml", "--events", "10"]);
    let again = again.env("TOKEN", "s3cret-t0ken").run().exits(0);
    let found = [lines(&again, "audit.ndjson.1"), lines(&again, "audit.ndjson")].concat();
    assert!(found.iter().any(|line| line["trace_ids"] == of_before));
    assert_eq!(found.last().unwrap()["events"], 10);
}

#[test]
fn a_log_that_cannot_be_opened_is_told_where_it_is_named() {
    let test = test("http://127.0.0.1:9/", "path: shop.yaml/audit.ndjson");
    test.run()
        .exits(2)
        .says("the audit log `shop.yaml/audit.ndjson` cannot be written")
        .says("shop.yaml:5:30");
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_costs_lines_and_not_the_run() {
    let peer = Peer::start();
    // The system's own file that never has room.
    let test = test(&peer.url(), "path: audit.ndjson");
    std::os::unix::fs::symlink("/dev/full", test.path("audit.ndjson")).unwrap();
    let ended = test.run().exits(0).says("the accounts add up");
    assert_eq!(ended.stderr.matches("is not written from now on").count(), 1, "{}", ended.stderr);
    let ended = ended.says("attempts are missing in the audit log");
    let attempts = peer.requests().len();
    assert!(ended.stderr.contains(&format!("lost={attempts}")), "{attempts}: {}", ended.stderr);
}
