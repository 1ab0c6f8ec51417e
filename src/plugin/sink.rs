//! A plugin's sink as a stage: writes one after the other, answers when they come.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use engine_plugin::host::{Descriptor, Failed, Fault, Instance, Stopper};
use engine_plugin::{Error, Outcome as Answered};
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use super::context::Answer;
use super::made::{END_TIMEOUT, Working, stop_aside};
use crate::event::Batch;
use crate::monitor::StageMetrics;
use crate::stage::{Outcome, Refusal, Sink, StageError};

pub(super) struct PluginSink {
    /// Held for a call; answers are waited for without it.
    working: Arc<Mutex<Working>>,
    metrics: StageMetrics,
    /// How many writes may be pending.
    slots: Arc<Semaphore>,
    tokens: AtomicU64,
    /// How long an attempt may take, where that was said.
    timeout: Option<Duration>,
    name: String,
    is_blocking: bool,
    is_network: bool,
}

impl PluginSink {
    pub(super) fn new(working: Working, descriptor: &Descriptor) -> Self {
        let metrics = working.maker.metrics.clone();
        Self {
            working: Arc::new(Mutex::new(working)),
            metrics,
            slots: Arc::new(Semaphore::new(descriptor.max_in_flight as usize)),
            tokens: AtomicU64::new(1),
            timeout: None,
            name: descriptor.name.clone(),
            is_blocking: descriptor.is_blocking,
            is_network: descriptor.is_network,
        }
    }

    async fn own(&self) -> OwnedMutexGuard<Working> {
        Arc::clone(&self.working).lock_owned().await
    }

    /// A call of `write`, and the answer that is owed for it. An instance that is lost by it is
    /// destroyed before anyone else has its turn.
    async fn call(
        &self,
        batch: &Batch,
        token: u64,
        slot: Option<OwnedSemaphorePermit>,
    ) -> Result<Option<Answer>, Failed> {
        let mut working = self.own().await;
        if self.is_blocking {
            let batch = batch.without_tokens();
            let write = move |working: &mut Working| {
                let written = working.write(&batch, token, slot);
                written.inspect_err(|failed| working.lose_if_final(failed))
            };
            return where_it_may_wait(working, write).await;
        }
        while !working.is_ready() {
            // Making the next one may wait.
            where_it_may_wait(working, |working| working.instance().map(drop)).await?;
            working = self.own().await;
        }
        let written = working.write(batch, token, slot);
        if let Err(failed) = &written
            && failed.fault.is_final()
        {
            let failed = failed.clone();
            where_it_may_wait(working, move |working| working.lose_if_final(&failed)).await;
        }
        written
    }

    /// What was answered, and so what became of the batch.
    async fn answered(&self, answer: Answer, events: usize) -> Outcome {
        let Some(given) = self.in_time(answer.given()).await else { return self.too_late() };
        let Some(given) = given else {
            let reason = format!("{}: it ended before it answered", self.name);
            return Outcome::Refused(Refusal::transient("unavailable", reason));
        };
        if matches!(given.error, Some(Error::Fatal(_))) {
            where_it_may_wait(self.own().await, Working::lose_if_broken).await;
        }
        self.outcome(&given, events)
    }

    /// Waits for a part of a write that can be given up; none if that takes too long. Of a sink that
    /// does not block, all of it can be, and whoever sends looks to that.
    async fn in_time<T>(&self, part: impl Future<Output = T>) -> Option<T> {
        match self.timeout.filter(|_| self.is_blocking) {
            Some(timeout) => tokio::time::timeout(timeout, part).await.ok(),
            None => Some(part.await),
        }
    }

    fn too_late(&self) -> Outcome {
        let within = self.timeout.unwrap_or_default().as_secs_f64();
        let reason = format!("{}: no answer within {within} s", self.name);
        Outcome::Refused(Refusal::transient("timeout", reason))
    }

    async fn flush(&self) -> Result<(), StageError> {
        let token = self.tokens.fetch_add(1, Relaxed);
        let flush = move |working: &mut Working| working.flush(token);
        let Some(answer) = where_it_may_wait(self.own().await, flush).await? else {
            return Ok(());
        };
        let why = match tokio::time::timeout(END_TIMEOUT, answer.given()).await {
            Ok(Some(Answered { error: None, .. })) => return Ok(()),
            Ok(Some(Answered { error: Some(error), .. })) => error.to_string(),
            Ok(None) => "it ended before it answered".to_owned(),
            Err(_) => format!("`flush` was not answered within {} s", END_TIMEOUT.as_secs()),
        };
        Err(StageError(format!("{}: {why}", self.name)))
    }

