//! Baskets: what a shopper takes from the shelves. How much follows from the trip, the format and
//! who shops; what from popularity, season, region and promotions; and from what is there.

use serde::{Deserialize, Serialize};

use super::stock::Place;
use crate::retail::cell::Cell;
use crate::retail::payload::{Amounts, Discount};
use crate::retail::promotions::Promotion;
use crate::retail::random::Random;
use crate::retail::schedule::Millis;
use crate::retail::world::{Department, Format, Segment, Tier};

/// The trips that are made to a store of each format: out of 100 how many, and the median number of
/// lines. The spread is the sigma of the logarithm.
const TRIPS: [&[(u32, f64)]; Format::ALL.len()] = [
    &[(24, 2.4), (50, 9.5), (26, 24.0)],
    &[(26, 2.4), (52, 9.5), (22, 22.0)],
    &[(70, 2.0), (30, 4.5)],
    &[(100, 1.9)],
];
const LINES_SIGMA: f64 = 0.5;
const LINES_MOST: f64 = 80.0;
/// How many times as many lines a segment buys, and a store of a tier sells, as another.
const LINES_OF_SEGMENT: [f64; Segment::ALL.len()] = [0.95, 1.3, 0.95, 0.7, 0.9];
const LINES_OF_TIER: [f64; Tier::ALL.len()] = [1.2, 1.08, 1.0, 0.85, 0.7];
/// Out of 100 lines, how many are of one piece, two, three, four, six: of what is used up, and of
/// all else.
const QUANTITIES: [u32; 5] = [1, 2, 3, 4, 6];
const QUANTITIES_USED_UP: [u32; 5] = [66, 22, 7, 3, 2];
const QUANTITIES_ELSE: [u32; 5] = [92, 7, 1, 0, 0];
/// How often a shopper takes something like it where the shelf is empty; else the sale is lost.
const SUBSTITUTES: f64 = 0.5;
/// How many pieces a receipt has in the mean, by format: what stores plan their stock with.
pub(super) const PIECES_PER_RECEIPT: [f64; Format::ALL.len()] = [15.0, 14.0, 3.4, 2.8];

/// A line of a basket; money in cents.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Line {
    /// The place in the world's list.
    pub(super) product: u32,
    pub(super) quantity: u32,
    pub(super) unit: i64,
    pub(super) discount: i64,
    /// Set where there is a discount.
    pub(super) promotion: Option<Promotion>,
}

impl Line {
    pub(super) fn gross(&self) -> i64 {
        self.unit * i64::from(self.quantity)
    }
}

/// What lines come to, with the tax of a place in hundredths of a percent.
pub(super) fn amounts(lines: &[Line], tax_rate: u32) -> Amounts {
    let mut amounts = Amounts::default();
    for line in lines {
        amounts.gross += line.gross();
        amounts.discount += line.discount;
    }
    amounts.set_tax(tax_rate.into());
    amounts
}

impl Cell {
    /// What a customer of a store takes, set aside from the stock of a place; nothing if nothing
    /// that they want is there.
    pub(super) fn fill_basket(
        &mut self,
        store: u32,
        customer: u32,
        place: Place,
        now: Millis,
    ) -> Vec<Line> {
        let it = &self.scene.world.stores[self.ground.stores[store as usize]];
        let (format, tier) = (it.format, it.tier);
        let segment = self.scene.world.customers[customer as usize].segment;
        // Taken out while it is drawn from, so that the rest of the cell is free to use.
        let mut random = self.shops[store as usize].baskets.clone();
        let wanted = lines_wanted(format, tier, segment, &mut random);
        let mut lines: Vec<Line> = Vec::with_capacity(wanted);
        for _ in 0..wanted {
            let Some(product) = self.want(store, format, place, &mut random) else { continue };
            if lines.iter().any(|line| line.product == product) {
                continue;
            }
            let line = self.line(store, product, &mut random);
            let quantity = line.quantity.min(self.reservable(place, product));
            if quantity == 0 {
                continue;
            }
            let line = Line { quantity, ..line }.discounted();
            self.reserve(place, product, quantity, now);
            lines.push(line);
        }
        self.shops[store as usize].baskets = random;
        lines
    }

    /// A product that is wanted and there, or something like it.
    fn want(
        &mut self,
        store: u32,
        format: Format,
        place: Place,
        random: &mut Random,
    ) -> Option<u32> {
        let shop = &self.shops[store as usize];
        let (week, weight) = (shop.today.promotion_week, shop.rates.promotions);
        let week = self.promotion_week(week);
        let assortment = self.scene.assortment(format);
        let (department, product) = if let Some(product) = week.draw(format, weight, random) {
            (self.scene.world.products[product as usize].department, product)
        } else {
            let departments = &self.shops[store as usize].today.departments;
            let department = assortment.draw_department(departments, random);
            (department, assortment.draw(department, random)?)
        };
        if self.available(place, product) > 0 {
            return Some(product);
        }
        if !random.chance(SUBSTITUTES) {
            return None;
        }
        let assortment = self.scene.assortment(format);
        let other = assortment.draw(department, random)?;
        (self.available(place, other) > 0).then_some(other)
    }

    /// As many pieces of a product as are wanted, and its promotion.
    fn line(&mut self, store: u32, product: u32, random: &mut Random) -> Line {
        let week = self.shops[store as usize].today.promotion_week;
        let promotion = self.promotion_week(week).of(product);
        let it = &self.scene.world.products[product as usize];
        let weights = match it.department {
            Department::Grocery | Department::Fresh | Department::Household => &QUANTITIES_USED_UP,
            _ => &QUANTITIES_ELSE,
        };
        let mut quantity = QUANTITIES[random.pick_weighted(weights)];
        if promotion.is_some_and(|it| it.discount == Discount::Bogo) {
            quantity = quantity.max(2);
        }
        Line { product, quantity, unit: it.price_cents.into(), discount: 0, promotion }
    }
}

impl Line {
    /// The line with what its promotion takes off; without it where that is nothing.
    fn discounted(mut self) -> Self {
        let quantity = i64::from(self.quantity);
        let off = self.promotion.map(|it| it.discount.of(self.unit, quantity));
        self.discount = off.unwrap_or(0);
        if self.discount == 0 {
            self.promotion = None;
        }
        self
    }
}

fn lines_wanted(format: Format, tier: Tier, segment: Segment, random: &mut Random) -> usize {
    let trips = TRIPS[format as usize];
    let mut rest = random.below(100);
    let trip = trips.iter().find(|(of_100, _)| {
        let found = rest < *of_100;
        rest = rest.saturating_sub(*of_100);
        found
    });
    let median = trip.map_or(1.0, |(_, median)| *median)
        * LINES_OF_SEGMENT[segment as usize]
        * LINES_OF_TIER[tier as usize];
    (random.lognormal(median, LINES_SIGMA) + 0.5).clamp(1.0, LINES_MOST) as usize
}
