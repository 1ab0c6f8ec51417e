//! What is always true of a `retail` stream, checked by the `invariants` enricher.

use std::time::Duration;

use engine::engine::Engine;
use proptest::prelude::*;

/// Runs a chain through the check in this process; gives how many events were looked at, and what was
/// found.
fn findings(clock: &str, with: &str, types: &str) -> (u64, Vec<String>) {
    let spec = format!(
        "clock: {{ speed: max, {clock} }}\n\
         dead_letter: off\n\
         sources: {{ shop: {{ type: retail, with: {{ {with} }} }} }}\n\
         enrichers: {{ check: {{ type: invariants, inputs: shop, with: {{ {types} }} }} }}\n\
         sinks: {{ out: {{ type: blackhole, inputs: check }} }}\n"
    );
    let engine = Engine::from_yaml(&spec).unwrap_or_else(|problems| panic!("{problems}\n{spec}"));
    let report = engine.start().unwrap().wait();
    assert!(report.is_success() && report.balanced, "{:?}", report.errors);
    let stages = report.statistics.stages;
    let findings = stages.into_iter().find_map(|stage| stage.findings).unwrap();
    assert_eq!(findings.unchecked, 0);
    let found = findings.violations.iter().map(|(rule, found)| {
        let (count, id, reason) = (found.count, &found.first_trace_id, &found.first_reason);
        format!("{rule}: {count}, first {id}: {reason}")
    });
    (findings.events, found.collect())
}

const EVERYTHING: &str = "transactions, inventory, customers, operations, marketing, online";

/// Families and types, each with what it must not be told without.
const TOLD: [&str; 9] = [
    EVERYTHING,
    "transactions, inventory, customers, operations, marketing",
    "transactions",
    "inventory",
    "customers, operations",
    "marketing, transactions, online",
    "online, inventory",
    "receipt_created, payment_processed, ble_ping_detected, truck_arrived",
    "inventory_updated, reorder_triggered, truck_departed, store_closed, online_order_picked",
];

/// Stores, centres, customers and products, and how many hours of them are run at most.
const SIZES: [(u32, u32, u32, u32, u64); 6] = [
    (1, 1, 1, 1, 48),
    (1, 1, 60, 1, 30),
    (2, 5, 40, 9, 48),
    (3, 2, 300, 40, 30),
    (7, 3, 100, 400, 20),
    (12, 4, 2_000, 60, 12),
];

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 20, max_shrink_iters: 30, failure_persistence: None, ..ProptestConfig::default()
    })]
    #[test]
    fn a_chain_of_any_size_keeps_the_invariants(
        seed: u32,
        size in prop::sample::select(&SIZES[..]),
        told in prop::sample::select(&TOLD[..]),
        visitors in prop::sample::select(&[0, 5, 60, 400][..]),
        busy: bool,
        start in 1_577_836_800_i64..1_893_456_000,
        part in 0.1..1.0,
    ) {
        let (stores, dcs, customers, products, hours) = size;
        let start = jiff::Timestamp::from_second(start).unwrap();
        let minutes = (hours as f64 * 60.0 * part) as u64;
        let weekend = if busy { "busy" } else { "reduced" };
        let clock = format!("start: {start}, duration: {minutes}m");
        let with = format!(
            "seed: {seed}, stores: {stores}, dcs: {dcs}, customers: {customers}, \
             products: {products}, visitors_per_day: {visitors}, weekend: {weekend}, \
             ads_per_customer: 2, orders_per_customer: 0.5, emit: [{told}]"
        );
        let (_, found) = findings(&clock, &with, &format!("types: [{told}]"));
        prop_assert!(found.is_empty(), "{clock}\n{with}\n{}", found.join("\n"));
    }
}

#[test]
fn two_thousand_stores_open_without_breaking_anything() {
    let clock = "start: 2024-06-04T10:55:00Z, duration: 20m";
    let with = format!(
        "stores: 2000, dcs: 40, customers: 20000, products: 300, visitors_per_day: 60, \
         emit: [{EVERYTHING}]"
    );
    let (events, found) = findings(clock, &with, &format!("types: [{EVERYTHING}]"));
    assert!(events > 1_000, "{events}");
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn the_check_would_find_what_is_wrong() {
    // Half of the movements of stock are taken out before the check.
    let spec = r#"
clock: { start: 2024-11-29T15:00:00Z, speed: max, duration: 1h }
dead_letter: off
sources: { shop: { type: retail, with: { stores: 2, dcs: 1, customers: 50, products: 20 } } }
enrichers:
  some: { type: filter, inputs: shop, with: { condition: 'event.event_type != "inventory_updated" || event.payload.product_id % 2 == 0' } }
  check: { type: invariants, inputs: some }
sinks: { out: { type: blackhole, inputs: check } }
"#;
    let engine = Engine::from_yaml(spec).unwrap_or_else(|problems| panic!("{problems}"));
    let report = engine.with_duration(Duration::from_hours(4)).start().unwrap().wait();
    let findings = report.statistics.stages.into_iter().find_map(|stage| stage.findings).unwrap();
    assert!(findings.violations.contains_key("every_line_has_its_sale"), "{findings:?}");
}
