//! The buffer on disk: drives a queue of records, each a batch as NDJSON, from threads that may
//! wait for the disk.
//!
//! ```text
//! put -> inbox -> round: append, sync, read -> ready -> next
//!                   ^ acknowledge                        |
//!                   '------------ settle <---------------'
//! ```
//!
//! Work is done in rounds, so that one sync serves all that came meanwhile. A batch's tokens are
//! let go when its record is on the disk. A record is sent again as a whole if the run ends while
//! a part of it is delivered.

mod round;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::buffer::{Buffer, Held, Receipt};
use super::disk::{DiskQueue, Limits, Recovery};
use super::unsent::{Unsent, keep_undelivered};
use crate::control::{Control, Phase};
use crate::dead_letter::Failures;
use crate::event::Batch;
use crate::failure::Failure;
use crate::monitor::Account;
use crate::spec::{BufferSettings, WhenBufferFull};

use round::{Found, Round, Spool};

/// How many batches wait for the next round.
const INBOX_BATCHES: usize = 16;
/// How many batches are read ahead.
const READY_BATCHES: usize = 16;
/// How many records one sync serves at most.
const SYNC_RECORDS: usize = 64;
/// The length of the queue's files, unless the buffer is small.
const SEGMENT_BYTES: u64 = 16 << 20;

/// Outlasts the run, and a crash.
pub(super) struct DiskBuffer {
    folder: PathBuf,
    limits: Limits,
    when_full: WhenBufferFull,
    sync_interval: Duration,
    account: Arc<Account>,
    failures: Failures,
    control: Control,
    state: Mutex<State>,
    /// Wakes the one who drives it.
    work: Notify,
    /// Wakes the one who takes out.
    came: Notify,
    /// Wakes the one who puts in.
    left: Notify,
}

#[derive(Default)]
struct State {
    inbox: VecDeque<Batch>,
    ended: bool,
    ready: VecDeque<Held>,
    /// How many events of each record that was read have no fate yet.
    unsettled: BTreeMap<u64, usize>,
    /// Records all of whose events have one.
    settled: Vec<u64>,
    /// Nothing is handed out any more.
    is_stopped: bool,
    /// Nobody drives it any more.
    is_done: bool,
}

/// What is known of the queue between two rounds.
#[derive(Default)]
struct Progress {
    /// When what was appended or settled has to be on the disk.
    sync_at: Option<Instant>,
    /// Batches wait in front of the queue for room in it.
    is_blocked: bool,
    /// All records were read.
    is_read: bool,
    /// The queue refused; what comes cannot be put into it.
    has_failed: bool,
}

