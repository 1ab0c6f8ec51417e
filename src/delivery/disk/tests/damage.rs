//! Files that were cut short or changed: what is intact is delivered, what is not is reported.

use std::fs;
use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::delivery::disk::format::{encode_file_header, encode_record};
use crate::delivery::disk::{SegmentReader, Step};

/// Opens and reads a folder to its end: what was delivered, what was reported.
fn read_all(folder: &Path) -> (Vec<Record>, Recovery, Vec<Damage>) {
    let (mut queue, recovery) = open(folder);
    assert!(queue.waiting_events() == recovery.events);
    let (records, damaged) = drain(&mut queue);
    assert_eq!((queue.waiting_events(), queue.waiting_bytes()), (0, 0));
    assert_eq!(records.len() as u64, recovery.records);
    for record in &records {
        assert_eq!(record.payload, payload(record.sequence));
        assert_eq!(u64::from(record.events), record.sequence);
    }
    (records, recovery, damaged)
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

#[test]
fn a_last_record_cut_at_any_byte_is_cut_off_and_the_others_are_whole() {
    let source = tempfile::tempdir().unwrap();
    fill(source.path(), 5, 0);
    let name = "00000000000000000005.segment";
    let length = fs::metadata(source.path().join(name)).unwrap().len();
    for kept in 0..length {
        let folder = copy(source.path());
        let path = folder.path().join(name);
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(kept).unwrap();
        let (records, recovery, damaged) = read_all(folder.path());
        assert_eq!(sequences(&records), [1, 2, 3, 4], "cut at {kept}");
        assert_eq!((recovery.damaged, damaged), (vec![], vec![]), "cut at {kept}");
        let whole = if kept < 24 { 0 } else { 24 };
        let torn = recovery.torn.map(|torn| (torn.file, torn.offset, torn.bytes));
        let expected = (kept > whole).then_some((path, whole, kept - whole));
        assert_eq!(torn, expected, "cut at {kept}");
        // What is appended now takes the place of what was cut.
        let (mut queue, recovery) = open(folder.path());
        assert_eq!(recovery.torn, None);
        assert_eq!(queue.append(b"again", 1).unwrap(), 5);
    }
}

#[test]
fn a_second_record_cut_at_any_byte_leaves_the_first_of_its_file() {
    let source = tempfile::tempdir().unwrap();
    fill(source.path(), 4, 0);
    let name = "00000000000000000003.segment";
    let bytes = fs::read(source.path().join(name)).unwrap();
    let whole = 24 + 36;
    for kept in whole + 1..bytes.len() as u64 {
        let folder = copy(source.path());
        fs::write(folder.path().join(name), &bytes[..kept as usize]).unwrap();
        let (records, recovery, damaged) = read_all(folder.path());
        assert_eq!(sequences(&records), [1, 2, 3], "cut at {kept}");
        assert_eq!((recovery.damaged, damaged), (vec![], vec![]), "cut at {kept}");
        let torn = recovery.torn.unwrap();
        assert_eq!((torn.offset, torn.bytes), (whole, kept - whole));
        assert!(torn.to_string().contains(&format!("cut off at byte {whole}")), "{torn}");
    }
}

#[test]
fn zeros_at_the_end_are_what_a_power_cut_leaves() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 2, 0);
    let path = folder.path().join("00000000000000000001.segment");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, [&bytes[..], &[0; 5000]].concat()).unwrap();
    let (records, recovery, _) = read_all(folder.path());
    assert_eq!(sequences(&records), [1, 2]);
    assert_eq!(recovery.damaged, []);
    assert_eq!(recovery.torn.unwrap().bytes, 5000);
}

#[test]
fn a_flipped_bit_anywhere_costs_one_record_and_is_reported() {
    // With all files still there, and with those gone that the damaged cursor is past.
    for (settled, count) in [(1, 4), (4, 2)] {
        let source = tempfile::tempdir().unwrap();
        fill(source.path(), 5, settled);
        let names = files(source.path());
        assert_eq!(names.len(), count, "{names:?}");
        for name in names {
            let bytes = fs::read(source.path().join(&name)).unwrap();
            for place in 0..bytes.len() {
                // Between the slots of the cursor is nothing.
                if name != "cursor" || !(28..4096).contains(&place) {
                    let folder = copy(source.path());
                    let mut flipped = bytes.clone();
                    flipped[place] ^= 1 << (place % 8);
                    fs::write(folder.path().join(&name), &flipped).unwrap();
                    one_flip_is_reported(folder.path(), &name, place, &flipped, settled);
                }
            }
        }
    }
}

fn one_flip_is_reported(folder: &Path, name: &str, place: usize, flipped: &[u8], settled: u64) {
    let (records, recovery, damaged) = read_all(folder);
    let case = format!("byte {place} of {name}: {recovery:?}");
    assert_eq!((&recovery.torn, damaged), (&None, vec![]), "{case}");
    let [damage] = &recovery.damaged[..] else { panic!("{case}") };
    let stretch = damage.offset as usize..(damage.offset + damage.bytes) as usize;
    assert!(stretch.contains(&place), "{case}");
    let put_aside = fs::read(damage.copy.as_ref().unwrap()).unwrap();
    assert_eq!(put_aside[stretch.clone()], flipped[stretch], "{case}");
    let lost = (settled + 1..=5).filter(|number| !sequences(&records).contains(number));
    let is_in_header = name == "cursor" || place < 24;
    assert!(lost.count() <= usize::from(!is_in_header), "{case}");
}

