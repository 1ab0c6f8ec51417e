//! Statistics of a run, under the names that users of the retail generator know.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::history::NOW;
use super::{
    Account, DeliveryTally, Findings, History, HookFigures, HookTally, Latency, LatencyTally,
    MetricTally, Sample, StageSample, Tally,
};
use crate::event::Timestamp;
use crate::kind::Kind;
use crate::script::RuleTally;

/// The figures of a run at one moment.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub struct Statistics {
    /// Events that the sources made or read.
    pub events_generated: u64,
    /// Events that correlators derived from others.
    pub events_derived: u64,
    /// Events that are with a sink's receiver; an event that two sinks took counts twice.
    pub events_sent_successfully: u64,
    /// Events that became dead letters or were dropped because of a failure.
    pub events_failed: u64,
    /// Source events per second of wall time: over the last ten seconds, or, in the report, over
    /// the whole run.
    pub events_per_second: f64,
    /// The same over several windows, none of which is longer than the run.
    pub rates: Rates,
    /// How long it took from the source to sinks' receivers, in the whole run.
    pub latency: Option<Latency>,
    /// Batches that were delivered.
    pub batches_sent: u64,
    /// Bytes that sinks handed over, where they know.
    pub bytes_sent: u64,
    /// Attempts to deliver that failed; what they were to send is sent again.
    pub delivery_attempts_failed: u64,
    /// Those of them that did not get through to the receiver.
    pub connection_failures: u64,
    /// How often circuit breakers opened.
    pub circuit_breaker_trips: u64,
    /// Events that are in sinks' buffers.
    pub buffer_size: u64,
    /// Source events by type.
    pub event_type_counts: BTreeMap<String, u64>,
    /// Failures by category: events that failed, and timers.
    pub error_counts: BTreeMap<String, u64>,
    /// Events kept as dead letters in this run.
    pub dead_letter_queue_size: u64,
    /// The time of the first source event.
    pub first_event_time: Option<Timestamp>,
    /// The time of the last source event.
    pub last_event_time: Option<Timestamp>,
    /// Seconds of wall time since the run began.
    pub elapsed_seconds: f64,
    /// The stages, in the order of the flow.
    pub stages: Vec<StageStatistics>,
    /// What the calls of hooks come to, of those that were called.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub hooks: BTreeMap<&'static str, HookTally>,
    /// What hooks count and measure themselves, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub hook_metrics: BTreeMap<String, MetricTally>,
}

/// Source events per second of wall time.
#[derive(Clone, Copy, Debug, Default, PartialEq, JsonSchema, Serialize)]
pub struct Rates {
    /// Over the last ten seconds.
    #[serde(rename = "10s")]
    pub ten_seconds: f64,
    /// Over the last minute.
    #[serde(rename = "1m")]
    pub minute: f64,
    /// Over the last five minutes.
    #[serde(rename = "5m")]
    pub five_minutes: f64,
    /// Over the whole run.
    pub run: f64,
}

/// The figures of one stage.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub struct StageStatistics {
    /// Its name in the spec.
    pub stage: String,
    /// `source`, `enricher`, `correlator`, `batcher` or `sink`.
    pub kind: &'static str,
    /// The component it is built from.
    pub component: String,
    /// Events that came in.
    pub received: u64,
    /// Events it made.
    pub derived: u64,
    /// Events that go out of it per second of wall time, over the last ten seconds.
    pub rate: f64,
    /// Events that are inside: they wait, are worked on, or are in the buffer of a sink.
    pub backlog: u64,
    /// Events that another run left behind for this one.
    pub recovered: u64,
    /// Events that went on to other stages, or to a sink's receiver.
    pub sent: u64,
    /// Copies made because several stages read this one.
    pub copied: u64,
    /// Events dropped on purpose, by a filter.
    pub filtered: u64,
    /// Events that stay in its state.
    pub absorbed: u64,
    /// Dead letters by category.
    pub dead_lettered: BTreeMap<String, u64>,
    /// Events lost because of a failure, by category.
    pub dropped: BTreeMap<String, u64>,
    /// Events in its buffer on disk, which the next run sends.
    pub buffered: u64,
    /// How a sink's delivery does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryTally>,
    /// How long it took from the source to a sink's receiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// What a stage that checks events has found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub findings: Option<Findings>,
    /// What the calls of a rule come to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleTally>,
    /// What the stage measures itself, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, MetricTally>,
    /// Timers still open at the end.
    pub unfired_timers: u64,
    /// Events that came too late for what they would have been part of.
    pub late: u64,
    /// Whether everything that came in has left.
    pub balances: bool,
}

