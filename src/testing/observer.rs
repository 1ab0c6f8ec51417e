//! Looks at what comes out of a stage, and keeps what the verdict needs of it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::checks::{Checks, Predicate, Quantifier};
use crate::event::{Batch, Event};
use crate::failure::Failure;
use crate::graph::Tap;
use crate::script::Condition;

/// How many events are kept at most where they are compared one by one.
pub(super) const COMPARED_MAX: usize = 100_000;
/// How many are kept to be shown where they are only counted.
const SHOWN_MAX: usize = 3;

/// What was seen so far.
pub(super) struct Observer(Mutex<Seen>);

/// What came out of a stage.
pub(super) struct Seen {
    chosen: Option<Condition>,
    /// How many events are kept at most.
    keeps: usize,
    /// The first of them.
    pub(super) events: Vec<Event>,
    /// How many there were, of those that are looked at.
    pub(super) count: u64,
    pub(super) predicates: Vec<Judged>,
    /// The first event on which `where` failed, and why.
    pub(super) failure: Option<(Event, Failure)>,
}

/// What a predicate was true of.
pub(super) struct Judged {
    predicate: Predicate,
    /// The number of events of which it was true.
    pub(super) truths: u64,
    /// The first event that speaks against it, with its number, from 1.
    pub(super) against: Option<(u64, Event)>,
    /// The first event on which it failed, and why.
    pub(super) failure: Option<(u64, Event, Failure)>,
}

impl Observer {
    pub(super) fn new(checks: &Checks) -> Self {
        let compares = !checks.lists.is_empty() || checks.snapshot.is_some();
        let judged = |predicate: &Predicate| Judged {
            predicate: predicate.clone(),
            truths: 0,
            against: None,
            failure: None,
        };
        Self(Mutex::new(Seen {
            chosen: checks.chosen.clone(),
            keeps: if compares { COMPARED_MAX } else { SHOWN_MAX },
            events: Vec::new(),
            count: 0,
            predicates: checks.predicates.iter().map(judged).collect(),
            failure: None,
        }))
    }

    /// Looks at the events of a batch.
    pub(super) fn see(&self, batch: &Batch) {
        if !batch.is_empty() {
            let mut seen = self.seen();
            batch.events().iter().for_each(|event| seen.event(event));
        }
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tap for Observer {
    fn leaves(&self, batch: &Batch) {
        self.see(batch);
    }
}

impl Seen {
    fn event(&mut self, event: &Event) {
        // A condition borrows an event for itself.
        if let Some(chosen) = &mut self.chosen {
            match chosen.is_true_of(&mut event.clone()) {
                Ok(true) => {}
                Ok(false) => return,
                Err(failure) => {
                    self.failure.get_or_insert_with(|| (event.clone(), failure));
                    return;
                }
            }
        }
        self.count += 1;
        for judged in &mut self.predicates {
            judged.judge(self.count, event);
        }
        if self.events.len() < self.keeps {
            self.events.push(event.clone());
        }
    }
}

impl Judged {
    pub(super) fn quantifier(&self) -> Quantifier {
        self.predicate.quantifier
    }

    fn judge(&mut self, number: u64, event: &Event) {
        match self.predicate.condition.is_true_of(&mut event.clone()) {
            Ok(is_true) => {
                self.truths += u64::from(is_true);
                let speaks_against = match self.predicate.quantifier {
                    Quantifier::All => !is_true,
                    Quantifier::None => is_true,
                    Quantifier::Any => false,
                };
                if speaks_against && self.against.is_none() {
                    self.against = Some((number, event.clone()));
                }
            }
            Err(failure) => {
                self.failure.get_or_insert_with(|| (number, event.clone(), failure));
            }
        }
    }
}
