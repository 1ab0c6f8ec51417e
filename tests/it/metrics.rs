//! `/metrics`: promtool finds nothing wrong with it, a real Prometheus scrapes it, and every query of
//! the dashboard has an answer.

mod http;
pub(crate) mod prometheus;

use std::collections::BTreeSet;
use std::time::Duration;

use engine::clock::Stopwatch;

use self::prometheus::Prometheus;
use crate::deploy;
use crate::harness::{Running, Test};

/// How long a test waits for something that has to happen; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(90);

/// A pipeline of which much fails: a rule on each third event and on its timers, a receiver that is
/// away and whose buffer drops what comes, another one that is busy now and then.
const TROUBLED: &str = r#"
name: troubled
clock: { speed: 60 }
sources:
  tills: { type: retail_mix, with: { stores: 5, burst: 20, emit_interval_ms: 6000 } }
enrichers:
  shaky: { type: chaos, inputs: [tills], with: { error_rate: 0.1 } }
correlators:
  rush:
    type: rhai
    inputs: [shaky]
    with:
      key: payload.store_id
      script: |
        fn on_event(event, state, out) { out.timer("over", "5s"); }
        fn on_timer(name, state, out) { throw "the till is broken"; }
sinks:
  busy:
    type: blackhole
    inputs: [rush]
    delivery:
      retry: { initial_backoff_ms: 1 }
      chaos: { error_rate: 0.2 }
  away:
    type: blackhole
    inputs: [rush]
    delivery:
      retry: { initial_backoff_ms: 1 }
      circuit_breaker: { failure_threshold: 1 }
      buffer: { max_events: 40, when_full: drop_newest }
      chaos: { outages: [{ after: 0s, for: 1h }] }
dead_letter: { path: dead.ndjson, max_events: 1000000 }
monitoring: { max_memory_bytes: 4000000000 }
"#;

/// An engine with that pipeline, and where it answers.
fn troubled() -> (Running, String) {
    let run = Test::new(&["run", "troubled.yaml", "--http", "127.0.0.1:0"]);
    let (running, _) = run.file("troubled.yaml", TROUBLED).start();
    let line = running.wait_for_line("http://127.0.0.1:");
    let (_, address) = line.split_once("http://").unwrap();
    let end = address.find(|c: char| c.is_whitespace() || c == '/').unwrap_or(address.len());
    let address = address[..end].to_owned();
    (running, address)
}

/// Asks until there is an answer that will do.
fn wait<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let waiting = Stopwatch::start();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(waiting.elapsed() < PATIENCE, "it never came so far: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn end(running: Running) {
    running.signal("INT");
    running.signal("INT");
    // What the receiver that is away never took is given up.
    running.end(String::new()).exits(1);
}

#[test]
fn what_is_scraped_is_well_formed_and_every_metric_is_explained() {
    let (running, address) = troubled();
    let text = wait("a timer has failed", || {
        let (status, text) = http::get(&address, "/metrics").unwrap();
        assert_eq!(status, 200);
        text.contains("engine_stage_errors_total{stage=\"rush\"").then_some(text)
    });
    end(running);
    let named: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .map(ToOwned::to_owned)
        .collect();
    assert_eq!(named, deploy::documented(), "what there is, and what docs/operations.md explains");
    if prometheus::is_there() {
        assert_eq!(prometheus::complaints(&text), "");
        assert_ne!(prometheus::complaints("# TYPE a counter\na 1\n"), "", "it does look");
    }
}

/// What the dashboard asks for that no stage which comes with the engine has.
const OF_OTHERS: [&str; 2] = ["engine_stage_metric", "engine_hook_"];

#[test]
fn a_real_prometheus_has_an_answer_to_every_query_of_the_dashboard() {
    if !prometheus::is_there() {
        return;
    }
    let (running, address) = troubled();
    let server = Prometheus::of(&address);
    wait("the target is up", || {
        let targets = server.api("targets");
        let target = &targets["data"]["activeTargets"][0];
        assert_eq!(target["labels"]["instance"].as_str().unwrap_or(&address), address);
        (target["health"] == "up").then_some(())
    });
    for (title, query) in deploy::queries() {
        if OF_OTHERS.iter().any(|name| query.contains(name)) {
            continue;
        }
        let query = query
            .replace("$instance", &address)
            .replace("$stage", ".*")
            .replace("$__rate_interval", "20s")
            .replace("$__range", "1m");
        assert!(!query.contains('$'), "{query}");
        let numbers = wait(&format!("{title}: {query}"), || {
            let series = server.query(&query);
            let numbers = series.iter().filter(|(_, value)| !value.is_nan()).count();
            (numbers > 0).then_some(numbers)
        });
        assert!(numbers < 100, "{title}: {numbers} series");
    }
    // What the pipeline suffers from is what Prometheus sees.
    let one = |query: &str| server.query(query).first().map(|(_, value)| *value);
    assert_eq!(one("engine_healthy"), Some(0.0));
    assert_eq!(one("engine_circuit_breaker_state{stage=\"away\"}"), Some(2.0));
    for category in ["chaos", "buffer_full"] {
        let query = format!("sum({{__name__=~\"engine_events_.*\", category=\"{category}\"}})");
        assert!(one(&query).is_some_and(|count| count > 0.0), "{category}");
    }
    let rules = server.api("rules");
    let rules = rules["data"]["groups"][0]["rules"].as_array().unwrap().clone();
    assert!(rules.len() > 10);
    for rule in &rules {
        assert_ne!(rule["health"], "err", "{rule}");
    }
    wait("an alert is pending", || {
        let alerts = server.query("ALERTS{alertname=\"EngineEventsDropped\", stage=\"away\"}");
        (!alerts.is_empty()).then_some(())
    });
    end(running);
}
