//! The last quarter of an hour of a run, a sample a second: what rates, quantiles and charts are of.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use super::{LatencyTally, Tally};
use crate::event::{Key, Timestamp};

/// How often a sample is taken.
pub const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// How many samples are kept: fifteen minutes.
const SAMPLES_MAX: usize = 900;

/// How many event types a sample tells apart.
const TYPES_MAX: usize = 100;

/// What counts as now: the window of rates and quantiles that are shown while a run goes on.
pub const NOW: Duration = Duration::from_secs(10);

/// A run at one moment; counts are from its beginning on.
#[derive(Clone, Debug, Default, JsonSchema, Serialize)]
pub struct Sample {
    /// Wall time, in milliseconds since 1970.
    pub t: i64,
    /// Events that sources made.
    pub events: u64,
    /// Events that are with sinks' receivers.
    pub delivered: u64,
    /// Events that became dead letters or were lost.
    pub failed: u64,
    /// Events kept as dead letters.
    pub dead_letters: u64,
    /// Attempts that failed and are made again.
    pub attempts_failed: u64,
    /// Events that are in sinks' buffers.
    pub buffer: u64,
    /// Source events per second, over the last [`NOW`].
    pub rate: f64,
    /// Seconds from source to receiver that half of what was delivered in the last [`NOW`] took at
    /// most; none where nothing was.
    pub p50: Option<f64>,
    /// The same of 99 in 100.
    pub p99: Option<f64>,
    /// Source events by type.
    #[schemars(with = "BTreeMap<String, u64>")]
    pub types: BTreeMap<Key, u64>,
    /// The stages, in the order of the flow.
    pub stages: Vec<StageSample>,
    /// Wall time since the run began.
    #[serde(skip)]
    pub elapsed: Duration,
    /// Processor time that the process has used.
    #[serde(skip)]
    pub cpu: Duration,
    #[serde(skip)]
    latency: LatencyTally,
}

/// A stage at one moment; in JSON a list `[in, out, backlog, rate]`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StageSample {
    /// Events that came in; at a source, that it made.
    pub came: u64,
    /// Events that went out, to other stages or to a receiver.
    pub went: u64,
    /// Events that are inside.
    pub backlog: u64,
    /// Events that went out per second, over the last [`NOW`].
    pub rate: f64,
    /// Events that failed.
    pub failed: u64,
    /// Events whose fate is known: they went on, failed, were dropped on purpose or kept in a state.
    decided: u64,
    latency: LatencyTally,
}

impl JsonSchema for StageSample {
    fn schema_name() -> Cow<'static, str> {
        "StageSample".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = <(u64, u64, u64, f64)>::json_schema(generator);
        let meaning = "events that came in, that went out, that are inside; events out per second";
        schema.insert("description".to_owned(), meaning.into());
        schema
    }
}

impl Serialize for StageSample {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.came, self.went, self.backlog, self.rate).serialize(serializer)
    }
}

/// What happened in a window of a run, which reaches to now.
#[derive(Clone, Debug, Default)]
pub struct Window {
    before: Sample,
    now: Sample,
}

/// The samples of a run.
#[derive(Debug, Default)]
pub struct History(Mutex<VecDeque<Sample>>);

