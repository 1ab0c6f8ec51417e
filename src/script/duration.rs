//! Durations in scripts: `"500ms"`, `"30s"`, `"5m"`, `"24h"`, `"7d"`, or milliseconds.

use std::time::Duration;

use rhai::Dynamic;

use crate::event::Value;
use crate::spec::SpecDuration;

/// The longest duration a script may ask for: a hundred years, within the calendar from any event.
const DURATION_MAX: Duration = Duration::from_hours(100 * 366 * 24);

fn parse_duration(text: &str) -> Result<Duration, String> {
    within_bounds(text.trim().parse::<SpecDuration>()?.0, text)
}

/// The duration that a script passed: a text, or whole milliseconds.
pub(super) fn duration_from(value: &Dynamic) -> Result<Duration, String> {
    if let Ok(millis) = value.as_int() {
        return duration_of_millis(millis);
    }
    match value.as_immutable_string_ref() {
        Ok(text) => parse_duration(&text),
        Err(found) => Err(format!("a duration is a text or milliseconds, not `{found}`")),
    }
}

/// The same for a value of ours.
pub(super) fn duration_of(value: &Value) -> Result<Duration, String> {
    match value {
        Value::Int(millis) => duration_of_millis(*millis),
        Value::Text(text) => text.with_str(parse_duration),
        other => Err(format!("a duration is a text or milliseconds, not {}", other.type_name())),
    }
}

fn duration_of_millis(millis: i64) -> Result<Duration, String> {
    let duration = u64::try_from(millis)
        .map(Duration::from_millis)
        .map_err(|_| format!("a duration of {millis} ms is negative"))?;
    within_bounds(duration, &format!("{millis} ms"))
}

fn within_bounds(duration: Duration, text: &str) -> Result<Duration, String> {
    if duration > DURATION_MAX {
        return Err(format!("`{text}` is longer than a hundred years"));
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        for (text, millis) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("24h", 86_400_000),
            ("7d", 604_800_000),
            ("1h30m", 5_400_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "", "5", "m", "5 weeks", "-5m", "infd", "nans", "1e400s", "1000000d", "1h30", "5m s",
            "..s",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
