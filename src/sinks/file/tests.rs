//! The sink as a whole, on a real folder.

use std::io::Read;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use tempfile::TempDir;

use super::*;
use crate::event::{CHANNEL, Event, RECEIPT_CREATED, Text, Timestamp};

fn settings(folder: &TempDir, path: &str) -> FileSink {
    FileSink {
        path: folder.path().join(path).display().to_string(),
        compression: None,
        mode: Mode::Append,
        rotate: None,
        max_open_files: default_open_files(),
        fsync: false,
    }
}

fn sink(settings: FileSink) -> FileWriter {
    settings.sink().map_err(|(_, message)| message).unwrap()
}

/// An event at so many minutes of 1970.
fn event(minutes: u64) -> Event {
    let time = Timestamp::from_millis(0) + Duration::from_secs(60 * minutes);
    Event::new(RECEIPT_CREATED, Text::from(format!("T{minutes}")), time)
}

fn batch(minutes: impl IntoIterator<Item = u64>) -> Batch {
    Batch::new(minutes.into_iter().map(event).collect(), Timestamp::MIN, None)
}

/// The trace ids of a file.
fn ids(path: &Path) -> Vec<String> {
    let mut text = String::new();
    let bytes = std::fs::read(path).unwrap();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
    } else {
        text = String::from_utf8(bytes).unwrap();
    }
    let id = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        event["trace_id"].as_str().unwrap().to_owned()
    };
    text.lines().map(id).collect()
}

/// The names of all files below a folder, and what is in them.
fn files(folder: &TempDir) -> Vec<(String, Vec<String>)> {
    let pattern = folder.path().join("**/*").display().to_string();
    glob::glob(&pattern)
        .unwrap()
        .map(Result::unwrap)
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.strip_prefix(folder.path()).unwrap().display().to_string();
            (name, ids(&path))
        })
        .collect()
}

fn named(name: &str, ids: &[&str]) -> (String, Vec<String>) {
    (name.to_owned(), ids.iter().map(|id| (*id).to_owned()).collect())
}

#[tokio::test]
async fn what_is_delivered_is_in_the_file_before_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let sink = sink(settings(&folder, "deep/er/out.ndjson"));
    sink.open().await.unwrap();
    assert_eq!(sink.write(&batch([1, 2])).await, Outcome::Delivered);
    let path = folder.path().join("deep/er/out.ndjson");
    let expected = format!("{}\n{}\n", event(1).to_json(), event(2).to_json());
    assert_eq!(std::fs::read_to_string(path).unwrap(), expected);
}

#[tokio::test]
async fn a_file_is_appended_to_unless_it_is_to_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    for minute in [1, 2] {
        let sink = sink(settings(&folder, "out.ndjson"));
        assert_eq!(sink.write(&batch([minute])).await, Outcome::Delivered);
        sink.close().await.unwrap();
    }
    assert_eq!(files(&folder), [named("out.ndjson", &["T1", "T2"])]);

    let replacing = sink(FileSink { mode: Mode::Replace, ..settings(&folder, "out.ndjson") });
    replacing.open().await.unwrap();
    assert_eq!(replacing.write(&batch([3])).await, Outcome::Delivered);
    let both = [named("out.ndjson", &["T1", "T2"]), named("out.ndjson.part", &["T3"])];
    assert_eq!(files(&folder), both, "the old one is there until the new one is complete");
    replacing.close().await.unwrap();
    assert_eq!(files(&folder), [named("out.ndjson", &["T3"])]);
}

#[tokio::test]
async fn a_line_that_a_crash_cut_short_is_ended_before_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.ndjson");
    std::fs::write(&path, "{\"torn\":").unwrap();
    let sink = sink(settings(&folder, "out.ndjson"));
    assert_eq!(sink.write(&batch([1])).await, Outcome::Delivered);
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, format!("{{\"torn\":\n{}\n", event(1).to_json()));
}

#[tokio::test]
async fn files_end_exactly_at_their_number_of_events() {
    let folder = tempfile::tempdir().unwrap();
    let rotate = Some(Rotate { max_events: Some(2), ..Rotate::default() });
    let rotating = FileSink { rotate, ..settings(&folder, "out.x.ndjson") };
    let first = sink(rotating.clone());
    first.open().await.unwrap();
    assert_eq!(first.write(&batch([1])).await, Outcome::Delivered);
    assert_eq!(first.write(&batch([2, 3, 4, 5])).await, Outcome::Delivered);
    let so_far = [
        named("out-00001.x.ndjson", &["T1", "T2"]),
        named("out-00002.x.ndjson", &["T3", "T4"]),
        named("out-00003.x.ndjson.part", &["T5"]),
    ];
    // A run that is killed here leaves the last one as a part; the next run does not touch it.
    assert_eq!(files(&folder), so_far);
    drop(first);
    let second = sink(rotating);
    second.open().await.unwrap();
    assert_eq!(second.write(&batch([6])).await, Outcome::Delivered);
    second.close().await.unwrap();
    let mut all = so_far.to_vec();
    all.push(named("out-00004.x.ndjson", &["T6"]));
    assert_eq!(files(&folder), all);
}

