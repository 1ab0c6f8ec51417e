use std::num::{NonZeroU32, NonZeroU64};
use std::path::Path;

use super::*;
use crate::clock::Speed;
use crate::event::{Batch, Key};
use crate::failure::Failure;
use crate::monitor::PartitionOf;

fn settings(path: &Path, max_bytes: u64, keep_files: u32) -> AuditSettings {
    AuditSettings {
        path: path.to_owned(),
        max_bytes: NonZeroU64::new(max_bytes).unwrap(),
        keep_files: NonZeroU32::new(keep_files).unwrap(),
    }
}

fn batch(keys: &[&str]) -> Batch {
    let events = keys.iter().zip(1..).map(|(key, number)| {
        let id = Text::from(format!("T{number}").as_str());
        let mut event = Event::new(Key::intern("x").unwrap(), id, Timestamp::MIN);
        event.partition_key = Some(Text::from(*key));
        event
    });
    Batch::new(events.collect(), Timestamp::MIN, None)
}

fn attempt<'a>(events: &'a Batch, partition_of: PartitionOf<'a>) -> Attempt<'a> {
    Attempt {
        sink: "hub",
        lane: 1,
        batch: 0,
        attempt: 1,
        events,
        tried: events.len(),
        delivered: events.len(),
        rejected: 0,
        failure: None,
        partition_of,
    }
}

/// What a log writes of these attempts.
fn written(attempts: &[Attempt<'_>]) -> Vec<serde_json::Value> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deeper/audit.ndjson");
    let clock = Clock::new(None, Speed::Max, false);
    let mask = |text: &str| text.replace("s3cret", "***");
    let log = AuditLog::open(&settings(&path, 1 << 20, 2), "shop".into(), clock, mask).unwrap();
    for attempt in attempts {
        log.attempted(attempt);
    }
    log.ended();
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_line_says_what_was_tried_where_and_what_came_of_it() {
    let events = batch(&["b", "a", "b", "c"]);
    let partition_of =
        |event: &Event| event.partition_key.as_ref().map(|key| u32::from(*key == "b"));
    let whole = attempt(&events, PartitionOf(&partition_of));
    let failure = Failure::new("rejected", "HTTP 400: no such s3cret");
    let failed = Some(&failure);
    let nowhere = |_: &Event| None;
    let lines = written(&[
        whole,
        Attempt { tried: 2, delivered: 1, rejected: 1, failure: failed, batch: 7, ..whole },
        Attempt { delivered: 0, rejected: 4, failure: failed, ..whole },
        Attempt { delivered: 0, failure: failed, partition_of: PartitionOf(&nowhere), ..whole },
    ]);
    let mut first = lines[0].clone();
    assert!(first["time"].take().is_string());
    let wanted = serde_json::json!({
        "time": null, "pipeline": "shop", "sink": "hub", "lane": 1, "attempt": 1,
        "outcome": "delivered", "events": 4, "delivered": 4,
        "trace_ids": ["T1", "T2", "T3", "T4"], "partition_keys": ["b", "a", "c"],
        "partitions": [0, 1],
    });
    assert_eq!(first, wanted);
    let outcomes: Vec<_> = lines.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["delivered", "partly", "rejected", "retry"]);
    let partly = &lines[1];
    assert_eq!((&partly["batch"], &partly["events"]), (&7.into(), &2.into()));
    assert_eq!(partly["trace_ids"], serde_json::json!(["T1", "T2"]), "only what was tried");
    assert_eq!(partly["reason"], "HTTP 400: no such ***");
    assert!(lines[3].get("partitions").is_none());
}

#[test]
fn a_line_that_was_torn_is_cut_off_and_what_is_not_ours_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.ndjson");
    for (before, after) in [
        ("{\"time\":1}\n{\"time\":2,\"pip", "{\"time\":1}\nnew\n"),
        ("{\"ti", "new\n"),
        ("{\"time\":1}\n", "{\"time\":1}\nnew\n"),
        ("my notes", "my notes\nnew\n"),
    ] {
        std::fs::write(&path, before).unwrap();
        let mut file = AuditFile::open(&settings(&path, 1 << 20, 2)).unwrap();
        file.add(b"new\n");
        file.end();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
    }
}

#[test]
fn only_as_many_files_are_kept_as_asked_for() {
    for keep in [1, 3] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.ndjson");
        let mut file = AuditFile::open(&settings(&path, 10, keep)).unwrap();
        for number in 0..8 {
            file.add(format!("line {number}\n").as_bytes());
        }
        file.end();
        let read = |suffix: &str| {
            let path = folder.path().join(format!("audit.ndjson{suffix}"));
            std::fs::read_to_string(path).ok()
        };
        let kept = [read(""), read(".1"), read(".2"), read(".3")];
        let line = |number: u32| Some(format!("line {number}\n"));
        match keep {
            1 => assert_eq!(kept, [line(7), None, None, None]),
            _ => assert_eq!(kept, [line(7), line(6), line(5), None]),
        }
    }
}

#[test]
fn a_file_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder.path().join("audit.ndjson"), 1 << 20, 2);
    let first = AuditFile::open(&settings).unwrap();
    assert_eq!(AuditFile::open(&settings).err().as_deref(), Some("another engine writes it"));
    first.end();
    assert!(AuditFile::open(&settings).is_ok());
}

#[test]
fn who_waits_for_the_disk_does_not_keep_the_other_stages_of_its_thread_waiting() {
    let (lines, waiting) = sync_channel(0);
    let (_, done) = sync_channel(1);
    let log = AuditLog {
        pipeline: "shop".into(),
        clock: Clock::new(None, Speed::Max, false),
        mask: Box::new(str::to_owned),
        lines: Mutex::new(Some(lines)),
        done: Mutex::new(done),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let (tell, told) = sync_channel(0);
    runtime.spawn(async move {
        tell.send(()).unwrap();
        log.attempted(&attempt(&batch(&["a"]), PartitionOf(&|_| None)));
    });
    told.recv().unwrap();
    // The line is written by a task that comes after it on the only thread.
    let (tell, written) = sync_channel(1);
    runtime.spawn(async move { tell.send(waiting.recv().is_ok()).unwrap() });
    let is_written = written.recv_timeout(Duration::from_secs(20));
    runtime.shutdown_background();
    assert_eq!(is_written, Ok(true));
}
