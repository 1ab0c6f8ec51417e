//! How long events take from their source to a sink's receiver: a histogram that is written once for
//! a batch.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

/// The upper bounds of the buckets in seconds; what is above the last has one of its own.
pub const LATENCY_BOUNDS: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

const BUCKETS: usize = LATENCY_BOUNDS.len() + 1;

/// What has been measured so far. A sample is the oldest event of a batch, so an event takes at most
/// that long, and none is left out because it is slow.
#[derive(Debug, Default)]
pub struct LatencyFigures {
    buckets: [AtomicU64; BUCKETS],
    sum_micros: AtomicU64,
    max_micros: AtomicU64,
}

/// A histogram at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatencyTally {
    /// How many samples are in each bucket, by [`LATENCY_BOUNDS`].
    pub buckets: [u64; BUCKETS],
    /// All of them added up, in microseconds.
    pub sum_micros: u64,
    /// The longest, in microseconds.
    pub max_micros: u64,
}

/// Latencies for reading, in seconds. Quantiles are estimated within the bucket that they fall in.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Latency {
    /// How many batches were measured, each by its oldest event.
    pub count: u64,
    /// The mean.
    pub mean_seconds: f64,
    /// Half of them took at most this long.
    pub p50_seconds: f64,
    /// 95 in 100 took at most this long.
    pub p95_seconds: f64,
    /// 99 in 100 took at most this long.
    pub p99_seconds: f64,
    /// The longest of the run.
    pub max_seconds: f64,
}

impl LatencyFigures {
    /// Enters a sample.
    pub fn record(&self, latency: Duration) {
        let seconds = latency.as_secs_f64();
        let bucket = LATENCY_BOUNDS.partition_point(|bound| *bound < seconds);
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_micros.fetch_add(micros, Relaxed);
        self.max_micros.fetch_max(micros, Relaxed);
    }

    /// The figures now.
    pub fn tally(&self) -> LatencyTally {
        LatencyTally {
            buckets: std::array::from_fn(|place| self.buckets[place].load(Relaxed)),
            sum_micros: self.sum_micros.load(Relaxed),
            max_micros: self.max_micros.load(Relaxed),
        }
    }
}

impl LatencyTally {
    /// How many samples there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The samples of both.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            buckets: std::array::from_fn(|place| self.buckets[place] + other.buckets[place]),
            sum_micros: self.sum_micros + other.sum_micros,
            max_micros: self.max_micros.max(other.max_micros),
        }
    }

    /// The samples that came since `before`; the longest stays that of the whole run.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let less = |place: usize| self.buckets[place].saturating_sub(before.buckets[place]);
        Self {
            buckets: std::array::from_fn(less),
            sum_micros: self.sum_micros.saturating_sub(before.sum_micros),
            max_micros: self.max_micros,
        }
    }

    /// The time in seconds that a share of the samples (0 to 1) took at most; none without samples.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let longest = self.max_micros as f64 / 1e6;
        let rank = share * count as f64;
        let mut below = 0;
        for (place, in_bucket) in self.buckets.iter().enumerate() {
            let reached = below + in_bucket;
            if *in_bucket > 0 && reached as f64 >= rank {
                let from = if place == 0 { 0.0 } else { LATENCY_BOUNDS[place - 1] };
                let to = LATENCY_BOUNDS.get(place).copied().unwrap_or(longest).min(longest);
                let part = (rank - below as f64) / *in_bucket as f64;
                return Some(from + (to - from).max(0.0) * part);
            }
            below = reached;
        }
        Some(longest)
    }

    /// For reading; none without samples.
    pub fn latency(&self) -> Option<Latency> {
        let count = self.count();
        let quantile = |share| self.quantile(share);
        Some(Latency {
            p50_seconds: quantile(0.5)?,
            p95_seconds: quantile(0.95)?,
            p99_seconds: quantile(0.99)?,
            count,
            mean_seconds: self.sum_micros as f64 / 1e6 / count as f64,
            max_seconds: self.max_micros as f64 / 1e6,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(millis: impl IntoIterator<Item = u64>) -> LatencyTally {
        let figures = LatencyFigures::default();
        for milli in millis {
            figures.record(Duration::from_millis(milli));
        }
        figures.tally()
    }

    #[test]
    fn quantiles_are_within_the_bucket_of_what_was_measured() {
        let latency = of(1..=1000).latency().unwrap();
        assert_eq!((latency.count, latency.max_seconds), (1000, 1.0));
        assert!((latency.mean_seconds - 0.5005).abs() < 1e-9);
        for (estimated, exact) in
            [(latency.p50_seconds, 0.5), (latency.p95_seconds, 0.95), (latency.p99_seconds, 0.99)]
        {
            assert!((estimated - exact).abs() < 0.01, "{estimated} for {exact}");
        }
    }

    #[test]
    fn no_quantile_is_above_what_was_measured_or_there_without_samples() {
        assert_eq!(of([]).latency(), None);
        assert!(of([3]).quantile(0.99).unwrap() <= 0.003);
        let long = of([400_000, 500_000]);
        assert!((300.0..=500.0).contains(&long.quantile(0.5).unwrap()));
    }

    #[test]
    fn a_window_has_what_came_in_it_and_stages_add_up() {
        let (before, now) = (of([1, 1]), of([1, 1, 700]));
        let window = now.since(&before);
        assert_eq!(window.count(), 1);
        assert!(window.quantile(0.5).unwrap() > 0.5);
        assert_eq!(before.plus(&now).count(), 5);
    }
}
