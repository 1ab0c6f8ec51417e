//! Who comes, stays and buys: conversion, dwell, the differences between stores, the weather.

use std::ops::Range;

use engine::event::{DWELL_TIME, Event, Value};
use engine::retail::{Format, Store, Tier, Weather};
use jiff::civil::Date;

use crate::band::{Band, UNBOUNDED};
use crate::days::{date_of, weekday};
use crate::places::Places;
use crate::sample::{Histogram, mean, median, percent, variation};
use crate::traffic::{Deed, Traffic};

/// Seconds: who stays longer is counted as if they stayed so long.
const DWELL_MAX: usize = 6 * 3600;
/// What a tier has against the mean store.
const TIERS: [(f64, f64); 5] = [(2.5, 3.0), (1.8, 2.4), (0.8, 1.2), (0.4, 0.7), (0.25, 0.35)];
/// What a weather has against clouds, give or take a tenth.
const WEATHER: [(Weather, f64); 4] =
    [(Weather::Sun, 1.1), (Weather::Rain, 0.7), (Weather::Snow, 0.6), (Weather::Storm, 0.5)];
/// Days of a store it takes for the figure of a weather.
const WEATHER_DAYS_MIN: u64 = 20;
/// How far the cloudy days may be that a day is set against, and how many it takes.
const NEAR_DAYS: i32 = 28;
const CLOUDY_DAYS_MIN: u64 = 3;
/// A day of the whole chain that is further from its weekday's median is a special one.
const SPECIAL: Range<f64> = 0.6..1.4;

/// The weather at a store on a local date, as the world that made the stream had it.
pub(crate) type WeatherAt<'w> = Box<dyn Fn(&Store, Date) -> Weather + 'w>;

/// How long shoppers stay.
pub(crate) struct Dwell(Histogram);

impl Dwell {
    pub(crate) fn new() -> Self {
        Self(Histogram::up_to(DWELL_MAX))
    }

    /// A `customer_entered`.
    pub(crate) fn see(&mut self, event: &Event) {
        if let Some(seconds) = event.payload.get(DWELL_TIME).and_then(Value::as_i64) {
            self.0.add(seconds);
        }
    }

    pub(crate) fn bands(&self) -> [Band; 2] {
        let text = format!("{} entries", self.0.total());
        [
            Band::new("dwell, median in minutes", 12.0..=20.0)
                .number(self.0.quantile(0.5) / 60.0, text),
            Band::new("dwell, sigma of the logarithm", 0.5..=0.8).number(self.0.log_sigma(), ""),
        ]
    }
}

/// Entries or receipts of a store over some days.
fn over(traffic: &Traffic, deed: Deed, store: usize, days: &Range<i32>) -> u64 {
    days.clone().map(|day| traffic.of_store(deed, store, day)).sum()
}

/// How many of those who come in buy: receipts per entry.
pub(crate) fn conversion(traffic: &Traffic, places: &Places, days: &Range<i32>) -> [Band; 2] {
    let of = |is_in: &dyn Fn(&Store) -> bool| {
        let stores = places.world.stores.iter().enumerate().filter(|(_, store)| is_in(store));
        let counts =
            stores.map(|(place, _)| Deed::ALL.map(|deed| over(traffic, deed, place, days)));
        counts.fold([0, 0], |sum, store| [sum[0] + store[0], sum[1] + store[1]])
    };
    let [entries, receipts] = of(&|_| true);
    let by_format = |format: &Format| {
        let [entries, receipts] = of(&|store| store.format == *format);
        (format.to_string(), percent(receipts, entries))
    };
    [
        Band::new("receipts, % of entries", 20.0..=40.0)
            .number(percent(receipts, entries), format!("{receipts} of {entries}")),
        Band::new("receipts by format, % of entries", UNBOUNDED)
            .list(Format::ALL.iter().map(by_format).collect(), ""),
    ]
}

