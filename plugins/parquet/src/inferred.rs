//! Columns that nobody named: those of the envelope, and one for each field of the payloads, of the
//! type that its values have.

use std::collections::HashMap;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::column::{Cell, Column, Texts, Values};

/// How many columns a file has at most. Who has data for names of fields does not make a file of
/// as many columns as there are data.
pub(crate) const COLUMNS_MAX: usize = 2000;
/// The columns of the envelope, in the order in which they stand. The second is an instant.
const ENVELOPE: [&str; 9] = [
    "event_type",
    "ingest_timestamp",
    "trace_id",
    "schema_version",
    "source",
    "correlation_id",
    "partition_key",
    "session_id",
    "parent_event_id",
];
const TIME: usize = 1;
/// What comes before the name of a field that would be taken for one of the envelope.
const PREFIX: &str = "payload_";

/// The columns of one file, while its events are taken in.
pub(crate) struct Inferred {
    columns: Vec<Column>,
    /// Where the column of a field of the payload is.
    places: HashMap<String, usize>,
}

impl Inferred {
    pub(crate) fn new() -> Self {
        let column = |(place, name): (usize, &&str)| match place {
            TIME => Column::new(*name, Values::Time(Vec::new())),
            _ => Column::new(*name, Values::Text(Texts::default())),
        };
        Self { columns: ENVELOPE.iter().enumerate().map(column).collect(), places: HashMap::new() }
    }

    /// Takes an event in: its JSON, and its time. Where that is refused, nothing of it is in.
    pub(crate) fn put(&mut self, row: usize, json: &str, time: i64) -> Result<(), String> {
        let before = self.columns.len();
        let mut cells = Vec::with_capacity(before);
        let mut reader = serde_json::Deserializer::from_str(json);
        let taken = reader.deserialize_map(Envelope { sheet: self, cells: &mut cells });
        if let Err(error) = taken {
            self.columns.truncate(before);
            self.places.retain(|_, place| *place < before);
            return Err(error.to_string());
        }
        self.columns[TIME].put(row, Cell::Time(time));
        for (place, raw) in cells {
            put_raw(&mut self.columns[place], row, raw.get());
        }
        Ok(())
    }

    pub(crate) fn into_columns(self) -> Vec<Column> {
        self.columns
    }

    /// Where the column of a field is, which is made where there is none.
    fn place(&mut self, field: &str) -> Result<usize, String> {
        if let Some(place) = self.places.get(field) {
            return Ok(*place);
        }
        if self.columns.len() == COLUMNS_MAX {
            return Err(format!(
                "`payload.{field}` would be one of more than {COLUMNS_MAX} columns"
            ));
        }
        self.columns.push(Column::new(column_name(field), Values::Open));
        self.places.insert(field.to_owned(), self.columns.len() - 1);
        Ok(self.columns.len() - 1)
    }
}

/// The name of a field's column: its own, with a prefix where it is one of the envelope's, or one
/// of those with a prefix. So no two fields have one column, whichever is seen first.
fn column_name(field: &str) -> String {
    let mut bare = field;
    while let Some(rest) = bare.strip_prefix(PREFIX) {
        bare = rest;
    }
    if ENVELOPE.contains(&bare) { format!("{PREFIX}{field}") } else { field.to_owned() }
}

/// Puts a value in as its JSON says it.
fn put_raw(column: &mut Column, row: usize, raw: &str) {
    let decoded;
    let cell = match raw.as_bytes() {
        [b'n', ..] | [] => return,
        [b't', ..] => Cell::Bool(true),
        [b'f', ..] => Cell::Bool(false),
        [b'{' | b'[', ..] => Cell::Json(raw),
        [b'"', ..] if !raw.contains('\\') => Cell::Text(&raw[1..raw.len() - 1]),
        [b'"', ..] => {
            // It was read as a string before; an escape that stands for nothing stays as it is.
            decoded = serde_json::from_str::<String>(raw).unwrap_or_else(|_| raw.to_owned());
            Cell::Text(&decoded)
        }
        _ => number(raw),
    };
    column.put(row, cell);
}

/// A number: whole where it is written so and fits, a double where one is as large, a text else.
fn number(raw: &str) -> Cell<'_> {
    match (raw.parse(), raw.parse::<f64>()) {
        (Ok(whole), _) => Cell::Int(whole),
        (_, Ok(double)) if double.is_finite() => Cell::Double(double),
        _ => Cell::Text(raw),
    }
}

type Cells<'de> = Vec<(usize, &'de RawValue)>;

/// Reads the outer object.
struct Envelope<'a, 'de> {
    sheet: &'a mut Inferred,
    cells: &'a mut Cells<'de>,
}

impl<'de> Visitor<'de> for Envelope<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(Name(|name: &str| Ok(Outer::of(name))))? {
            match key {
                Outer::Column(place) => self.cells.push((place, map.next_value()?)),
                Outer::Payload => {
                    let payload = Payload { sheet: &mut *self.sheet, cells: &mut *self.cells };
                    map.next_value_seed(payload)?;
                }
                Outer::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// What a key of the envelope is.
enum Outer {
    Column(usize),
    Payload,
    Other,
}

impl Outer {
    fn of(name: &str) -> Self {
        match ENVELOPE.iter().position(|known| *known == name) {
            // The time comes from elsewhere, as a number.
            Some(TIME) => Self::Other,
            Some(place) => Self::Column(place),
            None if name == "payload" => Self::Payload,
            None => Self::Other,
        }
    }
}

/// Reads the payload.
struct Payload<'a, 'de> {
    sheet: &'a mut Inferred,
    cells: &'a mut Cells<'de>,
}

impl<'de> DeserializeSeed<'de> for Payload<'_, 'de> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Payload<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a payload")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(place) = map.next_key_seed(Name(|name: &str| self.sheet.place(name)))? {
            self.cells.push((place, map.next_value()?));
        }
        Ok(())
    }
}

/// Reads a key without keeping it.
struct Name<F>(F);

impl<'de, T, F: FnOnce(&str) -> Result<T, String>> DeserializeSeed<'de> for Name<F> {
    type Value = T;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<T, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<T, F: FnOnce(&str) -> Result<T, String>> Visitor<'_> for Name<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<T, E> {
        (self.0)(name).map_err(E::custom)
    }
}
