//! `/metrics`: the figures of a run in Prometheus' text format, put together when they are asked for.

mod families;
mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text};
use prometheus_client::registry::Registry;

use self::families::Families;
use super::Run;
use crate::clock::ProcessorTime;
use crate::event::Key;
use crate::kind::Kind;
use crate::monitor::{
    Account, BreakerState, Connection, DeliveryTally, Health, HookTally, LATENCY_BOUNDS,
    MetricTally, MetricValue, Tally,
};
use crate::script::RuleTally;

/// The media type of what is served.
pub(super) const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// How many event types of a source have a series of their own.
const TYPES_MAX: usize = 100;

/// The event types that have a series of their own, by source: the first that came. What has one
/// keeps it, so that no counter ever gets less.
#[derive(Debug, Default)]
pub(super) struct EventTypes(Mutex<BTreeMap<String, BTreeSet<Key>>>);

/// A run at one moment.
#[derive(Debug)]
struct Moment {
    pipeline: String,
    is_ready: bool,
    is_paused: bool,
    /// When the run began, in seconds since 1970.
    started: f64,
    /// When the process did.
    process_started: f64,
    cpu: Duration,
    health: Health,
    hooks: BTreeMap<&'static str, HookTally>,
    /// What hooks count and measure themselves.
    hook_metrics: BTreeMap<String, MetricTally>,
    stages: Vec<Stage>,
}

#[derive(Debug)]
struct Stage {
    name: String,
    kind: Kind,
    /// A source's events, by the types that are told apart.
    types: Vec<(String, u64)>,
    tally: Tally,
}

/// All metrics of the run.
pub(super) async fn metrics(State(run): Run) -> impl IntoResponse {
    let monitor = &run.monitor;
    let clock = monitor.clock();
    let started = clock.wall().as_millis() as f64 / 1e3 - clock.elapsed().as_secs_f64();
    let accounts = monitor.accounts().iter();
    let statistics = monitor.statistics();
    let moment = Moment {
        pipeline: run.graph.name.clone(),
        is_ready: run.waiting_for().is_empty(),
        is_paused: clock.is_paused(),
        started,
        process_started: process::started().unwrap_or(started),
        cpu: ProcessorTime::Process.now(),
        health: monitor.health(),
        hooks: statistics.hooks,
        hook_metrics: statistics.hook_metrics,
        stages: accounts.map(|account| Stage::of(account, &run.event_types)).collect(),
    };
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], moment.text())
}

impl Stage {
    fn of(account: &Account, types: &EventTypes) -> Self {
        let tally = account.tally();
        let types = types.tell_apart(&account.stage, &tally.event_types);
        Self { name: account.stage.clone(), kind: account.kind, types, tally }
    }
}

impl EventTypes {
    /// The counts of a source's event types; those of types that came too late for a series of
    /// their own are together, as `other`.
    fn tell_apart(&self, source: &str, counts: &BTreeMap<Key, u64>) -> Vec<(String, u64)> {
        if counts.is_empty() {
            return Vec::new();
        }
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = sources.entry(source.to_owned()).or_default();
        for key in counts.keys() {
            if known.len() < TYPES_MAX {
                known.insert(*key);
            }
        }
        let is_known = |(key, _): &(&Key, &u64)| known.contains(*key);
        let (own, others): (Vec<_>, Vec<_>) = counts.iter().partition(is_known);
        let others = others.into_iter().map(|(_, count)| *count).reduce(|sum, count| sum + count);
        let own = own.into_iter().map(|(key, count)| (key.to_string(), *count));
        own.chain(others.map(|count| ("other".to_owned(), count))).collect()
    }
}

impl Moment {
    fn text(self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        // Writing to a text does not fail.
        let _ = prometheus_text::encode(&mut text, &registry);
        text
    }
}

impl Collector for Moment {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families::new(encoder);
        self.run(&mut families)?;
        self.events(&mut families)?;
        self.failures(&mut families)?;
        self.delivery(&mut families)?;
        self.scripts(&mut families)?;
        self.stage_metrics(&mut families)?;
        self.process(&mut families)
    }
}

/// The labels of a stage's series.
type OfStage<'a> = [(&'static str, &'a str); 1];

