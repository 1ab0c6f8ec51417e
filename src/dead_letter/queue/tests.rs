//! What is kept, counted and refused.

use super::*;
use crate::clock::Speed;
use crate::dead_letter::{Filter, QueueError, purge};
use crate::event::{RECEIPT_CREATED, Text};
use serde_json::Value;

fn letters(path: &Path, max_events: u64, when_full: WhenFull) -> DeadLetters {
    DeadLetters::new(path, max_events, when_full, "5ca1ab1e", Clock::new(None, Speed::Max, false))
}

fn write(letters: &DeadLetters, category: &'static str, text: &str) -> Disposition {
    let letter = DeadLetter {
        stage: "replay",
        failure: &Failure::new(category, "it is no JSON"),
        content: Content::Input { text, origin: "events.ndjson:17" },
        attempts: 1,
        first_time: None,
    };
    letters.write(&[letter]).others
}

fn records(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_letter_says_what_failed_where_why_and_when() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/dead.ndjson");
    let letters = letters(&path, 10, WhenFull::Stop);
    assert!(!path.exists(), "nothing is made before the first letter");
    let event = Event::new(RECEIPT_CREATED, Text::from("TR_1"), Timestamp::from_millis(0));
    let failure = Failure::new("script", "division by zero");
    let letter = DeadLetter {
        stage: "enrich",
        failure: &failure,
        content: Content::Event(&event),
        attempts: 1,
        first_time: None,
    };
    assert_eq!(letters.write(&[letter]), Written { kept: 1, others: Disposition::Kept });
    assert_eq!(write(&letters, "malformed", "{\"half\n"), Disposition::Kept);

    let [event_record, input_record] = <[Value; 2]>::try_from(records(&path)).unwrap();
    assert_eq!(event_record["stage"], "enrich");
    assert_eq!(event_record["category"], "script");
    assert_eq!(event_record["reason"], "division by zero");
    assert_eq!(event_record["attempts"], 1);
    assert_eq!(event_record["spec_hash"], "5ca1ab1e");
    assert_eq!(event_record["event"], serde_json::from_str::<Value>(&event.to_json()).unwrap());
    assert!(event_record["first_time"].as_str().unwrap().parse::<Timestamp>().is_ok());
    assert_eq!(event_record["first_time"], event_record["last_time"]);
    assert_eq!(event_record.get("input"), None);
    assert_eq!(input_record["input"], "{\"half\n");
    assert_eq!(input_record["origin"], "events.ndjson:17");
    assert_eq!(input_record.get("event"), None);
}

#[test]
fn letters_of_earlier_runs_count_towards_the_bound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.ndjson");
    assert_eq!(write(&letters(&path, 3, WhenFull::Stop), "malformed", "1"), Disposition::Kept);
    let second = letters(&path, 3, WhenFull::Stop);
    assert_eq!(write(&second, "malformed", "2"), Disposition::Kept);
    assert_eq!(write(&second.clone(), "malformed", "3"), Disposition::Kept);
    let Disposition::Full(message) = write(&second, "malformed", "4") else { panic!() };
    assert!(
        message.contains("is full: it holds 3 events, the most it may; move it away"),
        "{message}"
    );
    assert_eq!(records(&path).len(), 3);
    assert_eq!(write(&letters(&path, 3, WhenFull::Drop), "malformed", "4"), Disposition::Dropped);
    assert_eq!(records(&path).len(), 3);
}

#[test]
fn of_a_batch_those_are_kept_that_there_is_room_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.ndjson");
    let failure = Failure::new("script", "no");
    let texts = ["1", "2", "3"];
    let batch = texts.map(|text| DeadLetter {
        stage: "a",
        failure: &failure,
        content: Content::Input { text, origin: "x:1" },
        attempts: 3,
        first_time: Some(Timestamp::from_millis(0)),
    });
    let written = letters(&path, 2, WhenFull::Drop).write(&batch);
    assert_eq!(written, Written { kept: 2, others: Disposition::Dropped });
    let records = records(&path);
    assert_eq!(records.iter().map(|record| &record["input"]).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(records[0]["attempts"], 3);
    assert_eq!(records[0]["first_time"], "1970-01-01T00:00:00.000Z");
}

