//! The event factory as its users see it: any type on demand, valid, plausible, reproducible.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use engine::event::{Event, Timestamp};
use engine::retail::{
    EventFactory, EventType, EventWeights, FieldType, Volume, description_of, enumerations,
    fill_envelope, schema,
};
use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::Value;

fn noon() -> Timestamp {
    "2024-11-29T12:00:00Z".parse().unwrap()
}

fn factory(seed: u64) -> EventFactory {
    EventFactory::builder().seed(seed).build()
}

/// All types, as often as one another.
fn all_types() -> EventWeights {
    EventWeights::new(EventType::ALL.map(|event_type| (event_type, 1.0))).unwrap()
}

/// A long stream: a hundred events a second.
fn stream(mut factory: EventFactory, weights: &EventWeights, seconds: u64) -> Vec<Event> {
    let mut events = Vec::new();
    for second in 0..seconds {
        let now = noon() + Duration::from_secs(second);
        factory.append_mixed_events(&mut events, 100, now, weights);
    }
    events
}

fn json(event: &Event) -> Value {
    serde_json::from_str(&event.to_json()).unwrap()
}

/// What is of that type, as payloads.
fn payloads(events: &[Event], event_type: EventType) -> Vec<Value> {
    let of_type = events.iter().filter(|event| event.event_type == event_type.key());
    of_type.map(|event| json(event)["payload"].clone()).collect()
}

