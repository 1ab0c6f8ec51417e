//! A valid day of one store and one distribution centre, told by hand.

use serde_json::{Map, Value, json};

use crate::event::{Event, Key, Text, Timestamp};
use crate::retail::EventType;

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// Events whose trace ids are what they are called here.
pub(super) struct Story {
    pub(super) events: Vec<Event>,
    /// The time of the next event, in milliseconds since the day began.
    clock: i64,
}

/// The partition key, the session, the correlation and the parent of an event.
type Links<'a> = [&'a str; 4];

impl Story {
    /// The whole day.
    pub(super) fn day() -> Self {
        let mut story = Self { events: Vec::new(), clock: 0 };
        story.incident("incident1", "incident_started", "");
        story.opening_balances();
        story.ads();
        story.visit_with_promotion();
        story.visit_without_beacon();
        story.delivery();
        story.order();
        story.supply();
        story.closing();
        story
    }

    fn opening_balances(&mut self) {
        for (name, place, product, quantity) in [
            ("open_a", "store_7", 1, 3),
            ("open_b", "store_7", 2, 20),
            ("open_c", "dc_3", 1, 100),
            ("open_d", "dc_3", 2, 50),
        ] {
            let source = json!("OPENING_BALANCE");
            let movement = (product, quantity, "ADJUSTMENT", source, quantity);
            self.movement(name, movement, [place, "", "", ""]);
        }
    }

    fn ads(&mut self) {
        self.at(8, 0);
        for (name, impression) in [("ad1", "IMP1"), ("ad2", "IMP2")] {
            self.ad(name, impression, 500, "J1");
            self.clock += 30 * MINUTE;
        }
    }

    fn visit_with_promotion(&mut self) {
        self.at(9, 0);
        self.doors("opened1", "store_opened", "opened");
        self.at(9, 10);
        self.entry("entry1", "V1", 1800);
        self.clock += MINUTE;
        let ping = json!({
            "store_id": 7, "beacon_id": "BEACON_7_ENTRANCE", "customer_ble_id": "BLEAAAAAA",
            "rssi": -60, "zone": "ENTRANCE",
        });
        self.add("ping1", "ble_ping_detected", ping, ["store_7", "V1", "V1", "entry1"]);
        self.zone("zone1", "ENTRANCE", "GROCERY");
        self.zone("zone2", "GROCERY", "CHECKOUT");
        self.at(9, 20);
        let purchase = ["store_7", "V1", "J1", "entry1"];
        let amounts = [3500, 300, 3200, 256, 3456];
        self.receipt("receipt1", "RCP1", 500, 2, amounts, "CREDIT_CARD", Some("IMP2"), purchase);
        self.line("line1", "RCP1", [1, 1, 3, 1000, 2700], Some("P1"), "receipt1");
        self.sale("sale1", 1, -3, 0, "RCP1", "line1");
        let stockout = json!({
            "store_id": 7, "dc_id": null, "product_id": 1, "last_known_quantity": 0,
            "detection_time": "2024-11-29T09:20:00.000Z",
        });
        self.add("stockout1", "stockout_detected", stockout, ["store_7", "", "", "sale1"]);
        let reorder = json!({
            "store_id": 7, "dc_id": null, "product_id": 1, "current_quantity": 0,
            "reorder_quantity": 10, "reorder_point": 2, "priority": "URGENT",
        });
        self.add("reorder1", "reorder_triggered", reorder, ["store_7", "", "reorder_7_1", "sale1"]);
        self.line("line2", "RCP1", [2, 2, 1, 500, 500], None, "receipt1");
        self.sale("sale2", 2, -1, 19, "RCP1", "line2");
        let promotion = json!({
            "receipt_id": "RCP1", "promo_code": "P1", "discount_amount": 3.0,
            "discount_cents": 300, "discount_type": "PERCENTAGE", "product_count": 1,
            "product_ids": [1], "store_id": 7, "customer_id": 500,
        });
        let of_receipt = ["store_7", "V1", "J1", "receipt1"];
        self.add("promo1", "promotion_applied", promotion, of_receipt);
        let bill = (Some("RCP1"), 3456, "CREDIT_CARD", 500);
        self.payment("declined1", bill, Some("CARD_EXPIRED"), of_receipt);
        self.payment("approved1", bill, None, of_receipt);
        self.clock += 2 * MINUTE;
        self.zone("zone3", "CHECKOUT", "EXIT");
    }

