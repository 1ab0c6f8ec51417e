//! Runs a graph: a task per stream end, signals, the order of draining, the report.

use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::MissedTickBehavior;

use crate::checkpoint::Checkpoints;
use crate::clock::{Clock, ProcessorTime};
use crate::control::{Control, Phase};
use crate::event::Timestamp;
use crate::graph::{Graph, Surroundings};
use crate::monitor::{
    Account, Health, History, HookFigures, NOW, Observer, Observers, Resources, SAMPLE_INTERVAL,
    Sample, Statistics, Tally,
};

mod report;
mod threads;

pub use report::{Ending, Report};
pub use threads::Threads;

/// A look at a run, from anywhere, while it goes on and after it.
#[derive(Clone)]
pub struct Monitor {
    accounts: Arc<[Arc<Account>]>,
    clock: Clock,
    history: Arc<History>,
    hooks: HookFigures,
    limits: Limits,
    /// Where it is served.
    address: Option<SocketAddr>,
    /// Whether all stages are over.
    drained: Arc<AtomicBool>,
    /// Whether all of it is.
    ended: Arc<watch::Sender<bool>>,
}

/// What a process may use until it is unwell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// How much memory, in bytes, may be resident.
    pub max_memory_bytes: Option<u64>,
    /// How many processors may be busy, over ten seconds.
    pub max_cpu: Option<f64>,
}

impl Monitor {
    /// The figures now.
    pub fn statistics(&self) -> Statistics {
        let tallies = self.tallies();
        let now = self.sample_of(&tallies);
        Statistics::of(&self.accounts, &tallies, &self.history, &now, &self.hooks)
    }

    /// Whether all stages and the process are well.
    pub fn health(&self) -> Health {
        let tallies = self.tallies();
        let now = self.sample_of(&tallies);
        let resources = Resources {
            memory_bytes: memory_stats::memory_stats().map(|memory| memory.physical_mem as u64),
            max_memory_bytes: self.limits.max_memory_bytes,
            cpu: self.history.window(NOW, now.clone()).cpu(),
            max_cpu: self.limits.max_cpu,
        };
        let minute = self.history.window(Duration::from_mins(1), now);
        Health::of(&self.accounts, &tallies, &minute, resources)
    }

    /// The last quarter of an hour, where the run is [recorded](Run::recorded).
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The figures of a chart now.
    pub fn sample(&self) -> Sample {
        self.sample_of(&self.tallies())
    }

    /// Sinks that have never had their receiver, as in `hub: connecting` or `hub: connection refused`.
    pub fn unconnected(&self) -> Vec<String> {
        let is_connected = |account: &&Arc<Account>| {
            account.delivery.tally().is_none_or(|delivery| delivery.has_connected)
        };
        let unconnected = self.accounts.iter().filter(|account| !is_connected(account));
        let named = unconnected.map(|account| {
            let why = account.delivery.missed();
            format!("{}: {}", account.stage, why.as_deref().unwrap_or("connecting"))
        });
        named.collect()
    }

    /// Whether all stages have ended, though not all of the run may have.
    pub fn has_drained(&self) -> bool {
        self.drained.load(Relaxed)
    }

    /// Where the live page, statistics, health and metrics are served, if they are.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The account of each stage, in the order of the flow.
    pub fn accounts(&self) -> &[Arc<Account>] {
        &self.accounts
    }

    /// Event time, wall time, and how they go together.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Waits until the run has ended.
    pub async fn ended(&self) {
        // The sender is this monitor's own, so waiting cannot fail.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Whether the run has ended.
    pub fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    /// Keeps the history, until the run has ended: rates and error rates are of the run's beginning
    /// on without it, and not of the last seconds.
    async fn record(self) {
        let mut ticks = tokio::time::interval(SAMPLE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.ended() => return,
            }
            let (wall, elapsed) = (self.clock.wall(), self.clock.elapsed());
            let cpu = ProcessorTime::Process.now();
            self.history.record(&self.tallies(), wall, elapsed, cpu);
        }
    }

