//! The last failures of a run, for whoever looks why something is red.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;

use crate::clock::wall_now;
use crate::event::Timestamp;
use crate::monitor::{Fate, Incident, Observer};
use crate::spec::Document;

/// How many are kept.
const FAILURES_MAX: usize = 200;

/// How many are taken in a second: where everything fails, some are enough.
const FAILURES_A_SECOND: i64 = 200;

/// How much of a reason is kept, in bytes.
const REASON_BYTES_MAX: usize = 1000;

/// The last failures.
pub(super) struct Failures {
    kept: Mutex<VecDeque<Failure>>,
    /// How many more are taken in this second.
    budget: AtomicI64,
    document: Document,
}

#[derive(Clone, JsonSchema, Serialize)]
struct Failure {
    time: Timestamp,
    stage: String,
    kind: &'static str,
    category: String,
    reason: String,
    trace_id: Option<String>,
    event_type: Option<&'static str>,
    fate: Fate,
}

/// The newest first.
#[derive(JsonSchema, Serialize)]
pub(super) struct Shown {
    failures: Vec<Failure>,
}

impl Failures {
    /// The document knows what is secret.
    pub(super) fn new(document: Document) -> Self {
        Self { kept: Mutex::default(), budget: AtomicI64::new(FAILURES_A_SECOND), document }
    }

    /// A new second begins.
    pub(super) fn begin_second(&self) {
        self.budget.store(FAILURES_A_SECOND, Relaxed);
    }

    pub(super) fn shown(&self) -> Shown {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut failures: Vec<Failure> = kept.iter().rev().cloned().collect();
        drop(kept);
        for failure in &mut failures {
            failure.reason = self.masked(&failure.reason);
        }
        Shown { failures }
    }

    /// A text without what is secret in the spec.
    pub(super) fn masked(&self, text: &str) -> String {
        self.document.masked(text)
    }
}

impl Observer for Failures {
    fn failed(&self, incident: &Incident<'_>) {
        if self.budget.load(Relaxed) <= 0 {
            return;
        }
        self.budget.fetch_sub(1, Relaxed);
        let Incident { stage, kind, category, reason, event, fate } = *incident;
        let end = reason.floor_char_boundary(REASON_BYTES_MAX);
        let failure = Failure {
            time: wall_now(),
            stage: stage.to_owned(),
            kind: kind.singular(),
            category: category.to_owned(),
            reason: reason[..end].to_owned(),
            trace_id: event.map(|event| event.trace_id.to_string()),
            event_type: event.map(|event| event.event_type.as_str()),
            fate,
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == FAILURES_MAX {
            kept.pop_front();
        }
        kept.push_back(failure);
    }
}
