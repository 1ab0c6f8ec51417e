//! Hooks of a spec and of a program: they are called, they change nothing, and what they do wrong
//! stays with them.

#[rustfmt::skip]
#[expect(unreachable_pub, reason = "it is public where it belongs")]
mod watcher;

use std::io::BufRead;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use engine::engine::Engine;
use engine::event::Event;
use engine::monitor::Hook;

use crate::harness::{Ended, Test, project_text};

const PAGE: &str = include_str!("../../docs/hooks.md");

fn block(language: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

/// A shop whose rule refuses receipts over 300, and with hooks.
fn shop(hooks: &str) -> String {
    format!(
        r#"
name: shop
clock: {{ start: 2024-11-29T10:00:00Z, speed: max, events: 5000 }}
sources: {{ stores: {{ type: retail_mix }} }}
enrichers:
  limit:
    type: rhai
    inputs: [stores]
    when: event.event_type == "receipt_created"
    with:
      script: |
        fn enrich(event) {{ if event.payload.total > 300.0 {{ throw "too much" }} }}
sinks: {{ out: {{ type: file, inputs: [limit], with: {{ path: out.ndjson }} }} }}
hooks:
{hooks}
"#
    )
}

fn run(hooks: &str) -> Ended {
    Test::new(&["run", "shop.yaml", "--report", "report.json"])
        .file("shop.yaml", &shop(hooks))
        .run()
        .exits(0)
}

/// Calls, failures and skipped calls of a hook.
fn tally(ended: &Ended, hook: &str) -> [u64; 3] {
    let report: serde_json::Value = serde_json::from_str(&ended.read("report.json")).unwrap();
    let tally = &report["statistics"]["hooks"][hook];
    ["calls", "failed", "skipped"].map(|figure| tally[figure].as_u64().unwrap_or_default())
}

#[test]
fn the_three_hooks_of_the_page_say_what_they_see() {
    let ended = Test::new(&["run", "shop.yaml"])
        .file("shop.yaml", block("yaml"))
        .file("hooks.rhai", block("rhai"))
        .run()
        .exits(0)
        .says("INFO hook event_generated (hooks.rhai:4): High-value receipt: $")
        .says("INFO hook batch_sent (hooks.rhai:10): Sent batch of ")
        .says("HOOK             CALLS  FAILED  SKIPPED\n");
    ended.never_says("hook error");
}

#[test]
fn an_error_hook_is_told_what_failed_and_what_becomes_of_it() {
    let ended = run(r#"
  when_behind: wait
  error: |
    fn error(error, context) {
        let c = context;
        print(`Error in ${c.stage} (${c.kind}, ${c.category}, ${c.fate}): ${error}`);
        if c.event.payload.total > 300.0 && c.event_type == "receipt_created" { count("right"); }
    }
"#);
    let ended = ended.says("hook error (shop.yaml:").says(
        "Error in limit (enricher, script, dead_letter): too much (shop.yaml, line 12, column 61)",
    );
    let [calls, failed, skipped] = tally(&ended, "error");
    let report: serde_json::Value = serde_json::from_str(&ended.read("report.json")).unwrap();
    let statistics = &report["statistics"];
    assert!(calls > 50 && failed + skipped == 0, "{calls} calls");
    assert_eq!(statistics["events_failed"], calls);
    assert_eq!(statistics["hook_metrics"]["right"]["value"], calls as f64);
    ended.says("(hooks)  right");
}

/// Hooks that do all that they should not.
const WRONG: &str = r#"
  when: event.event_type in ["store_opened", "store_closed"]
  event_generated: |
    fn event_generated(event) { if event.time_ms % 2 == 0 { loop { } } change(event) }
    fn change(e) { e.payload.total = 1; e.payload.remove("total"); }
  batch_sent: |
    fn batch_sent(events) { if events.len() > 1 { throw "I do not like it" } count("Upper") }
  error: |
    fn error(error, context) { for n in 0..context.event.payload.total { nobody(n) } }
    fn nobody(n) { nobody(n + 1) }
"#;

#[test]
fn hooks_that_fail_are_said_to_once_and_change_nothing() {
    let with = run(WRONG)
        .says("WARN a hook failed, and the run goes on: I do not like it (shop.yaml, line ")
        .says("hook=\"batch_sent\"")
        .says("hook=\"event_generated\"")
        .says("warning: calls of the hook `batch_sent` that failed: ")
        .says("warning: calls of the hook `event_generated` that failed: ");
    assert_eq!(with.stderr.matches("WARN a hook failed").count(), 3, "{}", with.stderr);
    for (hook, told) in [("event_generated", 20), ("error", 50), ("batch_sent", 2)] {
        let [calls, failed, skipped] = tally(&with, hook);
        assert!(calls > 0 && calls == failed && calls + skipped >= told, "{hook}");
    }
    let without = run("  when_behind: skip");
    assert!(with.read("out.ndjson").len() > 100_000);
    assert!(with.read("out.ndjson") == without.read("out.ndjson"));
    assert_eq!(tally(&without, "event_generated"), [0; 3]);
}

#[test]
fn a_run_that_waits_for_its_hooks_calls_them_for_each_event_and_delivers_the_same() {
    let slow = "  event_generated: |
    fn event_generated(event) { for n in 0..500 { } count(\"events\"); }
  batch_sent: |
    fn batch_sent(events) { count(\"sent\", events.len()); for event in events { event.trace_id } }
";
    let waited = run(&format!("  when_behind: wait\n{slow}"));
    assert_eq!(tally(&waited, "event_generated"), [5000, 0, 0]);
    let skipped = run(slow);
    let [calls, failed, left_out] = tally(&skipped, "event_generated");
    assert_eq!((calls + left_out, failed), (5000, 0));
    let without = run("  when_behind: skip");
    for ended in [waited, skipped] {
        assert!(ended.read("out.ndjson") == without.read("out.ndjson"));
    }
}

#[test]
fn a_hook_is_loaded_again_when_its_script_changes() {
    let spec = "
clock: { start: 2024-11-29T10:00:00Z }
sources: { stores: { type: retail_mix, with: { emit_interval_ms: 10, burst: 1 } } }
sinks: { out: { type: console, inputs: [stores] } }
hooks: { batch_sent: hooks.rhai }
";
    let hook = |text: &str| format!("fn batch_sent(events) {{ print(\"{text}\") }}");
    let test = Test::new(&["run", "a.yaml", "--watch"])
        .file("a.yaml", spec)
        .file("hooks.rhai", &hook("first version"));
    let (running, stdout) = test.start();
    let reading = std::thread::spawn(move || stdout.lines().for_each(drop));
    running.wait_for("first version");
    running.write("hooks.rhai", &hook("second version"));
    running.wait_for("reloaded: settings of the run changed");
    running.wait_for("second version");
    running.signal("INT");
    running.end(String::new()).exits(0);
    reading.join().unwrap();
}

#[test]
fn tests_of_a_spec_call_no_hooks() {
    let tests = "
tests:
  - name: a receipt goes through
    at: limit
    input: [ { event_type: receipt_created, payload: { total: 250.0 } } ]
    expect: [ { payload: { total: 250.0 } } ]
";
    let hooks = "  event_generated: fn event_generated(event) { print(\"it is called\") }";
    Test::new(&["test", "shop.yaml"])
        .file("shop.yaml", &(shop(hooks) + tests))
        .run()
        .exits(0)
        .prints("1 ok")
        .never_says("it is called");
}

#[test]
fn the_code_on_the_page_is_the_code_that_is_tested() {
    assert_eq!(block("rust"), include_str!("hooks/watcher.rs"));
}

#[test]
fn a_hook_of_a_program_is_called_for_what_is_made_and_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.yaml");
    let out = folder.path().join("out.ndjson");
    let spec = shop("  when_behind: skip").replace("out.ndjson", out.to_str().unwrap());
    let letters = folder.path().join("letters.ndjson");
    let spec = format!("{spec}dead_letter: {{ path: {} }}\n", letters.display());
    std::fs::write(&path, spec).unwrap();
    let report = watcher::run(path.to_str().unwrap()).unwrap();
    assert!(report.is_success(), "{:?}", report.errors);
    let hooks = &report.statistics.hooks;
    assert_eq!(hooks["event_generated"].calls, 5000);
    assert_eq!(hooks["error"].calls, report.statistics.events_failed);
    assert_eq!(hooks["batch_sent"].calls, report.statistics.batches_sent);
}

/// Panics at each second event.
struct Panics(Arc<AtomicU64>);

impl Hook for Panics {
    fn event_generated(&self, _: &Event) -> Result<(), String> {
        assert!(self.0.fetch_add(1, Relaxed) % 2 == 1, "an even number");
        Ok(())
    }

    fn batch_sent(&self, _: &str, events: &[Event]) -> Result<(), String> {
        Err(format!("{} events are too many", events.len()))
    }
}

#[test]
fn a_hook_of_a_program_that_panics_or_fails_beside_a_script_does_no_harm() {
    let calls = Arc::new(AtomicU64::new(0));
    let spec = "
clock: { start: 2024-11-29T10:00:00Z, speed: max, events: 1000 }
sources: { stores: { type: retail_mix } }
sinks: { out: { type: blackhole, inputs: [stores] } }
hooks:
  when_behind: wait
  event_generated: fn event_generated(event) { count(\"events\") }
";
    let engine = Engine::from_yaml(spec).unwrap().with_hook(Panics(Arc::clone(&calls)));
    let report = engine.start().unwrap().wait();
    assert!(report.is_success(), "{:?}", report.errors);
    let statistics = &report.statistics;
    assert_eq!((calls.load(Relaxed), statistics.events_sent_successfully), (1000, 1000));
    let tally = statistics.hooks["event_generated"];
    assert_eq!((tally.calls, tally.failed, tally.skipped), (2000, 500, 0), "of both together");
    let batches = statistics.hooks["batch_sent"];
    assert!(batches.failed > 0 && batches.failed == statistics.batches_sent);
}

#[test]
fn the_shipped_hooks_count_what_they_see() {
    let pipeline = project_text("pipelines/hooks.yaml");
    let wait = "hooks.when_behind=wait";
    Test::new(&["run", &pipeline, "--speed", "max", "--set", wait, "-v"])
        .run()
        .exits(0)
        .says("High-value receipt: $")
        .says("Sent batch of 256 events")
        .says("Error in out (")
        .says("high_value_receipts")
        .says("largest_batch");
}
