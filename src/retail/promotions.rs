//! The promotional calendar: which products are cheaper in a week, and how much more of them is
//! bought. It follows from the seed and the week alone, so all stores agree on it.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use super::assortment::Assortment;
use super::calendar;
use super::payload::Discount;
use super::random::{Alias, Random};
use super::schedule::date_of;
use super::world::Format;
use crate::event::{Text, mix};

/// How many promotions an ordinary week has.
const ORDINARY: f64 = 6.0;
/// How many products are in a promotion: one in so many.
const ONE_IN: usize = 250;
/// Discounts, the factor by which they raise demand, and how often each is chosen of 100. The
/// factors follow a price elasticity of -3.7, (1 / (1 - discount))^3.7, and no more than 3.2; what
/// is left of them behind empty shelves and full baskets is less: 1.5 to 2.2 for 20 %.
const KINDS: [(Discount, f64, u32); 7] = [
    (Discount::Percentage(10), 1.48, 20),
    (Discount::Percentage(15), 1.82, 16),
    (Discount::Percentage(20), 2.3, 26),
    (Discount::Percentage(30), 3.2, 12),
    (Discount::Percentage(50), 3.2, 4),
    (Discount::FixedAmount(100), 1.7, 12),
    (Discount::Bogo, 2.6, 10),
];
/// The stream of the calendar.
const STREAM: u64 = 0x7072_6f6d;

/// A promotion, as a line of a receipt refers to it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Promotion {
    /// Weeks since the one of 1970-01-01, Monday to Sunday.
    week: u32,
    /// Its number within the week.
    number: u8,
    pub(super) discount: Discount,
}

impl Promotion {
    /// What receipts call it, such as `SAVE20-2865C`.
    pub(super) fn code(&self) -> Text {
        let mut digits = itoa::Buffer::new();
        let mut code = CompactString::const_new("");
        match self.discount {
            Discount::Percentage(percent) => {
                code.push_str("SAVE");
                code.push_str(digits.format(percent));
            }
            Discount::FixedAmount(_) => code.push_str("DOLLAROFF"),
            Discount::Bogo => code.push_str("BOGO"),
        }
        code.push('-');
        code.push_str(digits.format(self.week));
        code.push(char::from(b'A' + self.number % 26));
        Text::Plain(code)
    }
}

/// The promotions of a week.
#[derive(Debug)]
pub(super) struct PromotionWeek {
    week: u32,
    promotions: Vec<(Promotion, f64)>,
    /// The promotion of each product that has one, by the product.
    by_product: Vec<(u32, u8)>,
    /// What is promoted in the stores of each format.
    promoted: Vec<Option<Promoted>>,
}

/// The promoted products that a format carries.
#[derive(Debug)]
struct Promoted {
    products: Vec<u32>,
    by_demand: Alias,
    /// The part that the further demand for them is of the ordinary demand for everything.
    further: f64,
}

/// The week of a local day, counted from 1970.
pub(super) fn week_of(day: i32) -> u32 {
    // 1970-01-01 was a Thursday.
    (day + 3).div_euclid(7).max(0) as u32
}

impl PromotionWeek {
    pub(super) fn new(seed: u64, week: u32, products: usize, assortments: &[Assortment]) -> Self {
        let mut random = Random::new(seed ^ mix(STREAM), week.into());
        let monday = date_of(week as i32 * 7 - 3);
        let count = (ORDINARY * calendar::promotions(monday) + 0.5) as u8;
        let weights = KINDS.map(|(_, _, weight)| weight);
        let mut promotions = Vec::new();
        let mut by_product: Vec<(u32, u8)> = Vec::new();
        for number in 0..count.min(26) {
            let (discount, lift, _) = KINDS[random.pick_weighted(&weights)];
            promotions.push((Promotion { week, number, discount }, lift));
            for _ in 0..(products / ONE_IN).max(1) {
                by_product.push((random.below(products as u32), number));
            }
        }
        // A product is in one promotion at most, the first that has it.
        by_product.sort_unstable();
        by_product.dedup_by_key(|(product, _)| *product);
        let lift = |number: u8| promotions[usize::from(number)].1;
        let promoted = |format: &Format| {
            let assortment = &assortments[*format as usize];
            let further = |(product, number): &(u32, u8)| {
                let demand = assortment.share(*product) * (lift(*number) - 1.0);
                (demand > 0.0).then_some((*product, demand))
            };
            let (products, demands): (Vec<u32>, Vec<f64>) =
                by_product.iter().filter_map(further).unzip();
            let further = demands.iter().sum();
            let by_demand = (!demands.is_empty()).then(|| Alias::new(&demands))?;
            Some(Promoted { products, by_demand, further })
        };
        let promoted = Format::ALL.iter().map(promoted).collect();
        Self { week, promotions, by_product, promoted }
    }

    pub(super) fn week(&self) -> u32 {
        self.week
    }

    /// The promotion of a product, if it has one.
    pub(super) fn of(&self, product: u32) -> Option<Promotion> {
        let place = self.by_product.binary_search_by_key(&product, |(product, _)| *product).ok()?;
        Some(self.promotions[usize::from(self.by_product[place].1)].0)
    }

    /// A promoted product, as often as a line is there only because of its promotion. The weight
    /// scales the further demand.
    pub(super) fn draw(&self, format: Format, weight: f64, random: &mut Random) -> Option<u32> {
        let promoted = self.promoted[format as usize].as_ref()?;
        let further = promoted.further * weight;
        if !random.chance(further / (1.0 + further)) {
            return None;
        }
        Some(promoted.products[promoted.by_demand.draw(random)])
    }
}
