//! The figures of a run as OpenTelemetry metrics: instruments that look at them when they are
//! exported, and cost nothing in between.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter, MeterProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{SdkMeterProvider, Temporality};

use super::spans::Course;
use crate::clock::{ProcessorTime, Stopwatch};
use crate::kind::Kind;
use crate::monitor::{
    BreakerState, Connection, DeliveryTally, Health, MetricValue, Statistics, Tally,
};
use crate::runtime::Monitor;

/// How long the figures of one look serve all instruments.
const FRESH: Duration = Duration::from_millis(500);

/// How many event types of a stage have a series of their own.
const TYPES_MAX: usize = 100;

/// The run whose figures are exported.
#[derive(Default)]
pub(super) struct Reading(Mutex<Watched>);

#[derive(Default)]
struct Watched {
    monitor: Option<Monitor>,
    last: Option<(Stopwatch, Arc<Look>)>,
}

/// The figures at one moment.
struct Look {
    stages: Vec<StageLook>,
    statistics: Statistics,
    health: Health,
}

struct StageLook {
    stage: KeyValue,
    kind: Kind,
    tally: Tally,
}

impl Reading {
    /// From now on it is this run.
    pub(super) fn watch(&self, monitor: Monitor) {
        *self.watched() = Watched { monitor: Some(monitor), last: None };
    }

    fn look(&self) -> Option<Arc<Look>> {
        let mut watched = self.watched();
        if let Some((since, look)) = &watched.last
            && since.elapsed() < FRESH
        {
            return Some(look.clone());
        }
        let monitor = watched.monitor.as_ref()?;
        let stages = monitor.accounts().iter().map(|account| StageLook {
            stage: KeyValue::new("stage", account.stage.clone()),
            kind: account.kind,
            tally: account.tally(),
        });
        let look = Arc::new(Look {
            stages: stages.collect(),
            statistics: monitor.statistics(),
            health: monitor.health(),
        });
        watched.last = Some((Stopwatch::start(), look.clone()));
        Some(look)
    }

    fn watched(&self) -> std::sync::MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the instruments.
pub(super) fn register(provider: &SdkMeterProvider, reading: &Arc<Reading>) {
    let make = Instruments { meter: provider.meter("engine"), reading };
    make.of_events();
    make.of_deliveries();
    make.of_stages();
    make.of_process();
}

struct Instruments<'a> {
    meter: Meter,
    reading: &'a Arc<Reading>,
}

/// Where an instrument gives its values to.
struct Values<'a, T>(&'a dyn AsyncInstrument<T>);

impl<T> Values<'_, T> {
    fn give(&self, value: T, attributes: &[KeyValue]) {
        self.0.observe(value, attributes);
    }
}

