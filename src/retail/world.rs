//! What exists in the simulated chain and does not change while it runs: places, trucks, products,
//! customers, campaigns. Generated from the seed, or read from the user's files.

mod files;
mod generate;
mod geographies;
mod kinds;

use std::ops::RangeInclusive;

use jiff::tz::TimeZone;

pub use files::{MasterFile, MasterFiles, MasterProblem};
pub use kinds::{Climate, Department, Format, MasterKind, Region, Segment, Tier, Weather};

/// How large a generated world is; ids go from 1 to these numbers, which are 1 or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Stores.
    pub stores: u32,
    /// Distribution centres.
    pub dcs: u32,
    /// Customers.
    pub customers: u32,
    /// Products.
    pub products: u32,
}

impl Default for Volume {
    fn default() -> Self {
        Self { stores: 214, dcs: 8, customers: 500_000, products: 10_000 }
    }
}

/// The master data of a chain. Records refer to each other by their place in these lists; their ids
/// are what events carry.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// Where places are, in the order in which distribution centres and then stores name them.
    pub geographies: Vec<Geography>,
    /// Distribution centres by their ids, at least one.
    pub dcs: Vec<Dc>,
    /// Stores by their ids, at least one.
    pub stores: Vec<Store>,
    /// Trucks by their numbers, each of the fleet of one distribution centre.
    pub trucks: Vec<Truck>,
    /// Products, at least one: department by department, the most popular first within each.
    pub products: Vec<Product>,
    /// Customers by their ids, at least one.
    pub customers: Vec<Customer>,
    /// Campaigns by their numbers, at least one on each channel.
    pub campaigns: Vec<Campaign>,
}

/// A town with its surroundings: one time zone, one climate, one tax rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Geography {
    /// What it is called.
    pub name: String,
    /// The sales region it is in.
    pub region: Region,
    /// What weather it has.
    pub climate: Climate,
    /// Its local time, daylight saving included.
    pub time_zone: TimeZone,
    /// Sales tax, in hundredths of a percent.
    pub tax_rate: u32,
}

/// A distribution centre: with its stores, trucks and customers it is a cell, and nothing crosses
/// cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dc {
    /// What events call it; above 0.
    pub id: u32,
    /// Its place in [`World::geographies`].
    pub geography: usize,
}

/// A store.
#[derive(Clone, Debug, PartialEq)]
pub struct Store {
    /// What events call it; above 0.
    pub id: u32,
    /// Its place in [`World::geographies`].
    pub geography: usize,
    /// The distribution centre that supplies it, by its place in [`World::dcs`].
    pub dc: usize,
    /// How much goes on in it.
    pub tier: Tier,
    /// What kind of store it is: its hours, assortment and baskets.
    pub format: Format,
    /// Its traffic against that of a mean medium store; above 0, and within the bounds of its tier
    /// where it is generated.
    pub volume: f64,
}

/// A truck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truck {
    /// Its number, from 1 to 9999; events call it `TRUCK_<4 digits>`.
    pub number: u32,
    /// The distribution centre it belongs to, by its place in [`World::dcs`].
    pub dc: usize,
}

/// A product.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Product {
    /// What events call it; above 0.
    pub id: u32,
    /// The department that sells it.
    pub department: Department,
    /// Its price before any discount, in cents; above 0.
    pub price_cents: u32,
    /// How often it is bought against the others of its department; above 0.
    pub popularity: f64,
    /// How many days it keeps; 0 where it does not spoil.
    pub shelf_life_days: u16,
}

/// A customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Customer {
    /// What events call it; above 0. Device ids follow from it.
    pub id: u32,
    /// The store they mostly go to, by its place in [`World::stores`].
    pub home: u32,
    /// How they shop.
    pub segment: Segment,
    /// Whether the stores' beacons know their device.
    pub has_beacon: bool,
}

/// An advertising campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Campaign {
    /// Its number, from 1.
    pub number: u32,
    /// Where its ads are shown, by place in [`enumerations::CHANNELS`](super::enumerations).
    pub channel: usize,
    /// What it is for.
    pub department: Department,
}

impl Campaign {
    /// How many creatives each campaign has.
    pub const CREATIVES: u32 = 6;

    /// The numbers of its creatives, which no other campaign has; events call them `CRE_<4 digits>`.
    pub fn creatives(&self) -> RangeInclusive<u32> {
        let last = self.number * Self::CREATIVES;
        last - Self::CREATIVES + 1..=last
    }
}
