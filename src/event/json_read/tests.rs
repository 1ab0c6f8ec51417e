use super::*;
use crate::event::JsonWriter;
use proptest::prelude::*;
use serde_json::json;

/// Strings with what JSON must escape, ids, and every plane of Unicode.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![".*", "[\\x00-\\x20\"\\\\/]{0,8}", "(TR|RCP|X)_[0-9]{1,10}_[0-9]{1,20}"]
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let float = any::<f64>().prop_filter("finite", |number| number.is_finite());
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|number| json!(number)),
        float.prop_map(|number| json!(number)),
        (-1_000_000_i64..1_000_000).prop_map(|cents| json!(cents as f64 / 100.0)),
        text().prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|values| json!(values)),
            object(inner),
        ]
    })
}

fn object(
    value: impl Strategy<Value = serde_json::Value>,
) -> impl Strategy<Value = serde_json::Value> {
    let name = "[a-z_]{1,6}|[\\x00-\\x7f]{1,3}";
    prop::collection::vec((name, value), 0..6)
        .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect()))
}

fn envelope() -> impl Strategy<Value = serde_json::Value> {
    let optional = || prop::option::of(text());
    let links = (optional(), optional(), optional(), optional());
    let times = Timestamp::from_millis(0).as_millis()..4_102_444_800_000;
    (object(json_value()), text(), times, text(), links).prop_map(
        |(payload, trace_id, millis, source, (correlation, partition, session, parent))| {
            json!({
                "event_type": "receipt_created",
                "payload": payload,
                "trace_id": trace_id,
                "ingest_timestamp": Timestamp::from_millis(millis).to_string(),
                "schema_version": "1.0",
                "source": source,
                "correlation_id": correlation,
                "partition_key": partition,
                "session_id": session,
                "parent_event_id": parent,
            })
        },
    )
}

fn read(line: &str) -> Result<Event, String> {
    JsonReader::new().event(line.as_bytes()).map_err(|error| error.to_string())
}

/// A value as it may stand in a line: with spaces, with escapes where none are needed, with numbers
/// of every form, and with the names of few fields, so that some come twice and some again.
fn written_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        "-?(0|[1-9][0-9]{0,20})",
        "-?(0|[1-9][0-9]{0,17})[.][0-9]{1,17}",
        "-?[0-9]{1,4}([.][0-9]{0,3})?([eE][+-]?[0-9]{0,3})?",
        written_text(),
    ];
    leaf.prop_recursive(4, 16, 5, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            (list, space()).prop_map(|(values, space)| {
                format!("[{space}{}{space}]", values.join(&format!("{space},")))
            }),
            written_object(inner),
        ]
    })
}

fn written_text() -> impl Strategy<Value = String> {
    prop_oneof![
        text().prop_map(|text| json!(text).to_string()),
        r#""([a-z]|\\(["\\/bfnrt]|u00[0-9a-f]{2}|ud83d\\ude00|ud83d)|é|\t){0,5}""#,
    ]
}

fn written_object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let name = prop_oneof![4 => "\"[abc]\"", 1 => r#""(\\u0061|é|[a-z_]{20,40})""#];
    let fields = prop::collection::vec((name, value), 0..5);
    (fields, space()).prop_map(|(fields, space)| {
        let field = |(name, value)| format!("{name}{space}:{space}{value}{space}");
        let fields: Vec<String> = fields.into_iter().map(field).collect();
        format!("{{{space}{}}}", fields.join(&format!(",{space}")))
    })
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 1 => "[ \t\r\n]{0,2}"]
}

/// An envelope as it may stand in a line: keys in any order, some missing, some twice.
fn written_envelope() -> impl Strategy<Value = String> {
    let event_type = prop::sample::select(vec!["\"x\"", "\"y\"", "\"\\u0078\"", "7"]);
    let time = prop::sample::select(vec![
        "\"2024-11-29T10:00:00.000Z\"",
        "\"2024-11-29T10:00:01.5Z\"",
        "\"2024-11-29T10:00:60.000Z\"",
        "null",
    ]);
    let text = prop_oneof![2 => Just("null".to_owned()), 2 => written_text(), 1 => written_value()];
    let keys = prop::collection::vec((0..ENVELOPE.len(), text), 0..4);
    let payload = written_object(written_value());
    (event_type, time, payload, keys, space(), any::<bool>()).prop_map(
        |(event_type, time, payload, keys, space, payload_first)| {
            let mut fields = vec![
                format!("\"event_type\":{event_type}"),
                format!("\"payload\":{space}{payload}"),
                format!("\"ingest_timestamp\":{space}{time}"),
            ];
            fields.swap(0, usize::from(payload_first));
            fields.extend(
                keys.iter().map(|(place, text)| format!("\"{}\":{text}", ENVELOPE[*place].0)),
            );
            format!("{{{}}}", fields.join(&format!("{space},{space}")))
        },
    )
}

