use std::cell::Cell;

use super::*;
use crate::control::Phase;
use crate::registry::built_in;
use crate::spec::{Document, Environment};

thread_local! {
    static SPENT: Cell<u64> = const { Cell::new(0) };
}

fn spend(allocations: u64) {
    SPENT.set(SPENT.get() + allocations);
}

/// Counts what the test spends, at ten bytes each.
fn spent() -> (u64, u64) {
    (SPENT.get(), SPENT.get() * 10)
}

fn plan(text: &str) -> Plan {
    let document = Document::parse("shop.yaml", text, ".", &Environment::default()).unwrap();
    Plan::new(document, &built_in()).unwrap_or_else(|problems| panic!("{problems}")).0
}

const EFFORT: Effort = Effort { events: Some(1000), span: None, passes: 2, allocations: None };

#[test]
fn whoever_is_uppermost_pays_and_what_is_nobodys_goes_to_the_graph() {
    let meter = Meter::new(2, Some(spent));
    meter.begin(Control::new(), None);
    let (first, second) = (meter.gauge(0), meter.gauge(1));
    spend(1);
    second.begin();
    spend(2);
    first.begin();
    spend(4);
    first.rest();
    spend(8);
    second.rest();
    spend(16);
    let (readings, is_cut_short) = meter.end();
    let figures: Vec<_> = readings.iter().map(|taken| (taken.allocations, taken.bytes)).collect();
    assert_eq!(figures, [(4, 40), (10, 100), (17, 170)]);
    assert!(!is_cut_short);
}

#[test]
fn a_pass_that_takes_too_long_is_stopped() {
    let (meter, control) = (Meter::new(1, None), Control::new());
    meter.begin(control.clone(), Some(Duration::ZERO));
    let stage = meter.gauge(0);
    stage.begin();
    stage.rest();
    assert_eq!(control.phase(), Phase::Draining);
    assert!(meter.end().1);
    meter.begin(Control::new(), None);
    assert!(!meter.end().1, "another pass begins anew");
}

#[test]
fn every_stage_is_told_with_its_events_and_the_total_is_their_sum() {
    let plan = plan(
        "clock: { start: 2024-11-29T10:00:00Z }
sources: { shop: { type: retail_mix } }
enrichers:
  half: { type: filter, inputs: [shop], with: { condition: 'event.event_type == \"receipt_created\"' } }
sinks:
  one: { type: blackhole, inputs: [half] }
  two: { type: http, inputs: [shop], with: { url: 'http://127.0.0.1:9/' } }
",
    );
    let mut told = Vec::new();
    let bench = measure(plan, &EFFORT, |pass| told.push(pass)).unwrap();
    assert_eq!((told, bench.events, bench.is_cut_short), (vec![1, 2], 1000, false));
    let stage = |name: &str| bench.stages.iter().find(|stage| stage.stage == name).unwrap();
    let events = |name: &str| (stage(name).events_in, stage(name).events_out);
    assert_eq!((events("shop"), events("two")), ((0, 1000), (1000, 1000)));
    let (seen, receipts) = events("half");
    assert!(seen == 1000 && receipts > 0 && receipts < 1000, "{receipts}");
    assert_eq!(events("one"), (receipts, receipts));
    let stages = bench.stages.iter().map(|stage| &stage.cost);
    let rows: Vec<&Cost> = stages.chain([&bench.graph, &bench.other_threads]).collect();
    assert!(rows[..4].iter().all(|cost| cost.cpu_seconds > 0.0));
    let sum: f64 = rows.iter().map(|cost| cost.cpu_seconds).sum();
    assert!((sum - bench.total.cpu_seconds).abs() < 1e-9, "{sum} {}", bench.total.cpu_seconds);
    assert_eq!(bench.total.allocations_per_event, None, "nobody counts them");
}

#[test]
fn in_place_of_what_comes_from_outside_events_are_made_up() {
    let plan = plan(
        "sources: { hook: { type: http, with: { listen: '127.0.0.1:0', path: /in } } }
sinks: { out: { type: blackhole, inputs: [hook] } }
",
    );
    let bench = measure(plan, &EFFORT, |_| {}).unwrap();
    assert_eq!(bench.made_up, ["hook"]);
    assert_eq!((bench.events, bench.stages[1].events_in), (1000, 1000));
}

#[test]
fn a_duration_ends_a_pass_where_event_time_ends() {
    let text = "clock: { start: 2024-11-29T10:00:00Z, duration: 7d }
sources: { shop: { type: retail_mix, with: { burst: 10, emit_interval_ms: 1000 } } }
sinks: { out: { type: blackhole, inputs: [shop] } }
";
    let span = Some(Duration::from_mins(1));
    let effort = Effort { events: None, span, ..EFFORT };
    assert_eq!(measure(plan(text), &effort, |_| {}).unwrap().events, 600);
}
