use std::time::Duration;

use super::*;
use crate::event::{Batch, Event, Text};
use crate::monitor::{ComponentHealth, MetricKind, Resources, StageMetrics};

/// A moment of a run with these stages.
fn moment(accounts: &[Account]) -> Moment {
    let types = EventTypes::default();
    let accounts = accounts.iter();
    Moment {
        pipeline: "a \"shop\"\\\n".to_owned(),
        is_ready: true,
        is_paused: false,
        started: 1_700_000_000.5,
        process_started: 1_700_000_000.25,
        cpu: Duration::from_millis(1500),
        health: Health { overall_healthy: false, components: BTreeMap::new() },
        hooks: BTreeMap::new(),
        hook_metrics: BTreeMap::new(),
        stages: accounts.map(|account| Stage::of(account, &types)).collect(),
    }
}

/// Checks that a text has these lines.
#[track_caller]
fn has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|other| other == *line), "no {line} in\n{text}");
    }
}

fn batch(types: &[&str]) -> Batch {
    let time = "2024-11-29T10:00:00.5Z".parse().unwrap();
    let event = |name: &&str| Event::new(key(name), Text::default(), time);
    Batch::new(types.iter().map(event).collect(), time, None)
}

fn key(name: &str) -> Key {
    Key::intern(name).unwrap()
}

#[test]
fn a_source_has_a_counter_for_each_type_and_its_last_event_has_a_time() {
    let source = Account::new("tills", Kind::Source, "retail_mix");
    source.generate(&batch(&["receipt_created", "receipt_created", "store_opened"]));
    let text = moment(&[source]).text();
    has(
        &text,
        &[
            "engine_events_generated_total{stage=\"tills\",event_type=\"receipt_created\"} 2",
            "engine_events_generated_total{stage=\"tills\",event_type=\"store_opened\"} 1",
            "engine_event_time_seconds 1732874400.5",
            "engine_events_sent_total{stage=\"tills\"} 0",
        ],
    );
    assert!(!text.contains("engine_events_received_total{stage=\"tills\""));
}

