//! Pieces of payloads that both generators write, and the figures behind them.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use super::enumerations::DECLINE_REASONS;
use super::random::Random;
use crate::event::{
    AMOUNT, AMOUNT_CENTS, CAMPAIGN_ID, CUSTOMER_ID, DECLINE_REASON, DISCOUNT_CENTS, Fields,
    GROSS_SUBTOTAL_CENTS, IMPRESSION_ID, ORDER_ID, PAYMENT_METHOD, PROCESSING_TIME,
    PROCESSING_TIME_MS, RECEIPT_ID, STATUS, STORE_ID, SUBTOTAL, SUBTOTAL_CENTS, TAX, TAX_CENTS,
    TOTAL, TOTAL_CENTS, TRANSACTION_ID, Text, Timestamp,
};

/// Out of 1000 receipts, how many are paid in each of [`super::enumerations::TENDERS`].
pub(super) const IN_STORE_TENDERS: [u32; 5] = [170, 380, 335, 25, 90];
/// Out of 100 online orders, how many are: cards, and some by phone.
pub(super) const ONLINE_TENDERS: [u32; 5] = [0, 58, 24, 0, 18];
/// Out of 1000 card payments, how many are declined for each of [`DECLINE_REASONS`]; 25 in all.
const DECLINES: [u32; 7] = [10, 4, 3, 2, 2, 2, 2];
/// How long a card takes, and any other tender, in milliseconds.
const CARD_MILLIS: (i64, i64) = (800, 4_000);
const OTHER_MILLIS: (i64, i64) = (100, 1_200);

/// For each of [`super::enumerations::CHANNELS`]: how many impressions lead to a visit (social 1.2,
/// search 3.5, display 0.8, email 2.5, video 1.5 %), and what one costs at least and at most, in
/// ten-thousandths.
pub(super) const CHANNEL_FIGURES: [(f64, i64, i64); 9] = [
    (0.012, 50, 130),
    (0.035, 100, 400),
    (0.012, 60, 150),
    (0.015, 100, 300),
    (0.025, 5, 20),
    (0.008, 20, 60),
    (0.035, 120, 450),
    (0.012, 50, 140),
    (0.015, 110, 320),
];
/// Out of 100 impressions, how many are seen on each of [`super::enumerations::DEVICES`].
pub(super) const SEEN_ON: [u32; 3] = [62, 28, 10];

/// How a promotion lowers the price of a line.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Discount {
    /// Percent off.
    Percentage(i64),
    /// Cents off each piece.
    FixedAmount(i64),
    /// Every second piece is free.
    Bogo,
}

impl Discount {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Percentage(_) => "PERCENTAGE",
            Self::FixedAmount(_) => "FIXED_AMOUNT",
            Self::Bogo => "BOGO",
        }
    }

    /// What comes off a line, in cents: never more than half of it.
    pub(super) fn of(self, unit: i64, quantity: i64) -> i64 {
        match self {
            Self::Percentage(percent) => (unit * quantity * percent + 50) / 100,
            Self::FixedAmount(cents) => cents.min(unit / 2) * quantity,
            Self::Bogo => unit * (quantity / 2),
        }
    }
}

/// What a basket comes to, in cents.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Amounts {
    #[serde(deserialize_with = "whole")]
    pub(super) gross: i64,
    #[serde(deserialize_with = "whole")]
    pub(super) discount: i64,
    #[serde(deserialize_with = "whole")]
    pub(super) tax: i64,
}

impl Amounts {
    /// Sets the tax, which is on the discounted amount; the rate is in hundredths of a percent.
    pub(super) fn set_tax(&mut self, rate: i64) {
        self.tax = (self.subtotal() * rate + 5_000) / 10_000;
    }

    pub(super) fn subtotal(&self) -> i64 {
        self.gross - self.discount
    }

    pub(super) fn total(&self) -> i64 {
        self.subtotal() + self.tax
    }

    pub(super) fn push_money(&self, payload: &mut Fields) {
        payload.push(SUBTOTAL, money(self.subtotal()));
        payload.push(TAX, money(self.tax));
        payload.push(TOTAL, money(self.total()));
    }

