//! Tables that scripts look records up in: CSV by its header, or JSON.

use std::collections::HashMap;
use std::sync::Arc;

use rhai::Dynamic;
use rustc_hash::FxBuildHasher;

use super::Sandbox;
use super::state::KeyPart;
use super::values::{ScriptResult, to_rhai};
use crate::event::{Fields, JsonReader, Key, Text, Value};
use crate::problem::did_you_mean;

/// How many records a table may have.
const RECORDS_MAX: usize = 1_000_000;

/// Records by their key.
#[derive(Debug, Default)]
pub struct Table(HashMap<Text, Value, FxBuildHasher>);

/// Tables by their names.
pub(super) type Tables = HashMap<String, Table>;

impl Table {
    /// The records of a CSV text with a header, by the column `key` (the first by default).
    /// Numbers and `true`/`false` are read as such where they are written as this program writes
    /// them, so `007` stays a text; an empty field is `()`.
    pub fn from_csv(text: &str, key: Option<&str>) -> Result<Self, String> {
        let mut rows = CsvRows { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 0 };
        let header = rows.next().ok_or("the table has no header")??;
        let columns: Vec<Key> = header
            .iter()
            .map(|name| Key::intern(name.trim()).map_err(|error| error.to_string()))
            .collect::<Result<_, _>>()?;
        let key = key.or(header.first().map(String::as_str)).unwrap_or_default().to_owned();
        if !columns.iter().any(|column| *column == *key.as_str()) {
            return Err(no_key(&key, columns.iter().map(|column| column.as_str())));
        }
        let mut table = Self::default();
        while let Some(row) = rows.next() {
            let row = row?;
            if row.len() != columns.len() {
                let (line, found, wanted) = (rows.line, row.len(), columns.len());
                return Err(format!("line {line} has {found} fields, the header has {wanted}"));
            }
            let fields = columns.iter().copied().zip(row.iter().map(|field| csv_value(field)));
            table.add(fields.collect(), &key)?;
        }
        Ok(table)
    }

    /// The records of a JSON text: an array of objects, by their field `key` (the first by
    /// default), or an object whose names are the keys.
    pub fn from_json(text: &str, key: Option<&str>) -> Result<Self, String> {
        let wrapped = format!("{{\"records\":{text}}}");
        let fields = JsonReader::new().object(wrapped.as_bytes()).map_err(|error| error.message)?;
        let mut table = Self::default();
        match fields.iter().next() {
            Some((_, Value::List(records))) => {
                for record in records.iter() {
                    let Value::Map(fields) = record else {
                        return Err(format!("a record is an object, not {}", record.type_name()));
                    };
                    let first = fields.iter().next().map(|(name, _)| name.as_str());
                    table.add((**fields).clone(), key.or(first).unwrap_or_default())?;
                }
            }
            Some((_, Value::Map(records))) if key.is_none() => {
                for (name, record) in records.iter() {
                    let record = in_order_of_names(record.clone());
                    table.0.insert(Text::from_static(name.as_str()), record);
                }
            }
            Some((_, Value::Map(_))) => {
                return Err("the names of the object are the keys; leave out `key`".to_owned());
            }
            _ => return Err("a table is an array of objects, or an object of objects".to_owned()),
        }
        Ok(table)
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The record of a key; null if there is none.
    pub(super) fn record(&self, key: &Value) -> &Value {
        self.0.get(&key_text(&KeyPart::from(key))).unwrap_or(&Value::Null)
    }

    fn add(&mut self, record: Fields, key: &str) -> Result<(), String> {
        let found = record.iter().find(|(name, _)| name.as_str() == key);
        let Some((_, value)) = found else {
            return Err(no_key(key, record.iter().map(|(name, _)| name.as_str())));
        };
        if self.0.len() >= RECORDS_MAX {
            return Err(format!("a table may have {RECORDS_MAX} records, not more"));
        }
        let key = key_text(&KeyPart::from(value));
        let record = in_order_of_names(Value::Map(Box::new(record)));
        if self.0.insert(key.clone(), record).is_some() {
            return Err(format!("two records have the key `{key}`"));
        }
        Ok(())
    }
}

impl Sandbox {
    /// Gives scripts `lookup(table, key)`: a record as a map, or `()`.
    pub fn add_tables(&mut self, tables: Tables) {
        let tables = Arc::new(tables);
        self.tables = Some(Arc::clone(&tables));
        self.engine.register_fn(
            "lookup",
            move |name: &str, key: Dynamic| -> ScriptResult<Dynamic> {
                let table = tables.get(name).ok_or_else(|| unknown_table(&tables, name))?;
                Ok(to_rhai(table.record(&super::values::from_rhai(&key)?)))
            },
        );
    }
}

/// A record as scripts have it, whose maps are in the order of their names.
fn in_order_of_names(value: Value) -> Value {
    match value {
        Value::Map(fields) => {
            let mut names: Vec<Key> = fields.iter().map(|(name, _)| name).collect();
            names.sort_unstable();
            let value = |name| fields.get(name).cloned().unwrap_or_default();
            let ordered = names.into_iter().map(|name| (name, in_order_of_names(value(name))));
            Value::Map(Box::new(ordered.collect()))
        }
        Value::List(values) => {
            values.into_iter().map(in_order_of_names).collect::<Vec<Value>>().into()
        }
        other => other,
    }
}

fn unknown_table(tables: &Tables, name: &str) -> String {
    let help = did_you_mean(name, tables.keys().map(String::as_str))
        .map_or(String::new(), |close| format!("; did you mean `{close}`?"));
    format!("there is no table `{name}`{help}")
}

fn no_key<'a>(key: &str, columns: impl Iterator<Item = &'a str>) -> String {
    let columns: Vec<&str> = columns.collect();
    let help = did_you_mean(key, columns.iter().copied())
        .map_or(String::new(), |close| format!(", did you mean `{close}`?"));
    format!("the key `{key}` is not a column of the table{help}")
}

