//! The calendar of retail: how many people are out shopping on a date, and how many promotions run.

mod holidays;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use holidays::{Holiday, holiday};

/// How busy Saturdays and Sundays are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Weekend {
    /// A day of the weekend has 0.8 of the traffic of a weekday: a Saturday is 12 % of the week.
    #[default]
    Reduced,
    /// As in real retail: a Saturday is 18 % of the week, a Sunday 14 %, a Friday 15 %.
    Busy,
}

impl Weekend {
    /// The days of an ordinary week from Monday on, against its mean day.
    const fn week(self) -> [f64; 7] {
        match self {
            // 0.8 of a weekday, and seven days together.
            Self::Reduced => {
                let weekday = 7.0 / 6.6;
                let weekend = 0.8 * weekday;
                [weekday, weekday, weekday, weekday, weekday, weekend, weekend]
            }
            // 13.2, 12.7, 13.1, 13.6, 15.4, 17.8 and 14.2 % of the week.
            Self::Busy => [0.924, 0.889, 0.917, 0.952, 1.078, 1.246, 0.994],
        }
    }
}

/// Months from January on, against the mean month, without their holidays. The figures are ours, in
/// the likeness of retail sales in the United States but flatter, as visits vary less than sales.
const MONTHS: [f64; 12] = [0.91, 0.93, 0.97, 0.98, 1.02, 1.01, 1.00, 1.02, 0.97, 0.98, 1.02, 1.05];

/// Holidays and what is around them make a mean day busier; this takes it out again.
const YEAR: f64 = 1.009;

/// How far before it a holiday can matter, in days.
const AHEAD: usize = 14;
/// How far after it a holiday can matter, in days.
const BEHIND: usize = 14;

/// How much traffic days have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calendar {
    /// How busy Saturdays and Sundays are.
    pub weekend: Weekend,
}

impl Calendar {
    /// Footfall of a date against the mean day of the year: by weekday, month, and holidays with
    /// the days around them. The mean over a year is 1 within 2 %, December is at 1.1 to 1.2, Black
    /// Friday above 2.2, and 25 December at 0. The mean weather of the season is in it, the weather
    /// of the day is not. Takes half a microsecond: asked once a day, not once an event.
    pub fn traffic(self, date: Date) -> f64 {
        let weekday = date.weekday().to_monday_zero_offset() as usize;
        let month = MONTHS[date.month() as usize - 1];
        self.weekend.week()[weekday] * month * festivity(date) / YEAR
    }
}

/// Footfall of a date against one without holidays around.
fn festivity(date: Date) -> f64 {
    if let Some(today) = holiday(date) {
        return today.traffic();
    }
    // Run-ups and aftermaths meet nowhere but between Christmas and the new year, which has none.
    let before = ahead(date).find_map(|(days, of)| of.run_up().get(days - 1));
    let after = || behind(date).find_map(|(days, of)| of.aftermath().get(days - 1));
    before.or_else(after).copied().unwrap_or(1.0)
}

/// How intense promotions are on a date, against an ordinary week: how many products are promoted,
/// or how likely a purchase is to have a promotion. 1.5 to 1.75 in the week or so before
/// Valentine's Day, Easter and the long weekends, 3 from the Monday before Black Friday to
/// Cyber Monday, 2 in the week before that and from then on, 2.5 from a fortnight before Christmas to
/// the end of the year. Never below 1.
pub fn promotions(date: Date) -> f64 {
    let today = holiday(date).map(|of| (0, of));
    let before = today
        .into_iter()
        .chain(ahead(date))
        .filter_map(|(days, of)| of.promotion().filter(|(_, before, _)| days <= *before));
    let after =
        behind(date).filter_map(|(days, of)| of.promotion().filter(|(_, _, after)| days <= *after));
    before.chain(after).map(|(level, _, _)| level).fold(1.0, f64::max)
}

/// The holidays to come, each with the days until then.
fn ahead(date: Date) -> impl Iterator<Item = (usize, Holiday)> {
    let days = std::iter::successors(Some(date), |day| day.tomorrow().ok());
    days.enumerate().skip(1).take(AHEAD).filter_map(|(days, day)| Some((days, holiday(day)?)))
}

