//! What is fixed about stores, products and baskets: derived from the seed by hashing, never kept.

use serde::{Deserialize, Serialize};

use super::memory::{at_most, place_in};
use crate::event::mix;
use crate::retail::payload::{Amounts, Discount, whole};
use crate::retail::random::zipf_rank;
use crate::retail::world::Volume;

/// Tiers of stores: out of a hundred stores how many, their traffic against the mean, and the
/// median number of lines of a receipt. (Flagship, high, medium, low, kiosk.)
const TIERS: [(u64, f64, u32); 5] =
    [(5, 2.75, 10), (15, 2.1, 9), (50, 1.0, 7), (25, 0.55, 4), (5, 0.3, 2)];
/// Lines of a receipt in percent of the median, from the 16th-quantiles of a lognormal with a sigma
/// of 0.75: the tail is heavy.
const SPREAD: [u32; 16] = [25, 37, 47, 56, 65, 74, 84, 94, 106, 119, 135, 155, 179, 213, 268, 404];
const LINES_MAX: u32 = 60;

/// Codes and what they do.
pub(super) const PROMOTIONS: [(&str, Discount); 6] = [
    ("SAVE10", Discount::Percentage(10)),
    ("SAVE15", Discount::Percentage(15)),
    ("SAVE20", Discount::Percentage(20)),
    ("HALFOFF", Discount::Percentage(50)),
    ("DOLLAROFF", Discount::FixedAmount(100)),
    ("BOGO", Discount::Bogo),
];

/// What is bought at once: its lines follow from the key.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Basket {
    pub(super) key: u64,
    #[serde(deserialize_with = "at_most::<LINES_MAX, _>")]
    pub(super) lines: u32,
    /// The place in [`PROMOTIONS`].
    #[serde(deserialize_with = "place_in::<{ PROMOTIONS.len() }, _, _>")]
    pub(super) promotion: Option<usize>,
}

/// A line of a basket, in cents.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) product: u32,
    pub(super) quantity: u32,
    #[serde(deserialize_with = "whole")]
    pub(super) unit: i64,
    #[serde(deserialize_with = "whole")]
    pub(super) discount: i64,
}

