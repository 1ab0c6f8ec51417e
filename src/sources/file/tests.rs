//! The source as a whole, on files of every sort.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::*;
use crate::clock::Speed;
use crate::control::{Control, Phase};
use crate::dead_letter::{DeadLetters, Failures};
use crate::event::{Ledger, TraceIds};
use crate::kind::Kind as StageKind;
use crate::monitor::Account;
use crate::spec::WhenFull;
use crate::stage::Holds;

const START: &str = "2024-11-29T10:00:00Z";

fn start() -> Timestamp {
    START.parse().unwrap()
}

/// A folder with files, and what a source needs to read them.
struct Fixture {
    folder: TempDir,
    cx: SourceContext,
}

fn failures(dead_letters: DeadLetters) -> (Failures, Control) {
    let account = Arc::new(Account::new("replay", StageKind::Source, "file"));
    let control = Control::new();
    (Failures::new(account, dead_letters, control.clone()), control)
}

impl Fixture {
    fn new() -> Self {
        Self::at_speed(Speed::Max)
    }

    fn at_speed(speed: Speed) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::new(Some(start()), speed, false);
        let dead = folder.path().join("dead.ndjson");
        let cx = SourceContext {
            stage: "replay".to_owned(),
            clock: clock.clone(),
            end: None,
            ledger: Ledger::new(),
            trace_ids: TraceIds::new(1, 0),
            failures: failures(DeadLetters::new(dead, 100, WhenFull::Stop, "hash", clock)).0,
            batch_events: 3,
            holds: Holds::default(),
        };
        Self { folder, cx }
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn open(&self, settings: FileSource) -> Box<dyn Feed> {
        let plan = settings.plan().map_err(|(_, message)| message).unwrap();
        Box::new(plan).open(self.cx.clone(), None).await.unwrap()
    }

    /// The batches, and the error that ended them.
    async fn batches(&self, settings: FileSource) -> (Vec<Batch>, Option<String>) {
        let mut feed = self.open(settings).await;
        let mut batches: Vec<Batch> = Vec::new();
        loop {
            match feed.next().await {
                Ok(None) => return (batches, None),
                Ok(Some(batch)) => {
                    let before = batches.last().map_or(Timestamp::MIN, Batch::watermark);
                    assert!(batch.watermark() >= before, "a watermark went back");
                    assert!(batch.len() <= 3, "a batch is too large");
                    batches.push(batch);
                }
                Err(StageError(message)) => return (batches, Some(message)),
            }
        }
    }

    async fn events(&self, settings: FileSource) -> Vec<Event> {
        let (batches, error) = self.batches(settings).await;
        assert_eq!(error, None);
        batches.iter().flat_map(Batch::events).cloned().collect()
    }

    /// Origin, reason and text of the dead letters.
    fn dead(&self) -> Vec<[String; 3]> {
        let text = std::fs::read_to_string(self.path("dead.ndjson")).unwrap_or_default();
        let record = |line: &str| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            ["origin", "reason", "input"].map(|key| record[key].as_str().unwrap().to_owned())
        };
        text.lines().map(record).collect()
    }
}

fn settings(path: impl Into<String>) -> FileSource {
    let yaml = serde_json::json!({ "path": path.into() });
    FileSource { lateness: no_lateness(), ..serde_json::from_value(yaml).unwrap() }
}

fn envelope(seconds: u64) -> String {
    let time = start() + Duration::from_secs(seconds);
    format!(
        "{{\"event_type\":\"tick\",\"payload\":{{\"n\":{seconds}}},\
         \"trace_id\":\"T{seconds}\",\"ingest_timestamp\":\"{time}\"}}\n"
    )
}

fn envelopes(seconds: impl IntoIterator<Item = u64>) -> String {
    seconds.into_iter().map(envelope).collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn ids(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| event.trace_id.to_string()).collect()
}

#[tokio::test]
async fn files_of_a_glob_are_read_in_the_order_of_their_names() {
    let fixture = Fixture::new();
    fixture.file("b.ndjson", envelopes([3, 4]));
    fixture.file("a.ndjson", envelopes([1, 2]));
    fixture.file("c.txt", envelopes([9]));
    std::fs::create_dir(fixture.path("d.ndjson")).unwrap();
    let glob = fixture.path("*.ndjson").display().to_string();
    let (batches, error) = fixture.batches(settings(&glob)).await;
    assert_eq!(error, None);
    let lengths: Vec<_> = batches.iter().map(Batch::len).collect();
    assert_eq!(lengths, [3, 1]);
    let last = batches.last().unwrap();
    assert_eq!(last.watermark(), start() + Duration::from_secs(4));
    assert_eq!(fixture.cx.ledger.outstanding(), 2);
    drop(batches);
    assert_eq!(fixture.cx.ledger.outstanding(), 0);

    // A list keeps its own order, and a file that is named twice is read once.
    let b = fixture.path("b.ndjson").display().to_string();
    let listed = FileSource { path: Paths::Many(vec![b, glob]), ..settings("") };
    assert_eq!(ids(&fixture.events(listed).await), ["T3", "T4", "T1", "T2"]);
}