    fn tallies(&self) -> Vec<Tally> {
        self.accounts.iter().map(|account| account.tally()).collect()
    }

    fn sample_of(&self, tallies: &[Tally]) -> Sample {
        let (wall, elapsed) = (self.clock.wall(), self.clock.elapsed());
        self.history.sample(tallies, wall, elapsed, ProcessorTime::Process.now())
    }
}

/// How long what is left may take on its way to disk, once nothing is sent any more.
const KEEP_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a task may take to notice that it was given up: it does when its stage comes back from
/// a call.
const GIVE_UP_TIMEOUT: Duration = Duration::from_secs(3);

/// How long what goes on beside the stages may take to notice that the run has ended.
const COMPANIONS_TIMEOUT: Duration = Duration::from_secs(2);

/// How often it is looked whether calls that go on have ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// A graph with all that its run needs.
pub struct Run {
    /// Where the tasks run.
    runtime: Handle,
    tasks: Vec<BoxFuture<'static, ()>>,
    monitor: Monitor,
    control: Control,
    checkpoints: Checkpoints,
    observers: Observers,
    /// What goes on beside the stages.
    companions: Vec<BoxFuture<'static, ()>>,
    /// The instant at which event time ends.
    end: Option<Timestamp>,
    drain_timeout: Duration,
}

impl Run {
    /// A run of a graph that has not begun. Its stages are going to run in the current runtime,
    /// wherever [`Self::finish`] is waited for.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn new(graph: Graph, around: &Surroundings, drain_timeout: Duration) -> Self {
        Self {
            runtime: Handle::current(),
            tasks: graph.tasks,
            monitor: Monitor {
                accounts: graph.accounts.into(),
                clock: around.clock.clone(),
                history: Arc::default(),
                hooks: around.observers.hooks.clone(),
                limits: Limits::default(),
                address: None,
                drained: Arc::default(),
                ended: Arc::new(watch::Sender::new(false)),
            },
            control: around.control.clone(),
            checkpoints: around.checkpoints.clone(),
            observers: around.observers.clone(),
            companions: Vec::new(),
            end: around.end,
            drain_timeout,
        }
    }

    /// Tells where it is served.
    #[must_use]
    pub fn served_at(mut self, address: SocketAddr) -> Self {
        self.monitor.address = Some(address);
        self
    }

    /// Tells in its health when the process uses more than that.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.monitor.limits = limits;
        self
    }

    /// Keeps a history of the run, a sample a second.
    #[must_use]
    pub fn recorded(self) -> Self {
        let monitor = self.monitor.clone();
        self.beside(monitor.record())
    }

    /// Has something go on beside the stages, where the run is waited for. It ends by itself when
    /// the run has, or is dropped soon after.
    #[must_use]
    pub fn beside(mut self, companion: impl Future<Output = ()> + Send + 'static) -> Self {
        self.companions.push(companion.boxed());
        self
    }

    /// A look at the run.
    pub fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    /// What keeps the stages' state.
    pub fn checkpoints(&self) -> Checkpoints {
        self.checkpoints.clone()
    }

    /// Runs until every stream has ended: because its sources did, or were stopped. Sources end
    /// first and sinks close last, since each stream ends only after those that it reads.
    ///
    /// A stage that does not come back from a call is left behind with its thread, once the run
    /// was given up.
    pub async fn finish(mut self) -> Report {
        let mut tasks = JoinSet::new();
        for task in std::mem::take(&mut self.tasks) {
            tasks.spawn_on(task, &self.runtime);
        }
        let mut companions = JoinSet::new();
        for companion in std::mem::take(&mut self.companions) {
            companions.spawn(companion);
        }
        let clock = self.monitor.clock.clone();
        let is_overdue = AtomicBool::new(false);
        // Event time stands still from a stop on, however long draining takes.
        let stopped_at = OnceLock::new();
        let now = || stopped_at.get().copied().unwrap_or_else(|| clock.now());
        let stopped = async {
            self.control.reached(Phase::Draining).await;
            stopped_at.get_or_init(|| clock.now());
            std::future::pending::<()>().await;
        };
        let drained = tokio::select! {
            () = join_all(&mut tasks, &self.control) => true,
            () = give_up(&self.control, self.drain_timeout, &is_overdue) => false,
            () = self.checkpoints.keep(now) => false,
            () = stopped => false,
        };
        if !drained {
            self.give_up_tasks(tasks).await;
        } else if self.control.errors().is_empty() {
            let ended = self.control.phase() == Phase::Running;
            let time = self.end.filter(|_| ended).unwrap_or_else(now);
            if let Err(error) = self.checkpoints.finish(time, ended).await {
                self.control.fail(error);
            }
        }
        self.monitor.drained.store(true, Relaxed);
        // They may wait for what is on its way, as for a file.
        let observers = self.observers.clone();
        let told = move || observers.iter().for_each(Observer::ended);
        if tokio::task::spawn_blocking(told).await.is_err() {
            tracing::error!("an observer of the run panicked at its end");
        }
        self.monitor.ended.send_replace(true);
        let all_ended = async { while companions.join_next().await.is_some() {} };
        // Those that are late are dropped.
        let _ = tokio::time::timeout(COMPANIONS_TIMEOUT, all_ended).await;
        let overdue = is_overdue.into_inner().then_some(self.drain_timeout);
        Report::new(&self.monitor, &self.control, drained, overdue)
    }
}