/// The holidays that were, each with the days since then.
fn behind(date: Date) -> impl Iterator<Item = (usize, Holiday)> {
    let days = std::iter::successors(Some(date), |day| day.yesterday().ok());
    days.enumerate().skip(1).take(BEHIND).filter_map(|(days, day)| Some((days, holiday(day)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    const WEEKENDS: [Weekend; 2] = [Weekend::Reduced, Weekend::Busy];

    fn mean(weekend: Weekend, from: Date, to: Date) -> f64 {
        let days = from.series(jiff::Span::new().days(1)).take_while(|day| *day <= to);
        let traffic: Vec<f64> = days.map(|day| Calendar { weekend }.traffic(day)).collect();
        traffic.iter().sum::<f64>() / traffic.len() as f64
    }

    fn year(weekend: Weekend, year: i16) -> f64 {
        mean(weekend, date(year, 1, 1), date(year, 12, 31))
    }

    #[test]
    fn a_mean_day_of_a_year_is_one() {
        for weekend in WEEKENDS {
            let years: Vec<f64> = (2000..2400).map(|number| year(weekend, number)).collect();
            let all = years.iter().sum::<f64>() / years.len() as f64;
            assert!((all - 1.0).abs() < 0.003, "{weekend:?}: {all}");
            for mean in years {
                assert!((0.98..1.02).contains(&mean), "{weekend:?}: {mean}");
            }
        }
    }

    #[test]
    fn december_is_above_the_year_and_closed_on_christmas_day() {
        for weekend in WEEKENDS {
            for number in 2015..2045 {
                let december = mean(weekend, date(number, 12, 1), date(number, 12, 31));
                let factor = december / year(weekend, number);
                assert!((1.1..1.2).contains(&factor), "{weekend:?} {number}: {factor}");
                assert!(Calendar { weekend }.traffic(date(number, 12, 25)) <= 0.0);
            }
        }
    }

    #[test]
    fn black_friday_is_a_multiple_and_the_busiest_day() {
        for weekend in WEEKENDS {
            for number in 2015..2045 {
                let days = || date(number, 1, 1).series(jiff::Span::new().days(1)).take(365);
                let traffic = |day: &Date| Calendar { weekend }.traffic(*day);
                let busiest = days().max_by(|a, b| traffic(a).total_cmp(&traffic(b))).unwrap();
                assert_eq!(holiday(busiest), Some(Holiday::BlackFriday), "{busiest}");
                assert!(traffic(&busiest) / year(weekend, number) > 2.2, "{}", traffic(&busiest));
            }
        }
    }

    #[test]
    fn an_ordinary_week_has_the_weekend_that_was_asked_for() {
        // From a Monday on; neither has a holiday near.
        for monday in [date(2024, 7, 15), date(2025, 3, 10)] {
            let share = |weekend, days: i64| {
                let day = monday.checked_add(jiff::Span::new().days(days)).unwrap();
                let whole =
                    7.0 * mean(weekend, monday, monday.saturating_add(jiff::Span::new().days(6)));
                Calendar { weekend }.traffic(day) / whole
            };
            for day in [5, 6] {
                let ratio = share(Weekend::Reduced, day) / share(Weekend::Reduced, 2);
                assert!((ratio - 0.8).abs() < 1e-9, "{ratio}");
            }
            assert!((0.12..0.1225).contains(&share(Weekend::Reduced, 5)));
            assert!((0.16..0.19).contains(&share(Weekend::Busy, 5)));
            assert!((0.13..0.15).contains(&share(Weekend::Busy, 6)));
        }
        let week: f64 = Weekend::Busy.week().iter().sum();
        assert!((week - 7.0).abs() < 1e-9, "{week}");
    }

    #[test]
    fn shoppers_come_before_a_holiday_and_bargain_hunters_after_it() {
        let calendar = Calendar::default();
        let against_week_before = |day: Date| {
            calendar.traffic(day) / calendar.traffic(day.saturating_sub(jiff::Span::new().weeks(1)))
        };
        // Each in a year in which the week before is an ordinary one of the same month.
        assert!(against_week_before(date(2024, 11, 27)) > 1.2, "Thanksgiving");
        assert!(against_week_before(date(2024, 11, 30)) > 1.4, "Black Friday's weekend");
        assert!(against_week_before(date(2024, 12, 19)) > 1.2, "Christmas");
        assert!(against_week_before(date(2025, 4, 19)) > 1.2, "Easter");
        assert!(calendar.traffic(date(2024, 12, 28)) > calendar.traffic(date(2024, 12, 7)));
    }

    #[test]
    fn promotions_follow_the_holidays() {
        let intense = |month, day| (promotions(date(2025, month, day)) * 100.0).round() as u32;
        assert_eq!(intense(7, 15), 100, "an ordinary week");
        assert_eq!(intense(11, 28), 300, "Black Friday");
        assert_eq!([intense(11, 24), intense(11, 23)], [300, 200], "its week begins");
        assert_eq!([intense(12, 1), intense(12, 3)], [300, 200], "its week ends");
        assert_eq!([intense(12, 10), intense(12, 11)], [200, 250], "Christmas");
        assert_eq!([intense(12, 31), intense(1, 3), intense(1, 10)], [250, 150, 100], "new year");
        assert_eq!([intense(4, 12), intense(4, 21)], [175, 100], "Easter");
    }

    #[test]
    fn the_first_and_the_last_date_have_traffic() {
        for day in [Date::MIN, Date::MAX] {
            assert!(Calendar::default().traffic(day) > 0.0 && promotions(day) >= 1.0);
        }
    }
}
