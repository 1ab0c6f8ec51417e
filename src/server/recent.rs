//! Events that went through the stages lately: some of each second, whole batches, so that nothing
//! is done event by event until somebody looks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use crate::clock::wall_now;
use crate::event::{Batch, Event};
use crate::graph::{Tap, Taps};
use crate::kind::Kind;
use crate::plan::Plan;

/// How many events of a stage are kept in a second, until the batch that goes beyond.
const EVENTS_A_SECOND: i64 = 2000;

/// How many events are kept of all stages together.
const EVENTS_MAX: usize = 24_000;

/// How many of them a stage has at least.
const EVENTS_MIN: usize = 1000;

/// How many batches wait for who follows a stage; one that is further behind misses some.
const FOLLOWED_BATCHES: usize = 64;

/// The events of all stages.
pub(super) struct Recent {
    stages: Vec<Arc<StageRecent>>,
}

/// The events of one stage: as they leave it, or enter it if it is a sink.
pub(super) struct StageRecent {
    pub(super) stage: String,
    is_sink: bool,
    /// How many more are kept in this second.
    budget: AtomicI64,
    /// How many events went through.
    seen: AtomicU64,
    kept: Mutex<Kept>,
    events_max: usize,
    /// All batches, for who follows the stage.
    followed: broadcast::Sender<Batch>,
    followers: Arc<AtomicU64>,
}

#[derive(Default)]
struct Kept {
    batches: VecDeque<KeptBatch>,
    events: usize,
    /// How many batches there have been.
    number: u64,
}

/// A batch that went through a stage.
#[derive(Clone)]
pub(super) struct KeptBatch {
    /// Its number among those of the stage that were kept.
    pub(super) number: u64,
    /// When, in milliseconds since 1970.
    pub(super) at: i64,
    batch: Batch,
}

/// Follows all that goes through a stage.
pub(super) struct Follower {
    batches: broadcast::Receiver<Batch>,
    followers: Arc<AtomicU64>,
}

impl Recent {
    pub(super) fn new(plan: &Plan) -> Self {
        let events_max = (EVENTS_MAX / plan.stages.len().max(1)).max(EVENTS_MIN);
        let stages = plan.stages.iter().map(|stage| {
            Arc::new(StageRecent {
                stage: stage.name.clone(),
                is_sink: stage.kind == Kind::Sink,
                budget: AtomicI64::new(EVENTS_A_SECOND),
                seen: AtomicU64::new(0),
                kept: Mutex::default(),
                events_max,
                followed: broadcast::Sender::new(FOLLOWED_BATCHES),
                followers: Arc::default(),
            })
        });
        Self { stages: stages.collect() }
    }

    /// Sees what goes through the stages from now on.
    pub(super) fn tap(recent: &Arc<Self>, taps: &mut Taps) {
        for stage in &recent.stages {
            taps.insert(stage.stage.clone(), Arc::clone(stage) as Arc<dyn Tap>);
        }
    }

    /// A new second begins.
    pub(super) fn begin_second(&self) {
        for stage in &self.stages {
            stage.budget.store(EVENTS_A_SECOND, Relaxed);
        }
    }

    pub(super) fn stages(&self) -> &[Arc<StageRecent>] {
        &self.stages
    }

    pub(super) fn stage(&self, name: &str) -> Option<&Arc<StageRecent>> {
        self.stages.iter().find(|stage| stage.stage == name)
    }
}

impl StageRecent {
    fn see(&self, batch: &Batch) {
        if batch.is_empty() {
            return;
        }
        self.seen.fetch_add(batch.len() as u64, Relaxed);
        if self.followers.load(Relaxed) > 0 {
            // Without followers it is not kept, either.
            let _ = self.followed.send(batch.without_tokens());
        }
        if self.budget.load(Relaxed) <= 0 {
            return;
        }
        self.budget.fetch_sub(batch.len() as i64, Relaxed);
        let mut kept = self.kept();
        kept.number += 1;
        kept.events += batch.len();
        let (number, at) = (kept.number, wall_now().as_millis());
        kept.batches.push_back(KeptBatch { number, at, batch: batch.without_tokens() });
        while kept.events > self.events_max && kept.batches.len() > 1 {
            let oldest = kept.batches.pop_front();
            kept.events -= oldest.map_or(0, |oldest| oldest.batch.len());
        }
    }

    /// Batches after one, the oldest first.
    pub(super) fn after(&self, number: u64) -> Vec<KeptBatch> {
        let kept = self.kept();
        let first = kept.batches.partition_point(|batch| batch.number <= number);
        kept.batches.range(first..).cloned().collect()
    }

    /// The number of the newest batch.
    pub(super) fn newest(&self) -> u64 {
        self.kept().number
    }

    /// How many events are kept, and how many there were.
    pub(super) fn counts(&self) -> (usize, u64) {
        (self.kept().events, self.seen.load(Relaxed))
    }

    /// All batches from now on.
    pub(super) fn follow(&self) -> Follower {
        self.followers.fetch_add(1, Relaxed);
        let (batches, followers) = (self.followed.subscribe(), Arc::clone(&self.followers));
        Follower { batches, followers }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tap for StageRecent {
    fn enters(&self, batch: &Batch) {
        if self.is_sink {
            self.see(batch);
        }
    }

    fn leaves(&self, batch: &Batch) {
        if !self.is_sink {
            self.see(batch);
        }
    }
}

impl KeptBatch {
    pub(super) fn events(&self) -> &[Event] {
        self.batch.events()
    }
}

impl Follower {
    /// The next batch, or how many were missed; none when the run is over.
    pub(super) async fn next(&mut self) -> Option<Result<Batch, u64>> {
        match self.batches.recv().await {
            Ok(batch) => Some(Ok(batch)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Err(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.followers.fetch_sub(1, Relaxed);
    }
}
