//! Export to an OpenTelemetry collector: what arrives there, and that one which is away, slow or
//! unwilling changes nothing about the run.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use engine::clock::Stopwatch;
use engine::spec::{AuditSettings, Document, Environment, OtlpSettings};

use crate::harness::{Ended, Test};
use crate::readme::blocks_of;

const PAGE: &str = include_str!("../../docs/tracing.md");

/// How a collector answers.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Takes,
    Refuses,
    Hangs,
}

/// What came to a collector.
#[derive(Default)]
struct Arrived {
    traces: Vec<ExportTraceServiceRequest>,
    metrics: Vec<ExportMetricsServiceRequest>,
    /// The value of `x-key` in each request.
    keys: BTreeSet<String>,
    requests: usize,
}

/// A collector on loopback, until it is dropped.
struct Collector {
    address: SocketAddr,
    arrived: Arc<Mutex<Arrived>>,
    _runtime: tokio::runtime::Runtime,
}

impl Collector {
    fn start(manner: Manner) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let arrived = Arc::new(Mutex::new(Arrived::default()));
        let router = Router::new().fallback(answer).with_state((manner, Arc::clone(&arrived)));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { address, arrived, _runtime: runtime }
    }

    fn spans(&self) -> Vec<Span> {
        let arrived = self.arrived.lock().unwrap();
        let resources = arrived.traces.iter().flat_map(|request| &request.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// The last value of each series without its fraction, by name and attributes.
    fn figures(&self) -> BTreeMap<String, u64> {
        let arrived = self.arrived.lock().unwrap();
        let resources = arrived.metrics.iter().flat_map(|request| &request.resource_metrics);
        let scopes = resources.flat_map(|resource| &resource.scope_metrics);
        let mut figures = BTreeMap::new();
        for metric in scopes.flat_map(|scope| &scope.metrics) {
            let points = match metric.data.as_ref().unwrap() {
                Data::Sum(sum) => &sum.data_points,
                Data::Gauge(gauge) => &gauge.data_points,
                other => panic!("{other:?}"),
            };
            for point in points {
                let mut attributes: Vec<String> = point.attributes.iter().map(text).collect();
                attributes.sort();
                let value = match point.value.unwrap() {
                    number_data_point::Value::AsDouble(value) => value as u64,
                    number_data_point::Value::AsInt(value) => value as u64,
                };
                figures.insert(format!("{}{{{}}}", metric.name, attributes.join(",")), value);
            }
        }
        figures
    }
}

async fn answer(
    State((manner, arrived)): State<(Manner, Arc<Mutex<Arrived>>)>,
    request: Request<Body>,
) -> (StatusCode, Vec<u8>) {
    let path = request.uri().path().to_owned();
    let key = request.headers().get("x-key").map(|key| key.to_str().unwrap().to_owned());
    let body = to_bytes(request.into_body(), 16 << 20).await.unwrap();
    {
        let mut arrived = arrived.lock().unwrap();
        arrived.requests += 1;
        arrived.keys.extend(key);
    }
    match manner {
        Manner::Hangs => std::future::pending().await,
        Manner::Refuses => (StatusCode::INTERNAL_SERVER_ERROR, b"the key is k3y-s3cret".to_vec()),
        Manner::Takes => {
            let mut arrived = arrived.lock().unwrap();
            match path.as_str() {
                "/v1/traces" => arrived.traces.push(Message::decode(body).unwrap()),
                "/v1/metrics" => arrived.metrics.push(Message::decode(body).unwrap()),
                other => panic!("{other}"),
            }
            (StatusCode::OK, Vec::new())
        }
    }
}

/// `stage=hub`
fn text(attribute: &KeyValue) -> String {
    let value = match attribute.value.as_ref().and_then(|value| value.value.as_ref()).unwrap() {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    format!("{}={value}", attribute.key)
}

fn attributes(span: &Span) -> BTreeMap<String, String> {
    let pairs = span.attributes.iter().map(text);
    pairs.map(|pair| pair.split_once('=').map(|(k, v)| (k.into(), v.into())).unwrap()).collect()
}

/// A pipeline with a chain of stages; `{monitoring}` is what is exported.
const SPEC: &str = r"
name: shop
seed: 7
clock: { start: 2024-11-29T10:00:00Z, speed: max, events: 5000 }
monitoring: { {monitoring} }
sources: { stores: { type: retail_mix } }
enrichers:
  high_value:
    type: rhai
    inputs: [stores]
    with: { script: 'fn enrich(event) { event.event_type != `ad_impression` }' }
sinks:
  out: { type: console, inputs: [high_value], with: { format: ndjson } }
";

fn run(monitoring: &str, arguments: &[&str]) -> Ended {
    let arguments = [&["run", "shop.yaml"], arguments].concat();
    Test::new(&arguments)
        .file("shop.yaml", &SPEC.replace("{monitoring}", monitoring))
        .env("KEY", "k3y-s3cret")
        .run()
}

fn otlp(address: SocketAddr, ratio: f64) -> String {
    format!(
        "otlp: {{ endpoint: 'http://{address}', sample_ratio: {ratio}, headers: {{ x-key: '${{KEY}}' }} }}"
    )
}

#[test]
fn spans_and_figures_arrive_with_the_names_of_stages() {
    let collector = Collector::start(Manner::Takes);
    let ended = run(&otlp(collector.address, 1.0), &[]).exits(0).never_says("k3y-s3cret");
    let delivered = ended.stdout.lines().count() as u64;
    {
        let arrived = collector.arrived.lock().unwrap();
        assert_eq!(arrived.keys, BTreeSet::from(["k3y-s3cret".to_owned()]));
        let resource = arrived.traces[0].resource_spans[0].resource.as_ref().unwrap();
        let resource: Vec<String> = resource.attributes.iter().map(text).collect();
        for wanted in ["service.name=engine", "engine.pipeline=shop"] {
            assert!(resource.iter().any(|it| it == wanted), "{resource:?}");
        }
    }

    let spans = collector.spans();
    let names: BTreeSet<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    for stage in ["stores", "high_value", "out"] {
        assert!(names.contains(&*format!("batch {stage}")), "{names:?}");
        assert!(names.contains(&*format!("stage {stage}")), "{names:?}");
    }
    assert!(names.contains("deliver out"), "{names:?}");
    let by_id: BTreeMap<&[u8], &Span> = spans.iter().map(|it| (&*it.span_id, it)).collect();
    let batches = |stage: &str| {
        let (name, all) = (format!("batch {stage}"), spans.iter());
        let of_stage: Vec<&Span> = all.filter(|span| span.name == name).collect();
        of_stage
    };
    // Who asks for a batch is around who makes it, and each knows the stage that it belongs to.
    for (stage, asked_by) in [("stores", "batch high_value"), ("high_value", "batch out")] {
        for span in batches(stage) {
            assert_eq!(by_id[&*span.parent_span_id].name, asked_by);
            assert_eq!(by_id[&*span.links[0].span_id].name, format!("stage {stage}"));
            assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
        }
    }
    let events = |name: &str| -> u64 {
        let all = spans.iter().filter(|span| span.name == name);
        all.filter_map(|span| attributes(span).get("events")?.parse::<u64>().ok()).sum()
    };
    assert_eq!((events("batch stores"), events("deliver out")), (5000, delivered));
    let outcome = |span: &Span| attributes(span).get("outcome").cloned();
    let deliveries = || spans.iter().filter(|span| span.name == "deliver out");
    assert!(deliveries().all(|span| outcome(span).as_deref() == Some("delivered")));

    let figures = collector.figures();
    let figure = |name: &str| *figures.get(name).unwrap_or_else(|| panic!("{name}: {figures:#?}"));
    assert!(delivered > 0 && delivered < 5000);
    assert_eq!(figure("engine.events.received{stage=high_value}"), 5000);
    assert_eq!(figure("engine.events.filtered{stage=high_value}"), 5000 - delivered);
    assert_eq!(figure("engine.events.delivered{stage=out}"), delivered);
    assert_eq!(figure("engine.circuit_breaker.state{stage=out}"), 0);
    assert_eq!(figure("engine.healthy{}"), 1);
    for series in figures.keys() {
        let name = series.split('{').next().unwrap();
        assert!(PAGE.contains(&format!("`{name}`")), "`{name}` is not on the page");
    }
    let by_type = figures.iter().filter(|(name, _)| name.starts_with("engine.events.generated{"));
    assert_eq!(by_type.map(|(_, count)| count).sum::<u64>(), 5000);
}

#[test]
fn of_a_share_of_traces_the_stages_come_all_the_same() {
    let collector = Collector::start(Manner::Takes);
    let settings = otlp(collector.address, 0.0).replace("{ endpoint", "{ metrics: false, endpoint");
    run(&settings, &[]).exits(0);
    let spans = collector.spans();
    let names: BTreeSet<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["stage high_value", "stage out", "stage stores"]));
    assert!(collector.figures().is_empty());
}

