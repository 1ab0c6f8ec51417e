//! The report: how a run ended, and accounts that add up.

use serde::Serialize;

use super::Monitor;
use crate::control::{Control, Phase};
use crate::kind::Kind;
use crate::monitor::Statistics;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The sources had no more to give, or the time or number of events was reached.
    Finished,
    /// It was told to stop, and drained.
    Stopped,
    /// It was told to stop at once; events were still on their way.
    Aborted,
    /// Something went wrong; `errors` says what.
    Failed,
}

/// What a run came to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How it ended.
    pub ending: Ending,
    /// What went wrong.
    pub errors: Vec<String>,
    /// Whether every event that was made is found again in exactly one place.
    pub balanced: bool,
    /// Events that were on their way when the run was given up.
    pub undelivered: u64,
    /// The final figures.
    pub statistics: Statistics,
}

impl Report {
    pub(super) fn new(monitor: &Monitor, control: &Control, drained: bool) -> Self {
        let statistics = monitor.statistics();
        let (mut errors, balanced) = (control.errors(), statistics.balance());
        if drained && errors.is_empty() && !balanced {
            errors
                .push("the accounts do not balance: events were lost or counted twice".to_owned());
        }
        for sink in statistics.stages.iter().filter(|stage| stage.kind == Kind::Sink.singular()) {
            let failed = sink.dead_lettered.values().sum::<u64>() + sink.filtered;
            if !sink.dead_lettered.is_empty() && failed == sink.received {
                errors.push(format!(
                    "the sink `{}` delivered nothing: see its dead letters",
                    sink.stage
                ));
            }
        }
        let ending = match (errors.is_empty(), drained, control.phase()) {
            (false, ..) => Ending::Failed,
            (true, false, _) => Ending::Aborted,
            (true, true, Phase::Running) => Ending::Finished,
            (true, true, _) => Ending::Stopped,
        };
        let undelivered = if drained { 0 } else { statistics.on_their_way() };
        Self { ending, errors, balanced, undelivered, statistics }
    }

    /// Whether the run did what it was asked to.
    pub fn is_success(&self) -> bool {
        matches!(self.ending, Ending::Finished | Ending::Stopped)
    }
}
