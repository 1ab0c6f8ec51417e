//! The weather of places, day by day, and what it does to footfall.

use jiff::civil::{Date, date};

use super::random::Random;
use super::world::{Climate, Weather};
use crate::event::mix;

/// The weather of a day at a place of that climate: a function of its arguments alone. It comes in
/// spells of one to six days: from one day to the next a spell goes on or another follows, and on a
/// wet day the rain may be a storm. Over the years each month has the shares of its climate's table.
pub fn weather(seed: u64, place: u64, climate: Climate, date: Date) -> Weather {
    let place = mix(seed ^ mix(place ^ PURPOSE));
    let day = date.duration_since(EPOCH).as_hours() / 24;
    let share = shares(climate, date.month());
    // A spell that lasts into another month has the same level, on the scale of that month.
    let level = level(place, day);
    if level < share.sun {
        Weather::Sun
    } else if level >= 100 - share.snow {
        Weather::Snow
    } else if level < 100 - share.snow - share.wet {
        Weather::Clouds
    } else if Draws::of(place, day).storm < share.storm * 100 / share.wet {
        Weather::Storm
    } else {
        Weather::Rain
    }
}

/// How many come into stores in that weather, against a cloudy day.
pub const fn footfall(weather: Weather) -> f64 {
    match weather {
        Weather::Sun => 1.1,
        Weather::Clouds => 1.0,
        Weather::Rain => 0.7,
        Weather::Snow => 0.6,
        Weather::Storm => 0.5,
    }
}

/// The mean [`footfall`] of a climate's month (1 to 12). Traffic by season has the season's weather
/// in it: divided by this, the weather moves traffic between days and not between months.
pub fn mean_footfall(climate: Climate, month: i8) -> f64 {
    let share = shares(climate, month);
    let clouds = 100 - share.sun - share.wet - share.snow;
    let storm = f64::from(share.storm * 100 / share.wet) / 100.0;
    let wet = storm * footfall(Weather::Storm) + (1.0 - storm) * footfall(Weather::Rain);
    let sum = f64::from(share.sun) * footfall(Weather::Sun)
        + f64::from(clouds) * footfall(Weather::Clouds)
        + f64::from(share.snow) * footfall(Weather::Snow)
        + f64::from(share.wet) * wet;
    sum / 100.0
}

/// Keeps these draws apart from others with the same seed and number.
const PURPOSE: u64 = 0x7765_6174_6865_7200;
const EPOCH: Date = date(1970, 1, 1);

/// How likely a spell ends with a day, in percent; the next may be of the same weather.
const CHANGE: u32 = 45;
/// Every so many days a spell ends in any case, so that looking back for its beginning ends, too.
const SPELL_DAYS_MAX: i64 = 6;

/// What spell a day is in: from 0 for the fairest to 99.
fn level(place: u64, day: i64) -> u32 {
    let since_end = (day + (place % 64) as i64).rem_euclid(SPELL_DAYS_MAX);
    let days = (day - since_end..=day).rev().map(|day| Draws::of(place, day));
    let mut level = 0;
    for draws in days {
        level = draws.level;
        if draws.change < CHANGE {
            break;
        }
    }
    level
}

/// What chance says of a day at a place, each from 0 to 99.
struct Draws {
    /// Whether a spell begins.
    change: u32,
    /// The weather of the spell that begins.
    level: u32,
    /// Whether rain is a storm.
    storm: u32,
}

impl Draws {
    fn of(place: u64, day: i64) -> Self {
        let mut random = Random::new(place, day as u64);
        Self { change: random.below(100), level: random.below(100), storm: random.below(100) }
    }
}

/// Percent of a month's days; the rest are cloudy.
#[derive(Clone, Copy)]
struct Shares {
    sun: u32,
    /// Rain and storms; at least 1.
    wet: u32,
    /// Those of the wet days that are stormy.
    storm: u32,
    snow: u32,
}

/// The same for a year, each from January on.
struct Year {
    sun: [u32; 12],
    wet: [u32; 12],
    storm: [u32; 12],
    snow: [u32; 12],
}

fn shares(climate: Climate, month: i8) -> Shares {
    let year = &YEARS[climate as usize];
    let month = (i32::from(month) - 1).rem_euclid(12) as usize;
    Shares {
        sun: year.sun[month],
        wet: year.wet[month],
        storm: year.storm[month],
        snow: year.snow[month],
    }
}

