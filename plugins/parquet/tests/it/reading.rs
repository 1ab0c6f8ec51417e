//! What is in a folder, and what is in its files.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

/// The files in a folder and its folders, by their path in it, in order.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    collect(folder, folder, &mut files);
    files.sort();
    files
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            files.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
}

/// The rows of a file, each with its columns by name; what is null is there, too.
pub(crate) fn rows(path: &Path) -> Vec<BTreeMap<String, Field>> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap().map(Result::unwrap);
    rows.map(|row| row.get_column_iter().map(|(n, f)| (n.clone(), f.clone())).collect()).collect()
}

/// The names of a file's columns, with their types as Parquet writes them.
pub(crate) fn schema(path: &Path) -> Vec<String> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let column = |column: &parquet::schema::types::ColumnDescPtr| {
        let logical = column.converted_type().to_string();
        format!("{} {} {logical}", column.name(), column.physical_type())
    };
    schema.columns().iter().map(column).collect()
}