impl Moment {
    /// One series for each stage of some kinds.
    fn each<'a, V>(
        &'a self,
        kinds: &'a [Kind],
        value: impl Fn(&'a Tally) -> V + 'a,
    ) -> impl Iterator<Item = (OfStage<'a>, V)> + 'a {
        let stages = self.stages.iter().filter(|stage| kinds.contains(&stage.kind));
        stages.map(move |stage| ([("stage", stage.name.as_str())], value(&stage.tally)))
    }

    /// One series for each category of failures at each stage.
    fn by_category<'a>(
        &'a self,
        counts: impl Fn(&'a Tally) -> &'a BTreeMap<&'static str, u64> + 'a,
    ) -> impl Iterator<Item = ([(&'static str, &'a str); 2], u64)> + 'a {
        self.stages.iter().flat_map(move |stage| {
            let labels = |category| [("stage", stage.name.as_str()), ("category", category)];
            counts(&stage.tally).iter().map(move |(category, count)| (labels(*category), *count))
        })
    }

    /// One series for each sink.
    fn sinks<'a, V>(
        &'a self,
        value: impl Fn(&'a DeliveryTally) -> V + 'a,
    ) -> impl Iterator<Item = (OfStage<'a>, V)> + 'a {
        let deliveries = self.stages.iter().filter_map(|stage| {
            stage.tally.delivery.as_ref().map(|delivery| (stage.name.as_str(), delivery))
        });
        deliveries.map(move |(stage, delivery)| ([("stage", stage)], value(delivery)))
    }

    fn run(&self, to: &mut Families<'_>) -> fmt::Result {
        let about = [("version", env!("CARGO_PKG_VERSION")), ("pipeline", self.pipeline.as_str())];
        to.gauges("engine_info", "What runs: always 1.", [(about, 1)])?;
        to.gauge("engine_up", "Whether the engine answers: always 1.", 1)?;
        to.gauge(
            "engine_start_time_seconds",
            "When the run began, in seconds since 1970.",
            self.started,
        )?;
        to.gauge(
            "engine_ready",
            "Whether every sink has connected once, and the run does not drain.",
            i64::from(self.is_ready),
        )?;
        to.gauge(
            "engine_healthy",
            "Whether every component is well.",
            i64::from(self.health.overall_healthy),
        )?;
        let healthy = self.health.components.values().filter_map(|component| {
            let stage = component.stage.as_deref()?;
            Some(([("stage", stage)], i64::from(component.healthy)))
        });
        to.gauges("engine_stage_healthy", "Whether the stage is well.", healthy)?;
        to.gauge("engine_paused", "Whether the run is paused.", i64::from(self.is_paused))?;
        let last = self.stages.iter().filter(|stage| stage.kind == Kind::Source);
        let last = last.filter_map(|stage| stage.tally.last_event_time).max();
        to.gauges(
            "engine_event_time_seconds",
            "The time of the last source event, in seconds since 1970.",
            last.map(|time| (NO_LABELS, time.as_millis() as f64 / 1e3)),
        )
    }

    fn events(&self, to: &mut Families<'_>) -> fmt::Result {
        let types = self.stages.iter().flat_map(|stage| {
            let counts = stage.types.iter();
            counts.map(|(name, count)| {
                ([("stage", stage.name.as_str()), ("event_type", name.as_str())], *count)
            })
        });
        to.counters("engine_events_generated", "Events that a source made or read.", types)?;
        to.counters(
            "engine_events_received",
            "Events that came into the stage.",
            self.each(NOT_SOURCES, |tally| tally.received),
        )?;
        to.counters(
            "engine_events_derived",
            "Events that the stage made from others.",
            self.each(NOT_SOURCES, |tally| tally.derived),
        )?;
        to.counters(
            "engine_events_sent",
            "Events that went on to other stages, each once.",
            self.each(NOT_SINKS, |tally| tally.sent),
        )?;
        to.counters(
            "engine_events_delivered",
            "Events that are with the receiver.",
            self.each(SINKS, |tally| tally.delivered),
        )?;
        to.counters(
            "engine_events_filtered",
            "Events that a filter dropped on purpose.",
            self.each(NOT_SOURCES, |tally| tally.filtered),
        )?;
        to.counters(
            "engine_events_absorbed",
            "Events that went into the state of the stage, and not on.",
            self.each(NOT_SOURCES, |tally| tally.absorbed),
        )?;
        to.counters(
            "engine_events_late",
            "Events that came too late for what they would have been part of.",
            self.each(NOT_SOURCES, |tally| tally.late),
        )?;
        to.gauges(
            "engine_stage_backlog_events",
            "Events that are inside: they wait, are worked on, or are in the buffer of a sink.",
            self.each(&Kind::ALL, Tally::backlog),
        )
    }

    fn failures(&self, to: &mut Families<'_>) -> fmt::Result {
        to.counters(
            "engine_events_failed",
            "Events that failed: dead letters, and those that were dropped.",
            self.each(&Kind::ALL, |tally| tally.dead_letters() + tally.losses()),
        )?;
        to.counters(
            "engine_events_dead_lettered",
            "Events that failed and are kept as dead letters.",
            self.by_category(|tally| &tally.dead_lettered),
        )?;
        to.counters(
            "engine_events_dropped",
            "Events that failed and are kept nowhere.",
            self.by_category(|tally| &tally.dropped),
        )?;
        to.counters(
            "engine_stage_errors",
            "Failures that belong to no event, such as those of timers.",
            self.by_category(|tally| &tally.errors),
        )
    }

    fn delivery(&self, to: &mut Families<'_>) -> fmt::Result {
        to.counters(
            "engine_batches_delivered",
            "Batches that are with the receiver.",
            self.each(SINKS, |tally| tally.batches),
        )?;
        to.counters(
            "engine_bytes_sent",
            "Bytes that were handed over, where the sink knows.",
            self.sinks(|delivery| delivery.bytes_sent),
        )?;
        to.counters(
            "engine_delivery_attempts_failed",
            "Attempts of which nothing was delivered, and that are made again.",
            self.sinks(|delivery| delivery.attempts_failed),
        )?;
        to.counters(
            "engine_connection_failures",
            "Those of the failed attempts that did not get through to the receiver.",
            self.sinks(|delivery| delivery.connection_failures),
        )?;
        to.counters(
            "engine_events_retried",
            "Events that were sent again, once for each time.",
            self.sinks(|delivery| delivery.retried_events),
        )?;
        to.gauges(
            "engine_circuit_breaker_state",
            "0 closed: it sends; 1 half open: one attempt is on trial; 2 open: nothing is sent.",
            self.sinks(|delivery| match delivery.circuit_breaker {
                BreakerState::Closed => 0,
                BreakerState::HalfOpen => 1,
                BreakerState::Open => 2,
            }),
        )?;
        to.counters(
            "engine_circuit_breaker_trips",
            "How often the circuit breaker opened.",
            self.sinks(|delivery| delivery.circuit_breaker_trips),
        )?;
        to.gauges(
            "engine_sink_connected",
            "Whether the sink has its receiver.",
            self.sinks(|delivery| i64::from(delivery.connection == Connection::Connected)),
        )?;
        self.buffers(to)?;
        let latencies = self.each(SINKS, |tally| tally.latency);
        to.histograms(
            "engine_delivery_latency_seconds",
            "From the source to the receiver: of each batch, its oldest event.",
            latencies.map(|(stage, latency)| {
                let above = f64::INFINITY;
                let bounds = LATENCY_BOUNDS.into_iter().chain([above]);
                let buckets: Vec<_> = bounds.zip(latency.buckets).collect();
                (stage, latency.sum_micros as f64 / 1e6, latency.count(), buckets)
            }),
        )
    }

    fn buffers(&self, to: &mut Families<'_>) -> fmt::Result {
        to.gauges(
            "engine_buffer_events",
            "Events in the sink's buffer: those that wait, and those that are being sent.",
            self.sinks(|delivery| delivery.buffer_size),
        )?;
        to.gauges(
            "engine_buffer_bytes",
            "About how many bytes they take up.",
            self.sinks(|delivery| delivery.buffer_bytes),
        )?;
        to.gauges(
            "engine_buffer_max_events",
            "How many events the buffer holds at most.",
            self.sinks(|delivery| delivery.buffer_max_events),
        )?;
        to.gauges(
            "engine_buffer_max_bytes",
            "How many bytes the buffer holds at most.",
            self.sinks(|delivery| delivery.buffer_max_bytes),
        )
    }

    fn scripts(&self, to: &mut Families<'_>) -> fmt::Result {
        let hooks = |figure: fn(&HookTally) -> u64| {
            self.hooks.iter().map(move |(hook, tally)| ([("hook", *hook)], figure(tally)))
        };
        to.counters("engine_hook_calls", "Calls of the hook.", hooks(|hook| hook.calls))?;
        to.counters("engine_hook_failures", "Calls that failed.", hooks(|hook| hook.failed))?;
        to.counters(
            "engine_hook_skipped",
            "Events, batches or errors that the hook was not called for, since it was behind.",
            hooks(|hook| hook.skipped),
        )?;
        let measured = || {
            let metrics = self.hook_metrics.iter();
            metrics.map(|(name, metric)| ([("metric", name.as_str())], metric.value))
        };
        to.counters(
            "engine_hook_metric",
            "What hooks count themselves.",
            measured().filter_map(|(labels, metric)| match metric {
                MetricValue::Counter { value } => Some((labels, value)),
                _ => None,
            }),
        )?;
        to.gauges(
            "engine_hook_metric",
            "What hooks measure themselves.",
            measured().filter_map(|(labels, metric)| match metric {
                MetricValue::Gauge { value } => Some((labels, value)),
                _ => None,
            }),
        )?;
        let rules = |figure: fn(&RuleTally) -> u64| {
            self.stages.iter().filter_map(move |stage| {
                let rule = stage.tally.rule.as_ref()?;
                Some(([("stage", stage.name.as_str())], figure(rule)))
            })
        };
        to.counters(
            "engine_rule_calls",
            "Calls of the functions of the stage's script.",
            rules(|rule| rule.calls),
        )?;
        to.counters("engine_rule_failures", "Calls that failed.", rules(|rule| rule.errors))
    }

    fn stage_metrics(&self, to: &mut Families<'_>) -> fmt::Result {
        let metrics = || {
            self.stages.iter().flat_map(|stage| {
                stage.tally.metrics.iter().map(|(name, metric)| {
                    ([("stage", stage.name.as_str()), ("metric", name.as_str())], metric.value)
                })
            })
        };
        to.counters(
            "engine_stage_metric",
            "What the stage counts itself.",
            metrics().filter_map(|(labels, metric)| match metric {
                MetricValue::Counter { value } => Some((labels, value)),
                _ => None,
            }),
        )?;
        to.gauges(
            "engine_stage_metric",
            "What the stage measures itself.",
            metrics().filter_map(|(labels, metric)| match metric {
                MetricValue::Gauge { value } => Some((labels, value)),
                _ => None,
            }),
        )?;
        to.histograms(
            "engine_stage_metric_values",
            "How often the stage recorded something, and all of it added up.",
            metrics().filter_map(|(labels, metric)| match metric {
                MetricValue::Histogram { count, sum, .. } => Some((labels, sum, count, Vec::new())),
                _ => None,
            }),
        )
    }

    fn process(&self, to: &mut Families<'_>) -> fmt::Result {
        let resources =
            self.health.components.values().find_map(|it| it.resources).unwrap_or_default();
        let bytes = |bytes: Option<u64>| bytes.map(|bytes| (NO_LABELS, bytes));
        to.gauges(
            "process_resident_memory_bytes",
            "Memory that is resident.",
            bytes(resources.memory_bytes),
        )?;
        to.gauges(
            "engine_memory_limit_bytes",
            "How much of it is well, where a limit is set.",
            bytes(resources.max_memory_bytes),
        )?;
        to.counters(
            "process_cpu_seconds",
            "Processor time of all threads.",
            [(NO_LABELS, self.cpu.as_secs_f64())],
        )?;
        to.gauge(
            "process_start_time_seconds",
            "When the process began, in seconds since 1970.",
            self.process_started,
        )
    }
}

/// The labels of a series that is the only one of its family.
const NO_LABELS: [(&str, &str); 0] = [];

const SINKS: &[Kind] = &[Kind::Sink];
const NOT_SINKS: &[Kind] = &[Kind::Source, Kind::Enricher, Kind::Correlator, Kind::Batcher];
const NOT_SOURCES: &[Kind] = &[Kind::Enricher, Kind::Correlator, Kind::Batcher, Kind::Sink];

#[cfg(test)]
mod tests;
