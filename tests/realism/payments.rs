//! How customers pay, and how often a card is declined.

use engine::event::{Event, PAYMENT_METHOD, STATUS, TENDER_TYPE, Value};
use engine::retail::enumerations::TENDERS;

use crate::band::Band;
use crate::sample::percent;

/// In-store tenders and their bounds in percent, in the order of [`TENDERS`].
const SHARES: [(f64, f64); 5] = [(12.0, 22.0), (33.0, 42.0), (30.0, 36.0), (1.0, 3.0), (4.0, 12.0)];

/// Receipts by tender, and payments by card.
#[derive(Default)]
pub(crate) struct Payments {
    tenders: [u64; 5],
    by_card: u64,
    declined: u64,
}

impl Payments {
    /// A `receipt_created`.
    pub(crate) fn see_receipt(&mut self, event: &Event) {
        let Some(tender) = event.payload.get(TENDER_TYPE).and_then(Value::as_text) else { return };
        if let Some(place) = TENDERS.iter().position(|name| tender == name) {
            self.tenders[place] += 1;
        }
    }

    /// A `payment_processed`: each attempt is one.
    pub(crate) fn see_payment(&mut self, event: &Event) {
        let is = |key, texts: &[&str]| {
            let text = event.payload.get(key).and_then(Value::as_text);
            text.is_some_and(|text| texts.iter().any(|one| text == one))
        };
        if is(PAYMENT_METHOD, &["CREDIT_CARD", "DEBIT_CARD"]) {
            self.by_card += 1;
            self.declined += u64::from(is(STATUS, &["DECLINED"]));
        }
    }

    pub(crate) fn bands(&self) -> Vec<Band> {
        let receipts = self.tenders.iter().sum();
        let shares = TENDERS.iter().zip(SHARES).zip(self.tenders);
        let mut bands: Vec<Band> = shares
            .map(|((name, (low, high)), count)| {
                Band::new(format!("{name} in stores, % of receipts"), low..=high)
                    .number(percent(count, receipts), "")
            })
            .collect();
        let text = format!("of {} attempts", self.by_card);
        bands.push(
            Band::new("declined cards, % of card payments", 2.0..=3.0)
                .number(percent(self.declined, self.by_card), text),
        );
        bands
    }
}
