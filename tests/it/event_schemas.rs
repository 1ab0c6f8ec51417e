//! The committed schemas of the event types are those that the table of types describes.

use std::path::Path;

use engine::event::Key;
use engine::retail::{EventFactory, EventType, Rule, description_of, schema};
use serde_json::json;

#[test]
fn schemas_of_the_events_are_fresh() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/events");
    for event_type in EventType::ALL {
        let path = folder.join(format!("{event_type}.json"));
        let fresh = serde_json::to_string_pretty(&schema(event_type)).unwrap() + "\n";
        if std::env::var_os("ENGINE_UPDATE").is_some_and(|update| update == "1") {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &fresh).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == fresh,
            "schemas/events/{event_type}.json has drifted; run the tests with `ENGINE_UPDATE=1`"
        );
    }
}

#[test]
fn every_schema_file_is_of_an_event_type() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/events");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let known =
            name.strip_suffix(".json").is_some_and(|name| name.parse::<EventType>().is_ok());
        assert!(known, "`{name}` is no schema of an event type");
    }
}

#[test]
fn every_schema_is_a_valid_schema() {
    for event_type in EventType::ALL {
        assert!(jsonschema::meta::is_valid(&schema(event_type)), "{event_type}");
    }
}

/// An event of the type with one change, checked against its schema.
fn is_valid(event_type: EventType, change: impl FnOnce(&mut serde_json::Value)) -> bool {
    let now = "2024-11-29T12:00:00Z".parse().unwrap();
    let event = EventFactory::builder().build().generate_event(event_type, now);
    let mut event = serde_json::from_str(&event.to_json()).unwrap();
    change(&mut event);
    jsonschema::is_valid(&schema(event_type), &event)
}

#[test]
fn more_payload_fields_are_fine_and_more_envelope_keys_are_not() {
    let receipt = EventType::ReceiptCreated;
    assert!(is_valid(receipt, |_| {}));
    assert!(is_valid(receipt, |event| event["payload"]["high_value"] = json!(true)));
    assert!(!is_valid(receipt, |event| event["severity"] = json!("high")));
}

#[test]
fn every_key_of_the_envelope_and_every_field_is_required() {
    for event_type in EventType::ALL {
        let mut keys = Vec::new();
        is_valid(event_type, |event| {
            keys.extend(event.as_object().unwrap().keys().cloned());
        });
        assert_eq!(keys.len(), 10);
        for key in keys {
            assert!(!is_valid(event_type, |event| {
                event.as_object_mut().unwrap().remove(&key);
            }));
        }
        for field in description_of(event_type).fields {
            assert!(!is_valid(event_type, |event| {
                event["payload"].as_object_mut().unwrap().remove(field.key.as_str());
            }));
        }
    }
}

#[test]
fn only_nullable_fields_may_be_null() {
    for event_type in EventType::ALL {
        let description = description_of(event_type);
        for field in description.fields {
            let nulled = is_valid(event_type, |event| {
                event["payload"][field.key.as_str()] = json!(null);
            });
            let of_rule = |one: Key, two: Key| field.key == one || field.key == two;
            match description.rule {
                // Which of the two may be null depends on the other.
                Some(Rule::ExactlyOne(one, two) | Rule::AtLeastOne(one, two))
                    if of_rule(one, two) => {}
                _ => assert_eq!(nulled, field.nullable, "{event_type} {}", field.key),
            }
        }
    }
}

#[test]
fn a_wrong_value_is_refused() {
    let refused = |event_type, field: &str, value: serde_json::Value| {
        let accepted = is_valid(event_type, |event| event["payload"][field] = value.clone());
        assert!(!accepted, "{event_type}: `{field}` may not be {value}");
    };
    refused(EventType::ReceiptCreated, "store_id", json!(0));
    refused(EventType::ReceiptCreated, "store_id", json!("12"));
    refused(EventType::ReceiptCreated, "total", json!("12.50"));
    refused(EventType::ReceiptCreated, "total_cents", json!(12.5));
    refused(EventType::ReceiptCreated, "tender_type", json!("credit_card"));
    refused(EventType::ReceiptCreated, "receipt_id", json!("RCP_1_1"));
    refused(EventType::InventoryUpdated, "quantity_delta", json!(0));
    refused(EventType::InventoryUpdated, "quantity_on_hand", json!(-1));
    refused(EventType::BlePingDetected, "rssi", json!(1));
    refused(EventType::BlePingDetected, "customer_ble_id", json!("BLEabc123"));
    refused(EventType::PaymentProcessed, "processing_time_ms", json!(2_147_483_648_u64));
    refused(EventType::PaymentProcessed, "processing_time", json!("2024-11-29T12:00:00Z"));
    refused(EventType::PaymentProcessed, "order_id", json!("ONL_1732881600_00001"));
    refused(EventType::PromotionApplied, "product_ids", json!([]));
    refused(EventType::StoreOpened, "operation_type", json!("closed"));
}

#[test]
fn stock_is_at_a_store_or_at_a_centre() {
    let at = |store, dc| {
        is_valid(EventType::StockoutDetected, |event| {
            event["payload"]["store_id"] = store;
            event["payload"]["dc_id"] = dc;
        })
    };
    assert!(at(json!(1), json!(null)) && at(json!(null), json!(1)));
    assert!(!at(json!(1), json!(1)) && !at(json!(null), json!(null)));
}

#[test]
fn a_truck_is_at_a_centre_or_a_store_or_on_its_way_between() {
    let at = |store, dc| {
        is_valid(EventType::TruckArrived, |event| {
            event["payload"]["store_id"] = store;
            event["payload"]["dc_id"] = dc;
        })
    };
    assert!(at(json!(1), json!(1)) && at(json!(null), json!(1)));
    assert!(!at(json!(null), json!(null)));
}
