//! The signals of a run: stop and drain, give up, fail.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::event::Ledger;

/// How far a run has come towards its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Sources deliver.
    Running,
    /// Sources have stopped; what is on its way goes to the sinks.
    Draining,
    /// Nothing is sent any more: what is left goes to disk buffers and dead letters.
    Keeping,
    /// Nothing is waited for any more.
    Aborted,
}

/// Stops a run from anywhere; copies act on the same run.
#[derive(Clone, Debug)]
pub struct Control {
    phase: Arc<watch::Sender<Phase>>,
    errors: Arc<Mutex<Vec<String>>>,
    /// What is dropped after a failure was not delivered, so it must not be acknowledged.
    ledgers: Arc<Mutex<Vec<Ledger>>>,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            phase: Arc::new(watch::Sender::new(Phase::Running)),
            errors: Arc::default(),
            ledgers: Arc::default(),
        }
    }
}

impl Control {
    /// The control of a run that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops the sources and lets everything behind them drain.
    pub fn stop(&self) {
        self.go_to(Phase::Draining);
    }

    /// Has what is left kept on disk in place of being sent.
    pub fn keep(&self) {
        self.go_to(Phase::Keeping);
    }

    /// Closes this ledger when the run fails or is given up.
    pub fn watch_over(&self, ledger: Ledger) {
        self.ledgers.lock().unwrap_or_else(PoisonError::into_inner).push(ledger);
    }

    /// Gives up what is on its way. What was not delivered is not acknowledged.
    pub fn abort(&self) {
        self.close_ledgers();
        self.go_to(Phase::Aborted);
    }

    /// Notes why the run failed, and stops it. The same reason is noted once.
    pub fn fail(&self, error: impl Into<String>) {
        let error = error.into();
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        if !errors.contains(&error) {
            errors.push(error);
        }
        drop(errors);
        self.close_ledgers();
        self.stop();
    }

    fn close_ledgers(&self) {
        let ledgers = self.ledgers.lock().unwrap_or_else(PoisonError::into_inner);
        ledgers.iter().for_each(Ledger::close);
    }

    /// How far the run is.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Waits until the run has come to `phase`.
    pub async fn reached(&self, phase: Phase) {
        let mut phases = self.phase.subscribe();
        // The sender lives as long as this control, so waiting cannot fail.
        let _ = phases.wait_for(|current| *current >= phase).await;
    }

    /// Why the run failed, in the order in which it was noticed.
    pub fn errors(&self) -> Vec<String> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn go_to(&self, phase: Phase) {
        self.phase.send_if_modified(|current| {
            let is_later = phase > *current;
            *current = phase.max(*current);
            is_later
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_after_a_failure_is_not_acknowledged() {
        let (control, ledger) = (Control::new(), Ledger::new());
        control.watch_over(ledger.clone());
        let [before, after] = [1, 2].map(|position| ledger.issue(position.into()));
        drop(before);
        control.fail("the disk is full");
        drop(after);
        assert_eq!(ledger.acknowledged(), Some(1.into()));
        assert_eq!((control.phase(), ledger.outstanding()), (Phase::Draining, 1));
    }
}
