//! The flow as a whole: what goes in comes out, in the same order every time, and adds up.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use engine::control::Control;
use engine::engine::Engine;
use engine::registry::built_in;
use engine::runtime::{Ending, Report};
use engine::spec::{Document, Environment};

/// A pipeline in a folder of its own; `{out}` in the spec is that folder.
struct Pipeline {
    folder: tempfile::TempDir,
    engine: Engine,
}

impl Pipeline {
    fn new(spec: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spec = spec.replace("{out}", folder.path().to_str().unwrap());
        let document =
            Document::parse("test.yaml", spec, Path::new("."), &Environment::default()).unwrap();
        let engine = Engine::new(document, &built_in())
            .unwrap_or_else(|problems| panic!("{}", problems.render(false)));
        Self { folder, engine }
    }

    async fn run(&self) -> Report {
        self.engine.run(Control::new()).await.unwrap()
    }

    fn lines(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

fn json(line: &str) -> serde_json::Value {
    serde_json::from_str(line).unwrap()
}

fn assert_adds_up(report: &Report) {
    assert!(report.is_success(), "{:?}", report.errors);
    assert!(report.balanced, "{:#?}", report.statistics);
}

/// Two sources, a diamond with a filter on one side, a correlator behind the merge, two sinks.
const DIAMOND: &str = r#"
clock: { start: 2024-11-29T10:00:00Z, speed: max, events: 20000 }
sources:
  fast: { type: retail_mix, with: { seed: 1, emit_interval_ms: 500, burst: 70 } }
  slow: { type: retail_mix, with: { seed: 2, emit_interval_ms: 700, burst: 30 } }
enrichers:
  marked:
    type: rhai
    inputs: [fast]
    with: { script: "fn enrich(event) { event.payload.marked = true; }" }
    parallelism: 2
  receipts:
    type: filter
    inputs: [fast]
    with: { condition: event.event_type == "receipt_created" }
correlators:
  counted:
    type: rhai
    inputs: [slow, marked, receipts]
    with:
      key: event_type
      script: |
        fn on_event(event, state, out) {
            state.n = (state.n ?? 0) + 1;
            if state.n % 100 == 0 { out.emit("hundred", #{ n: state.n, of: event.event_type }); }
            if state.n % 150 == 0 { out.emit_after("3s", "later", #{ n: state.n }); }
        }
batchers:
  batches: { type: count_or_time, inputs: [counted], with: { max_batch_size: 100, batch_timeout_ms: 900 } }
sinks:
  all: { type: file, inputs: [batches], with: { path: "{out}/all.ndjson" } }
  rest: { type: blackhole, inputs: [counted, slow] }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_diamond_gives_the_same_bytes_however_it_is_scheduled() {
    let mut first: Option<Vec<String>> = None;
    for _ in 0..5 {
        let pipeline = Pipeline::new(DIAMOND);
        let report = pipeline.run().await;
        assert_adds_up(&report);
        assert_eq!(report.statistics.events_generated, 20_000);
        let lines = pipeline.lines("all.ndjson");
        assert!(lines.len() > 20_000, "{} lines", lines.len());
        match &first {
            Some(first) => assert!(*first == lines, "the same spec gave other bytes"),
            None => first = Some(lines),
        }
    }
}

#[tokio::test]
async fn events_leave_a_merge_in_the_order_of_their_times() {
    let pipeline = Pipeline::new(DIAMOND);
    pipeline.run().await;
    let times: Vec<String> = pipeline
        .lines("all.ndjson")
        .iter()
        .map(|line| json(line)["ingest_timestamp"].as_str().unwrap().to_owned())
        .collect();
    assert!(times.is_sorted());
}

#[tokio::test]
async fn trace_ids_are_unique_over_sources_and_correlators() {
    let pipeline = Pipeline::new(&DIAMOND.replace("marked, receipts]", "marked]"));
    pipeline.run().await;
    let lines = pipeline.lines("all.ndjson");
    let ids: HashSet<String> =
        lines.iter().map(|line| json(line)["trace_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), lines.len());
}

#[tokio::test]
async fn accounts_add_up_with_when_on_every_kind_of_stage_and_where_it_fails() {
    let pipeline = Pipeline::new(
        r#"
clock: { start: 2024-11-29T10:00:00Z, speed: max, events: 5000 }
dead_letter: off
sources: { stores: { type: retail_mix, when: event.event_type != "ad_impression" } }
enrichers:
  marked:
    type: rhai
    inputs: [stores]
    when: event.event_type == "receipt_created" && event.payload.total > 50.0
    with: { script: "fn enrich(event) { event.payload.item_count < 20 }" }
correlators:
  counted:
    type: rhai
    inputs: [marked]
    when: event.payload.store_id % 2 == 0
    with:
      key: payload.store_id
      script: |
        fn on_event(event, state, out) { out.emit("seen", #{ store_id: event.payload.store_id }); }
batchers:
  batches: { type: count_or_time, inputs: [counted], when: event.payload.store_id != 7 }
sinks:
  receipts: { type: blackhole, inputs: [batches], when: event.event_type == "receipt_created" }
  broken: { type: blackhole, inputs: [batches], when: (event.payload.store_id > 5) + 1 == 2 }
"#,
    );
    let report = pipeline.run().await;
    assert_adds_up(&report);
    assert!(report.statistics.events_failed > 0);
    assert!(
        report
            .statistics
            .stages
            .iter()
            .all(|stage| stage.filtered > 0 || !stage.dropped.is_empty())
    );
}

#[tokio::test]
async fn a_timer_that_renews_itself_and_an_event_of_the_last_year_end_when_they_are_given_up() {
    let pipeline = Pipeline::new(
        r#"
clock: { speed: max }
sources: { in: { type: file, with: { path: "{out}/in.ndjson" } } }
correlators:
  ticks:
    type: rhai
    inputs: [in]
    with:
      key: event_type
      script: |
        fn on_event(event, state, out) { out.timer("tick", "1s"); }
        fn on_timer(name, state, out) { out.timer("tick", "1s"); }
sinks: { out: { type: blackhole, inputs: [ticks] } }
"#,
    );
    let line = |time: &str| {
        format!("{{\"event_type\":\"x\",\"payload\":{{}},\"ingest_timestamp\":\"{time}\"}}\n")
    };
    let lines = line("2024-01-01T00:00:00Z") + line("9999-12-30T00:00:00Z").as_str();
    fs::write(pipeline.folder.path().join("in.ndjson"), lines).unwrap();
    let control = Control::new();
    let run = pipeline.engine.prepare(control.clone()).unwrap();
    let monitor = run.monitor();
    let abort = async {
        while monitor.statistics().events_generated < 2 {
            tokio::task::yield_now().await;
        }
        control.abort();
    };
    let (report, ()) = tokio::join!(run.finish(), abort);
    assert_eq!(report.ending, Ending::Aborted);
}

#[tokio::test]
async fn a_run_that_fails_does_not_replace_the_good_file_of_the_last_one() {
    let pipeline = Pipeline::new(
        r#"
clock: { start: 2024-11-29T10:00:00Z, speed: max, events: 50000 }
sources: { stores: { type: retail_mix } }
sinks:
  good: { type: file, inputs: [stores], with: { path: "{out}/good.ndjson", mode: replace } }
  bad: { type: file, inputs: [stores], with: { path: /proc/no/such/file.ndjson } }
"#,
    );
    fs::write(pipeline.folder.path().join("good.ndjson"), "the last run\n").unwrap();
    assert_eq!(pipeline.run().await.ending, Ending::Failed);
    assert_eq!(pipeline.lines("good.ndjson"), ["the last run"]);
}

#[tokio::test]
async fn a_renewed_timer_takes_no_further_room() {
    let pipeline = Pipeline::new(
        r#"
clock: { start: 2024-11-29T10:00:00Z, speed: max, events: 500 }
sources: { stores: { type: retail_mix } }
correlators:
  idle:
    type: rhai
    inputs: [stores]
    with:
      key: schema_version
      max_timers: 1
      script: |
        fn on_event(event, state, out) { out.timer("idle", "1h"); }
        fn on_timer(name, state, out) { }
sinks: { out: { type: blackhole, inputs: [idle] } }
"#,
    );
    let report = pipeline.run().await;
    assert_adds_up(&report);
    assert_eq!(report.statistics.events_failed, 0);
}

#[tokio::test]
async fn two_sources_of_one_seed_do_not_share_the_ids_of_their_receipts() {
    let pipeline = Pipeline::new(
        r#"
clock: { start: 2024-11-29T10:00:00Z, speed: max, events: 4000 }
sources:
  north: { type: retail_mix, with: { seed: 1 } }
  south: { type: retail_mix, with: { seed: 1 } }
sinks: { out: { type: file, inputs: [north, south], with: { path: "{out}/out.ndjson" } } }
"#,
    );
    assert_adds_up(&pipeline.run().await);
    let mut receipts = HashSet::new();
    for event in pipeline.lines("out.ndjson").iter().map(|line| json(line)) {
        if event["event_type"] == "receipt_created" {
            let id = event["payload"]["receipt_id"].as_str().unwrap().to_owned();
            assert!(receipts.insert(id), "{event}");
        }
    }
    assert!(receipts.len() > 500);
}

#[tokio::test]
async fn a_script_that_errs_costs_its_event_only_and_that_is_kept_with_the_reason() {
    let pipeline = Pipeline::new(
        r#"
clock: { start: 2024-11-29T10:00:00Z, speed: max, events: 1000 }
dead_letter: { path: "{out}/dead.ndjson" }
sources: { stores: { type: retail_mix } }
enrichers:
  strict:
    type: rhai
    inputs: [stores]
    when: event.event_type == "receipt_created"
    with: { script: 'fn enrich(event) { if event.payload.item_count > 2 { throw "too many"; } }' }
sinks:
  out: { type: file, inputs: [strict], with: { path: "{out}/out.ndjson" } }
"#,
    );
    let report = pipeline.run().await;
    assert_adds_up(&report);
    let (alive, dead) = (pipeline.lines("out.ndjson"), pipeline.lines("dead.ndjson"));
    assert_eq!(alive.len() + dead.len(), 1000);
    assert_eq!(report.statistics.events_failed, dead.len() as u64);
    assert!(!dead.is_empty());
    for letter in dead.iter().map(|line| json(line)) {
        assert_eq!(letter["stage"], "strict");
        assert_eq!(letter["category"], "script");
        assert!(letter["reason"].as_str().unwrap().contains("too many"), "{letter}");
        assert!(letter["event"]["payload"]["item_count"].as_i64().unwrap() > 2);
    }
}

#[tokio::test]
async fn with_dead_letters_off_failures_are_dropped_and_counted() {
    let pipeline = Pipeline::new(
        r#"
clock: { start: 2024-11-29T10:00:00Z, speed: max, events: 1000 }
dead_letter: off
sources: { stores: { type: retail_mix } }
enrichers:
  broken: { type: rhai, inputs: [stores], with: { script: 'fn enrich(event) { throw "no"; }' } }
sinks: { out: { type: blackhole, inputs: [broken] } }
"#,
    );
    let report = pipeline.run().await;
    assert_adds_up(&report);
    assert_eq!(report.statistics.events_failed, 1000);
    assert_eq!(report.statistics.error_counts["script"], 1000);
}

#[tokio::test]
async fn a_sink_that_cannot_write_fails_the_run_and_says_why() {
    let pipeline = Pipeline::new(
        r"
clock: { start: 2024-11-29T10:00:00Z, speed: max, events: 1000 }
sources: { stores: { type: retail_mix } }
sinks: { out: { type: file, inputs: [stores], with: { path: /proc/no/such/file.ndjson } } }
",
    );
    let report = pipeline.run().await;
    assert_eq!(report.ending, Ending::Failed);
    assert!(report.errors[0].contains("/proc/no/such"), "{:?}", report.errors);
}

#[tokio::test(start_paused = true)]
async fn a_paced_run_lasts_as_long_as_its_event_time_says() {
    let pipeline = Pipeline::new(
        r"
clock: { start: 2024-11-29T10:00:00Z, speed: 60, duration: 1h }
sources: { stores: { type: retail_mix, with: { emit_interval_ms: 1000, burst: 10 } } }
sinks: { out: { type: blackhole, inputs: [stores] } }
",
    );
    let report = pipeline.run().await;
    assert_adds_up(&report);
    assert_eq!(report.statistics.events_generated, 36_000);
    assert!((59.0..61.0).contains(&report.statistics.elapsed_seconds), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_drains_half_full_batches() {
    let pipeline = Pipeline::new(
        r"
clock: { start: 2024-11-29T10:00:00Z }
sources: { stores: { type: retail_mix, with: { emit_interval_ms: 500, burst: 7 } } }
batchers:
  batches: { type: count_or_time, inputs: [stores], with: { batch_timeout_ms: 3600000, max_batch_size: 100000 } }
sinks: { out: { type: blackhole, inputs: [batches] } }
",
    );
    let control = Control::new();
    let stop = control.clone();
    let run = pipeline.engine.run(control);
    let stopped = async {
        tokio::time::sleep(std::time::Duration::from_millis(2250)).await;
        stop.stop();
    };
    let (report, ()) = tokio::join!(run, stopped);
    let report = report.unwrap();
    assert_eq!(report.ending, Ending::Stopped);
    assert_adds_up(&report);
    assert_eq!(report.statistics.events_sent_successfully, 5 * 7);
}

#[test]
fn a_session_is_watched_while_it_runs_and_drains_when_it_is_stopped() {
    let pipeline = Pipeline::new(
        r"
clock: { start: 2024-11-29T10:00:00Z, speed: max }
sources: { stores: { type: retail_mix } }
sinks: { out: { type: blackhole, inputs: [stores] } }
",
    );
    let session = pipeline.engine.start().unwrap();
    while session.statistics().events_generated < 10_000 {
        std::thread::yield_now();
    }
    assert!(session.health().overall_healthy);
    assert!(session.health().components.contains_key("out"));
    let report = session.stop();
    assert_eq!(report.ending, Ending::Stopped);
    assert_adds_up(&report);
}

#[test]
fn a_session_that_is_dropped_drains_into_its_file() {
    let pipeline = Pipeline::new(
        r#"
clock: { start: 2024-11-29T10:00:00Z, speed: max }
sources: { stores: { type: retail_mix } }
sinks: { out: { type: file, inputs: [stores], with: { path: "{out}/out.ndjson" } } }
"#,
    );
    let session = pipeline.engine.start().unwrap();
    while session.statistics().events_sent_successfully < 1000 {
        std::thread::yield_now();
    }
    drop(session);
    let text = fs::read_to_string(pipeline.folder.path().join("out.ndjson")).unwrap();
    assert!(text.ends_with('\n'));
    assert!(text.lines().count() >= 1000);
    assert!(text.lines().all(|line| json(line)["event_type"].is_string()));
}
