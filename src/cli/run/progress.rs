//! How a run is doing: a line at the bottom of a terminal, or a line in the log now and then.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::time::Duration;

use engine::monitor::{BreakerState, StageStatistics, Statistics};
use engine::plan::Plan;
use engine::runtime::Monitor;
use indicatif::{ProgressBar, ProgressStyle};

use super::summary::{number, span};
use super::{OutputArguments, prints_to_terminal};
use crate::cli::{LogFormat, log};

/// How often the line changes.
const LINE_INTERVAL: Duration = Duration::from_millis(200);
/// Over how many changes of the line the rate is taken: events come in bursts.
const LOOKS: usize = 15;
/// How many sinks have room in the line.
const SINKS_SHOWN: usize = 4;

/// How the progress is shown.
pub(super) enum Progress {
    /// As a line that changes.
    Line,
    /// As lines in the log, so often.
    Log(Duration),
    /// Not at all.
    Hidden,
}

impl Progress {
    /// A line on a terminal, unless the events themselves go there.
    pub(super) fn choose(plan: &Plan, output: &OutputArguments) -> Self {
        let on_terminal = std::io::stderr().is_terminal();
        match output.log_format {
            _ if output.quiet > 0 => Self::Hidden,
            LogFormat::Text if on_terminal && prints_to_terminal(plan) => Self::Hidden,
            LogFormat::Text if on_terminal => Self::Line,
            _ => Self::Log(plan.spec.monitoring.interval.0),
        }
    }

    /// Shows it until it is dropped.
    pub(super) async fn show(self, monitor: Monitor) {
        match self {
            Self::Line => show_line(&monitor).await,
            Self::Log(interval) => show_in_log(&monitor, interval).await,
            Self::Hidden => {}
        }
    }
}

async fn show_line(monitor: &Monitor) {
    let line = Line(log::progress().add(ProgressBar::new_spinner()));
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
        line.0.set_style(style);
    }
    let mut ticks = tokio::time::interval(LINE_INTERVAL);
    let mut looks: VecDeque<Statistics> = VecDeque::new();
    loop {
        ticks.tick().await;
        let now = monitor.statistics();
        line.0.set_message(text(&now, looks.front()));
        line.0.tick();
        looks.push_back(now);
        if looks.len() > LOOKS {
            looks.pop_front();
        }
    }
}

/// A line that goes away with the run.
struct Line(ProgressBar);

impl Drop for Line {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

async fn show_in_log(monitor: &Monitor, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    // The first tick is at once, when there is nothing to say yet.
    ticks.tick().await;
    let mut last = monitor.statistics();
    loop {
        ticks.tick().await;
        let now = monitor.statistics();
        tracing::info!(
            events = now.events_generated,
            rate = rate(&now, Some(&last)).round() as u64,
            event_time = now.last_event_time.map(|time| time.to_string()),
            delivered = now.events_sent_successfully,
            failed = now.events_failed,
            elapsed_seconds = now.elapsed_seconds.round() as u64,
            "running"
        );
        for sink in &now.stages {
            if let Some(ailment) = ailment(sink) {
                tracing::info!(sink = sink.stage, "{ailment}");
            }
        }
        last = now;
    }
}

/// `12 400 events  4 960/s  2024-11-29T12:04:00.000Z  hub 12 000 (3 failed)  00:02:30`
fn text(now: &Statistics, last: Option<&Statistics>) -> String {
    let mut parts = vec![
        format!("{} events", number(now.events_generated)),
        format!("{}/s", number(rate(now, last).round() as u64)),
    ];
    parts.extend(now.last_event_time.map(|time| time.to_string()));
    let sinks = || now.stages.iter().filter(|stage| stage.kind == "sink");
    parts.extend(sinks().take(SINKS_SHOWN).map(sink));
    if let more @ 1.. = sinks().count().saturating_sub(SINKS_SHOWN) {
        parts.push(format!("{more} more"));
    }
    parts.push(span(Duration::from_secs_f64(now.elapsed_seconds)));
    parts.join("  ")
}

/// `hub 12 000 (3 failed; circuit open, 8 213 buffered)`
fn sink(sink: &StageStatistics) -> String {
    let failed: u64 = sink.dead_lettered.values().chain(sink.dropped.values()).sum();
    let failed = (failed > 0).then(|| format!("{} failed", number(failed)));
    let remarks: Vec<String> = failed.into_iter().chain(ailment(sink)).collect();
    let delivered = format!("{} {}", sink.stage, number(sink.sent));
    match remarks.as_slice() {
        [] => delivered,
        remarks => format!("{delivered} ({})", remarks.join("; ")),
    }
}

/// How a sink's delivery is, where it is not plainly well: `circuit open, 8 213 buffered`.
fn ailment(sink: &StageStatistics) -> Option<String> {
    let delivery = sink.delivery.as_ref()?;
    let circuit = match delivery.circuit_breaker {
        BreakerState::Closed => return None,
        BreakerState::Open => "circuit open",
        BreakerState::HalfOpen => "circuit half open",
    };
    Some(format!("{circuit}, {} buffered", number(delivery.buffer_size)))
}

/// Source events per second since the last look.
fn rate(now: &Statistics, last: Option<&Statistics>) -> f64 {
    let Some(last) = last else { return now.events_per_second };
    let events = now.events_generated.saturating_sub(last.events_generated);
    events as f64 / (now.elapsed_seconds - last.elapsed_seconds).max(1e-9)
}
