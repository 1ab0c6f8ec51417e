//! What is said about many numbers at once: quantiles, spread, a slope.

/// How often each whole number came; what is above the last counts as the last.
#[derive(Clone, Debug)]
pub(crate) struct Histogram(Vec<u64>);

impl Histogram {
    /// An empty one for numbers from 0 to `max`.
    pub(crate) fn up_to(max: usize) -> Self {
        Self(vec![0; max + 1])
    }

    /// Counts a number.
    pub(crate) fn add(&mut self, number: i64) {
        let place = usize::try_from(number).unwrap_or(0).min(self.0.len() - 1);
        self.0[place] += 1;
    }

    /// Counts all that the other counted, too.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(&other.0) {
            *count += more;
        }
    }

    /// How many numbers were counted.
    pub(crate) fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The number that a share of all does not exceed; NaN where there is none.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let wanted = (self.total() as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        let place = self.0.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        place.map_or(f64::NAN, |place| place as f64)
    }

    /// The standard deviation of the numbers' logarithms; numbers below 1 are left out.
    pub(crate) fn log_sigma(&self) -> f64 {
        let logs = || {
            (1..).zip(&self.0[1..]).map(|(number, count)| (f64::from(number).ln(), *count as f64))
        };
        let total: f64 = logs().map(|(_, count)| count).sum();
        let mean = logs().map(|(log, count)| log * count).sum::<f64>() / total;
        (logs().map(|(log, count)| (log - mean) * (log - mean) * count).sum::<f64>() / total).sqrt()
    }
}

/// The mean; NaN of nothing.
pub(crate) fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

/// The standard deviation in units of the mean; NaN of nothing.
pub(crate) fn variation(numbers: &[f64]) -> f64 {
    let mean = mean(numbers);
    let squares = numbers.iter().map(|number| (number - mean) * (number - mean)).sum::<f64>();
    (squares / numbers.len() as f64).sqrt() / mean
}

/// The number in the middle, or the mean of the two there; NaN of nothing.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    let upper = numbers.len() / 2;
    match numbers.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => numbers[upper],
        _ => f64::midpoint(numbers[upper - 1], numbers[upper]),
    }
}

/// How steep the line through points is, by least squares.
pub(crate) fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let x_mean = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let y_mean = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let rise = points.iter().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum::<f64>();
    rise / points.iter().map(|(x, _)| (x - x_mean) * (x - x_mean)).sum::<f64>()
}

/// One number of another, in percent; NaN of nothing.
pub(crate) fn percent(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64 * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: f64, two: f64) -> bool {
        (one - two).abs() < 1e-9
    }

    #[test]
    fn quantiles_are_numbers_that_were_counted() {
        let mut histogram = Histogram::up_to(100);
        for number in [1, 2, 2, 3, 900] {
            histogram.add(number);
        }
        assert!(near(histogram.quantile(0.5), 2.0));
        assert!(near(histogram.quantile(0.99), 100.0), "what is above the last is the last");
        assert!(Histogram::up_to(3).quantile(0.5).is_nan());
    }

    #[test]
    fn the_spread_of_logarithms_does_not_depend_on_the_unit() {
        for unit in [10, 100] {
            let mut histogram = Histogram::up_to(1000);
            for number in [1, 2, 4, 8] {
                histogram.add(number * unit);
            }
            assert!(near(histogram.log_sigma() / 2_f64.ln(), 1.25_f64.sqrt()), "{unit}");
        }
    }

    #[test]
    fn a_line_has_its_slope_and_numbers_their_middle_and_spread() {
        assert!(near(slope(&[(0.0, 1.0), (1.0, 0.0), (2.0, -1.0)]), -1.0));
        assert!(near(median(vec![9.0, 1.0, 2.0]), 2.0));
        assert!(near(median(vec![9.0, 1.0, 2.0, 4.0]), 3.0));
        assert!(near(variation(&[1.0, 3.0]), 0.5));
    }
}
