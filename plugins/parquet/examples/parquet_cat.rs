//! Prints the rows of Parquet files, one as JSON on each line: `cargo run --example parquet_cat FILE...`

use std::error::Error;
use std::fs::File;
use std::io::{Write, stdout};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = stdout().lock();
    for path in std::env::args_os().skip(1) {
        let file = SerializedFileReader::new(File::open(path)?)?;
        for row in file.get_row_iter(None)? {
            let row = row?;
            let fields = row.get_column_iter().map(|(name, field)| (name.clone(), value(field)));
            writeln!(out, "{}", Value::Object(fields.collect()))?;
        }
    }
    Ok(())
}

fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => Value::from(*value),
        Field::Long(number) | Field::TimestampMillis(number) => Value::from(*number),
        Field::Double(number) => Value::from(*number),
        Field::Str(text) => Value::from(text.as_str()),
        other => Value::from(other.to_string()),
    }
}
