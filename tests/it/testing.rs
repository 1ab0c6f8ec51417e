//! `engine test`: the tests of a spec, what is said when they fail, and that nothing is touched.

mod export;
mod results;
mod watch;

use std::path::Path;
use std::process::Command;

use engine::engine::Engine;
use engine::testing::{Snapshots, Suite};

use crate::golden;
use crate::harness::{Test, project};

/// A rule with a sink whose receiver may fail, and with all that a run would leave behind.
const SHOP: &str = r#"
name: shop
clock: { start: 2024-11-29T10:00:00Z, speed: 1 }
state: { path: state/shop }
sources:
  tills: { type: http, with: { listen: "127.0.0.1:1", path: /events } }
enrichers:
  halved:
    type: rhai
    inputs: [tills]
    with: { script: "fn enrich(event) { event.payload.half = 100 / event.payload.n; }" }
sinks:
  hub:
    type: http
    inputs: [halved]
    with: { url: "http://127.0.0.1:1/" }
    delivery:
      retry: { attempts: 3, initial_backoff_ms: 1000, jitter: false, on_exhausted: dead_letter }
      circuit_breaker: { enabled: false }
      buffer: { type: disk, path: buffers/shop }
      dead_letter: { path: hub.dead }
  copy: { type: file, inputs: [halved], with: { path: out.ndjson } }
"#;

/// The spec with these tests.
fn shop(tests: &str) -> String {
    format!("{SHOP}tests:\n{tests}")
}

/// Runs tests in a folder of their own.
fn run(tests: &str) -> crate::harness::Ended {
    Test::new(&["test", "shop.yaml"]).file("shop.yaml", &shop(tests)).run()
}

/// A text without the times that tests took, and without which process it was.
fn timeless(text: &str) -> String {
    let mut timeless = String::new();
    for line in text.lines() {
        let line =
            match line.rfind(" (").filter(|_| line.ends_with(" ms)") || line.ends_with(" s)")) {
                Some(time) => &line[..time],
                None => line,
            };
        timeless.push_str(line);
        timeless.push('\n');
    }
    timeless
}

