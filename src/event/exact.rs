//! Values and events as they are kept between two runs: JSON from which they come back with their
//! types, down to the last bit of a float.
//!
//! What JSON has a type for is written as it is. An array begins with a letter that tells what it
//! holds: `f` the bits of a float, `t` the milliseconds of an instant, `l` the values of a list.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::{Event, Fields, Key, Text, Timestamp, TokenIndex, Value};

/// Writes and reads what it holds exactly.
#[derive(Clone, Copy, Debug)]
pub struct Exact<T>(pub T);

impl Serialize for Exact<&Value> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Float(number) => ("f", number.to_bits()).serialize(serializer),
            Value::Time(time) => ("t", time.as_millis()).serialize(serializer),
            Value::List(values) => {
                let mut list = serializer.serialize_seq(Some(values.len() + 1))?;
                list.serialize_element("l")?;
                for value in values.iter() {
                    list.serialize_element(&Exact(value))?;
                }
                list.end()
            }
            Value::Map(fields) => Exact(fields.as_ref()).serialize(serializer),
            value => value.serialize(serializer),
        }
    }
}

impl Serialize for Exact<&Fields> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in self.0.iter() {
            map.serialize_entry(&key, &Exact(value))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Exact<Value> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor).map(Self)
    }
}

impl<'de> Deserialize<'de> for Exact<Fields> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_map(ValueVisitor)? {
            Value::Map(fields) => Ok(Self(*fields)),
            value => Err(de::Error::custom(format!("{} is no map", value.type_name()))),
        }
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        i64::try_from(number).map(Value::Int).map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(Text::parse_stamped(text).unwrap_or_else(|| Text::from(text))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(seq: &mut A) -> Result<T, A::Error> {
            seq.next_element()?.ok_or_else(|| de::Error::custom("a value is cut short"))
        }
        match next::<char, _>(&mut seq)? {
            'f' => next(&mut seq).map(|bits| Value::Float(f64::from_bits(bits))),
            't' => next(&mut seq).map(|millis| Value::Time(Timestamp::from_millis(millis))),
            'l' => {
                let mut values = Vec::new();
                while let Some(Exact(value)) = seq.next_element()? {
                    values.push(value);
                }
                Ok(values.into())
            }
            other => Err(de::Error::custom(format!("`{other}` is no type of value"))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Fields::new();
        while let Some((name, Exact(value))) = map.next_entry::<String, Exact<Value>>()? {
            fields.set(Key::intern(&name).map_err(de::Error::custom)?, value);
        }
        Ok(Value::Map(Box::new(fields)))
    }
}

/// The envelope in the order of its fields, as one row.
type Row<P> = (String, P, Text, i64, Text, Text, [Option<Text>; 4]);

impl Serialize for Exact<&Event> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Event {
            event_type,
            payload,
            trace_id,
            time,
            schema_version,
            source,
            correlation_id,
            partition_key,
            session_id,
            parent_event_id,
            token: _,
        } = self.0;
        let links = [correlation_id, partition_key, session_id, parent_event_id];
        let millis = time.as_millis();
        (event_type, Exact(payload), trace_id, millis, schema_version, source, links)
            .serialize(serializer)
    }
}

/// Under no token: whoever hands it on gives it one.
impl<'de> Deserialize<'de> for Exact<Event> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (name, Exact(payload), trace_id, millis, schema_version, source, links) =
            Row::<Exact<Fields>>::deserialize(deserializer)?;
        let [correlation_id, partition_key, session_id, parent_event_id] = links;
        Ok(Self(Event {
            event_type: Key::intern(&name).map_err(de::Error::custom)?,
            payload,
            trace_id,
            time: Timestamp::from_millis(millis),
            schema_version,
            source,
            correlation_id,
            partition_key,
            session_id,
            parent_event_id,
            token: TokenIndex(u32::MAX),
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            any::<f64>().prop_map(Value::Float),
            any::<String>().prop_map(|text| Value::Text(text.into())),
            any::<i64>().prop_map(|millis| Value::Time(Timestamp::from_millis(millis))),
        ];
        leaf.prop_recursive(4, 20, 4, |inner| {
            let fields = prop::collection::vec(("[a-c]", inner.clone()), 0..4);
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Value::from),
                fields.prop_map(|fields| Value::Map(Box::new(fields_of(fields)))),
            ]
        })
    }

    fn fields_of(fields: Vec<(String, Value)>) -> Fields {
        fields.into_iter().map(|(name, value)| (Key::intern(&name).unwrap(), value)).collect()
    }

    proptest! {
        #[test]
        fn a_value_comes_back_with_its_type_and_all_its_bits(value in value()) {
            let json = serde_json::to_string(&Exact(&value)).unwrap();
            let Exact(back): Exact<Value> = serde_json::from_str(&json).unwrap();
            // Not a number is equal to nothing, and written alike.
            prop_assert_eq!(format!("{back:?}"), format!("{value:?}"));
            prop_assert_eq!(serde_json::to_string(&Exact(&back)).unwrap(), json);
        }
    }

    #[test]
    fn an_event_comes_back_as_it_was() {
        let key = Key::intern("field_a").unwrap();
        let mut event = Event::new(super::super::RECEIPT_CREATED, Text::default(), Timestamp::MIN);
        event.payload.set(key, Timestamp::MAX);
        event.session_id = Some("VIS_7_00001".into());
        let json = serde_json::to_string(&Exact(&event)).unwrap();
        let Exact(back): Exact<Event> = serde_json::from_str(&json).unwrap();
        assert_eq!(back, event);
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for wrong in ["[]", "[\"x\"]", "[\"f\"]", "[\"f\",1,2]", "18446744073709551615", "1.5"] {
            assert!(serde_json::from_str::<Exact<Value>>(wrong).is_err(), "{wrong}");
        }
        assert!(serde_json::from_str::<Exact<Fields>>("[\"l\"]").is_err());
    }

    #[test]
    fn values_may_nest_as_deep_as_they_are_made() {
        let deep = (0..100).fold(Value::Null, |value, _| vec![value].into());
        let json = serde_json::to_string(&Exact(&deep)).unwrap();
        assert!(serde_json::from_str::<Exact<Value>>(&json).is_ok());
    }
}
