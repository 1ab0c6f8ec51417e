//! Incidents: each has its effect, is told as it was scheduled, and breaks nothing.

use engine::event::Timestamp;
use serde_json::{Value, json};

use super::{events, of_type};
use crate::harness::Test;

const START: &str = "2024-06-04T14:00:00Z";

/// The events of a chain with these incidents, after the check has passed them.
fn run(incidents: &str, duration: &str) -> Vec<Value> {
    let told = "[transactions, inventory, customers, operations, marketing, online, incidents]";
    let spec = format!(
        "seed: 5\n\
         clock: {{ start: {START}, speed: max, duration: {duration} }}\n\
         sources:\n  shop:\n    type: retail\n    with:\n      \
           {{ stores: 4, dcs: 2, customers: 600, products: 80, visitors_per_day: 120,\n        \
           ads_per_customer: 1, orders_per_customer: 0.3, emit: {told},\n        \
           incidents: [{incidents}] }}\n\
         enrichers:\n  check:\n    type: invariants\n    inputs: shop\n    \
           with: {{ on_violation: fail, types: {told} }}\n\
         sinks: {{ out: {{ type: console, inputs: check }} }}\n"
    );
    let ended = Test::new(&["run", "p.yaml", "-q"]).file("p.yaml", &spec).run().exits(0);
    events(&ended.stdout)
}

fn hours_after_start(event: &Value) -> f64 {
    let time: Timestamp = event["ingest_timestamp"].as_str().unwrap().parse().unwrap();
    time.since(START.parse().unwrap()).as_secs_f64() / 3600.0
}

/// How many of these events come within some hours after the start.
fn count<'a>(events: impl Iterator<Item = &'a Value>, from: f64, to: f64) -> usize {
    events.filter(|event| (from..to).contains(&hours_after_start(event))).count()
}

fn of_store<'a>(
    events: &'a [Value],
    event_type: &str,
    store: u64,
) -> impl Iterator<Item = &'a Value> {
    of_type(events, event_type).filter(move |event| event["payload"]["store_id"] == store)
}

/// Movements of stock at a centre.
fn at_centre<'a>(events: &'a [Value], reason: &str, dc: u64) -> impl Iterator<Item = &'a Value> {
    of_type(events, "inventory_updated").filter(move |event| {
        event["payload"]["dc_id"] == dc && event["payload"]["reason"] == reason
    })
}

/// What comes to the gate of a centre from its suppliers.
fn suppliers_trucks(events: &[Value], dc: u64) -> impl Iterator<Item = &Value> {
    of_type(events, "truck_arrived").filter(move |event| {
        event["payload"]["dc_id"] == dc && event["payload"]["store_id"].is_null()
    })
}

#[test]
fn all_incidents_at_once_break_nothing_and_each_is_told_as_it_was_scheduled() {
    let events = run(
        "{ type: dc_outage, begin: 1h, length: 9h, dc: 2, severity: 0.5 },
         { type: truck_breakdown, begin: 2h, length: 3h, truck: 3 },
         { type: weather_delay, begin: 3h, length: 20h, region: northeast },
         { type: supplier_delay, begin: '2024-06-04T16:30:00Z', length: 4h },
         { type: inventory_shortage, begin: 4h, length: 90m, department: fresh, severity: 0.25 },
         { type: till_outage, begin: 5h, length: 2h, store: 3 },
         { type: demand_spike, begin: 6h, length: 1h, dc: 1 },
         { type: till_outage, begin: 30h, length: 20h }",
        "36h",
    );
    let nowhere = json!({
        "store_id": null, "dc_id": null, "region": null, "truck_id": null, "department": null,
    });
    let expected = [
        ("DC_OUTAGE", 0.5, json!({ "dc_id": 2 }), "15:00", "2024-06-05T00:00", "dc_2"),
        ("TRUCK_BREAKDOWN", 1.0, json!({ "truck_id": "TRUCK_0003" }), "16:00", "19:00", "dc_1"),
        (
            "WEATHER_DELAY",
            1.0,
            json!({ "region": "northeast" }),
            "17:00",
            "2024-06-05T13:00",
            "dc_1",
        ),
        ("SUPPLIER_DELAY", 1.0, json!({}), "16:30", "20:30", "dc_1"),
        ("INVENTORY_SHORTAGE", 0.25, json!({ "department": "fresh" }), "18:00", "19:30", "dc_1"),
        ("TILL_OUTAGE", 1.0, json!({ "store_id": 3 }), "19:00", "21:00", "store_3"),
        ("DEMAND_SPIKE", 1.0, json!({ "dc_id": 1 }), "20:00", "21:00", "dc_1"),
        ("TILL_OUTAGE", 1.0, json!({}), "2024-06-05T20:00", "2024-06-06T16:00", "dc_1"),
    ];
    let time = |text: &str| {
        let date = if text.len() == 5 { "2024-06-04T" } else { "" };
        format!("{date}{text}:00.000Z")
    };
    for (number, (name, severity, place, begin, end, partition)) in (1..).zip(expected) {
        let id = format!("INC_{number}");
        let told = |event_type| -> Vec<&Value> {
            of_type(&events, event_type)
                .filter(|event| event["payload"]["incident_id"] == *id)
                .collect()
        };
        let (started, ended) = (told("incident_started"), told("incident_ended"));
        // The last one goes on when the run ends.
        assert_eq!((started.len(), ended.len()), (1, usize::from(number < 8)), "{id}");
        let mut payload = json!({ "incident_id": id, "incident_type": name, "severity": severity });
        let fields = payload.as_object_mut().unwrap();
        fields.extend(nowhere.as_object().unwrap().clone());
        fields.extend(place.as_object().unwrap().clone());
        fields.insert("begin_time".to_owned(), time(begin).into());
        fields.insert("end_time".to_owned(), time(end).into());
        for (event, at) in
            started.iter().map(|it| (it, begin)).chain(ended.iter().map(|it| (it, end)))
        {
            assert_eq!(event["payload"], payload);
            assert_eq!(event["ingest_timestamp"], *time(at));
            assert_eq!(event["correlation_id"], *id);
            assert_eq!(event["partition_key"], partition);
        }
        assert_eq!(started[0]["parent_event_id"], Value::Null);
        assert!(ended.iter().all(|event| event["parent_event_id"] == started[0]["trace_id"]));
    }
}