impl Run {
    /// Waits until all tasks have noticed that they were given up, or names those that do not.
    async fn give_up_tasks(&self, mut tasks: JoinSet<()>) {
        let accounts = &self.monitor.accounts;
        let ended = async {
            tasks.shutdown().await;
            // Calls that block have threads of their own, which no task waits for now.
            while accounts.iter().any(|account| account.is_working()) {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        };
        if tokio::time::timeout(GIVE_UP_TIMEOUT, ended).await.is_ok() {
            return;
        }
        let seconds = GIVE_UP_TIMEOUT.as_secs();
        let mut are_named = false;
        for account in accounts.iter().filter(|account| account.is_working()) {
            let (kind, stage) = (account.kind.singular(), &account.stage);
            let error = format!(
                "{kind} `{stage}`: it did not come back from a call within {seconds} s after the \
                 run was given up, and its thread was left behind"
            );
            account.break_off(&error);
            self.control.fail(error);
            are_named = true;
        }
        if !are_named {
            let error = format!("a task did not end within {seconds} s after the run was given up");
            self.control.fail(error);
        }
    }
}

async fn join_all(tasks: &mut JoinSet<()>, control: &Control) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            control.fail(message_of(error));
        }
    }
}

/// Waits until a run that was told to stop has had its time: to drain, then to keep what is left.
async fn give_up(control: &Control, drain_timeout: Duration, is_overdue: &AtomicBool) {
    control.reached(Phase::Draining).await;
    tokio::select! {
        () = control.reached(Phase::Keeping) => {}
        () = tokio::time::sleep(drain_timeout) => {
            let seconds = drain_timeout.as_secs_f64();
            tracing::warn!("not drained within {seconds} s: what is left is kept");
            is_overdue.store(true, Relaxed);
            control.keep();
        }
    }
    tokio::select! {
        () = control.reached(Phase::Aborted) => {}
        () = tokio::time::sleep(KEEP_TIMEOUT) => {
            let seconds = KEEP_TIMEOUT.as_secs_f64();
            tracing::warn!("not ended within {seconds} s more: what is left is given up");
            control.abort();
        }
    }
}

fn message_of(error: JoinError) -> String {
    if error.is_cancelled() {
        return "a stage was cancelled".to_owned();
    }
    let panic = error.into_panic();
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    match text.or_else(|| panic.downcast_ref::<String>().cloned()) {
        Some(text) => format!("a stage panicked: {text}"),
        None => resume_unwind(panic),
    }
}
