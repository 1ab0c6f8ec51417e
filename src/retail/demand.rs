//! What customers want by season and by region: factors on the demand of departments. The figures
//! are ours, after what chains report of their seasons; each row has the mean 1.

use super::world::{Department, Region};

/// A department's demand in a month (1 to 12), against its mean month.
pub fn season_of(department: Department, month: i8) -> f64 {
    let row = SEASONS[department as usize];
    percent(row[(i32::from(month) - 1).rem_euclid(12) as usize])
}

/// A department's demand in a region, against its mean region.
pub fn region_of(department: Department, region: Region) -> f64 {
    percent(TASTES[department as usize][region as usize])
}

fn percent(hundredths: u16) -> f64 {
    f64::from(hundredths) / 100.0
}

/// Percent of the mean month, January to December; one row for each department.
#[rustfmt::skip]
const SEASONS: [[u16; 12]; 8] = [
    // Grocery: holiday tables in November and December.
    [96, 97, 98, 99, 100, 100, 101, 98, 97, 99, 107, 108],
    // Fresh: summer.
    [90, 92, 95, 100, 106, 110, 112, 109, 103, 97, 94, 92],
    // Household: spring cleaning, and the first week of the year.
    [100, 96, 104, 106, 104, 98, 96, 98, 98, 98, 100, 102],
    // Health: colds and resolutions in winter.
    [114, 110, 103, 98, 95, 94, 93, 94, 98, 102, 102, 97],
    // Electronics: back to school a little, gifts much.
    [84, 84, 84, 82, 84, 90, 94, 98, 94, 90, 146, 170],
    // Clothing: back to school, then winter and gifts.
    [78, 80, 94, 98, 98, 94, 92, 114, 108, 98, 118, 128],
    // Toys: two fifths of the year within two months.
    [66, 68, 74, 80, 76, 80, 82, 80, 78, 88, 182, 246],
    // Seasonal: gardens in spring, the outdoors in summer, decoration from October on.
    [62, 70, 104, 132, 142, 128, 116, 92, 84, 98, 82, 90],
];

/// Percent of the mean region, in the order of [`Region::ALL`]; one row for each department.
#[rustfmt::skip]
const TASTES: [[u16; 5]; 8] = [
    // north-east, south-east, middle west, south-west, west
    [98, 104, 104, 102, 92],   // grocery
    [104, 90, 88, 94, 124],    // fresh
    [96, 106, 106, 104, 88],   // household
    [108, 108, 98, 90, 96],    // health
    [106, 80, 90, 94, 130],    // electronics
    [126, 94, 88, 84, 108],    // clothing
    [96, 98, 112, 104, 90],    // toys
    [78, 114, 92, 126, 90],    // seasonal
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_season_and_a_region_move_demand_about_without_adding_any() {
        for department in Department::ALL {
            let year: f64 = (1..=12).map(|month| season_of(*department, month)).sum();
            assert!((year - 12.0).abs() < 1e-9, "{department}: {year}");
            let regions: f64 = Region::ALL.iter().map(|to| region_of(*department, *to)).sum();
            assert!((regions - 5.0).abs() < 1e-9, "{department}: {regions}");
        }
    }

    #[test]
    fn departments_have_the_seasons_that_one_knows() {
        let best = |department| {
            let months = 1..=12;
            months.max_by(|a, b| season_of(department, *a).total_cmp(&season_of(department, *b)))
        };
        assert_eq!(best(Department::Toys), Some(12));
        assert_eq!(best(Department::Seasonal), Some(5));
        assert_eq!(best(Department::Fresh), Some(7));
        assert!(season_of(Department::Clothing, 8) > 1.1, "back to school");
        assert!(season_of(Department::Health, 1) > 1.1, "colds");
    }

    #[test]
    fn the_mix_of_departments_differs_by_region() {
        for region in Region::ALL {
            for other in Region::ALL.iter().filter(|other| *other != region) {
                let farthest = Department::ALL
                    .iter()
                    .map(|of| region_of(*of, *region) / region_of(*of, *other))
                    .fold(1.0, |farthest: f64, ratio| farthest.max(ratio).max(1.0 / ratio));
                assert!(farthest > 1.15, "{region} buys as {other} does");
            }
        }
        let all = || {
            let pairs = |of| Region::ALL.iter().map(move |to| region_of(of, *to));
            Department::ALL.iter().flat_map(move |department| pairs(*department))
        };
        assert!(all().fold(1.0, f64::min) <= 0.8 && all().fold(1.0, f64::max) >= 1.25);
    }

    #[test]
    fn a_month_beyond_the_year_is_one_of_the_next() {
        for (month, same) in [(13, 1), (0, 12), (i8::MIN, 4), (i8::MAX, 7)] {
            assert_eq!(
                season_of(Department::Toys, month).to_bits(),
                season_of(Department::Toys, same).to_bits()
            );
        }
    }
}