#[test]
fn a_store_whose_tills_are_out_sells_nothing() {
    let events = run("{ type: till_outage, begin: 3h, length: 3h, store: 1 }", "8h");
    let receipts = |store, from, to| count(of_store(&events, "receipt_created", store), from, to);
    assert_eq!(receipts(1, 3.0, 6.0), 0);
    assert!(receipts(1, 0.0, 3.0) > 0 && receipts(1, 6.0, 8.0) > 0);
    assert!(receipts(3, 3.0, 6.0) > 0, "another store goes on");
    assert!(count(of_store(&events, "customer_entered", 1), 3.0, 6.0) > 5);
}

#[test]
fn a_spike_brings_people_and_bad_weather_keeps_them_away() {
    let usual = run("", "8h");
    let entries =
        |events: &[Value], store| count(of_store(events, "customer_entered", store), 2.0, 7.0);
    let spike = run("{ type: demand_spike, begin: 2h, length: 5h, store: 1 }", "8h");
    let weather = run("{ type: weather_delay, begin: 2h, length: 5h }", "8h");
    let before = entries(&usual, 1) as f64;
    assert!(entries(&spike, 1) as f64 > 3.0 * before, "{} of {before}", entries(&spike, 1));
    assert_eq!(entries(&spike, 2), entries(&usual, 2), "another centre's store");
    let all = |events: &[Value]| (1..=4).map(|store| entries(events, store)).sum::<usize>() as f64;
    let part = all(&weather) / all(&usual);
    assert!((0.35..0.7).contains(&part), "{part}");
}

#[test]
fn a_shortage_takes_stock_out_at_its_begin_where_it_is() {
    let events =
        run("{ type: inventory_shortage, begin: 2h, length: 4h, dc: 2, severity: 1 }", "3h");
    let gone: Vec<&Value> = of_type(&events, "inventory_updated")
        .filter(|event| event["payload"]["reason"] == "DISRUPTION")
        .collect();
    assert_eq!(gone.len(), 80, "each product");
    for event in &gone {
        assert_eq!(event["payload"]["dc_id"], 2);
        assert_eq!(event["ingest_timestamp"], "2024-06-04T16:00:00.000Z");
        assert!(event["payload"]["quantity_delta"].as_i64().unwrap() < 0);
        // What was set aside for orders stays.
        assert!(event["payload"]["quantity_on_hand"].as_u64().unwrap() < 30, "{event}");
    }
    let empty = gone.iter().filter(|event| event["payload"]["quantity_on_hand"] == 0).count();
    let stockouts = of_type(&events, "stockout_detected")
        .filter(|event| event["ingest_timestamp"] == "2024-06-04T16:00:00.000Z");
    assert_eq!(stockouts.count(), empty);
    assert!(empty > 10, "{empty}");
}

#[test]
fn nothing_leaves_or_comes_into_a_centre_that_is_out() {
    // Two evenings and nights, in which stores are sent what they have ordered.
    let events = run("{ type: dc_outage, begin: 6h, length: 48h, dc: 1 }", "72h");
    let outbound = |dc, from, to| count(at_centre(&events, "OUTBOUND_SHIPMENT", dc), from, to);
    assert_eq!(outbound(1, 6.0, 54.0), 0);
    assert!(outbound(2, 6.0, 54.0) > 0 && outbound(1, 54.0, 72.0) > 0);
    assert_eq!(count(suppliers_trucks(&events, 1), 6.0, 54.0), 0);
}

#[test]
fn trucks_that_are_broken_down_arrive_after_the_end() {
    let events = run("{ type: truck_breakdown, begin: 10h, length: 30h }", "60h");
    let arrivals = |from, to| count(of_type(&events, "truck_arrived"), from, to);
    assert_eq!(arrivals(10.0, 40.0), 0);
    assert!(arrivals(40.0, 60.0) > 0);
}

#[test]
fn suppliers_that_are_late_come_after_the_end() {
    let usual = run("", "110h");
    // What was on its way already comes within half a day, or a quarter more where it is late.
    let late = run("{ type: supplier_delay, begin: 1h, length: 95h }", "110h");
    let trucks = |events: &[Value]| {
        (1..=2).map(|dc| count(suppliers_trucks(events, dc), 20.0, 96.0)).sum::<usize>()
    };
    assert!(trucks(&usual) > 0);
    assert_eq!(trucks(&late), 0);
}