    fn visit_without_beacon(&mut self) {
        self.at(9, 30);
        self.entry("entry2", "V2", 600);
        self.clock += 5 * MINUTE;
        let purchase = ["store_7", "V2", "", "entry2"];
        self.receipt("receipt2", "RCP2", 501, 1, [1000, 0, 1000, 80, 1080], "CASH", None, purchase);
        self.line("line3", "RCP2", [1, 2, 2, 500, 1000], None, "receipt2");
        self.sale("sale3", 2, -2, 17, "RCP2", "line3");
        let links = ["store_7", "V2", "", "receipt2"];
        self.payment("payment2", (Some("RCP2"), 1080, "CASH", 501), None, links);
    }

    fn delivery(&mut self) {
        self.at(10, 0);
        let left = ["dc_3", "S1", "S1", "reorder1"];
        self.movement("out1", (1, -10, "OUTBOUND_SHIPMENT", Value::Null, 90), left);
        self.movement("out2", (2, -5, "OUTBOUND_SHIPMENT", Value::Null, 45), left);
        self.at(12, 0);
        let places = [json!(3), json!(7)];
        self.truck("truck1", "truck_arrived", "S1", &places, ["store_7", "reorder1"]);
        let came = ["store_7", "S1", "S1", "truck1"];
        self.movement("in1", (1, 10, "INBOUND_SHIPMENT", Value::Null, 10), came);
        self.movement("in2", (2, 5, "INBOUND_SHIPMENT", Value::Null, 22), came);
        self.at(12, 40);
        self.truck("departed1", "truck_departed", "S1", &places, ["store_7", "truck1"]);
        self.set("departed1", "actual_unload_duration", json!(40));
    }

    fn order(&mut self) {
        self.at(13, 0);
        let links = ["order_O1", "O1", "J1", ""];
        let amounts = [500, 0, 500, 40, 540];
        let mut order = bill(500, 1, amounts, "MOBILE_PAY", Some("IMP2"));
        order.extend(node());
        self.add("order1", "online_order_created", Value::Object(order), links);
        let links = ["dc_3", "", "O1", "order1"];
        self.movement("order_sale", (2, -1, "SALE", json!("ONLINE"), 44), links);
        let links = ["order_O1", "O1", "J1", "order1"];
        self.payment("order_paid", (None, 540, "MOBILE_PAY", 500), None, links);
        self.at(13, 30);
        for (name, event_type, time) in [
            ("picked", "online_order_picked", "picked_time"),
            ("shipped", "online_order_shipped", "shipped_time"),
        ] {
            let mut payload = node();
            payload.insert(time.to_owned(), json!("2024-11-29T13:30:00.000Z"));
            self.add(name, event_type, Value::Object(payload), links);
            self.clock += 5 * MINUTE;
        }
    }

    fn supply(&mut self) {
        self.at(14, 0);
        let places = [json!(3), Value::Null];
        self.truck("truck2", "truck_arrived", "S2", &places, ["dc_3", ""]);
        let links = ["dc_3", "S2", "S2", "truck2"];
        self.movement("in3", (2, 50, "INBOUND_SHIPMENT", Value::Null, 94), links);
        self.clock += 75 * MINUTE;
        self.truck("departed2", "truck_departed", "S2", &places, ["dc_3", "truck2"]);
        self.set("departed2", "actual_unload_duration", json!(75));
    }

    fn closing(&mut self) {
        self.at(16, 0);
        self.movement("damaged1", (2, -1, "DAMAGED", Value::Null, 21), ["store_7", "", "", ""]);
        self.clock += 5 * MINUTE;
        self.movement("return1", (2, 1, "RETURN", Value::Null, 22), ["store_7", "", "", ""]);
        self.at(21, 0);
        self.doors("closed1", "store_closed", "closed");
        self.at(33, 0);
        self.doors("opened2", "store_opened", "opened");
        self.at(45, 0);
        self.doors("closed2", "store_closed", "closed");
        // By then all time is over.
        self.clock = 20 * DAY;
        self.ad("ad3", "IMP3", 999, "");
        self.clock = 40 * DAY;
        self.incident("incident2", "incident_ended", "incident1");
    }

    fn at(&mut self, hour: i64, minute: i64) {
        self.clock = (hour * 60 + minute) * MINUTE;
    }

    fn incident(&mut self, name: &str, event_type: &str, parent: &str) {
        let payload = json!({ "store_id": null, "dc_id": 3 });
        self.add(name, event_type, payload, ["dc_3", "", "", parent]);
    }