/// One validator per type.
struct Contract(HashMap<&'static str, Validator>);

impl Contract {
    fn new() -> Self {
        let validator = |event_type: EventType| {
            let schema = jsonschema::validator_for(&schema(event_type)).unwrap();
            (event_type.key().as_str(), schema)
        };
        Self(EventType::ALL.into_iter().map(validator).collect())
    }

    /// Everything that is wrong with an event.
    fn problems(&self, event: &Event) -> Vec<String> {
        let value = json(event);
        let schema = &self.0[event.event_type.as_str()];
        let mut problems: Vec<String> = schema
            .iter_errors(&value)
            .map(|error| format!("{}: {error} in {value}", error.instance_path()))
            .collect();
        let description = description_of(EventType::from_key(event.event_type).unwrap());
        let order: Vec<&str> = description.fields.iter().map(|field| field.key.as_str()).collect();
        let fields: Vec<&String> = value["payload"].as_object().unwrap().keys().collect();
        if fields != order {
            problems.push(format!("{fields:?} are not the fields {order:?}"));
        }
        for field in description.fields {
            let value = &value["payload"][field.key.as_str()];
            match field.field_type {
                FieldType::Number { decimals } => {
                    let scaled = value.as_f64().unwrap() * 10_f64.powi(decimals as i32);
                    if !value.is_f64() || (scaled - scaled.round()).abs() > 1e-6 {
                        problems.push(format!("{} is {value}", field.key));
                    }
                }
                FieldType::Integer { .. } | FieldType::NonZeroInteger if value.is_f64() => {
                    problems.push(format!("{} is {value}", field.key));
                }
                _ => {}
            }
        }
        problems
    }
}

#[test]
fn every_type_is_valid_on_demand() {
    let contract = Contract::new();
    for seed in 0..50 {
        for event_type in EventType::ALL {
            let event = factory(seed).generate_event(event_type, noon());
            assert_eq!(event.event_type, event_type.key());
            assert_eq!(contract.problems(&event), Vec::<String>::new());
        }
    }
}

#[test]
fn a_long_mix_of_all_types_is_valid() {
    let contract = Contract::new();
    for event in stream(factory(7), &all_types(), 200) {
        assert_eq!(contract.problems(&event), Vec::<String>::new());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_seed_and_volume_makes_valid_events(
        seed: u64,
        stores in prop_oneof![Just(1_u32), 1..2_000_u32],
        dcs in prop_oneof![Just(1_u32), 1..2_000_u32],
        customers in prop_oneof![Just(1_u32), Just(u32::MAX), 1..1_000_u32],
        products in prop_oneof![Just(1_u32), Just(u32::MAX), 1..1_000_u32],
        millis in -10_000_000_000_i64..10_000_000_000_000,
    ) {
        let contract = Contract::new();
        let volume = Volume { stores, dcs, customers, products };
        let mut factory = EventFactory::builder().volume(volume).seed(seed).build();
        let now = Timestamp::from_millis(millis);
        for event in factory.generate_mixed_events(300, now, &all_types()) {
            prop_assert_eq!(contract.problems(&event), Vec::<String>::new());
            let payload = &json(&event)["payload"];
            for (field, most) in [("store_id", stores), ("dc_id", dcs), ("customer_id", customers), ("product_id", products)] {
                prop_assert!(payload[field].as_u64().is_none_or(|id| id <= most.into()));
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_events_and_another_does_not() {
    let weights = EventWeights::default();
    assert_eq!(stream(factory(1), &weights, 20), stream(factory(1), &weights, 20));
    assert_ne!(stream(factory(1), &weights, 20), stream(factory(2), &weights, 20));
}

#[test]
fn a_copy_goes_on_as_the_original_does() {
    let weights = all_types();
    let mut original = factory(1);
    original.generate_mixed_events(2_000, noon(), &weights);
    let copy = original.clone();
    assert_eq!(stream(original, &weights, 20), stream(copy, &weights, 20));
}

#[test]
fn money_is_whole_cents_and_adds_up() {
    let events = stream(factory(3), &all_types(), 300);
    let receipts = payloads(&events, EventType::ReceiptCreated);
    let orders = payloads(&events, EventType::OnlineOrderCreated);
    assert!(receipts.len() > 1_000 && orders.len() > 1_000);
    for purchase in receipts.iter().chain(&orders) {
        let cents = |field: &str| purchase[field].as_i64().unwrap();
        assert_eq!(
            cents("gross_subtotal_cents") - cents("discount_cents"),
            cents("subtotal_cents")
        );
        assert_eq!(cents("subtotal_cents") + cents("tax_cents"), cents("total_cents"));
        for money in ["subtotal", "tax", "total"] {
            let in_cents = (purchase[money].as_f64().unwrap() * 100.0).round() as i64;
            assert_eq!(in_cents, cents(&format!("{money}_cents")));
        }
    }
}

#[test]
fn a_store_taxes_the_discounted_amount_at_one_rate() {
    let one_store = EventFactory::builder().stores(1).seed(3).build();
    let events = stream(one_store, &all_types(), 20);
    let amounts: Vec<(i64, i64)> = payloads(&events, EventType::ReceiptCreated)
        .iter()
        .map(|receipt| {
            ["subtotal_cents", "tax_cents"].map(|field| receipt[field].as_i64().unwrap())
        })
        .map(|[subtotal, tax]| (subtotal, tax))
        .collect();
    let (largest, its_tax) = *amounts.iter().max().unwrap();
    assert!(its_tax > 0);
    for (subtotal, tax) in amounts {
        // Both are rounded by half a cent at most.
        assert!((tax * largest - its_tax * subtotal).abs() * 2 <= subtotal + largest);
    }
}

#[test]
fn the_lines_of_a_receipt_add_up_to_it() {
    let weights = EventWeights::new([
        (EventType::ReceiptCreated, 1.0),
        (EventType::ReceiptLineAdded, 30.0),
        (EventType::PromotionApplied, 1.0),
    ])
    .unwrap();
    let events = stream(factory(3), &weights, 100);
    let cents = |value: &Value| (value.as_f64().unwrap() * 100.0).round() as i64;
    let mut lines: HashMap<String, Vec<Value>> = HashMap::new();
    for line in payloads(&events, EventType::ReceiptLineAdded) {
        lines.entry(line["receipt_id"].to_string()).or_default().push(line);
    }
    let promotions: HashMap<String, Value> = payloads(&events, EventType::PromotionApplied)
        .into_iter()
        .map(|promotion| (promotion["receipt_id"].to_string(), promotion))
        .collect();
    let mut complete = 0;
    for receipt in payloads(&events, EventType::ReceiptCreated) {
        let id = receipt["receipt_id"].to_string();
        let Some(lines) = lines.get(&id) else { continue };
        let numbers: Vec<u64> =
            lines.iter().map(|line| line["line_number"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (1..=lines.len() as u64).collect::<Vec<_>>());
        if receipt["item_count"] != lines.len() {
            continue;
        }
        complete += 1;
        let extended: i64 = lines.iter().map(|line| cents(&line["extended_price"])).sum();
        assert_eq!(extended, receipt["subtotal_cents"].as_i64().unwrap());
        let gross: i64 = lines
            .iter()
            .map(|line| cents(&line["unit_price"]) * line["quantity"].as_i64().unwrap())
            .sum();
        assert_eq!(gross, receipt["gross_subtotal_cents"].as_i64().unwrap());
        if let Some(promotion) = promotions.get(&id) {
            assert_eq!(promotion["discount_cents"], receipt["discount_cents"]);
            assert_eq!(promotion["customer_id"], receipt["customer_id"]);
            let discounted: HashSet<String> = lines
                .iter()
                .filter(|line| line["promo_code"] == promotion["promo_code"])
                .map(|line| line["product_id"].to_string())
                .collect();
            assert_eq!(promotion["product_count"], discounted.len());
        }
    }
    assert!(complete > 100, "{complete}");
}

#[test]
fn payments_are_of_known_receipts_and_approved_once() {
    let weights =
        EventWeights::new([(EventType::ReceiptCreated, 1.0), (EventType::PaymentProcessed, 1.0)])
            .unwrap();
    let events = stream(factory(3), &weights, 500);
    let receipts: HashMap<String, Value> = payloads(&events, EventType::ReceiptCreated)
        .into_iter()
        .map(|receipt| (receipt["receipt_id"].to_string(), receipt))
        .collect();
    let payments = payloads(&events, EventType::PaymentProcessed);
    let mut approved = HashSet::new();
    let mut known = 0;
    for payment in &payments {
        let id = payment["receipt_id"].to_string();
        assert!(!approved.contains(&id), "nothing follows an approval");
        if payment["status"] == "APPROVED" {
            approved.insert(id.clone());
        }
        assert_eq!(payment["status"] == "DECLINED", payment["decline_reason"].is_string());
        if let Some(receipt) = receipts.get(&id) {
            known += 1;
            assert_eq!(payment["amount_cents"], receipt["total_cents"]);
            assert_eq!(payment["payment_method"], receipt["tender_type"]);
            assert_eq!(payment["store_id"], receipt["store_id"]);
        }
    }
    assert!(known * 10 > payments.len() * 9, "{known} of {}", payments.len());
    let cards = payments.iter().filter(|payment| {
        ["CREDIT_CARD", "DEBIT_CARD"].contains(&payment["payment_method"].as_str().unwrap())
    });
    let declined = payments.iter().filter(|payment| payment["status"] == "DECLINED").count();
    let declined = declined as f64 / cards.count() as f64;
    assert!((0.02..0.03).contains(&declined), "{declined}");
}

#[test]
fn tenders_are_within_their_bands() {
    let mut factory = factory(3);
    let total = 20_000;
    let mut counts: HashMap<String, f64> = HashMap::new();
    for _ in 0..total {
        let receipt = json(&factory.generate_event(EventType::ReceiptCreated, noon()));
        *counts
            .entry(receipt["payload"]["tender_type"].as_str().unwrap().to_owned())
            .or_default() += 100.0 / f64::from(total);
    }
    for (tender, band) in [
        ("CREDIT_CARD", 33.0..42.0),
        ("DEBIT_CARD", 30.0..36.0),
        ("CASH", 12.0..22.0),
        ("MOBILE_PAY", 4.0..12.0),
        ("CHECK", 1.0..3.0),
    ] {
        assert!(band.contains(&counts[tender]), "{tender}: {}", counts[tender]);
    }
}

#[test]
fn prices_are_fixed_and_a_few_products_make_most_of_the_sales() {
    let mut factory = factory(3);
    let mut prices: HashMap<u64, String> = HashMap::new();
    let mut units: HashMap<u64, u64> = HashMap::new();
    for _ in 0..50_000 {
        let line = json(&factory.generate_event(EventType::ReceiptLineAdded, noon()));
        let (line, product) = (&line["payload"], line["payload"]["product_id"].as_u64().unwrap());
        let price = line["unit_price"].to_string();
        assert_eq!(*prices.entry(product).or_insert(price.clone()), price);
        *units.entry(product).or_default() += line["quantity"].as_u64().unwrap();
    }
    let mut units: Vec<u64> = units.into_values().collect();
    units.sort_unstable_by(|one, two| two.cmp(one));
    let upper: u64 = units.iter().take(2_000).sum();
    let share = upper as f64 / units.iter().sum::<u64>() as f64;
    assert!((0.65..0.88).contains(&share), "{share}");
}

#[test]
fn stock_is_a_ledger_that_never_falls_below_nothing() {
    let weights = EventWeights::new([
        (EventType::InventoryUpdated, 10.0),
        (EventType::StockoutDetected, 1.0),
        (EventType::ReorderTriggered, 1.0),
    ])
    .unwrap();
    let small = EventFactory::builder().stores(2).dcs(1).products(20).seed(5).build();
    let events = stream(small, &weights, 200);
    let mut balances: HashMap<String, i64> = HashMap::new();
    let mut caused = 0;
    for event in &events {
        let value = json(event);
        let fact = &value["payload"];
        let shelf = format!("{} {}", value["partition_key"], fact["product_id"]);
        if let Some(delta) = fact["quantity_delta"].as_i64() {
            let after = fact["quantity_on_hand"].as_i64().unwrap();
            if let Some(before) = balances.insert(shelf, after) {
                assert_eq!(before + delta, after, "{value}");
            }
            let outwards = ["SALE", "DAMAGED", "LOST", "OUTBOUND_SHIPMENT", "DISRUPTION"];
            let reason = fact["reason"].as_str().unwrap();
            assert!(reason == "ADJUSTMENT" || outwards.contains(&reason) == (delta < 0), "{value}");
            assert_eq!(reason == "SALE", fact["source"] == "POS");
        } else {
            caused += usize::from(value["parent_event_id"].is_string());
            let known = balances.remove(&shelf);
            if let (true, Some(known)) = (value["parent_event_id"].is_string(), known) {
                let told = fact.get("current_quantity").unwrap_or(&fact["last_known_quantity"]);
                assert_eq!(*told, known, "{value}");
            }
            if event.event_type == EventType::ReorderTriggered.key() {
                let number = |field: &str| fact[field].as_i64().unwrap();
                assert!(number("current_quantity") <= number("reorder_point"));
            }
        }
    }
    assert!(caused > 100, "{caused}");
}

#[test]
fn a_visit_is_of_one_shopper_and_ends_at_the_exit() {
    let weights = EventWeights::new([
        (EventType::CustomerEntered, 4.0),
        (EventType::CustomerZoneChanged, 5.0),
        (EventType::BlePingDetected, 10.0),
    ])
    .unwrap();
    let mut visits: HashMap<String, (Value, Value, Value)> = HashMap::new();
    let mut entries = HashSet::new();
    let mut of_entries = 0;
    for event in stream(factory(5), &weights, 300) {
        let value = json(&event);
        let (fact, session) = (&value["payload"], value["session_id"].to_string());
        if event.event_type == EventType::CustomerEntered.key() {
            entries.insert(session);
            continue;
        }
        assert_eq!(value["correlation_id"], value["session_id"]);
        of_entries += usize::from(entries.contains(&session));
        let (ble, store) = (fact["customer_ble_id"].clone(), fact["store_id"].clone());
        let zone = fact.get("from_zone").unwrap_or(&fact["zone"]).clone();
        let last = visits.entry(session).or_insert((ble.clone(), store.clone(), "ENTRANCE".into()));
        assert_eq!(*last, (ble, store, zone), "{value}");
        if let Some(to) = fact.get("to_zone") {
            last.2 = to.clone();
            assert_ne!(fact["from_zone"], *to);
        }
        assert_ne!(fact["from_zone"], "EXIT");
    }
    assert!(of_entries > 15_000, "{of_entries}");
}

#[test]
fn a_truck_departs_after_it_arrived() {
    let weights =
        EventWeights::new([(EventType::TruckArrived, 1.0), (EventType::TruckDeparted, 1.0)])
            .unwrap();
    let mut arrived: HashMap<String, Value> = HashMap::new();
    let mut matched = 0;
    for event in stream(factory(5), &weights, 100) {
        let value = json(&event);
        let fact = &value["payload"];
        let shipment = fact["shipment_id"].to_string();
        assert_eq!(value["session_id"], fact["shipment_id"]);
        if event.event_type == EventType::TruckArrived.key() {
            assert_eq!(arrived.insert(shipment, value.clone()), None);
        } else if let Some(arrival) = arrived.get(&shipment) {
            matched += 1;
            assert_eq!(value["parent_event_id"], arrival["trace_id"]);
            for field in ["truck_id", "dc_id", "store_id"] {
                assert_eq!(fact[field], arrival["payload"][field]);
            }
        }
    }
    assert!(matched > 3_000, "{matched}");
}

#[test]
fn what_an_event_refers_to_came_before_it() {
    let mut seen = HashSet::new();
    let mut journeys = HashSet::new();
    for event in stream(factory(9), &all_types(), 300) {
        if let Some(parent) = &event.parent_event_id {
            assert!(seen.contains(&parent.to_string()), "{}", event.to_json());
        }
        assert!(seen.insert(event.trace_id.to_string()), "trace ids are unique");
        let journey = event.correlation_id.as_ref().map(ToString::to_string);
        if let Some(journey) = journey.filter(|journey| journey.starts_with("JRN_")) {
            let first = journeys.insert(journey);
            assert_eq!(first, event.event_type == EventType::AdImpression.key());
        }
    }
    assert!(journeys.len() > 20);
}

#[test]
fn the_envelope_follows_the_rules_of_its_type() {
    for event in stream(factory(9), &all_types(), 50) {
        let mut bare = event.clone();
        if event.event_type != EventType::ReceiptLineAdded.key() {
            bare.partition_key = None;
        }
        fill_envelope(&mut bare);
        assert_eq!(bare, event);
        assert!(event.partition_key.is_some());
    }
}

#[test]
fn openings_and_closings_of_a_store_alternate() {
    let weights =
        EventWeights::new([(EventType::StoreOpened, 1.0), (EventType::StoreClosed, 1.0)]).unwrap();
    let mut last: HashMap<String, String> = HashMap::new();
    for event in stream(factory(9), &weights, 3) {
        let value = json(&event)["payload"].clone();
        let operation = value["operation_type"].to_string();
        let before = last.insert(value["store_id"].to_string(), operation.clone());
        assert_ne!(before, Some(operation));
    }
}

#[test]
fn nights_make_fewer_events() {
    let mut factory = factory(9);
    let mut share = |hour: &str| {
        let time = format!("2024-11-29T{hour}:00:00Z").parse().unwrap();
        let event_type = EventType::ReceiptCreated;
        (0..10_000).filter(|_| factory.should_generate_event(event_type, time)).count()
    };
    assert_eq!(share("12"), 10_000);
    assert!((5_800..6_200).contains(&share("08")));
    assert!((900..1_100).contains(&share("03")));
}

/// All data is synthetic: every text of an event is an id, an instant, a code or of a closed list.
#[test]
fn no_text_says_anything_of_a_person() {
    let closed: HashSet<&str> = [
        enumerations::TENDERS,
        enumerations::REASONS,
        enumerations::CHANNELS,
        enumerations::DEVICES,
        enumerations::ZONES,
        enumerations::STATUSES,
        enumerations::DECLINE_REASONS,
        enumerations::DISCOUNT_TYPES,
        enumerations::PRIORITIES,
        enumerations::FULFILLMENT_MODES,
        enumerations::NODE_TYPES,
        enumerations::INCIDENT_TYPES,
        &["opened", "closed", "POS", "CYCLE_COUNT"],
    ]
    .concat()
    .into_iter()
    .collect();
    let coded = |text: &str| {
        text.bytes().any(|byte| byte.is_ascii_digit())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-:.".contains(&byte))
            || text.bytes().all(|byte| byte.is_ascii_uppercase())
    };
    for event in stream(factory(9), &all_types(), 100) {
        for (key, value) in json(&event)["payload"].as_object().unwrap() {
            let Some(text) = value.as_str() else { continue };
            assert!(closed.contains(text) || coded(text), "`{key}` is `{text}`");
        }
    }
}