/// In the order of [`Climate::ALL`]. The figures are ours, in the likeness of the town that is named;
/// rain, snow and storms count where they keep people from going out.
#[rustfmt::skip]
const YEARS: [Year; 6] = [
    // Continental: Chicago.
    Year {
        sun:   [28, 30, 32, 34, 38, 42, 46, 45, 42, 38, 28, 26],
        wet:   [ 8,  8, 17, 29, 31, 30, 26, 25, 23, 21, 18, 12],
        storm: [ 0,  0,  1,  3,  5,  6,  6,  5,  3,  1,  0,  0],
        snow:  [26, 22, 12,  3,  0,  0,  0,  0,  0,  2,  8, 22],
    },
    // Subtropical: Atlanta.
    Year {
        sun:   [42, 42, 44, 48, 46, 38, 36, 38, 44, 52, 48, 42],
        wet:   [26, 26, 26, 23, 25, 35, 37, 36, 28, 17, 20, 24],
        storm: [ 2,  2,  4,  5,  7, 11, 13, 12,  8,  3,  2,  2],
        snow:  [ 1,  1,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0],
    },
    // Desert: Phoenix.
    Year {
        sun:   [68, 68, 72, 78, 84, 88, 74, 74, 80, 80, 74, 68],
        wet:   [ 9,  9,  7,  3,  2,  2, 12, 13,  6,  5,  5,  8],
        storm: [ 0,  0,  0,  0,  0,  1,  6,  6,  2,  1,  0,  0],
        snow:  [ 0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0],
    },
    // Oceanic: Seattle.
    Year {
        sun:   [16, 20, 26, 32, 38, 42, 56, 54, 44, 28, 18, 14],
        wet:   [53, 46, 43, 37, 29, 25, 13, 15, 23, 40, 54, 56],
        storm: [ 3,  2,  1,  1,  1,  1,  1,  1,  1,  2,  4,  4],
        snow:  [ 3,  3,  1,  0,  0,  0,  0,  0,  0,  0,  1,  3],
    },
    // Mediterranean: Los Angeles.
    Year {
        sun:   [56, 56, 60, 66, 66, 72, 82, 82, 78, 72, 66, 58],
        wet:   [20, 20, 15,  8,  3,  1,  1,  1,  2,  7, 11, 18],
        storm: [ 2,  2,  1,  0,  0,  0,  0,  0,  0,  1,  1,  2],
        snow:  [ 0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0],
    },
    // Alpine: Salt Lake City and above.
    Year {
        sun:   [34, 34, 34, 34, 38, 46, 48, 48, 52, 48, 38, 34],
        wet:   [ 2,  2,  6, 15, 28, 24, 29, 28, 19, 10,  6,  2],
        storm: [ 0,  0,  0,  1,  4,  6,  9,  8,  3,  0,  0,  0],
        snow:  [36, 34, 28, 16,  0,  0,  0,  0,  0, 10, 24, 34],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::Range;

    fn days(years: i32) -> impl Iterator<Item = Date> {
        let first = date(2000, 1, 1);
        first.series(jiff::Span::new().days(1)).take((years * 365) as usize)
    }

    /// Percent of the days of 20 years at three places.
    fn percent(climate: Climate, of: Weather, months: &[i8]) -> f64 {
        let (mut found, mut all) = (0, 0);
        for place in 0..3 {
            for day in days(20).filter(|day| months.contains(&day.month())) {
                all += 1;
                found += i32::from(weather(1, place, climate, day) == of);
            }
        }
        100.0 * f64::from(found) / f64::from(all)
    }

    #[test]
    fn every_climate_has_the_year_that_one_knows() {
        const YEAR: &[i8] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        let known: [(Climate, [Range<f64>; 4]); 6] = [
            // sun, rain, snow, storm
            (Climate::Continental, [32.0..40.0, 15.0..22.0, 6.0..10.0, 1.5..4.0]),
            (Climate::Subtropical, [38.0..48.0, 18.0..24.0, 0.01..0.5, 4.5..8.0]),
            (Climate::Desert, [70.0..80.0, 3.0..7.0, 0.0..0.001, 0.7..2.5]),
            (Climate::Oceanic, [28.0..37.0, 30.0..40.0, 0.4..1.7, 1.2..2.8]),
            (Climate::Mediterranean, [63.0..73.0, 6.0..11.0, 0.0..0.001, 0.3..1.5]),
            (Climate::Alpine, [36.0..45.0, 8.0..15.0, 12.0..18.0, 1.5..4.0]),
        ];
        for (climate, bands) in known {
            let found = [Weather::Sun, Weather::Rain, Weather::Snow, Weather::Storm]
                .map(|of| percent(climate, of, YEAR));
            for (found, band) in found.iter().zip(&bands) {
                assert!(band.contains(found), "{climate}: {found} is not within {band:?}");
            }
        }
        let summer = percent(Climate::Subtropical, Weather::Storm, &[6, 7, 8]);
        assert!(summer > 3.0 * percent(Climate::Subtropical, Weather::Storm, &[11, 12, 1]));
        let winter = percent(Climate::Oceanic, Weather::Rain, &[11, 12, 1]);
        assert!(winter > 2.0 * percent(Climate::Oceanic, Weather::Rain, &[7, 8]));
    }

    #[test]
    fn snow_falls_from_october_to_april_only() {
        for climate in Climate::ALL {
            for place in 0..5 {
                let snowy =
                    days(20).filter(|day| weather(3, place, *climate, *day) == Weather::Snow);
                for day in snowy {
                    assert!(!(5..=9).contains(&day.month()), "{climate} {day}");
                }
            }
        }
    }

    #[test]
    fn a_day_resembles_the_day_before() {
        for climate in Climate::ALL {
            let of = |day| weather(5, 1, *climate, day);
            let (mut same, mut by_chance) = (0, 0);
            for day in days(20) {
                same += i32::from(of(day) == of(day.tomorrow().unwrap()));
                // The same time of the year, and another spell.
                let later = day.saturating_add(jiff::Span::new().days(11));
                by_chance += i32::from(of(day) == of(later));
            }
            // What there is above chance, of what there could be.
            let above = f64::from(same - by_chance) / f64::from(7_300 - by_chance);
            assert!((0.35..0.6).contains(&above), "{climate}: {above}");
        }
    }

    #[test]
    fn weather_depends_on_seed_and_place_and_on_nothing_else() {
        let year = |seed, place| -> Vec<Weather> {
            days(1).map(|day| weather(seed, place, Climate::Continental, day)).collect()
        };
        assert_eq!(year(1, 1), year(1, 1));
        let backward: Vec<Weather> = {
            let all: Vec<Date> = days(1).collect();
            let backward = all.iter().rev();
            backward.map(|day| weather(1, 1, Climate::Continental, *day)).collect()
        };
        assert!(year(1, 1).iter().eq(backward.iter().rev()));
        for (seed, place) in [(1, 2), (2, 1)] {
            let same = year(1, 1).iter().zip(year(seed, place)).filter(|(a, b)| *a == b).count();
            assert!(same < 200, "{same} of 365 days are the same");
        }
    }

    #[test]
    fn a_seed_gives_the_same_weather_on_every_machine() {
        let week = date(2025, 1, 6).series(jiff::Span::new().days(1)).take(10);
        let found: Vec<&str> =
            week.map(|day| weather(42, 7, Climate::Continental, day).name()).collect();
        assert_eq!(found.join(" "), "snow clouds snow snow sun clouds sun sun sun clouds");
    }

    #[test]
    fn the_mean_footfall_of_a_month_is_that_of_its_days() {
        for climate in Climate::ALL {
            for month in [1, 4, 7, 12] {
                let of = |place| {
                    let days = days(20).filter(|day| day.month() == month);
                    days.map(move |day| footfall(weather(9, place, *climate, day)))
                };
                let all: Vec<f64> = (0..5).flat_map(of).collect();
                let mean = all.iter().sum::<f64>() / all.len() as f64;
                let said = mean_footfall(*climate, month);
                assert!((mean - said).abs() < 0.015, "{climate} {month}: {mean} for {said}");
            }
        }
    }

    #[test]
    fn shares_leave_room_for_clouds_and_the_first_and_last_date_have_weather() {
        for climate in Climate::ALL {
            for share in (1..=12).map(|month| shares(*climate, month)) {
                assert!(share.sun + share.wet + share.snow < 100, "{climate}");
                assert!(share.wet > 0 && share.storm <= share.wet, "{climate}");
            }
            for day in [Date::MIN, Date::MAX] {
                assert!(footfall(weather(0, u64::MAX, *climate, day)) > 0.0);
            }
        }
    }
}
