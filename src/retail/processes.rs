//! What goes on in a cell: a file for each process, each with what it remembers.

mod baskets;
mod checkout;
mod disruptions;
mod footfall;
mod marketing;
mod online;
mod replenishment;
mod returns;
mod stock;
mod trading_hours;
mod upkeep;
mod visits;

pub(super) use checkout::Sale;
pub(super) use disruptions::Disruptions;
pub(super) use marketing::Marketing;
pub(super) use online::{OnlineOrder, Ordering};
pub(super) use replenishment::Replenishment;
pub(super) use returns::PendingReturn;
pub(super) use stock::Stock;
pub(super) use trading_hours::Shop;
pub(super) use visits::Visit;

use super::random::Random;
use crate::event::mix;

/// What a stream of random numbers is for: each process of each store has one of its own, so that
/// none disturbs another.
#[derive(Clone, Copy)]
enum Stream {
    Hours = 1,
    Footfall,
    Visits,
    Baskets,
    Checkout,
    Returns,
    Upkeep,
    Replenishment,
    Marketing,
    Ordering,
}

/// The stream of a process of a store or centre, by its place in the world.
fn stream(seed: u64, process: Stream, entity: usize) -> Random {
    Random::new(seed ^ mix(process as u64), entity as u64)
}
