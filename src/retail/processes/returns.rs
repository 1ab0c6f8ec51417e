//! Returns: some of what was sold comes back, mostly within days, while the store is open.

use serde::{Deserialize, Serialize};

use super::stock::{Cause, Movement, Place, Reason};
use crate::retail::cell::Cell;
use crate::retail::schedule::{DAY, HOUR, Millis, Task};
use crate::retail::world::Department;

/// How often a line comes back.
const OF_CLOTHING: f64 = 0.08;
const OF_DEVICES: f64 = 0.05;
const OF_THE_REST: f64 = 0.008;
/// How long it takes in the mean, and at most.
const AFTER: f64 = 4.0 * DAY as f64;
const AFTER_MOST: Millis = 30 * DAY;

/// Something that is going to be brought back.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(in crate::retail) struct PendingReturn {
    store: u32,
    product: u32,
    quantity: u32,
}

impl Cell {
    /// Decides whether a line that was sold comes back.
    pub(super) fn plan_return(&mut self, store: u32, product: u32, quantity: u32, now: Millis) {
        let often = match self.scene.world.products[product as usize].department {
            Department::Clothing => OF_CLOTHING,
            Department::Electronics | Department::Toys => OF_DEVICES,
            _ => OF_THE_REST,
        };
        let random = &mut self.shops[store as usize].returns;
        if !random.chance(often) {
            return;
        }
        let wait = HOUR + ((random.exponential() * AFTER) as Millis).min(AFTER_MOST);
        let slot = self.returns.insert(PendingReturn { store, product, quantity }) as u32;
        self.schedule.at(now + wait, Task::Return(slot));
    }

    pub(in crate::retail) fn bring_back(&mut self, slot: u32, now: Millis) {
        let Some(PendingReturn { store, product, quantity }) = self.returns.get(slot as usize)
        else {
            return;
        };
        let (store, product, quantity) = (*store, *product, *quantity);
        let shop = &mut self.shops[store as usize];
        if !shop.is_open {
            let wait = shop.returns.between(HOUR, 4 * HOUR);
            self.schedule.at(now + wait, Task::Return(slot));
            return;
        }
        self.returns.remove(slot as usize);
        let delta = quantity.into();
        let movement = Movement { delta, reason: Reason::Return, source: Some("RETURNS_DESK") };
        self.book(Place::Store(store), product, movement, Cause::default(), now);
    }
}
