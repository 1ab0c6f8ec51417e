//! Whether shoppers arrive independently of each other: the variation of the times between
//! arrivals within an hour, which is 1 for a Poisson process.

use engine::event::Timestamp;

use crate::band::Band;
use crate::days::HOUR;

/// Hours of a store with fewer arrivals are left out.
const ARRIVALS_MIN: u64 = 20;

/// The hour that is going on in a store.
#[derive(Clone, Copy, Debug, Default)]
struct Hour {
    number: i64,
    last: i64,
    gaps: u64,
    /// Milliseconds from the first arrival to the last.
    length: f64,
    /// The sum of the squares of the times between arrivals.
    squares: f64,
}

/// Hours taken together, each as heavy as its arrivals.
#[derive(Clone, Copy, Debug, Default)]
struct Pooled {
    hours: u64,
    gaps: f64,
    variance: f64,
}

/// The arrivals in each store.
pub(crate) struct Arrivals {
    stores: Vec<Option<Hour>>,
    past: Pooled,
}

impl Arrivals {
    pub(crate) fn new(stores: usize) -> Self {
        Self { stores: vec![None; stores], past: Pooled::default() }
    }

    /// A `customer_entered`.
    pub(crate) fn see(&mut self, store: usize, time: Timestamp) {
        let millis = time.as_millis();
        let number = millis.div_euclid(HOUR);
        match &mut self.stores[store] {
            Some(hour) if hour.number == number => {
                let gap = (millis - hour.last) as f64;
                hour.last = millis;
                hour.gaps += 1;
                hour.length += gap;
                hour.squares += gap * gap;
            }
            place => {
                let next = Hour { number, last: millis, ..Hour::default() };
                if let Some(hour) = place.replace(next) {
                    self.past.add(&hour);
                }
            }
        }
    }

    pub(crate) fn band(&self) -> Band {
        let mut pooled = self.past;
        self.stores.iter().flatten().for_each(|hour| pooled.add(hour));
        Band::new("time between arrivals within an hour, CV", 0.9..=1.1).number(
            (pooled.variance / pooled.gaps).sqrt(),
            format!("{} hours of a store with {ARRIVALS_MIN} entries or more", pooled.hours),
        )
    }
}

impl Pooled {
    /// Adds an hour. Its variance is in units of its own mean, so that hours may differ in rate.
    /// Of n times between independent arrivals that is (n - 1) / (n + 1) in the mean, as their
    /// shares of the whole are spread by Dirichlet's law; so it is divided by that.
    fn add(&mut self, hour: &Hour) {
        if hour.gaps + 1 < ARRIVALS_MIN || hour.length <= 0.0 {
            return;
        }
        let gaps = hour.gaps as f64;
        let mean = hour.length / gaps;
        let variance = hour.squares / gaps / (mean * mean) - 1.0;
        self.hours += 1;
        self.gaps += gaps;
        self.variance += variance * (gaps + 1.0) / (gaps - 1.0) * gaps;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::band::{Figure, Verdict};
    use crate::chain::at;
    use engine::retail::Random;

    /// Hours of arrivals, each of which lets `then` follow it at once.
    fn of_hours(per_hour: u32, together: u32) -> Band {
        let mut arrivals = Arrivals::new(1);
        let mut random = Random::new(7, 0);
        for hour in 0..400 {
            let from = at("2024-05-06T00:00:00Z").as_millis() + hour * HOUR;
            // Uniform instants of a given number: what a Poisson process is within an hour.
            let mut times: Vec<i64> = (0..per_hour).map(|_| random.between(0, HOUR - 1)).collect();
            times.sort_unstable();
            for time in times {
                for more in 0..i64::from(together) {
                    arrivals.see(0, Timestamp::from_millis(from + time + more));
                }
            }
        }
        arrivals.band()
    }

    fn figure(band: &Band) -> f64 {
        let Figure::Number(figure) = band.figure else { panic!("{band:?}") };
        figure
    }

    #[test]
    fn independent_arrivals_vary_by_one_whether_few_or_many() {
        for per_hour in [20, 200] {
            let band = of_hours(per_hour, 1);
            assert!((figure(&band) - 1.0).abs() < 0.02, "{band:?}");
        }
        assert_eq!(of_hours(19, 1).verdict(), Verdict::Unmeasured);
    }

    #[test]
    fn regular_and_bunched_arrivals_are_out() {
        let mut regular = Arrivals::new(1);
        let noon = at("2024-05-06T12:00:00Z").as_millis();
        (0..1000).for_each(|minute| {
            regular.see(0, Timestamp::from_millis(noon + minute * 60_000));
        });
        assert!(figure(&regular.band()) < 0.01);
        assert!(figure(&of_hours(30, 3)) > 1.3);
    }
}
