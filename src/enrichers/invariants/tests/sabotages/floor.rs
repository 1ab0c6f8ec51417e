//! Sabotages of the envelope, of opening hours and of visits.

use std::collections::HashMap;

use super::super::super::Rule;
use super::super::chain::{has, int, millis, money, of, paid};
use super::{HOUR, SECOND, Sabotage, at_store, breaks, is_of_one_receipt, to_exit};
use crate::event::{
    AMOUNT, CUSTOMER_BLE_ID, CUSTOMER_ID, DC_ID, DWELL_TIME, Event, FROM_ZONE, PRODUCT_ID,
    RECEIPT_ID, STATUS, STORE_ID, Text, Timestamp, Value,
};
use crate::retail::EventType as T;

pub(super) const SABOTAGES: &[Sabotage] = &[
    // the envelope
    breaks(Rule::UniqueTraceId, "pings have the id of the event before", |chain| {
        let mut before = Text::default();
        chain.each(
            |_| true,
            |event| {
                if of(T::BlePingDetected)(event) {
                    event.trace_id = before.clone();
                }
                before = event.trace_id.clone();
            },
        );
    }),
    breaks(Rule::UniqueTraceId, "ads are numbered from 1 in each hour", |chain| {
        let (mut hour, mut number) = (0, 0);
        chain.each(of(T::AdImpression), |event| {
            let now = millis(event) / HOUR;
            number = if now == hour { number + 1 } else { 1 };
            hour = now;
            event.trace_id = Text::from(format!("TR_{number:05}"));
        });
    }),
    breaks(Rule::KnownReference, "parents are named before they are told", |chain| {
        let mut next = None;
        chain.events.reverse();
        chain.each(of(T::ReceiptLineAdded), |event| {
            event.parent_event_id = next.replace(event.trace_id.clone());
        });
        chain.events.reverse();
    }),
    breaks(Rule::KnownReference, "every second receipt is not told", |chain| {
        chain.lose_every_second(of(T::ReceiptCreated));
    }),
    breaks(Rule::KnownReference, "every second order is not told", |chain| {
        chain.lose_every_second(of(T::OnlineOrderCreated));
    }),
    breaks(Rule::KnownReference, "trucks name reorders of yesterday's numbering", |chain| {
        chain.each(of(T::TruckArrived), |event| {
            event.parent_event_id = Some(Text::from("TR_1732000000_00001"));
        });
    }),
    breaks(Rule::KnownReference, "lines come before their receipt", |chain| {
        chain.put_behind(of(T::ReceiptCreated), |receipt, event| {
            of(T::ReceiptLineAdded)(event) && is_of_one_receipt(receipt, event)
        });
    }),
    breaks(Rule::IdGivenOnce, "receipts are told twice", |chain| {
        chain.repeat(of(T::ReceiptCreated), |_| {});
    }),
    breaks(Rule::IdGivenOnce, "orders are told twice", |chain| {
        chain.repeat(of(T::OnlineOrderCreated), |_| {});
    }),
    breaks(Rule::PartitionKeyNamesPlace, "trucks at stores have the key of their DC", |chain| {
        chain.each(at_store(T::TruckArrived), |event| {
            event.partition_key = Some(Text::from(format!("dc_{}", int(event, DC_ID))));
        });
    }),
    breaks(Rule::PartitionKeyNamesPlace, "lines have no key", |chain| {
        chain.each(of(T::ReceiptLineAdded), |event| event.partition_key = None);
    }),
    breaks(Rule::PartitionKeyNamesPlace, "all ads are one channel's", |chain| {
        let key = Some(Text::from("marketing_EMAIL"));
        chain.each(of(T::AdImpression), |event| event.partition_key = key.clone());
    }),
    breaks(Rule::CorrelationIdFollowsType, "all stores open under the first one's id", |chain| {
        let first = Some(Text::from("store_ops_1"));
        chain.each(of(T::StoreOpened), |event| event.correlation_id = first.clone());
    }),
    breaks(Rule::CorrelationIdFollowsType, "pings are of no visit", |chain| {
        chain.each(of(T::BlePingDetected), |event| event.correlation_id = None);
    }),
    breaks(Rule::CorrelationIdFollowsType, "reorders name the product first", |chain| {
        chain.each(at_store(T::ReorderTriggered), |event| {
            let (store, product) = (int(event, STORE_ID), int(event, PRODUCT_ID));
            event.correlation_id = Some(Text::from(format!("reorder_{product}x_{store}")));
        });
    }),
    breaks(Rule::SessionIdFollowsType, "payments are of no session", |chain| {
        chain.each(of(T::PaymentProcessed), |event| event.session_id = None);
    }),
    breaks(Rule::SessionIdFollowsType, "lines are of the receipt for a session", |chain| {
        chain.each(of(T::ReceiptLineAdded), |event| {
            event.session_id = event.payload.get(RECEIPT_ID).and_then(Value::as_text).cloned();
        });
    }),
    breaks(Rule::FieldsReadable, "amounts are written as text", |chain| {
        chain.set(of(T::PaymentProcessed), AMOUNT, |event| {
            Text::from(money(event, AMOUNT).to_string())
        });
    }),
    breaks(Rule::FieldsReadable, "statuses are in lower case", |chain| {
        chain.set(paid("APPROVED"), STATUS, |_| "approved");
    }),
    // stores
    breaks(Rule::TimeNeverGoesBackInStore, "sensors are some seconds slow", |chain| {
        chain.each(of(T::BlePingDetected), |event| {
            event.time = Timestamp::from_millis(millis(event) - 30 * SECOND);
        });
    }),
    breaks(Rule::OpeningAlternates, "every second opening is not told", |chain| {
        chain.lose_every_second(of(T::StoreOpened));
    }),
    breaks(Rule::OpeningAlternates, "every second closing is not told", |chain| {
        chain.lose_every_second(of(T::StoreClosed));
    }),
    breaks(Rule::WithinOpeningHours, "stores close two hours early", |chain| {
        chain.delay(of(T::StoreClosed), -2 * HOUR);
    }),
    breaks(Rule::WithinOpeningHours, "stores open two hours late", |chain| {
        chain.delay(of(T::StoreOpened), 2 * HOUR);
    }),
    breaks(Rule::NobodyInsideAtClosing, "some shoppers never leave", |chain| {
        chain.lose_every_second(to_exit);
    }),
    breaks(Rule::DwellEndsByClosing, "stays are in milliseconds", |chain| {
        chain.set(of(T::CustomerEntered), DWELL_TIME, |event| 1000 * int(event, DWELL_TIME));
    }),
    // visits
    breaks(Rule::VisitBeginsWithEntry, "every second entry is not told", |chain| {
        chain.lose_every_second(of(T::CustomerEntered));
    }),
    breaks(Rule::VisitBeginsWithEntry, "entries are told twice", |chain| {
        chain.repeat(of(T::CustomerEntered), |_| {});
    }),
    breaks(Rule::VisitIsOneShopper, "beacons name who was heard before", |chain| {
        let mut before = Value::from("BLEAAAAAA");
        chain.each(of(T::BlePingDetected), |event| {
            let device = event.payload.get_mut(CUSTOMER_BLE_ID).unwrap();
            std::mem::swap(device, &mut before);
        });
    }),
    breaks(Rule::VisitEndsWithExit, "shoppers are heard after they left", |chain| {
        let mut pings = HashMap::new();
        for event in chain.events.iter().filter(|event| of(T::BlePingDetected)(event)) {
            pings.insert(event.session_id.clone(), event.clone());
        }
        chain.repeat(to_exit, |event| {
            let Some(ping) = pings.get(&event.session_id) else { return };
            let (trace_id, time) = (event.trace_id.clone(), event.time);
            *event = Event { trace_id, time, ..ping.clone() };
        });
    }),
    breaks(Rule::VisitEndsWithExit, "shoppers pay after they left", |chain| {
        let mut exits = HashMap::new();
        for event in chain.events.iter().filter(|event| to_exit(event)) {
            exits.insert(event.session_id.clone(), millis(event));
        }
        chain.retime(|event| {
            let exit = exits.get(&event.session_id).filter(|_| of(T::ReceiptCreated)(event));
            exit.map_or(millis(event), |exit| exit + SECOND)
        });
    }),
    breaks(Rule::ZoneChain, "all zones are left for from the entrance", |chain| {
        chain.set(of(T::CustomerZoneChanged), FROM_ZONE, |_| "ENTRANCE");
    }),
    breaks(Rule::ZoneChain, "every second change of zone is not told", |chain| {
        chain.lose_every_second(of(T::CustomerZoneChanged));
    }),
    breaks(Rule::OneStoreAtATime, "there are three devices for all visits", |chain| {
        let is_seen = |event: &Event| has(event, CUSTOMER_BLE_ID);
        chain.set(is_seen, CUSTOMER_BLE_ID, |event| {
            let session = event.session_id.as_ref().unwrap().to_string();
            let number = session.bytes().map(usize::from).sum::<usize>() % 3;
            Text::from(format!("BLE{number:06}"))
        });
    }),
    breaks(Rule::OneStoreAtATime, "all purchases are one customer's", |chain| {
        chain.set(
            |event| has(event, RECEIPT_ID) && has(event, CUSTOMER_ID),
            CUSTOMER_ID,
            |_| 1_i64,
        );
    }),
];
