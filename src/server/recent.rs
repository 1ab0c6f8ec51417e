//! Events that went through the stages lately: some of each second, whole batches, so that nothing
//! is done event by event until somebody looks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};
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

/// About how many bytes of memory they take up at most.
const BYTES_MAX: u64 = 32 * 1024 * 1024;

/// How many batches wait for who follows a stage; who is further behind misses some.
const FOLLOWED_BATCHES: usize = 16;

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
    bytes_max: u64,
    followed: Followed,
}

#[derive(Default)]
struct Kept {
    batches: VecDeque<KeptBatch>,
    events: usize,
    /// About how many bytes of memory they take up.
    bytes: u64,
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
    bytes: u64,
    batch: Batch,
}

/// What goes to those who follow a stage.
struct Followed {
    batches: broadcast::Sender<FollowedBatch>,
    followers: AtomicUsize,
    /// How many batches were given out.
    given: AtomicU64,
    /// How many of them the quickest follower has. Where even that one is too far behind nothing is
    /// given out: a batch that somebody holds has to be copied by the stage that changes it.
    taken: AtomicU64,
}

#[derive(Clone)]
struct FollowedBatch {
    /// How many were given out up to this one.
    number: u64,
    /// How many events went through the stage before it.
    before: u64,
    batch: Batch,
}

/// Follows all that goes through a stage.
pub(super) struct Follower {
    stage: Arc<StageRecent>,
    batches: broadcast::Receiver<FollowedBatch>,
    /// How many events went through the stage up to the last that was seen.
    position: u64,
    skipped: u64,
}

impl Recent {
    pub(super) fn new(plan: &Plan) -> Self {
        let count = plan.stages.len().max(1);
        let events_max = (EVENTS_MAX / count).max(EVENTS_MIN);
        let bytes_max = BYTES_MAX / count as u64;
        let stages = plan.stages.iter().map(|stage| {
            Arc::new(StageRecent {
                stage: stage.name.clone(),
                is_sink: stage.kind == Kind::Sink,
                budget: AtomicI64::new(EVENTS_A_SECOND),
                seen: AtomicU64::new(0),
                kept: Mutex::default(),
                events_max,
                bytes_max,
                followed: Followed {
                    batches: broadcast::Sender::new(FOLLOWED_BATCHES),
                    followers: AtomicUsize::new(0),
                    given: AtomicU64::new(0),
                    taken: AtomicU64::new(0),
                },
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
        let before = self.seen.fetch_add(batch.len() as u64, Relaxed);
        self.followed.give(before, batch);
        if self.budget.load(Relaxed) <= 0 {
            return;
        }
        self.budget.fetch_sub(batch.len() as i64, Relaxed);
        let bytes = batch.bytes_per_event() * batch.len() as u64;
        if bytes > self.bytes_max {
            return;
        }
        let mut kept = self.kept();
        kept.number += 1;
        kept.events += batch.len();
        kept.bytes += bytes;
        let (number, at) = (kept.number, wall_now().as_millis());
        kept.batches.push_back(KeptBatch { number, at, bytes, batch: batch.without_tokens() });
        while (kept.events > self.events_max || kept.bytes > self.bytes_max)
            && kept.batches.len() > 1
        {
            let Some(oldest) = kept.batches.pop_front() else { break };
            kept.events -= oldest.batch.len();
            kept.bytes -= oldest.bytes;
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
    pub(super) fn follow(self: &Arc<Self>) -> Follower {
        let followed = &self.followed;
        followed.followers.fetch_add(1, Relaxed);
        // It has nothing to catch up with.
        followed.taken.fetch_max(followed.given.load(Relaxed), Relaxed);
        let batches = followed.batches.subscribe();
        let position = self.seen.load(Relaxed);
        Follower { stage: Arc::clone(self), batches, position, skipped: 0 }
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

impl Followed {
    fn give(&self, before: u64, batch: &Batch) {
        if self.followers.load(Relaxed) == 0 {
            return;
        }
        let given = self.given.load(Relaxed);
        if given.saturating_sub(self.taken.load(Relaxed)) >= FOLLOWED_BATCHES as u64 {
            return;
        }
        // A stage has one task, so nobody else gives.
        self.given.store(given + 1, Relaxed);
        let batch = batch.without_tokens();
        // Without followers it is not kept, either.
        let _ = self.batches.send(FollowedBatch { number: given + 1, before, batch });
    }
}

impl Follower {
    /// The next batch. It waits for ever where none comes any more.
    pub(super) async fn next(&mut self) -> Batch {
        loop {
            match self.batches.recv().await {
                Ok(FollowedBatch { number, before, batch }) => {
                    self.stage.followed.taken.fetch_max(number, Relaxed);
                    self.skipped += before.saturating_sub(self.position);
                    self.position = before + batch.len() as u64;
                    return batch;
                }
                // How many events that were, the next batch says.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                // The stage is held, and its sender with it.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// How many events went by unseen before the last batch.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The same up to now, where nothing waits any more.
    pub(super) fn skipped_at_end(&self) -> u64 {
        self.skipped + self.stage.seen.load(Relaxed).saturating_sub(self.position)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stage.followed.followers.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests;
