//! The simulated chain: all its cells, brought together in the order of event time.

use std::sync::Arc;

use super::cell::{Cell, Memory};
use super::ground::Ground;
use super::reporter::Numbering;
use super::scene::{Scene, SimulationOptions};
use super::schedule::Millis;
use super::weigh::Weigh;
use super::world::World;
use crate::event::{Event, Timestamp, TraceIds};

/// How many events a step should give, more or less: few enough to stay in the processor's cache,
/// and enough to be worth their threads.
const STEP_EVENTS: usize = 2_048;
const STEP_EVENTS_OF_THREADS: usize = 16_384;
/// The longest and the shortest step.
const STEP_MOST: Millis = 10 * super::schedule::MINUTE;
const STEP_LEAST: Millis = 1;
/// The bytes of the checksum before a memory.
const CHECKSUM: usize = 4;

/// Which cells run here: every `count`th, from the `index`th.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellShard {
    /// From 0.
    pub index: u32,
    /// At least 1.
    pub count: u32,
}

/// A chain at a point of event time. The same world, options and cells give the same events, at any
/// pace and in any number of threads.
pub struct Simulation {
    scene: Arc<Scene>,
    cells: Vec<Cell>,
    threads: usize,
    /// Everything before this is simulated.
    now: Millis,
    /// How long the next step is.
    step: Millis,
}

impl Simulation {
    /// A chain at the begin of event time. `trace_ids` are those of the whole source; each cell has
    /// its own part of them. `weights` is asked for what each cell weighs with.
    pub fn new(
        world: World,
        options: SimulationOptions,
        shard: CellShard,
        threads: usize,
        trace_ids: &TraceIds,
        weights: impl Fn() -> Option<Box<dyn Weigh>>,
    ) -> Self {
        let scene = Arc::new(Scene::new(world, options));
        let now = scene.start;
        let grounds = Ground::of(&scene.world).into_iter();
        let total = grounds.len() as u64;
        let own = grounds
            .enumerate()
            .filter(|(place, _)| *place as u32 % shard.count == shard.index)
            .map(|(place, ground)| {
                let numbering = Numbering { first: 1 + place as u64, step: total };
                let ids = trace_ids.cell(place as u64 + 1);
                let emit = scene.options.emit;
                Cell::new(Arc::clone(&scene), ground, ids, numbering, emit, weights())
            });
        let cells = own.collect();
        Self { scene, cells, threads: threads.max(1), now, step: super::schedule::MINUTE }
    }

    /// The master data that it runs with.
    pub fn world(&self) -> &World {
        &self.scene.world
    }

    /// Nothing that happens before this instant is still to be simulated.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    /// When the first event is that was not taken yet; where all were, the simulation goes on for a
    /// while, and if nothing is reported of that, it is up to when nothing was. None where nothing
    /// happens any more before `end`.
    pub fn next_time(&mut self, end: Timestamp) -> Option<Timestamp> {
        if let Some(first) = self.first_event_time() {
            return Some(first);
        }
        let end = end.as_millis();
        let next = self.cells.iter().filter_map(Cell::next_time).min();
        let Some(next) = next.filter(|next| *next < end) else {
            self.now = self.now.max(end);
            return None;
        };
        let until = next.max(self.now).saturating_add(self.step).min(end);
        self.run_until(until);
        self.now = until;
        self.adapt();
        Some(self.first_event_time().unwrap_or_else(|| self.now()))
    }

    fn first_event_time(&self) -> Option<Timestamp> {
        self.cells.iter().filter_map(Cell::first_event_time).min()
    }

    /// Takes what happened up to an instant (it included), `most` events at most: by time and, at
    /// one instant, by cell. Only what is simulated already: see [`Simulation::next_time`].
    pub fn take(&mut self, until: Timestamp, most: usize, events: &mut Vec<Event>) {
        let most = events.len().saturating_add(most);
        // There are few cells: looking at the head of each is as quick as a heap, and knowing
        // where the first has to stop lets it give several.
        while events.len() < most {
            let mut first: Option<(Timestamp, usize)> = None;
            let mut second: Option<(Timestamp, usize)> = None;
            for (place, cell) in self.cells.iter().enumerate() {
                let Some(time) = cell.first_event_time() else { continue };
                if first.is_none_or(|first| (time, place) < first) {
                    second = first;
                    first = Some((time, place));
                } else if second.is_none_or(|second| (time, place) < second) {
                    second = Some((time, place));
                }
            }
            let Some((_, place)) = first.filter(|(time, _)| *time <= until) else { return };
            let limit = second.unwrap_or((Timestamp::MAX, usize::MAX));
            let untaken = self.cells[place].reporter.events_mut();
            let is_next = |event: &Event| (event.time, place) < limit && event.time <= until;
            while events.len() < most && untaken.front().is_some_and(is_next) {
                events.extend(untaken.pop_front());
            }
        }
    }

