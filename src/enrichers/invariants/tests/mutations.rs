//! For each rule, a change of the valid day that breaks it.

use serde_json::{Value, json};

use super::super::Rule;
use super::story::Story;
use crate::event::{CUSTOMER_BLE_ID, Text};

pub(super) struct Mutation {
    pub(super) rule: Rule,
    /// Rules that cannot hold either where this one is broken.
    pub(super) also: &'static [Rule],
    pub(super) change: fn(&mut Story),
}

const fn breaks(rule: Rule, change: fn(&mut Story)) -> Mutation {
    Mutation { rule, also: &[], change }
}

#[expect(clippy::unnecessary_wraps, reason = "it is what an event has for a link")]
fn link(text: &str) -> Option<Text> {
    Some(Text::from(text))
}

pub(super) const MUTATIONS: &[Mutation] = &[
    // the envelope
    breaks(Rule::UniqueTraceId, |day| day.event("ping1").trace_id = Text::from("entry1")),
    breaks(Rule::KnownReference, |day| day.event("in1").parent_event_id = link("nowhere")),
    breaks(Rule::KnownReference, |day| day.set("declined1", "receipt_id", json!("RCP9"))),
    breaks(Rule::IdGivenOnce, |day| {
        day.copy("receipt2", "again", "receipt2");
    }),
    breaks(Rule::PartitionKeyNamesPlace, |day| day.event("zone1").partition_key = link("store_8")),
    breaks(Rule::PartitionKeyNamesPlace, |day| day.event("line1").partition_key = None),
    breaks(Rule::CorrelationIdFollowsType, |day| {
        day.event("opened1").correlation_id = link("store_ops_8");
    }),
    breaks(Rule::SessionIdFollowsType, |day| day.event("line2").session_id = link("V2")),
    breaks(Rule::FieldsReadable, |day| {
        day.event("ping1").payload.remove(CUSTOMER_BLE_ID);
    }),
    // stores
    breaks(Rule::TimeNeverGoesBackInStore, |day| {
        day.event("return1").time = day.event("out1").time;
    }),
    breaks(Rule::OpeningAlternates, |day| day.drop("opened2")),
    breaks(Rule::WithinOpeningHours, |day| {
        day.copy("entry2", "late", "closed1").session_id = link("V3");
    }),
    breaks(Rule::NobodyInsideAtClosing, |day| day.drop("zone3")),
    breaks(Rule::DwellEndsByClosing, |day| day.set("entry2", "dwell_time", json!(100_000))),
    // visits
    breaks(Rule::VisitBeginsWithEntry, |day| {
        let ping = day.copy("ping1", "ping2", "entry2");
        (ping.session_id, ping.correlation_id) = (link("V3"), link("V3"));
    }),
    breaks(Rule::VisitIsOneShopper, |day| day.set("zone1", "customer_ble_id", json!("BLEBBBBBB"))),
    breaks(Rule::VisitEndsWithExit, |day| {
        day.copy("ping1", "ping2", "zone3");
    }),
    breaks(Rule::ZoneChain, |day| day.set("zone2", "from_zone", json!("ELECTRONICS"))),
    breaks(Rule::OneStoreAtATime, |day| {
        day.copy("entry1", "entry3", "zone1").session_id = link("V3");
        let ping = day.copy("ping1", "ping3", "entry3");
        (ping.session_id, ping.correlation_id) = (link("V3"), link("V3"));
        let exit = day.copy("zone1", "zone4", "ping3");
        (exit.session_id, exit.correlation_id) = (link("V3"), link("V3"));
        day.set("zone4", "to_zone", json!("EXIT"));
    }),
    breaks(Rule::OneStoreAtATime, |day| {
        let entered = day.event("zone2").time;
        day.event("entry2").time = entered;
        day.put_behind("entry2", "zone2");
        day.set_all(&[
            ("receipt2", "customer_id", json!(500)),
            ("payment2", "customer_id", json!(500)),
        ]);
    }),
    // purchases
    breaks(Rule::ReceiptNamesItsVisit, |day| {
        day.event("receipt2").parent_event_id = link("entry1");
    }),
    breaks(Rule::PurchaseTwoMinutesAfterEntry, |day| {
        day.event("entry2").time = day.event("receipt2").time;
    }),
    breaks(Rule::OrderOfReceipt, |day| {
        day.put_behind("line2", "approved1");
        day.put_behind("sale2", "line2");
    }),
    breaks(Rule::OrderOfReceipt, |day| day.put_behind("promo1", "approved1")),
    breaks(Rule::LinesComplete, |day| day.set("line2", "line_number", json!(3))),
    breaks(Rule::LinesComplete, |day| {
        day.drop("line3");
        day.set("sale3", "reason", json!("LOST"));
    }),
    breaks(Rule::LineNamesItsReceipt, |day| day.event("line2").parent_event_id = link("entry1")),
    breaks(Rule::PurchaseIsOneCustomer, |day| day.set("approved1", "customer_id", json!(501))),
    // money
    breaks(Rule::MoneyInWholeCents, |day| day.set("line2", "unit_price", json!(5.004))),
    breaks(Rule::MoneyCentsMatch, |day| day.set("approved1", "amount", json!(34.57))),
    Mutation {
        rule: Rule::LineExtendedPrice,
        also: &[Rule::ReceiptSums],
        change: |day| day.set("line3", "extended_price", json!(10.5)),
    },
    Mutation {
        rule: Rule::DiscountedLineHasPromoCode,
        also: &[Rule::PromotionIsReal],
        change: |day| day.set("line1", "promo_code", Value::Null),
    },
    breaks(Rule::ReceiptSums, |day| {
        day.set_all(&[
            ("receipt2", "gross_subtotal_cents", json!(1100)),
            ("receipt2", "subtotal_cents", json!(1100)),
            ("receipt2", "subtotal", json!(11)),
            ("receipt2", "tax_cents", json!(88)),
            ("receipt2", "tax", json!(0.88)),
            ("receipt2", "total_cents", json!(1188)),
            ("receipt2", "total", json!(11.88)),
            ("payment2", "amount_cents", json!(1188)),
            ("payment2", "amount", json!(11.88)),
        ]);
    }),
    breaks(Rule::SubtotalIsGrossLessDiscount, |day| {
        day.set("order1", "gross_subtotal_cents", json!(600));
    }),
    breaks(Rule::TaxOnDiscountedAmount, |day| {
        day.set_all(&[("order1", "tax_cents", json!(600)), ("order1", "tax", json!(6))]);
        pay_for_order(day, 1100);
    }),
    breaks(Rule::TaxOnDiscountedAmount, |day| {
        day.set_all(&[
            ("receipt1", "tax_cents", json!(280)),
            ("receipt1", "tax", json!(2.8)),
            ("receipt1", "total_cents", json!(3480)),
            ("receipt1", "total", json!(34.8)),
            ("approved1", "amount_cents", json!(3480)),
            ("approved1", "amount", json!(34.8)),
        ]);
    }),
    breaks(Rule::TotalIsSubtotalPlusTax, |day| pay_for_order(day, 600)),
    breaks(Rule::ReceiptDiscountsMatchPromotions, |day| {
        day.copy("promo1", "promo2", "promo1");
    }),
    // payments
    breaks(Rule::OneApprovedPayment, |day| {
        day.copy("approved1", "approved2", "approved1");
    }),
    breaks(Rule::OneApprovedPayment, |day| day.drop("payment2")),
    breaks(Rule::OneApprovedPayment, |day| day.drop("order_paid")),
    breaks(Rule::PaymentAmount, |day| {
        day.set_all(&[
            ("approved1", "amount_cents", json!(3457)),
            ("approved1", "amount", json!(34.57)),
        ]);
    }),
    breaks(Rule::PaymentMethodIsTender, |day| {
        day.set("approved1", "payment_method", json!("CASH"));
    }),
    breaks(Rule::DeclinedBeforeApproved, |day| day.put_behind("declined1", "approved1")),
    breaks(Rule::DeclineHasReason, |day| day.set("declined1", "decline_reason", Value::Null)),
    // online orders
    breaks(Rule::OrderGoesItsWay, |day| day.put_behind("picked", "shipped")),
    breaks(Rule::OrderGoesItsWay, |day| day.set("shipped", "node_id", json!(4))),
    // stock
    breaks(Rule::OpeningBalanceFirst, |day| day.drop("open_b")),
    breaks(Rule::BalanceIsRunningSum, |day| day.set("sale3", "quantity_on_hand", json!(16))),
    breaks(Rule::StockNeverNegative, |day| {
        day.set_all(&[
            ("out1", "quantity_delta", json!(-110)),
            ("out1", "quantity_on_hand", json!(-10)),
        ]);
    }),
    breaks(Rule::ReasonHasItsSign, |day| day.set("damaged1", "reason", json!("RETURN"))),
    breaks(Rule::EveryLineHasItsSale, |day| day.set("sale3", "reason", json!("LOST"))),
    breaks(Rule::EveryLineHasItsSale, |day| day.set("order_sale", "reason", json!("LOST"))),
    breaks(Rule::SaleIsOfItsLine, |day| day.event("order_sale").parent_event_id = link("reorder1")),
    Mutation {
        rule: Rule::SaleIsOfItsLine,
        also: &[Rule::EveryLineHasItsSale],
        change: |day| day.event("sale3").parent_event_id = link("line2"),
    },
    breaks(Rule::StockoutAtZero, |day| {
        day.copy("stockout1", "stockout2", "sale2").parent_event_id = link("sale2");
        day.set_all(&[
            ("stockout2", "product_id", json!(2)),
            ("stockout2", "last_known_quantity", json!(19)),
        ]);
    }),
    breaks(Rule::StockoutOncePerFall, |day| {
        day.copy("stockout1", "stockout2", "stockout1");
    }),
    breaks(Rule::StockoutOncePerFall, |day| {
        // Product 1 is sold out and comes in again, this time without a word.
        day.copy("damaged1", "damaged2", "damaged1");
        day.copy("return1", "return2", "damaged2");
        day.set_all(&[
            ("damaged2", "product_id", json!(1)),
            ("damaged2", "quantity_delta", json!(-10)),
            ("damaged2", "quantity_on_hand", json!(0)),
            ("return2", "product_id", json!(1)),
            ("return2", "quantity_on_hand", json!(1)),
        ]);
    }),
    breaks(Rule::ReorderAtOrBelowPoint, |day| day.set("reorder1", "reorder_point", json!(-1))),
    breaks(Rule::ReorderOnceUntilStock, |day| {
        day.copy("reorder1", "reorder2", "reorder1");
    }),
    breaks(Rule::AlertQuantityIsBalance, |day| day.set("reorder1", "current_quantity", json!(1))),
    breaks(Rule::AlertNamesItsMovement, |day| {
        day.event("reorder1").parent_event_id = link("line1");
    }),
    // trucks
    breaks(Rule::ReorderLeadsToTruck, |day| day.set("in1", "reason", json!("ADJUSTMENT"))),
    breaks(Rule::TruckNamesItsPlaces, |day| day.set("truck1", "dc_id", Value::Null)),
    breaks(Rule::TruckArrivesThenDeparts, |day| day.drop("departed2")),
    breaks(Rule::TruckArrivesThenDeparts, |day| {
        day.copy("truck2", "truck3", "truck2");
    }),
    breaks(Rule::StockComesWithTruck, |day| day.put_behind("in3", "departed2")),
    breaks(Rule::UnloadDuration, |day| {
        day.set("departed2", "actual_unload_duration", json!(60));
    }),
    breaks(Rule::OutboundBeforeInbound, |day| {
        day.set_all(&[
            ("out1", "quantity_delta", json!(-9)),
            ("out1", "quantity_on_hand", json!(91)),
        ]);
    }),
    // marketing
    breaks(Rule::LastTouch, |day| day.set("receipt1", "impression_id", json!("IMP1"))),
    breaks(Rule::LastTouch, |day| day.set("order1", "campaign_id", json!("C2"))),
    breaks(Rule::PurchaseCarriesJourney, |day| day.event("promo1").correlation_id = None),
    Mutation {
        rule: Rule::JourneyBeginsWithAd,
        also: &[Rule::PurchaseCarriesJourney],
        change: |day| {
            for name in ["order1", "order_paid", "picked", "shipped"] {
                day.event(name).correlation_id = link("J9");
            }
        },
    },
    breaks(Rule::PromotionIsReal, |day| {
        day.set_all(&[
            ("promo1", "product_ids", json!([1, 2])),
            ("promo1", "product_count", json!(2)),
        ]);
    }),
];

/// Changes the total of the order, and what is paid for it.
fn pay_for_order(day: &mut Story, cents: i64) {
    let money = json!(cents as f64 / 100.0);
    day.set_all(&[
        ("order1", "total_cents", json!(cents)),
        ("order1", "total", money.clone()),
        ("order_paid", "amount_cents", json!(cents)),
        ("order_paid", "amount", money),
    ]);
}
