//! What the stores of each format carry, and how often a product of it is bought.

use super::random::{Alias, Random};
use super::world::{Department, Format, World};

const DEPARTMENTS: usize = Department::ALL.len();

/// Out of 1000 lines, how many are of each department in a store of each format.
const LINES: [[f64; DEPARTMENTS]; Format::ALL.len()] = [
    [260.0, 190.0, 140.0, 120.0, 60.0, 110.0, 60.0, 60.0],
    [370.0, 280.0, 140.0, 100.0, 20.0, 30.0, 30.0, 30.0],
    [40.0, 10.0, 160.0, 120.0, 190.0, 310.0, 90.0, 80.0],
    [480.0, 230.0, 90.0, 110.0, 30.0, 20.0, 20.0, 20.0],
];

/// How much of each department's range a store of each format carries, the most popular first.
const CARRIED: [[f64; DEPARTMENTS]; Format::ALL.len()] = [
    [1.0; DEPARTMENTS],
    [0.9, 1.0, 0.7, 0.7, 0.15, 0.2, 0.3, 0.5],
    [0.15, 0.05, 0.8, 0.6, 0.9, 1.0, 0.9, 0.9],
    [0.2, 0.25, 0.1, 0.15, 0.05, 0.03, 0.05, 0.1],
];

/// The range of a format.
#[derive(Debug)]
pub(super) struct Assortment {
    departments: Vec<Option<Shelf>>,
    /// The part of all units that each product has, by its place in the world.
    shares: Vec<f32>,
}

/// The range of a department in a format.
#[derive(Debug)]
struct Shelf {
    products: Vec<u32>,
    by_popularity: Alias,
}

impl Assortment {
    pub(super) fn of(world: &World, format: Format) -> Self {
        let mut shares = vec![0.0; world.products.len()];
        let lines = LINES[format as usize];
        let shelf = |department: Department| {
            let mut range: Vec<u32> = (0..world.products.len() as u32)
                .filter(|place| world.products[*place as usize].department == department)
                .collect();
            let popularity = |place: &u32| world.products[*place as usize].popularity;
            range.sort_by(|one, two| popularity(two).total_cmp(&popularity(one)));
            let part = CARRIED[format as usize][department as usize];
            range.truncate(((range.len() as f64 * part) as usize).max(1));
            if range.is_empty() {
                return None;
            }
            let weights: Vec<f64> = range.iter().map(popularity).collect();
            let sum: f64 = weights.iter().sum();
            for (place, weight) in range.iter().zip(&weights) {
                shares[*place as usize] = (weight / sum * lines[department as usize]) as f32;
            }
            Some(Shelf { by_popularity: Alias::new(&weights), products: range })
        };
        let departments = Department::ALL.iter().copied().map(shelf).collect();
        let sum: f32 = shares.iter().sum();
        for share in &mut shares {
            *share /= sum;
        }
        Self { departments, shares }
    }

    /// The part of all units that is of a product; 0 if it is not carried.
    pub(super) fn share(&self, product: u32) -> f64 {
        self.shares[product as usize].into()
    }

    /// How many lines are of each department, of any scale, where its demand is changed by these
    /// factors; added up from the first department to the last.
    pub(super) fn cumulative(
        &self,
        format: Format,
        factor: impl Fn(Department) -> f64,
    ) -> [f64; DEPARTMENTS] {
        let mut sum = 0.0;
        std::array::from_fn(|place| {
            if self.departments[place].is_some() {
                sum += LINES[format as usize][place] * factor(Department::ALL[place]);
            }
            sum
        })
    }

    /// A department, by its share of lines.
    pub(super) fn draw_department(
        &self,
        cumulative: &[f64; DEPARTMENTS],
        random: &mut Random,
    ) -> Department {
        let point = random.fraction() * cumulative[DEPARTMENTS - 1];
        let place = cumulative.iter().position(|end| point < *end);
        let carried = |place: &usize| self.departments[*place].is_some();
        let place = place.filter(carried).or_else(|| (0..DEPARTMENTS).find(carried));
        Department::ALL[place.unwrap_or_default()]
    }

    /// A product of a department, by its popularity.
    pub(super) fn draw(&self, department: Department, random: &mut Random) -> Option<u32> {
        let range = self.departments[department as usize].as_ref()?;
        Some(range.products[range.by_popularity.draw(random)])
    }
}