impl Instruments<'_> {
    fn counter(
        &self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        observe: fn(&Look, &Values<'_, u64>),
    ) {
        let reading = self.reading.clone();
        let counter = self.meter.u64_observable_counter(name);
        let counter = counter.with_unit(unit).with_description(description);
        // The provider keeps it.
        let _ = counter
            .with_callback(move |instrument| {
                if let Some(look) = reading.look() {
                    observe(&look, &Values(instrument));
                }
            })
            .build();
    }

    fn gauge(
        &self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        observe: fn(&Look, &Values<'_, f64>),
    ) {
        let reading = self.reading.clone();
        let gauge = self.meter.f64_observable_gauge(name);
        let gauge = gauge.with_unit(unit).with_description(description);
        let _ = gauge
            .with_callback(move |instrument| {
                if let Some(look) = reading.look() {
                    observe(&look, &Values(instrument));
                }
            })
            .build();
    }

    fn of_events(&self) {
        self.counter(
            "engine.events.generated",
            "{event}",
            "Events that sources made or read.",
            |look, values| {
                for stage in look.of(|kind| kind == Kind::Source) {
                    let mut others = 0;
                    for (place, (event_type, count)) in stage.tally.event_types.iter().enumerate() {
                        if place >= TYPES_MAX {
                            others += count;
                            continue;
                        }
                        let event_type = KeyValue::new("event_type", event_type.to_string());
                        values.give(*count, &[stage.stage.clone(), event_type]);
                    }
                    if others > 0 {
                        let event_type = KeyValue::new("event_type", "other");
                        values.give(others, &[stage.stage.clone(), event_type]);
                    }
                }
            },
        );
        self.counter(
            "engine.events.derived",
            "{event}",
            "Events that stages made of others.",
            |look, values| look.each(|kind| kind == Kind::Correlator, |it| it.derived, values),
        );
        self.counter(
            "engine.events.received",
            "{event}",
            "Events that came into a stage.",
            |look, values| look.each(|kind| kind != Kind::Source, |it| it.received, values),
        );
        self.counter(
            "engine.events.sent",
            "{event}",
            "Events that went on to other stages.",
            |look, values| look.each(|kind| kind != Kind::Sink, |it| it.sent, values),
        );
        self.counter(
            "engine.events.delivered",
            "{event}",
            "Events that are with a sink's receiver.",
            |look, values| look.each(|kind| kind == Kind::Sink, |it| it.delivered, values),
        );
        self.counter(
            "engine.events.filtered",
            "{event}",
            "Events dropped on purpose.",
            |look, values| look.each(|_| true, |it| it.filtered, values),
        );
        self.counter(
            "engine.events.absorbed",
            "{event}",
            "Events that stay in a correlator's state.",
            |look, values| look.each(|kind| kind == Kind::Correlator, |it| it.absorbed, values),
        );
        self.counter(
            "engine.events.late",
            "{event}",
            "Events that came too late for what they would have been part of.",
            |look, values| look.each(|kind| kind == Kind::Correlator, |it| it.late, values),
        );
        self.counter(
            "engine.events.dead_lettered",
            "{event}",
            "Events kept as dead letters.",
            |look, values| look.by_category(|it| it.dead_lettered.iter(), values),
        );
        self.counter(
            "engine.events.dropped",
            "{event}",
            "Events lost because of a failure.",
            |look, values| look.by_category(|it| it.dropped.iter(), values),
        );
        self.counter(
            "engine.stage.errors",
            "{error}",
            "Failures that belong to no event.",
            |look, values| look.by_category(|it| it.errors.iter(), values),
        );
    }

    fn of_deliveries(&self) {
        self.counter(
            "engine.batches.delivered",
            "{batch}",
            "Batches that were delivered.",
            |look, values| look.each(|kind| kind == Kind::Sink, |it| it.batches, values),
        );
        self.counter(
            "engine.delivery.sent",
            "By",
            "Bytes that sinks handed over, where they know.",
            |look, values| look.deliveries(|it| it.bytes_sent, values),
        );
        self.counter(
            "engine.delivery.attempts_failed",
            "{attempt}",
            "Attempts to deliver that failed and are made again.",
            |look, values| look.deliveries(|it| it.attempts_failed, values),
        );
        self.counter(
            "engine.delivery.connection_failures",
            "{attempt}",
            "Those of them that did not get through to the receiver.",
            |look, values| look.deliveries(|it| it.connection_failures, values),
        );
        self.counter(
            "engine.events.retried",
            "{event}",
            "Events that were sent again, once for each time.",
            |look, values| look.deliveries(|it| it.retried_events, values),
        );
        self.counter(
            "engine.circuit_breaker.trips",
            "{trip}",
            "How often a circuit breaker opened.",
            |look, values| look.deliveries(|it| it.circuit_breaker_trips, values),
        );
        self.gauge(
            "engine.circuit_breaker.state",
            "1",
            "0 closed, 1 half open, 2 open.",
            |look, values| {
                look.delivery_levels(
                    |it| match it.circuit_breaker {
                        BreakerState::Closed => 0.0,
                        BreakerState::HalfOpen => 1.0,
                        BreakerState::Open => 2.0,
                    },
                    values,
                );
            },
        );
        self.gauge(
            "engine.sink.connected",
            "1",
            "Whether a sink has its receiver: 1 or 0.",
            |look, values| {
                look.delivery_levels(
                    |it| f64::from(u8::from(it.connection == Connection::Connected)),
                    values,
                );
            },
        );
        self.gauge(
            "engine.buffer.events",
            "{event}",
            "Events in a sink's buffer.",
            |look, values| look.delivery_levels(|it| it.buffer_size as f64, values),
        );
        self.gauge(
            "engine.buffer.usage",
            "By",
            "About how many bytes they take up.",
            |look, values| look.delivery_levels(|it| it.buffer_bytes as f64, values),
        );
        self.gauge(
            "engine.buffer.utilisation",
            "1",
            "How full a sink's buffer is, 0 to 1.",
            |look, values| look.delivery_levels(DeliveryTally::buffer_utilisation, values),
        );
        self.gauge(
            "engine.delivery.latency",
            "s",
            "From the source to the receiver, in the whole run: the share `quantile` took at most this \
             long.",
            |look, values| {
                for stage in look.of(|kind| kind == Kind::Sink) {
                    for quantile in [0.5, 0.95, 0.99] {
                        if let Some(seconds) = stage.tally.latency.quantile(quantile) {
                            let quantile = KeyValue::new("quantile", quantile);
                            values.give(seconds, &[stage.stage.clone(), quantile]);
                        }
                    }
                }
            },
        );
    }

    fn of_stages(&self) {
        self.gauge(
            "engine.stage.backlog",
            "{event}",
            "Events inside a stage: they wait, or are worked on.",
            |look, values| {
                for (stage, figures) in look.stages.iter().zip(&look.statistics.stages) {
                    values.give(figures.backlog as f64, std::slice::from_ref(&stage.stage));
                }
            },
        );
        self.counter(
            "engine.rule.calls",
            "{call}",
            "Calls of a rule's functions.",
            |look, values| look.rules(|rule| rule.calls, values),
        );
        self.counter("engine.rule.failures", "{call}", "Those that failed.", |look, values| {
            look.rules(|rule| rule.errors, values);
        });
        self.gauge(
            "engine.stage.metric",
            "",
            "What stages measure themselves: counters and gauges by their value, histograms by \
             their mean.",
            |look, values| {
                for stage in &look.stages {
                    for (name, metric) in &stage.tally.metrics {
                        let value = match metric.value {
                            MetricValue::Counter { value } | MetricValue::Gauge { value } => value,
                            MetricValue::Histogram { count: 0, .. } => continue,
                            MetricValue::Histogram { count, sum, .. } => sum / count as f64,
                        };
                        let attributes = [
                            stage.stage.clone(),
                            KeyValue::new("metric", name.clone()),
                            KeyValue::new("unit", metric.unit.clone()),
                        ];
                        values.give(value, &attributes);
                    }
                }
            },
        );
        self.counter("engine.hook.calls", "{call}", "Calls of hooks.", |look, values| {
            look.hooks(|hook| hook.calls, values);
        });
        self.counter("engine.hook.failures", "{call}", "Those that failed.", |look, values| {
            look.hooks(|hook| hook.failed, values);
        });
        self.counter(
            "engine.hook.skipped",
            "{event}",
            "What hooks were not called for, since they were behind.",
            |look, values| look.hooks(|hook| hook.skipped, values),
        );
    }

    fn of_process(&self) {
        self.gauge("engine.healthy", "1", "Whether all is well: 1 or 0.", |look, values| {
            values.give(f64::from(u8::from(look.health.overall_healthy)), &[]);
        });
        self.gauge(
            "engine.event_time",
            "s",
            "The time of the last source event, since 1970.",
            |look, values| {
                if let Some(time) = look.statistics.last_event_time {
                    values.give(time.as_millis() as f64 / 1e3, &[]);
                }
            },
        );
        self.gauge("process.memory.usage", "By", "Memory that is resident.", |look, values| {
            let process = look.health.components.get("resources");
            let process = process.and_then(|process| process.resources);
            if let Some(bytes) = process.and_then(|process| process.memory_bytes) {
                values.give(bytes as f64, &[]);
            }
        });
        // An observable counter of floats has a type of its own.
        let counter = self.meter.f64_observable_counter("process.cpu.time");
        let _ = counter
            .with_unit("s")
            .with_description("Processor time of the process.")
            .with_callback(|instrument| {
                instrument.observe(ProcessorTime::Process.now().as_secs_f64(), &[]);
            })
            .build();
    }
}

impl Look {
    fn of(&self, kinds: fn(Kind) -> bool) -> impl Iterator<Item = &StageLook> {
        self.stages.iter().filter(move |stage| kinds(stage.kind))
    }

    fn each(&self, kinds: fn(Kind) -> bool, figure: fn(&Tally) -> u64, values: &Values<'_, u64>) {
        for stage in self.of(kinds) {
            values.give(figure(&stage.tally), std::slice::from_ref(&stage.stage));
        }
    }

    fn by_category<'a, I>(&'a self, figures: fn(&'a Tally) -> I, values: &Values<'_, u64>)
    where
        I: Iterator<Item = (&'a &'static str, &'a u64)>,
    {
        for stage in &self.stages {
            for (category, count) in figures(&stage.tally) {
                let category = KeyValue::new("category", *category);
                values.give(*count, &[stage.stage.clone(), category]);
            }
        }
    }

    fn deliveries(&self, figure: fn(&DeliveryTally) -> u64, values: &Values<'_, u64>) {
        for stage in &self.stages {
            if let Some(delivery) = &stage.tally.delivery {
                values.give(figure(delivery), std::slice::from_ref(&stage.stage));
            }
        }
    }

    fn delivery_levels(&self, figure: fn(&DeliveryTally) -> f64, values: &Values<'_, f64>) {
        for stage in &self.stages {
            if let Some(delivery) = &stage.tally.delivery {
                values.give(figure(delivery), std::slice::from_ref(&stage.stage));
            }
        }
    }

    fn rules(&self, figure: fn(&crate::script::RuleTally) -> u64, values: &Values<'_, u64>) {
        for stage in &self.stages {
            if let Some(rule) = &stage.tally.rule {
                values.give(figure(rule), std::slice::from_ref(&stage.stage));
            }
        }
    }

    fn hooks(&self, figure: fn(&crate::monitor::HookTally) -> u64, values: &Values<'_, u64>) {
        for (hook, tally) in &self.statistics.hooks {
            values.give(figure(tally), &[KeyValue::new("hook", *hook)]);
        }
    }
}

/// An exporter of which is said how it goes.
pub(super) struct Arriving<E> {
    pub(super) exporter: E,
    pub(super) course: Course,
}

impl<E: PushMetricExporter> PushMetricExporter for Arriving<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let exported = self.exporter.export(metrics).await;
        self.course.note(&exported);
        exported
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}
