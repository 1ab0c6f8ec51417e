//! What a factory remembers, for another one of the same settings to go on from. What follows from
//! the settings (the catalog, the stores' traffic) is not in it.

use serde::{Deserialize, Deserializer, Serialize, de};

use super::checkout::{Receipt, Sold};
use super::floor::Visit;
use super::incidents::Trouble;
use super::online::Order;
use super::operations::{Hours, Truck};
use super::recent::Recent;
use super::stock::{Balance, Low};
use super::{EventFactory, Random};
use crate::retail::payload::Lead;

/// The largest sequence; ids are counted on from it.
const SEQUENCE_MAX: u64 = 1 << 62;

/// A copy of a factory's memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactoryState {
    random: Random,
    trace_ids: u64,
    sequence: u64,
    receipts: Recent<Receipt>,
    sold: Recent<Sold>,
    visits: Recent<Visit>,
    stock: Vec<Balance>,
    empty: Recent<Low>,
    low: Recent<Low>,
    yard: Recent<Truck>,
    leads: Recent<Lead>,
    orders: Recent<Order>,
    troubles: Recent<Trouble>,
    hours: Vec<Hours>,
}

impl EventFactory {
    /// All that the factory remembers now.
    pub fn state(&self) -> FactoryState {
        FactoryState {
            random: self.random.clone(),
            trace_ids: self.trace_ids.counter(),
            sequence: self.sequence,
            receipts: self.receipts.clone(),
            sold: self.sold.clone(),
            visits: self.visits.clone(),
            stock: self.stock.balances(),
            empty: self.empty.clone(),
            low: self.low.clone(),
            yard: self.yard.clone(),
            leads: self.leads.clone(),
            orders: self.orders.clone(),
            troubles: self.troubles.clone(),
            hours: self.hours.clone(),
        }
    }

    /// Goes on from what a factory of the same seed and volume remembered: the same events follow.
    ///
    /// # Errors
    /// If the memory is of a world with another number of stores, or of no factory at all.
    pub fn restore(&mut self, state: FactoryState) -> Result<(), String> {
        let (stores, known) = (self.hours.len(), state.hours.len());
        if known != stores {
            return Err(format!("it knows {known} stores, and the world has {stores}"));
        }
        if state.sequence > SEQUENCE_MAX {
            return Err(format!("`{}` is no number of an id", state.sequence));
        }
        self.random = state.random;
        self.trace_ids.go_on_from(state.trace_ids);
        self.sequence = state.sequence;
        self.receipts = state.receipts;
        self.sold = state.sold;
        self.visits = state.visits;
        self.stock.book(state.stock);
        self.empty = state.empty;
        self.low = state.low;
        self.yard = state.yard;
        self.leads = state.leads;
        self.orders = state.orders;
        self.troubles = state.troubles;
        self.hours = state.hours;
        Ok(())
    }
}

/// A place in a table of `LEN` rows, or none where there may be none.
pub(super) fn place_in<'de, const LEN: usize, D, P>(deserializer: D) -> Result<P, D::Error>
where
    D: Deserializer<'de>,
    P: Deserialize<'de> + Copy + Into<Option<usize>>,
{
    let place = P::deserialize(deserializer)?;
    match place.into() {
        Some(row) if row >= LEN => {
            Err(de::Error::custom(format!("`{row}` is no row of a table of {LEN}")))
        }
        _ => Ok(place),
    }
}

/// A number up to `MAX`.
pub(super) fn at_most<'de, const MAX: u32, D>(deserializer: D) -> Result<u32, D::Error>
where
    D: Deserializer<'de>,
{
    match u32::deserialize(deserializer)? {
        number if number > MAX => Err(de::Error::custom(format!("`{number}` is above {MAX}"))),
        number => Ok(number),
    }
}