impl Line {
    pub(super) fn gross(&self) -> i64 {
        self.unit * i64::from(self.quantity)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Catalog {
    salt: u64,
    volume: Volume,
    /// Steps from rank to rank over the product ids; shares no factor with their number, so that
    /// every rank has a product.
    stride: u64,
}

impl Catalog {
    pub(super) fn new(salt: u64, volume: Volume) -> Self {
        let products = u64::from(volume.products);
        let golden = (products * 618 / 1000).max(1);
        let stride =
            (golden..=golden + products).find(|stride| coprime(*stride, products)).unwrap_or(1);
        Self { salt, volume, stride }
    }

    /// The store's traffic against the mean.
    pub(super) fn traffic(&self, store: u32) -> f64 {
        self.tier(store).1
    }

    /// The centre that supplies a store.
    pub(super) fn dc_of(&self, store: u32) -> u32 {
        (store - 1) % self.volume.dcs + 1
    }

    /// A basket of a store, from a random key.
    pub(super) fn basket(&self, store: u32, key: u64, promotion: Option<usize>) -> Basket {
        let spread = SPREAD[(mix(key) >> 60) as usize];
        let lines = (self.tier(store).2 * spread / 100).clamp(1, LINES_MAX);
        Basket { key, lines, promotion }
    }

    /// A line of a basket, from 1. The first is discounted in any case where there is a promotion,
    /// and one in three of the others.
    pub(super) fn line(&self, basket: &Basket, number: u32) -> Line {
        let hash = mix(basket.key ^ u64::from(number));
        let product = self.product(mix(hash));
        let unit = self.price(product);
        let promotion = basket.promotion.filter(|_| number == 1 || hash.is_multiple_of(3));
        let discount = promotion.map(|place| PROMOTIONS[place].1);
        let quantity = match (hash >> 8) % 100 {
            _ if discount == Some(Discount::Bogo) => 2,
            0..74 => 1,
            74..90 => 2,
            90..96 => 3,
            96..98 => 4,
            _ => 6,
        };
        let discount = discount.map_or(0, |discount| discount.of(unit, quantity.into()));
        Line { product, quantity, unit, discount }
    }

    pub(super) fn lines(&self, basket: &Basket) -> impl Iterator<Item = Line> {
        (1..=basket.lines).map(|number| self.line(basket, number))
    }

    /// What a basket comes to with the tax of a place, which is on the discounted amount.
    pub(super) fn amounts(&self, basket: &Basket, place: u32) -> Amounts {
        let mut amounts = Amounts::default();
        for line in self.lines(basket) {
            amounts.gross += line.gross();
            amounts.discount += line.discount;
        }
        // From 0 to 9.5 %, in hundredths of a percent.
        let rate = (mix(self.salt ^ u64::from(place)) % 951) as i64;
        amounts.set_tax(rate);
        amounts
    }

    /// A product by its popularity.
    pub(super) fn product(&self, bits: u64) -> u32 {
        let products = self.volume.products;
        let rank = zipf_rank(bits, products);
        (u64::from(rank) * self.stride % u64::from(products)) as u32 + 1
    }

    /// The price of a product in cents: mostly a few units of money, seldom hundreds.
    fn price(&self, product: u32) -> i64 {
        let hash = mix(self.salt.rotate_left(17) ^ u64::from(product));
        let upto = |most: u64| (hash >> 16) % most;
        let whole = match hash % 100 {
            0..80 => upto(10),
            80..97 => 10 + upto(30),
            _ => 40 + upto(200),
        };
        let ending = [99, 49, 95, 29][(hash >> 48) as usize % 4];
        (whole * 100 + ending) as i64
    }

    /// At how many pieces or fewer a product is reordered.
    pub(super) fn reorder_point(&self, product: u32) -> i64 {
        10 + (mix(self.salt ^ (u64::from(product) << 20)) % 21) as i64
    }

    fn tier(&self, store: u32) -> (u64, f64, u32) {
        let mut rest = mix(self.salt.rotate_left(31) ^ u64::from(store)) % 100;
        for tier in TIERS {
            if rest < tier.0 {
                return tier;
            }
            rest -= tier.0;
        }
        TIERS[2]
    }
}

fn coprime(mut one: u64, mut two: u64) -> bool {
    while two > 0 {
        (one, two) = (two, one % two);
    }
    one == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_product_can_be_drawn() {
        for products in [1, 2, 10, 1000] {
            let catalog = Catalog::new(1, Volume { products, ..Volume::default() });
            let drawn: HashSet<u32> = (0..200_000).map(|bits| catalog.product(mix(bits))).collect();
            assert_eq!(drawn.len(), products as usize);
            assert!(drawn.iter().all(|product| (1..=products).contains(product)));
        }
    }

    #[test]
    fn a_discount_is_above_nothing_and_at_most_the_price() {
        let catalog = Catalog::new(1, Volume::default());
        for key in 0..2_000 {
            let basket = catalog.basket(1, mix(key), Some(key as usize % PROMOTIONS.len()));
            assert!(catalog.line(&basket, 1).discount > 0);
            assert!(catalog.lines(&basket).all(|line| line.discount <= line.gross()));
        }
    }

    #[test]
    fn baskets_have_a_median_near_that_of_their_tier_and_a_heavy_tail() {
        let catalog = Catalog::new(1, Volume::default());
        let store = (1..1000).find(|store| catalog.tier(*store).2 == 10).unwrap();
        let mut sizes: Vec<u32> =
            (0..10_000).map(|key| catalog.basket(store, mix(key), None).lines).collect();
        sizes.sort_unstable();
        assert!((9..=11).contains(&sizes[5_000]), "{}", sizes[5_000]);
        assert!(sizes[9_900] >= 30, "{}", sizes[9_900]);
    }
}