#[tokio::test]
async fn files_end_exactly_at_their_size() {
    let line = event(1).to_json().len() as u64 + 1;
    for (max_bytes, lengths) in
        [(2 * line, [2, 2].as_slice()), (2 * line - 1, &[1; 4]), (1, &[1; 4])]
    {
        let folder = tempfile::tempdir().unwrap();
        let rotate = Some(Rotate { max_bytes: Some(max_bytes), ..Rotate::default() });
        let sink = sink(FileSink { rotate, ..settings(&folder, "out.ndjson") });
        assert_eq!(sink.write(&batch([1, 2, 3, 4])).await, Outcome::Delivered);
        sink.close().await.unwrap();
        let got: Vec<_> = files(&folder).iter().map(|(_, ids)| ids.len()).collect();
        assert_eq!(got, lengths, "{max_bytes}");
    }
}

#[tokio::test]
async fn files_end_at_full_hours_of_event_time_and_late_events_stay() {
    let folder = tempfile::tempdir().unwrap();
    let every = Some(SpecDuration(Duration::from_hours(1)));
    let rotate = Some(Rotate { every, ..Rotate::default() });
    let sink = sink(FileSink { rotate, ..settings(&folder, "out") });
    assert_eq!(sink.write(&batch([30, 59])).await, Outcome::Delivered);
    assert_eq!(sink.write(&batch([60, 58, 119, 240])).await, Outcome::Delivered);
    sink.close().await.unwrap();
    let expected = [
        named("out-00001", &["T30", "T59"]),
        named("out-00002", &["T60", "T58", "T119"]),
        named("out-00003", &["T240"]),
    ];
    assert_eq!(files(&folder), expected);
}

#[tokio::test]
async fn gzip_files_can_be_read_after_every_batch() {
    let folder = tempfile::tempdir().unwrap();
    let sink = sink(settings(&folder, "out.ndjson.gz"));
    assert!(sink.wants_batches(), "members of one event would hardly be smaller");
    for minute in 1..3 {
        assert_eq!(sink.write(&batch([minute])).await, Outcome::Delivered);
    }
    assert_eq!(files(&folder), [named("out.ndjson.gz", &["T1", "T2"])]);
    let bytes = std::fs::read(folder.path().join("out.ndjson.gz")).unwrap();
    assert_eq!(bytes[..2], [0x1f, 0x8b]);
}

#[tokio::test]
async fn events_are_dealt_out_by_their_values_and_none_leaves_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let inside = "in/{payload.channel}/out.ndjson";
    let mut events: Vec<_> = (1..6).map(event).collect();
    for (event, channel) in events.iter_mut().zip(["a", "../../b", "a", "/etc/c", "../../b"]) {
        event.payload.set(CHANNEL, channel);
    }
    let few = FileSink { max_open_files: 1, mode: Mode::Replace, ..settings(&folder, inside) };
    let sink = sink(few);
    sink.open().await.unwrap();
    for event in events {
        let batch = Batch::new(vec![event.clone()], Timestamp::MIN, None);
        assert_eq!(sink.write(&batch).await, Outcome::Delivered);
        assert!(sink.0.lock().unwrap().open_files() <= 1);
    }
    sink.close().await.unwrap();
    let expected = [
        named("in/_._.._b/out.ndjson", &["T2", "T5"]),
        named("in/_etc_c/out.ndjson", &["T4"]),
        named("in/a/out.ndjson", &["T1", "T3"]),
    ];
    assert_eq!(files(&folder), expected);
}

#[tokio::test]
async fn what_cannot_be_written_fails_at_the_start_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    for (path, start) in
        [("file/out.ndjson", "cannot make the folder `"), ("folder", "cannot write `")]
    {
        let StageError(message) = sink(settings(&folder, path)).open().await.unwrap_err();
        assert!(message.starts_with(start), "{message}");
        assert!(message.contains(&folder.path().display().to_string()), "{message}");
    }
}

#[tokio::test]
async fn only_the_events_of_the_file_that_failed_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("bad")).unwrap();
    let sink = sink(settings(&folder, "{payload.channel}"));
    let mut events: Vec<_> = (1..5).map(event).collect();
    for (event, channel) in events.iter_mut().zip(["bad", "good", "good", "bad"]) {
        event.payload.set(CHANNEL, channel);
    }
    let Outcome::Except(failed) = sink.write(&Batch::new(events, Timestamp::MIN, None)).await
    else {
        panic!("two of four can be written");
    };
    assert_eq!(failed.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [0, 3]);
    assert_eq!(failed[0].1.failure.category, "io");
    assert_eq!(ids(&folder.path().join("good")), ["T2", "T3"]);
}

#[tokio::test]
async fn a_full_disk_is_reported_with_the_path_and_may_take_the_events_later() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.path().join("out")).unwrap();
    let sink = sink(settings(&folder, "out"));
    sink.open().await.unwrap();
    let Outcome::Refused(Refusal { failure, retry }) = sink.write(&batch([1, 2])).await else {
        panic!()
    };
    assert_eq!(retry, crate::stage::Retry::Later);
    assert!(failure.reason.contains("/out`: No space left on device"), "{}", failure.reason);
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |rotate, mode| {
        let settings = FileSink { rotate: Some(rotate), mode, ..settings(&folder, "out") };
        settings.sink().err().unwrap().0
    };
    let rotate = Rotate { max_events: Some(1), ..Rotate::default() };
    assert_eq!(refused(rotate, Mode::Replace), "/mode");
    assert_eq!(refused(Rotate::default(), Mode::Append), "/rotate");
    let every = Some(SpecDuration(Duration::ZERO));
    assert_eq!(refused(Rotate { every, ..rotate }, Mode::Append), "/rotate/every");
}
