//! Runs a graph: a task per stream end, signals, the order of draining, the report.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::task::{JoinError, JoinSet};

use crate::clock::Clock;
use crate::control::{Control, Phase};
use crate::graph::Graph;
use crate::monitor::{Account, Health, Statistics};

mod report;

pub use report::{Ending, Report};

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

/// A graph with all that its run needs.
pub struct Run {
    tasks: Vec<BoxFuture<'static, ()>>,
    monitor: Monitor,
    control: Control,
    drain_timeout: Duration,
}

impl Run {
    /// A run of a graph that has not begun.
    pub fn new(graph: Graph, clock: Clock, control: Control, drain_timeout: Duration) -> Self {
        let monitor = Monitor { accounts: graph.accounts.into(), clock };
        Self { tasks: graph.tasks, monitor, control, drain_timeout }
    }

    /// A look at the run.
    pub fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    /// Runs until every stream has ended: because its sources did, or were stopped. Sources end
    /// first and sinks close last, since each stream ends only after those that it reads.
    pub async fn finish(self) -> Report {
        let mut tasks = JoinSet::new();
        for task in self.tasks {
            tasks.spawn(task);
        }
        let drained = tokio::select! {
            () = join_all(&mut tasks, &self.control) => true,
            () = give_up(&self.control, self.drain_timeout) => false,
        };
        if !drained {
            tasks.shutdown().await;
        }
        Report::new(&self.monitor, &self.control, drained)
    }
}

async fn join_all(tasks: &mut JoinSet<()>, control: &Control) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            control.fail(message_of(error));
        }
    }
}

/// Waits for the second signal, or for the drain to have taken too long.
async fn give_up(control: &Control, drain_timeout: Duration) {
    control.reached(Phase::Draining).await;
    tokio::select! {
        () = control.reached(Phase::Aborted) => {}
        () = tokio::time::sleep(drain_timeout) => {
            control.fail(format!("not drained within {} s", drain_timeout.as_secs_f64()));
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