impl DiskBuffer {
    pub(super) fn new(
        settings: &BufferSettings,
        folder: PathBuf,
        account: Arc<Account>,
        failures: Failures,
        control: Control,
    ) -> Self {
        let max_bytes = settings.max_bytes.get();
        Self {
            folder,
            limits: Limits {
                max_events: settings.max_events.get(),
                max_bytes,
                segment_bytes: (max_bytes / 8).clamp(1 << 16, SEGMENT_BYTES),
            },
            when_full: settings.when_full,
            sync_interval: Duration::from_millis(settings.sync_interval_ms),
            account,
            failures,
            control,
            state: Mutex::default(),
            work: Notify::new(),
            came: Notify::new(),
            left: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the queue, and says what is in it.
    async fn open(&self) -> Option<Spool> {
        let (folder, limits) = (self.folder.clone(), self.limits);
        let opened = tokio::task::spawn_blocking(move || DiskQueue::open(folder, limits)).await;
        match opened {
            Ok(Ok((queue, recovery))) => {
                self.enter_recovery(&queue, &recovery);
                Some(Spool::new(queue, self.when_full))
            }
            Ok(Err(error)) => {
                self.fail(&error.to_string());
                None
            }
            Err(error) => {
                self.fail(&error.to_string());
                None
            }
        }
    }

    fn enter_recovery(&self, queue: &DiskQueue, recovery: &Recovery) {
        let sink = &self.account.stage;
        if let Some(torn) = &recovery.torn {
            self.account.note_error("buffer_damaged");
            tracing::warn!(sink, "the buffer: {torn}");
        }
        for damage in &recovery.damaged {
            self.account.note_error("buffer_damaged");
            tracing::warn!(sink, "the buffer: {damage}");
        }
        let waiting = queue.waiting_events();
        if waiting > 0 {
            tracing::info!(sink, waiting, "events of an earlier run are sent first");
            self.account.recover_inside(waiting as usize);
            self.account.delivery.keep(waiting);
            self.account.delivery.set_waiting(waiting, queue.waiting_bytes());
        }
    }

    fn fail(&self, error: &str) {
        self.account.break_off(error);
        self.control.fail(format!("the buffer of sink `{}`: {error}", self.account.stage));
    }

    /// What there is to do now; none while there is nothing.
    fn round(&self, progress: &Progress) -> Option<Round> {
        let mut state = self.state();
        // What is not handed out makes no room.
        let is_last_call =
            progress.has_failed || state.is_stopped || self.control.phase() >= Phase::Keeping;
        let is_free = !progress.is_blocked || is_last_call;
        let mut round = Round {
            settled: std::mem::take(&mut state.settled),
            batches: if is_free { state.inbox.drain(..).collect() } else { Vec::new() },
            reads: 0,
            sync: progress.sync_at.is_some_and(|at| at <= Instant::now()),
            gives_back: is_last_call,
        };
        if !state.is_stopped && (!progress.is_read || !round.batches.is_empty()) {
            round.reads = READY_BATCHES - state.ready.len().min(READY_BATCHES);
        }
        let gives_back = progress.is_blocked && is_last_call;
        let is_idle = round.settled.is_empty()
            && round.batches.is_empty()
            && round.reads == 0
            && !round.sync
            && !gives_back;
        if !round.batches.is_empty() {
            drop(state);
            self.left.notify_one();
        }
        (!is_idle).then_some(round)
    }

    fn is_finished(&self, progress: &Progress) -> bool {
        let state = self.state();
        let is_all_in = state.ended && state.inbox.is_empty() && !progress.is_blocked;
        let is_all_out = progress.is_read
            && state.ready.is_empty()
            && state.unsettled.is_empty()
            && state.settled.is_empty();
        is_all_in && (state.is_stopped || is_all_out)
    }

    /// Enters what a round came to.
    fn enter(&self, found: Found, progress: &mut Progress) {
        let delivery = &self.account.delivery;
        self.account.recover_inside(found.came_back as usize);
        delivery.keep(found.appended + found.came_back);
        delivery.let_go(found.dropped_waiting);
        let dropped = found.dropped_waiting + found.dropped_coming;
        self.account.drop_events("buffer_full", dropped as usize);
        for damage in found.damaged {
            tracing::warn!(sink = self.account.stage, "the buffer: {}", damage.description);
            delivery.let_go(damage.events);
            if damage.events == 0 {
                self.account.note_error("buffer_damaged");
            }
            self.account.drop_events("buffer_damaged", damage.events as usize);
        }
        delivery.set_waiting(found.waiting_events, found.waiting_bytes);
        for (batch, error) in &found.refused {
            let failure = Failure::new("buffer_failed", error.as_str());
            let unsent = Unsent {
                batch,
                failed: batch.events().iter().map(|event| (event, &failure)).collect(),
                attempts: 0,
                first_time: None,
                // It is too large itself, unless the disk refuses.
                is_refused: found.error.is_none(),
                may_stay: false,
            };
            // None of it is in the buffer, so that the fate of all is known.
            let _ = unsent.settle(&self.failures);
        }
        for batch in &found.given_back {
            keep_undelivered(&self.failures, batch, 0, None);
        }
        progress.is_blocked = found.blocked > 0;
        progress.is_read = found.is_read || (progress.is_read && found.appended == 0);
        progress.sync_at = match (found.is_dirty, progress.sync_at) {
            (false, _) => None,
            (true, Some(at)) if !found.has_synced => Some(at),
            (true, _) => Some(Instant::now() + self.sync_interval),
        };
        if let Some(error) = found.error {
            progress.has_failed = true;
            progress.sync_at = None;
            self.fail(&error);
            self.stop_handing_out();
        }
        let mut state = self.state();
        for held in found.ready {
            state.unsettled.insert(held.receipt.number, held.batch.len());
            if !state.is_stopped {
                state.ready.push_back(held);
            }
        }
        drop(state);
        self.came.notify_one();
    }

    /// One round after the other, until all is settled or kept.
    async fn work_off(&self, mut spool: Spool) {
        let mut progress = Progress::default();
        let keeping = self.control.reached(Phase::Keeping);
        tokio::pin!(keeping);
        let mut is_kept = false;
        while !self.is_finished(&progress) {
            if let Some(round) = self.round(&progress) {
                let done = tokio::task::spawn_blocking(move || spool.go_round(round)).await;
                let Ok((again, found)) = done else {
                    self.fail("the thread that writes it panicked");
                    return;
                };
                spool = again;
                self.enter(found, &mut progress);
                continue;
            }
            tokio::select! {
                () = self.work.notified() => {}
                () = &mut keeping, if !is_kept => {
                    is_kept = true;
                    self.stop_handing_out();
                }
                () = ring(progress.sync_at) => {}
            }
        }
        let closed = tokio::task::spawn_blocking(move || spool.close()).await;
        if let Ok(Err(error)) = closed
            && !progress.has_failed
        {
            self.fail(&error.to_string());
        }
    }
}

async fn ring(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[async_trait]
impl Buffer for DiskBuffer {
    async fn put(&self, batch: Batch) {
        let mut batch = Some(batch);
        loop {
            {
                let mut state = self.state();
                if state.is_done {
                    break;
                }
                if state.inbox.len() < INBOX_BATCHES {
                    state.inbox.extend(batch.take());
                    drop(state);
                    self.work.notify_one();
                    return;
                }
            }
            self.left.notified().await;
        }
        // The run has failed for that; the events need not be lost with it.
        if let Some(batch) = batch {
            keep_undelivered(&self.failures, &batch, 0, None);
        }
    }

    fn end(&self) {
        self.state().ended = true;
        self.work.notify_one();
    }

    fn close(&self) {
        let mut state = self.state();
        state.is_done = true;
        let left = std::mem::take(&mut state.inbox);
        drop(state);
        for batch in left {
            keep_undelivered(&self.failures, &batch, 0, None);
        }
        self.left.notify_one();
        self.came.notify_one();
    }

    async fn next(&self) -> Option<Held> {
        loop {
            {
                let mut state = self.state();
                if state.is_stopped || state.is_done {
                    return None;
                }
                if let Some(held) = state.ready.pop_front() {
                    if state.ready.len() <= READY_BATCHES / 2 {
                        self.work.notify_one();
                    }
                    return Some(held);
                }
            }
            self.came.notified().await;
        }
    }

    fn settle(&self, receipt: Receipt, events: usize) {
        self.account.delivery.let_go(events as u64);
        let mut state = self.state();
        let Some(left) = state.unsettled.get_mut(&receipt.number) else { return };
        *left = left.saturating_sub(events);
        if *left == 0 {
            state.unsettled.remove(&receipt.number);
            state.settled.push(receipt.number);
            drop(state);
            self.work.notify_one();
        }
    }

    fn outlasts_the_run(&self) -> bool {
        true
    }

    fn stop_handing_out(&self) {
        let mut state = self.state();
        state.is_stopped = true;
        state.ready.clear();
        drop(state);
        self.came.notify_one();
        self.work.notify_one();
    }

    async fn drive(&self) {
        if let Some(spool) = self.open().await {
            self.work_off(spool).await;
        }
        self.close();
    }
}
