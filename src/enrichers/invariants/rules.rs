//! The rules by name: one table, from which settings, reports and the reference are made.

use schemars::JsonSchema;
use serde::Deserialize;

/// What a rule says.
#[derive(Clone, Copy, Debug)]
pub struct RuleDescription {
    /// The rule.
    pub rule: Rule,
    /// Its name in settings and reports.
    pub name: &'static str,
    /// What always holds, in one line.
    pub statement: &'static str,
}

macro_rules! rules {
    ($($rule:ident $name:literal $statement:literal)*) => {
        /// A rule of the stream.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
        pub enum Rule {
            $(#[doc = $statement] #[serde(rename = $name)] $rule),*
        }

        /// All rules, each at the place of its number.
        pub const RULES: &[RuleDescription] = &[
            $(RuleDescription { rule: Rule::$rule, name: $name, statement: $statement }),*
        ];
    };
}

rules! {
    // the envelope
    UniqueTraceId "unique_trace_id" "No two events have one trace id."
    KnownReference "known_reference" "Nothing refers to an event, receipt, order or shipment that did not come before."
    IdGivenOnce "id_given_once" "A receipt and an order are created once."
    PartitionKeyNamesPlace "partition_key_names_place" "The partition key is that of the store, DC, order or channel."
    CorrelationIdFollowsType "correlation_id_follows_type" "The correlation id is what the type asks for: the visit, the receipt of a sale, the shipment, the reorder, the store's operations."
    SessionIdFollowsType "session_id_follows_type" "The session id is the visit, also on its receipt, lines, promotions and payments; the shipment; or the order."
    FieldsReadable "fields_readable" "The fields that the rules read are there, and hold what the contract says."
    // stores
    TimeNeverGoesBackInStore "time_never_goes_back_in_store" "Event time never goes back within the stream of one store."
    OpeningAlternates "opening_alternates" "A store opens and closes in turn."
    WithinOpeningHours "within_opening_hours" "Entries, pings, zone changes and purchases are in a store that is open."
    NobodyInsideAtClosing "nobody_inside_at_closing" "Every shopper who was seen inside has left when the store closes."
    DwellEndsByClosing "dwell_ends_by_closing" "Nobody enters to stay longer than the store is open."
    // visits
    VisitBeginsWithEntry "visit_begins_with_entry" "A visit is one session: one entry, before its pings and zone changes."
    VisitIsOneShopper "visit_is_one_shopper" "All pings and zone changes of a visit are of one shopper in one store."
    VisitEndsWithExit "visit_ends_with_exit" "After the zone change to EXIT nothing more comes of a visit, nor a receipt."
    ZoneChain "zone_chain" "Each zone change leaves the zone that the shopper was in, for another one."
    OneStoreAtATime "one_store_at_a_time" "Nobody is in two stores, or in two visits, at once."
    // purchases
    ReceiptNamesItsVisit "receipt_names_its_visit" "A receipt's session is a visit to its store, and its parent is the entry of that visit."
    PurchaseTwoMinutesAfterEntry "purchase_two_minutes_after_entry" "A purchase comes at least two minutes after the entry."
    OrderOfReceipt "order_of_receipt" "Lines come before promotions, and promotions before payments."
    LinesComplete "lines_complete" "A receipt has exactly `item_count` lines, numbered from 1 without a gap."
    LineNamesItsReceipt "line_names_its_receipt" "A line's parent is the event of its receipt."
    PurchaseIsOneCustomer "purchase_is_one_customer" "Payments and promotions are of the purchase's customer, and of its store."
    // money
    MoneyInWholeCents "money_in_whole_cents" "Money has at most two decimals."
    MoneyCentsMatch "money_cents_match" "Every amount in cents equals its amount of money."
    LineExtendedPrice "line_extended_price" "A line's extended price is quantity times unit price less a discount: not above it, and not below 0."
    DiscountedLineHasPromoCode "discounted_line_has_promo_code" "A discounted line has a promo code."
    ReceiptSums "receipt_sums" "A receipt's gross subtotal, discount and subtotal are the sums over its lines."
    SubtotalIsGrossLessDiscount "subtotal_is_gross_less_discount" "The subtotal is the gross subtotal less the discount."
    TaxOnDiscountedAmount "tax_on_discounted_amount" "Tax is on the discounted amount: none on nothing, and at one rate in each store."
    TotalIsSubtotalPlusTax "total_is_subtotal_plus_tax" "The total is the subtotal and the tax."
    ReceiptDiscountsMatchPromotions "receipt_discounts_match_promotions" "A receipt's discount is the sum of its promotions."
    // payments
    OneApprovedPayment "one_approved_payment" "A receipt or order has exactly one approved payment."
    PaymentAmount "payment_amount" "The approved payment is of the total."
    PaymentMethodIsTender "payment_method_is_tender" "The approved payment's method is the tender of the purchase."
    DeclinedBeforeApproved "declined_before_approved" "Declined payments come before the approved one."
    DeclineHasReason "decline_has_reason" "A declined payment has a reason, and no other has one."
    // online orders
    OrderGoesItsWay "order_goes_its_way" "An order is created, picked and, unless it is fetched, shipped: in this order, each once, at one node."
    // stock
    OpeningBalanceFirst "opening_balance_first" "The stock of a product at a place begins with one opening balance."
    BalanceIsRunningSum "balance_is_running_sum" "The quantity on hand is the one before and the delta."
    StockNeverNegative "stock_never_negative" "The quantity on hand is never negative."
    ReasonHasItsSign "reason_has_its_sign" "Sales, damage, loss, disruptions and outbound shipments are negative, returns and inbound shipments positive, and no delta is 0."
    EveryLineHasItsSale "every_line_has_its_sale" "Every sold line has one movement of stock."
    SaleIsOfItsLine "sale_is_of_its_line" "A sale's parent is the line or order that sold it, with that product, quantity and place."
    StockoutAtZero "stockout_at_zero" "A stockout is detected at 0."
    StockoutOncePerFall "stockout_once_per_fall" "Each fall to 0 has one stockout."
    ReorderAtOrBelowPoint "reorder_at_or_below_point" "A reorder is triggered at or below the reorder point."
    ReorderOnceUntilStock "reorder_once_until_stock" "A reorder is triggered once until a shipment comes in."
    AlertQuantityIsBalance "alert_quantity_is_balance" "The quantity in a stockout or reorder is the quantity on hand."
    AlertNamesItsMovement "alert_names_its_movement" "The parent of a stockout or reorder is the movement of stock that led to it."
    // trucks
    ReorderLeadsToTruck "reorder_leads_to_truck" "A reorder leads to a shipment of the product."
    TruckNamesItsPlaces "truck_names_its_places" "A truck names its DC, and on a store delivery its store, the same from loading to departure."
    TruckArrivesThenDeparts "truck_arrives_then_departs" "A shipment arrives once, then departs once, on one truck."
    StockComesWithTruck "stock_comes_with_truck" "Inbound stock comes at the truck's place between its arrival and its departure, and every truck brings some."
    UnloadDuration "unload_duration" "Unloading lasted the minutes between arrival and departure: 30 to 75, or 120."
    OutboundBeforeInbound "outbound_before_inbound" "What a store receives has left a DC before in the same shipment."
    // marketing
    LastTouch "last_touch" "An attributed purchase names its customer's latest impression, at most seven days old, and its campaign."
    PurchaseCarriesJourney "purchase_carries_journey" "A purchase has a journey if it is attributed: that of the impression, also on its promotions, payments and fulfilment."
    JourneyBeginsWithAd "journey_begins_with_ad" "A journey appears on an impression first."
    PromotionIsReal "promotion_is_real" "A promotion names products of its receipt that have its code, and their discount."
}

impl Rule {
    /// What it says.
    pub fn description(self) -> &'static RuleDescription {
        &RULES[self as usize]
    }
}

/// Some of the rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct RuleSet(u64);

const _: () = assert!(RULES.len() <= 64, "a `RuleSet` has one bit for each rule");

impl RuleSet {
    pub(super) const ALL: Self = Self(u64::MAX);

    pub(super) fn contains(self, rule: Rule) -> bool {
        self.0 >> rule as u64 & 1 == 1
    }
}

impl FromIterator<Rule> for RuleSet {
    fn from_iter<I: IntoIterator<Item = Rule>>(rules: I) -> Self {
        Self(rules.into_iter().fold(0, |set, rule| set | 1 << rule as u64))
    }
}
