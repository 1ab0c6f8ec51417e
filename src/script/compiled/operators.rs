//! Operators on the ordinary values: what the interpreter's give, or nothing where it would err or
//! where a value is not an ordinary one.

use std::cmp::Ordering;

use compact_str::{CompactString, ToCompactString};
use rhai::{FloatWrapper, Token};

use crate::event::{Text, Value};
use crate::script::sandbox::STRING_BYTES_MAX;

/// An operator with two operands and a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
}

impl Arithmetic {
    /// The operator of a token, if it is one.
    pub(super) fn of(token: &Token) -> Option<Self> {
        Some(match token {
            Token::Plus => Self::Add,
            Token::Minus => Self::Subtract,
            Token::Multiply => Self::Multiply,
            Token::Divide => Self::Divide,
            Token::Modulo => Self::Remainder,
            Token::PowerOf => Self::Power,
            _ => return None,
        })
    }

    /// What the operator gives.
    pub(super) fn apply(self, one: &Value, two: &Value) -> Option<Value> {
        match (one, two) {
            (Value::Int(one), Value::Int(two)) => self.of_integers(*one, *two).map(Value::Int),
            (Value::Int(one), Value::Float(two)) => Some(self.of_floats(*one as f64, *two)),
            (Value::Float(one), Value::Int(two)) => Some(self.of_floats(*one, *two as f64)),
            (Value::Float(one), Value::Float(two)) => Some(self.of_floats(*one, *two)),
            (Value::Text(_), _) | (_, Value::Text(_)) if self == Self::Add => joined(one, two),
            _ => None,
        }
    }

    /// Overflow and division by zero are errors.
    fn of_integers(self, one: i64, two: i64) -> Option<i64> {
        match self {
            Self::Add => one.checked_add(two),
            Self::Subtract => one.checked_sub(two),
            Self::Multiply => one.checked_mul(two),
            Self::Divide => one.checked_div(two),
            Self::Remainder => one.checked_rem(two),
            Self::Power => one.checked_pow(u32::try_from(two).ok()?),
        }
    }

    fn of_floats(self, one: f64, two: f64) -> Value {
        Value::Float(match self {
            Self::Add => one + two,
            Self::Subtract => one - two,
            Self::Multiply => one * two,
            Self::Divide => one / two,
            Self::Remainder => one % two,
            Self::Power => one.powf(two),
        })
    }
}

/// The text of both, one behind the other.
fn joined(one: &Value, two: &Value) -> Option<Value> {
    let mut text = CompactString::default();
    push(&mut text, one)?;
    push(&mut text, two)?;
    text_value(text)
}

/// Adds a value as it reads.
pub(super) fn push(text: &mut CompactString, value: &Value) -> Option<()> {
    match value {
        Value::Null => {}
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Int(number) => text.push_str(itoa::Buffer::new().format(*number)),
        Value::Float(number) => text.push_str(&FloatWrapper::new(*number).to_compact_string()),
        Value::Text(added) => added.with_str(|added| text.push_str(added)),
        Value::Time(time) => text.push_str(&time.to_compact_string()),
        Value::List(_) | Value::Map(_) => return None,
    }
    Some(())
}

/// A text, unless it is longer than a script's may be.
pub(super) fn text_value(text: CompactString) -> Option<Value> {
    (text.len() <= STRING_BYTES_MAX).then_some(Value::Text(Text::Plain(text)))
}

/// An operator with two operands that is true or false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// The operator of a token, if it is one.
    pub(super) fn of(token: &Token) -> Option<Self> {
        Some(match token {
            Token::EqualsTo => Self::Equal,
            Token::NotEqualsTo => Self::Unequal,
            Token::LessThan => Self::Less,
            Token::LessThanEqualsTo => Self::LessOrEqual,
            Token::GreaterThan => Self::Greater,
            Token::GreaterThanEqualsTo => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    /// Whether it holds. Values of different types are different, and neither less nor greater.
    pub(super) fn holds(self, one: &Value, two: &Value) -> Option<bool> {
        match (one, two) {
            (Value::Int(one), Value::Int(two)) => Some(self.is(one.cmp(two))),
            (Value::Int(one), Value::Float(two)) => Some(self.is_of_floats(*one as f64, *two)),
            (Value::Float(one), Value::Int(two)) => Some(self.is_of_floats(*one, *two as f64)),
            (Value::Float(one), Value::Float(two)) => Some(self.is_of_floats(*one, *two)),
            (Value::Bool(one), Value::Bool(two)) => Some(self.is(one.cmp(two))),
            (Value::Text(one), Value::Text(two)) => Some(self.is_of_texts(one, two)),
            // Nothing equals nothing, and that is all that it does.
            (Value::Null, Value::Null) => Some(self == Self::Equal),
            (Value::Time(time), two) => {
                self.holds(&Value::Text(Text::Plain(time.to_compact_string())), two)
            }
            (one, Value::Time(time)) => {
                self.holds(one, &Value::Text(Text::Plain(time.to_compact_string())))
            }
            (Value::List(_) | Value::Map(_), Value::List(_) | Value::Map(_)) => None,
            _ => Some(self == Self::Unequal),
        }
    }

    fn is(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Unequal => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }

    fn is_of_texts(self, one: &Text, two: &Text) -> bool {
        match self {
            Self::Equal => one == two,
            Self::Unequal => one != two,
            _ => self.is(one.with_str(|one| two.with_str(|two| one.cmp(two)))),
        }
    }

    /// Floats that differ by no more than the last bit of the larger one are equal to the
    /// interpreter, and where one of them is zero, those that differ by less than that bit of 1.
    /// Nothing holds of what is not a number, but beside zero it is as good as zero.
    fn is_of_floats(self, one: f64, two: f64) -> bool {
        let scale = if one * two == 0.0 { 1.0 } else { one.abs().max(two.abs()) };
        if scale == 0.0 {
            return self.is(Ordering::Equal);
        }
        let difference = (one - two) / scale;
        match self {
            Self::Equal => difference.abs() <= f64::EPSILON,
            Self::Unequal => difference.abs() > f64::EPSILON,
            Self::Less => -difference > f64::EPSILON,
            Self::LessOrEqual => -difference > -f64::EPSILON,
            Self::Greater => difference > f64::EPSILON,
            Self::GreaterOrEqual => difference > -f64::EPSILON,
        }
    }
}
