//! The report: how a run ended, and accounts that add up.

use std::time::Duration;

use serde::Serialize;

use super::Monitor;
use crate::control::{Control, Phase};
use crate::delivery::UNDELIVERED;
use crate::kind::Kind;
use crate::monitor::{StageStatistics, Statistics};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The sources had no more to give, or the time or number of events was reached.
    Finished,
    /// It was told to stop, and drained.
    Stopped,
    /// It was told to stop at once, or could not drain in its time; events were still on their way.
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
    /// `overdue` is how long the run had to drain, if that was not enough.
    pub(super) fn new(
        monitor: &Monitor,
        control: &Control,
        drained: bool,
        overdue: Option<Duration>,
    ) -> Self {
        let mut statistics = monitor.statistics();
        // A run that is over has no last seconds.
        statistics.events_per_second = statistics.rates.run;
        let (mut errors, balanced) = (control.errors(), statistics.balance());
        if drained && errors.is_empty() && !balanced {
            errors
                .push("the accounts do not balance: events were lost or counted twice".to_owned());
        }
        for sink in statistics.stages.iter().filter(|stage| stage.kind == Kind::Sink.singular()) {
            let failed = sink.dead_lettered.values().sum::<u64>() + sink.filtered;
            if !sink.dead_lettered.is_empty() && failed == sink.received && unsent(sink) == 0 {
                errors.push(format!(
                    "the sink `{}` delivered nothing: see its dead letters",
                    sink.stage
                ));
            }
        }
        errors.extend(statistics.stages.iter().filter_map(violations));
        let unsent = statistics.stages.iter().map(unsent).sum::<u64>();
        let ending = match (errors.is_empty(), drained && unsent == 0, control.phase()) {
            (false, ..) => Ending::Failed,
            (true, false, _) => Ending::Aborted,
            (true, true, Phase::Running) => Ending::Finished,
            (true, true, _) => Ending::Stopped,
        };
        let fate = match (drained, unsent) {
            (true, 0) => None,
            (true, unsent) => Some(format!("{unsent} events were not sent")),
            (false, _) => Some("events were given up on their way".to_owned()),
        };
        errors.extend(fate.map(|fate| match overdue {
            Some(timeout) => format!("not drained within {} s: {fate}", timeout.as_secs_f64()),
            None => format!("stopped before the end: {fate}"),
        }));
        let undelivered = if drained { 0 } else { statistics.on_their_way() };
        Self { ending, errors, balanced, undelivered, statistics }
    }

    /// Whether the run did what it was asked to.
    pub fn is_success(&self) -> bool {
        matches!(self.ending, Ending::Finished | Ending::Stopped)
    }
}

/// Why a run has failed in which a stage found what must not be.
fn violations(stage: &StageStatistics) -> Option<String> {
    let findings = stage.findings.as_ref().filter(|findings| findings.fail_run)?;
    let (name, found) = (&stage.stage, findings.count());
    let rules: Vec<&str> = findings.violations.keys().copied().collect();
    (found > 0).then(|| format!("`{name}` found violations: {found}, of {}", rules.join(", ")))
}

/// Events that the run had no time to send, and that no buffer on disk keeps.
fn unsent(stage: &StageStatistics) -> u64 {
    [&stage.dead_lettered, &stage.dropped].iter().filter_map(|counts| counts.get(UNDELIVERED)).sum()
}
