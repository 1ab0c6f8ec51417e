use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::retail::world::Product;

/// A world without more customers than a test looks at.
fn world(seed: u64) -> World {
    World::generate(seed, Volume { customers: 20_000, ..Volume::default() })
}

/// How many of them there are by kind.
fn counts<T, K: Ord>(all: &[T], kind: impl Fn(&T) -> K) -> BTreeMap<K, usize> {
    all.iter().fold(BTreeMap::new(), |mut counts, one| {
        *counts.entry(kind(one)).or_default() += 1;
        counts
    })
}

fn check_references(world: &World, volume: Volume) {
    assert_eq!(world.stores.len(), volume.stores as usize);
    assert_eq!(world.dcs.len(), volume.dcs as usize);
    assert_eq!(world.products.len(), volume.products as usize);
    assert_eq!(world.customers.len(), volume.customers as usize);
    assert!((1..).zip(&world.stores).all(|(id, store)| store.id == id));
    assert!((1..).zip(&world.dcs).all(|(id, dc)| dc.id == id));
    assert!((1..).zip(&world.customers).all(|(id, customer)| customer.id == id));
    assert!((1..).zip(&world.trucks).all(|(number, truck)| truck.number == number));
    let ids: HashSet<u32> = world.products.iter().map(|product| product.id).collect();
    assert_eq!(ids, (1..=volume.products).collect());
    for store in &world.stores {
        let (_, low, high) = tier_bounds(store.tier);
        assert!((low as f64..=high as f64).contains(&(store.volume * 1_000.0).round()));
        let [place, dc] =
            [store.geography, world.dcs[store.dc].geography].map(|place| &world.geographies[place]);
        assert_eq!(place.region, dc.region);
    }
    assert!(world.trucks.iter().all(|truck| truck.dc < world.dcs.len()));
    assert!(world.customers.iter().all(|customer| (customer.home as usize) < world.stores.len()));
    assert!(world.products.iter().all(|product| product.price_cents > 0));
    assert!(world.products.iter().all(|product| product.popularity > 0.0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_world_of_any_volume_holds_together(
        seed: u64, stores in 1_u32..300, dcs in 1_u32..40, customers in 1_u32..500,
        products in 1_u32..500,
    ) {
        let volume = Volume { stores, dcs, customers, products };
        check_references(&World::generate(seed, volume), volume);
    }
}

#[test]
fn a_world_of_one_of_everything_is_a_grocery_in_a_medium_store() {
    let one = Volume { stores: 1, dcs: 1, customers: 1, products: 1 };
    let world = World::generate(3, one);
    check_references(&world, one);
    assert_eq!(world.products[0].department, Department::Grocery);
    assert_eq!(world.stores[0].tier, Tier::Medium);
    assert_eq!(world.trucks.len(), 3);
}

#[test]
fn worlds_of_extreme_proportions_hold_together() {
    for (stores, dcs) in [(2_000, 8), (3, 50), (50_000, 2), (5, 12_000)] {
        let volume = Volume { stores, dcs, customers: 50, products: 20 };
        let world = World::generate(9, volume);
        check_references(&world, volume);
        assert!(world.trucks.len() <= TRUCKS_MAX as usize);
        let trucks = counts(&world.trucks, |truck| truck.dc);
        let with_stores = counts(&world.stores, |store| store.dc);
        assert!(
            with_stores.keys().all(|dc| trucks.contains_key(dc)),
            "a fleet for each that serves"
        );
    }
}

#[test]
fn a_seed_gives_one_world_and_another_seed_another() {
    let volume = Volume { customers: 500, products: 300, ..Volume::default() };
    let one = World::generate(1, volume);
    assert_eq!(one, World::generate(1, volume));
    let other = World::generate(2, volume);
    assert_ne!(one.stores, other.stores);
    assert_ne!(one.products, other.products);
    assert_ne!(one.customers, other.customers);
}

#[test]
fn the_volume_of_one_kind_changes_no_other() {
    let volume = Volume { stores: 20, dcs: 4, customers: 300, products: 200 };
    let small = World::generate(1, volume);
    let large = World::generate(1, Volume { customers: 900, products: 500, ..volume });
    assert_eq!(small.stores, large.stores);
    assert_eq!(small.customers, large.customers[..300]);
    let prices = |world: &World| -> BTreeMap<u32, (Department, u32)> {
        let price = |product: &Product| (product.id, (product.department, product.price_cents));
        world.products.iter().map(price).filter(|(id, _)| *id <= 200).collect()
    };
    assert_eq!(prices(&small), prices(&large));
    let wide = World::generate(1, Volume { stores: 40, ..volume });
    assert_eq!(small.products, wide.products);
}

#[test]
fn places_are_spread_over_regions_and_stores_evenly_over_centres() {
    let world = world(1);
    let regions = counts(&world.dcs, |dc| world.geographies[dc.geography].region);
    assert_eq!(regions.len(), Region::ALL.len());
    let stores = counts(&world.stores, |store| store.dc);
    assert!(stores.values().all(|stores| [26, 27].contains(stores)), "{stores:?}");
    assert!(world.geographies.len() >= 20, "{}", world.geographies.len());
}

#[test]
fn tiers_have_their_shares_and_volumes_differ() {
    for seed in 1..=3 {
        let world = world(seed);
        let tiers = counts(&world.stores, |store| store.tier);
        assert_eq!(tiers.into_values().collect::<Vec<_>>(), [11, 32, 107, 53, 11]);
        let volumes: Vec<f64> = world.stores.iter().map(|store| store.volume).collect();
        let mean = volumes.iter().sum::<f64>() / volumes.len() as f64;
        let variance = volumes.iter().map(|volume| (volume - mean) * (volume - mean)).sum::<f64>()
            / volumes.len() as f64;
        assert!(variance.sqrt() / mean >= 0.5, "seed {seed}: {}", variance.sqrt() / mean);
    }
}

#[test]
fn every_region_has_all_formats_in_a_chain_of_the_default_size() {
    for seed in 1..=20 {
        let world = world(seed);
        let formats = counts(&world.stores, |store| {
            (world.geographies[store.geography].region, store.format)
        });
        assert_eq!(formats.len(), Region::ALL.len() * Format::ALL.len(), "{formats:?}");
    }
}

#[test]
fn popularity_follows_zipf_over_all_products() {
    for seed in 1..=3 {
        let mut units: Vec<f64> =
            world(seed).products.iter().map(|product| product.popularity).collect();
        units.sort_by(|one, other| other.total_cmp(one));
        let all: f64 = units.iter().sum();
        let upper = units[..2_000].iter().sum::<f64>() / all;
        assert!((0.65..0.85).contains(&upper), "the upper fifth gets {upper}");
        // Least squares of the logarithms.
        let points = || (1..).zip(&units).map(|(rank, units)| (f64::from(rank).ln(), units.ln()));
        let count = units.len() as f64;
        let mean_x = points().map(|(x, _)| x).sum::<f64>() / count;
        let mean_y = points().map(|(_, y)| y).sum::<f64>() / count;
        let covariance: f64 = points().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
        let slope = -covariance / points().map(|(x, _)| (x - mean_x) * (x - mean_x)).sum::<f64>();
        assert!((0.8..1.1).contains(&slope), "slope {slope}");
    }
}

#[test]
fn products_are_typical_of_their_departments() {
    let products = world(1).products;
    let share = counts(&products, |product| product.department);
    assert_eq!(
        share.into_values().collect::<Vec<_>>(),
        [2_600, 1_400, 1_300, 1_200, 900, 1_400, 600, 600]
    );
    let prices = |department| {
        let of_department = products.iter().filter(|product| product.department == department);
        let mut prices: Vec<u32> = of_department.map(|product| product.price_cents).collect();
        prices.sort_unstable();
        (prices[prices.len() / 2], prices[prices.len() - 1])
    };
    let (median, _) = prices(Department::Grocery);
    assert!((300..450).contains(&median), "{median}");
    let (median, highest) = prices(Department::Electronics);
    assert!((5_000..7_000).contains(&median), "{median}");
    assert!((90_000..=150_000).contains(&highest), "{highest}");
    for product in &products {
        let spoils = (2..=14).contains(&product.shelf_life_days);
        assert_eq!(spoils, product.department == Department::Fresh, "{product:?}");
    }
    let ranked = products.windows(2).filter(|pair| pair[0].department == pair[1].department);
    assert!(ranked.into_iter().all(|pair| pair[0].popularity >= pair[1].popularity));
}

#[test]
fn customers_have_their_shares_and_live_near_busy_stores() {
    let world = world(1);
    let count = world.customers.len();
    let near = |counted: usize, percent: u32| {
        let share = counted as f64 / count as f64 * 100.0;
        assert!((share - f64::from(percent)).abs() < 1.5, "{share} % for {percent} %");
    };
    let segments = counts(&world.customers, |customer| customer.segment);
    for (counted, share) in segments.into_values().zip(SEGMENTS) {
        near(counted, share);
    }
    near(world.customers.iter().filter(|customer| customer.has_beacon).count(), BEACONS);
    let tiers = counts(&world.customers, |customer| world.stores[customer.home as usize].tier);
    // 107 medium stores at 1.0 and 11 flagships at 2.75 of a sum of about 238.
    near(tiers[&Tier::Medium], 45);
    near(tiers[&Tier::Flagship], 13);
}

#[test]
fn campaigns_use_every_channel_and_creatives_of_their_own() {
    let campaigns = world(1).campaigns;
    assert_eq!(counts(&campaigns, |campaign| campaign.channel).len(), CHANNELS.len());
    let creatives: Vec<u32> = campaigns.iter().flat_map(Campaign::creatives).collect();
    assert_eq!(creatives, (1..=270).collect::<Vec<_>>());
}

#[test]
fn a_customer_takes_no_more_than_twelve_bytes() {
    assert!(size_of::<Customer>() <= 12);
}

#[test]
fn a_world_is_the_same_on_every_machine() {
    let world = world(42);
    let product = world.products[0];
    assert_eq!((product.id, product.price_cents), (8_736, 295));
    assert_eq!(product.popularity.to_bits(), 4_585_526_107_097_994_801);
    let segment = Segment::Senior;
    assert_eq!(world.customers[0], Customer { id: 1, home: 145, segment, has_beacon: false });
    let store = &world.stores[0];
    assert_eq!((store.tier, store.format), (Tier::Medium, Format::Supermarket));
    assert_eq!(store.volume.to_bits(), 0.901_f64.to_bits());
    assert_eq!(world.geographies[store.geography].name, "Pittsburgh");
}
