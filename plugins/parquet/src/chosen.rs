//! Columns that the settings name: each with a type, which an event fits or is refused.

use std::fmt::Write as _;

use engine_plugin::{Engine, Error, Events, Key, Value};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::column::{Cell, Column, Texts, Values};

/// A column that the settings name.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// What it is called in the file.
    #[schemars(length(min = 1))]
    pub name: String,
    /// The field that it holds, such as `payload.total` or `event_type`. An event without it has
    /// null there.
    pub path: String,
    /// Its type. An event whose value does not fit is refused, and becomes a dead letter.
    pub r#type: ColumnType,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// Texts.
    String,
    /// Whole numbers of 64 bits; also numbers that are written with a fraction of zero.
    Int64,
    /// Numbers, whole or not.
    Double,
    /// `true` or `false`.
    Boolean,
    /// Instants, to the millisecond: `ingest_timestamp`, and texts such as `2024-11-29T09:30:00Z`.
    Timestamp,
    /// Anything, as JSON.
    Json,
}

/// The columns, and where their values are.
pub(crate) struct Chosen(Vec<(Choice, Key)>);

impl Chosen {
    /// # Errors
    ///
    /// Two columns have one name, or a path is none.
    pub(crate) fn new(choices: Vec<Choice>, engine: &Engine) -> Result<Self, Error> {
        for (place, choice) in choices.iter().enumerate() {
            if choices[..place].iter().any(|other| other.name == choice.name) {
                return Err(Error::config(format!("two columns are called `{}`", choice.name)));
            }
        }
        let with_key = |choice: Choice| {
            let key = engine.key(&choice.path)?;
            Ok((choice, key))
        };
        choices.into_iter().map(with_key).collect::<Result<_, _>>().map(Self)
    }

    /// The columns of a file, without events.
    pub(crate) fn columns(&self) -> Vec<Column> {
        let columns = self.0.iter().map(|(choice, _)| {
            let values = match choice.r#type {
                ColumnType::String => Values::Text(Texts::default()),
                ColumnType::Int64 => Values::Int(Vec::new()),
                ColumnType::Double => Values::Double(Vec::new()),
                ColumnType::Boolean => Values::Bool(Vec::new()),
                ColumnType::Timestamp => Values::Time(Vec::new()),
                ColumnType::Json => Values::Json(Texts::default()),
            };
            Column::new(&choice.name, values)
        });
        columns.collect()
    }

    /// Takes an event in. Where that is refused, nothing of it is in.
    pub(crate) fn put(
        &self,
        columns: &mut [Column],
        row: usize,
        events: &Events<'_>,
        place: usize,
    ) -> Result<(), String> {
        let mut json = String::new();
        for (choice, key) in &self.0 {
            fit(choice.r#type, events.get(place, *key), &mut json)
                .map_err(|why| format!("`{}` {why}", choice.path))?;
        }
        for ((choice, key), column) in self.0.iter().zip(columns) {
            if let Ok(Some(cell)) = fit(choice.r#type, events.get(place, *key), &mut json) {
                column.put(row, cell);
            }
        }
        Ok(())
    }
}

/// A value as one of a type; none for null. JSON that has to be written goes to `json`.
fn fit<'a>(
    wanted: ColumnType,
    value: Value<'a>,
    json: &'a mut String,
) -> Result<Option<Cell<'a>>, String> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    Ok(Some(match (wanted, value) {
        (_, Value::Absent | Value::Null) => return Ok(None),
        (ColumnType::String, Value::Str(text)) => Cell::Text(text),
        (ColumnType::Int64, Value::I64(number)) => Cell::Int(number),
        (ColumnType::Int64, Value::F64(number))
            if number.fract() == 0.0 && number.abs() < EXACT =>
        {
            Cell::Int(number as i64)
        }
        (ColumnType::Double, Value::I64(number)) => Cell::Double(number as f64),
        (ColumnType::Double, Value::F64(number)) => Cell::Double(number),
        (ColumnType::Boolean, Value::Bool(value)) => Cell::Bool(value),
        (ColumnType::Timestamp, Value::Time(time)) => Cell::Time(time),
        (ColumnType::Timestamp, Value::Str(text)) => match text.parse::<Timestamp>() {
            Ok(instant) => Cell::Time(instant.as_millisecond()),
            Err(_) => return Err(format!("is `{text:.40}`, which is no instant")),
        },
        (ColumnType::Json, Value::Json(text)) => Cell::Json(text),
        (ColumnType::Json, value) => {
            write_json(value, json);
            Cell::Json(json)
        }
        (wanted, value) => {
            return Err(format!("is {}, which is no {}", shown(value), wanted.name()));
        }
    }))
}

/// A value that is no list and no object, as JSON.
fn write_json(value: Value<'_>, json: &mut String) {
    json.clear();
    // Writing to a string does not fail.
    let _ = match value {
        Value::Absent | Value::Null => write!(json, "null"),
        Value::Bool(value) => write!(json, "{value}"),
        Value::I64(number) | Value::Time(number) => write!(json, "{number}"),
        Value::F64(number) => write!(json, "{}", serde_json::Value::from(number)),
        Value::Str(text) => write!(json, "{}", serde_json::Value::from(text)),
        Value::Json(text) => write!(json, "{text}"),
    };
}

/// A value as a reason names it.
fn shown(value: Value<'_>) -> String {
    match value {
        Value::Absent | Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("`{value}`"),
        Value::I64(number) => format!("`{number}`"),
        Value::F64(number) => format!("`{number}`"),
        Value::Str(text) | Value::Json(text) => format!("`{text:.40}`"),
        Value::Time(_) => "an instant".to_owned(),
    }
}

impl ColumnType {
    fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int64 => "int64",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp",
            Self::Json => "json",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(wanted: ColumnType, value: Value<'_>) -> Result<String, String> {
        let mut json = String::new();
        fit(wanted, value, &mut json).map(|cell| format!("{cell:?}"))
    }

    #[test]
    fn values_fit_types_that_lose_nothing_of_them() {
        let fits = |wanted, value| fits(wanted, value).unwrap();
        assert_eq!(fits(ColumnType::Int64, Value::F64(3.0)), "Some(Int(3))");
        assert_eq!(fits(ColumnType::Double, Value::I64(3)), "Some(Double(3.0))");
        assert_eq!(fits(ColumnType::Timestamp, Value::Time(7)), "Some(Time(7))");
        let instant = Value::Str("1970-01-01T01:00:01+01:00");
        assert_eq!(fits(ColumnType::Timestamp, instant), "Some(Time(1000))");
        assert_eq!(fits(ColumnType::Json, Value::Str("a\"")), r#"Some(Json("\"a\\\"\""))"#);
        assert_eq!(fits(ColumnType::Json, Value::F64(1.5)), r#"Some(Json("1.5"))"#);
        assert_eq!(fits(ColumnType::Boolean, Value::Null), "None");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let fails = |wanted, value| fits(wanted, value).unwrap_err();
        assert_eq!(fails(ColumnType::Int64, Value::F64(1.5)), "is `1.5`, which is no int64");
        assert_eq!(fails(ColumnType::Double, Value::Str("x")), "is `x`, which is no double");
        assert_eq!(fails(ColumnType::String, Value::Time(1)), "is an instant, which is no string");
        assert_eq!(
            fails(ColumnType::Timestamp, Value::Str("noon")),
            "is `noon`, which is no instant"
        );
        assert_eq!(fails(ColumnType::Int64, Value::F64(1e300)).get(..5), Some("is `1"));
    }
}