    pub(super) fn push_cents(&self, payload: &mut Fields) {
        payload.push(GROSS_SUBTOTAL_CENTS, self.gross);
        payload.push(DISCOUNT_CENTS, self.discount);
        payload.push(SUBTOTAL_CENTS, self.subtotal());
        payload.push(TAX_CENTS, self.tax);
        payload.push(TOTAL_CENTS, self.total());
    }
}

/// An ad that leads to a purchase.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Lead {
    pub(super) journey: Text,
    pub(super) impression: Text,
    pub(super) campaign: Text,
    /// The customer's id.
    pub(super) customer: u32,
}

pub(super) fn push_lead(payload: &mut Fields, lead: Option<&Lead>) {
    payload.push(CAMPAIGN_ID, lead.map(|lead| lead.campaign.clone()));
    payload.push(IMPRESSION_ID, lead.map(|lead| lead.impression.clone()));
}

/// What is paid, by whom, and how.
pub(super) struct Payment {
    pub(super) receipt: Option<Text>,
    pub(super) order: Option<Text>,
    /// The store's id, for a receipt.
    pub(super) store: Option<u32>,
    /// The customer's id.
    pub(super) customer: u32,
    pub(super) tender: &'static str,
    pub(super) cents: i64,
}

impl Payment {
    pub(super) fn push(
        self,
        payload: &mut Fields,
        now: Timestamp,
        transaction: Text,
        millis: i64,
        decline: Option<&'static str>,
    ) {
        payload.push(RECEIPT_ID, self.receipt);
        payload.push(ORDER_ID, self.order);
        payload.push(PAYMENT_METHOD, self.tender);
        payload.push(AMOUNT, money(self.cents));
        payload.push(AMOUNT_CENTS, self.cents);
        payload.push(TRANSACTION_ID, transaction);
        payload.push(PROCESSING_TIME, now);
        payload.push(PROCESSING_TIME_MS, millis);
        payload.push(STATUS, if decline.is_some() { "DECLINED" } else { "APPROVED" });
        payload.push(DECLINE_REASON, decline);
        payload.push(STORE_ID, self.store);
        payload.push(CUSTOMER_ID, self.customer);
    }
}

/// How long a payment takes, in milliseconds, and why it is declined, if it is: cards are, now and
/// then.
pub(super) fn attempt(tender: &str, random: &mut Random) -> (i64, Option<&'static str>) {
    let is_card = matches!(tender, "CREDIT_CARD" | "DEBIT_CARD");
    let decline = if is_card { declined(random) } else { None };
    let (least, most) = if is_card { CARD_MILLIS } else { OTHER_MILLIS };
    (random.between(least, most), decline)
}

fn declined(random: &mut Random) -> Option<&'static str> {
    let mut rest = random.below(1000);
    for (reason, weight) in DECLINE_REASONS.iter().zip(DECLINES) {
        if rest < weight {
            return Some(reason);
        }
        rest -= weight;
    }
    None
}

/// Cents as the money of a payload: at most two decimals.
pub(super) fn money(cents: i64) -> f64 {
    cents as f64 / 100.0
}

/// `<prefix>` and a number below 10 000 with four digits.
pub(super) fn four_digits(prefix: &str, number: u32) -> Text {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(number);
    let mut text = CompactString::new(prefix);
    text.push_str(&"0000"[digits.len().min(4)..]);
    text.push_str(digits);
    Text::Plain(text)
}

/// The id of a sensor or beacon: `<prefix><store>_<ZONE>`.
pub(super) fn device_of(prefix: &str, store: u32, zone: &str) -> Text {
    let mut text = CompactString::new(prefix);
    text.push_str(itoa::Buffer::new().format(store));
    text.push('_');
    text.push_str(zone);
    Text::Plain(text)
}

/// The largest number of pieces or cents; no sum of two of them is near the end of 64 bits.
const WHOLE_MAX: i64 = 1 << 50;

/// A number of pieces or cents that can be added to.
pub(super) fn whole<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    match i64::deserialize(deserializer)? {
        number if number.abs_diff(0) > WHOLE_MAX.unsigned_abs() => {
            Err(serde::de::Error::custom(format!("`{number}` is no number of pieces or cents")))
        }
        number => Ok(number),
    }
}