    fn ad(&mut self, name: &str, impression: &str, customer: i64, journey: &str) {
        let payload = json!({
            "channel": "EMAIL", "campaign_id": "C1", "creative_id": "CRE_0001",
            "customer_ad_id": "ADAAAAAA", "impression_id": impression, "cost": 0.0123,
            "device_type": "MOBILE", "customer_id": customer,
        });
        self.add(name, "ad_impression", payload, ["marketing_EMAIL", "", journey, ""]);
    }

    fn doors(&mut self, name: &str, event_type: &str, what: &str) {
        let time = self.time();
        let payload = json!({ "store_id": 7, "operation_time": time, "operation_type": what });
        self.add(name, event_type, payload, ["store_7", "", "store_ops_7", ""]);
    }

    fn entry(&mut self, name: &str, session: &str, dwell: i64) {
        let payload = json!({
            "store_id": 7, "sensor_id": "SENSOR_7_ENTRANCE", "zone": "ENTRANCE",
            "customer_count": 1, "dwell_time": dwell,
        });
        self.add(name, "customer_entered", payload, ["store_7", session, "", ""]);
    }

    fn zone(&mut self, name: &str, from: &str, to: &str) {
        let payload = json!({
            "store_id": 7, "customer_ble_id": "BLEAAAAAA", "from_zone": from, "to_zone": to,
            "timestamp": self.time(),
        });
        self.add(name, "customer_zone_changed", payload, ["store_7", "V1", "V1", "entry1"]);
    }

    #[expect(clippy::too_many_arguments, reason = "it is what a receipt says")]
    fn receipt(
        &mut self,
        name: &str,
        receipt: &str,
        customer: i64,
        items: i64,
        amounts: [i64; 5],
        tender: &str,
        impression: Option<&str>,
        links: Links<'_>,
    ) {
        let mut payload = bill(customer, items, amounts, tender, impression);
        payload.insert("receipt_id".to_owned(), json!(receipt));
        payload.insert("store_id".to_owned(), json!(7));
        self.add(name, "receipt_created", Value::Object(payload), links);
    }

    /// A line: its number, product, quantity, unit price and extended price.
    fn line(
        &mut self,
        name: &str,
        receipt: &str,
        [number, product, quantity, price, extended]: [i64; 5],
        promo: Option<&str>,
        parent: &str,
    ) {
        let payload = json!({
            "receipt_id": receipt, "line_number": number, "product_id": product,
            "quantity": quantity, "unit_price": money(price), "extended_price": money(extended),
            "promo_code": promo,
        });
        let (session, journey) = if receipt == "RCP1" { ("V1", "J1") } else { ("V2", "") };
        self.add(name, "receipt_line_added", payload, ["store_7", session, journey, parent]);
    }

    fn sale(
        &mut self,
        name: &str,
        product: i64,
        delta: i64,
        on_hand: i64,
        receipt: &str,
        line: &str,
    ) {
        let movement = (product, delta, "SALE", json!("POS"), on_hand);
        self.movement(name, movement, ["store_7", "", receipt, line]);
    }

    /// A movement of stock: its product, delta, reason, source and the quantity after it.
    fn movement(
        &mut self,
        name: &str,
        (product, delta, reason, source, on_hand): (i64, i64, &str, Value, i64),
        links: Links<'_>,
    ) {
        let at = |kind: &str| links[0].strip_prefix(kind).map(|id| id.parse::<i64>().unwrap());
        let payload = json!({
            "store_id": at("store_"), "dc_id": at("dc_"), "product_id": product,
            "quantity_delta": delta, "reason": reason, "source": source,
            "quantity_on_hand": on_hand,
        });
        self.add(name, "inventory_updated", payload, links);
    }

    /// A payment: its receipt or else the order, cents, method and customer.
    fn payment(
        &mut self,
        name: &str,
        (receipt, cents, method, customer): (Option<&str>, i64, &str, i64),
        declined: Option<&str>,
        links: Links<'_>,
    ) {
        let payload = json!({
            "receipt_id": receipt,
            "order_id": if receipt.is_none() { json!("O1") } else { Value::Null },
            "payment_method": method, "amount": money(cents), "amount_cents": cents,
            "transaction_id": format!("TXN {name}"), "processing_time": self.time(),
            "processing_time_ms": 900,
            "status": if declined.is_some() { "DECLINED" } else { "APPROVED" },
            "decline_reason": declined, "store_id": receipt.map(|_| 7), "customer_id": customer,
        });
        self.add(name, "payment_processed", payload, links);
    }

