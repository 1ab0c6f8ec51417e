//! The last failures of a run, for whoever looks why something is red.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;

use crate::clock::wall_now;
use crate::event::Timestamp;
use crate::monitor::{Fate, Incident, Observer};
use crate::spec::SecretTexts;

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
    secrets: SecretTexts,
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
    /// What is secret in the spec is not shown.
    pub(super) fn new(secrets: SecretTexts) -> Self {
        Self { kept: Mutex::default(), budget: AtomicI64::new(FAILURES_A_SECOND), secrets }
    }

    /// A new second begins.
    pub(super) fn begin_second(&self) {
        self.budget.store(FAILURES_A_SECOND, Relaxed);
    }

    pub(super) fn shown(&self) -> Shown {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        Shown { failures: kept.iter().rev().cloned().collect() }
    }

    /// A text without what is secret in the spec.
    pub(super) fn masked(&self, text: &str) -> String {
        self.secrets.masked(text)
    }
}

impl Observer for Failures {
    fn failed(&self, incident: &Incident<'_>) {
        if self.budget.load(Relaxed) <= 0 {
            return;
        }
        self.budget.fetch_sub(1, Relaxed);
        let Incident { stage, kind, category, reason, event, fate } = *incident;
        // Masked before it is cut, or a secret across the cut would show how it begins.
        let mut reason = self.masked(reason);
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
        let failure = Failure {
            time: wall_now(),
            stage: stage.to_owned(),
            kind: kind.singular(),
            category: category.to_owned(),
            reason,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;
    use crate::plan::Plan;
    use crate::registry::built_in;
    use crate::spec::{Document, Environment};

    fn failures() -> Failures {
        let yaml = "monitoring: { token: s3cret-token }\n\
                    sources: { mix: { type: retail_mix } }\n\
                    sinks: { out: { type: blackhole, inputs: mix } }\n";
        let path = std::path::Path::new(".");
        let document = Document::parse("a.yaml", yaml, path, &Environment::default()).unwrap();
        let (plan, _) = Plan::new(document, &built_in()).unwrap();
        Failures::new(plan.document.secret_texts())
    }

    fn incident(reason: &str) -> Incident<'_> {
        let (stage, kind, category) = ("out", Kind::Sink, "rejected");
        Incident { stage, kind, category, reason, event: None, fate: Fate::Dropped }
    }

    #[test]
    fn a_secret_is_masked_wherever_a_long_reason_is_cut() {
        for before in REASON_BYTES_MAX - 20..REASON_BYTES_MAX {
            let failures = failures();
            failures.failed(&incident(&format!("{}s3cret-token", "x".repeat(before))));
            let reason = &failures.shown().failures[0].reason;
            assert!(!reason.contains('s') && reason.len() <= REASON_BYTES_MAX, "{reason}");
        }
    }

    #[test]
    fn the_newest_are_kept_and_of_a_flood_some_of_each_second() {
        let failures = failures();
        for second in 0..3 {
            for _ in 0..10 * FAILURES_A_SECOND {
                failures.failed(&incident(&second.to_string()));
            }
            failures.begin_second();
        }
        let shown = failures.shown().failures;
        assert_eq!(shown.len(), FAILURES_MAX);
        assert!(shown.iter().all(|failure| failure.reason == "2"));
    }
}
