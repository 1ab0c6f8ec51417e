//! How much more of a product is bought while a discount of about 20 % runs on it.
//!
//! Nobody tells when a promotion begins and ends; its lines show it. To be fair:
//! - Promotions may be of a region, so products are looked at by region.
//! - A day without a sale looks like one without a promotion, and would make the promoted days look
//!   better than they are. So a promotion runs from the first day that shows it to the last, and
//!   only the days in between count: whether they count does not depend on what was sold on them.
//! - Promotions fall on busy days. So units are set against the region's receipts of the day.
//! - Tastes change with the season. So a promotion is set against days within four weeks of it, and
//!   not against those next to a promotion of the same product.

use std::ops::Range;

use engine::event::{EXTENDED_PRICE, Event, PROMO_CODE, UNIT_PRICE, Value};
use engine::retail::Region;

use crate::band::Band;
use crate::days::Days;
use crate::places::Places;
use crate::traffic::{Deed, Traffic};

/// What counts as a discount of 20 %.
const ABOUT_20: std::ops::RangeInclusive<f64> = 0.18..=0.22;
/// A promotion that shows on no day in between is over.
const HIDDEN_DAYS_MAX: i32 = 2;
/// How far the days may be that a promotion is set against.
const NEAR_DAYS: i32 = 28;
/// Days without a promotion that it takes to know the usual sales, and the units of a day.
const USUAL_DAYS_MIN: u64 = 3;
const USUAL_UNITS_MIN: f64 = 3.0;
/// Of a promotion's units so many have to be discounted: a coupon for few is no price.
const DISCOUNTED_MIN: f64 = 0.3;
/// It takes so many units to expect for a figure.
const EXPECTED_MIN: f64 = 200.0;

/// Units of a product in a region on a day.
#[derive(Clone, Copy, Debug, Default)]
struct Sold {
    units: u16,
    /// Of these, by about 20 % off.
    about_20: u16,
    /// Of these, by any promotion.
    promoted: u16,
}

/// Units by day, region and product.
pub(crate) struct Lift {
    products: usize,
    days: Days<Vec<Sold>>,
}

/// Promotions with what was sold, what would have been without them, and how much was discounted.
#[derive(Clone, Copy, Debug, Default)]
struct Pooled {
    promotions: u64,
    units: f64,
    expected: f64,
    discounted: f64,
}

impl Lift {
    pub(crate) fn new(products: usize) -> Self {
        Self { products, days: Days::new() }
    }

    /// A line of a receipt: the product by its place, on a local day.
    pub(crate) fn see(
        &mut self,
        event: &Event,
        product: usize,
        region: usize,
        day: i32,
        units: i64,
    ) {
        let cells = self.products * Region::ALL.len();
        let Some(day) = self.days.entry(day, || vec![Sold::default(); cells]) else { return };
        let sold = &mut day[region * self.products + product];
        let units = u16::try_from(units).unwrap_or(0);
        sold.units = sold.units.saturating_add(units);
        if event.payload.get(PROMO_CODE).is_some_and(|code| *code != Value::Null) {
            sold.promoted = sold.promoted.saturating_add(units);
            if discount(event, units).is_some_and(|discount| ABOUT_20.contains(&discount)) {
                sold.about_20 = sold.about_20.saturating_add(units);
            }
        }
    }

    pub(crate) fn band(&self, traffic: &Traffic, places: &Places, days: &Range<i32>) -> Band {
        let band = Band::new("units by a discount of 20 %, of usual", 1.5..=2.2);
        let mut pooled = Pooled::default();
        for region in 0..Region::ALL.len() {
            let receipts = receipts_of_region(traffic, places, region, days);
            for product in 0..self.products {
                self.pool(&mut pooled, region, product, &receipts, days);
            }
        }
        let Pooled { promotions, units, expected, discounted } = pooled;
        if expected < EXPECTED_MIN {
            return band.unmeasured(format!(
                "{promotions} promotions with their usual days in the stream, {expected:.0} units to expect"
            ));
        }
        let text = format!(
            "{promotions} promotions of a product in a region, {:.0} % of {units} units discounted",
            discounted / units * 100.0
        );
        band.number(units / expected, text)
    }

    fn sold(&self, region: usize, product: usize, day: i32) -> Sold {
        let day = self.days.get(day);
        day.map_or_else(Sold::default, |day| day[region * self.products + product])
    }

    /// Adds the promotions of a product in a region. `receipts` are those of the region by day.
    fn pool(
        &self,
        pooled: &mut Pooled,
        region: usize,
        product: usize,
        receipts: &[u64],
        days: &Range<i32>,
    ) {
        let sold = |day: i32| self.sold(region, product, day);
        let shown: Vec<i32> = days.clone().filter(|day| sold(*day).about_20 > 0).collect();
        let receipts_of = |day: i32| receipts[(day - days.start) as usize];
        for run in shown.chunk_by(|one, two| two - one <= HIDDEN_DAYS_MAX + 1) {
            let (first, last) = (run[0], run[run.len() - 1]);
            let near = (first - NEAR_DAYS).max(days.start)..(last + NEAR_DAYS + 1).min(days.end);
            let usual = near.filter(|day| {
                receipts_of(*day) > 0 && (*day - 1..=*day + 1).all(|day| sold(day).promoted == 0)
            });
            let (mut usual_days, mut usual_units, mut usual_receipts) = (0, 0.0, 0);
            for day in usual {
                usual_days += 1;
                usual_units += f64::from(sold(day).units);
                usual_receipts += receipts_of(day);
            }
            if usual_days < USUAL_DAYS_MIN || usual_units / (usual_days as f64) < USUAL_UNITS_MIN {
                continue;
            }
            let between = || (first + 1..last).map(sold);
            let units: f64 = between().map(|sold| f64::from(sold.units)).sum();
            let discounted: f64 = between().map(|sold| f64::from(sold.about_20)).sum();
            let busy: u64 = (first + 1..last).map(receipts_of).sum();
            if busy > 0 && discounted >= units * DISCOUNTED_MIN {
                pooled.promotions += 1;
                pooled.units += units;
                pooled.expected += usual_units / usual_receipts as f64 * busy as f64;
                pooled.discounted += discounted;
            }
        }
    }
}

/// What part of a line's price is off.
fn discount(event: &Event, units: u16) -> Option<f64> {
    let number = |key| event.payload.get(key).and_then(Value::as_f64);
    Some(1.0 - number(EXTENDED_PRICE)? / (number(UNIT_PRICE)? * f64::from(units)))
}

fn receipts_of_region(
    traffic: &Traffic,
    places: &Places,
    region: usize,
    days: &Range<i32>,
) -> Vec<u64> {
    let stores = 0..places.world.stores.len();
    let stores: Vec<usize> = stores.filter(|store| places.region(*store) == region).collect();
    let of_day =
        |day| stores.iter().map(|store| traffic.of_store(Deed::Receipt, *store, day)).sum();
    days.clone().map(of_day).collect()
}
