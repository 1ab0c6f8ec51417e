//! The life of a plugin's instances in one stage: made, started, made anew when one is lost, and
//! ended within a deadline.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use engine_plugin::host::{Descriptor, Failed, Fault, Instance, Stopper, Written};
use serde_json::Value as Json;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::OwnedSemaphorePermit;

use super::context::{Answer, StageContext};
use super::loan::BatchLoan;
use super::watchdog::watch_over;
use crate::event::Batch;
use crate::monitor::{MetricKind, StageMetrics};
use crate::stage::{Failure, StageError};

/// How long an instance may take to end. Past that its thread is left behind.
pub(super) const END_TIMEOUT: Duration = Duration::from_secs(10);

/// What a stage makes its instances of.
#[derive(Clone)]
pub(super) struct Maker {
    stage: String,
    descriptor: Descriptor,
    /// The settings as JSON.
    settings: Arc<str>,
    pub(super) context: Arc<StageContext>,
    pub(super) metrics: StageMetrics,
}

impl Maker {
    pub(super) fn new(descriptor: &Descriptor, stage: &str, settings: Json) -> Self {
        let (text, metrics) = (settings.to_string().into(), StageMetrics::default());
        let context = StageContext::new(stage, &descriptor.name, settings, metrics.clone());
        let (stage, descriptor) = (stage.to_owned(), descriptor.clone());
        Self { stage, descriptor, settings: text, context: Arc::new(context), metrics }
    }

    /// An instance that is not started.
    pub(super) fn create(&self) -> Result<Instance, Failed> {
        let instance = self.descriptor.create(self.context.clone(), &self.settings)?;
        let name = &self.descriptor.name;
        watch_over(&self.stage, name, &instance.calls(), &self.metrics);
        Ok(instance)
    }

    /// One in place of one that was lost. Waits.
    pub(super) fn create_and_start(&self) -> Result<Instance, Failed> {
        let mut instance = self.create()?;
        match instance.start() {
            Ok(()) => Ok(instance),
            Err(failed) => {
                // Why it did not start is what counts.
                let _ = self.end(instance);
                Err(failed)
            }
        }
    }

    /// What a failure is called where it is counted and read.
    pub(super) fn failure(&self, failed: &Failed) -> Failure {
        Failure::new("plugin", self.reason(failed))
    }

    /// The same for one event that the plugin could not process.
    pub(super) fn row_failure(&self, reason: &str) -> Failure {
        Failure::new("plugin", self.named(reason))
    }

    pub(super) fn reason(&self, failed: &Failed) -> String {
        self.named(&failed.reason)
    }

    /// Something that the plugin said, or that is said of it.
    pub(super) fn named(&self, reason: &str) -> String {
        format!("{}: {reason}", self.descriptor.name)
    }

    /// Why the stage cannot go on.
    pub(super) fn error(&self, failed: &Failed) -> StageError {
        StageError(self.reason(failed))
    }

    /// Ends an instance, and waits for it; past the deadline its thread is left behind.
    pub(super) fn end(&self, instance: Instance) -> Result<(), StageError> {
        self.end_within(instance, END_TIMEOUT)
    }

    pub(super) fn end_within(
        &self,
        instance: Instance,
        timeout: Duration,
    ) -> Result<(), StageError> {
        let (calls, name) = (instance.calls(), &self.descriptor.name);
        let (done, ended) = sync_channel(1);
        let end = move || {
            instance.stopper().stop();
            drop(instance);
            // Nobody may wait any more.
            let _ = done.send(());
        };
        let thread = std::thread::Builder::new().name(format!("end of {name}"));
        if let Err(error) = thread.spawn(end) {
            return Err(StageError(format!("no thread to end `{name}` on: {error}")));
        }
        if ended.recv_timeout(timeout).is_ok() {
            return Ok(());
        }
        let call = calls.current().map_or("request_stop", |(_, name)| name);
        let message = format!(
            "the plugin `{name}` did not end within {} s: it is in `{call}`, and its thread is left \
             behind",
            timeout.as_secs_f64()
        );
        tracing::error!(stage = self.stage, "{message}");
        Err(StageError(message))
    }
}

/// Asks an instance to stop, from a thread of its own: should the plugin not come back from it, nobody
/// waits.
pub(super) fn stop_aside(stopper: Stopper) {
    let thread = std::thread::Builder::new().name("stop of a plugin".to_owned());
    if let Err(error) = thread.spawn(move || stopper.stop()) {
        tracing::warn!("no thread to stop a plugin on: {error}");
    }
}

/// An instance that its stage works with, and the next one where it is lost.
pub(super) struct Working {
    pub(super) maker: Maker,
    /// None once it is lost or ended.
    instance: Option<Instance>,
    /// Which one it is, or was; they count from 1.
    number: u64,
    /// Why the last one was lost.
    lost_for: String,
}

impl Working {
    pub(super) fn new(maker: Maker) -> Result<Self, Failed> {
        let instance = Some(maker.create()?);
        Ok(Self { maker, instance, number: 1, lost_for: String::new() })
    }

