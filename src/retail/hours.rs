//! When stores are open, and how the traffic of a day is spread over its hours. All times are
//! local, and whole hours.

use jiff::civil::{Date, Time, Weekday};

use super::calendar::{Holiday, holiday};
use super::world::{Format, Tier};

/// When a store opens and closes on a date, in local time of that date; none where it stays
/// closed. From 12 to 18 every store is open on every day on which it opens at all.
pub fn opening(format: Format, tier: Tier, date: Date) -> Option<(Time, Time)> {
    let (open, close) = open_hours(format, tier, date)?;
    Some((Time::constant(open, 0, 0, 0), Time::constant(close, 0, 0, 0)))
}

/// The parts of a day's traffic that come in each local hour from 0 on: their sum is 1, or 0 where
/// the store stays closed. A shorter day is a denser one: hours in which the store is closed go to
/// the others, so that the day's traffic is what the calendar says.
///
/// On a weekday the busiest hour, from 17 to 18, has 9 to 10.6 % of the day in every format, and the
/// hours from 12 to 18 have 51 to 60 % of it. Sundays are denser.
pub fn hour_shares(format: Format, tier: Tier, date: Date) -> [f64; 24] {
    let Some((open, close)) = open_hours(format, tier, date) else { return [0.0; 24] };
    let mut shares = PROFILE;
    shares[..open as usize].fill(0.0);
    shares[close as usize..].fill(0.0);
    let day: f64 = shares.iter().sum();
    shares.map(|share| share / day)
}

/// Percent of a day's traffic by hour, where a store is open from 6 to 23: a rise over the morning,
/// a small peak at noon and a larger one after work. The figures are ours, within the bands of
/// [`hour_shares`].
const PROFILE: [f64; 24] = [
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.8, 1.8, 2.9, 4.2, 6.6, 8.0, //
    8.6, 8.3, 8.1, 8.3, 8.7, 9.0, 8.2, 6.6, 4.7, 3.2, 2.0, 0.0,
];

/// The full hours at which a store opens and closes.
fn open_hours(format: Format, tier: Tier, date: Date) -> Option<(i8, i8)> {
    let is_sunday = date.weekday() == Weekday::Sunday;
    let (open, close) = match (tier, format, is_sunday) {
        (Tier::Kiosk, _, false) => (8, 20),
        (Tier::Kiosk, _, true) => (9, 19),
        (_, Format::Hypermarket, false) => (6, 23),
        (_, Format::Supermarket, false) | (_, Format::Hypermarket, true) => (7, 22),
        (_, Format::Supermarket, true) => (8, 21),
        (_, Format::Department, false) => (10, 21),
        (_, Format::Department, true) => (11, 19),
        (_, Format::Express, false) => (7, 23),
        (_, Format::Express, true) => (8, 22),
    };
    match holiday(date) {
        None => Some((open, close)),
        // Doorbusters.
        Some(Holiday::BlackFriday) => Some((6, close)),
        Some(of) => of.hours().map(|(from, to)| (open.max(from), close.min(to))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::{date, time};

    fn stores() -> impl Iterator<Item = (Format, Tier)> {
        let tiers = |format| Tier::ALL.iter().map(move |tier| (format, *tier));
        Format::ALL.iter().flat_map(move |format| tiers(*format))
    }

    fn days() -> impl Iterator<Item = Date> {
        date(2023, 1, 1).series(jiff::Span::new().days(1)).take(3 * 365)
    }

    #[test]
    fn every_store_is_open_in_the_afternoon_of_every_day_but_christmas() {
        for (day, (format, tier)) in days().flat_map(|day| stores().map(move |store| (day, store)))
        {
            let Some((open, close)) = opening(format, tier, day) else {
                assert_eq!((day.month(), day.day()), (12, 25), "{format} {tier} {day}");
                continue;
            };
            assert_ne!((day.month(), day.day()), (12, 25), "{format} {tier} is open");
            assert!(open <= time(12, 0, 0, 0) && close >= time(18, 0, 0, 0), "{format} {day}");
        }
    }

    #[test]
    fn hours_differ_by_format_weekday_and_holiday() {
        let hours = |format, tier, day| {
            opening(format, tier, day).map(|(open, close)| (open.hour(), close.hour()))
        };
        let tuesday = date(2025, 7, 15);
        let all = [Format::Hypermarket, Format::Supermarket, Format::Department, Format::Express];
        let on = |day| all.map(|format| hours(format, Tier::Medium, day).unwrap());
        assert_eq!(on(tuesday), [(6, 23), (7, 22), (10, 21), (7, 23)]);
        assert_eq!(on(date(2025, 7, 20)), [(7, 22), (8, 21), (11, 19), (8, 22)], "Sunday");
        assert_eq!(on(date(2025, 11, 27)), [(9, 18), (9, 18), (10, 18), (9, 18)], "Thanksgiving");
        assert_eq!(on(date(2025, 11, 28)), [(6, 23), (6, 22), (6, 21), (6, 23)], "Black Friday");
        assert_eq!(on(date(2025, 12, 24)), [(6, 18), (7, 18), (10, 18), (7, 18)], "the eve");
        assert_eq!(hours(Format::Hypermarket, Tier::Kiosk, tuesday), Some((8, 20)));
    }

    #[test]
    fn a_day_is_whole_and_within_its_hours() {
        for (day, (format, tier)) in days().flat_map(|day| stores().map(move |store| (day, store)))
        {
            let shares = hour_shares(format, tier, day);
            let sum: f64 = shares.iter().sum();
            let Some((open, close)) = opening(format, tier, day) else {
                assert!(sum <= 0.0);
                continue;
            };
            assert!((sum - 1.0).abs() < 1e-9, "{sum}");
            for (hour, share) in shares.iter().enumerate() {
                let is_open = (open.hour()..close.hour()).contains(&(hour as i8));
                assert_eq!(*share > 0.0, is_open, "{format} {tier} {day} {hour}");
            }
        }
    }

    #[test]
    fn a_weekday_peaks_and_fills_its_afternoon_as_the_bands_say_in_every_store() {
        for (format, tier) in stores() {
            let shares = hour_shares(format, tier, date(2025, 7, 15));
            let peak = shares.iter().copied().fold(0.0, f64::max);
            let afternoon: f64 = shares[12..18].iter().sum();
            assert!((0.085..0.11).contains(&peak), "{format} {tier}: {peak}");
            assert!((0.5..0.6).contains(&afternoon), "{format} {tier}: {afternoon}");
        }
    }

    #[test]
    fn a_fortnight_of_a_chain_is_within_the_bands() {
        // As if all formats had the same traffic.
        let mut chain = [0.0; 24];
        for (day, format) in
            days().take(14).flat_map(|day| Format::ALL.iter().map(move |of| (day, of)))
        {
            for (sum, share) in chain.iter_mut().zip(hour_shares(*format, Tier::Medium, day)) {
                *sum += share / 56.0;
            }
        }
        let peak = chain.iter().copied().fold(0.0, f64::max);
        let afternoon: f64 = chain[12..18].iter().sum();
        assert!((0.088..0.105).contains(&peak), "{peak}");
        assert!((0.52..0.58).contains(&afternoon), "{afternoon}");
    }
}
