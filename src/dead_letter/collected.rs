//! Dead letters that are kept in memory alone, for whoever looks at what fails.

use std::sync::{Arc, Mutex, PoisonError};

use super::queue::{Content, DeadLetter};
use crate::event::Event;
use crate::failure::Failure;

/// How many are kept; of further ones there is only the number.
const KEPT_MAX: usize = 10_000;

/// Everything that fails in a run; copies share it.
#[derive(Clone, Debug, Default)]
pub struct Collected(Arc<Mutex<Found>>);

/// What has failed.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Events and input that could not be processed, in their order.
    pub letters: Vec<CollectedLetter>,
    /// Failures that belong to no event, such as one in a timer, with their stages.
    pub rules: Vec<(String, Failure)>,
    /// How many letters there were beyond those that are kept.
    pub further: u64,
}

/// A dead letter that is on no disk.
#[derive(Clone, Debug)]
pub struct CollectedLetter {
    /// The stage that failed.
    pub stage: String,
    /// Why.
    pub failure: Failure,
    /// How often it was tried.
    pub attempts: u32,
    /// The event, unless it was none.
    pub event: Option<Event>,
}

impl Collected {
    /// What has failed so far.
    pub fn found(&self) -> Found {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn add(&self, letters: &[DeadLetter<'_>]) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for letter in letters {
            if found.letters.len() >= KEPT_MAX {
                found.further += 1;
                continue;
            }
            let event = match letter.content {
                Content::Event(event) => Some(event.clone()),
                Content::Input { .. } => None,
            };
            let (stage, failure) = (letter.stage.to_owned(), letter.failure.clone());
            found.letters.push(CollectedLetter {
                stage,
                failure,
                attempts: letter.attempts,
                event,
            });
        }
    }

    pub(super) fn add_rule(&self, stage: &str, failure: &Failure) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if found.rules.len() < KEPT_MAX {
            found.rules.push((stage.to_owned(), failure.clone()));
        }
    }
}
