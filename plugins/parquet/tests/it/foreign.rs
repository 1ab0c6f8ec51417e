//! Readers that nobody here wrote: pyarrow and `DuckDB`, by Python.

use std::process::Command;

use engine_plugin::Outcome;
use serde_json::{Value, json};

use crate::event;
use crate::trial::Trial;

/// Python with a package; none if the test is to be skipped. `ENGINE_TEST_PYTHON` says which
/// Python, and `ENGINE_TEST_REQUIRE` names what must not be skipped.
fn python(package: &str) -> Option<Command> {
    let python = std::env::var("ENGINE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let imported = Command::new(&python).args(["-c", &format!("import {package}")]).output();
    let is_there = imported.is_ok_and(|output| output.status.success());
    let required = std::env::var("ENGINE_TEST_REQUIRE").unwrap_or_default();
    let is_required = required.split(',').any(|name| name.trim() == package);
    assert!(is_there || !is_required, "`{python}` has no package `{package}`, which is required");
    if !is_there {
        println!("skipped: the Python package {package} is not installed");
    }
    is_there.then(|| Command::new(python))
}

/// What a reader makes of two batches.
fn read(mut python: Command, script: &str, compression: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let settings =
        json!({ "path": folder.path(), "partition": "date", "compression": compression });
    let mut trial = Trial::new(&settings).unwrap();
    let total = |id: &str, time: &str, total: Value| {
        event("receipt_created", time, id, json!({ "total": total, "items": [{ "sku": "ä" }] }))
    };
    for batch in [
        [
            total("TR_1", "2024-11-29T09:30:00.250Z", json!(1)),
            total("TR_2", "2024-11-29T23:59:59Z", json!(2.5)),
        ],
        [
            total("TR_3", "2024-11-30T00:00:00Z", json!(4.25)),
            event("store_opened", "2024-11-30T08:00:00Z", "TR_4", json!({ "store_id": 7 })),
        ],
    ] {
        assert_eq!(trial.write(&batch), Outcome::delivered());
    }
    let output = python.args(["-c", script]).arg(folder.path()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

const PYARROW: &str = r#"
import json, sys
import pyarrow.dataset as ds
receipts = ds.dataset(sys.argv[1] + "/event_type=receipt_created", partitioning="hive")
table = receipts.to_table().sort_by("trace_id")
types = {field.name: str(field.type) for field in table.schema}
rows = [{**row, "ingest_timestamp": row["ingest_timestamp"].isoformat()} for row in table.to_pylist()]
print(json.dumps({"types": types, "rows": rows}, default=str))
"#;

#[test]
fn pyarrow_reads_what_was_written() {
    for compression in ["zstd", "snappy", "none"] {
        let Some(python) = python("pyarrow") else { return };
        let read = read(python, PYARROW, compression);
        let types = &read["types"];
        assert_eq!(types["ingest_timestamp"], "timestamp[ms, tz=UTC]");
        assert_eq!((&types["total"], &types["trace_id"]), (&json!("double"), &json!("string")));
        let rows = read["rows"].as_array().unwrap();
        let column = |name: &str| rows.iter().map(|row| &row[name]).collect::<Vec<_>>();
        assert_eq!(column("trace_id"), ["TR_1", "TR_2", "TR_3"]);
        assert_eq!(column("total"), [1.0, 2.5, 4.25]);
        assert_eq!(column("items"), [r#"[{"sku":"ä"}]"#; 3]);
        assert_eq!(column("date"), ["2024-11-29", "2024-11-29", "2024-11-30"]);
        assert_eq!(column("ingest_timestamp")[0], "2024-11-29T09:30:00.250000+00:00");
        assert_eq!(column("session_id"), [&Value::Null; 3]);
    }
}

const DUCKDB: &str = r#"
import json, sys
import duckdb
files = sys.argv[1] + "/**/*.parquet"
rows = duckdb.sql(f"""
    SELECT event_type, count(*), sum(total), min(epoch_ms(ingest_timestamp)), any_value(store_id)
    FROM read_parquet('{files}', hive_partitioning = true, union_by_name = true)
    GROUP BY event_type ORDER BY event_type
""").fetchall()
print(json.dumps(rows))
"#;

#[test]
fn duckdb_reads_a_lake_of_several_types() {
    let Some(python) = python("duckdb") else { return };
    let rows = read(python, DUCKDB, "zstd");
    let wanted = json!([
        ["receipt_created", 3, 7.75, 1_732_872_600_250_i64, null],
        ["store_opened", 1, null, 1_732_953_600_000_i64, 7],
    ]);
    assert_eq!(rows, wanted);
}
