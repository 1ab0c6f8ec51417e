//! Sabotages of stock and of trucks.

use std::collections::{HashMap, HashSet};

use super::super::super::Rule;
use super::super::chain::{has, int, millis, moved, of, reads};
use super::{HOUR, MINUTE, Sabotage, at_store, breaks};
use crate::event::{
    ACTUAL_UNLOAD_DURATION, ARRIVAL_TIME, CURRENT_QUANTITY, DC_ID, DEPARTURE_TIME, Event,
    LAST_KNOWN_QUANTITY, QUANTITY_DELTA, QUANTITY_ON_HAND, REASON, REORDER_POINT, SOURCE, STORE_ID,
    TRUCK_ID, Text, Timestamp, Value,
};
use crate::retail::EventType as T;

pub(super) const SABOTAGES: &[Sabotage] = &[
    // stock
    breaks(Rule::OpeningBalanceFirst, "opening balances are not told", |chain| {
        chain.lose(|event| reads(event, SOURCE, "OPENING_BALANCE"));
    }),
    breaks(Rule::OpeningBalanceFirst, "all counts are opening balances", |chain| {
        chain.set(moved("ADJUSTMENT"), SOURCE, |_| "OPENING_BALANCE");
        chain.set(moved("RETURN"), SOURCE, |_| "OPENING_BALANCE");
        chain.each(moved("RETURN"), |event| event.payload.set(REASON, "ADJUSTMENT"));
    }),
    breaks(Rule::BalanceIsRunningSum, "the quantity on hand is the one before", |chain| {
        chain.set(of(T::InventoryUpdated), QUANTITY_ON_HAND, |event| {
            int(event, QUANTITY_ON_HAND) - int(event, QUANTITY_DELTA)
        });
    }),
    breaks(Rule::BalanceIsRunningSum, "damage is not told", |chain| {
        chain.lose(moved("DAMAGED"));
    }),
    breaks(Rule::StockNeverNegative, "all stock is five pieces less than there is", |chain| {
        chain.each(of(T::InventoryUpdated), |event| {
            let on_hand = int(event, QUANTITY_ON_HAND) - 5;
            event.payload.set(QUANTITY_ON_HAND, on_hand);
            if reads(event, SOURCE, "OPENING_BALANCE") {
                event.payload.set(QUANTITY_DELTA, on_hand);
            }
        });
    }),
    breaks(Rule::ReasonHasItsSign, "sales are positive", |chain| {
        chain.set(moved("SALE"), QUANTITY_DELTA, |event| -int(event, QUANTITY_DELTA));
    }),
    breaks(Rule::ReasonHasItsSign, "nothing comes back", |chain| {
        chain.set(moved("RETURN"), QUANTITY_DELTA, |_| 0_i64);
    }),
    breaks(Rule::EveryLineHasItsSale, "every second sale is not booked", |chain| {
        chain.lose_every_second(|event| reads(event, SOURCE, "POS"));
    }),
    breaks(Rule::EveryLineHasItsSale, "every second line of orders is not booked", |chain| {
        chain.lose_every_second(|event| reads(event, SOURCE, "ONLINE"));
    }),
    breaks(Rule::EveryLineHasItsSale, "sales are booked twice", |chain| {
        chain.repeat(moved("SALE"), |_| {});
    }),
    breaks(Rule::SaleIsOfItsLine, "sales name the receipt for their parent", |chain| {
        let receipts = chain.events.iter().filter(|event| of(T::ReceiptCreated)(event));
        let receipts: HashMap<_, _> =
            receipts.map(|event| (event.session_id.clone(), event.trace_id.clone())).collect();
        chain.each(moved("SALE"), |event| {
            let receipt = receipts.get(&event.session_id);
            event.parent_event_id = receipt.cloned().or(event.parent_event_id.take());
        });
    }),
    breaks(Rule::SaleIsOfItsLine, "one piece is booked, however many are sold", |chain| {
        chain.set(moved("SALE"), QUANTITY_DELTA, |_| -1_i64);
    }),
    breaks(Rule::SaleIsOfItsLine, "sales come from nowhere", |chain| {
        chain.set(moved("SALE"), SOURCE, |_| Value::Null);
    }),
    breaks(Rule::SaleIsOfItsLine, "orders are booked at another centre than theirs", |chain| {
        let is_sold = |event: &Event| reads(event, SOURCE, "ONLINE") && has(event, DC_ID);
        chain.set(is_sold, DC_ID, |event| int(event, DC_ID) + 1);
    }),
    breaks(Rule::StockoutAtZero, "stockouts are told of the last piece", |chain| {
        chain.set(of(T::StockoutDetected), LAST_KNOWN_QUANTITY, |_| 1_i64);
    }),
    breaks(Rule::StockoutOncePerFall, "every second stockout is not told", |chain| {
        chain.lose_every_second(of(T::StockoutDetected));
    }),
    breaks(Rule::StockoutOncePerFall, "stockouts are told twice", |chain| {
        chain.repeat(of(T::StockoutDetected), |_| {});
    }),
    breaks(Rule::ReorderAtOrBelowPoint, "reorders tell a ninth of the point", |chain| {
        chain.set(of(T::ReorderTriggered), REORDER_POINT, |event| int(event, REORDER_POINT) / 9);
    }),
    breaks(
        Rule::ReorderOnceUntilStock,
        "reorders are told again while they are pending",
        |chain| {
            chain.repeat(of(T::ReorderTriggered), |_| {});
        },
    ),
    breaks(Rule::AlertQuantityIsBalance, "reorders tell of what is to come, too", |chain| {
        chain.set(of(T::ReorderTriggered), CURRENT_QUANTITY, |event| {
            int(event, CURRENT_QUANTITY) + 1
        });
    }),
    breaks(Rule::AlertNamesItsMovement, "alerts have no parent", |chain| {
        chain.each(of(T::StockoutDetected), |event| event.parent_event_id = None);
    }),
    breaks(Rule::AlertNamesItsMovement, "reorders name the line that was sold", |chain| {
        let sales = chain.events.iter().filter(|event| moved("SALE")(event));
        let lines: HashMap<_, _> = sales
            .filter_map(|event| Some((event.trace_id.clone(), event.parent_event_id.clone()?)))
            .collect();
        chain.each(of(T::ReorderTriggered), |event| {
            let line = event.parent_event_id.as_ref().and_then(|sale| lines.get(sale));
            event.parent_event_id = line.cloned().or(event.parent_event_id.take());
        });
    }),
    // trucks
    breaks(Rule::ReorderLeadsToTruck, "no truck ever sets out", |chain| {
        let arrivals = chain.events.iter().filter(|event| of(T::TruckArrived)(event));
        let lost: HashSet<_> = arrivals.map(|event| event.session_id.clone()).collect();
        chain.lose(|event| event.session_id.is_some() && lost.contains(&event.session_id));
    }),
    breaks(Rule::TruckNamesItsPlaces, "trucks at stores name no DC", |chain| {
        chain.set(at_store(T::TruckArrived), DC_ID, |_| Value::Null);
    }),
    breaks(Rule::TruckNamesItsPlaces, "trucks depart from another store", |chain| {
        chain.each(at_store(T::TruckDeparted), |event| {
            let store = int(event, STORE_ID) + 1;
            event.payload.set(STORE_ID, store);
            event.partition_key = Some(Text::from(format!("store_{store}")));
        });
    }),
    breaks(Rule::TruckArrivesThenDeparts, "every second departure is not told", |chain| {
        chain.lose_every_second(of(T::TruckDeparted));
    }),
    breaks(Rule::TruckArrivesThenDeparts, "every second arrival is not told", |chain| {
        chain.lose_every_second(of(T::TruckArrived));
    }),
    breaks(Rule::TruckArrivesThenDeparts, "trucks arrive twice", |chain| {
        chain.repeat(of(T::TruckArrived), |_| {});
    }),
    breaks(Rule::TruckArrivesThenDeparts, "trucks are exchanged at the gate", |chain| {
        chain.set(of(T::TruckDeparted), TRUCK_ID, |_| "TRUCK_9999");
    }),
    breaks(Rule::StockComesWithTruck, "stock comes in after its truck has gone", |chain| {
        chain.put_behind(moved("INBOUND_SHIPMENT"), |stock, event| {
            of(T::TruckDeparted)(event) && stock.session_id == event.session_id
        });
    }),
    breaks(Rule::StockComesWithTruck, "stock comes in before its truck", |chain| {
        chain.delay(moved("INBOUND_SHIPMENT"), -3 * HOUR);
    }),
    breaks(Rule::StockComesWithTruck, "trucks are empty", |chain| {
        chain.lose(moved("INBOUND_SHIPMENT"));
    }),
    breaks(Rule::UnloadDuration, "trucks are unloaded in 20 minutes", |chain| {
        let mut arrivals = HashMap::new();
        for event in chain.events.iter().filter(|event| of(T::TruckArrived)(event)) {
            arrivals.insert(event.session_id.clone(), millis(event));
        }
        chain.each(of(T::TruckDeparted), |event| {
            let Some(arrival) = arrivals.get(&event.session_id) else { return };
            let departure = Timestamp::from_millis(arrival + 20 * MINUTE);
            event.payload.set(DEPARTURE_TIME, departure);
            event.payload.set(ACTUAL_UNLOAD_DURATION, 20_i64);
            event.time = departure;
        });
        chain.retime(millis);
    }),
    breaks(Rule::UnloadDuration, "all unloading is told to last 31 minutes", |chain| {
        chain.set(of(T::TruckDeparted), ACTUAL_UNLOAD_DURATION, |_| 31_i64);
    }),
    breaks(Rule::UnloadDuration, "trucks have arrived before they were announced", |chain| {
        chain.set(of(T::TruckArrived), ARRIVAL_TIME, |event| {
            Timestamp::from_millis(millis(event) - 10 * MINUTE)
        });
    }),
    breaks(
        Rule::OutboundBeforeInbound,
        "stock leaves its DC when its truck has arrived",
        |chain| {
            chain.put_behind(moved("OUTBOUND_SHIPMENT"), |stock, event| {
                of(T::TruckDeparted)(event) && stock.session_id == event.session_id
            });
        },
    ),
    breaks(Rule::OutboundBeforeInbound, "stock never leaves its DC", |chain| {
        chain.lose(moved("OUTBOUND_SHIPMENT"));
    }),
    breaks(Rule::OutboundBeforeInbound, "more comes in than was loaded", |chain| {
        chain
            .set(moved("INBOUND_SHIPMENT"), QUANTITY_DELTA, |event| int(event, QUANTITY_DELTA) + 1);
    }),
];
