//! A CSV file as rows of named columns: finds the columns, gives out values, keeps every problem with
//! its place. Reads as it goes, so that memory does not grow with the file.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use csv::{ByteRecord, ReaderBuilder, Terminator};

use super::problem::{Faults, quoted};
use super::{MasterFile, MasterProblem};
use crate::problem::did_you_mean;

/// A row with more bytes than this is taken for one whose quote was left open.
const ROW_BYTES_MAX: usize = 256 * 1024;
const READ_BYTES: usize = 64 * 1024;

/// A column of a kind of file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    /// Its name in the header.
    pub(super) name: &'static str,
    /// Whether every file has it, and a value in every row.
    pub(super) required: bool,
}

/// What a kind of file looks like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// What a row is, in the plural.
    pub(super) rows: &'static str,
    /// Its columns; the first holds the ids.
    pub(super) columns: &'static [Column],
    /// It may have so many rows.
    pub(super) rows_max: usize,
}

/// Reads all rows of a file, and puts them into the order of their ids; no two have the same.
/// `record` makes a record of a row, unless it has found a problem.
pub(super) fn read<T>(
    file: MasterFile<'_>,
    layout: Layout,
    id_of: impl Fn(&T) -> u32,
    mut record: impl FnMut(&mut Row<'_, '_>) -> Result<T, Reported>,
) -> Result<Vec<T>, Vec<MasterProblem>> {
    let mut table = Table::open(file, layout)?;
    let mut records = Vec::new();
    while table.advance() {
        let mut row = Row { table: &mut table };
        if let Ok(record) = record(&mut row) {
            let line = u32::try_from(table.line).unwrap_or(u32::MAX);
            records.push((record, line));
        }
    }
    let Table { mut faults, rows, .. } = table;
    if rows == 0 && faults.is_empty() {
        faults.add(None, None, format!("the file has no {}", layout.rows), None);
    }
    records.sort_unstable_by_key(|(record, line)| (id_of(record), *line));
    for pair in records.windows(2) {
        let [(first, first_line), (second, line)] = pair else { continue };
        let id = id_of(first);
        if id == id_of(second) {
            let message = format!("`{}` {id} comes twice", layout.columns[0].name);
            let help = Some(format!("the other is in line {first_line}"));
            faults.add(Some(u64::from(*line)), None, message, help);
        }
    }
    if !faults.is_empty() {
        return Err(faults.finish());
    }
    Ok(records.into_iter().map(|(record, _)| record).collect())
}

/// A file that is being read.
struct Table<'a> {
    layout: Layout,
    reader: csv::Reader<io::Chain<Bounded<'a>, &'static [u8]>>,
    /// How many bytes were read since the last row ended.
    unread: Rc<Cell<usize>>,
    /// How many columns the header has.
    fields: usize,
    /// Where each column of the layout stands in a row.
    places: Vec<Option<usize>>,
    record: ByteRecord,
    /// The line of the row, and how many bytes it has.
    line: u64,
    bytes: u64,
    rows: usize,
    faults: Faults,
}

impl<'a> Table<'a> {
    /// Reads the header.
    fn open(file: MasterFile<'a>, layout: Layout) -> Result<Self, Vec<MasterProblem>> {
        let unread = Rc::new(Cell::new(0));
        let text = Bounded { text: file.text, unread: Rc::clone(&unread) };
        // Lines end in a newline in any case, and a carriage return before it is trimmed: so the
        // reader's line is always the one after the row.
        let text = text.chain(&b"\n"[..]);
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .terminator(Terminator::Any(b'\n'))
            .buffer_capacity(READ_BYTES)
            .from_reader(text);
        let faults = Faults::new(file.name);
        let (places, record) = (Vec::new(), ByteRecord::new());
        let (fields, rows, line, bytes) = (0, 0, 0, 0);
        let mut table =
            Self { layout, reader, unread, fields, places, record, line, bytes, rows, faults };
        if table.next_record() {
            table.find_columns();
        } else if table.faults.is_empty() {
            let names: Vec<&str> = layout.columns.iter().map(|column| column.name).collect();
            let help = format!("the first line names the columns: {}", names.join(","));
            table.faults.add(None, None, "the file is empty".to_owned(), Some(help));
        }
        if table.faults.is_empty() { Ok(table) } else { Err(table.faults.finish()) }
    }

    /// Goes to the next line that is not blank; false at the end, or where reading fails.
    fn next_record(&mut self) -> bool {
        loop {
            match self.reader.read_byte_record(&mut self.record) {
                Ok(false) => return false,
                Ok(true) => {}
                Err(error) => {
                    let line = Some(self.reader.position().line());
                    self.faults.add(line, None, format!("cannot read on: {error}"), None);
                    return false;
                }
            }
            self.unread.set(0);
            let after = self.reader.position();
            let start = self.record.position().map_or(0, csv::Position::byte);
            self.line = after.line() - 1;
            self.bytes = after.byte() - start;
            let blank = self.record.len() == 1 && self.record[0].trim_ascii().is_empty();
            if !blank {
                return true;
            }
        }
    }

