//! What stands in for the engine: it keeps what a plugin says to it, for the test to look at.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::PATIENCE_SECONDS;
use super::event::{START_MS, Tree, key_of};
use crate::abi;
use crate::host::Context;
use crate::outcome::{Level, MetricKind, Outcome};
use crate::value::Value;

/// How many lines are kept; the oldest go first.
const LINES_MAX: usize = 10_000;

/// As many as the engine has room for in a stage.
const METRICS_MAX: usize = 64;

/// What stands in for the engine. It outlives the plugin, so that a test can look at what was said
/// when the plugin was destroyed.
pub struct TestHost {
    settings: Tree,
    said: Mutex<Said>,
    /// Something was said that a test may wait for.
    changed: Condvar,
    trace_ids: AtomicU64,
}

#[derive(Default)]
struct Said {
    lines: VecDeque<Line>,
    metrics: Vec<Recorded>,
    /// Writes and flushes by token, with the answer if there is one.
    answers: BTreeMap<u64, Option<Outcome>>,
    tokens: u64,
    wakes: u64,
    next_tick: Option<i64>,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How loud it is.
    pub level: Level,
    /// What it says; of a panic, with its place.
    pub message: String,
}

/// What was recorded under the name of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// What it counts.
    pub kind: MetricKind,
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// How many values were recorded.
    pub count: u64,
    /// The sum of them: what a counter is at.
    pub sum: f64,
    /// The last of them: what a gauge is at.
    pub last: f64,
}

impl TestHost {
    pub(super) fn new(settings: serde_json::Value) -> Self {
        Self {
            settings: Tree::new(settings),
            said: Mutex::default(),
            changed: Condvar::new(),
            trace_ids: AtomicU64::new(1),
        }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lines of the log, all levels, the oldest first; the last 10 000.
    pub fn lines(&self) -> Vec<Line> {
        self.said().lines.iter().cloned().collect()
    }

    /// What was recorded under a name; none if there is no such metric.
    pub fn metric(&self, name: &str) -> Option<Recorded> {
        self.said().metrics.iter().find(|metric| metric.name == name).cloned()
    }

    pub(super) fn new_trace_id(&self) -> String {
        format!("TR_test_{}", self.trace_ids.fetch_add(1, Relaxed))
    }

    pub(super) fn next_tick_ms(&self) -> Option<i64> {
        self.said().next_tick
    }

    /// The tick that was asked for comes.
    pub(super) fn forget_tick(&self, now_ms: i64) {
        let mut said = self.said();
        said.next_tick = said.next_tick.filter(|asked_ms| *asked_ms > now_ms);
    }

    /// A token for a write or a flush.
    pub(super) fn new_token(&self) -> u64 {
        let mut said = self.said();
        said.tokens += 1;
        let token = said.tokens;
        said.answers.insert(token, None);
        token
    }

    /// How many writes and flushes have no answer yet.
    pub(super) fn unanswered(&self) -> usize {
        self.said().answers.values().filter(|answer| answer.is_none()).count()
    }

    /// Nobody waits for it any more.
    pub(super) fn forget_token(&self, token: u64) {
        self.said().answers.remove(&token);
    }

    /// Waits for an answer; none if it does not come.
    pub(super) fn answer(&self, token: u64) -> Option<Outcome> {
        let waits = |said: &mut Said| matches!(said.answers.get(&token), Some(None));
        let mut said = self.wait_while(waits);
        said.answers.remove(&token).flatten()
    }

    /// Waits for a wake; false if it does not come.
    pub(super) fn woken(&self) -> bool {
        let mut said = self.wait_while(|said| said.wakes == 0);
        let is_woken = said.wakes > 0;
        said.wakes = 0;
        is_woken
    }

    fn wait_while(&self, waits: impl FnMut(&mut Said) -> bool) -> MutexGuard<'_, Said> {
        let patience = Duration::from_secs(PATIENCE_SECONDS);
        let waited = self.changed.wait_timeout_while(self.said(), patience, waits);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Context for TestHost {
    fn log(&self, level: Level, _: &str, message: &str) {
        let mut said = self.said();
        if said.lines.len() == LINES_MAX {
            said.lines.pop_front();
        }
        said.lines.push_back(Line { level, message: message.to_owned() });
    }

    fn log_enabled(&self, _: Level) -> bool {
        true
    }

    fn metric(&self, kind: MetricKind, name: &str, unit: &str) -> Option<u32> {
        let mut said = self.said();
        let known = said.metrics.iter().position(|metric| metric.name == name);
        if known.is_none() && said.metrics.len() == METRICS_MAX {
            return None;
        }
        let place = known.unwrap_or_else(|| {
            let (name, unit) = (name.to_owned(), unit.to_owned());
            said.metrics.push(Recorded { kind, name, unit, count: 0, sum: 0.0, last: 0.0 });
            said.metrics.len() - 1
        });
        Some(place as u32 + 1)
    }

    fn record(&self, metric: u32, value: f64) {
        let place = (metric as usize).wrapping_sub(1);
        if let Some(metric) = self.said().metrics.get_mut(place) {
            metric.count += 1;
            metric.sum += value;
            metric.last = value;
        }
    }

    fn setting(&self, pointer: &str) -> Value<'_> {
        self.settings.get(pointer)
    }

    fn key(&self, path: &str) -> Option<abi::Key> {
        key_of(path)
    }

    fn complete(&self, token: u64, outcome: Outcome) -> bool {
        let mut said = self.said();
        let Some(answer @ None) = said.answers.get_mut(&token) else { return false };
        *answer = Some(outcome);
        self.changed.notify_all();
        true
    }

    fn wake(&self) {
        self.said().wakes += 1;
        self.changed.notify_all();
    }

    fn next_tick(&self, ms: Option<i64>) {
        self.said().next_tick = ms;
    }

    fn now(&self) -> i64 {
        START_MS
    }
}
