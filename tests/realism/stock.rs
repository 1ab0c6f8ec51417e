//! How much of the assortment is out of stock, and how many trucks are late.

use engine::event::{ACTUAL_UNLOAD_DURATION, Event, PRODUCT_ID, QUANTITY_ON_HAND, SOURCE, Value};

use crate::band::{Band, UNBOUNDED};
use crate::days::{DAY, Days, HOUR};
use crate::places::{Local, Places};
use crate::sample::percent;

/// Whoever unloads longer than these minutes was late.
const UNLOAD_MINUTES_MAX: i64 = 75;

/// What is known of the stock of a product in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shelf {
    /// Nothing but an opening balance.
    Unmoved,
    Stocked,
    Empty,
}

/// The shelves of a store.
#[derive(Clone, Copy, Debug)]
struct StoreShelves {
    /// How many noons there were before the last movement.
    noons: Option<i64>,
    moved: u64,
    empty: u64,
}

/// The shelves of all stores, looked at each day at noon.
pub(crate) struct Stock {
    products: usize,
    shelves: Vec<Shelf>,
    stores: Vec<StoreShelves>,
    /// Empty shelves, and all that have moved, by day.
    noons: Days<(u64, u64)>,
    days: Option<(i32, i32)>,
    unloaded: u64,
    late: u64,
}

impl Stock {
    pub(crate) fn new(stores: usize, products: usize) -> Self {
        Self {
            products,
            shelves: vec![Shelf::Unmoved; stores * products],
            stores: vec![StoreShelves { noons: None, moved: 0, empty: 0 }; stores],
            noons: Days::new(),
            days: None,
            unloaded: 0,
            late: 0,
        }
    }

    /// An `inventory_updated` in a store.
    pub(crate) fn see(&mut self, event: &Event, store: usize, local: Local, places: &Places) {
        self.look_until(store, local);
        let number = |key| event.payload.get(key).and_then(Value::as_i64);
        let (Some(id), Some(balance)) = (number(PRODUCT_ID), number(QUANTITY_ON_HAND)) else {
            return;
        };
        let Some(product) = places.product(id) else { return };
        let place = &mut self.shelves[store * self.products + product];
        let counts = &mut self.stores[store];
        let source = event.payload.get(SOURCE).and_then(Value::as_text);
        if *place == Shelf::Unmoved {
            if source.is_some_and(|source| source == "OPENING_BALANCE") {
                return;
            }
            counts.moved += 1;
        }
        counts.empty -= u64::from(*place == Shelf::Empty);
        *place = if balance > 0 { Shelf::Stocked } else { Shelf::Empty };
        counts.empty += u64::from(*place == Shelf::Empty);
    }

    /// A `truck_departed`.
    pub(crate) fn see_truck(&mut self, event: &Event) {
        let minutes = event.payload.get(ACTUAL_UNLOAD_DURATION).and_then(Value::as_i64);
        self.unloaded += u64::from(minutes.is_some());
        self.late += u64::from(minutes.is_some_and(|minutes| minutes > UNLOAD_MINUTES_MAX));
    }

    /// Looks at a store's shelves at each noon that passed since its last movement.
    fn look_until(&mut self, store: usize, local: Local) {
        let noons = (local.0 - 12 * HOUR).div_euclid(DAY);
        let StoreShelves { noons: before, moved, empty } = &mut self.stores[store];
        for day in before.map_or(noons, |before| before + 1)..=noons {
            if *moved == 0 {
                continue;
            }
            let day = day as i32;
            if let Some((all_empty, all_moved)) = self.noons.entry(day, || (0, 0)) {
                *all_empty += *empty;
                *all_moved += *moved;
                let (first, last) = self.days.get_or_insert((day, day));
                (*first, *last) = ((*first).min(day), (*last).max(day));
            }
        }
        *before = Some(before.map_or(noons, |before| before.max(noons)));
    }

    pub(crate) fn bands(&self) -> [Band; 2] {
        let band = Band::new("out of stock at noon, % of what has moved in a store", 5.0..=11.0);
        let rate = |days: std::ops::RangeInclusive<i32>| {
            let looks = days.filter_map(|day| self.noons.get(day));
            let (empty, moved) = looks.fold((0, 0), |sum, day| (sum.0 + day.0, sum.1 + day.1));
            percent(empty, moved)
        };
        let out = match self.days {
            None => band.unmeasured("no stock moved before a noon"),
            Some((first, last)) => {
                let text = format!(
                    "{} days, first {:.1}, last {:.1}",
                    last - first + 1,
                    rate(first..=first),
                    rate(last..=last)
                );
                band.number(rate(first..=last), text)
            }
        };
        let late = Band::new("trucks that unload for over 75 minutes, %", UNBOUNDED)
            .number(percent(self.late, self.unloaded), format!("{} trucks", self.unloaded));
        [out, late]
    }
}
