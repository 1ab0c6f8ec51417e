//! The tax rates of stores, as far as their receipts tell them: each bounds the rate, as tax is in
//! whole cents.

use std::collections::hash_map::Entry;

use super::memory::Map;
use super::rules::Rule;
use super::seen::Seen;
use super::watch::Watch;

/// How far a tax in cents may be from what the rate says, whichever way it is rounded.
const ROUNDING: f64 = 1.0;

pub(super) struct Taxes {
    rates: Map<i64, Rate>,
    entries_max: usize,
}

/// What a store's rate is at least and at most.
#[derive(Clone, Copy, Debug)]
struct Rate {
    least: f64,
    most: f64,
}

impl Rate {
    fn of(tax: i64, subtotal: i64) -> Self {
        let of = |tax: f64| tax / subtotal as f64;
        Self { least: of(tax as f64 - ROUNDING), most: of(tax as f64 + ROUNDING) }
    }
}

impl Taxes {
    pub(super) fn new(entries_max: usize) -> Self {
        Self { rates: Map::default(), entries_max }
    }

    /// A receipt of a store with a subtotal and a tax in cents.
    pub(super) fn see(
        &mut self,
        seen: &Seen<'_>,
        store: i64,
        [subtotal, tax]: [i64; 2],
        watch: &mut Watch,
    ) {
        if subtotal <= 0 {
            return;
        }
        let is_full = self.rates.len() >= self.entries_max;
        let Rate { least, most } = Rate::of(tax, subtotal);
        let rate = match self.rates.entry(store) {
            Entry::Occupied(rate) => rate.into_mut(),
            Entry::Vacant(_) if is_full => return watch.leave_open(1),
            Entry::Vacant(place) => {
                place.insert(Rate { least, most });
                return;
            }
        };
        let fits = least <= rate.most && most >= rate.least;
        watch.check(Rule::TaxOnDiscountedAmount, seen, fits, || {
            format!(
                "a tax of {tax} cents on {subtotal}, where the rate of store {store} is {:.2} to \
                 {:.2} %",
                100.0 * rate.least,
                100.0 * rate.most
            )
        });
        if fits {
            *rate = Rate { least: rate.least.max(least), most: rate.most.min(most) };
        }
    }
}
