//! Local days, by their number since 1970: a table by day, the days that a stream covers, and the
//! dates that matter.

use std::ops::Range;
use std::time::Duration;

use engine::event::Timestamp;
use engine::retail::World;
use jiff::ToSpan;
use jiff::civil::{Date, Weekday, date};

/// Milliseconds of an hour.
pub(crate) const HOUR: i64 = 3_600_000;
/// Milliseconds of a day.
pub(crate) const DAY: i64 = 24 * HOUR;

/// How quiet a stream may be at its ends: nights have few events.
const QUIET: Duration = Duration::from_hours(3);
/// Streams of more days are not measured beyond.
const DAYS_MAX: usize = 4_000;

/// Something for each local day.
#[derive(Clone, Debug)]
pub(crate) struct Days<T> {
    first: i32,
    days: Vec<T>,
}

impl<T> Days<T> {
    /// No days yet.
    pub(crate) fn new() -> Self {
        Self { first: i32::MIN, days: Vec::new() }
    }

    /// The entry of a day, made if it is new; none for days far off the first that was asked for.
    pub(crate) fn entry(&mut self, day: i32, make: impl FnMut() -> T) -> Option<&mut T> {
        if self.days.is_empty() {
            // Local days of a stream's beginning differ by one over the time zones.
            self.first = day - 2;
        }
        let place = usize::try_from(day.checked_sub(self.first)?).ok()?;
        if place >= DAYS_MAX {
            return None;
        }
        if place >= self.days.len() {
            self.days.resize_with(place + 1, make);
        }
        Some(&mut self.days[place])
    }

    /// The entry of a day, if there is one.
    pub(crate) fn get(&self, day: i32) -> Option<&T> {
        self.days.get(usize::try_from(day.checked_sub(self.first)?).ok()?)
    }
}

/// From the first event to the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    first: Timestamp,
    last: Timestamp,
}

impl Span {
    /// No event yet.
    pub(crate) const EMPTY: Self = Self { first: Timestamp::MAX, last: Timestamp::MIN };

    /// With an event.
    pub(crate) fn extend(&mut self, time: Timestamp) {
        self.first = self.first.min(time);
        self.last = self.last.max(time);
    }

    /// How many days of 24 hours it is.
    pub(crate) fn length_days(&self) -> f64 {
        self.last.since(self.first).as_secs_f64() / 86_400.0
    }

    /// The local days that lie within it from midnight to midnight, wherever there is a store.
    pub(crate) fn whole_days(&self, world: &World) -> Range<i32> {
        if self.first > self.last {
            return 0..0;
        }
        let day_of = |time: Timestamp| time.as_millis().div_euclid(DAY) as i32;
        let (from, to) = (self.first - QUIET, self.last + QUIET);
        let midnights = |day: i32| -> Vec<Timestamp> {
            let midnight = |geography: usize| {
                let time_zone = world.geographies[geography].time_zone.clone();
                let zoned = date_of(day).to_zoned_datetime(time_zone).expect("a midnight");
                Timestamp::from_millis(zoned.timestamp().as_millisecond())
            };
            world.stores.iter().map(|store| midnight(store.geography)).collect()
        };
        let begins = |day: &i32| midnights(*day).iter().all(|midnight| *midnight >= from);
        let ends = |day: &i32| midnights(*day + 1).iter().all(|midnight| *midnight <= to);
        let possible = day_of(from) - 2..day_of(to) + 3;
        let first = possible.clone().find(begins).unwrap_or(possible.end);
        let last = possible.rev().find(ends).unwrap_or(first - 1);
        first..(last + 1).max(first)
    }
}

/// The date of a local day.
pub(crate) fn date_of(day: i32) -> Date {
    date(1970, 1, 1).checked_add(day.days()).expect("a date of an event")
}

/// The local day of a date.
pub(crate) fn day_of(date: Date) -> i32 {
    (date - jiff::civil::date(1970, 1, 1)).get_days()
}

/// From 0 for Monday to 6 for Sunday; 1970 began on a Thursday.
pub(crate) fn weekday(day: i32) -> usize {
    (day + 3).rem_euclid(7) as usize
}

/// The Friday after Thanksgiving.
pub(crate) fn black_friday(year: i16) -> Date {
    let thanksgiving = date(year, 11, 1).nth_weekday_of_month(4, Weekday::Thursday);
    thanksgiving.and_then(Date::tomorrow).expect("November has four Thursdays")
}

/// The years that days are in.
pub(crate) fn years(days: &Range<i32>) -> impl Iterator<Item = i16> {
    date_of(days.start).year()..=date_of(days.end).year()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::{at, small_world};

    #[test]
    fn black_friday_follows_the_fourth_thursday() {
        assert_eq!(black_friday(2024), date(2024, 11, 29));
        assert_eq!(black_friday(2029), date(2029, 11, 23));
        assert_eq!(weekday(day_of(black_friday(2024))), 4);
    }

    #[test]
    fn a_day_is_whole_when_it_is_in_every_time_zone() {
        let world = small_world();
        let whole = |first: &str, last: &str| {
            let mut span = Span::EMPTY;
            span.extend(at(last));
            span.extend(at(first));
            let days = span.whole_days(&world);
            (date_of(days.start), days.len())
        };
        // New York's day begins at 05:00 UTC, Los Angeles' ends at 08:00 UTC of the next.
        let (first, days) = whole("2024-01-01T05:00:00Z", "2024-01-04T08:00:00Z");
        assert_eq!((first, days), (date(2024, 1, 1), 3));
        let (first, days) = whole("2024-01-01T08:30:00Z", "2024-01-04T04:00:00Z");
        assert_eq!((first, days), (date(2024, 1, 2), 1));
        assert_eq!(whole("2024-01-01T12:00:00Z", "2024-01-01T14:00:00Z").1, 0);
    }
}
