//! How single values of master data are read. A function that refuses one says what it could be.

use std::ops::RangeInclusive;
use std::str::FromStr;

use jiff::tz::TimeZone;

use crate::problem::did_you_mean;

/// An id: a whole number above 0.
pub(super) fn id(text: &str) -> Result<u32, String> {
    whole(text, 1..=u32::MAX)
}

/// A whole number within bounds.
pub(super) fn whole(text: &str, bounds: RangeInclusive<u32>) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| bounds.contains(number));
    number.ok_or_else(|| format!("use a whole number from {} to {}", bounds.start(), bounds.end()))
}

/// The number of a truck: `7`, or `TRUCK_0007` as events call it.
pub(super) fn truck(text: &str) -> Result<u32, String> {
    let number = text.strip_prefix("TRUCK_").unwrap_or(text);
    whole(number, 1..=crate::retail::world::generate::TRUCKS_MAX)
        .map_err(|help| format!("{help}, or such a one after `TRUCK_`"))
}

/// A number within bounds.
pub(super) fn number(text: &str, bounds: RangeInclusive<f64>) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| bounds.contains(number));
    number.ok_or_else(|| format!("use a number from {} to {}", bounds.start(), bounds.end()))
}

/// An amount of money in cents.
pub(super) fn price(text: &str) -> Result<u32, String> {
    const CENTS_MAX: u64 = 100_000_000;
    let cents = hundredths(text).filter(|(cents, exact)| *exact && (1..=CENTS_MAX).contains(cents));
    let cents = cents.and_then(|(cents, _)| u32::try_from(cents).ok());
    cents.ok_or_else(|| "use an amount from 0.01 to 1000000 such as `3.49`".to_owned())
}

/// A percentage in hundredths of a percent, to which it is rounded.
pub(super) fn tax_rate(text: &str) -> Result<u32, String> {
    const RATE_MAX: u64 = 5_000;
    let rate = hundredths(text).filter(|(rate, _)| *rate <= RATE_MAX);
    let rate = rate.and_then(|(rate, _)| u32::try_from(rate).ok());
    rate.ok_or_else(|| "use a percentage from 0 to 50 such as `8.25`".to_owned())
}

/// A decimal number in hundredths, rounded half up, and whether that is exact.
fn hundredths(text: &str) -> Option<(u64, bool)> {
    const DIGITS_MAX: usize = 12;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| {
        (1..=DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let digit =
        |place: usize| fraction.as_bytes().get(place).map_or(0, |byte| u64::from(byte - b'0'));
    let whole: u64 = whole.parse().ok()?;
    let exact = fraction.bytes().skip(2).all(|byte| byte == b'0');
    Some((whole * 100 + digit(0) * 10 + digit(1) + u64::from(digit(2) >= 5), exact))
}

/// One of a closed list.
pub(super) fn kind<K: FromStr<Err = &'static [&'static str]>>(text: &str) -> Result<K, String> {
    text.parse().map_err(|names: &[&str]| match did_you_mean(text, names.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("use one of {}", names.join(", ")),
    })
}

/// `true` or `false`.
pub(super) fn truth(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "use `true` or `false`".to_owned())
}

/// A time zone by its IANA name.
pub(super) fn time_zone(text: &str) -> Result<TimeZone, String> {
    let known = TimeZone::get(text).ok().filter(|zone| !zone.is_unknown());
    known.ok_or_else(|| "use an IANA time zone such as `America/Chicago`".to_owned())
}

/// The name of a town.
pub(super) fn name(text: &str) -> Result<String, String> {
    const BYTES_MAX: usize = 100;
    let fits = text.len() <= BYTES_MAX && !text.chars().any(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err(format!("use a name of up to {BYTES_MAX} bytes")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_read_exactly_and_rates_are_rounded() {
        for (text, cents) in
            [("3.49", 349), ("3", 300), ("0.5", 50), ("3.490", 349), ("1000000", 100_000_000)]
        {
            assert_eq!(price(text), Ok(cents), "{text}");
        }
        for text in [
            "3.491",
            "0",
            "-1",
            "1,5",
            "$3",
            "3.",
            ".5",
            "1e2",
            "1000000.01",
            "9".repeat(40).as_str(),
        ] {
            assert!(price(text).is_err(), "{text}");
        }
        assert_eq!(tax_rate("8.875"), Ok(888));
        assert_eq!(tax_rate("8.874"), Ok(887));
        assert_eq!(tax_rate("50"), Ok(5_000));
        assert!(tax_rate("50.01").is_err());
    }

    #[test]
    fn numbers_out_of_bounds_and_no_numbers_are_refused() {
        for text in ["nan", "inf", "0", "101", "x", ""] {
            assert!(number(text, 0.01..=100.0).is_err(), "{text}");
        }
        for text in ["0", "-1", "4294967296", "1.0", "x"] {
            assert!(id(text).is_err(), "{text}");
        }
        assert_eq!(truck("TRUCK_0007"), truck("7"));
        assert!(truck("TRUCK_10000").is_err());
    }

    #[test]
    fn a_time_zone_is_one_of_the_iana_database() {
        assert!(time_zone("America/Phoenix").is_ok());
        for text in ["Phoenix", "EST5EDT4", "Etc/Unknown", "+02:00"] {
            assert!(time_zone(text).is_err(), "{text}");
        }
    }
}
