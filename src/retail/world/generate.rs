//! A world from a seed. Each record has random numbers of its own, so that one kind's volume changes
//! no record of another, and what is left out of a user's files can be filled in by id.

mod products;

use std::collections::HashMap;

use super::geographies::{Geographies, town, towns_of};
use super::{
    Campaign, Customer, Dc, Department, Format, Region, Segment, Store, Tier, Truck, Volume, World,
};
use crate::retail::enumerations::CHANNELS;
use crate::retail::random::{Alias, Random};

pub(super) use products::{fill_popularity, in_order_of_popularity, products, shelf_life_of};

/// Truck numbers have four digits.
pub(super) const TRUCKS_MAX: u32 = 9_999;
/// How many campaigns there are: as many on each channel.
const CAMPAIGNS: u32 = 45;
/// Out of a hundred customers how many are of each of [`Segment::ALL`].
const SEGMENTS: [u32; 5] = [26, 28, 14, 18, 14];
/// Out of a hundred customers how many have a device that beacons know.
const BEACONS: u32 = 30;

/// What random numbers are for.
#[derive(Clone, Copy)]
enum Stream {
    Dcs = 1,
    Stores = 2,
    Tiers = 3,
    Volumes = 4,
    Prices = 5,
    Ranks = 6,
    ShelfLives = 7,
    Homes = 8,
    Segments = 9,
    Beacons = 10,
    Campaigns = 11,
    Taxes = 12,
}

impl Stream {
    /// Keeps these streams apart from all others of a seed.
    const MASTER_DATA: u64 = 0xda7a << 48;

    /// The random numbers of a record.
    fn of(self, seed: u64, id: u32) -> Random {
        Random::new(seed, Self::MASTER_DATA | ((self as u64) << 32) | u64::from(id))
    }
}

impl World {
    /// The world of a seed: the same on every machine. Numbers below 1 in `volume` count as 1.
    pub fn generate(seed: u64, volume: Volume) -> Self {
        let mut geographies = Geographies::default();
        let mut dcs = dcs(seed, volume.dcs, &mut geographies);
        let mut stores = stores(seed, volume.stores, &dcs, &mut geographies);
        Self {
            geographies: geographies.in_order_of_use(&mut dcs, &mut stores),
            trucks: trucks(&dcs, &stores),
            products: products(seed, volume.products),
            customers: customers(seed, volume.customers, &stores),
            campaigns: campaigns(seed),
            dcs,
            stores,
        }
    }
}

/// Distribution centres, over the regions in turn, and over the towns of each.
pub(super) fn dcs(seed: u64, count: u32, geographies: &mut Geographies) -> Vec<Dc> {
    let regions = Region::ALL.len();
    let places = (0..count.max(1)).map(|place| {
        let turn = place as usize / regions;
        let towns = towns_of(Region::ALL[place as usize % regions]);
        let first = Stream::Dcs.of(seed, place % regions as u32).below(towns.len() as u32);
        (place + 1, towns[(first as usize + turn) % towns.len()])
    });
    places.map(|(id, place)| Dc { id, geography: geographies.place_of(town(place)) }).collect()
}

/// Stores, dealt to the distribution centres in turn; each in a town of its centre's region.
pub(super) fn stores(
    seed: u64,
    count: u32,
    dcs: &[Dc],
    geographies: &mut Geographies,
) -> Vec<Store> {
    let towns = Region::ALL.iter().map(|region| towns_of(*region)).collect::<Vec<_>>();
    // Formats are dealt for each region and tier, so that every region gets its mix.
    let mut formats = HashMap::new();
    let mut store = |id: u32, tier| {
        let dc = (id - 1) as usize % dcs.len();
        let region = geographies.region(dcs[dc].geography);
        let town = town(Stream::Stores.of(seed, id).pick(&towns[region as usize]));
        let formats =
            formats.entry((region, tier)).or_insert_with(|| Deal::new(format_shares(tier)));
        Store {
            id,
            geography: geographies.place_of(town),
            dc,
            tier,
            format: Format::ALL[formats.next()],
            volume: volume_of(seed, id, tier),
        }
    };
    (1..).zip(tiers(seed, count.max(1))).map(|(id, tier)| store(id, tier)).collect()
}

/// Out of a hundred stores how many are of a tier, and the bounds of its traffic in thousandths of
/// the mean.
fn tier_bounds(tier: Tier) -> (u32, i64, i64) {
    match tier {
        // Within the bounds that a tier has against the mean store, and such that the mean is 1.
        Tier::Flagship => (5, 2_550, 2_850),
        Tier::High => (15, 1_850, 2_100),
        Tier::Medium => (50, 820, 960),
        Tier::Low => (25, 420, 520),
        Tier::Kiosk => (5, 285, 330),
    }
}

