//! Entries and receipts by store, local day and local hour: what most bands set other things
//! against.

use crate::days::Days;
use crate::places::Local;

/// What happened at a door or a till.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// A `customer_entered`: one shopper, or a group.
    Entry,
    /// A `receipt_created`.
    Receipt,
}

impl Deed {
    pub(crate) const ALL: [Self; 2] = [Self::Entry, Self::Receipt];

    /// What many of them are called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Entry => "entries",
            Self::Receipt => "receipts",
        }
    }
}

/// Counts of one local day, by [`Deed`] first.
struct Day {
    stores: [Vec<u32>; 2],
    hours: [[u64; 24]; 2],
}

/// Entries and receipts.
pub(crate) struct Traffic {
    stores: usize,
    days: Days<Day>,
}

impl Traffic {
    pub(crate) fn new(stores: usize) -> Self {
        Self { stores, days: Days::new() }
    }

    pub(crate) fn see(&mut self, deed: Deed, store: usize, local: Local) {
        let stores = self.stores;
        let none = || Day { stores: [vec![0; stores], vec![0; stores]], hours: [[0; 24]; 2] };
        if let Some(day) = self.days.entry(local.day(), none) {
            day.stores[deed as usize][store] += 1;
            day.hours[deed as usize][local.hour()] += 1;
        }
    }

    /// How often it happened in a store on a local day.
    pub(crate) fn of_store(&self, deed: Deed, store: usize, day: i32) -> u64 {
        self.days.get(day).map_or(0, |day| day.stores[deed as usize][store].into())
    }

    /// How often it happened on a local day, over all stores.
    pub(crate) fn of_day(&self, deed: Deed, day: i32) -> u64 {
        self.days.get(day).map_or(0, |day| day.hours[deed as usize].iter().sum())
    }

    /// How often it happened in each local hour of some days.
    pub(crate) fn by_hour(&self, deed: Deed, days: impl Iterator<Item = i32>) -> [u64; 24] {
        let mut hours = [0; 24];
        for day in days.filter_map(|day| self.days.get(day)) {
            for (sum, count) in hours.iter_mut().zip(day.hours[deed as usize]) {
                *sum += count;
            }
        }
        hours
    }
}