    /// The instance, or the next one: made and started where the one before was lost. May wait.
    pub(super) fn instance(&mut self) -> Result<&mut Instance, Failed> {
        self.lose_if_broken();
        if self.instance.is_none() {
            self.instance = Some(waiting(|| self.maker.create_and_start())?);
            self.number += 1;
            self.tell_of_remaking();
        }
        self.instance.as_mut().ok_or_else(gone)
    }

    /// Counts it, and says it the first time, the second, the fourth and so on: often enough for
    /// someone who looks, and no flood.
    fn tell_of_remaking(&self) {
        let Maker { stage, descriptor, metrics, .. } = &self.maker;
        let times = self.number - 1;
        if let Ok(counter) = metrics.add(MetricKind::Counter, "remade_instances", "instances") {
            metrics.record(counter, 1.0);
        }
        if times.is_power_of_two() {
            tracing::warn!(
                stage,
                times,
                "the plugin `{}` was made anew: {}",
                descriptor.name,
                self.lost_for
            );
        }
    }

    /// Whether a call would find an instance that can go on.
    pub(super) fn is_ready(&self) -> bool {
        self.instance.is_some() && !self.maker.context.is_broken(self.number)
    }

    /// The instance, if it is there.
    pub(super) fn current(&self) -> Option<&Instance> {
        self.instance.as_ref()
    }

    /// Starts the instance. May wait.
    pub(super) fn start(&mut self) -> Result<(), StageError> {
        let started = self.instance().and_then(Instance::start);
        started.map_err(|failed| self.maker.error(&failed))
    }

    /// Destroys the instance if it cannot go on after this, which came of its last call.
    pub(super) fn lose_if_final(&mut self, failed: &Failed) {
        if failed.fault.is_final() && self.instance.is_some() {
            self.lose(&failed.reason);
        }
    }

    /// Destroys the instance if it has said in an answer that it cannot go on. Where another one has
    /// taken its place meanwhile, that goes on.
    pub(super) fn lose_if_broken(&mut self) {
        if self.instance.is_some() && !self.is_ready() {
            self.lose("it said that it cannot go on");
        }
    }

    fn lose(&mut self, reason: &str) {
        reason.clone_into(&mut self.lost_for);
        // What hangs was told to the log.
        let _ = waiting(|| self.end());
    }

    /// A sink's write. What it owes is waited for without holding this. An instance that is lost by
    /// it is still there: destroying it may wait.
    pub(super) fn write(
        &mut self,
        batch: &Batch,
        token: u64,
        slot: Option<OwnedSemaphorePermit>,
    ) -> Result<Option<Answer>, Failed> {
        self.instance()?;
        let answer = self.maker.context.wait_for(self.number, token, slot);
        let instance = self.instance.as_mut().ok_or_else(gone)?;
        let written = instance.write(&mut BatchLoan::new(batch), token)?;
        Ok((written == Written::Pending).then(|| answer.owed()))
    }

    /// The last call of a sink whose run went well, and the answer that it owes.
    pub(super) fn flush(&mut self, token: u64) -> Result<Option<Answer>, StageError> {
        self.lose_if_broken();
        let Some(instance) = &mut self.instance else { return Ok(None) };
        let answer = self.maker.context.wait_for(self.number, token, None);
        let flushed = instance.flush(token).map_err(|failed| self.maker.error(&failed))?;
        Ok((flushed == Written::Pending).then(|| answer.owed()))
    }

    /// All went well: the last calls of an instance that answers at once.
    pub(super) fn flush_and_end(&mut self) -> Result<(), StageError> {
        let Some(instance) = &mut self.instance else { return Ok(()) };
        let flushed = match instance.flush(0) {
            Ok(Written::Done) => Ok(()),
            Ok(Written::Pending) => {
                let name = &self.maker.descriptor.name;
                Err(StageError(format!("{name}: `flush` is pending, which only a sink's may be")))
            }
            Err(failed) => Err(self.maker.error(&failed)),
        };
        let ended = self.end();
        flushed.and(ended)
    }

    /// Ends the instance. What it answers while it ends is heard, and nothing after.
    pub(super) fn end(&mut self) -> Result<(), StageError> {
        let ended = self.instance.take().map_or(Ok(()), |instance| self.maker.end(instance));
        self.maker.context.give_up_waiting(self.number);
        ended
    }
}

fn gone() -> Failed {
    Failed { fault: Fault::Fatal, reason: "it is gone".to_owned() }
}

/// Does what may wait in the middle of a stage's work. Where the thread is one of several workers,
/// another one does its other work meanwhile.
fn waiting<R>(work: impl FnOnce() -> R) -> R {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// How long a run that is given up waits for an instance.
const DROP_TIMEOUT: Duration = Duration::from_secs(1);

impl Drop for Working {
    fn drop(&mut self) {
        if let Some(instance) = self.instance.take() {
            // What hangs was told to the log.
            let _ = self.maker.end_within(instance, DROP_TIMEOUT);
        }
    }
}
