//! Payload values and the ordered fields that hold them.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::{Key, Text, Timestamp};

/// A value in a payload. JSON has no type for instants: they are read back as text.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// `null`
    #[default]
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number that fits 64 bits with sign; a larger one is read as a float.
    Int(i64),
    /// Any other number; what JSON cannot say (NaN, infinity) is written as `null`.
    Float(f64),
    /// A string or an id.
    Text(Text),
    /// An instant.
    Time(Timestamp),
    /// An array.
    List(Box<Vec<Value>>),
    /// An object.
    Map(Box<Fields>),
}

impl Value {
    /// The number, whole or not.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// The whole number.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The text.
    pub fn as_text(&self) -> Option<&Text> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it reads like another one: an instant is a text for readers, and a float is itself
    /// whatever it is equal to.
    pub fn reads_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Time(time), Self::Text(text)) => *text == time.to_string().as_str(),
            (Self::Float(one), Self::Float(two)) => one.to_bits() == two.to_bits(),
            (one, two) => one == two,
        }
    }

    /// What JSON calls its type, for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Text(_) | Self::Time(_) => "a string",
            Self::List(_) => "an array",
            Self::Map(_) => "an object",
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<Text> for Value {
    fn from(text: Text) -> Self {
        Self::Text(text)
    }
}

/// A text that lives in the program, such as an enumeration's; a computed one is a [`Text`].
impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Text::from_static(text))
    }
}

impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Self::Time(time)
    }
}

impl From<Vec<Value>> for Value {
    fn from(values: Vec<Value>) -> Self {
        Self::List(Box::new(values))
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Fields in the order they were set, each name at most once. Payloads have about ten, so a scan
/// over addresses is the quickest look-up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields(Vec<(Key, Value)>);

impl Fields {
    /// No fields.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// No fields yet, with room for this many.
    pub fn with_capacity(fields: usize) -> Self {
        Self(Vec::with_capacity(fields))
    }

    /// The value of a field.
    pub fn get(&self, key: Key) -> Option<&Value> {
        self.0.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The value of a field, to change it.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut Value> {
        self.0.iter_mut().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The value of the field at a place in the order, to change it.
    pub fn at_mut(&mut self, place: usize) -> Option<&mut Value> {
        self.0.get_mut(place).map(|(_, value)| value)
    }

    /// Sets a field: in its place if it is there, at the end if not.
    pub fn set(&mut self, key: Key, value: impl Into<Value>) {
        match self.get_mut(key) {
            Some(place) => *place = value.into(),
            None => self.0.push((key, value.into())),
        }
    }

    /// Adds a field that is known to be new, without the look-up.
    pub fn push(&mut self, key: Key, value: impl Into<Value>) {
        debug_assert!(self.get(key).is_none(), "`{key}` is set twice");
        self.0.push((key, value.into()));
    }

    /// The place of a field, and whether it is a new one at the end, which is null.
    #[inline]
    pub(crate) fn place_for(&mut self, key: Key) -> (&mut Value, bool) {
        let found = self.0.iter().position(|(name, _)| *name == key);
        let place = found.unwrap_or(self.0.len());
        if found.is_none() {
            self.0.push((key, Value::Null));
        }
        (&mut self.0[place].1, found.is_none())
    }

    /// Takes the last field out.
    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }

    /// Takes a field out.
    pub fn remove(&mut self, key: Key) -> Option<Value> {
        self.take_out(key).map(|(_, value)| value)
    }

    /// Takes a field out, and says at which place in the order it was.
    pub(super) fn take_out(&mut self, key: Key) -> Option<(usize, Value)> {
        let place = self.0.iter().position(|(name, _)| *name == key)?;
        Some((place, self.0.remove(place).1))
    }

    /// Adds a field that is known to be new at a place in the order, or at the end.
    pub(super) fn put_back(&mut self, place: usize, key: Key, value: Value) {
        debug_assert!(self.get(key).is_none(), "`{key}` is set twice");
        self.0.insert(place.min(self.0.len()), (key, value));
    }

    /// The fields in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Key, &Value)> {
        self.0.iter().map(|(key, value)| (*key, value))
    }

    /// The field at a place in the order.
    pub fn at(&self, place: usize) -> Option<(Key, &Value)> {
        self.0.get(place).map(|(key, value)| (*key, value))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many fields have room before more memory is taken.
    pub(super) fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

/// Later values of a name that comes twice replace earlier ones.
impl FromIterator<(Key, Value)> for Fields {
    fn from_iter<I: IntoIterator<Item = (Key, Value)>>(fields: I) -> Self {
        let mut all = Self::new();
        for (key, value) in fields {
            all.set(key, value);
        }
        all
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Text(text) => text.serialize(serializer),
            Self::Time(time) => time.serialize(serializer),
            Self::List(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                for value in values.iter() {
                    list.serialize_element(value)?;
                }
                list.end()
            }
            Self::Map(fields) => fields.serialize(serializer),
        }
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (key, value) in self.iter() {
            map.serialize_entry(&key, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_takes_three_words() {
        assert_eq!(size_of::<Value>(), 24);
    }

    #[test]
    fn setting_a_field_again_keeps_its_place() {
        let [a, b] = ["field_a", "field_b"].map(|name| Key::intern(name).unwrap());
        let mut fields = Fields::new();
        fields.set(a, 1_i64);
        fields.set(b, 2_i64);
        fields.set(a, 3_i64);
        assert_eq!(serde_json::to_string(&fields).unwrap(), r#"{"field_a":3,"field_b":2}"#);
    }
}
