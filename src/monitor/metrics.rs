//! Metrics of a stage's own: what it counts or measures that no account knows of.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;

/// How many metrics a stage may have, and all hooks together.
pub const METRICS_MAX: usize = 64;
/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// The longest unit, in bytes.
const UNIT_BYTES_MAX: usize = 32;

/// What one instance of a stage measures. The stage records, its account shows; copies are the same
/// metrics.
#[derive(Clone, Debug, Default)]
pub struct StageMetrics(Arc<Board>);

#[derive(Debug)]
struct Board {
    /// Filled from the first on.
    metrics: [OnceLock<Metric>; METRICS_MAX],
    /// Held by whoever adds a metric.
    adding: Mutex<()>,
}

/// How a metric comes to its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// What is recorded is added up; it never gets less.
    Counter,
    /// What was recorded last.
    Gauge,
    /// How what is recorded is spread.
    Histogram,
}

/// Why there is no such metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricError(pub String);

impl std::fmt::Display for MetricError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MetricError {}

#[derive(Debug)]
struct Metric {
    kind: MetricKind,
    name: String,
    unit: String,
    count: AtomicU64,
    /// Floats by their bits: a sum, or what was recorded last.
    value: AtomicU64,
    min: AtomicU64,
    max: AtomicU64,
}

/// A metric at one moment, over all instances of its stage.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct MetricTally {
    /// What it counts or is measured in, such as `rows` or `ms`; may be empty.
    pub unit: String,
    /// Its value.
    #[serde(flatten)]
    pub value: MetricValue,
}

/// The value of a metric.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MetricValue {
    /// What was recorded, added up.
    Counter {
        /// The sum.
        value: f64,
    },
    /// What was recorded last; of several instances, their sum.
    Gauge {
        /// The sum.
        value: f64,
    },
    /// How what was recorded is spread.
    Histogram {
        /// How often something was recorded.
        count: u64,
        /// All of it added up.
        sum: f64,
        /// The least; 0 where nothing was recorded.
        min: f64,
        /// The greatest; 0 where nothing was recorded.
        max: f64,
    },
}

impl Default for Board {
    fn default() -> Self {
        Self { metrics: [const { OnceLock::new() }; METRICS_MAX], adding: Mutex::new(()) }
    }
}

impl StageMetrics {
    /// The number of a metric, to record under; the same one where there is such a metric already.
    /// Takes a lock: callers keep the number.
    ///
    /// # Errors
    /// The name is not one (`[a-z][a-z0-9_]*`, 64 bytes), the unit is too long (32 bytes) or holds
    /// control characters, the metric is of another kind or unit already, or there are
    /// [`METRICS_MAX`] others.
    pub fn add(&self, kind: MetricKind, name: &str, unit: &str) -> Result<u32, MetricError> {
        if !is_name(name) {
            return Err(MetricError(format!(
                "`{}` cannot be the name of a metric: those are small letters, digits and `_`, at \
                 most {NAME_BYTES_MAX}, and begin with a letter",
                name.escape_debug()
            )));
        }
        if unit.len() > UNIT_BYTES_MAX || unit.chars().any(char::is_control) {
            let unit = unit.escape_debug();
            return Err(MetricError(format!("`{unit}` cannot be the unit of `{name}`")));
        }
        let _adding = self.0.adding.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, place) in self.0.metrics.iter().enumerate() {
            let metric = place.get_or_init(|| Metric::new(kind, name, unit));
            if metric.name != name {
                continue;
            }
            if metric.kind != kind || metric.unit != unit {
                let message = format!("the metric `{name}` is of another kind or unit already");
                return Err(MetricError(message));
            }
            return Ok(number as u32);
        }
        Err(MetricError(format!("`{name}` is one metric too many: {METRICS_MAX} is the limit")))
    }

    /// Records a value; without effect where there is no such metric, where the value is no number,
    /// and where a counter would get less. Takes no lock.
    pub fn record(&self, number: u32, value: f64) {
        let metric = self.0.metrics.get(number as usize).and_then(OnceLock::get);
        if let Some(metric) = metric.filter(|_| value.is_finite()) {
            metric.record(value);
        }
    }

    /// The metrics of the instances of one stage, by name: counters, gauges and histograms of one
    /// name are added up.
    pub fn tally(instances: &[Self]) -> BTreeMap<String, MetricTally> {
        let mut tallies: BTreeMap<String, MetricTally> = BTreeMap::new();
        let metrics = instances.iter().flat_map(|instance| &instance.0.metrics);
        for metric in metrics.filter_map(OnceLock::get) {
            if let Some(tally) = tallies.get_mut(&metric.name) {
                tally.value.add(metric.tally());
            } else {
                let tally = MetricTally { unit: metric.unit.clone(), value: metric.tally() };
                tallies.insert(metric.name.clone(), tally);
            }
        }
        tallies
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

impl Metric {
    fn new(kind: MetricKind, name: &str, unit: &str) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            unit: unit.to_owned(),
            count: AtomicU64::new(0),
            value: AtomicU64::new(0.0_f64.to_bits()),
            min: AtomicU64::new(f64::INFINITY.to_bits()),
            max: AtomicU64::new(f64::NEG_INFINITY.to_bits()),
        }
    }

    fn record(&self, value: f64) {
        match self.kind {
            MetricKind::Counter if value < 0.0 => {}
            MetricKind::Counter => change(&self.value, |sum| sum + value),
            MetricKind::Gauge => self.value.store(value.to_bits(), Relaxed),
            MetricKind::Histogram => {
                self.count.fetch_add(1, Relaxed);
                change(&self.value, |sum| sum + value);
                change(&self.min, |min| min.min(value));
                change(&self.max, |max| max.max(value));
            }
        }
    }

    fn tally(&self) -> MetricValue {
        let float = |bits: &AtomicU64| f64::from_bits(bits.load(Relaxed));
        let value = float(&self.value);
        match self.kind {
            MetricKind::Counter => MetricValue::Counter { value },
            MetricKind::Gauge => MetricValue::Gauge { value },
            MetricKind::Histogram => {
                let (count, min, max) =
                    (self.count.load(Relaxed), float(&self.min), float(&self.max));
                // Another thread may be between counting and entering a first value.
                let or_none = |value: f64| if value.is_finite() { value } else { 0.0 };
                let (min, max) = (or_none(min), or_none(max));
                MetricValue::Histogram { count, sum: value, min, max }
            }
        }
    }
}

