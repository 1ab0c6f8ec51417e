//! What a plain YAML scalar means: the core schema of YAML 1.2, in which `no` is text.

use serde_json::{Number, Value};

/// The value of a scalar without quotes.
///
/// Two things differ from the core schema. A number with a leading zero stays text, since it is a
/// code (`0042`) more often than a number. `.inf` and `.nan` stay text, since JSON has no such
/// numbers.
pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::from(text), Value::Number),
    }
}

fn number(text: &str) -> Option<Number> {
    if let Some(digits) = text.strip_prefix("0x") {
        return based(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return based(digits, 8);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let whole = unsigned.split(['.', 'e', 'E']).next().unwrap_or_default();
    if whole.len() > 1 && whole.starts_with('0') || !is_decimal(unsigned) {
        return None;
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    if let Ok(number) = text.parse::<u64>() {
        return Some(number.into());
    }
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    text.parse::<f64>().ok().and_then(Number::from_f64)
}

fn based(digits: &str, base: u32) -> Option<Number> {
    let all_digits = digits.chars().all(|digit| digit.is_digit(base));
    all_digits.then(|| u64::from_str_radix(digits, base).ok()).flatten().map(Number::from)
}

/// Digits with at most one point, then perhaps an exponent.
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) =
        text.split_once(['e', 'E']).map_or((text, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_fits = exponent.is_none_or(|exponent| {
        let power = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !power.is_empty() && digits(power)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent_fits
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scalars_have_the_types_of_yaml_1_2() {
        for (text, value) in [
            ("no", json!("no")),
            ("off", json!("off")),
            ("true", json!(true)),
            ("~", json!(null)),
            ("42", json!(42)),
            ("+7", json!(7)),
            ("-7", json!(-7)),
            ("0", json!(0)),
            ("0x1F", json!(31)),
            ("0o17", json!(15)),
            ("0x-1", json!("0x-1")),
            ("0x+1", json!("0x+1")),
            ("1.5e3", json!(1500.0)),
            (".5", json!(0.5)),
            ("1.", json!(1.0)),
            (".", json!(".")),
            ("e5", json!("e5")),
            ("1e", json!("1e")),
            ("0042", json!("0042")),
            ("-0.5", json!(-0.5)),
            ("1_000", json!("1_000")),
            (".inf", json!(".inf")),
            ("1:30", json!("1:30")),
            ("18446744073709551615", json!(u64::MAX)),
            ("1e999", json!("1e999")),
        ] {
            assert_eq!(plain(text), value, "{text}");
        }
    }
}
