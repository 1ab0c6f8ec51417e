//! A round of work on the queue, on a thread that may wait for the disk.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::SYNC_RECORDS;
use crate::delivery::buffer::{Held, Receipt};
use crate::delivery::disk::{Damage, DiskError, DiskErrorReason, DiskQueue, Dropped, Next, Record};
use crate::event::{Batch, Event, JsonReader, JsonWriter, Timestamp};
use crate::spec::WhenBufferFull;

/// Of how many records it is remembered when their events were given out.
const EMISSIONS_MAX: usize = 4096;

/// The queue, and what is on its way into it.
pub(super) struct Spool {
    queue: DiskQueue,
    when_full: WhenBufferFull,
    /// Batches for which there is no room yet, the oldest first.
    blocked: VecDeque<Batch>,
    /// Batches that were appended since the last sync; their tokens are let go with it.
    unsynced: Vec<Batch>,
    /// When the events of records were given out by their source, for those of this run that were not
    /// read yet; of more than [`EMISSIONS_MAX`] only the first are known.
    emissions: VecDeque<(u64, Instant)>,
    /// Something was settled since the last sync.
    has_settled: bool,
    writer: JsonWriter,
    reader: JsonReader,
}

/// What to do.
#[derive(Default)]
pub(super) struct Round {
    pub(super) settled: Vec<u64>,
    pub(super) batches: Vec<Batch>,
    /// How many records to read at most.
    pub(super) reads: usize,
    pub(super) sync: bool,
    /// Whether to give back what there is no room for, for nothing is going to make any.
    pub(super) gives_back: bool,
}

/// What it came to.
#[derive(Default)]
pub(super) struct Found {
    pub(super) ready: Vec<Held>,
    pub(super) appended: u64,
    /// Events that were dropped to make room, and those that found none.
    pub(super) dropped_waiting: u64,
    pub(super) dropped_coming: u64,
    /// Events that could not be read at the start, and can be now.
    pub(super) came_back: u64,
    pub(super) damaged: Vec<Lost>,
    pub(super) refused: Vec<(Batch, String)>,
    pub(super) given_back: Vec<Batch>,
    pub(super) waiting_events: u64,
    pub(super) waiting_bytes: u64,
    /// Batches for which there is no room yet.
    pub(super) blocked: usize,
    /// All records were read.
    pub(super) is_read: bool,
    /// Something is not on the disk yet.
    pub(super) is_dirty: bool,
    pub(super) has_synced: bool,
    /// The queue cannot be worked with any more.
    pub(super) error: Option<String>,
}

/// Events that were in the queue and cannot be read.
pub(super) struct Lost {
    pub(super) description: String,
    pub(super) events: u64,
}

impl From<Damage> for Lost {
    fn from(damage: Damage) -> Self {
        Self { description: damage.to_string(), events: damage.events }
    }
}

impl Spool {
    pub(super) fn new(queue: DiskQueue, when_full: WhenBufferFull) -> Self {
        Self {
            queue,
            when_full,
            blocked: VecDeque::new(),
            unsynced: Vec::new(),
            emissions: VecDeque::new(),
            has_settled: false,
            writer: JsonWriter::new(),
            reader: JsonReader::new(),
        }
    }

    pub(super) fn close(self) -> Result<(), DiskError> {
        let closed = self.queue.close();
        if closed.is_err() {
            self.unsynced.iter().for_each(Batch::withhold);
        }
        closed
    }

    pub(super) fn go_round(mut self, round: Round) -> (Self, Found) {
        let mut found = Found::default();
        self.has_settled |= !round.settled.is_empty();
        for sequence in round.settled {
            self.queue.acknowledge(sequence);
        }
        let before = self.queue.waiting_events();
        self.blocked.extend(round.batches);
        self.append(&mut found);
        if round.gives_back {
            found.given_back.extend(self.blocked.drain(..));
        }
        let is_idle = self.unsynced.is_empty() && !self.has_settled;
        if !is_idle && (round.sync || self.unsynced.len() >= SYNC_RECORDS) {
            self.sync(&mut found);
        }
        self.read(round.reads, &mut found);

        let lost: u64 = found.damaged.iter().map(|lost| lost.events).sum();
        let now = self.queue.waiting_events();
        found.came_back =
            (now + found.dropped_waiting + lost).saturating_sub(before + found.appended);
        (found.waiting_events, found.waiting_bytes) = (now, self.queue.waiting_bytes());
        found.blocked = self.blocked.len();
        found.is_dirty = !self.unsynced.is_empty() || self.has_settled;
        (self, found)
    }

