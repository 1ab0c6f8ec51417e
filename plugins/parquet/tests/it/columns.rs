//! Which columns files have, and what they refuse.

use engine_plugin::{Error, Outcome};
use parquet::record::Field;
use serde_json::{Map, Value, json};

use crate::reading::{files, rows, schema};
use crate::receipt;
use crate::trial::Trial;

#[test]
fn inferred_columns_are_those_of_the_envelope_and_of_the_payload() {
    let folder = tempfile::tempdir().unwrap();
    for compression in ["zstd", "snappy", "none"] {
        let path = folder.path().join(compression);
        let settings = json!({ "path": path, "compression": compression });
        let mut trial = Trial::new(&settings).unwrap();
        let outcome = trial.write(&[
            receipt("TR_1", json!({ "total": 3, "source": "till", "items": [1], "never": null })),
            receipt("TR_2", json!({ "total": 2.5, "paid": true, "note": "\"a\"\n" })),
        ]);
        assert_eq!(outcome, Outcome::delivered());
        let file = path.join(&files(&path)[0]);
        let wanted = [
            "event_type BYTE_ARRAY UTF8",
            "ingest_timestamp INT64 TIMESTAMP_MILLIS",
            "trace_id BYTE_ARRAY UTF8",
            "schema_version BYTE_ARRAY UTF8",
            "source BYTE_ARRAY UTF8",
            "correlation_id BYTE_ARRAY UTF8",
            "partition_key BYTE_ARRAY UTF8",
            "session_id BYTE_ARRAY UTF8",
            "parent_event_id BYTE_ARRAY UTF8",
            "total DOUBLE NONE",
            "payload_source BYTE_ARRAY UTF8",
            "items BYTE_ARRAY JSON",
            "paid BOOLEAN NONE",
            "note BYTE_ARRAY UTF8",
        ];
        assert_eq!(schema(&file), wanted);
        let rows = rows(&file);
        assert_eq!(rows[0]["ingest_timestamp"], Field::TimestampMillis(1_732_872_600_000));
        assert_eq!(rows[0]["session_id"], Field::Null);
        assert_eq!(rows[0]["source"], Field::Str("retail-datagen".to_owned()));
        assert_eq!(rows[0]["payload_source"], Field::Str("till".to_owned()));
        assert_eq!(rows[0]["total"], Field::Double(3.0));
        assert_eq!(rows[1]["note"], Field::Str("\"a\"\n".to_owned()));
        assert_eq!(rows[1]["items"], Field::Null);
    }
}

#[test]
fn an_event_with_more_fields_than_a_file_has_columns_is_refused_and_the_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut trial = Trial::new(&json!({ "path": folder.path() })).unwrap();
    let many: Map<String, Value> = (0..3000).map(|n| (format!("f{n}"), json!(n))).collect();
    let outcome = trial.write(&[
        receipt("TR_1", json!({ "total": 1 })),
        receipt("TR_2", Value::Object(many)),
        receipt("TR_3", json!({ "other": 1 })),
    ]);
    assert_eq!(outcome.refusals.len(), 1);
    assert_eq!(outcome.refusals[0].row, 1);
    let reason = outcome.refusals[0].error.reason();
    assert!(reason.contains("would be one of more than 2000 columns"), "{reason}");
    let columns = rows(&folder.path().join(&files(folder.path())[0]));
    assert_eq!((columns.len(), columns[0].len()), (2, 11), "{columns:?}");
}

#[test]
fn chosen_columns_refuse_the_events_that_do_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let settings = json!({ "path": folder.path(), "columns": [
        { "name": "at", "path": "ingest_timestamp", "type": "timestamp" },
        { "name": "due", "path": "payload.due", "type": "timestamp" },
        { "name": "items", "path": "payload.items", "type": "int64" },
        { "name": "total", "path": "payload.total", "type": "double" },
        { "name": "city", "path": "payload.address.city", "type": "string" },
        { "name": "anything", "path": "payload.address", "type": "json" },
    ] });
    let mut trial = Trial::new(&settings).unwrap();
    let outcome = trial.write(&[
        receipt("TR_1", json!({ "items": 2, "total": 3, "address": { "city": "Bern" } })),
        receipt("TR_2", json!({ "items": 2.5, "total": 3 })),
        receipt("TR_3", json!({ "items": null, "due": "1970-01-01T00:00:01Z" })),
        receipt("TR_4", json!({ "total": "a lot" })),
    ]);
    let refused: Vec<_> = outcome.refusals.iter().map(|refusal| refusal.row).collect();
    assert_eq!(refused, [1, 3]);
    let rejected = |reason: &str| Error::Rejected(reason.to_owned());
    let error = rejected("`payload.items` is `2.5`, which is no int64");
    assert_eq!(outcome.refusals[0].error, error);
    let error = rejected("`payload.total` is `a lot`, which is no double");
    assert_eq!(outcome.refusals[1].error, error);
    let file = folder.path().join(&files(folder.path())[0]);
    let rows = rows(&file);
    let text = |text: &str| Field::Str(text.to_owned());
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["at"], Field::TimestampMillis(1_732_872_600_000));
    assert_eq!(rows[0]["city"], text("Bern"));
    assert_eq!(rows[0]["anything"], text(r#"{"city":"Bern"}"#));
    assert_eq!(rows[0]["total"], Field::Double(3.0));
    assert_eq!(rows[1]["due"], Field::TimestampMillis(1000));
    assert_eq!(rows[1]["items"], Field::Null);
    assert_eq!(schema(&file)[5], "anything BYTE_ARRAY JSON");
}

#[test]
fn columns_that_cannot_be_are_refused_before_the_run() {
    let error = |columns: Value| {
        let settings = json!({ "path": "/nowhere", "columns": columns });
        Trial::new(&settings).map(drop).unwrap_err()
    };
    let column = |name: &str, path: &str| json!({ "name": name, "path": path, "type": "string" });
    let twice = error(json!([column("a", "payload.a"), column("a", "payload.b")]));
    assert_eq!(twice, "two columns are called `a`");
    assert!(error(json!([column("a", "nowhere")])).starts_with("there is no field `nowhere`"));
}
