//! What the user may set: weights in a script, and master data of their own.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{events, of_type};
use crate::harness::Test;

const SHOP: &str = "
seed: 3
clock: { start: 2024-06-04T14:00:00Z, speed: max, duration: 40h }
sources:
  shop:
    type: retail
    with:
      stores: 2
      dcs: 1
      customers: 300
      products: 50
      visitors_per_day: 150
      ads_per_customer: 1
      orders_per_customer: 0.3
      emit: &told [transactions, inventory, customers, operations, marketing, online]
enrichers:
  check: { type: invariants, inputs: shop, with: { on_violation: fail, types: *told } }
sinks: { out: { type: console, inputs: check } }
";

/// The events with a script of weights, after the check has passed them.
fn weighted(weight: &str) -> Vec<Value> {
    let script = format!("fn weight(event_type, ctx) {{ {weight} }}");
    Test::new(&["run", "shop.yaml", "-q", "--set", "sources.shop.with.weights=weights.rhai"])
        .file("shop.yaml", SHOP)
        .file("weights.rhai", &script)
        .run()
        .exits(0)
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn number_of(events: &[Value], event_type: &str) -> f64 {
    of_type(events, event_type).count() as f64
}

#[test]
fn weights_scale_what_they_are_for_and_break_nothing() {
    let usual = weighted("1");
    let same = Test::new(&["run", "shop.yaml", "-q"]).file("shop.yaml", SHOP).run().exits(0);
    assert_eq!(usual, events(&same.stdout), "1 changes nothing");

    let weights = "switch event_type {
        \"customer_entered\" => 3,
        \"ble_ping_detected\" => 0.2,
        \"ad_impression\" => if ctx.hour >= 18 { 0 } else { 2 },
        \"receipt_created\" => if ctx.store.id == 2 { 0 } else { 1 },
        \"online_order_created\" => 0,
        _ => 1,
    }";
    let changed = weighted(weights);
    let times = |event_type| number_of(&changed, event_type) / number_of(&usual, event_type);
    let entries = times("customer_entered");
    assert!((2.5..3.5).contains(&entries), "{entries} times the entries");
    let pings = times("ble_ping_detected");
    // Where beacons listen less, a visit has its first ping all the same.
    assert!(pings < 0.6 * entries, "{pings} times the pings");
    let of_store = |store: u64| {
        of_type(&changed, "receipt_created")
            .filter(move |event| event["payload"]["store_id"] == store)
            .count()
    };
    assert!(of_store(1) > 10);
    assert_eq!(of_store(2), 0);
    assert!(number_of(&changed, "ad_impression") > 0.0);
    let evening = of_type(&changed, "ad_impression").filter(|event| {
        let time = event["ingest_timestamp"].as_str().unwrap();
        ("2024-06-05T01:00".."2024-06-05T04:00").contains(&time)
    });
    assert_eq!(evening.count(), 0, "evening everywhere in the country");
    // What follows from an ad is an order all the same.
    assert!(times("online_order_created") < 0.2);
}

/// A file with one of its columns changed, and others left out.
fn edited(csv: &str, change: &[(&str, u32)], without: &[&str]) -> String {
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let head = lines.next().unwrap();
    let kept: Vec<usize> = (0..head.len()).filter(|at| !without.contains(&head[*at])).collect();
    let cell = |row: &[&str], at: usize| {
        let number = change.iter().find(|(column, _)| *column == head[at]).map(|(_, more)| more);
        let Some(more) = number else { return row[at].to_owned() };
        let digits = row[at].trim_start_matches("TRUCK_");
        (digits.parse::<u32>().unwrap() + more).to_string()
    };
    let line =
        |row: &[&str]| kept.iter().map(|at| cell(row, *at)).collect::<Vec<_>>().join(",") + "\n";
    let first = kept.iter().map(|at| head[*at]).collect::<Vec<_>>().join(",") + "\n";
    lines.fold(first, |text, row| text + line(&row).as_str())
}

#[test]
fn the_events_of_ones_own_stores_and_products_have_their_ids_and_prices() {
    let exported =
        Test::new(&["export", "master", "shop.yaml"]).file("shop.yaml", SHOP).run().exits(0);
    let file = |name: &str| exported.read(&format!("master/{name}.csv"));
    let products = edited(&file("products"), &[("product_id", 9_000)], &[]);
    let settings = ["stores", "dcs", "products", "customers", "trucks"]
        .map(|kind| format!("{kind}: own/{kind}.csv"))
        .join(", ");
    let set = format!("sources.shop.with.master_data={{ {settings} }}");
    let stores = [("store_id", 500), ("dc_id", 40)];
    let customers = [("customer_id", 70_000), ("home_store_id", 500)];
    let ended = Test::new(&["run", "shop.yaml", "-q", "--set", &set])
        .file("shop.yaml", SHOP)
        .file("own/stores.csv", &edited(&file("stores"), &stores, &[]))
        .file("own/dcs.csv", &edited(&file("dcs"), &[("dc_id", 40)], &[]))
        .file("own/products.csv", &products)
        .file("own/customers.csv", &edited(&file("customers"), &customers, &["ble_id", "ad_id"]))
        .file(
            "own/trucks.csv",
            &edited(&file("trucks"), &[("truck_id", 7_000), ("dc_id", 40)], &[]),
        )
        .run()
        .exits(0);
    let price_of: BTreeMap<u64, f64> = products
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect::<Vec<_>>())
        .map(|row| (row[0].parse().unwrap(), row[2].parse().unwrap()))
        .collect();
    assert!(products.starts_with("product_id,department,price"), "{products}");
    let events = events(&ended.stdout);
    let mut seen = BTreeMap::new();
    for event in &events {
        let payload = &event["payload"];
        for (field, from, to) in [
            ("store_id", 501, 502),
            ("dc_id", 41, 41),
            ("product_id", 9_001, 9_050),
            ("customer_id", 70_001, 70_300),
        ] {
            if let Some(id) = payload[field].as_u64() {
                assert!((from..=to).contains(&id), "{field} {id}: {event}");
                *seen.entry(field).or_insert(0) += 1;
            }
        }
        if let Some(truck) = payload["truck_id"].as_str() {
            assert!(truck.starts_with("TRUCK_700"), "{truck}");
            *seen.entry("truck_id").or_insert(0) += 1;
        }
    }
    assert_eq!(seen.len(), 5, "{seen:?}");
    let lines: Vec<&Value> = of_type(&events, "receipt_line_added").collect();
    assert!(lines.len() > 100);
    for line in lines {
        let product = line["payload"]["product_id"].as_u64().unwrap();
        assert_eq!(line["payload"]["unit_price"].as_f64(), price_of.get(&product).copied());
    }
}