    /// Goes on until something happened, up to `end` at most, and gives it, in order. Empty only
    /// where nothing happens any more before the end; with an end far away, that may take long to
    /// find out.
    pub fn advance(&mut self, end: Timestamp) -> Vec<Event> {
        let mut events = Vec::new();
        while events.is_empty() && self.next_time(end).is_some() {
            self.take(Timestamp::MAX, usize::MAX, &mut events);
        }
        events
    }

    /// Longer steps where little happens, shorter ones where much does.
    fn adapt(&mut self) {
        let events: usize = self.cells.iter().map(|cell| cell.reporter.events().len()).sum();
        let wanted = if self.threads == 1 { STEP_EVENTS } else { STEP_EVENTS_OF_THREADS };
        if events < wanted / 2 {
            self.step = (self.step * 2).min(STEP_MOST);
        } else if events > wanted * 2 {
            self.step = (self.step / 2).max(STEP_LEAST);
        }
    }

    fn run_until(&mut self, until: Millis) {
        let threads = self.threads.min(self.cells.len());
        if threads <= 1 {
            self.cells.iter_mut().for_each(|cell| cell.run_until(until));
            return;
        }
        let share = self.cells.len().div_ceil(threads);
        std::thread::scope(|scope| {
            let mut shares = self.cells.chunks_mut(share);
            let first = shares.next();
            for cells in shares {
                scope.spawn(move || cells.iter_mut().for_each(|cell| cell.run_until(until)));
            }
            first.into_iter().flatten().for_each(|cell| cell.run_until(until));
        });
    }

    /// All that it remembers now, with the events that were not taken, for [`Simulation::restore`].
    pub fn memory(&self) -> Vec<u8> {
        let cells: Vec<Memory<'_>> = self.cells.iter().map(Cell::memory).collect();
        let memory = (self.fingerprint(), self.now, self.step, cells);
        match postcard::to_extend(&memory, vec![0; CHECKSUM]) {
            Ok(mut bytes) => {
                let checksum = crc32fast::hash(&bytes[CHECKSUM..]);
                bytes[..CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
                bytes
            }
            Err(error) => unreachable!("a chain that cannot be written: {error}"),
        }
    }

    /// Goes on from what another simulation of the same world, options and cells remembered.
    pub fn restore(&mut self, memory: &[u8]) -> Result<(), String> {
        type Kept<'a> = (u64, Millis, Millis, Vec<Memory<'a>>);
        // What it says is taken at its word: places, slots and sums that were written together.
        let memory = match memory.split_first_chunk::<CHECKSUM>() {
            Some((checksum, rest)) if *checksum == crc32fast::hash(rest).to_le_bytes() => rest,
            _ => return Err("it is damaged".to_owned()),
        };
        let (fingerprint, now, step, cells): Kept<'_> =
            postcard::from_bytes(memory).map_err(|error| error.to_string())?;
        if fingerprint != self.fingerprint() || cells.len() != self.cells.len() {
            return Err("the chain's master data are others now".to_owned());
        }
        for (cell, memory) in self.cells.iter_mut().zip(cells) {
            cell.restore(memory)?;
        }
        (self.now, self.step) = (now, step.max(STEP_LEAST));
        Ok(())
    }

    /// Tells worlds apart.
    fn fingerprint(&self) -> u64 {
        let world = &self.scene.world;
        let ids = world.stores.iter().map(|store| u64::from(store.id) << 20 | store.dc as u64);
        let ids = ids.chain(world.dcs.iter().map(|dc| dc.id.into()));
        let products = world.products.iter();
        let ids = ids.chain(products.map(|it| u64::from(it.id) << 32 | u64::from(it.price_cents)));
        let customers = world.customers.iter();
        let ids = ids.chain(customers.map(|it| u64::from(it.home) << 32 | u64::from(it.id)));
        let trucks = world.trucks.iter();
        let ids = ids.chain(trucks.map(|it| u64::from(it.number) << 20 | it.dc as u64));
        ids.fold(self.cells.len() as u64, |hash, id| crate::event::mix(hash ^ id))
    }
}

#[cfg(test)]
mod tests;
