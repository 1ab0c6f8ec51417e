//! An instant in milliseconds, written as the contract asks: `YYYY-MM-DDTHH:MM:SS.mmmZ`, UTC.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text of a timestamp, without quotes: always 24 bytes.
pub(super) type Rendered = [u8; 24];

impl Timestamp {
    /// Before every event: the watermark of an input that has said nothing yet.
    pub const MIN: Self = Self(-62_135_596_800_000);
    /// After every event: 9999-12-30T21:59:59.999Z, the calendar library's last whole second.
    pub const MAX: Self = Self(253_402_207_199_999);

    /// The instant that many milliseconds after 1970, held within the years 1 to 9999.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis).clamp(Self::MIN, Self::MAX)
    }

    /// Milliseconds since 1970.
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down.
    pub fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The time from `earlier` to this instant; zero if it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The instant for the calendar library.
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).expect("years 1 to 9999 are within jiff's range")
    }

    pub(super) fn render(self) -> Rendered {
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let date_time = jiff::tz::Offset::UTC.to_datetime(self.to_jiff());
        digits(&mut text[0..4], date_time.year().unsigned_abs().into());
        digits(&mut text[5..7], date_time.month().unsigned_abs().into());
        digits(&mut text[8..10], date_time.day().unsigned_abs().into());
        digits(&mut text[11..13], date_time.hour().unsigned_abs().into());
        digits(&mut text[14..16], date_time.minute().unsigned_abs().into());
        digits(&mut text[17..19], date_time.second().unsigned_abs().into());
        render_millis(&mut text, self);
        text
    }
}

/// Writes the three digits after the second.
pub(super) fn render_millis(text: &mut Rendered, time: Timestamp) {
    digits(&mut text[20..23], time.0.rem_euclid(1000) as u32);
}

fn digits(place: &mut [u8], mut number: u32) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.0.saturating_add(millis))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.0.saturating_sub(millis))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&self.render()).expect("digits and dashes are UTF-8"))
    }
}

/// Any RFC 3339 instant; what is finer than a millisecond is cut off.
impl FromStr for Timestamp {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<jiff::Timestamp>()
            .map(|instant| Self::from_millis(instant.as_millisecond()))
            .map_err(|_| format!("`{text}` is not an instant such as `2024-11-29T10:00:00Z`"))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "format": "date-time",
            "examples": ["2024-11-29T10:00:00Z"],
        })
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(millis in Timestamp::MIN.0..=Timestamp::MAX.0) {
            let time = Timestamp::from_millis(millis);
            prop_assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
            prop_assert_eq!(time.to_string().len(), 24);
        }
    }

    #[test]
    fn a_timestamp_has_three_fraction_digits() {
        let time = Timestamp::from_millis(1_704_110_400_000);
        assert_eq!(time.to_string(), "2024-01-01T12:00:00.000Z");
    }

    #[test]
    fn arithmetic_stays_within_the_calendar() {
        assert_eq!(Timestamp::MAX + Duration::MAX, Timestamp::MAX);
        assert_eq!(Timestamp::MIN - Duration::MAX, Timestamp::MIN);
    }
}