#[tokio::test]
async fn line_ends_empty_lines_and_byte_order_marks_make_no_difference() {
    let fixture = Fixture::new();
    let text = envelopes([1, 2, 3]).trim_end().replace('\n', "\r\n \r\n\n");
    let path = fixture.file("events.ndjson", format!("\u{feff}{text}"));
    assert_eq!(ids(&fixture.events(settings(path)).await), ["T1", "T2", "T3"]);
    assert!(fixture.dead().is_empty());
}

#[tokio::test]
async fn malformed_lines_become_dead_letters_and_the_rest_goes_on() {
    let fixture = Fixture::new();
    let lines: [&[u8]; 7] = [
        b"{\"half\":",
        b"[1]",
        b"no json",
        b"{\"a\":\"\xff\"}",
        b"{\"event_type\":\"x\",\"payload\":{},\"ingest_timestamp\":\"soon\"}",
        &[b'x'; 300],
        b"{\"a\":1} {\"b\":2}",
    ];
    let mut bytes = envelope(1).into_bytes();
    for line in lines {
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(envelope(2).as_bytes());
    let path = fixture.file("events.ndjson", bytes);
    let source = FileSource { max_line_bytes: 200, ..settings(&path) };
    assert_eq!(ids(&fixture.events(source.clone()).await), ["T1", "T2"]);
    let dead = fixture.dead();
    for (place, ([origin, reason, input], line)) in dead.iter().zip(lines).enumerate() {
        assert_eq!(*origin, format!("{path}:{}", place + 2));
        assert!(reason.contains("(column "), "{reason}");
        assert!(String::from_utf8_lossy(line).starts_with(input.as_str()), "{input}");
    }
    assert_eq!(dead.len(), lines.len());
    assert_eq!(dead[5][1], "the line is longer than `max_line_bytes`, which is 200 (column 201)");
    assert_eq!(dead[5][2].len(), 200);

    let strict = FileSource { on_malformed: OnMalformed::Fail, ..source };
    let (batches, error) = fixture.batches(strict).await;
    assert_eq!(batches.iter().map(Batch::len).sum::<usize>(), 1, "what came before is delivered");
    let error = error.unwrap();
    assert!(error.starts_with(&format!("{path}:2:9: ")), "{error}");
}

#[tokio::test]
async fn full_dead_letters_stop_the_run() {
    let mut fixture = Fixture::new();
    let path = fixture.file("events.ndjson", "1\n2\n3\n");
    let dead = fixture.path("small.ndjson");
    let dead_letters = DeadLetters::new(dead, 2, WhenFull::Stop, "", fixture.cx.clock.clone());
    let (failures, control) = failures(dead_letters);
    fixture.cx.failures = failures;
    fixture.batches(settings(path)).await;
    assert_eq!(control.phase(), Phase::Draining);
    let errors = control.errors();
    assert!(errors[0].contains("is full: it holds 2 events"), "{errors:?}");
}

#[tokio::test]
async fn a_file_of_nothing_but_garbage_can_be_stopped() {
    let mut fixture = Fixture::new();
    let path = fixture.file("garbage", "?\n".repeat(100_000));
    fixture.cx.failures = failures(DeadLetters::off()).0;
    let (batches, error) = fixture.batches(settings(path)).await;
    assert_eq!(error, None);
    assert!(batches.len() > 50, "the stream paused {} times", batches.len());
}

#[tokio::test]
async fn gzip_is_recognised_with_several_members_too() {
    let fixture = Fixture::new();
    let mut packed = gzip(&envelopes([1, 2]));
    packed.extend(gzip(&envelopes([3, 4])));
    let path = fixture.file("events.bin", &packed);
    assert_eq!(ids(&fixture.events(settings(&path)).await), ["T1", "T2", "T3", "T4"]);
    let plain = FileSource { compression: Compression::None, ..settings(&path) };
    assert!(fixture.events(plain).await.is_empty());
    assert!(!fixture.dead().is_empty(), "gzip is no JSON");
}

#[tokio::test]
async fn gzip_that_is_cut_short_fails_after_what_can_be_read() {
    let fixture = Fixture::new();
    let packed = gzip(&envelopes(0..2000));
    let path = fixture.file("events.gz", &packed[..packed.len() - 20]);
    let (batches, error) = fixture.batches(settings(&path)).await;
    let error = error.unwrap();
    assert!(error.starts_with(&format!("cannot read `{path}` after line ")), "{error}");
    assert!(error.ends_with(": the compressed data is cut short"), "{error}");
    assert!(batches.iter().map(Batch::len).sum::<usize>() > 1000);
    assert!(fixture.dead().is_empty(), "the line that was cut is not malformed");
    let damaged = FileSource {
        compression: Compression::Gzip,
        ..settings(fixture.file("plain.gz", envelopes([1])))
    };
    assert!(fixture.batches(damaged).await.1.unwrap().contains("invalid gzip header"));
}

#[tokio::test]
async fn what_cannot_be_opened_is_named() {
    let fixture = Fixture::new();
    let missing = fixture.path("missing.ndjson").display().to_string();
    let error = fixture.batches(settings(&missing)).await.1.unwrap();
    assert!(error.starts_with(&format!("cannot open `{missing}`: ")), "{error}");
    let folder = fixture.folder.path().display().to_string();
    let error = fixture.batches(settings(&folder)).await.1.unwrap();
    assert!(error.contains("it is a folder; a glob such as"), "{error}");
    let glob = format!("{folder}/*.none");
    let error = fixture.batches(settings(&glob)).await.1.unwrap();
    assert!(error.starts_with(&format!("no file matches `{glob}` (seen from `")), "{error}");
}

#[tokio::test]
async fn objects_become_events_with_ids_of_their_own() {
    let fixture = Fixture::new();
    let path =
        fixture.file("sales.json", "{\"at\":1732874400,\"sum\":1}\n{\"at\":1732874401,\"sum\":2}");
    let source = FileSource {
        event_type: "sale".to_owned(),
        time_field: Some("at".to_owned()),
        ..settings(path)
    };
    let events = fixture.events(source).await;
    assert_eq!(events[1].event_type.as_str(), "sale");
    assert_eq!(events[1].time, start() + Duration::from_secs(1));
    assert!(ids(&events)[0].starts_with("TR_1732874400_"));
    assert_ne!(events[0].trace_id, events[1].trace_id);
}

#[tokio::test]
async fn events_at_or_beyond_the_end_end_the_source() {
    let mut fixture = Fixture::new();
    let end = start() + Duration::from_secs(5);
    fixture.cx.end = Some(end);
    let path = fixture.file("events.ndjson", envelopes([1, 3, 5, 4, 6]));
    let (batches, _) = fixture.batches(settings(&path)).await;
    let events: Vec<_> = batches.iter().flat_map(Batch::events).cloned().collect();
    assert_eq!(ids(&events), ["T1", "T3"]);
    assert_eq!(batches.last().unwrap().watermark(), end);
    let patient = FileSource { lateness: SpecDuration(Duration::from_secs(1)), ..settings(path) };
    assert_eq!(ids(&fixture.events(patient).await), ["T1", "T3", "T4"], "6 is the first too far");
}

#[tokio::test]
async fn events_that_are_late_within_bounds_are_put_in_order() {
    let fixture = Fixture::new();
    let path = fixture.file("events.ndjson", envelopes([10, 12, 11, 14, 13, 30, 29]));
    let source = FileSource { lateness: SpecDuration(Duration::from_secs(2)), ..settings(path) };
    let events = fixture.events(source).await;
    assert!(events.is_sorted_by_key(|event| event.time));
    assert_eq!(events.len(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_replay_by_event_time_waits_as_the_clock_says() {
    let fixture = Fixture::at_speed(Speed::Factor(10.0));
    let path = fixture.file("events.ndjson", envelopes([0, 0, 10, 40]));
    let source = FileSource { replay: Replay::ByEventTime, ..settings(path) };
    let mut feed = fixture.open(source).await;
    let mut seen = Vec::new();
    while let Some(batch) = feed.next().await.unwrap() {
        if !batch.is_empty() {
            seen.push((batch.len(), fixture.cx.clock.elapsed().as_secs()));
        }
    }
    assert_eq!(seen, [(2, 0), (1, 1), (1, 4)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_due_yet_holds_no_checkpoint_back() {
    let fixture = Fixture::at_speed(Speed::Factor(1.0));
    let path = fixture.file("events.ndjson", envelopes([0, 3600, 7200]));
    let source = FileSource { replay: Replay::ByEventTime, ..settings(path) };
    let mut feed = fixture.open(source).await;
    drop(feed.next().await.unwrap());
    assert!(futures::poll!(feed.next()).is_pending());
    let ledger = &fixture.cx.ledger;
    assert!(ledger.is_settled(ledger.mark()), "what was handed on has met its fate");
}

#[tokio::test(start_paused = true)]
async fn times_can_be_moved_to_the_start_of_the_clock() {
    let fixture = Fixture::new();
    let path = fixture.file("events.ndjson", envelopes([3600, 3605, 3610]));
    let source = FileSource { shift_to_start: true, ..settings(path) };
    let seconds: Vec<_> =
        fixture.events(source).await.iter().map(|e| e.time.since(start()).as_secs()).collect();
    assert_eq!(seconds, [0, 5, 10]);
}

#[tokio::test]
async fn a_pipe_hands_on_what_is_there_before_more_comes() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let fixture = Fixture::new();
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&reader);
    let path = format!("/dev/fd/{descriptor}");
    if !Path::new(&path).exists() {
        return;
    }
    let mut feed = fixture.open(settings(path)).await;
    writer.write_all(envelope(1).as_bytes()).unwrap();
    let first = feed.next().await.unwrap().unwrap();
    assert_eq!(ids(first.events()), ["T1"]);
    writer.write_all(envelope(2).as_bytes()).unwrap();
    drop(writer);
    let second = feed.next().await.unwrap().unwrap();
    assert_eq!(ids(second.events()), ["T2"]);
    drop(reader);
}

mod resume;