#[test]
fn every_test_of_the_shipped_pipelines_passes() {
    let mut pipelines: Vec<String> = std::fs::read_dir(project("pipelines"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .filter(|path| cfg!(feature = "event_hubs") || !path.to_str().unwrap().contains("hubs"))
        .map(|path| path.display().to_string())
        .collect();
    pipelines.sort();
    let mut arguments = vec!["test", "--format", "json"];
    arguments.extend(pipelines.iter().map(String::as_str));
    let results = Test::new(&arguments).run().exits(0).json();
    let tests = results["tests"].as_array().unwrap();
    for name in [
        "low_stock",
        "receipt_inventory",
        "entry_pings",
        "impression_promotion",
        "quickstart",
        "store_outage",
        "black_friday_week",
        "basket_rush",
        "card_fraud",
        "hot_products",
        "abandoned_visits",
        "paid_receipts",
    ] {
        let file = format!("/{name}.yaml");
        assert!(tests.iter().any(|test| test["file"].as_str().unwrap().ends_with(&file)), "{name}");
    }
}

#[test]
fn what_does_not_fit_is_told_as_recorded() {
    let mut drifted = Vec::new();
    let mut specs: Vec<_> = std::fs::read_dir(project("tests/failing"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    specs.sort();
    assert!(specs.len() >= 3);
    for path in specs {
        let name = format!("tests/failing/{}", path.file_name().unwrap().to_str().unwrap());
        let ran = Command::new(env!("CARGO_BIN_EXE_engine"))
            .args(["test", &name])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_remove("RUST_LOG")
            .output()
            .unwrap();
        assert_eq!(ran.status.code(), Some(1), "{name}: {}", String::from_utf8_lossy(&ran.stderr));
        assert_eq!(String::from_utf8_lossy(&ran.stderr), "", "{name}");
        let said = timeless(&String::from_utf8(ran.stdout).unwrap());
        assert!(!said.contains("\nok "), "a test of {name} passes:\n{said}");
        drifted.extend(golden::drift(&path.with_extension("txt"), &said));
    }
    assert!(drifted.is_empty(), "{}", drifted.join("\n"));
}

#[test]
fn a_test_touches_nothing_outside() {
    let tests = "
  - name: an event goes all the way, and another becomes a dead letter
    input: [ { event_type: sale, payload: { n: 4 } }, { event_type: sale, payload: { n: 0 } } ]
    expect:
      hub: [ { payload: { n: 4, half: 25 } } ]
      copy: { count: 1, all: event.payload.half == 25 }
    dead_letters: [ { stage: halved, category: script, reason: division by zero } ]
";
    let ended = run(tests).exits(0).prints("1 test: 1 ok");
    assert_eq!(ended.files(), ["shop.yaml"]);
    assert_eq!(ended.stderr, "");
}

#[test]
fn a_receiver_that_fails_is_waited_for_in_virtual_time() {
    let tests = "
  - name: an outage of a day is survived
    input:
      - { event_type: sale, payload: { n: 1 } }
      - { event_type: sale, payload: { n: 2 }, after: 25h }
    faults: { hub: { outages: [ { after: 24h, for: 1h } ] } }
    expect: { hub: { count: 2 } }
  - name: after three attempts an event is a dead letter
    input: [ { event_type: sale, payload: { n: 1 } } ]
    faults: { hub: { error_rate: 1.0 } }
    expect: { hub: [], copy: { count: 1 } }
    dead_letters: [ { stage: hub, category: chaos } ]
  - name: what is refused for good is not sent again
    input: [ { event_type: sale, payload: { n: 1 } } ]
    faults: { hub: { permanent_rate: 1.0 } }
    expect: { hub: [] }
    dead_letters: 1
  - name: what looks lost comes twice
    input: [ { event_type: sale, payload: { n: 1 } } ]
    faults: { hub: { disconnect_rate: 1.0 } }
    expect: { hub: { count: 3 } }
    dead_letters: [ { reason: disconnected } ]
";
    run(tests).exits(0).prints("4 tests: 4 ok");
}

#[test]
fn what_is_never_delivered_ends_after_an_hour_of_virtual_time() {
    let spec = shop(
        "
  - name: it never ends
    input: [ { event_type: sale, payload: { n: 1 } } ]
    faults: { hub: { error_rate: 1.0 } }
    expect: { hub: [] }
",
    );
    let spec = spec.replace("on_exhausted: dead_letter", "on_exhausted: buffer");
    let ended = Test::new(&["test", "shop.yaml"]).file("shop.yaml", &spec).run();
    ended.exits(1).prints("1h after the end not all events were delivered");
}

#[test]
fn a_simulated_week_takes_seconds() {
    let spec = "
clock: { start: 2024-11-25T05:00:00Z, speed: 1 }
sources:
  chain:
    type: retail
    with: { stores: 2, dcs: 1, customers: 500, products: 100, visitors_per_day: 50 }
  mix: { type: retail_mix, with: { emit_interval_ms: 60000, burst: 1 } }
sinks:
  out: { type: console, inputs: [chain] }
  mixed: { type: console, inputs: [mix] }
tests:
  - name: each store opens every day of a week
    input: { source: chain, for: 7d }
    expect:
      out: { where: 'event.event_type == \"store_opened\"', count: 14 }
      mixed: []
  - name: a week beside a receiver that fails now and then
    input: { source: mix, for: 7d, seed: 3 }
    faults: { mixed: { error_rate: 0.01 } }
    expect: { mixed: { count: 10080 } }
";
    // What would go on at the pace of the clock for two weeks ends within the time of a test.
    let ended = Test::new(&["test", "week.yaml"]).file("week.yaml", spec).run();
    ended.exits(0).prints("2 tests: 2 ok");
}

#[test]
fn the_same_seed_gives_the_same_events_and_another_one_others() {
    let spec = |seed: u64| {
        format!(
            "sources: {{ mix: {{ type: retail_mix }} }}\nsinks: {{ out: {{ type: console, inputs: [mix] }} }}\n\
             tests:\n  - name: a minute\n    input: {{ source: mix, for: 1m, seed: {seed} }}\n    \
             expect: {{ snapshot: minute }}\n"
        )
    };
    let wrote = Test::new(&["test", "mix.yaml", "--update"]).file("mix.yaml", &spec(1)).run();
    let kept = wrote.exits(0).read("snapshots/mix/minute.ndjson");
    let again = |seed| {
        let test = Test::new(&["test", "mix.yaml"]).file("mix.yaml", &spec(seed));
        test.file("snapshots/mix/minute.ndjson", &kept).run()
    };
    again(1).exits(0);
    again(2).exits(1).prints("line 1 differs");
}

#[test]
fn events_of_a_file_are_written_as_inline_ones_are() {
    let spec = shop(
        "
  - name: two sales
    input: { file: data/sales.ndjson }
    at: halved
    for: 1h
    expect: [ { after: 0s, payload: { half: 50 } }, { after: 5m, payload: { half: 25 } } ]
",
    );
    let events = "{\"event_type\":\"sale\",\"payload\":{\"n\":2}}\n\n\
                  {\"event_type\":\"sale\",\"after\":\"5m\",\"payload\":{\"n\":4}}\n";
    let test = Test::new(&["test", "shop.yaml"]).file("shop.yaml", &spec);
    test.file("data/sales.ndjson", events).run().exits(0);
    let wrong = events.replace("after", "aftr");
    let test = Test::new(&["test", "shop.yaml"]).file("shop.yaml", &spec);
    let ended = test.file("data/sales.ndjson", &wrong).run();
    ended.exits(2).says("data/sales.ndjson:3:").says("unknown field `aftr`");
}

#[test]
fn what_is_secret_is_not_shown_in_an_event_that_does_not_fit() {
    let spec = shop(
        "
  - name: it is told
    at: halved
    input: [ { event_type: sale, payload: { n: 4, key: '${file:key}' } } ]
    expect: []
",
    );
    let test = Test::new(&["test", "shop.yaml"]).file("shop.yaml", &spec).file("key", "hunter2000");
    test.run().exits(1).prints("an event comes out of `halved`").never_says("hunter2000");
}

#[test]
fn validate_tells_what_is_wrong_with_tests_and_a_run_does_not_need_their_files() {
    let spec = "
sources: { mix: { type: retail_mix } }
sinks: { out: { type: blackhole, inputs: [mix] } }
tests:
  - { name: a, input: { file: gone.ndjson }, expect: [] }
";
    let with = |arguments: &[&str]| Test::new(arguments).file("a.yaml", spec).run();
    with(&["validate", "a.yaml"]).exits(2).says("a.yaml:5:31").says("cannot read the events");
    with(&["run", "a.yaml", "--events", "10", "--speed", "max"]).exits(0);
}

#[tokio::test]
async fn a_program_runs_the_tests_of_a_spec() {
    let engine = Engine::from_yaml(
        "
sources: { mix: { type: retail_mix } }
sinks: { out: { type: console, inputs: [mix] } }
tests:
  - { name: one, input: [ { event_type: sale } ], expect: [ { event_type: sale } ] }
  - { name: two, input: [ { event_type: sale } ], expect: [] }
",
    )
    .unwrap();
    let suite = Suite::new(engine.plan()).unwrap();
    let [one, two] = [0, 1].map(|case| suite.run(&suite.cases()[case], Snapshots::Compare));
    assert!(one.is_success(), "{}", one.failures);
    assert!(!two.is_success() && two.failures.0[0].place.is_some());
    assert!(Path::new("<yaml>").extension().is_none() && two.place.is_some());
}

/// The fenced blocks of a language on the page about tests.
fn blocks(language: &str) -> Vec<&'static str> {
    let page = include_str!("../../docs/testing.md");
    let opening = format!("```{language}\n");
    let starts = page.match_indices(&opening).map(|(place, _)| &page[place + opening.len()..]);
    starts.map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn the_page_about_tests_shows_what_is_said() {
    let spec = blocks("yaml")[0];
    let faults = blocks("yaml").into_iter().find(|block| block.contains("faults:")).unwrap();
    let test = |spec: &str| Test::new(&["test", "shop.yaml"]).file("shop.yaml", spec).run();
    test(&format!("{spec}{faults}")).exits(0).prints("2 tests: 2 ok");
    let said = test(&spec.replace("250.0", "25.0")).exits(1).stdout;
    let shown = blocks("").into_iter().find(|block| block.starts_with("FAILED")).unwrap();
    assert!(timeless(&said).starts_with(&timeless(shown)), "{said}");
}
