//! Built-in correlators in a whole run: results that agree with the events, late events, accounts.

use std::collections::BTreeMap;
use std::path::Path;

use engine::control::Control;
use engine::engine::Engine;
use engine::registry::built_in;
use engine::runtime::Report;
use engine::spec::{Document, Environment};
use serde_json::{Value, json};

/// Runs a spec, in which `{out}` is a folder of its own with `in.ndjson` in it; gives the report,
/// and the events of `NAME.ndjson`.
async fn run(spec: &str, input: &str) -> (Report, impl Fn(&str) -> Vec<Value> + use<>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("in.ndjson"), input).unwrap();
    let spec = spec.replace("{out}", folder.path().to_str().unwrap());
    let document =
        Document::parse("test.yaml", spec, Path::new("."), &Environment::default()).unwrap();
    let engine = Engine::new(document, &built_in())
        .unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    let report = engine.run(Control::new()).await.unwrap();
    assert!(report.is_success(), "{:?}", report.errors);
    assert!(report.balanced, "{:#?}", report.statistics);
    let events = move |name: &str| {
        let text = std::fs::read_to_string(folder.path().join(format!("{name}.ndjson"))).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    (report, events)
}

const REVENUE: &str = r#"
clock: { start: 2024-11-29T10:00:00Z, speed: max, events: 20000 }
sources:
  north: { type: retail_mix, with: { seed: 1, emit_interval_ms: 500, burst: 7 } }
  south: { type: retail_mix, with: { seed: 2, emit_interval_ms: 700, burst: 5 } }
enrichers:
  again: { type: filter, inputs: [north], with: { condition: event.time_ms % 1000 == 0 } }
correlators:
  once: { type: dedupe, inputs: [north, south, again] }
  revenue:
    type: window
    inputs: [once]
    with:
      kind: tumbling
      size: 5m
      key: payload.store_id
      on: [receipt_created]
      aggregates: { receipts: count, total: { sum: payload.total }, most: { max: payload.total } }
      emit: revenue
sinks:
  events: { type: file, inputs: [once], with: { path: "{out}/events.ndjson" } }
  results: { type: file, inputs: [revenue], with: { path: "{out}/revenue.ndjson" } }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn windows_agree_with_the_events_to_the_cent_and_the_same_spec_gives_the_same_bytes() {
    let (report, events) = run(REVENUE, "").await;
    let stage = |name: &str| report.statistics.stages.iter().find(|it| it.stage == name).unwrap();
    assert!(stage("once").filtered > 1000, "what came twice is filtered");
    let mut expected: BTreeMap<(i64, String), (i64, i64)> = BTreeMap::new();
    for event in events("events").iter().filter(|it| it["event_type"] == "receipt_created") {
        let time: engine::event::Timestamp =
            event["ingest_timestamp"].as_str().unwrap().parse().unwrap();
        let start = time.as_millis() / 300_000 * 300_000;
        let start = engine::event::Timestamp::from_millis(start).to_string();
        let cents = (event["payload"]["total"].as_f64().unwrap() * 100.0).round() as i64;
        let store = event["payload"]["store_id"].as_i64().unwrap();
        let sum = expected.entry((store, start)).or_default();
        *sum = (sum.0 + 1, sum.1 + cents);
    }
    let results = events("revenue");
    assert_eq!(results.len(), expected.len());
    for result in &results {
        let payload = &result["payload"];
        let start = payload["window_start"].as_str().unwrap().to_owned();
        let (receipts, cents) = expected[&(payload["store_id"].as_i64().unwrap(), start)];
        assert_eq!(payload["receipts"], json!(receipts), "{result}");
        assert_eq!(payload["total"], json!(cents as f64 / 100.0), "{result}");
    }
    assert!(results.is_sorted_by_key(|it| it["ingest_timestamp"].as_str().unwrap().to_owned()));
    let (_, again) = run(REVENUE, "").await;
    assert!(results == again("revenue"), "the same spec gave other results");
}

const LATE: &str = r#"
clock: { start: 2024-11-29T10:00:00Z, speed: max }
sources: { file: { type: file, with: { path: "{out}/in.ndjson" } } }
correlators:
  minutes:
    type: window
    inputs: [file]
    with:
      kind: tumbling
      size: 1m
      aggregates: { n: count }
      emit: minute
      allowed_lateness: 2m
sinks: { out: { type: file, inputs: [minutes], with: { path: "{out}/out.ndjson" } } }
"#;

/// Lines of a file, at these seconds.
fn lines(seconds: &[i64]) -> String {
    let line = |second: &i64| {
        let time = engine::event::Timestamp::from_millis(1_732_874_400_000 + second * 1000);
        let id = format!("TR_1732874400_{second:05}");
        let event = json!({ "event_type": "x", "payload": {}, "trace_id": id,
            "ingest_timestamp": time.to_string() });
        format!("{event}\n")
    };
    seconds.iter().map(line).collect()
}

#[tokio::test]
async fn what_comes_late_corrects_results_or_is_counted_and_the_accounts_add_up() {
    // What a batch brings is put in order as far as it goes: what is late comes in a later one.
    let seconds = [&[0, 10, 70], &[71; 1100][..], &[20], &[200; 1100], &[30, 75, 400]].concat();
    let input = lines(&seconds);
    let (report, events) = run(LATE, &input).await;
    let results: Vec<(String, i64, i64, bool)> = events("out")
        .iter()
        .map(|it| {
            let payload = &it["payload"];
            let start = payload["window_start"].as_str().unwrap()[11..16].to_owned();
            let number = |name: &str| payload[name].as_i64().unwrap();
            (start, number("n"), number("revision"), payload["complete"].as_bool().unwrap())
        })
        .collect();
    let result = |start: &str, n, revision, complete| (start.to_owned(), n, revision, complete);
    assert_eq!(
        results,
        [
            result("10:00", 2, 0, true),
            result("10:00", 3, 1, true),
            result("10:01", 1101, 0, true),
            result("10:01", 1102, 1, true),
            result("10:03", 1100, 0, true),
            result("10:06", 1, 0, false),
        ]
    );
    let minutes = report.statistics.stages.iter().find(|it| it.stage == "minutes").unwrap();
    assert_eq!((minutes.late, minutes.absorbed, minutes.derived), (1, 2207, 6));
    assert_eq!(minutes.unfired_timers, 0);
}

#[tokio::test]
async fn the_blocks_of_the_page_on_correlators_are_those_of_one_pipeline_which_runs() {
    let page = include_str!("../../docs/correlators.md");
    let blocks = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let spec = format!(
        "clock: {{ start: 2024-11-29T15:00:00Z, speed: max, duration: 2h }}
sources:
  chain: {{ type: retail, with: {{ stores: 2, dcs: 1, customers: 200, products: 40 }} }}
enrichers:
  network: {{ type: filter, inputs: [chain], with: {{ condition: event.time_ms % 3 == 0 }} }}
  again: {{ type: filter, inputs: [network], with: {{ condition: event.time_ms % 2 == 0 }} }}
{}sinks: {{ out: {{ type: blackhole, inputs: [sales, paid, abandoned, once] }} }}\n",
        blocks.collect::<String>()
    );
    let (report, _) = run(&spec, "").await;
    let stage = |name: &str| report.statistics.stages.iter().find(|it| it.stage == name).unwrap();
    for name in ["sales", "paid", "abandoned"] {
        assert!(stage(name).derived > 10, "{name} derived {}", stage(name).derived);
    }
    assert!(stage("once").filtered > 100);
}