/// How stores differ, and how each tier stands to the mean store.
pub(crate) fn volumes(traffic: &Traffic, places: &Places, days: &Range<i32>) -> Vec<Band> {
    let stores = &places.world.stores;
    let entries: Vec<f64> =
        (0..stores.len()).map(|store| over(traffic, Deed::Entry, store, days) as f64).collect();
    let tier_mean = |tier: Tier| {
        let of_tier = stores.iter().zip(&entries).filter(|(store, _)| store.tier == tier);
        mean(&of_tier.map(|(_, entries)| *entries).collect::<Vec<_>>())
    };
    let medium = tier_mean(Tier::Medium);
    let mut bands = vec![
        Band::new("entries of a store, CV", 0.5..=f64::INFINITY)
            .number(variation(&entries), format!("{} stores", stores.len())),
    ];
    bands.extend(Tier::ALL.iter().zip(TIERS).map(|(tier, (low, high))| {
        let of_tier = tier_mean(*tier);
        Band::new(format!("entries of a {tier} store, of the mean store"), low..=high)
            .number(of_tier / mean(&entries), format!("{:.2} of a medium one", of_tier / medium))
    }));
    bands
}

/// What each weather does to entries, against cloudy days of the same store within four weeks, by
/// the usual share of the day of the week.
pub(crate) fn weather(
    traffic: &Traffic,
    places: &Places,
    days: &Range<i32>,
    weather_at: Option<&WeatherAt>,
) -> Vec<Band> {
    let bands = WEATHER.map(|(weather, factor)| {
        let name = format!("entries in {weather}, of those under clouds");
        Band::new(name, factor * 0.9..=factor * 1.1)
    });
    let Some(weather_at) = weather_at else {
        return bands.map(|band| band.unmeasured("the weather was not told")).to_vec();
    };
    let ordinary = OrdinaryDays::new(traffic, days);
    let mut pooled = [Exposure::default(); Weather::ALL.len()];
    for (place, store) in places.world.stores.iter().enumerate() {
        let seen: Vec<Seen> = ordinary
            .days
            .iter()
            .map(|(day, usual)| Seen {
                day: *day,
                entries: traffic.of_store(Deed::Entry, place, *day),
                usual: *usual,
                weather: weather_at(store, date_of(*day)),
            })
            .collect();
        for one in &seen {
            if let Some(expected) = expected(&seen, one) {
                let exposure = &mut pooled[one.weather as usize];
                exposure.days += 1;
                exposure.entries += one.entries as f64;
                exposure.expected += expected;
            }
        }
    }
    let figures = bands.into_iter().zip(WEATHER).map(|(band, (weather, _))| {
        let Exposure { days, entries, expected } = pooled[weather as usize];
        let text = format!("{days} days of a store");
        if days < WEATHER_DAYS_MIN {
            band.unmeasured(text)
        } else {
            band.number(entries / expected, text)
        }
    });
    figures.collect()
}

/// A day of a store.
struct Seen {
    day: i32,
    entries: u64,
    /// How busy the chain is on such a day of the week; in any unit.
    usual: f64,
    weather: Weather,
}

/// Days of stores under one weather.
#[derive(Clone, Copy, Debug, Default)]
struct Exposure {
    days: u64,
    entries: f64,
    expected: f64,
}

/// The entries of a store on a day, had there been clouds.
fn expected(seen: &[Seen], of: &Seen) -> Option<f64> {
    let near = seen.iter().filter(|other| {
        other.weather == Weather::Clouds
            && other.day != of.day
            && (other.day - of.day).abs() <= NEAR_DAYS
    });
    let (mut count, mut entries, mut usual) = (0, 0.0, 0.0);
    for day in near {
        count += 1;
        entries += day.entries as f64;
        usual += day.usual;
    }
    (count >= CLOUDY_DAYS_MIN).then(|| entries / usual * of.usual)
}

/// The days that are no special ones, each with the median of its day of the week.
struct OrdinaryDays {
    days: Vec<(i32, f64)>,
}

impl OrdinaryDays {
    fn new(traffic: &Traffic, days: &Range<i32>) -> Self {
        let count = |day: i32| traffic.of_day(Deed::Entry, day) as f64;
        let week: [f64; 7] = std::array::from_fn(|of_week| {
            let same = days.clone().filter(|day| weekday(*day) == of_week);
            median(same.map(count).collect())
        });
        let with_usual = days.clone().map(|day| (day, week[weekday(day)]));
        let days = with_usual.filter(|(day, usual)| SPECIAL.contains(&(count(*day) / usual)));
        Self { days: days.collect() }
    }
}
