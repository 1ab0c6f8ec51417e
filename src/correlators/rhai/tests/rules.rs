//! The rules in `pipelines/rules`: each emits events of the contract.

use super::*;
use crate::event::{
    AD_IMPRESSION, CAMPAIGN_ID, CORRELATION_ID, CUSTOMER_ENTERED, CUSTOMER_ID, DISCOUNT_CENTS,
    DWELL_TIME, FROM_ZONE, IMPRESSION_ID, QUANTITY, RECEIPT_ID, RECEIPT_LINE_ADDED, SUBTOTAL,
    TO_ZONE, ZONE,
};
use crate::retail::{EventType, schema};

/// Runs a rule over some events to the end of its timers, and validates what it emits.
fn run(text: &str, key: &[&str], events: &[Event]) -> Vec<Event> {
    let mut rule = rule(text, key);
    let mut out = feed(&mut rule, events);
    rule.advance(at(8 * 24 * 3600), &mut out);
    assert_eq!(reasons(&out), [""; 0]);
    for event in &out.events {
        let event_type = EventType::from_key(event.event_type).unwrap();
        let validator = jsonschema::validator_for(&schema(event_type)).unwrap();
        let json = serde_json::to_value(event).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&json).map(|error| error.to_string()).collect();
        assert_eq!(errors, [""; 0], "{json:#}");
    }
    out.events
}

fn event(event_type: Key, second: i64, fields: &[(Key, Value)]) -> Event {
    let trace_id = Text::from(format!("TR_1704067200_{second:05}"));
    let mut event = Event::new(event_type, trace_id, at(second));
    event.payload = fields.iter().cloned().collect();
    event.partition_key = Some(Text::from("store_7"));
    event
}

#[test]
fn low_stock_emits_reorders() {
    let events = run(LOW_STOCK, &["payload.product_id"], &[stock(0, 1, 4)]);
    assert_eq!(events.len(), 1);
    assert!(events[0].to_json().contains(r#""priority":"HIGH""#));
}

#[test]
fn receipt_lines_take_their_units_from_the_stock() {
    let rule = include_str!("../../../../pipelines/rules/receipt_inventory.rhai");
    let line = |second, quantity: i64| {
        let receipt = Text::from("RCP_1704067200_00001");
        let fields = [
            (RECEIPT_ID, Value::from(receipt)),
            (PRODUCT_ID, Value::Int(9)),
            (QUANTITY, Value::Int(quantity)),
        ];
        event(RECEIPT_LINE_ADDED, second, &fields)
    };
    let mut online = line(4, 1);
    online.partition_key = Some(Text::from("order_5"));
    let events = run(
        rule,
        &["partition_key", "payload.product_id"],
        &[line(1, 100), line(2, 19), line(3, 70), online],
    );
    let number = |event: &Event, key| event.payload.get(key).and_then(Value::as_i64).unwrap();
    let moves: Vec<(i64, i64)> = events
        .iter()
        .map(|event| (number(event, QUANTITY_DELTA), number(event, QUANTITY_ON_HAND)))
        .collect();
    assert_eq!(moves, [(120, 120), (-100, 20), (-19, 1), (70, 71), (-70, 1)]);
    assert_eq!(events[1].correlation_id, Some(Text::from("RCP_1704067200_00001")));
    assert_eq!(events[0].correlation_id, None);
}

#[test]
fn entries_lead_to_pings_and_to_zone_changes_that_chain_up_to_the_exit() {
    let rule = include_str!("../../../../pipelines/rules/entry_pings.rhai");
    let entries: Vec<Event> = (0..40)
        .map(|second| {
            let fields = [
                (STORE_ID, Value::Int(7)),
                (ZONE, "ENTRANCE".into()),
                (DWELL_TIME, Value::Int(600)),
            ];
            event(CUSTOMER_ENTERED, second, &fields)
        })
        .collect();
    let events = run(rule, &["payload.store_id"], &entries);
    let visits: std::collections::BTreeSet<String> =
        events.iter().map(|event| event.session_id.as_ref().unwrap().to_string()).collect();
    assert!((6..=20).contains(&visits.len()), "{} of 40 are heard", visits.len());
    for visit in &visits {
        let of_visit =
            events.iter().filter(|event| event.session_id == Some(Text::from(visit.as_str())));
        let mut zone = Value::from("ENTRANCE");
        let mut last = at(0);
        for event in of_visit {
            assert!(zone != Value::from("EXIT"), "nothing comes after the exit");
            assert!(event.time >= last);
            assert_eq!(event.correlation_id, event.session_id);
            last = event.time;
            if let Some(to) = event.payload.get(TO_ZONE) {
                assert_eq!(event.payload.get(FROM_ZONE), Some(&zone));
                let told = event.payload.get(crate::event::TIMESTAMP).unwrap();
                assert_eq!(told.as_text(), Some(&Text::from(event.time.to_string())));
                zone = to.clone();
            } else {
                assert_eq!(event.payload.get(ZONE), Some(&zone));
            }
        }
        assert_eq!(zone, Value::from("EXIT"));
    }
}

#[test]
fn a_receipt_within_a_week_of_an_impression_has_a_promotion() {
    let rule = include_str!("../../../../pipelines/rules/impression_promotion.rhai");
    let impression = |day: i64| {
        let fields = [
            (CUSTOMER_ID, Value::Int(5)),
            (CAMPAIGN_ID, Text::from("CAMP_3").into()),
            (IMPRESSION_ID, Text::from("IMP_1704067200_00001").into()),
        ];
        let mut event = event(AD_IMPRESSION, day * 24 * 3600, &fields);
        event.correlation_id = Some(Text::from("JRN_1704067200_00001"));
        event
    };
    let receipt = |day: i64, customer: i64, discount: i64| {
        let fields = [
            (CUSTOMER_ID, Value::Int(customer)),
            (RECEIPT_ID, Text::from("RCP_1704067200_00002").into()),
            (STORE_ID, Value::Int(7)),
            (SUBTOTAL, Value::Float(19.99)),
            (DISCOUNT_CENTS, Value::Int(discount)),
        ];
        event(RECEIPT_CREATED, day * 24 * 3600 + 1, &fields)
    };
    let key = ["payload.customer_id"];
    let events =
        run(rule, &key, &[impression(0), receipt(6, 6, 0), receipt(6, 5, 0), receipt(6, 5, 0)]);
    assert_eq!(events.len(), 1, "another customer, and a second receipt, have none");
    let json = events[0].to_json();
    assert!(json.contains(r#""discount_amount":2.0,"discount_cents":200"#), "{json}");
    assert!(json.contains(&format!(r#""{CORRELATION_ID}":"JRN_1704067200_00001""#)), "{json}");
    assert_eq!(events[0].partition_key, Some(Text::from("store_7")));
    assert_eq!(run(rule, &key, &[impression(0), receipt(7, 5, 0)]).len(), 0, "a second too late");
    let own = run(rule, &key, &[impression(0), receipt(1, 5, 150)]);
    assert!(own[0].to_json().contains(r#""discount_cents":150"#));
}
