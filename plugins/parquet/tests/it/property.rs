//! What is read back is what was written, whatever the events are.

use std::collections::BTreeMap;

use engine_plugin::Outcome;
use parquet::record::Field;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::event;
use crate::reading::{files, rows};
use crate::trial::Trial;

/// How many keys of the envelope are not null in these events.
const ENVELOPE: usize = 6;

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(json!(u64::MAX)),
        any::<String>().prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => scalar(),
        1 => prop::collection::vec(scalar(), 0..3).prop_map(Value::from),
        1 => prop::collection::btree_map("[a-c]", scalar(), 0..3)
            .prop_map(|fields| Value::Object(fields.into_iter().collect())),
    ]
}

/// A field whose values are mostly of one kind, so that columns are not texts at once.
fn payload() -> impl Strategy<Value = Map<String, Value>> {
    let field = prop_oneof![
        (Just("whole".to_owned()), any::<i64>().prop_map(Value::from)),
        (
            Just("number".to_owned()),
            prop_oneof![any::<i32>().prop_map(Value::from), any::<f64>().prop_map(Value::from),]
        ),
        (Just("flag".to_owned()), any::<bool>().prop_map(Value::from)),
        (Just("text".to_owned()), any::<String>().prop_map(Value::from)),
        (Just("list".to_owned()), prop::collection::vec(scalar(), 0..3).prop_map(Value::from)),
        ("(payload_){0,2}(source|trace_id|x)|ä|", value()),
    ];
    prop::collection::vec(field, 0..6).prop_map(|fields| fields.into_iter().collect())
}

/// How a value stands in a column with these others; none for null.
fn expected(value: &Value, column: &[&Value]) -> Option<Field> {
    let all = |is: fn(&Value) -> bool| column.iter().all(|other| other.is_null() || is(other));
    Some(match value {
        Value::Null => return None,
        Value::Bool(value) if all(Value::is_boolean) => Field::Bool(*value),
        Value::Number(number) if all(Value::is_i64) => Field::Long(number.as_i64()?),
        Value::Number(number) if all(Value::is_number) => Field::Double(number.as_f64()?),
        Value::String(text) => Field::Str(text.clone()),
        Value::Number(number) if number.is_i64() => Field::Str(number.to_string()),
        Value::Number(number) => Field::Str(format!("{:?}", number.as_f64()?)),
        other => Field::Str(other.to_string()),
    })
}

/// The column of a field of the payload.
fn column_name(field: &str) -> String {
    let is_taken = field.ends_with("source") || field.ends_with("trace_id");
    if is_taken { format!("payload_{field}") } else { field.to_owned() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn what_is_read_back_is_what_was_written(
        payloads in prop::collection::vec((0..3, payload()), 1..20),
        splits in any::<bool>(),
        compression in prop_oneof![Just("zstd"), Just("snappy"), Just("none")],
    ) {
        let folder = tempfile::tempdir().unwrap();
        let split_by = if splits { "event_type" } else { "none" };
        let path = folder.path();
        let settings = json!({ "path": path, "split_by": split_by, "compression": compression });
        let mut trial = Trial::new(&settings).unwrap();
        let events: Vec<Value> = payloads.into_iter().enumerate().map(|(place, (kind, payload))| {
            let id = format!("TR_{place}");
            event(&format!("type_{kind}"), "2024-11-29T09:30:00Z", &id, payload.into())
        }).collect();
        prop_assert_eq!(trial.write(&events), Outcome::delivered());

        let mut parts: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for event in &events {
            let part = if splits { event["event_type"].as_str().unwrap() } else { "" };
            parts.entry(part).or_default().push(event);
        }
        let files = files(path);
        prop_assert_eq!(files.len(), parts.len());
        for (file, part) in files.iter().zip(parts.values()) {
            let rows = rows(&path.join(file));
            prop_assert_eq!(rows.len(), part.len());
            let mut known = 0;
            for (row, event) in rows.iter().zip(part) {
                prop_assert_eq!(&row["trace_id"], &Field::Str(event["trace_id"].as_str().unwrap().into()));
                for (name, value) in event["payload"].as_object().unwrap() {
                    let column: Vec<_> =
                        part.iter().filter_map(|event| event["payload"].get(name)).collect();
                    match expected(value, &column) {
                        Some(field) => {
                            known += 1;
                            prop_assert_eq!(&row[&column_name(name)], &field, "{}", name);
                        }
                        None => prop_assert!(
                            row.get(&column_name(name)).is_none_or(|field| *field == Field::Null)
                        ),
                    }
                }
            }
            // And nothing else.
            let found = rows.iter().flat_map(BTreeMap::iter);
            let found = found.filter(|(_, field)| **field != Field::Null).count();
            prop_assert_eq!(found, known + rows.len() * ENVELOPE);
        }
    }
}