impl MetricValue {
    /// Adds that of another instance. One of another kind cannot be added, and is left out.
    fn add(&mut self, other: Self) {
        match (self, other) {
            (Self::Counter { value }, Self::Counter { value: more })
            | (Self::Gauge { value }, Self::Gauge { value: more }) => *value += more,
            (Self::Histogram { .. }, Self::Histogram { count: 0, .. }) => {}
            (one @ Self::Histogram { count: 0, .. }, other @ Self::Histogram { .. }) => {
                *one = other;
            }
            (
                Self::Histogram { count, sum, min, max },
                Self::Histogram { count: more, sum: added, min: least, max: greatest },
            ) => {
                (*count, *sum) = (*count + more, *sum + added);
                (*min, *max) = (min.min(least), max.max(greatest));
            }
            _ => {}
        }
    }
}

/// Changes a float that others change at the same time.
fn change(bits: &AtomicU64, to: impl Fn(f64) -> f64) {
    let _ = bits.fetch_update(Relaxed, Relaxed, |bits| Some(to(f64::from_bits(bits)).to_bits()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn instances_of_a_stage_share_their_metrics_by_name() {
        let [one, two] = [(); 2].map(|()| StageMetrics::default());
        let record = |board: &StageMetrics, kind, name, unit, values: &[f64]| {
            let number = board.add(kind, name, unit).unwrap();
            for value in values {
                board.record(number, *value);
            }
        };
        record(&one, MetricKind::Counter, "hits", "rows", &[2.0, 3.0, -4.0, f64::NAN]);
        record(&two, MetricKind::Counter, "hits", "rows", &[10.0]);
        record(&one, MetricKind::Gauge, "open", "", &[7.0, 1.0]);
        record(&two, MetricKind::Gauge, "open", "", &[2.0]);
        record(&one, MetricKind::Histogram, "took", "ms", &[4.0, 1.5]);
        record(&two, MetricKind::Histogram, "took", "ms", &[-2.0]);
        record(&two, MetricKind::Histogram, "never", "ms", &[]);
        let tally = serde_json::to_value(StageMetrics::tally(&[one, two])).unwrap();
        assert_eq!(
            tally,
            json!({
                "hits": { "unit": "rows", "kind": "counter", "value": 15.0 },
                "never": { "unit": "ms", "kind": "histogram",
                    "count": 0, "sum": 0.0, "min": 0.0, "max": 0.0 },
                "open": { "unit": "", "kind": "gauge", "value": 3.0 },
                "took": { "unit": "ms", "kind": "histogram",
                    "count": 3, "sum": 3.5, "min": -2.0, "max": 4.0 },
            })
        );
    }

    #[test]
    fn a_metric_that_is_there_has_its_number_and_one_too_many_is_refused() {
        let metrics = StageMetrics::default();
        let counter = |name: &str| metrics.add(MetricKind::Counter, name, "");
        for number in 0..METRICS_MAX as u32 {
            assert_eq!(counter(&format!("metric_{number}")), Ok(number));
        }
        assert_eq!(counter("metric_7"), Ok(7));
        let error = counter("metric_64").unwrap_err().to_string();
        assert_eq!(error, "`metric_64` is one metric too many: 64 is the limit");
        // A number that nobody was given changes nothing.
        metrics.record(64, 1.0);
        metrics.record(u32::MAX, 1.0);
    }

    #[test]
    fn a_metric_with_a_name_or_unit_that_others_cannot_read_is_refused() {
        let metrics = StageMetrics::default();
        let error = |kind, name, unit| metrics.add(kind, name, unit).unwrap_err().to_string();
        let long = "x".repeat(65);
        for name in ["", "Hits", "1st", "a-b", "ä", &long] {
            let error = error(MetricKind::Counter, name, "");
            assert!(error.contains("small letters"), "{name}: {error}");
        }
        assert_eq!(
            error(MetricKind::Counter, "hits", "a\nb"),
            "`a\\nb` cannot be the unit of `hits`"
        );
        metrics.add(MetricKind::Counter, "hits", "").unwrap();
        assert_eq!(
            error(MetricKind::Gauge, "hits", ""),
            "the metric `hits` is of another kind or unit already"
        );
    }

    #[test]
    fn nothing_that_threads_record_at_once_is_lost() {
        let metrics = StageMetrics::default();
        let number = metrics.add(MetricKind::Histogram, "took", "ms").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|value| metrics.record(number, value.into())));
            }
        });
        let tally = StageMetrics::tally(&[metrics]);
        let spread = MetricValue::Histogram { count: 4000, sum: 1_998_000.0, min: 0.0, max: 999.0 };
        assert_eq!(tally["took"].value, spread);
    }
}