impl History {
    /// Takes a sample, at the end of those before it.
    pub fn record(&self, tallies: &[Tally], wall: Timestamp, elapsed: Duration, cpu: Duration) {
        let sample = self.sample(tallies, wall, elapsed, cpu);
        let mut samples = self.samples();
        if samples.len() == SAMPLES_MAX {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// What is known now, beside the samples that were taken.
    pub fn sample(
        &self,
        tallies: &[Tally],
        wall: Timestamp,
        elapsed: Duration,
        cpu: Duration,
    ) -> Sample {
        let mut sample = Sample::of(tallies, wall, elapsed, cpu);
        let window = self.window(NOW, sample.clone());
        sample.rate = window.rate();
        let latency = window.latency();
        (sample.p50, sample.p99) = (latency.quantile(0.5), latency.quantile(0.99));
        for place in 0..sample.stages.len() {
            sample.stages[place].rate = window.stage_rate(place);
        }
        sample
    }

    /// What happened from so long before `now` on, or from the last sample before that; from the
    /// beginning on where it is not that long ago.
    pub fn window(&self, length: Duration, now: Sample) -> Window {
        let samples = self.samples();
        let since = now.elapsed.saturating_sub(length);
        // After a gap the window is longer than asked for, and its rates are those of all of it: a
        // shorter one could be of a moment.
        let place = samples.partition_point(|sample| sample.elapsed <= since);
        let before = match place.checked_sub(1) {
            _ if since.is_zero() => None,
            Some(place) => samples.get(place),
            // What was before the oldest one is forgotten.
            None => samples.front().filter(|_| samples.len() == SAMPLES_MAX),
        };
        Window { before: before.cloned().unwrap_or_default(), now }
    }

    /// All samples, the oldest first.
    pub fn all(&self) -> Vec<Sample> {
        self.samples().iter().cloned().collect()
    }

    /// The newest sample.
    pub fn last(&self) -> Option<Sample> {
        self.samples().back().cloned()
    }

    fn samples(&self) -> MutexGuard<'_, VecDeque<Sample>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sample {
    fn of(tallies: &[Tally], wall: Timestamp, elapsed: Duration, cpu: Duration) -> Self {
        let mut sample = Self { t: wall.as_millis(), elapsed, cpu, ..Self::default() };
        for tally in tallies {
            // Only sources count types.
            if let Some(delivery) = tally.delivery {
                sample.attempts_failed += delivery.attempts_failed;
                sample.buffer += delivery.buffer_size;
            }
            if tally.is_source {
                sample.events += tally.derived;
            }
            sample.delivered += tally.delivered;
            sample.dead_letters += tally.dead_letters();
            sample.failed += tally.dead_letters() + tally.losses();
            sample.latency = sample.latency.plus(&tally.latency);
            for (key, count) in &tally.event_types {
                if sample.types.len() < TYPES_MAX || sample.types.contains_key(key) {
                    *sample.types.entry(*key).or_default() += count;
                }
            }
            let failed = tally.dead_letters() + tally.losses();
            sample.stages.push(StageSample {
                came: if tally.is_source { tally.derived } else { tally.received },
                went: tally.sent + tally.delivered,
                backlog: tally.backlog(),
                rate: 0.0,
                failed,
                decided: tally.sent + tally.delivered + tally.filtered + tally.absorbed + failed,
                latency: tally.latency,
            });
        }
        sample
    }
}

impl Window {
    /// Source events per second.
    pub fn rate(&self) -> f64 {
        self.per_second(self.now.events.saturating_sub(self.before.events))
    }

    /// Events per second that went out of a stage, by its place in the flow.
    pub fn stage_rate(&self, place: usize) -> f64 {
        let (before, now) = self.stage(place);
        self.per_second(now.went.saturating_sub(before.went))
    }

    /// Failed events in all events of a stage whose fate became known, 0 to 1. What came in is no
    /// measure: behind an outage what fails now came long ago, and what comes now waits.
    pub fn error_rate(&self, place: usize) -> f64 {
        let (before, now) = self.stage(place);
        let failed = now.failed.saturating_sub(before.failed);
        let decided = now.decided.saturating_sub(before.decided);
        (failed as f64 / (decided as f64).max(1.0)).min(1.0)
    }

    /// How long what was delivered took.
    pub fn latency(&self) -> LatencyTally {
        self.now.latency.since(&self.before.latency)
    }

    /// How many processors were busy with this process, on average.
    pub fn cpu(&self) -> f64 {
        let cpu = self.now.cpu.saturating_sub(self.before.cpu);
        cpu.as_secs_f64() / self.seconds()
    }

    fn stage(&self, place: usize) -> (StageSample, StageSample) {
        let of = |sample: &Sample| sample.stages.get(place).copied().unwrap_or_default();
        (of(&self.before), of(&self.now))
    }

    fn per_second(&self, events: u64) -> f64 {
        events as f64 / self.seconds()
    }

    fn seconds(&self) -> f64 {
        self.now.elapsed.saturating_sub(self.before.elapsed).as_secs_f64().max(1e-9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(events: u64, failed: u64) -> Tally {
        let sent = events - failed;
        let mut tally = Tally { derived: events, sent, is_source: true, ..Tally::default() };
        if failed > 0 {
            tally.dropped.insert("rejected", failed);
        }
        tally
    }

    /// A run of 100 events a second, from the tenth second on of 10 a second.
    fn run(seconds: u64) -> (History, Sample) {
        let history = History::default();
        let events = |second: u64| 100 * second.min(10) + 10 * second.saturating_sub(10);
        let of = |second: u64| {
            let at = Duration::from_secs(second);
            (
                [tally(events(second), second)],
                Timestamp::from_millis(second as i64 * 1000),
                at,
                at / 2,
            )
        };
        for second in 0..seconds {
            let (tallies, wall, elapsed, cpu) = of(second);
            history.record(&tallies, wall, elapsed, cpu);
        }
        let (tallies, wall, elapsed, cpu) = of(seconds);
        let now = history.sample(&tallies, wall, elapsed, cpu);
        (history, now)
    }

    #[test]
    fn a_rate_is_that_of_its_window() {
        let (history, now) = run(40);
        assert!((now.rate - 10.0).abs() < 1e-6, "{}", now.rate);
        assert!((now.stages[0].rate - 9.0).abs() < 1e-6, "one of ten fails");
        let rate = |seconds| history.window(Duration::from_secs(seconds), now.clone()).rate();
        assert!((rate(35) - (500.0 + 300.0) / 35.0).abs() < 1e-6);
        assert!((rate(3600) - 1300.0 / 40.0).abs() < 1e-6, "it is no older than the run");
    }

    #[test]
    fn failures_and_processor_time_are_those_of_the_window() {
        let (history, now) = run(40);
        let window = history.window(NOW, now);
        assert!((window.error_rate(0) - 0.1).abs() < 1e-9);
        assert!((window.cpu() - 0.5).abs() < 1e-9);
        assert!(window.error_rate(7).abs() < f64::EPSILON, "there is no such stage");
    }

    #[test]
    fn the_share_of_failures_is_one_of_what_was_decided_and_not_of_what_came() {
        let window = |before: Tally, now: Tally| {
            let sample = |tally, second| {
                let at = Duration::from_secs(second);
                Sample::of(&[tally], Timestamp::MIN, at, Duration::ZERO)
            };
            Window { before: sample(before, 10), now: sample(now, 20) }
        };
        let rejected = |received, events, delivered| Tally {
            dropped: BTreeMap::from([("rejected", events)]),
            received,
            delivered,
            ..Tally::default()
        };
        let rate = |before, now| window(before, now).error_rate(0);
        // A receiver takes nothing of what had piled up, while much more comes.
        let all_fails = rate(rejected(500, 0, 7), rejected(9000, 20, 7));
        assert!((all_fails - 1.0).abs() < 1e-9, "{all_fails}");
        // Nothing comes any more, and of what is left half is taken.
        let half = rate(rejected(500, 0, 0), rejected(500, 10, 10));
        assert!((half - 0.5).abs() < 1e-9, "{half}");
        let others = Tally { sent: 5, filtered: 10, absorbed: 3, ..rejected(20, 2, 0) };
        assert!((rate(Tally::default(), others.clone()) - 0.1).abs() < 1e-9);
        assert!(rate(others.clone(), others.clone()).abs() < f64::EPSILON, "nothing was decided");
        assert!(rate(others, Tally::default()).abs() < f64::EPSILON, "it never falls below none");
    }

    #[test]
    fn a_window_that_begins_in_a_gap_begins_before_the_gap() {
        let history = History::default();
        let sample = |second: u64, events| {
            let at = Duration::from_secs(second);
            history.record(&[tally(events, 0)], Timestamp::MIN, at, Duration::ZERO);
        };
        // The machine slept from the fifth second to the hundredth.
        (0..=5).for_each(|second| sample(second, 100 * second));
        sample(100, 10_000);
        let at = Duration::from_secs(101);
        let now = history.sample(&[tally(10_100, 0)], Timestamp::MIN, at, Duration::ZERO);
        assert!((now.rate - 9600.0 / 96.0).abs() < 1e-6, "{}", now.rate);
    }

    #[test]
    fn a_window_that_begins_before_the_first_sample_begins_with_the_run_or_the_oldest_one() {
        let history = History::default();
        let (at, late) = (Duration::from_secs(2), Duration::from_secs(8));
        history.record(&[tally(500, 0)], Timestamp::MIN, Duration::from_secs(5), at);
        let now = history.sample(&[tally(800, 0)], Timestamp::MIN, late, at);
        let rate = history.window(Duration::from_secs(6), now).rate();
        assert!((rate - 100.0).abs() < 1e-6, "{rate}");
        let (history, now) = run(1000);
        let rate = history.window(Duration::from_secs(950), now).rate();
        assert!((rate - 10.0).abs() < 1e-6, "{rate}: what was before is forgotten");
    }

    #[test]
    fn samples_are_kept_for_a_quarter_of_an_hour() {
        let (history, _) = run(1000);
        let all = history.all();
        assert_eq!((all.len(), all[0].t), (900, 100_000));
        assert_eq!(history.last().unwrap().t, 999_000);
    }

    #[test]
    fn a_stage_is_a_list_in_json() {
        let stage = StageSample { came: 3, went: 2, backlog: 1, rate: 0.5, ..Default::default() };
        assert_eq!(serde_json::to_string(&stage).unwrap(), "[3,2,1,0.5]");
    }
}
