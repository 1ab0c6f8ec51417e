//! A field's value as it crosses: borrowed, never copied on the way.

/// What a field of an event holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Value<'a> {
    /// There is no such field. Set, it takes the field out.
    #[default]
    Absent,
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number.
    I64(i64),
    /// Any other number. NaN and the infinities, which JSON does not have, are written as null.
    F64(f64),
    /// A text.
    Str(&'a str),
    /// The JSON of a list or an object; set, of any value.
    Json(&'a str),
    /// An instant, in milliseconds since 1970: the field `ingest_timestamp`.
    Time(i64),
}

impl<'a> Value<'a> {
    /// The text.
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, or the milliseconds of an instant.
    pub fn as_i64(self) -> Option<i64> {
        match self {
            Self::I64(number) | Self::Time(number) => Some(number),
            _ => None,
        }
    }

    /// The number, whole or not.
    pub fn as_f64(self) -> Option<f64> {
        match self {
            Self::I64(number) => Some(number as f64),
            Self::F64(number) => Some(number),
            _ => None,
        }
    }

    /// The truth value.
    pub fn as_bool(self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// Whether there is nothing, or null.
    pub fn is_null(self) -> bool {
        matches!(self, Self::Absent | Self::Null)
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::I64(number)
    }
}

impl From<i32> for Value<'_> {
    fn from(number: i32) -> Self {
        Self::I64(number.into())
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::I64(number.into())
    }
}

impl From<f64> for Value<'_> {
    fn from(number: f64) -> Self {
        Self::F64(number)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Str(text)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Str(text)
    }
}

/// None is null: the field is there, and says that there is nothing.
impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
