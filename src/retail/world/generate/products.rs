//! Products: their departments, prices, popularity and shelf lives.

use std::cmp::Reverse;

use super::{Deal, Stream};
use crate::retail::random::Random;
use crate::retail::world::{Department, Product};

/// Popularity falls with the rank to this power, within each department.
const ZIPF_SLOPE: f64 = 0.95;
/// What a price ends in, in cents.
const ENDINGS: [u32; 4] = [99, 49, 95, 29];

/// What is typical of a department.
struct Typical {
    /// Out of a hundred products how many it has.
    products: u32,
    /// Out of a hundred units how many it sells.
    units: f64,
    /// The median price, in units of money.
    price: f64,
    /// The standard deviation of the price's logarithm: how heavy its tail is.
    spread: f64,
    /// No price is above, in units of money.
    price_max: f64,
}

const fn typical(department: Department) -> Typical {
    let (products, units, price, spread, price_max) = match department {
        Department::Grocery => (26, 38.0, 3.5, 0.55, 40.0),
        Department::Fresh => (14, 22.0, 4.0, 0.5, 40.0),
        Department::Household => (13, 12.0, 8.0, 0.7, 120.0),
        Department::Health => (12, 10.0, 9.0, 0.65, 120.0),
        Department::Electronics => (9, 3.0, 60.0, 1.1, 1_500.0),
        Department::Clothing => (14, 7.0, 25.0, 0.6, 250.0),
        Department::Toys => (6, 4.0, 18.0, 0.6, 200.0),
        Department::Seasonal => (6, 4.0, 20.0, 0.8, 400.0),
    };
    Typical { products, units, price, spread, price_max }
}

/// Products, dealt to the departments by their shares: the first is grocery, and what department
/// a product is of does not depend on how many there are.
pub(in crate::retail::world) fn products(seed: u64, count: u32) -> Vec<Product> {
    let mut deal = Deal::new(Department::ALL.iter().map(|all| typical(*all).products));
    let product = |id| {
        let department = Department::ALL[deal.next()];
        Product {
            id,
            department,
            price_cents: price_of(seed, id, department),
            popularity: 0.0,
            shelf_life_days: shelf_life_of(seed, id, department),
        }
    };
    let mut products: Vec<Product> = (1..=count.max(1)).map(product).collect();
    fill_popularity(seed, &mut products);
    in_order_of_popularity(&mut products);
    products
}

/// The order of a world's products: department by department, the most popular first.
pub(in crate::retail::world) fn in_order_of_popularity(products: &mut [Product]) {
    products.sort_by(|one, two| {
        let departments = one.department.cmp(&two.department);
        let popularity = two.popularity.total_cmp(&one.popularity);
        departments.then(popularity).then(one.id.cmp(&two.id))
    });
}

/// Gives each product the share of all units that Zipf's law gives to its rank in its department;
/// the ranks are drawn.
pub(in crate::retail::world) fn fill_popularity(seed: u64, products: &mut [Product]) {
    for department in Department::ALL {
        let of_department = |product: &&mut Product| product.department == *department;
        let mut ranked: Vec<&mut Product> = products.iter_mut().filter(of_department).collect();
        ranked.sort_by_cached_key(|product| {
            Reverse((Stream::Ranks.of(seed, product.id).bits(), product.id))
        });
        let mut all = 0.0;
        for (rank, product) in ranked.iter_mut().enumerate() {
            product.popularity = libm::pow(rank as f64 + 1.0, -ZIPF_SLOPE);
            all += product.popularity;
        }
        let scale = typical(*department).units / 100.0 / all;
        for product in ranked {
            product.popularity *= scale;
        }
    }
}

/// A price in cents: lognormal about the department's median, with one of the usual endings.
fn price_of(seed: u64, id: u32, department: Department) -> u32 {
    let Typical { price, spread, price_max, .. } = typical(department);
    let mut random = Stream::Prices.of(seed, id);
    let drawn = price * libm::exp(spread * nearly_normal(&mut random));
    let whole = drawn.min(price_max - 1.0) as u32;
    whole * 100 + random.pick(&ENDINGS)
}

/// The sum of twelve uniform numbers less their mean: of mean 0 and standard deviation 1.
fn nearly_normal(random: &mut Random) -> f64 {
    (0..12).map(|_| f64::from(random.below(1 << 20))).sum::<f64>() / f64::from(1 << 20) - 6.0
}

/// For how many days a product keeps; 0 where it does not spoil.
pub(in crate::retail::world) fn shelf_life_of(seed: u64, id: u32, department: Department) -> u16 {
    let mut random = Stream::ShelfLives.of(seed, id);
    match department {
        Department::Fresh => random.between(2, 14) as u16,
        Department::Grocery if random.chance(0.5) => random.between(90, 720) as u16,
        _ => 0,
    }
}