    fn truck(
        &mut self,
        name: &str,
        event_type: &str,
        shipment: &str,
        [dc, store]: &[Value; 2],
        [partition, parent]: [&str; 2],
    ) {
        let time = self.time();
        let payload = json!({
            "truck_id": "TRUCK_0001", "dc_id": dc, "store_id": store, "shipment_id": shipment,
            "arrival_time": time, "departure_time": time, "estimated_unload_duration": 45,
        });
        self.add(name, event_type, payload, [partition, shipment, shipment, parent]);
    }

    fn add(&mut self, name: &str, event_type: &str, payload: Value, links: Links<'_>) {
        let [partition, session, correlation, parent] =
            links.map(|link| (!link.is_empty()).then(|| json!(link)));
        let mut event = json!({
            "event_type": event_type, "trace_id": name,
            "ingest_timestamp": self.time(), "schema_version": "1.0", "source": "test",
            "correlation_id": correlation, "partition_key": partition, "session_id": session,
            "parent_event_id": parent,
        });
        event["payload"] = payload;
        self.events.push(serde_json::from_str(&event.to_string()).unwrap());
        self.clock += 1;
    }

    fn time(&self) -> String {
        let midnight: Timestamp = "2024-11-29T00:00:00Z".parse().unwrap();
        Timestamp::from_millis(midnight.as_millis() + self.clock).to_string()
    }
}

/// What mutations do.
impl Story {
    /// The same day without some types.
    pub(super) fn without(mut self, types: &[EventType]) -> Self {
        self.events.retain(|event| types.iter().all(|gone| gone.key() != event.event_type));
        self
    }

    /// An event, to change it.
    pub(super) fn event(&mut self, name: &str) -> &mut Event {
        let place = self.place(name);
        &mut self.events[place]
    }

    /// Sets a field of a payload.
    pub(super) fn set(&mut self, name: &str, field: &str, value: Value) {
        let key = Key::intern(field).unwrap();
        let mut event = serde_json::to_value(self.event(name)).unwrap();
        event["payload"][field] = value;
        let changed: Event = serde_json::from_str(&event.to_string()).unwrap();
        let value = changed.payload.get(key).unwrap().clone();
        self.event(name).payload.set(key, value);
    }

    /// Sets fields of the payloads of several events.
    pub(super) fn set_all(&mut self, fields: &[(&str, &str, Value)]) {
        for (name, field, value) in fields {
            self.set(name, field, value.clone());
        }
    }

    /// Takes an event out.
    pub(super) fn drop(&mut self, name: &str) {
        let place = self.place(name);
        self.events.remove(place);
    }

    /// Puts a copy of an event, under another name, right behind a third, at its time.
    pub(super) fn copy(&mut self, name: &str, copy: &str, behind: &str) -> &mut Event {
        let mut event = self.event(name).clone();
        let place = self.place(behind);
        (event.trace_id, event.time) = (Text::from(copy), self.events[place].time);
        self.events.insert(place + 1, event);
        &mut self.events[place + 1]
    }

    /// Moves an event right behind another one, to its time.
    pub(super) fn put_behind(&mut self, name: &str, other: &str) {
        let place = self.place(name);
        let mut event = self.events.remove(place);
        let place = self.place(other);
        event.time = self.events[place].time;
        self.events.insert(place + 1, event);
    }

    fn place(&self, name: &str) -> usize {
        let place = self.events.iter().position(|event| event.trace_id == name);
        place.unwrap_or_else(|| panic!("no event is called `{name}`"))
    }
}

fn money(cents: i64) -> f64 {
    cents as f64 / 100.0
}

fn node() -> Map<String, Value> {
    let node = json!({
        "order_id": "O1", "fulfillment_mode": "SHIP_FROM_DC", "node_type": "DC", "node_id": 3,
    });
    node.as_object().cloned().unwrap_or_default()
}

/// What receipts and orders have in common; the amounts are gross, discount, subtotal, tax, total.
fn bill(
    customer: i64,
    items: i64,
    [gross, discount, subtotal, tax, total]: [i64; 5],
    tender: &str,
    impression: Option<&str>,
) -> Map<String, Value> {
    let bill = json!({
        "customer_id": customer, "item_count": items, "tender_type": tender,
        "subtotal": money(subtotal), "tax": money(tax), "total": money(total),
        "campaign_id": impression.map(|_| "C1"), "impression_id": impression,
        "gross_subtotal_cents": gross, "discount_cents": discount, "subtotal_cents": subtotal,
        "tax_cents": tax, "total_cents": total,
    });
    bill.as_object().cloned().unwrap_or_default()
}
