//! What is known of a run, and what its user is doing: all that the screen shows.

use std::collections::VecDeque;
use std::time::Duration;

use super::shapes::{Failure, Graph, Live, Sample, Seen};

/// How many samples are kept: fifteen minutes.
const SAMPLES_MAX: usize = 900;

/// Samples that are nearer to each other, in milliseconds, count as one.
const SAMPLES_APART_MIN: i64 = 500;

/// Over how many samples the rate of an event type is taken.
const RATE_SAMPLES: usize = 10;

/// News of a run.
#[derive(Debug)]
pub(super) enum News {
    /// It is there: what it is, and what it was until now.
    Found(Graph, Vec<Sample>),
    /// How it is doing.
    Live(Box<Live>),
    /// It has ended; what was told last is how.
    Ended,
    /// It does not answer any more.
    Lost(String),
    Failures(Vec<Failure>),
    /// Events of a stage, the newest first.
    Events(String, Vec<Seen>),
    /// What came of something that was asked for, and whether it was done.
    Answer(bool, String),
}

/// How well a run is connected.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Line {
    #[default]
    Connecting,
    Connected,
    Ended,
    Lost(String),
}

/// What lies over the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Over {
    #[default]
    Nothing,
    Help,
    /// Whether the run is really to be stopped.
    AskStop,
}

/// All that is shown.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) address: String,
    pub(super) line: Line,
    pub(super) graph: Graph,
    pub(super) live: Option<Live>,
    pub(super) history: VecDeque<Sample>,
    pub(super) failures: Vec<Failure>,
    /// The place of the stage that is looked into.
    pub(super) selected: Option<usize>,
    pub(super) events: Vec<Seen>,
    pub(super) over: Over,
    /// What came of the last key, and whether it was done.
    pub(super) answer: Option<(bool, String)>,
}

impl View {
    pub(super) fn new(address: &str) -> Self {
        Self { address: address.to_owned(), ..Self::default() }
    }

    /// Takes in what has happened.
    pub(super) fn hear(&mut self, news: News) {
        match news {
            News::Found(graph, samples) => {
                self.selected = self.selected.filter(|place| *place < graph.stages.len());
                self.graph = graph;
                self.history = samples.into();
                self.line = Line::Connected;
                self.keep_bound();
            }
            News::Live(live) => {
                // A rate over a moment says nothing.
                let is_same = |last: &&Sample| {
                    live.sample.t - last.t < SAMPLES_APART_MIN && live.sample.t >= last.t
                };
                if self.history.back().as_ref().is_some_and(is_same) {
                    self.history.pop_back();
                }
                self.history.push_back(live.sample.clone());
                self.live = Some(*live);
                self.line = Line::Connected;
                self.keep_bound();
            }
            News::Ended => {
                self.line = Line::Ended;
                self.answer = None;
            }
            // A run that has ended does not answer.
            News::Lost(_) if self.line == Line::Ended => {}
            News::Lost(why) => self.line = Line::Lost(why),
            News::Failures(failures) => self.failures = failures,
            News::Events(stage, events) => {
                if self.selected_stage() == Some(&stage) {
                    self.events = events;
                }
            }
            News::Answer(is_done, text) => self.answer = Some((is_done, text)),
        }
    }

    fn keep_bound(&mut self) {
        self.history.drain(..self.history.len().saturating_sub(SAMPLES_MAX));
    }

    /// The stage that is looked into.
    pub(super) fn selected_stage(&self) -> Option<&str> {
        Some(&self.graph.stages.get(self.selected?)?.stage)
    }

    /// Looks into the next stage, or the one before, or again into none.
    pub(super) fn select(&mut self, forward: bool) {
        let last = self.graph.stages.len().checked_sub(1);
        let before = self.selected;
        self.selected = match (self.selected, forward) {
            (None, true) => last.map(|_| 0),
            (None, false) => last,
            (Some(place), true) => Some(place + 1).filter(|next| Some(*next) <= last),
            (Some(place), false) => place.checked_sub(1),
        };
        if self.selected != before {
            self.events.clear();
        }
    }

    /// Counts per second between samples that follow each other, the oldest first.
    pub(super) fn rates(&self, count: impl Fn(&Sample) -> u64) -> Vec<f64> {
        let pairs = self.history.iter().zip(self.history.iter().skip(1));
        pairs.filter_map(|(before, now)| per_second(before, now, &count)).collect()
    }

    /// A figure of each sample, the oldest first.
    pub(super) fn figures(&self, figure: impl Fn(&Sample) -> f64) -> Vec<f64> {
        self.history.iter().map(figure).collect()
    }

    /// Counts per second lately.
    pub(super) fn rate(&self, count: impl Fn(&Sample) -> u64) -> Option<f64> {
        let now = self.history.back()?;
        per_second(
            self.history.get(self.history.len().saturating_sub(RATE_SAMPLES + 1))?,
            now,
            &count,
        )
    }

    /// Event types by how many there are of each in a second, lately; the most frequent first, then
    /// those of which there were most.
    pub(super) fn types(&self) -> Vec<(&str, f64, u64)> {
        let Some(now) = self.history.back() else { return Vec::new() };
        let count =
            |sample: &Sample, name: &str| sample.types.get(name).copied().unwrap_or_default();
        let mut types: Vec<_> = now
            .types
            .iter()
            .map(|(name, total)| {
                (name.as_str(), self.rate(|sample| count(sample, name)).unwrap_or_default(), *total)
            })
            .collect();
        types.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.2.cmp(&a.2)).then(a.0.cmp(b.0)));
        types
    }

    /// How long the run has been going on.
    pub(super) fn elapsed(&self) -> Duration {
        let seconds = self.live.as_ref().map_or(0.0, |live| live.state.elapsed_seconds);
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }

    /// What the run is doing, in a word.
    pub(super) fn phase(&self) -> &str {
        let phase = self.live.as_ref().map_or("", |live| live.state.phase.as_str());
        match self.line {
            Line::Connecting => "connecting",
            Line::Ended => "ended",
            Line::Lost(_) => "gone",
            Line::Connected => phase,
        }
    }
}

fn per_second(before: &Sample, now: &Sample, count: impl Fn(&Sample) -> u64) -> Option<f64> {
    let seconds = now.t.checked_sub(before.t).filter(|millis| *millis > 0)? as f64 / 1000.0;
    Some(count(now).saturating_sub(count(before)) as f64 / seconds)
}