    fn outcome(&self, answer: &Answered, events: usize) -> Outcome {
        let wait = (!answer.retry_after.is_zero()).then_some(answer.retry_after);
        if let Some(error) = &answer.error {
            return Outcome::Refused(self.refusal(error, wait));
        }
        if let Some(unknown) = answer.refusals.iter().find(|refusal| refusal.row >= events) {
            // What it believes to have written is not what it was given.
            let row = unknown.row;
            let reason = format!("{}: it refused row {row} of {events} events", self.name);
            let refusal = Refusal::transient("unavailable", reason);
            return Outcome::Refused(wait.map_or(refusal.clone(), |wait| refusal.after(wait)));
        }
        if answer.refusals.is_empty() {
            return Outcome::Delivered;
        }
        let refusal = |it: &engine_plugin::Refusal| (it.row, self.refusal(&it.error, wait));
        Outcome::Except(answer.refusals.iter().map(refusal).collect())
    }

    fn refusal(&self, error: &Error, wait: Option<Duration>) -> Refusal {
        let reason = format!("{}: {}", self.name, error.reason());
        match (error, wait) {
            (Error::Retry(_) | Error::Fatal(_), None) => Refusal::transient("unavailable", reason),
            (Error::Retry(_) | Error::Fatal(_), Some(wait)) => {
                Refusal::transient("unavailable", reason).after(wait)
            }
            (Error::Rejected(_) | Error::Config(_), _) => Refusal::permanent("rejected", reason),
        }
    }

    /// What a failed call comes to for its batch.
    fn failed(&self, failed: &Failed) -> Outcome {
        let reason = format!("{}: {}", self.name, failed.reason);
        Outcome::Refused(match failed.fault {
            Fault::Retry | Fault::Fatal | Fault::Stopped => {
                Refusal::transient("unavailable", reason)
            }
            Fault::Rejected | Fault::Config => Refusal::permanent("rejected", reason),
            // What made it panic would do so again.
            Fault::Panic => Refusal::permanent("plugin", reason),
        })
    }
}

/// Does something with the instance where it may wait; then others may have it, also if whoever
/// waits for that does not look. Should nobody wait any more, the instance is asked to stop, and
/// nobody else has it until it does.
async fn where_it_may_wait<R: Send + 'static>(
    mut working: OwnedMutexGuard<Working>,
    work: impl FnOnce(&mut Working) -> R + Send + 'static,
) -> R {
    let mut stop = StopUnlessDone(working.current().map(Instance::stopper));
    let done = tokio::task::spawn_blocking(move || work(&mut working)).await;
    stop.0 = None;
    match done.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime shuts down, and so this is dropped, too.
        Err(Err(_)) => std::future::pending().await,
    }
}

/// Asks an instance to stop that nobody waits for any more.
struct StopUnlessDone(Option<Stopper>);

impl Drop for StopUnlessDone {
    fn drop(&mut self) {
        if let Some(stopper) = self.0.take() {
            stop_aside(stopper);
        }
    }
}

#[async_trait]
impl Sink for PluginSink {
    async fn open(&self) -> Result<(), StageError> {
        where_it_may_wait(self.own().await, Working::start).await
    }

    async fn write(&self, batch: &Batch) -> Outcome {
        let slot = Arc::clone(&self.slots).acquire_owned();
        let Some(slot) = self.in_time(slot).await else { return self.too_late() };
        let token = self.tokens.fetch_add(1, Relaxed);
        // Nobody closes the slots.
        match self.call(batch, token, slot.ok()).await {
            Ok(None) => Outcome::Delivered,
            Ok(Some(answer)) => self.answered(answer, batch.len()).await,
            Err(failed) => self.failed(&failed),
        }
    }

    async fn close(&self) -> Result<(), StageError> {
        let flushed = self.flush().await;
        let ended = self.abandon().await;
        flushed.and(ended)
    }

    async fn abandon(&self) -> Result<(), StageError> {
        where_it_may_wait(self.own().await, Working::end).await
    }

    fn wants_batches(&self) -> bool {
        self.is_network
    }

    fn times_out(&self) -> bool {
        // A call that waits cannot be given up; an answer can, see `in_time`.
        !self.is_blocking
    }

    fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = Some(timeout);
    }

    fn metrics(&self) -> Option<StageMetrics> {
        Some(self.metrics.clone())
    }
}
