//! A plugin's sink as a stage: writes one after the other, answers when they come.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use engine_plugin::host::{Descriptor, Failed, Fault, Instance, Stopper, Written};
use engine_plugin::{Error, Outcome as Answered};
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore};

use super::context::StageContext;
use super::loan::BatchLoan;
use super::made::{Working, stop_aside};
use crate::event::Batch;
use crate::monitor::StageMetrics;
use crate::stage::{Outcome, Refusal, Sink, StageError};

pub(super) struct PluginSink {
    /// Held for a call; answers are waited for without it.
    working: Arc<Mutex<Working>>,
    context: Arc<StageContext>,
    metrics: StageMetrics,
    /// How many writes may be pending.
    slots: Arc<Semaphore>,
    tokens: AtomicU64,
    name: String,
    is_blocking: bool,
    is_network: bool,
}

impl PluginSink {
    pub(super) fn new(working: Working, descriptor: &Descriptor) -> Self {
        let (context, metrics) = (working.maker.context.clone(), working.maker.metrics.clone());
        Self {
            working: Arc::new(Mutex::new(working)),
            context,
            metrics,
            slots: Arc::new(Semaphore::new(descriptor.max_in_flight as usize)),
            tokens: AtomicU64::new(1),
            name: descriptor.name.clone(),
            is_blocking: descriptor.is_blocking,
            is_network: descriptor.is_network,
        }
    }

    /// Does something with the instance where it may wait. Should nobody wait for it any more, the
    /// instance is asked to stop, and goes on until it does.
    async fn where_it_may_wait<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Working) -> R + Send + 'static,
    ) -> R {
        let mut working = self.own().await;
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

    async fn own(&self) -> OwnedMutexGuard<Working> {
        Arc::clone(&self.working).lock_owned().await
    }

    /// What a call of `write` comes to.
    async fn call(&self, batch: &Batch, token: u64) -> Result<Written, Failed> {
        if self.is_blocking {
            let batch = batch.without_tokens();
            let mut working = self.own().await;
            let called = tokio::task::spawn_blocking(move || write(&mut working, &batch, token));
            return match called.await.map_err(tokio::task::JoinError::try_into_panic) {
                Ok(written) => written,
                Err(Ok(panic)) => std::panic::resume_unwind(panic),
                Err(Err(_)) => std::future::pending().await,
            };
        }
        let mut working = self.own().await;
        if working.current().is_none() {
            // Making the next one may wait.
            drop(working);
            self.where_it_may_wait(|working| working.instance().map(drop)).await?;
            working = self.own().await;
        }
        write(&mut working, batch, token)
    }

    fn outcome(&self, answer: &Answered, events: usize) -> Outcome {
        let wait = (!answer.retry_after.is_zero()).then_some(answer.retry_after);
        if let Some(error) = &answer.error {
            return Outcome::Refused(self.refusal(error, wait));
        }
        let (known, unknown): (Vec<_>, Vec<_>) =
            answer.refusals.iter().partition(|refusal| refusal.row < events);
        if let Some(refusal) = unknown.first() {
            tracing::warn!(
                "the plugin `{}` refused row {} of a batch of {events} events",
                self.name,
                refusal.row
            );
        }
        if known.is_empty() {
            return Outcome::Delivered;
        }
        let refusal = |it: &engine_plugin::Refusal| (it.row, self.refusal(&it.error, wait));
        Outcome::Except(known.into_iter().map(refusal).collect())
    }

    fn refusal(&self, error: &Error, wait: Option<std::time::Duration>) -> Refusal {
        let reason = format!("{}: {}", self.name, error.reason());
        match (error, wait) {
            (Error::Retry(_) | Error::Fatal(_), None) => Refusal::transient("unavailable", reason),
            (Error::Retry(_) | Error::Fatal(_), Some(wait)) => {
                Refusal::transient("unavailable", reason).after(wait)
            }
            (Error::Rejected(_) | Error::Config(_), _) => Refusal::permanent("rejected", reason),
        }
    }

    /// What a failed call comes to for its batch; an instance that cannot go on is destroyed.
    async fn failed(&self, failed: Failed) -> Outcome {
        let fault = failed.fault;
        if fault.is_final() {
            self.where_it_may_wait(move |working| working.lose_if_final(fault)).await;
        }
        let reason = format!("{}: {}", self.name, failed.reason);
        Outcome::Refused(match fault {
            Fault::Retry | Fault::Fatal | Fault::Stopped => {
                Refusal::transient("unavailable", reason)
            }
            Fault::Rejected | Fault::Config => Refusal::permanent("rejected", reason),
            // What made it panic would do so again.
            Fault::Panic => Refusal::permanent("plugin", reason),
        })
    }
}

fn write(working: &mut Working, batch: &Batch, token: u64) -> Result<Written, Failed> {
    working.instance()?.write(&mut BatchLoan::new(batch), token)
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
        self.where_it_may_wait(Working::start).await
    }

    async fn write(&self, batch: &Batch) -> Outcome {
        // Nobody closes it.
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
        let token = self.tokens.fetch_add(1, Relaxed);
        let answer = self.context.wait_for(token, slot);
        match self.call(batch, token).await {
            Ok(Written::Done) => Outcome::Delivered,
            Ok(Written::Pending) => {
                let Some(given) = answer.given().await else {
                    let reason = format!("{}: it ended before it answered", self.name);
                    return Outcome::Refused(Refusal::transient("unavailable", reason));
                };
                if matches!(given.error, Some(Error::Fatal(_))) {
                    let lose = |working: &mut Working| working.lose_if_final(Fault::Fatal);
                    self.where_it_may_wait(lose).await;
                }
                self.outcome(&given, batch.len())
            }
            Err(failed) => {
                drop(answer);
                self.failed(failed).await
            }
        }
    }

    async fn close(&self) -> Result<(), StageError> {
        let token = self.tokens.fetch_add(1, Relaxed);
        let answer = self.context.wait_for(token, None);
        let flushed = self.where_it_may_wait(move |working| working.flush(token)).await;
        let flushed = match flushed {
            Ok(Written::Done) => Ok(()),
            Ok(Written::Pending) => match answer.given().await.map(|answer| answer.error) {
                Some(None) => Ok(()),
                Some(Some(error)) => Err(StageError(format!("{}: {error}", self.name))),
                None => Err(StageError(format!("{}: it ended before it answered", self.name))),
            },
            Err(error) => Err(error),
        };
        let ended = self.where_it_may_wait(Working::end).await;
        flushed.and(ended)
    }

    async fn abandon(&self) -> Result<(), StageError> {
        self.where_it_may_wait(Working::end).await
    }

    fn wants_batches(&self) -> bool {
        self.is_network
    }

    fn times_out(&self) -> bool {
        // A call that waits cannot be given up; an answer can.
        !self.is_blocking
    }

    fn metrics(&self) -> Option<StageMetrics> {
        Some(self.metrics.clone())
    }
}
