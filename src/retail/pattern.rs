//! How busy retail is by the clock: the pattern of the reference factory.

use super::event_types::EventType;
use crate::event::Timestamp;

const HOUR_MILLIS: i64 = 3_600_000;
const DAY_MILLIS: i64 = 24 * HOUR_MILLIS;
/// A Saturday or Sunday, of a weekday.
const WEEKEND: f64 = 0.8;

/// How much goes on in an hour of the day (0 to 23), of what goes on in a busy one.
pub fn hour_factor(hour: u32) -> f64 {
    match hour {
        9..=20 => 1.0,
        7..=8 | 21..=22 => 0.6,
        _ => 0.1,
    }
}

/// How likely an event of a type is at that time (UTC), from 0 to 1. Stores open in the morning
/// and close in the evening of every day.
pub fn activity(event_type: EventType, time: Timestamp) -> f64 {
    let hour = (time.as_millis().rem_euclid(DAY_MILLIS) / HOUR_MILLIS) as u32;
    let within = |hours: std::ops::RangeInclusive<u32>| f64::from(hours.contains(&hour));
    match event_type {
        EventType::StoreOpened => within(7..=9),
        EventType::StoreClosed => within(20..=22),
        _ if is_weekend(time) => hour_factor(hour) * WEEKEND,
        _ => hour_factor(hour),
    }
}

fn is_weekend(time: Timestamp) -> bool {
    // 1970 began on a Thursday.
    let weekday = (time.as_millis().div_euclid(DAY_MILLIS) + 3).rem_euclid(7);
    weekday >= 5
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In percent.
    fn at(time: &str) -> u32 {
        (activity(EventType::ReceiptCreated, time.parse().unwrap()) * 100.0).round() as u32
    }

    #[test]
    fn nights_and_weekends_are_quieter() {
        // 2024-11-29 is a Friday.
        let [night, early, day, late] = ["06:59:59", "08:59:59", "20:59:59", "22:00:00"]
            .map(|hour| at(&format!("2024-11-29T{hour}Z")));
        assert_eq!([night, early, day, late], [10, 60, 100, 60]);
        assert_eq!(at("2024-11-30T12:00:00Z"), 80);
        assert_eq!(at("2024-12-01T23:59:59Z"), 8);
        assert_eq!(at("2024-12-02T00:00:00Z"), 10);
        assert_eq!(at("1969-12-28T12:00:00Z"), 80, "a Sunday before 1970");
    }

    #[test]
    fn stores_open_in_the_morning_and_close_in_the_evening() {
        let at = |event_type, hour: &str| {
            activity(event_type, format!("2024-11-30T{hour}:00:00Z").parse().unwrap()) > 0.0
        };
        assert!(at(EventType::StoreOpened, "08") && !at(EventType::StoreOpened, "21"));
        assert!(at(EventType::StoreClosed, "21") && !at(EventType::StoreClosed, "08"));
    }
}
