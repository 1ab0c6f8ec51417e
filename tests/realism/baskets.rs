//! How many lines a receipt has, and what it comes to.

use engine::event::{Event, ITEM_COUNT, TOTAL_CENTS, Value};
use engine::retail::{Format, Store, Tier};

use crate::band::{Band, UNBOUNDED};
use crate::sample::Histogram;

const LINES_MAX: usize = 1_000;
/// Groceries where one fills a cart.
const LARGE: [Format; 2] = [Format::Hypermarket, Format::Supermarket];

/// What receipts of one kind came to.
#[derive(Clone, Copy, Debug, Default)]
struct Takings {
    cents: u64,
    receipts: u64,
}

impl Takings {
    /// Of a receipt, in units of money; NaN where there is none.
    fn mean(self) -> f64 {
        self.cents as f64 / self.receipts as f64 / 100.0
    }
}

/// Receipts by the format and tier of their store.
pub(crate) struct Baskets {
    lines: Vec<Histogram>,
    by_format: Vec<Takings>,
    by_tier: Vec<Takings>,
}

impl Baskets {
    pub(crate) fn new() -> Self {
        Self {
            lines: vec![Histogram::up_to(LINES_MAX); Format::ALL.len()],
            by_format: vec![Takings::default(); Format::ALL.len()],
            by_tier: vec![Takings::default(); Tier::ALL.len()],
        }
    }

    /// A `receipt_created`.
    pub(crate) fn see(&mut self, event: &Event, store: &Store) {
        let number = |key| event.payload.get(key).and_then(Value::as_i64);
        if let Some(lines) = number(ITEM_COUNT) {
            self.lines[store.format as usize].add(lines);
        }
        if let Some(cents) = number(TOTAL_CENTS) {
            let formats = &mut self.by_format[store.format as usize];
            for takings in [formats, &mut self.by_tier[store.tier as usize]] {
                takings.cents += cents.unsigned_abs();
                takings.receipts += 1;
            }
        }
    }

    pub(crate) fn bands(&self) -> Vec<Band> {
        let mut large = Histogram::up_to(LINES_MAX);
        for format in LARGE {
            large.merge(&self.lines[format as usize]);
        }
        let (median, last) = (large.quantile(0.5), large.quantile(0.99));
        let medians = Format::ALL.iter().zip(&self.lines);
        let medians =
            medians.map(|(format, lines)| (format.to_string(), lines.quantile(0.5))).collect();
        let values = Format::ALL.iter().zip(&self.by_format);
        let values = values.map(|(format, takings)| (format.to_string(), takings.mean())).collect();
        vec![
            Band::new("lines of a receipt in large grocery, median", 7.0..=9.0)
                .number(median, format!("{} receipts", large.total())),
            Band::new("lines of a receipt in large grocery, p99 / median", 3.0..=f64::INFINITY)
                .number(last / median, format!("p99 is {last}")),
            Band::new("lines of a receipt in express, median", 1.0..=3.0)
                .number(self.lines[Format::Express as usize].quantile(0.5), ""),
            Band::new("lines of a receipt by format, median", UNBOUNDED).list(medians, ""),
            self.rise_by_tier(),
            Band::new("value of a receipt by format, mean", UNBOUNDED).list(values, ""),
        ]
    }

    /// The least step from one tier to the next larger one: above 1 where values always rise.
    fn rise_by_tier(&self) -> Band {
        let band =
            Band::new("value of a receipt, least rise from tier to tier", 1.0..=f64::INFINITY);
        let tiers = Tier::ALL.iter().zip(&self.by_tier).rev();
        let means: Vec<(&Tier, f64)> = tiers
            .map(|(tier, takings)| (tier, takings.mean()))
            .filter(|(_, mean)| mean.is_finite())
            .collect();
        let rises = means.windows(2).map(|pair| pair[1].1 / pair[0].1);
        let text = means.iter().map(|(tier, mean)| format!("{tier} {mean:.2}"));
        let text = text.collect::<Vec<_>>().join(", ");
        match rises.reduce(f64::min) {
            None => band.unmeasured("receipts are of one tier"),
            Some(least) => band.number(least, text),
        }
    }
}
