//! A sum that keeps cents right, whatever the order and the number of its values.

use serde::{Deserialize, Serialize};

use crate::event::Value;

/// How many parts of one are counted: six decimals.
const PARTS: i128 = 1_000_000;
/// Below it, a float can hold its number of millionths.
const EXACT_MAX: f64 = 9e9;
/// Below it, so many whole numbers as there are milliseconds in a century do not overflow.
const WHOLE_MAX: f64 = 1e18;

/// Numbers that have six decimals at the most are added up as whole millionths; no order of theirs
/// makes a difference. What is finer, or huge, is added up as floats, with the error of each
/// addition carried along (Neumaier 1974).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::correlators::window) struct Sum {
    millionths: i128,
    rest: Bits,
    error: Bits,
    /// Whether all values were whole numbers.
    is_whole: bool,
}

impl Default for Sum {
    fn default() -> Self {
        Self { millionths: 0, rest: Bits(0.0), error: Bits(0.0), is_whole: true }
    }
}

/// A float that is kept to the last bit.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
struct Bits(f64);

impl From<u64> for Bits {
    fn from(bits: u64) -> Self {
        Self(f64::from_bits(bits))
    }
}

impl From<Bits> for u64 {
    fn from(Bits(number): Bits) -> Self {
        number.to_bits()
    }
}

impl Sum {
    /// Adds a number; what is none adds nothing.
    pub(super) fn add(&mut self, value: &Value) {
        match value {
            Value::Int(number) => self.add_millionths(i128::from(*number) * PARTS),
            Value::Float(number) => {
                self.is_whole = false;
                match millionths(*number) {
                    Some(exact) => self.add_millionths(exact),
                    None => self.add_rest(*number),
                }
            }
            _ => {}
        }
    }

    /// Adds another sum.
    pub(super) fn merge(&mut self, other: &Self) {
        self.add_millionths(other.millionths);
        self.add_rest(other.rest.0);
        self.add_rest(other.error.0);
        self.is_whole &= other.is_whole;
    }

    /// The sum: a whole number if all values were, and if it fits.
    pub(super) fn value(&self) -> Value {
        match i64::try_from(self.millionths / PARTS) {
            Ok(whole) if self.is_whole => Value::Int(whole),
            _ => Value::Float(self.as_f64()),
        }
    }

    /// The sum as a float: the one that is nearest to it, as long as no value was finer than six
    /// decimals and there are no more than 15 digits.
    pub(super) fn as_f64(&self) -> f64 {
        let (mut count, mut parts) = (self.millionths, PARTS);
        while parts > 1 && count % 10 == 0 {
            count /= 10;
            parts /= 10;
        }
        let exact = count as f64 / parts as f64;
        let rest = self.rest.0 + self.error.0;
        if rest == 0.0 { exact } else { exact + rest }
    }

    fn add_millionths(&mut self, millionths: i128) {
        self.millionths = self.millionths.saturating_add(millionths);
    }

    fn add_rest(&mut self, number: f64) {
        let rest = self.rest.0;
        let sum = rest + number;
        let (large, small) =
            if rest.abs() >= number.abs() { (rest, number) } else { (number, rest) };
        self.error.0 += (large - sum) + small;
        self.rest.0 = sum;
    }
}

/// How many millionths a float says, if it is the one that is nearest to so many.
fn millionths(number: f64) -> Option<i128> {
    if number.abs() < EXACT_MAX {
        let count = (number * PARTS as f64).round();
        let is_exact = (count / PARTS as f64).to_bits() == number.to_bits();
        return is_exact.then_some(count as i128);
    }
    let is_whole = number.abs() < WHOLE_MAX && number.fract() == 0.0;
    is_whole.then(|| number as i128 * PARTS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(values: impl IntoIterator<Item = Value>) -> Sum {
        let mut sum = Sum::default();
        values.into_iter().for_each(|value| sum.add(&value));
        sum
    }

    #[test]
    fn cents_stay_right() {
        assert_eq!(sum((0..10).map(|_| Value::Float(0.1))).value(), Value::Float(1.0));
        let receipt = [19.99, 5.01, 0.07, 1e9].map(Value::Float);
        assert_eq!(sum(receipt).value(), Value::Float(1_000_000_025.07));
        assert_eq!(sum((0..100_000).map(|_| Value::Float(0.07))).value(), Value::Float(7000.0));
    }

    #[test]
    fn whole_numbers_stay_whole_until_they_do_not_fit() {
        assert_eq!(sum([i64::MAX, -1].map(Value::Int)).value(), Value::Int(i64::MAX - 1));
        assert_eq!(sum([i64::MAX, i64::MAX].map(Value::Int)).value(), Value::Float(2_f64.powi(64)));
        assert_eq!(sum([Value::Int(1), Value::Float(1.0)]).value(), Value::Float(2.0));
        assert_eq!(sum([]).value(), Value::Int(0));
    }

    #[test]
    fn what_is_fine_or_huge_is_added_up_with_its_errors_carried_along() {
        assert_eq!(sum([1.0, 1e100, 1.0, -1e100].map(Value::Float)).value(), Value::Float(2.0));
        let thirds = sum((0..3_000_000).map(|_| Value::Float(1.0 / 3.0))).as_f64();
        assert!((thirds - 1e6).abs() < 1e-9, "{thirds}");
    }

    proptest! {
        #[test]
        fn money_adds_up_to_the_cent_in_any_order_and_in_parts(
            cents in prop::collection::vec(-1_000_000_000_i64..1_000_000_000, 0..50),
            cut in 0_usize..50,
        ) {
            let money = |cents: &i64| Value::Float(*cents as f64 / 100.0);
            let expected = (cents.iter().sum::<i64>() as f64 / 100.0).to_bits();
            prop_assert_eq!(sum(cents.iter().map(money)).as_f64().to_bits(), expected);
            prop_assert_eq!(sum(cents.iter().rev().map(money)).as_f64().to_bits(), expected);
            let (one, other) = cents.split_at(cut.min(cents.len()));
            let mut both = sum(one.iter().map(money));
            both.merge(&sum(other.iter().map(money)));
            prop_assert_eq!(both.as_f64().to_bits(), expected);
        }

        #[test]
        fn a_sum_is_kept_to_the_last_bit(numbers in prop::collection::vec(any::<f64>(), 0..20)) {
            let sum = sum(numbers.into_iter().filter(|number| number.is_finite()).map(Value::Float));
            let json = serde_json::to_string(&sum).unwrap();
            let back: Sum = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(serde_json::to_string(&back).unwrap(), json);
            prop_assert_eq!(back.as_f64().to_bits(), sum.as_f64().to_bits());
        }
    }
}
