//! What becomes of events that a stage failed on: dead letters, or counted losses.

use std::sync::Arc;

use super::queue::{Content, DeadLetter, DeadLetters, Disposition, Written};
use crate::control::Control;
use crate::event::{Event, Timestamp};
use crate::failure::Failure;
use crate::monitor::{Account, Fate};

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
        self.events([(event, failure)]);
    }

    /// Takes the events of a batch that cannot go on, in one write.
    pub fn events<'a>(&self, failed: impl IntoIterator<Item = (&'a Event, &'a Failure)>) {
        let letter = |(event, failure)| self.letter(Content::Event(event), failure);
        self.kept_or_lost(&failed.into_iter().map(letter).collect::<Vec<_>>());
    }

    /// Takes input that is no event; `origin` is where it came from, such as `events.ndjson:17`.
    pub fn input(&self, text: &str, origin: &str, failure: &Failure) {
        // What was never an event was not counted as one, so it begins here.
        self.account.derive(1);
        self.kept_or_lost(&[self.letter(Content::Input { text, origin }, failure)]);
    }

    /// Notes a failure that belongs to no event, such as one in a timer.
    pub fn rule(&self, failure: &Failure) {
        let stage = &self.account.stage;
        tracing::warn!(stage, category = failure.category, "{}", failure.reason);
        self.account.note_error(failure.category);
        self.account.incident(failure, None, Fate::Noted);
        self.dead_letters.note_rule(stage, failure);
    }

    /// The stage cannot do what it has to: the run fails.
    pub fn fail_run(&self, reason: &str) {
        self.account.break_off(reason);
        self.control.fail(format!("stage `{}`: {reason}", self.account.stage));
    }

    /// Takes events that were sent `attempts` times in vain, at first at `first_time`. Those of one
    /// call are one write. What is kept is entered; what becomes of the others is for the caller to
    /// say, who may have them elsewhere, or [`Self::lose`] them.
    pub fn delivery<'a>(
        &self,
        failed: impl Iterator<Item = (&'a Event, &'a Failure)>,
        attempts: u32,
        first_time: Option<Timestamp>,
    ) -> Written {
        let letter = |(event, failure)| DeadLetter {
            attempts,
            first_time,
            ..self.letter(Content::Event(event), failure)
        };
        self.letters(&failed.map(letter).collect::<Vec<_>>())
    }

    /// Enters events that are kept nowhere, each by its failure.
    pub fn lose<'a>(&self, failures: impl IntoIterator<Item = &'a Failure>) {
        for failure in failures {
            self.account.drop_events(failure.category, 1);
            self.account.incident(failure, None, Fate::Dropped);
        }
    }

    /// A letter about something that was tried once, just now.
    fn letter<'a>(&'a self, content: Content<'a>, failure: &'a Failure) -> DeadLetter<'a> {
        DeadLetter { stage: &self.account.stage, failure, content, attempts: 1, first_time: None }
    }

    fn kept_or_lost(&self, letters: &[DeadLetter<'_>]) {
        let kept = self.letters(letters).kept;
        self.lose(letters[kept..].iter().map(|letter| letter.failure));
    }

    /// Writes letters and enters those that are kept. Where others cannot be, and may not be
    /// dropped either, the run fails.
    fn letters(&self, letters: &[DeadLetter<'_>]) -> Written {
        if letters.is_empty() {
            return Written { kept: 0, others: Disposition::Kept };
        }
        let stage = &self.account.stage;
        let mut said: Vec<&str> = Vec::new();
        for Failure { category, reason } in letters.iter().map(|letter| letter.failure) {
            // The first of a sort is said aloud; the dead letters have the others.
            if said.contains(category) || self.account.has_failed(category) {
                tracing::debug!(stage, category, "{reason}");
            } else {
                tracing::warn!(stage, category, "an event failed: {reason}");
                said.push(category);
            }
        }
        let written = self.dead_letters.write(letters);
        for letter in &letters[..written.kept] {
            self.account.dead_letter(letter.failure.category);
            self.account.incident(letter.failure, letter.content.event(), Fate::DeadLetter);
        }
        if let Disposition::Full(reason) | Disposition::Error(reason) = &written.others {
            self.fail_run(reason);
        }
        written
    }
}
