//! Whatever is done with a queue, it does what a list would.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::delivery::disk::Dropped;

#[derive(Clone, Debug)]
enum Act {
    Append {
        payload: Vec<u8>,
        events: u32,
    },
    Read,
    /// Of those in flight, by place.
    Acknowledge(usize),
    DropOldest,
    Sync,
    /// With all that was not synced still in the system's memory, as after a kill.
    Reopen,
}

fn act() -> impl Strategy<Value = Act> {
    let payload = prop::collection::vec(any::<u8>(), 0..80);
    prop_oneof![
        4 => (payload, 0_u32..5).prop_map(|(payload, events)| Act::Append { payload, events }),
        4 => Just(Act::Read),
        3 => (0_usize..4).prop_map(Act::Acknowledge),
        1 => Just(Act::DropOldest),
        2 => Just(Act::Sync),
        1 => Just(Act::Reopen),
    ]
}

/// The queue as a list; the record at place `i` has the sequence `i + 1`.
#[derive(Default)]
struct Model {
    records: Vec<(u32, Vec<u8>)>,
    read: usize,
    settled: BTreeSet<usize>,
    /// How many were noted as settled.
    noted: usize,
}

impl Model {
    fn waiting(&self) -> impl Iterator<Item = &(u32, Vec<u8>)> {
        let is_waiting = |place: &usize| !self.settled.contains(place);
        (0..self.records.len()).filter(is_waiting).map(|place| &self.records[place])
    }

    fn events(&self) -> u64 {
        self.waiting().map(|(events, _)| u64::from(*events)).sum()
    }

    fn bytes(&self) -> u64 {
        self.waiting().map(|(_, payload)| 28 + payload.len() as u64).sum()
    }

    fn in_flight(&self) -> Vec<usize> {
        (0..self.read).filter(|place| !self.settled.contains(place)).collect()
    }

    fn next(&mut self) -> Option<usize> {
        let place = (self.read < self.records.len()).then_some(self.read)?;
        self.read += 1;
        Some(place)
    }

    fn reopen(&mut self) {
        self.read = self.noted;
        self.settled = (0..self.noted).collect();
    }
}

fn behaves(acts: Vec<Act>) {
    let folder = tempfile::tempdir().unwrap();
    let (mut queue, _) = open(folder.path());
    let mut model = Model::default();
    for act in acts {
        match act {
            Act::Append { payload, events } => {
                let sequence = queue.append(&payload, events).unwrap();
                model.records.push((events, payload));
                assert_eq!(sequence, model.records.len() as u64);
            }
            Act::Read => {
                let expected = model.next().map(|place| {
                    let (events, payload) = model.records[place].clone();
                    Next::Record(Record { sequence: place as u64 + 1, events, payload })
                });
                assert_eq!(queue.read_next().unwrap(), expected);
            }
            Act::Acknowledge(choice) => {
                if let Some(place) = model.in_flight().get(choice) {
                    queue.acknowledge(*place as u64 + 1);
                    model.settled.insert(*place);
                }
            }
            Act::DropOldest => {
                let expected = model.next().map(|place| {
                    model.settled.insert(place);
                    Dropped::Events(u64::from(model.records[place].0))
                });
                assert_eq!(queue.drop_oldest().unwrap(), expected);
            }
            Act::Sync => {
                queue.sync().unwrap();
                let unsettled = |place: &usize| !model.settled.contains(place);
                let settled = (0..model.records.len()).find(unsettled);
                model.noted = settled.unwrap_or(model.records.len());
            }
            Act::Reopen => {
                drop(queue);
                model.reopen();
                let (reopened, recovery) = open(folder.path());
                queue = reopened;
                let records = (model.records.len() - model.noted) as u64;
                let events = model.events();
                assert_eq!(recovery, Recovery { records, events, ..Recovery::default() });
            }
        }
        assert_eq!(queue.waiting_events(), model.events());
        assert_eq!(queue.waiting_bytes(), model.bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_queue_behaves_as_a_list_does(acts in prop::collection::vec(act(), 0..60)) {
        behaves(acts);
    }
}

#[test]
fn files_go_when_all_of_them_was_acknowledged_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 6, 0);
    let segments = ["00000000000000000001.segment", "00000000000000000003.segment"];
    let (mut queue, recovery) = open(folder.path());
    assert_eq!((recovery.records, recovery.events), (6, 21));
    let all = files(folder.path());
    assert_eq!(all.len(), 4, "{all:?}");
    assert_eq!(all[..2], segments);
    for _ in 0..3 {
        queue.read_next().unwrap();
    }
    // The second before the first: it cannot go yet.
    queue.acknowledge(2);
    queue.acknowledge(3);
    queue.sync().unwrap();
    assert_eq!(files(folder.path()), all);
    queue.acknowledge(1);
    queue.sync().unwrap();
    assert_eq!(files(folder.path()), all[1..]);
    drain(&mut queue);
    queue.sync().unwrap();
    assert_eq!(files(folder.path()), ["cursor"]);
    assert_eq!(queue.append(b"x", 1).unwrap(), 7);
    assert_eq!(sequences(&drain(&mut queue).0), [7]);
}

#[test]
fn room_is_told_by_events_and_by_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { max_events: 10, max_bytes: 300, segment_bytes: 100 };
    let (mut queue, _) = DiskQueue::open(folder.path(), limits).unwrap();
    assert!(queue.has_room(1000, 1_000_000), "an empty queue has room for any record");
    queue.append(&[b'x'; 72], 4).unwrap();
    assert!(queue.has_room(6, 172) && !queue.has_room(7, 1) && !queue.has_room(1, 173));
    queue.append(&[b'x'; 72], 4).unwrap();
    assert_eq!((queue.waiting_events(), queue.waiting_bytes()), (8, 200));
    assert_eq!(queue.drop_oldest().unwrap(), Some(Dropped::Events(4)));
    assert_eq!((queue.waiting_events(), queue.waiting_bytes()), (4, 100));
    assert!(queue.has_room(6, 172));
}

#[test]
fn a_record_in_flight_bounds_what_gathers_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { max_events: 10, max_bytes: 300, segment_bytes: 100 };
    let (mut queue, _) = DiskQueue::open(folder.path(), limits).unwrap();
    queue.append(&[b'x'; 72], 1).unwrap();
    queue.read_next().unwrap();
    let mut settled = 0;
    while queue.has_room(1, 72) {
        let sequence = queue.append(&[b'x'; 72], 1).unwrap();
        queue.read_next().unwrap();
        queue.acknowledge(sequence);
        queue.sync().unwrap();
        settled += 1;
    }
    assert_eq!(settled, 5);
    queue.append(b"x", 1).unwrap();
    assert_eq!(queue.drop_oldest().unwrap(), None, "dropping would make no room");
    queue.acknowledge(1);
    assert!(queue.has_room(1, 72));
}