/// Something done to a line that may break it.
fn damaged(line: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    let scrap = prop::sample::select(vec![
        &b"\""[..],
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b" ",
        b"0",
        b"-",
        b".",
        b"e",
        b"\x01",
        b"\xff",
        b"\xc3",
        b"NaN",
        b"\\ud800",
        b"null",
    ]);
    let place = any::<prop::sample::Index>();
    (line, prop::option::of((place.clone(), place, scrap))).prop_map(|(line, damage)| {
        let mut line = line.into_bytes();
        if let Some((start, length, scrap)) = damage {
            let start = start.index(line.len() + 1);
            let end = start + length.index((line.len() - start).min(3) + 1);
            line.splice(start..end, scrap.iter().copied());
        }
        line
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_read_quickly_is_what_is_read_precisely(
        lines in prop::collection::vec(damaged(written_envelope()), 1..5),
    ) {
        let mut reader = JsonReader::new();
        for line in lines {
            let (ours, precise) = (reader.event(&line), Precise::new(&line, &mut JsonReader::new()).event());
            prop_assert_eq!(&ours, &precise, "{}", line.escape_ascii());
            // Equal floats may differ in sign.
            let written = |event: Result<Event, _>| event.map(|event| event.to_json());
            prop_assert_eq!(written(ours), written(precise));
        }
    }

    #[test]
    fn what_is_read_quickly_of_an_object_is_what_is_read_precisely(
        lines in prop::collection::vec(damaged(written_object(written_value())), 1..5),
    ) {
        let mut reader = JsonReader::new();
        for line in lines {
            let (ours, precise) = (reader.object(&line), Precise::new(&line, &mut JsonReader::new()).object());
            prop_assert_eq!(&ours, &precise, "{}", line.escape_ascii());
        }
    }
}

#[test]
fn a_line_that_is_in_order_is_taken_by_the_quick_reader() {
    let mut reader = JsonReader::new();
    let events = [
        r#"{"event_type":"x","payload":{},"ingest_timestamp":"2024-11-29T10:00:00.000Z"}"#,
        r#" { "event_type" : "x", "payload": { "a": "\u00e9\n", "b": [1, {"c": 1e3}] },
            "ingest_timestamp": "2024-11-29T11:00:00+01:00", "source": null }"#,
        r#"{"event_type":"x","payload":{"a":-1.25,"a":12345678901234567890},"trace_id":"é",
            "ingest_timestamp":"2024-11-29T10:00:00.000Z","session_id":null}"#,
    ];
    for line in events {
        let taken = Quick::new(line.as_bytes(), &mut reader).unwrap().event(&mut Envelope::new());
        assert!(taken.is_some(), "{line}");
    }
}

proptest! {
    #[test]
    fn reading_and_writing_agree_with_serde_json(envelopes in prop::collection::vec(envelope(), 1..4)) {
        // One reader and one writer for all, so that what they remember is tested too.
        let (mut reader, mut writer) = (JsonReader::new(), JsonWriter::new());
        for envelope in envelopes {
            let line = serde_json::to_string(&envelope).unwrap();
            let event = reader.event(line.as_bytes()).unwrap();
            writer.clear();
            writer.event(&event);
            prop_assert_eq!(std::str::from_utf8(writer.as_bytes()).unwrap(), &line);
            prop_assert_eq!(serde_json::to_string(&event).unwrap(), line);
        }
    }

    #[test]
    fn whatever_serde_json_refuses_is_refused(line in r#"[\[\]{}:,"a0-9.eE+-]{0,12}|\PC*"#) {
        let ours = JsonReader::new().object(line.as_bytes()).is_ok();
        let theirs = serde_json::from_str::<serde_json::Map<_, _>>(&line).is_ok();
        prop_assert_eq!(ours, theirs, "{}", line);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = JsonReader::new().event(&bytes);
        let _ = JsonReader::new().object(&bytes);
    }
}

#[test]
fn a_damaged_envelope_says_what_and_where() {
    let cases = [
        ("", "EOF while parsing a value (column 1)"),
        ("[1]", "expected a JSON object (column 1)"),
        ("{\"event_type\":7}", "`event_type` is not a string (column 15)"),
        ("{\"payload\":[]}", "`payload` is not an object (column 12)"),
        ("{\"colour\":1}", "`colour` is not a key of the envelope (column 11)"),
        ("{\"payload\":{}}", "the envelope has no `event_type` (column 1)"),
        (
            "{\"ingest_timestamp\":\"soon\"}",
            "`soon` is not an instant such as `2024-11-29T10:00:00Z` (column 21)",
        ),
        ("{\"payload\":{\"a\":1e999}}", "number out of range (column 17)"),
    ];
    for (line, message) in cases {
        assert_eq!(read(line).unwrap_err(), message, "{line}");
    }
}

#[test]
fn nesting_without_end_is_refused() {
    let line = format!("{{\"payload\":{{\"a\":{}", "[".repeat(100_000));
    assert!(read(&line).unwrap_err().starts_with("nested more than 64 deep"));
}

#[test]
fn a_time_that_no_clock_shows_is_refused_on_a_known_date_too() {
    let mut reader = JsonReader::new();
    assert!(reader.times.read("2024-11-29T10:00:00.000Z").is_ok());
    assert_eq!(
        reader.times.read("2024-11-29T10:00:01.234Z").unwrap().to_string(),
        "2024-11-29T10:00:01.234Z"
    );
    assert!(reader.times.read("2024-11-29T24:00:00.000Z").is_err());
    assert!(reader.times.read("2024-11-29T10:00:0x.000Z").is_err());
}