#[test]
fn texts_in_labels_are_escaped() {
    let version = env!("CARGO_PKG_VERSION");
    let line = format!(r#"engine_info{{version="{version}",pipeline="a \"shop\"\\\n"}} 1"#);
    has(&moment(&[]).text(), &[&line]);
}

#[test]
fn types_beyond_a_hundred_are_one_and_no_counter_gets_less() {
    let types = EventTypes::default();
    let counts = |names: std::ops::Range<u32>, count: u64| -> BTreeMap<Key, u64> {
        names.map(|number| (key(&format!("type_{number:03}")), count)).collect()
    };
    // The first to come keep their series, whatever their names.
    let first = types.tell_apart("tills", &counts(100..199, 1));
    assert_eq!(first.len(), 99);
    let second = types.tell_apart("tills", &counts(50..200, 2));
    assert_eq!(second.len(), 101);
    for (name, _) in first {
        assert!(second.contains(&(name.clone(), 2)), "{name} is gone");
    }
    assert_eq!(second.last().unwrap(), &("other".to_owned(), 50 * 2));
    let third = types.tell_apart("tills", &counts(0..200, 2));
    assert_eq!(third.last().unwrap(), &("other".to_owned(), 100 * 2));
    assert_eq!(types.tell_apart("another", &counts(0..5, 1)).len(), 5);
}

#[test]
fn failures_are_told_by_category_and_together_from_the_beginning() {
    let sink = Account::new("hub", Kind::Sink, "http");
    let calm = moment(&[Account::new("calm", Kind::Sink, "http")]).text();
    has(&calm, &["engine_events_failed_total{stage=\"calm\"} 0"]);
    sink.dead_letter("rejected");
    sink.dead_letter("rejected");
    sink.drop_events("buffer_full", 5);
    sink.note_error("script");
    has(
        &moment(&[sink]).text(),
        &[
            "engine_events_failed_total{stage=\"hub\"} 7",
            "engine_events_dead_lettered_total{stage=\"hub\",category=\"rejected\"} 2",
            "engine_events_dropped_total{stage=\"hub\",category=\"buffer_full\"} 5",
            "engine_stage_errors_total{stage=\"hub\",category=\"script\"} 1",
        ],
    );
}

#[test]
fn a_sink_tells_of_its_breaker_its_connection_its_buffer_and_its_latency() {
    let sink = Account::new("hub", Kind::Sink, "http");
    sink.delivery.begin(1000, 1 << 20);
    sink.delivery.set_waiting(12, 3456);
    let breaker = |state, number| {
        sink.delivery.set_breaker(state);
        let of_sink = moment(std::slice::from_ref(&sink)).text();
        has(&of_sink, &[&format!("engine_circuit_breaker_state{{stage=\"hub\"}} {number}")]);
    };
    let sink_line = |line: &str| has(&moment(std::slice::from_ref(&sink)).text(), &[line]);
    breaker(BreakerState::HalfOpen, 1);
    breaker(BreakerState::Open, 2);
    breaker(BreakerState::Closed, 0);
    sink_line("engine_sink_connected{stage=\"hub\"} 0");
    sink.delivery.connect();
    sink_line("engine_sink_connected{stage=\"hub\"} 1");
    sink_line("engine_circuit_breaker_trips_total{stage=\"hub\"} 1");
    sink_line("engine_buffer_events{stage=\"hub\"} 12");
    sink_line("engine_buffer_max_bytes{stage=\"hub\"} 1048576");
}

#[tokio::test(start_paused = true)]
async fn latencies_are_cumulative_buckets() {
    let sink = Account::new("hub", Kind::Sink, "http");
    let emitted = tokio::time::Instant::now();
    for millis in [2, 40, 4000, 600_000] {
        tokio::time::advance(emitted + Duration::from_millis(millis) - tokio::time::Instant::now())
            .await;
        sink.deliver(&batch(&["receipt_created"]), 1, Some(emitted));
    }
    let bucket = |le: &str, count| {
        format!("engine_delivery_latency_seconds_bucket{{stage=\"hub\",le=\"{le}\"}} {count}")
    };
    let lines = [
        bucket("0.001", 0),
        bucket("0.0025", 1),
        bucket("0.05", 2),
        bucket("5", 3),
        bucket("300", 3),
        bucket("+Inf", 4),
        "engine_delivery_latency_seconds_sum{stage=\"hub\"} 604.042".to_owned(),
        "engine_delivery_latency_seconds_count{stage=\"hub\"} 4".to_owned(),
        "engine_batches_delivered_total{stage=\"hub\"} 4".to_owned(),
        "engine_events_delivered_total{stage=\"hub\"} 4".to_owned(),
    ];
    has(&moment(&[sink]).text(), &lines.each_ref().map(String::as_str));
}

#[test]
fn what_a_stage_measures_itself_is_told_by_its_kind() {
    let stage = Account::new("tier", Kind::Enricher, "loyalty_tier");
    let metrics = StageMetrics::default();
    for (kind, name, values) in [
        (MetricKind::Counter, "hits", [2.0, 3.0]),
        (MetricKind::Gauge, "open", [7.0, 1.5]),
        (MetricKind::Histogram, "took", [4.0, 1.5]),
    ] {
        let number = metrics.add(kind, name, "").unwrap();
        for value in values {
            metrics.record(number, value);
        }
    }
    stage.show_metrics(vec![metrics]);
    has(
        &moment(&[stage]).text(),
        &[
            "engine_stage_metric_total{stage=\"tier\",metric=\"hits\"} 5.0",
            "engine_stage_metric{stage=\"tier\",metric=\"open\"} 1.5",
            "engine_stage_metric_values_sum{stage=\"tier\",metric=\"took\"} 5.5",
            "engine_stage_metric_values_count{stage=\"tier\",metric=\"took\"} 2",
        ],
    );
}

#[test]
fn hooks_health_and_the_process_are_told() {
    let mut moment = moment(&[]);
    moment.hooks.insert("batch_sent", HookTally { calls: 9, failed: 2, skipped: 1 });
    let measured = StageMetrics::default();
    for (kind, name) in [(MetricKind::Counter, "receipts"), (MetricKind::Gauge, "largest")] {
        measured.record(measured.add(kind, name, "").unwrap(), 7.0);
    }
    moment.hook_metrics = StageMetrics::tally(&[measured]);
    let unwell = ComponentHealth { stage: Some("hub".to_owned()), ..ComponentHealth::default() };
    let resources = Resources { memory_bytes: Some(1 << 20), ..Resources::default() };
    let process = ComponentHealth { resources: Some(resources), ..ComponentHealth::default() };
    moment.health.components.insert("azure_event_hub".to_owned(), unwell);
    moment.health.components.insert("resources".to_owned(), process);
    let text = moment.text();
    has(
        &text,
        &[
            "engine_hook_calls_total{hook=\"batch_sent\"} 9",
            "engine_hook_failures_total{hook=\"batch_sent\"} 2",
            "engine_hook_skipped_total{hook=\"batch_sent\"} 1",
            "engine_hook_metric_total{metric=\"receipts\"} 7.0",
            "engine_hook_metric{metric=\"largest\"} 7.0",
            "engine_stage_healthy{stage=\"hub\"} 0",
            "engine_healthy 0",
            "engine_ready 1",
            "engine_paused 0",
            "engine_start_time_seconds 1700000000.5",
            "process_start_time_seconds 1700000000.25",
            "process_resident_memory_bytes 1048576",
            "process_cpu_seconds_total 1.5",
        ],
    );
    assert!(!text.contains("\nengine_memory_limit_bytes "), "no limit is set");
}

#[test]
fn every_metric_is_named_also_where_there_is_nothing_of_it() {
    let names = |text: &str| -> Vec<String> {
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    };
    let empty = names(&moment(&[]).text());
    let mut distinct = empty.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), empty.len(), "each once");
    let source = Account::new("tills", Kind::Source, "retail_mix");
    assert_eq!(names(&moment(&[source]).text()), empty);
}
