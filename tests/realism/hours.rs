//! The shape of the day and of the week, by the stores' clocks.

use std::ops::Range;

use jiff::civil::date;

use crate::band::Band;
use crate::days::{date_of, day_of, weekday};
use crate::sample::{median, percent};
use crate::traffic::{Deed, Traffic};

/// How weekends are set in the calendar of the stream that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weekend {
    /// A weekend day is 0.8 of a weekday.
    Reduced,
    /// As in real retail.
    Busy,
}

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const SATURDAY: usize = 5;

/// The bands of hours and weekdays, for entries and for receipts.
pub(crate) fn bands(traffic: &Traffic, weekend: Weekend, days: &Range<i32>) -> Vec<Band> {
    let of = |deed| {
        let [peak, afternoon] = hour_bands(traffic, deed, days);
        [peak, afternoon, saturday_band(traffic, deed, weekend, days)]
    };
    Deed::ALL.into_iter().flat_map(of).collect()
}

fn hour_bands(traffic: &Traffic, deed: Deed, days: &Range<i32>) -> [Band; 2] {
    let hours = traffic.by_hour(deed, days.clone());
    let total = hours.iter().sum();
    let peak = (0..24).max_by_key(|hour| hours[*hour]).unwrap_or(0);
    let afternoon: u64 = hours[12..18].iter().sum();
    let shares: Vec<String> = (0..24)
        .filter(|hour| hours[*hour] > 0)
        .map(|hour| format!("{hour}h {:.1}", percent(hours[hour], total)))
        .collect();
    [
        Band::new(format!("peak hour of {}, % of the day", deed.name()), 8.5..=11.0)
            .number(percent(hours[peak], total), shares.join(" ")),
        Band::new(format!("12 to 18 h of {}, % of the day", deed.name()), 50.0..=60.0)
            .number(percent(afternoon, total), format!("{} whole days", days.len())),
    ]
}

/// A Saturday's share of a week of median days: a holiday does not tip it.
fn saturday_band(traffic: &Traffic, deed: Deed, weekend: Weekend, days: &Range<i32>) -> Band {
    let bounds = match weekend {
        Weekend::Reduced => 11.0..=13.0,
        Weekend::Busy => 16.0..=19.0,
    };
    let band = Band::new(format!("Saturday's {}, % of the week", deed.name()), bounds);
    let medians = |ordinary_only: bool| -> [f64; 7] {
        std::array::from_fn(|of_week| {
            let counts = days.clone().filter(|day| weekday(*day) == of_week);
            let counts = counts.filter(|day| !ordinary_only || is_ordinary(*day));
            let counts = counts.map(|day| traffic.of_day(deed, day)).filter(|count| *count > 0);
            median(counts.map(|count| count as f64).collect())
        })
    };
    let mut week = medians(true);
    if week.iter().any(|day| day.is_nan()) {
        week = medians(false);
    }
    let total: f64 = week.iter().sum();
    if total.is_nan() {
        return band.unmeasured("not every day of the week is in the stream from midnight on");
    }
    let shares =
        WEEKDAYS.iter().zip(week).map(|(name, day)| format!("{name} {:.1}", day / total * 100.0));
    let text = shares.collect::<Vec<_>>().join(" ");
    band.number(week[SATURDAY] / total * 100.0, text)
}

/// Whether a day is outside of the weeks from Thanksgiving to New Year.
pub(crate) fn is_ordinary(day: i32) -> bool {
    let year = date_of(day).year();
    day < day_of(date(year, 11, 20)) && day > day_of(date(year, 1, 2))
}