/// A tier for each store: their shares are as exact as the count allows, their order is random.
fn tiers(seed: u64, count: u32) -> Vec<Tier> {
    let mut deal = Deal::new(Tier::ALL.iter().map(|tier| tier_bounds(*tier).0));
    let mut tiers: Vec<Tier> = (0..count).map(|_| Tier::ALL[deal.next()]).collect();
    let mut random = Stream::Tiers.of(seed, 0);
    // Fisher and Yates.
    for place in (1..tiers.len()).rev() {
        tiers.swap(place, random.below(place as u32 + 1) as usize);
    }
    tiers
}

/// Out of a hundred stores of a tier how many are of each of [`Format::ALL`].
fn format_shares(tier: Tier) -> [u32; 4] {
    match tier {
        Tier::Flagship => [100, 0, 0, 0],
        Tier::High => [40, 35, 25, 0],
        Tier::Medium => [5, 60, 30, 5],
        Tier::Low => [0, 40, 0, 60],
        Tier::Kiosk => [0, 0, 0, 100],
    }
}

/// Deals things to shares, so that each has what is due to it at any time (Webster's method of
/// apportionment). The largest share is the first to get one.
struct Deal {
    /// The shares, and how much each was dealt.
    shares: Vec<(u64, u64)>,
}

impl Deal {
    /// At least one share is above 0.
    fn new(shares: impl IntoIterator<Item = u32>) -> Self {
        Self { shares: shares.into_iter().map(|share| (u64::from(share), 0)).collect() }
    }

    /// Whose turn it is, by place: of the largest quotient of share and twice what was dealt and one.
    fn next(&mut self) -> usize {
        let at_least = |(share, dealt): (u64, u64), (other, others): (u64, u64)| {
            share * (2 * others + 1) >= other * (2 * dealt + 1)
        };
        let best = |one: usize, two: usize| {
            if at_least(self.shares[one], self.shares[two]) { one } else { two }
        };
        let next = (1..self.shares.len()).fold(0, best);
        self.shares[next].1 += 1;
        next
    }
}

/// A store's traffic against the mean, in steps of a thousandth.
pub(super) fn volume_of(seed: u64, id: u32, tier: Tier) -> f64 {
    let (_, low, high) = tier_bounds(tier);
    Stream::Volumes.of(seed, id).between(low, high) as f64 / 1_000.0
}

/// The sales tax of a distribution centre that does not say: that of a town of its region.
pub(super) fn tax_rate_of(seed: u64, dc: u32, region: Region) -> u32 {
    town(Stream::Taxes.of(seed, dc).pick(&towns_of(region))).tax_rate
}

/// A fleet for each distribution centre: a truck for every two stores and two more. Where that
/// would be more than there are numbers, the largest fleets are cut; with more centres than numbers,
/// the last ones have none.
pub(super) fn trucks(dcs: &[Dc], stores: &[Store]) -> Vec<Truck> {
    let mut served = vec![0_u32; dcs.len()];
    for store in stores {
        served[store.dc] += 1;
    }
    let wished: Vec<u32> = served.iter().map(|stores| stores.div_ceil(2) + 2).collect();
    let rounds = wished.iter().copied().max().unwrap_or_default();
    let wishing = |round| wished.iter().enumerate().filter(move |(_, fleet)| **fleet > round);
    let dealt = (0..rounds).flat_map(wishing).map(|(dc, _)| dc);
    let mut owners: Vec<usize> = dealt.take(TRUCKS_MAX as usize).collect();
    owners.sort_unstable();
    (1..).zip(owners).map(|(number, dc)| Truck { number, dc }).collect()
}

/// Customers, each at home in a store: the more traffic, the more of them.
pub(super) fn customers(seed: u64, count: u32, stores: &[Store]) -> Vec<Customer> {
    let volumes: Vec<f64> = stores.iter().map(|store| store.volume).collect();
    let homes = Alias::new(&volumes);
    let customer = |id| Customer {
        id,
        home: homes.draw(&mut Stream::Homes.of(seed, id)) as u32,
        segment: segment_of(seed, id),
        has_beacon: has_beacon(seed, id),
    };
    (1..=count.max(1)).map(customer).collect()
}

/// How a customer shops.
pub(super) fn segment_of(seed: u64, customer: u32) -> Segment {
    Segment::ALL[Stream::Segments.of(seed, customer).pick_weighted(&SEGMENTS)]
}

/// Whether beacons know a customer's device.
pub(super) fn has_beacon(seed: u64, customer: u32) -> bool {
    Stream::Beacons.of(seed, customer).below(100) < BEACONS
}

/// Campaigns: over the channels in turn, each for a department.
pub(super) fn campaigns(seed: u64) -> Vec<Campaign> {
    let campaign = |number: u32| Campaign {
        number,
        channel: (number - 1) as usize % CHANNELS.len(),
        department: Stream::Campaigns.of(seed, number).pick(Department::ALL),
    };
    (1..=CAMPAIGNS).map(campaign).collect()
}

#[cfg(test)]
mod tests;