#[test]
fn what_is_taken_out_by_others_makes_room_and_what_they_add_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.ndjson");
    let (one, other) = (letters(&path, 2, WhenFull::Drop), letters(&path, 2, WhenFull::Drop));
    assert_eq!(write(&one, "malformed", "1"), Disposition::Kept);
    assert_eq!(write(&other, "schema", "2"), Disposition::Kept);
    assert_eq!(write(&one, "malformed", "3"), Disposition::Dropped);
    let schema = Filter { category: Some("schema".to_owned()), ..Filter::default() };
    assert_eq!(purge(&path, &schema), Ok(1));
    assert_eq!(write(&one, "malformed", "4"), Disposition::Kept);
    assert_eq!(write(&other, "malformed", "5"), Disposition::Dropped);
    let inputs: Vec<Value> = records(&path).iter().map(|it| it["input"].clone()).collect();
    assert_eq!(inputs, ["1", "4"]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(write(&other, "malformed", "6"), Disposition::Kept);
    std::fs::write(&path, "").unwrap();
    assert_eq!(write(&other, "malformed", "7"), Disposition::Kept);
    assert_eq!(write(&other, "malformed", "8"), Disposition::Kept);
    assert_eq!(write(&other, "malformed", "9"), Disposition::Dropped);
}

#[test]
fn a_file_that_another_process_holds_is_not_purged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.ndjson");
    assert_eq!(write(&letters(&path, 2, WhenFull::Drop), "schema", "1"), Disposition::Kept);
    let holder = File::open(&path).unwrap();
    holder.lock().unwrap();
    let error = purge(&path, &Filter::default()).unwrap_err();
    assert_eq!(error, QueueError::InUse(path.clone()));
    assert!(error.to_string().contains("is in use by another process"), "{error}");
    drop(holder);
    assert_eq!(purge(&path, &Filter::default()), Ok(1));
    assert_eq!(records(&path).len(), 0);
}

#[test]
fn each_stage_and_category_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder.path().join("dead.ndjson"), 2, WhenFull::Drop);
    for category in ["schema", "malformed", "malformed", "malformed"] {
        let _ = write(&letters, category, "x");
    }
    let count = |category, kept, dropped| DeadLetterCount {
        stage: "replay".to_owned(),
        category,
        kept,
        dropped,
    };
    assert_eq!(letters.counts(), [count("malformed", 1, 2), count("schema", 1, 0)]);
    let off = DeadLetters::off();
    assert_eq!(write(&off, "schema", "x"), Disposition::Dropped);
    assert_eq!(off.counts(), [count("schema", 0, 1)]);
}

#[test]
fn a_line_that_a_crash_cut_short_does_not_spoil_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.ndjson");
    std::fs::write(&path, "{\"stage\":\"a\"}\n{\"stage\":").unwrap();
    let letters = letters(&path, 3, WhenFull::Stop);
    assert_eq!(write(&letters, "malformed", "x"), Disposition::Kept);
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 3);
    assert!(serde_json::from_str::<Value>(text.lines().last().unwrap()).is_ok());
    assert!(matches!(write(&letters, "malformed", "x"), Disposition::Full(_)));
}

#[test]
fn a_file_that_cannot_be_opened_or_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = |path: &Path| match write(&letters(path, 3, WhenFull::Drop), "malformed", "x") {
        Disposition::Error(message) => message,
        other => panic!("{other:?}"),
    };
    let message = error(folder.path());
    assert!(message.starts_with("cannot open the dead-letter file `"), "{message}");
    assert!(message.contains(&folder.path().display().to_string()), "{message}");
    if Path::new("/dev/full").exists() {
        let full = folder.path().join("full.ndjson");
        std::os::unix::fs::symlink("/dev/full", &full).unwrap();
        let message = error(&full);
        assert!(message.contains("full.ndjson"), "{message}");
    }
}
