//! Who works on the thread, and what it takes: a stack of stages, of which the uppermost pays.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::AllocationCounter;
use crate::clock::ProcessorTime;
use crate::control::Control;
use crate::graph::Tap;

/// How often a reading is made to find out what it takes.
const TRIALS: usize = 1000;

/// What was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) cpu: Duration,
    pub(super) allocations: u64,
    pub(super) bytes: u64,
}

impl Reading {
    pub(super) fn add(&mut self, other: &Self) {
        self.cpu += other.cpu;
        self.allocations += other.allocations;
        self.bytes += other.bytes;
    }
}

/// Measures the stages of a pipeline that runs on one thread. Copies are the same meter.
#[derive(Clone)]
pub(super) struct Meter(Arc<Mutex<Work>>);

struct Work {
    allocations: Option<AllocationCounter>,
    /// What a reading takes; it lies once in whatever is between two of them.
    of_reading: Duration,
    /// What each stage took in this pass, and last what belongs to none.
    taken: Vec<Reading>,
    /// The stages at work, each of which waits for the one above it.
    stack: Vec<usize>,
    /// What the thread had taken when the uppermost one began or went on.
    last: Reading,
    limit: Option<Limit>,
    is_cut_short: bool,
}

/// Ends a pass that takes long.
struct Limit {
    control: Control,
    at: Duration,
}

/// The meter's part in one stage.
pub(super) struct Gauge {
    meter: Meter,
    place: usize,
}

impl Meter {
    pub(super) fn new(stages: usize, allocations: Option<AllocationCounter>) -> Self {
        Self(Arc::new(Mutex::new(Work {
            allocations,
            of_reading: of_reading(allocations),
            taken: vec![Reading::default(); stages + 1],
            stack: Vec::with_capacity(stages),
            last: Reading::default(),
            limit: None,
            is_cut_short: false,
        })))
    }

    pub(super) fn gauge(&self, place: usize) -> Gauge {
        Gauge { meter: self.clone(), place }
    }

    /// Begins a pass, which is stopped when it has taken that much time.
    pub(super) fn begin(&self, control: Control, time_max: Option<Duration>) {
        let work = &mut *self.lock();
        work.taken.fill(Reading::default());
        work.stack.clear();
        work.is_cut_short = false;
        work.last = read(work.allocations);
        work.limit = time_max.map(|max| Limit { control, at: work.last.cpu + max });
    }

    /// Ends a pass: what each stage took, and last what belongs to none; and whether it was
    /// stopped.
    pub(super) fn end(&self) -> (Vec<Reading>, bool) {
        let work = &mut *self.lock();
        work.charge();
        (work.taken.clone(), work.is_cut_short)
    }

    fn lock(&self) -> MutexGuard<'_, Work> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gauge {
    /// The stage begins to work; whoever asked it waits.
    pub(super) fn begin(&self) {
        let work = &mut *self.meter.lock();
        work.charge();
        work.stack.push(self.place);
    }

    /// The stage is done; whoever asked it goes on.
    pub(super) fn rest(&self) {
        let work = &mut *self.meter.lock();
        work.charge();
        work.stack.pop();
        work.stop_if_over();
    }
}

impl Tap for Gauge {
    fn begins(&self) {
        self.begin();
    }

    fn rests(&self) {
        self.rest();
    }
}

impl Work {
    /// Lets whoever works pay for what was taken since the last time.
    fn charge(&mut self) {
        let now = read(self.allocations);
        let since = Reading {
            cpu: now.cpu.saturating_sub(self.last.cpu).saturating_sub(self.of_reading),
            allocations: now.allocations.saturating_sub(self.last.allocations),
            bytes: now.bytes.saturating_sub(self.last.bytes),
        };
        let payer = self.stack.last().copied().unwrap_or(self.taken.len() - 1);
        self.taken[payer].add(&since);
        self.last = now;
    }

    fn stop_if_over(&mut self) {
        if let Some(Limit { control, .. }) = self.limit.take_if(|limit| self.last.cpu >= limit.at) {
            control.stop();
            self.is_cut_short = true;
        }
    }
}

fn read(allocations: Option<AllocationCounter>) -> Reading {
    let (allocations, bytes) = allocations.map_or((0, 0), |read| read());
    Reading { cpu: ProcessorTime::Thread.now(), allocations, bytes }
}

/// What a reading takes, at the least.
fn of_reading(allocations: Option<AllocationCounter>) -> Duration {
    let trials = (0..TRIALS).map(|_| {
        let before = read(allocations);
        read(allocations).cpu.saturating_sub(before.cpu)
    });
    trials.min().unwrap_or_default()
}
