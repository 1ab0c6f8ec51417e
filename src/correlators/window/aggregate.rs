//! What is added up in a window: counts, exact sums, extremes, distinct values.

mod sum;

use std::cmp::Ordering;
use std::collections::HashSet;

use rustc_hash::FxBuildHasher;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use self::sum::Sum;
use super::failure;
use crate::event::{Event, Exact, FieldPath, Key, Value};
use crate::script::KeyPart;
use crate::stage::Failure;

/// What is told of the events of a window: `count`, or something of a field.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AggregateSettings {
    /// How many events there are.
    Count,
    /// The sum of a field.
    Sum(String),
    /// The mean of a field.
    Avg(String),
    /// The least value of a field.
    Min(String),
    /// The greatest value of a field.
    Max(String),
    /// How many different values a field has.
    Distinct(String),
}

impl AggregateSettings {
    /// What it is called in a spec.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum(_) => "sum",
            Self::Avg(_) => "avg",
            Self::Min(_) => "min",
            Self::Max(_) => "max",
            Self::Distinct(_) => "distinct",
        }
    }

    /// The field that it is about.
    pub(super) fn path(&self) -> Option<&str> {
        match self {
            Self::Count => None,
            Self::Sum(path)
            | Self::Avg(path)
            | Self::Min(path)
            | Self::Max(path)
            | Self::Distinct(path) => Some(path),
        }
    }
}

/// An aggregate that is ready to read its field.
pub(super) struct Aggregate {
    /// Its name in the payload.
    pub(super) output: Key,
    pub(super) what: AggregateSettings,
    /// None for a count.
    pub(super) field: Option<FieldPath>,
}

impl Aggregate {
    /// What an event brings to it; an error where it cannot take that.
    pub(super) fn value(&self, event: &Event) -> Result<Value, Failure> {
        let Some(field) = &self.field else { return Ok(Value::Null) };
        let value = match field.value(event) {
            // It is written as null.
            Value::Float(number) if !number.is_finite() => Value::Null,
            Value::Time(time) => Value::Text(time.to_string().into()),
            value => value,
        };
        let takes = match (&self.what, &value) {
            (_, Value::Null | Value::Int(_) | Value::Float(_)) => true,
            (AggregateSettings::Sum(_) | AggregateSettings::Avg(_), _) => false,
            (AggregateSettings::Min(_) | AggregateSettings::Max(_), value) => {
                value.as_text().is_some()
            }
            _ => true,
        };
        if takes {
            return Ok(value);
        }
        let (what, found) = (self.what.name(), value.type_name());
        Err(failure(format!("`{field}` is {found}, of which there is no `{what}`")))
    }

    /// An accumulator without values.
    pub(super) fn begin(&self) -> Accumulator {
        match self.what {
            AggregateSettings::Count => Accumulator::Count(0),
            AggregateSettings::Sum(_) => Accumulator::Sum(Sum::default()),
            AggregateSettings::Avg(_) => Accumulator::Avg(Sum::default(), 0),
            AggregateSettings::Min(_) => Accumulator::Min(Extreme(None)),
            AggregateSettings::Max(_) => Accumulator::Max(Extreme(None)),
            AggregateSettings::Distinct(_) => Accumulator::Distinct(HashSet::default()),
        }
    }
}

/// The values so far.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Accumulator {
    Count(u64),
    Sum(Sum),
    Avg(Sum, u64),
    Min(Extreme),
    Max(Extreme),
    Distinct(HashSet<KeyPart, FxBuildHasher>),
}

impl Accumulator {
    /// Whether it can take a value, where a window may have so many distinct ones.
    pub(super) fn has_room_for(&self, value: &Value, distinct_max: usize) -> bool {
        match self {
            Self::Distinct(values) => {
                values.len() < distinct_max
                    || *value == Value::Null
                    || values.contains(&KeyPart::from(value))
            }
            _ => true,
        }
    }

    /// Adds a value, which the aggregate has given.
    pub(super) fn add(&mut self, value: &Value) {
        if let Self::Count(count) = self {
            *count += 1;
            return;
        }
        if *value == Value::Null {
            return;
        }
        match self {
            Self::Count(_) => {}
            Self::Sum(sum) => sum.add(value),
            Self::Avg(sum, count) => {
                sum.add(value);
                *count += 1;
            }
            Self::Min(extreme) => extreme.add(value, Ordering::Less),
            Self::Max(extreme) => extreme.add(value, Ordering::Greater),
            Self::Distinct(values) => {
                values.insert(KeyPart::from(value));
            }
        }
    }

    /// Takes in another one of the same aggregate.
    pub(super) fn merge(&mut self, other: Self) {
        match (self, other) {
            (Self::Count(count), Self::Count(more)) => *count += more,
            (Self::Sum(sum), Self::Sum(more)) => sum.merge(&more),
            (Self::Avg(sum, count), Self::Avg(more, others)) => {
                sum.merge(&more);
                *count += others;
            }
            (Self::Min(extreme), Self::Min(Extreme(Some(other)))) => {
                extreme.add(&other, Ordering::Less);
            }
            (Self::Max(extreme), Self::Max(Extreme(Some(other)))) => {
                extreme.add(&other, Ordering::Greater);
            }
            (Self::Distinct(values), Self::Distinct(more)) => values.extend(more),
            _ => {}
        }
    }

    /// What is told.
    pub(super) fn value(&self) -> Value {
        match self {
            Self::Count(count) => Value::Int(*count as i64),
            Self::Sum(sum) => sum.value(),
            Self::Avg(_, 0) => Value::Null,
            Self::Avg(sum, count) => Value::Float(sum.as_f64() / *count as f64),
            Self::Min(Extreme(value)) | Self::Max(Extreme(value)) => {
                value.clone().unwrap_or_default()
            }
            Self::Distinct(values) => Value::Int(values.len() as i64),
        }
    }

    /// Whether it belongs to an aggregate.
    pub(super) fn is_of(&self, aggregate: &Aggregate) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(&aggregate.begin())
    }
}

/// The least or the greatest value so far.
#[derive(Debug)]
pub(super) struct Extreme(Option<Value>);

impl Extreme {
    fn add(&mut self, value: &Value, replaces: Ordering) {
        if self.0.as_ref().is_none_or(|known| compare(value, known) == replaces) {
            self.0 = Some(value.clone());
        }
    }
}

/// Numbers by their size, then strings by their letters.
fn compare(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Int(one), Value::Int(other)) => one.cmp(other),
        (Value::Text(one), Value::Text(other)) => {
            one.with_str(|one| other.with_str(|other| one.cmp(other)))
        }
        _ => match (one.as_f64(), other.as_f64()) {
            (Some(one), Some(other)) => one.total_cmp(&other),
            (one, other) => one.is_none().cmp(&other.is_none()),
        },
    }
}

impl Serialize for Extreme {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_ref().map(Exact).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Extreme {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Option::<Exact<Value>>::deserialize(deserializer)?;
        Ok(Self(value.map(|Exact(value)| value)))
    }
}
