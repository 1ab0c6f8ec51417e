//! Columns to the bytes of a Parquet file.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::column::{Column, Number, Texts, Values};

/// How the pages of a file are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Packing {
    /// Small, and quick to read.
    #[default]
    Zstd,
    /// Larger, and less work to write.
    Snappy,
    /// Not at all.
    None,
}

impl Packing {
    fn codec(self) -> Compression {
        match self {
            // The level that the format's other writers use.
            Self::Zstd => Compression::ZSTD(ZstdLevel::default()),
            Self::Snappy => Compression::SNAPPY,
            Self::None => Compression::UNCOMPRESSED,
        }
    }
}

/// The file of so many events, in one row group. The same columns give the same bytes.
pub(crate) fn encode(columns: Vec<Column>, rows: usize, packing: Packing) -> Result<Vec<u8>> {
    // A column without a value has no type that other files would agree with.
    let columns: Vec<Column> =
        columns.into_iter().filter(|column| column.values != Values::Open).collect();
    let fields =
        columns.iter().map(|column| Ok(Arc::new(field(column)?))).collect::<Result<_>>()?;
    let schema = Type::group_type_builder("event").with_fields(fields).build()?;
    let properties = WriterProperties::builder()
        .set_compression(packing.codec())
        .set_created_by(concat!("engine-plugin-parquet ", env!("CARGO_PKG_VERSION")).to_owned())
        .build();
    let mut file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    let mut group = file.next_row_group()?;
    for mut column in columns {
        if let Some(mut writer) = group.next_column()? {
            write(&mut writer, &mut column, rows)?;
            writer.close()?;
        }
    }
    group.close()?;
    file.into_inner()
}

fn field(column: &Column) -> Result<Type> {
    let (physical, logical) = match &column.values {
        Values::Bool(_) => (Physical::BOOLEAN, None),
        Values::Int(_) => (Physical::INT64, None),
        Values::Double(_) => (Physical::DOUBLE, None),
        Values::Text(_) | Values::Open => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Values::Json(_) => (Physical::BYTE_ARRAY, Some(LogicalType::Json)),
        Values::Time(_) => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS))),
    };
    Type::primitive_type_builder(&column.name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .build()
}

fn write(writer: &mut SerializedColumnWriter<'_>, column: &mut Column, rows: usize) -> Result<()> {
    let values = std::mem::replace(&mut column.values, Values::Open);
    let levels = Some(column.levels(rows));
    match values {
        Values::Open => 0,
        Values::Bool(values) => writer.typed::<BoolType>().write_batch(&values, levels, None)?,
        Values::Int(values) | Values::Time(values) => {
            writer.typed::<Int64Type>().write_batch(&values, levels, None)?
        }
        Values::Double(values) => {
            let values: Vec<f64> = values.into_iter().map(Number::as_double).collect();
            writer.typed::<DoubleType>().write_batch(&values, levels, None)?
        }
        Values::Text(texts) | Values::Json(texts) => {
            writer.typed::<ByteArrayType>().write_batch(&arrays(texts), levels, None)?
        }
    };
    Ok(())
}

/// The texts as slices of one piece.
fn arrays(texts: Texts) -> Vec<ByteArray> {
    let bytes = Bytes::from(texts.bytes);
    let mut start = 0;
    let slices = texts.ends.into_iter().map(|end| {
        let slice = bytes.slice(start..end);
        start = end;
        ByteArray::from(slice)
    });
    slices.collect()
}
