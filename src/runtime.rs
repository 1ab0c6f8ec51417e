//! Runs a graph: a task per stream end, signals, the order of draining, the report.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinSet};

use crate::checkpoint::Checkpoints;
use crate::clock::Clock;
use crate::control::{Control, Phase};
use crate::event::Timestamp;
use crate::graph::{Graph, Surroundings};
use crate::monitor::{Account, Health, Statistics};

mod report;
mod threads;

pub use report::{Ending, Report};
pub use threads::Threads;

/// A look at a run, from anywhere, while it goes on and after it.
#[derive(Clone)]
pub struct Monitor {
    accounts: Arc<[Arc<Account>]>,
    clock: Clock,
}

impl Monitor {
    /// The figures now.
    pub fn statistics(&self) -> Statistics {
        Statistics::of(&self.accounts, self.clock.elapsed())
    }

    /// Whether all stages are well.
    pub fn health(&self) -> Health {
        Health::of(&self.accounts)
    }
}

/// How long what is left may take on its way to disk, once nothing is sent any more.
const KEEP_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a task may take to notice that it was given up: it does when its stage comes back from
/// a call.
const GIVE_UP_TIMEOUT: Duration = Duration::from_secs(3);

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
            monitor: Monitor { accounts: graph.accounts.into(), clock: around.clock },
            control: around.control.clone(),
            checkpoints: around.checkpoints.clone(),
            end: around.end,
            drain_timeout,
        }
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
        let clock = self.monitor.clock;
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
