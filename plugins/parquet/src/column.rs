//! One column while a batch is taken in: whether each event has a value, and the values, of a type
//! that grows wider as it has to.

use std::fmt::Write;

/// What one event has in a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(&'a str),
    /// A list or an object, as JSON.
    Json(&'a str),
    /// An instant, in milliseconds since 1970.
    Time(i64),
}

/// The values of a column, without those that are null.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Values {
    /// There was none so far, so the first one decides.
    Open,
    Bool(Vec<bool>),
    Int(Vec<i64>),
    Double(Vec<Number>),
    Text(Texts),
    Json(Texts),
    Time(Vec<i64>),
}

/// A value of a column of doubles, as it was written: should the column become one of texts, it is
/// the same text whatever came before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Whole(i64),
    Double(f64),
}

impl Number {
    pub(crate) fn as_double(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Double(number) => number,
        }
    }

    fn cell(self) -> Cell<'static> {
        match self {
            Self::Whole(number) => Cell::Int(number),
            Self::Double(number) => Cell::Double(number),
        }
    }
}

/// Many texts in one piece.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Texts {
    pub(crate) bytes: Vec<u8>,
    /// Where each one ends.
    pub(crate) ends: Vec<usize>,
}

impl Texts {
    fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.ends.push(self.bytes.len());
    }
}

impl<'a> Extend<Cell<'a>> for Texts {
    fn extend<T: IntoIterator<Item = Cell<'a>>>(&mut self, cells: T) {
        for cell in cells {
            self.push(&cell.text());
        }
    }
}

/// A named column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) values: Values,
    /// For each event whether it has a value, 1 or 0, as Parquet's definition levels say it. What
    /// is behind the last value is null.
    levels: Vec<i16>,
}

impl Column {
    pub(crate) fn new(name: impl Into<String>, values: Values) -> Self {
        Self { name: name.into(), values, levels: Vec::new() }
    }

    /// Takes the value of an event, which may make the column wider. A second value of the same
    /// event is not taken.
    pub(crate) fn put(&mut self, row: usize, cell: Cell<'_>) {
        if self.levels.len() > row {
            return;
        }
        self.levels.resize(row, 0);
        self.levels.push(1);
        self.values.push(cell);
    }

    /// The definition levels of so many events.
    pub(crate) fn levels(&mut self, rows: usize) -> &[i16] {
        self.levels.resize(rows, 0);
        &self.levels
    }
}

impl Values {
    fn push(&mut self, cell: Cell<'_>) {
        match (&mut *self, cell) {
            (Self::Bool(values), Cell::Bool(value)) => values.push(value),
            (Self::Int(values), Cell::Int(value)) | (Self::Time(values), Cell::Time(value)) => {
                values.push(value);
            }
            (Self::Double(values), Cell::Double(value)) => values.push(Number::Double(value)),
            (Self::Double(values), Cell::Int(value)) => values.push(Number::Whole(value)),
            (Self::Text(texts), Cell::Text(text) | Cell::Json(text))
            | (Self::Json(texts), Cell::Json(text)) => texts.push(text),
            (Self::Text(texts), cell) => texts.push(&cell.text()),
            (Self::Open, cell) => *self = Self::of(cell),
            (Self::Int(values), Cell::Double(value)) => {
                let mut wider: Vec<_> = values.iter().copied().map(Number::Whole).collect();
                wider.push(Number::Double(value));
                *self = Self::Double(wider);
            }
            (_, cell) => {
                let mut texts = std::mem::replace(self, Self::Open).into_texts();
                texts.push(&cell.text());
                *self = Self::Text(texts);
            }
        }
    }

    /// The narrowest values with this one.
    fn of(cell: Cell<'_>) -> Self {
        let texts = |text: &str| {
            let mut texts = Texts::default();
            texts.push(text);
            texts
        };
        match cell {
            Cell::Bool(value) => Self::Bool(vec![value]),
            Cell::Int(value) => Self::Int(vec![value]),
            Cell::Double(value) => Self::Double(vec![Number::Double(value)]),
            Cell::Text(text) => Self::Text(texts(text)),
            Cell::Json(text) => Self::Json(texts(text)),
            Cell::Time(value) => Self::Time(vec![value]),
        }
    }

    /// All of them as texts.
    fn into_texts(self) -> Texts {
        let mut texts = Texts::default();
        match self {
            Self::Open => {}
            Self::Bool(values) => texts.extend(values.into_iter().map(Cell::Bool)),
            Self::Int(values) | Self::Time(values) => {
                texts.extend(values.into_iter().map(Cell::Int));
            }
            Self::Double(values) => texts.extend(values.into_iter().map(Number::cell)),
            Self::Text(values) | Self::Json(values) => texts = values,
        }
        texts
    }
}

impl Cell<'_> {
    /// As it stands in a column of texts: a number as JSON writes it.
    fn text(self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = match self {
            Self::Bool(value) => write!(text, "{value}"),
            Self::Int(value) | Self::Time(value) => write!(text, "{value}"),
            Self::Double(value) => write!(text, "{value:?}"),
            Self::Text(value) | Self::Json(value) => write!(text, "{value}"),
        };
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(cells: &[Cell<'_>]) -> Column {
        let mut column = Column::new("x", Values::Open);
        for (row, cell) in cells.iter().enumerate() {
            column.put(row, *cell);
        }
        column
    }

    fn texts(texts: &Texts) -> Vec<&str> {
        let starts = std::iter::once(0).chain(texts.ends.iter().copied());
        let spans = starts.zip(&texts.ends);
        spans.map(|(start, end)| std::str::from_utf8(&texts.bytes[start..*end]).unwrap()).collect()
    }

    #[test]
    fn whole_numbers_become_doubles_where_one_is_not_whole() {
        let all = column(&[Cell::Int(1), Cell::Double(2.5), Cell::Int(3)]);
        let Values::Double(values) = all.values else { panic!("no doubles") };
        let doubles: Vec<_> = values.into_iter().map(Number::as_double).collect();
        assert_eq!(doubles, [1.0, 2.5, 3.0]);
    }

    #[test]
    fn what_does_not_go_together_becomes_text() {
        let Values::Text(all) = column(&[
            Cell::Double(1.0),
            Cell::Int(7),
            Cell::Bool(true),
            Cell::Json("[1]"),
            Cell::Text("a"),
        ])
        .values
        else {
            panic!("no texts")
        };
        assert_eq!(texts(&all), ["1.0", "7", "true", "[1]", "a"]);
        assert!(matches!(column(&[Cell::Json("{}"), Cell::Json("[]")]).values, Values::Json(_)));
    }

    #[test]
    fn events_without_a_value_are_null_and_a_second_value_of_one_is_not_taken() {
        let mut all = Column::new("x", Values::Open);
        all.put(1, Cell::Text("a"));
        all.put(3, Cell::Text("b"));
        all.put(3, Cell::Text("again"));
        assert_eq!(all.levels(6), [0, 1, 0, 1, 0, 0]);
        let Values::Text(values) = &all.values else { panic!("no texts") };
        assert_eq!(texts(values), ["a", "b"]);
    }
}
