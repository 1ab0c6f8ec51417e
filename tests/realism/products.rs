//! What is bought: the popularity of products, and what each region buys of each department.

use engine::retail::{Department, Region, World};

use crate::band::{Band, UNBOUNDED};
use crate::sample::slope;

/// The ranks that the slope is of.
const RANKS: std::ops::Range<usize> = 9..1000;
/// Products that sold less often are noise.
const UNITS_MIN: u64 = 5;
/// A department's share of a region is known from that many units on.
const SHARE_UNITS_MIN: u64 = 5_000;

/// Units sold in stores.
pub(crate) struct Products {
    units: Vec<u64>,
    departments: Vec<Department>,
    /// By region, then department.
    mix: Vec<Vec<u64>>,
}

impl Products {
    pub(crate) fn new(world: &World) -> Self {
        Self {
            units: vec![0; world.products.len()],
            departments: world.products.iter().map(|product| product.department).collect(),
            mix: vec![vec![0; Department::ALL.len()]; Region::ALL.len()],
        }
    }

    /// A line of a receipt, by the place of its product.
    pub(crate) fn see(&mut self, product: usize, region: usize, units: u64) {
        self.units[product] += units;
        self.mix[region][self.departments[product] as usize] += units;
    }

    pub(crate) fn bands(&self) -> Vec<Band> {
        let mut ranked = self.units.clone();
        ranked.sort_unstable_by(|one, two| two.cmp(one));
        let mut bands = vec![zipf(&ranked), top_fifth(&ranked)];
        bands.extend(self.mix_bands());
        bands
    }

    /// How the mix of departments differs by region.
    fn mix_bands(&self) -> [Band; 2] {
        let largest = Band::new("a department's share over regions, largest / smallest", 1.2..=3.0);
        let all = Band::new("departments' shares over regions, largest / smallest", UNBOUNDED);
        let totals: Vec<(&Region, u64, &Vec<u64>)> = Region::ALL
            .iter()
            .zip(&self.mix)
            .map(|(region, mix)| (region, mix.iter().sum(), mix))
            .filter(|(_, total, _)| *total >= SHARE_UNITS_MIN)
            .collect();
        if totals.len() < 2 {
            let why = format!("fewer than two regions with {SHARE_UNITS_MIN} units");
            return [largest.unmeasured(&why), all.unmeasured(why)];
        }
        let mut spreads: Vec<(f64, String, String)> = Vec::new();
        for department in Department::ALL {
            let share = |(region, total, mix): &(&Region, u64, &Vec<u64>)| {
                (mix[*department as usize] as f64 / *total as f64, region.to_string())
            };
            let mut shares: Vec<(f64, String)> = totals.iter().map(share).collect();
            shares.sort_by(|one, two| one.0.total_cmp(&two.0));
            let (low, high) = (&shares[0], &shares[shares.len() - 1]);
            let text = format!(
                "{department}: {} {:.1} %, {} {:.1} %",
                low.1,
                low.0 * 100.0,
                high.1,
                high.0 * 100.0
            );
            spreads.push((high.0 / low.0, department.to_string(), text));
        }
        spreads.retain(|(spread, ..)| spread.is_finite());
        let figures = spreads.iter().map(|(spread, name, _)| (name.clone(), *spread)).collect();
        let most = spreads.iter().max_by(|one, two| one.0.total_cmp(&two.0));
        let (spread, text) = most.map_or((f64::NAN, ""), |most| (most.0, most.2.as_str()));
        [largest.number(spread, text), all.list(figures, "")]
    }
}

/// The slope of log units over log rank, downward.
fn zipf(ranked: &[u64]) -> Band {
    let band = Band::new("slope of popularity (Zipf), ranks 10 to 1000", 0.8..=1.1);
    let points: Vec<(f64, f64)> = (1_u32..)
        .zip(ranked)
        .skip(RANKS.start)
        .take(RANKS.len())
        .take_while(|(_, units)| **units >= UNITS_MIN)
        .map(|(rank, units)| (f64::from(rank).ln(), (*units as f64).ln()))
        .collect();
    if points.len() < 50 {
        return band.unmeasured("fewer than 60 products were sold five times");
    }
    band.number(-slope(&points), format!("{} ranks", points.len()))
}

/// Of all products that there are, sold or not.
fn top_fifth(ranked: &[u64]) -> Band {
    let total: u64 = ranked.iter().sum();
    let top: u64 = ranked[..ranked.len().div_ceil(5)].iter().sum();
    Band::new("top 20 % of products, % of units", 65.0..=85.0)
        .number(crate::sample::percent(top, total), format!("{total} units"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::band::Figure;
    use crate::chain::small_world;

    fn figure(band: &Band) -> f64 {
        let Figure::Number(figure) = band.figure else { panic!("{band:?}") };
        figure
    }

    #[test]
    fn the_slope_of_a_power_law_is_its_exponent() {
        let ranked: Vec<u64> = (1..=2000).map(|rank| 10_000_000 / rank).collect();
        assert!((figure(&zipf(&ranked)) - 1.0).abs() < 0.001);
        let flat: Vec<u64> = vec![100; 2000];
        assert!(figure(&zipf(&flat)).abs() < 1e-9);
        assert!((figure(&top_fifth(&flat)) - 20.0).abs() < 1e-9);
    }

    #[test]
    fn the_department_that_differs_most_by_region_is_named() {
        let world = small_world();
        let mut products = Products::new(&world);
        for product in 0..world.products.len() {
            products.see(product, Region::Northeast as usize, 1_000);
            let is_toy = world.products[product].department == Department::Toys;
            products.see(product, Region::West as usize, if is_toy { 2_000 } else { 1_000 });
        }
        let [largest, _] = products.mix_bands();
        assert!((figure(&largest) - 2.0 * 8.0 / 9.0).abs() < 1e-9);
        assert!(
            largest.text.starts_with("toys: northeast 12.5 %, west 22.2 %"),
            "{}",
            largest.text
        );
    }
}
