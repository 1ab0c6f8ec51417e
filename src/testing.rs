//! The tests of a spec: events go in, the whole graph runs in virtual time, and what comes out is
//! held against what is expected.
//!
//! ```text
//! tests: -> cases -> rehearsal -> run -> what was seen -> verdict -> Outcome
//!           names,   sinks fake,         observers         misfits with
//!           events   no outside                            their places
//! ```

mod cases;
mod checks;
mod compare;
mod input;
mod observer;
mod rehearsal;
mod run;
mod snapshot;
mod verdict;

use std::path::PathBuf;

use crate::plan::Plan;
use crate::problem::{Place, Problems};

pub use cases::Case;

/// The tests of a pipeline, resolved: stages found, predicates compiled, files read.
pub struct Suite {
    plan: Plan,
    cases: Vec<Case>,
    warnings: Problems,
}

/// How a test ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The test's name.
    pub name: String,
    /// Where it stands in the spec.
    pub place: Option<Place>,
    /// What is not as expected; none if it passed.
    pub failures: Problems,
    /// The snapshots that were written.
    pub written: Vec<PathBuf>,
}

impl Outcome {
    /// Whether everything was as expected.
    pub fn is_success(&self) -> bool {
        self.failures.is_empty()
    }
}

/// What becomes of snapshots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Snapshots {
    /// They are compared.
    #[default]
    Compare,
    /// They are written anew where they differ.
    Update,
}

impl Suite {
    /// The tests of a pipeline. Reports everything that is wrong with them at once.
    pub fn new(plan: &Plan) -> Result<Self, Problems> {
        let (cases, problems) = cases::cases(plan);
        let problems = plan.document.without_secrets(problems.sorted());
        if problems.has_errors() {
            return Err(problems);
        }
        Ok(Self { plan: plan.clone(), cases, warnings: problems })
    }

    /// What does not keep them from running, but is hardly meant.
    pub fn warnings(&self) -> &Problems {
        &self.warnings
    }

    /// The tests, in the order of the spec.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// Runs a test in a thread of its own, and waits for it. Virtual time costs none: what would
    /// take a week takes as long as its events do.
    pub fn run(&self, case: &Case, snapshots: Snapshots) -> Outcome {
        let (failures, written) = match run::run(&self.plan, case) {
            Ok(seen) => verdict::verdict(&self.plan, case, &seen, snapshots),
            Err(problems) => (problems, Vec::new()),
        };
        let failures = self.plan.document.without_secrets(failures.sorted());
        let place = self.plan.document.place(&format!("{}/name", case.pointer));
        Outcome { name: case.name.clone(), place, failures, written }
    }
}
