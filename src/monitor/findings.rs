//! What a stage that checks events finds out about them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;

/// What a stage has found; the stage enters it, its account shows it.
#[derive(Clone, Debug, Default)]
pub struct FindingsBoard(Arc<Mutex<Findings>>);

/// What was found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Findings {
    /// Events that were looked at.
    pub events: u64,
    /// Questions that were left open, since what they need to know was forgotten.
    pub unchecked: u64,
    /// Broken rules by name.
    pub violations: BTreeMap<&'static str, Violations>,
    /// Whether the run has failed where there is any.
    #[serde(skip)]
    pub fail_run: bool,
}

/// How often a rule was broken.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Violations {
    /// How often.
    pub count: u64,
    /// The first event of which it was noticed.
    pub first_trace_id: String,
    /// What was wrong with it.
    pub first_reason: String,
}

impl FindingsBoard {
    /// The findings, to read or to enter; held for a moment only.
    pub fn lock(&self) -> MutexGuard<'_, Findings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Findings {
    /// How many violations there are of all rules.
    pub fn count(&self) -> u64 {
        self.violations.values().map(|violations| violations.count).sum()
    }
}