/// Keys of tables are compared as they read: `12` and `"12"` are one.
fn key_text(part: &KeyPart) -> Text {
    match part {
        KeyPart::Null => Text::default(),
        KeyPart::Bool(value) => Text::from(value.to_string()),
        KeyPart::Int(number) => Text::from(number.to_string()),
        KeyPart::Text(text) => text.clone(),
    }
}

fn csv_value(field: &str) -> Value {
    if field.is_empty() {
        return Value::Null;
    }
    if let Ok(value) = field.parse::<bool>() {
        return Value::Bool(value);
    }
    if let Ok(number) = field.parse::<i64>()
        && number.to_string() == field
    {
        return Value::Int(number);
    }
    // A number begins with a digit, also after a minus; `inf`, `nan` and `007` are texts.
    let digits = field.strip_prefix('-').unwrap_or(field);
    let padded = digits.starts_with('0') && !digits.starts_with("0.");
    match field.parse::<f64>() {
        Ok(number) if digits.starts_with(|first: char| first.is_ascii_digit()) && !padded => {
            Value::Float(number)
        }
        _ => Value::Text(Text::from(field)),
    }
}

/// The rows of a CSV text (RFC 4180): fields may be quoted, and then hold commas, line breaks and
/// doubled quotes. Empty lines are passed over.
struct CsvRows<'a> {
    rest: &'a str,
    line: usize,
}

impl Iterator for CsvRows<'_> {
    type Item = Result<Vec<String>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(rest) = self.rest.strip_prefix("\r\n").or(self.rest.strip_prefix('\n')) {
            self.rest = rest;
            self.line += 1;
        }
        if self.rest.is_empty() {
            return None;
        }
        self.line += 1;
        let mut row = Vec::new();
        loop {
            match self.field() {
                Ok(field) => row.push(field),
                Err(message) => return Some(Err(message)),
            }
            if let Some(rest) = self.rest.strip_prefix(',') {
                self.rest = rest;
                continue;
            }
            self.rest = self.rest.strip_prefix('\r').unwrap_or(self.rest);
            self.rest = self.rest.strip_prefix('\n').unwrap_or(self.rest);
            return Some(Ok(row));
        }
    }
}

impl CsvRows<'_> {
    fn field(&mut self) -> Result<String, String> {
        let Some(mut quoted) = self.rest.strip_prefix('"') else {
            let end = self.rest.find([',', '\r', '\n']).unwrap_or(self.rest.len());
            let (field, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Ok(field.to_owned());
        };
        let mut field = String::new();
        loop {
            let end = quoted
                .find('"')
                .ok_or_else(|| format!("the quote in line {} is not closed", self.line))?;
            field.push_str(&quoted[..end]);
            self.line += quoted[..end].matches('\n').count();
            quoted = &quoted[end + 1..];
            let Some(rest) = quoted.strip_prefix('"') else { break };
            field.push('"');
            quoted = rest;
        }
        if !quoted.is_empty() && !quoted.starts_with([',', '\r', '\n']) {
            return Err(format!("text after a closing quote in line {}", self.line));
        }
        self.rest = quoted;
        Ok(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(table: &Table, key: &str) -> String {
        table
            .0
            .get(&Text::from(key))
            .map_or("none".to_owned(), |record| to_rhai(record).to_string())
    }

    #[test]
    fn a_csv_table_is_looked_up_by_its_first_column_or_another() {
        let text = "\u{feff}store_id,name,size,open\r\n12,\"Main, \"\"old\"\"\",1.5,true\r\n\r\n7,007,,no\n";
        let table = Table::from_csv(text, None).unwrap();
        assert_eq!(
            record(&table, "12"),
            r#"#{"name": "Main, \"old\"", "open": true, "size": 1.5, "store_id": 12}"#
        );
        let by_name = Table::from_csv(text, Some("name")).unwrap();
        assert_eq!(
            record(&by_name, "007"),
            r#"#{"name": "007", "open": "no", "size": (), "store_id": 7}"#
        );
    }

    #[test]
    fn a_csv_table_says_what_is_wrong_with_it() {
        let error = |text, key| Table::from_csv(text, key).unwrap_err();
        assert_eq!(error("a,b\n1,2\n3\n", None), "line 3 has 1 fields, the header has 2");
        assert_eq!(error("a\n1\n1\n", None), "two records have the key `1`");
        assert_eq!(error("a\n\"1\n", None), "the quote in line 2 is not closed");
        assert_eq!(
            error("store_id\n1\n", Some("store_ids")),
            "the key `store_ids` is not a column of the table, did you mean `store_id`?"
        );
    }

    #[test]
    fn a_json_table_is_an_array_of_records_or_an_object_of_them() {
        let list = Table::from_json(r#"[{"id": 1, "x": "a"}, {"id": 2, "x": "b"}]"#, None).unwrap();
        assert_eq!(record(&list, "2"), r#"#{"id": 2, "x": "b"}"#);
        let object = Table::from_json(r#"{"n": {"x": 1}}"#, None).unwrap();
        assert_eq!(record(&object, "n"), r#"#{"x": 1}"#);
        assert!(Table::from_json("3", None).is_err());
        assert!(Table::from_json("[3]", None).is_err());
    }
}