#[test]
fn a_collector_that_is_away_slow_or_unwilling_changes_nothing_about_the_run() {
    let without = run("", &[]).exits(0);
    let away = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let (unwilling, slow) = (Collector::start(Manner::Refuses), Collector::start(Manner::Hangs));
    for (address, reason) in
        [(away, "onnection refused"), (unwilling.address, "HTTP 500"), (slow.address, "")]
    {
        let began = Stopwatch::start();
        let ended = run(&otlp(address, 1.0), &[]).exits(0).never_says("k3y-s3cret");
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
        assert_eq!(ended.stdout, without.stdout, "{reason}");
        let ended = ended.says("spans were not exported").says(reason);
        let warnings = ended.stderr.matches("the collector does not take spans").count();
        assert!(warnings <= 1, "{}", ended.stderr);
    }
    assert!(slow.arrived.lock().unwrap().requests > 0);
}

#[test]
fn all_of_a_log_is_json_with_spans_and_without_and_says_where_it_is() {
    let collector = Collector::start(Manner::Takes);
    let script = "'fn enrich(event) { if event.event_type == `receipt_created` { print(event.trace_id) } true }'";
    let spec = SPEC
        .replace("{monitoring}", &otlp(collector.address, 1.0))
        .replace("'fn enrich(event) { event.event_type != `ad_impression` }'", script);
    for arguments in [&["--log-format", "json"][..], &["--log-format", "json", "-vv"]] {
        let arguments = [&["run", "shop.yaml"], arguments].concat();
        let ended = Test::new(&arguments).file("shop.yaml", &spec).env("KEY", "k").run().exits(0);
        let entries: Vec<serde_json::Value> = ended
            .stderr
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect();
        let printed = entries.iter().find(|entry| entry["target"] == "engine::script::print");
        let printed = printed.unwrap();
        let is_traced = arguments.contains(&"-vv");
        assert_eq!(printed["span"]["stage"] == "high_value", is_traced, "{printed}");
        let ends = entries.iter().filter(|entry| entry["target"] == "engine::spans");
        assert_eq!(ends.count() > 0, is_traced);
    }
}

#[test]
fn what_the_page_calls_defaults_are_the_defaults() {
    let block = |with: &str| {
        let blocks = blocks_of(PAGE, "yaml");
        let block = blocks.into_iter().find(|block| block.contains(with)).unwrap();
        Document::parse("page.yaml", block, "", &Environment::default()).unwrap()
    };
    let page = block("otlp:").value("/monitoring/otlp");
    let page: OtlpSettings = serde_json::from_value(page).unwrap();
    let least = serde_json::json!({ "endpoint": "http://127.0.0.1:4318" });
    let least: OtlpSettings = serde_json::from_value(least).unwrap();
    let of = |it: &OtlpSettings| (it.traces, it.metrics, it.interval, it.sample_ratio);
    assert_eq!(of(&page), of(&least));
    let page = block("audit:").value("/monitoring/audit");
    let page: AuditSettings = serde_json::from_value(page).unwrap();
    let least = serde_json::json!({ "path": "state/audit.ndjson" });
    assert_eq!(page, serde_json::from_value(least).unwrap());
}