    /// Finds out where in a row each column stands.
    fn find_columns(&mut self) {
        self.fields = self.record.len();
        let Layout { columns, .. } = self.layout;
        let mut names: Vec<String> = Vec::new();
        for place in 0..self.fields {
            let name = String::from_utf8_lossy(self.record[place].trim_ascii()).into_owned();
            if names.contains(&name) {
                self.add_at(place, format!("the column {} comes twice", quoted(&name)), None);
            } else if !columns.iter().any(|column| column.name == name) {
                let help = unknown_column_help(&name, columns);
                self.add_at(place, format!("unknown column {}", quoted(&name)), Some(help));
            }
            names.push(name);
        }
        for column in columns {
            let place = names.iter().position(|name| name == column.name);
            if place.is_none() && column.required {
                let message = format!("the column `{}` is missing", column.name);
                self.faults.add(Some(self.line), None, message, None);
            }
            self.places.push(place);
        }
    }

    /// Goes to the next row that has a value for each column of the header.
    fn advance(&mut self) -> bool {
        while self.next_record() {
            self.rows += 1;
            if self.rows > self.layout.rows_max {
                let Layout { rows, rows_max, .. } = self.layout;
                let message = format!("the file has more than {rows_max} {rows}");
                self.faults.add(Some(self.line), None, message, None);
                return false;
            }
            let values = self.record.len();
            if values == self.fields {
                return true;
            }
            let message =
                format!("the line has {values} values, and the header {} columns", self.fields);
            let help = "a value that has a comma in it stands in double quotes";
            self.faults.add(Some(self.line), None, message, Some(help.to_owned()));
        }
        false
    }

    /// Adds a problem with a value of the row.
    fn add_at(&mut self, place: usize, message: String, help: Option<String>) {
        let column = self.column_of(place);
        self.faults.add(Some(self.line), column, message, help);
    }

    /// At which character of its line a value begins: known where no value is quoted, so that the
    /// values, commas and the newline are all that the row has.
    fn column_of(&self, place: usize) -> Option<u64> {
        if self.record.as_slice().len() + self.record.len() != self.bytes as usize {
            return None;
        }
        let width = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().count();
        let before: usize = self.record.iter().take(place).map(|value| width(value) + 1).sum();
        let value = &self.record[place];
        let blanks = value.len() - value.trim_ascii_start().len();
        Some((before + blanks + 1) as u64)
    }
}

fn unknown_column_help(name: &str, columns: &[Column]) -> String {
    let names = || columns.iter().map(|column| column.name);
    if name.contains(';') || name.contains('\t') {
        return "values are separated by commas".to_owned();
    }
    match did_you_mean(name, names()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("the columns are {}", names().collect::<Vec<_>>().join(", ")),
    }
}

/// Something was wrong, and is among the problems already.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported;

/// A row of a table. A value that is wrong is reported.
pub(super) struct Row<'r, 'a> {
    table: &'r mut Table<'a>,
}

impl Row<'_, '_> {
    /// Whether the file has an optional column.
    pub(super) fn has(&self, column: &str) -> bool {
        self.place_of(column).is_some()
    }

    /// A value that has to be there. `parse` says what to use in the place of a value that is wrong.
    pub(super) fn required<T>(
        &mut self,
        column: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Reported> {
        self.optional(column, parse)?.ok_or_else(|| {
            let place = self.place_of(column).unwrap_or_default();
            self.table.add_at(place, format!("`{column}` has no value"), None);
            Reported
        })
    }

    /// A value that may be missing.
    pub(super) fn optional<T>(
        &mut self,
        column: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Reported> {
        let Some(place) = self.place_of(column) else { return Ok(None) };
        let value = self.table.record[place].trim_ascii();
        if value.is_empty() {
            return Ok(None);
        }
        let (message, help) = match std::str::from_utf8(value) {
            Err(_) => (format!("`{column}` is not UTF-8"), "save the file as UTF-8".to_owned()),
            Ok(value) => match parse(value) {
                Ok(value) => return Ok(Some(value)),
                Err(help) => (format!("`{column}` cannot be {}", quoted(value)), help),
            },
        };
        self.table.add_at(place, message, Some(help));
        Err(Reported)
    }

    fn place_of(&self, column: &str) -> Option<usize> {
        let known = self.table.layout.columns.iter().position(|known| known.name == column)?;
        self.table.places[known]
    }
}

/// A text that fails where a row does not end in sight.
struct Bounded<'a> {
    text: Box<dyn Read + 'a>,
    unread: Rc<Cell<usize>>,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.unread.get() > ROW_BYTES_MAX + READ_BYTES {
            return Err(io::Error::other("this row has no end; is a quote left open?"));
        }
        let read = self.text.read(buffer)?;
        self.unread.set(self.unread.get() + read);
        Ok(read)
    }
}