    fn append(&mut self, found: &mut Found) {
        while let Some(batch) = self.blocked.pop_front() {
            self.writer.clear();
            batch.events().iter().for_each(|event| self.writer.line(event));
            let events = batch.len() as u32;
            if !self.has_room(events, found) {
                if self.when_full == WhenBufferFull::Block {
                    self.blocked.push_front(batch);
                    return;
                }
                found.dropped_coming += u64::from(events);
                continue;
            }
            match self.queue.append(self.writer.as_bytes(), events) {
                Ok(sequence) => {
                    found.appended += u64::from(events);
                    let emitted = batch.emitted().filter(|_| self.emissions.len() < EMISSIONS_MAX);
                    self.emissions.extend(emitted.map(|emitted| (sequence, emitted)));
                    self.unsynced.push(batch);
                }
                Err(error) => {
                    let is_its_own = matches!(error.reason, DiskErrorReason::TooLarge(_));
                    if !is_its_own {
                        found.error.get_or_insert_with(|| error.to_string());
                    }
                    found.refused.push((batch, error.to_string()));
                }
            }
        }
    }

    /// Whether there is room for what was written last, once what may make room has.
    fn has_room(&mut self, events: u32, found: &mut Found) -> bool {
        let bytes = self.writer.as_bytes().len();
        while !self.queue.has_room(events, bytes) {
            if self.when_full != WhenBufferFull::DropOldest {
                return false;
            }
            match self.queue.drop_oldest() {
                Ok(Some(Dropped::Events(events))) => {
                    self.has_settled = true;
                    found.dropped_waiting += events;
                }
                Ok(Some(Dropped::Damaged(damage))) => found.damaged.push(damage.into()),
                Ok(None) => return false,
                Err(error) => {
                    found.error.get_or_insert_with(|| error.to_string());
                    return false;
                }
            }
        }
        true
    }

    fn sync(&mut self, found: &mut Found) {
        match self.queue.sync() {
            Ok(()) => {
                self.unsynced.clear();
                self.has_settled = false;
                found.has_synced = true;
            }
            Err(error) => {
                self.unsynced.drain(..).for_each(|batch| batch.withhold());
                found.error.get_or_insert_with(|| error.to_string());
            }
        }
    }

    fn read(&mut self, records: usize, found: &mut Found) {
        while found.ready.len() < records {
            match self.queue.read_next() {
                Ok(Some(Next::Record(record))) => match self.decode(&record) {
                    Ok(held) => found.ready.push(held),
                    Err(reason) => {
                        let reason = format!("record {} is no batch: {reason}", record.sequence);
                        match self.queue.put_aside(&record, reason) {
                            Ok(damage) => {
                                self.has_settled = true;
                                found.damaged.push(damage.into());
                            }
                            Err(error) => {
                                found.error.get_or_insert_with(|| error.to_string());
                                return;
                            }
                        }
                    }
                },
                Ok(Some(Next::Damaged(damage))) => found.damaged.push(damage.into()),
                Ok(None) => {
                    found.is_read = true;
                    return;
                }
                Err(error) => {
                    found.error.get_or_insert_with(|| error.to_string());
                    return;
                }
            }
        }
    }

    fn decode(&mut self, record: &Record) -> Result<Held, String> {
        let lines = record.payload.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let events: Vec<Event> = lines
            .map(|line| self.reader.event(line))
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())?;
        if events.is_empty() || events.len() != record.events as usize {
            return Err(format!("{} events in place of {}", events.len(), record.events));
        }
        let bytes_per_event = record.payload.len() as u64 / u64::from(record.events);
        let receipt = Receipt {
            number: record.sequence,
            bytes_per_event,
            emitted: self.emitted(record.sequence),
        };
        Ok(Held { batch: Batch::new(events, Timestamp::MIN, None), receipt })
    }

    /// When the events of a record were given out; those of records before it are not asked for.
    fn emitted(&mut self, sequence: u64) -> Option<Instant> {
        while let Some((of, emitted)) = self.emissions.front().copied() {
            if of > sequence {
                break;
            }
            self.emissions.pop_front();
            if of == sequence {
                return Some(emitted);
            }
        }
        None
    }
}