#[test]
fn only_the_last_file_may_be_torn() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 5, 0);
    let path = folder.path().join("00000000000000000001.segment");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    let (records, recovery, damaged) = read_all(folder.path());
    assert_eq!((sequences(&records), damaged), (vec![1, 3, 4, 5], vec![]));
    let [damage] = &recovery.damaged[..] else { panic!("{recovery:?}") };
    assert_eq!((damage.offset, damage.bytes, damage.events), (24 + 36, 31, 2));
    assert_eq!((recovery.torn, fs::metadata(&path).unwrap().len()), (None, 24 + 36 + 31));
    let copy = folder.path().join("00000000000000000001.segment.damaged");
    let expected = format!(
        "`{}` is damaged at byte 60: the record goes on past the end of the file, 31 bytes, \
         2 events lost; a copy is in `{}`",
        path.display(),
        copy.display()
    );
    assert_eq!(damage.to_string(), expected);
}

#[test]
fn damage_that_comes_while_the_queue_is_open_is_reported_on_reading() {
    for place in [3_usize, 30, 60] {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path(), 5, 0);
        let (mut queue, recovery) = open(folder.path());
        assert_eq!((recovery.events, recovery.damaged), (15, vec![]));
        let path = folder.path().join("00000000000000000003.segment");
        let mut bytes = fs::read(&path).unwrap();
        bytes[24 + place] ^= 4;
        fs::write(&path, bytes).unwrap();
        let (records, damaged) = drain(&mut queue);
        let lost = if place < 36 { 3 } else { 4 };
        let expected: Vec<u64> = (1..=5).filter(|number| *number != lost).collect();
        assert_eq!(sequences(&records), expected);
        let [damage] = &damaged[..] else { panic!("{damaged:?}") };
        assert_eq!((damage.events, damage.bytes), (lost, 36));
        assert!(damage.copy.as_ref().unwrap().exists());
        assert_eq!((queue.waiting_events(), queue.waiting_bytes()), (0, 0));
        queue.sync().unwrap();
        assert_eq!(files(folder.path()), ["00000000000000000003.segment.damaged", "cursor"]);
    }
}

#[test]
fn a_file_that_is_gone_is_reported_by_the_records_that_are_missing() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 6, 0);
    fs::remove_file(folder.path().join("00000000000000000003.segment")).unwrap();
    let (records, recovery, _) = read_all(folder.path());
    assert_eq!(sequences(&records), [1, 2, 5, 6]);
    let [damage] = &recovery.damaged[..] else { panic!("{recovery:?}") };
    assert_eq!((damage.reason.as_str(), damage.bytes), ("records 3 to 4 are missing", 0));
}

#[test]
fn a_lost_cursor_has_records_delivered_again() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 3, 1);
    fs::remove_file(folder.path().join("cursor")).unwrap();
    let (records, recovery, _) = read_all(folder.path());
    assert_eq!(sequences(&records), [1, 2, 3]);
    assert!(recovery.damaged[0].reason.contains("delivered again"), "{recovery:?}");
}

#[test]
fn numbers_that_damage_may_have_held_are_not_given_out_again() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 2, 0);
    let path = folder.path().join("00000000000000000001.segment");
    let whole = fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    bytes[24 + 36] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (mut queue, _) = open(folder.path());
    assert!(queue.append(b"x", 1).unwrap() > 2);
    drop(queue);
    fs::write(&path, whole).unwrap();
    let (mut queue, _) = open(folder.path());
    let (records, _) = drain(&mut queue);
    assert_eq!(records.len(), 3, "{records:?}");
}

/// A segment with records of these payloads, and where each begins.
fn segment(payloads: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut record, mut places) =
        (encode_file_header(1).to_vec(), Vec::new(), Vec::new());
    for (sequence, payload) in (1..).zip(payloads) {
        encode_record(&mut record, sequence, 1, payload);
        places.push(bytes.len());
        bytes.extend_from_slice(&record);
    }
    (bytes, places)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_stretch_of_a_segment_is_a_record_or_is_reported(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..6),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of((any::<prop::sample::Index>(), 0_usize..40)),
    ) {
        let (mut bytes, places) = segment(&payloads);
        let whole = bytes.clone();
        for (place, byte) in &damage {
            let place = 24 + place.index(bytes.len() - 24);
            bytes[place] = *byte;
        }
        if let Some((place, length)) = cut {
            let place = 24 + place.index(bytes.len() - 24);
            bytes.drain(place..(place + length).min(bytes.len()));
        }
        let mut reader = SegmentReader::new(Cursor::new(&bytes), bytes.len() as u64, 1);
        let (mut offset, mut delivered, mut payload) = (24, Vec::new(), Vec::new());
        loop {
            match reader.next(Some(&mut payload)).unwrap() {
                Step::End => break,
                Step::Record(record) => {
                    assert_eq!((record.offset, record.events), (offset, 1));
                    assert_eq!(payload, payloads[record.sequence as usize - 1]);
                    delivered.push(record.sequence);
                    offset += record.bytes();
                }
                Step::Damaged(stretch) | Step::Torn(stretch) => {
                    assert_eq!(stretch.offset, offset);
                    offset += stretch.bytes;
                }
            }
        }
        assert_eq!(offset, bytes.len() as u64);
        assert!(delivered.is_sorted());
        // A record that nothing touched is delivered.
        for (place, payload) in places.iter().zip(&payloads) {
            let record = &whole[*place..place + 28 + payload.len()];
            let sequence = 1 + places.iter().position(|other| other == place).unwrap() as u64;
            if memchr::memmem::find(&bytes, record).is_some() {
                assert!(delivered.contains(&sequence), "{sequence} of {delivered:?}");
            }
        }
    }
}
