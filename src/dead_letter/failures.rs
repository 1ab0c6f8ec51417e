//! What becomes of an event that a stage failed on: a dead letter, or a counted loss.

use std::sync::Arc;

use super::queue::{Content, DeadLetter, DeadLetters, Disposition};
use crate::control::Control;
use crate::event::Event;
use crate::failure::Failure;
use crate::monitor::Account;

/// The way out for events that one stage could not process.
#[derive(Clone, Debug)]
pub struct Failures {
    account: Arc<Account>,
    dead_letters: DeadLetters,
    control: Control,
}

impl Failures {
    /// The way out for the stage with this account.
    pub fn new(account: Arc<Account>, dead_letters: DeadLetters, control: Control) -> Self {
        Self { account, dead_letters, control }
    }

    /// Takes an event that cannot go on. When its dead letter cannot be kept, the run fails.
    pub fn event(&self, event: &Event, failure: &Failure) {
        self.content(Content::Event(event), failure);
    }

    /// Takes input that is no event; `origin` is where it came from, such as `events.ndjson:17`.
    pub fn input(&self, text: &str, origin: &str, failure: &Failure) {
        // What was never an event was not counted as one, so it begins here.
        self.account.derive(1);
        self.content(Content::Input { text, origin }, failure);
    }

    /// Notes a failure that belongs to no event, such as one in a timer.
    pub fn rule(&self, failure: &Failure) {
        let stage = &self.account.stage;
        tracing::warn!(stage, category = failure.category, "{}", failure.reason);
        self.account.note_error(failure.category);
    }

    fn content(&self, content: Content<'_>, failure: &Failure) {
        let stage = &self.account.stage;
        let Failure { category, reason } = failure;
        // The first of a sort is said aloud; the dead letters have the others.
        if self.account.has_failed(category) {
            tracing::debug!(stage, category, "{reason}");
        } else {
            tracing::warn!(stage, category, "an event failed: {reason}");
        }
        match self.dead_letters.write(&DeadLetter { stage, failure, content }) {
            Disposition::Kept => self.account.dead_letter(failure.category),
            Disposition::Dropped => self.account.drop_events(failure.category, 1),
            Disposition::Full(reason) | Disposition::Error(reason) => {
                self.account.drop_events(failure.category, 1);
                self.account.break_off(&reason);
                self.control.fail(format!("stage `{stage}`: {reason}"));
            }
        }
    }
}