impl Statistics {
    /// Adds up the accounts of a run; `now` is the same moment in its history.
    pub fn of(
        accounts: &[Arc<Account>],
        tallies: &[Tally],
        history: &History,
        now: &Sample,
        hooks: &HookFigures,
    ) -> Self {
        let elapsed = now.elapsed;
        let of_kind = |is_source: bool| {
            let stages = accounts.iter().zip(tallies);
            stages.filter(move |(account, _)| (account.kind == Kind::Source) == is_source)
        };
        let sources = || of_kind(true).map(|(_, tally)| tally);
        let over = |length| history.window(length, now.clone()).rate();
        let rates = Rates {
            ten_seconds: over(NOW),
            minute: over(Duration::from_mins(1)),
            five_minutes: over(Duration::from_mins(5)),
            run: over(Duration::MAX),
        };
        let latency =
            tallies.iter().fold(LatencyTally::default(), |sum, tally| sum.plus(&tally.latency));
        let events_generated = sources().map(|tally| tally.derived).sum();
        let sum = |figure: fn(&Tally) -> u64| tallies.iter().map(figure).sum::<u64>();
        let delivery = |figure: fn(&DeliveryTally) -> u64| {
            tallies.iter().filter_map(|tally| tally.delivery.as_ref()).map(figure).sum::<u64>()
        };
        Self {
            events_generated,
            events_derived: of_kind(false).map(|(_, tally)| tally.derived).sum(),
            events_sent_successfully: sum(|tally| tally.delivered),
            events_failed: sum(Tally::dead_letters) + sum(Tally::losses),
            events_per_second: rates.ten_seconds,
            rates,
            latency: latency.latency(),
            batches_sent: sum(|tally| tally.batches),
            bytes_sent: delivery(|delivery| delivery.bytes_sent),
            delivery_attempts_failed: delivery(|delivery| delivery.attempts_failed),
            connection_failures: delivery(|delivery| delivery.connection_failures),
            circuit_breaker_trips: delivery(|delivery| delivery.circuit_breaker_trips),
            buffer_size: delivery(|delivery| delivery.buffer_size),
            event_type_counts: add_up(sources().map(|tally| &tally.event_types)),
            error_counts: add_up(
                tallies
                    .iter()
                    .flat_map(|tally| [&tally.dead_lettered, &tally.dropped, &tally.errors]),
            ),
            dead_letter_queue_size: sum(Tally::dead_letters),
            first_event_time: sources().filter_map(|tally| tally.first_event_time).min(),
            last_event_time: sources().filter_map(|tally| tally.last_event_time).max(),
            elapsed_seconds: elapsed.as_secs_f64(),
            stages: accounts.iter().zip(tallies).zip(&now.stages).map(stage).collect(),
            hooks: hooks.tally(),
            hook_metrics: hooks.measured(),
        }
    }

    /// Whether the accounts balance: at each stage, and over the graph, where every event that was
    /// made and every copy is found again in exactly one place.
    pub fn balance(&self) -> bool {
        self.made() == self.found() && self.stages.iter().all(|stage| stage.balances)
    }

    /// Events that were made and are in no place yet.
    pub fn on_their_way(&self) -> u64 {
        self.made().saturating_sub(self.found())
    }

    fn made(&self) -> u64 {
        self.stages.iter().map(|stage| stage.derived + stage.recovered + stage.copied).sum()
    }

    fn found(&self) -> u64 {
        let kept = |stage: &StageStatistics| {
            let failed: u64 = stage.dead_lettered.values().chain(stage.dropped.values()).sum();
            stage.filtered + stage.absorbed + stage.buffered + failed
        };
        self.events_sent_successfully + self.stages.iter().map(kept).sum::<u64>()
    }
}

fn stage(((account, tally), now): ((&Arc<Account>, &Tally), &StageSample)) -> StageStatistics {
    StageStatistics {
        stage: account.stage.clone(),
        kind: account.kind.singular(),
        component: account.component.clone(),
        received: tally.received,
        derived: tally.derived,
        rate: now.rate,
        backlog: now.backlog,
        recovered: tally.recovered,
        sent: tally.sent + tally.delivered,
        copied: tally.copied,
        filtered: tally.filtered,
        absorbed: tally.absorbed,
        dead_lettered: add_up([&tally.dead_lettered]),
        dropped: add_up([&tally.dropped]),
        buffered: tally.buffered,
        delivery: tally.delivery,
        latency: tally.latency.latency(),
        findings: tally.findings.clone(),
        rule: tally.rule.clone(),
        metrics: tally.metrics.clone(),
        unfired_timers: tally.unfired_timers,
        late: tally.late,
        balances: tally.balances(),
    }
}

fn add_up<'a, K: ToString + 'a>(
    counts: impl IntoIterator<Item = &'a BTreeMap<K, u64>>,
) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for (name, count) in counts.into_iter().flatten() {
        *sums.entry(name.to_string()).or_default() += count;
    }
    sums
}
