//! The year: December, Black Friday, Christmas, and promotions around them. Each needs its days in
//! the stream.

use std::ops::Range;

use jiff::civil::date;

use crate::band::Band;
use crate::days::{Days, black_friday, date_of, day_of, years};
use crate::hours::is_ordinary;
use crate::sample::{mean, median};
use crate::traffic::{Deed, Traffic};

const NOT_IN_SPAN: &str = "not in span";
/// So many days are a year, all but.
const YEAR_DAYS: usize = 350;
/// An ordinary time has to be that many days for anything to be set against it.
const ORDINARY_DAYS_MIN: usize = 5;

/// The bands of the calendar.
pub(crate) fn bands(traffic: &Traffic, applied: &Days<u64>, days: &Range<i32>) -> Vec<Band> {
    vec![
        december(traffic, days),
        black_fridays(traffic, days),
        christmas(traffic, days),
        promotions(traffic, applied, days),
    ]
}

fn receipts(traffic: &Traffic, days: impl Iterator<Item = i32>) -> Vec<f64> {
    days.map(|day| traffic.of_day(Deed::Receipt, day) as f64).collect()
}

fn december(traffic: &Traffic, days: &Range<i32>) -> Band {
    let band = Band::new("December's receipts, of the year's mean day", 1.1..=1.2);
    let december = days.clone().filter(|day| date_of(*day).month() == 12).collect::<Vec<_>>();
    if days.len() < YEAR_DAYS || december.len() < 31 {
        return band.unmeasured(NOT_IN_SPAN);
    }
    let of_december = mean(&receipts(traffic, december.into_iter()));
    let of_year = mean(&receipts(traffic, days.clone()));
    band.number(of_december / of_year, format!("{of_december:.0} a day against {of_year:.0}"))
}

/// Black Friday against the other Fridays that are near it.
fn black_fridays(traffic: &Traffic, days: &Range<i32>) -> Band {
    let band = Band::new("Black Friday's receipts, of a Friday near it", 2.0..=4.0);
    let ratios: Vec<f64> = years(days)
        .map(|year| day_of(black_friday(year)))
        .filter(|friday| days.contains(friday))
        .map(|friday| {
            let weeks = [-28, -21, -14, -7, 7, 14].map(|offset| friday + offset);
            let others = weeks.into_iter().filter(|day| days.contains(day));
            let usual = median(receipts(traffic, others));
            traffic.of_day(Deed::Receipt, friday) as f64 / usual
        })
        .filter(|ratio| ratio.is_finite())
        .collect();
    match ratios.len() {
        0 => band.unmeasured(NOT_IN_SPAN),
        _ => band.number(mean(&ratios), ""),
    }
}

fn christmas(traffic: &Traffic, days: &Range<i32>) -> Band {
    let band = Band::new("entries and receipts on 25 December", 0.0..=0.0);
    let christmas: Vec<i32> = years(days)
        .map(|year| day_of(date(year, 12, 25)))
        .filter(|day| days.contains(day))
        .collect();
    if christmas.is_empty() {
        return band.unmeasured(NOT_IN_SPAN);
    }
    let all = christmas.iter().flat_map(|day| Deed::ALL.map(|deed| traffic.of_day(deed, *day)));
    band.number(all.sum::<u64>() as f64, "")
}

/// Promotions per receipt in the week of Black Friday and before Christmas, against ordinary time.
fn promotions(traffic: &Traffic, applied: &Days<u64>, days: &Range<i32>) -> Band {
    let band = Band::new("promotions per receipt near holidays, of usual", 1.1..=f64::INFINITY);
    let per_receipt = |days: &[i32]| {
        let applied: u64 = days.iter().filter_map(|day| applied.get(*day)).sum();
        applied as f64 / receipts(traffic, days.iter().copied()).iter().sum::<f64>()
    };
    let near: Vec<i32> = days.clone().filter(|day| is_near_a_holiday(*day)).collect();
    let usual: Vec<i32> = days.clone().filter(|day| is_ordinary(*day)).collect();
    if near.len() < ORDINARY_DAYS_MIN || usual.len() < ORDINARY_DAYS_MIN {
        return band.unmeasured(NOT_IN_SPAN);
    }
    let (near, usual) = (per_receipt(&near), per_receipt(&usual));
    band.number(near / usual, format!("{near:.3} against {usual:.3}"))
}

/// From five days before Black Friday to the Monday after it, and from 11 to 24 December.
fn is_near_a_holiday(day: i32) -> bool {
    let year = date_of(day).year();
    let friday = day_of(black_friday(year));
    let advent = day_of(date(year, 12, 11))..=day_of(date(year, 12, 24));
    (friday - 5..=friday + 3).contains(&day) || advent.contains(&day)
}
