//! A queue on a disk that behaves, that is cut short, that flips bits, and that refuses.

mod damage;
mod model;
mod refusal;

use std::path::Path;

use super::{Damage, DiskQueue, Limits, Next, Record, Recovery};

const LIMITS: Limits = Limits { max_events: 1000, max_bytes: 100_000, segment_bytes: 100 };

fn open(folder: &Path) -> (DiskQueue, Recovery) {
    DiskQueue::open(folder, LIMITS).unwrap()
}

/// Reads all that is left, each record acknowledged.
fn drain(queue: &mut DiskQueue) -> (Vec<Record>, Vec<Damage>) {
    let (mut records, mut damaged) = (Vec::new(), Vec::new());
    while let Some(next) = queue.read_next().unwrap() {
        match next {
            Next::Record(record) => {
                queue.acknowledge(record.sequence);
                records.push(record);
            }
            Next::Damaged(damage) => damaged.push(damage),
        }
    }
    (records, damaged)
}

fn sequences(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.sequence).collect()
}

fn payload(number: u64) -> Vec<u8> {
    format!("{{\"n\":{number}}}\n").into_bytes()
}

/// Records 1 to `count`, the first of `settled` of them acknowledged; two go into a file.
fn fill(folder: &Path, count: u64, settled: u64) {
    let (mut queue, _) = open(folder);
    for number in 1..=count {
        assert_eq!(queue.append(&payload(number), number as u32).unwrap(), number);
    }
    for _ in 0..settled {
        let Some(Next::Record(record)) = queue.read_next().unwrap() else { panic!() };
        queue.acknowledge(record.sequence);
        queue.sync().unwrap();
    }
    queue.close().unwrap();
}

/// The names of the files of a folder, the lock aside.
fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "lock")
        .collect();
    names.sort();
    names
}
