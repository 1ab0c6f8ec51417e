//! Continuous draws, for times, amounts and counts. Their logarithms are `libm`'s, so that a seed
//! gives the same numbers on every machine.

use super::random::Random;

impl Random {
    /// A number between 0 and 1, both exclusive.
    pub fn fraction(&mut self) -> f64 {
        // 52 bits and a half fit a float exactly, so that it is never rounded up to 1.
        ((self.bits() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    /// How long it takes until something happens that happens once in a unit of time on average:
    /// above 0, with mean 1.
    pub fn exponential(&mut self) -> f64 {
        -libm::log(self.fraction())
    }

    /// A number of the normal distribution with mean 0 and standard deviation 1. One draw gives
    /// one number: the quantile of a fraction.
    pub fn normal(&mut self) -> f64 {
        normal_quantile(self.fraction())
    }

    /// A number above 0 whose logarithm is normal: half of them are below the median, and 68 %
    /// within a factor of e^sigma of it. The mean is `median * e^(sigma^2 / 2)`.
    pub fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
        median * libm::exp(sigma * self.normal())
    }

    /// How often something happens that happens `mean` times on average, each time independent of
    /// the others. Exact for every mean; 0 for one that is not above 0.
    pub fn poisson(&mut self, mean: f64) -> u32 {
        if mean.is_nan() || mean <= 0.0 {
            0
        } else if mean < POISSON_LARGE {
            self.poisson_by_steps(mean)
        } else {
            self.poisson_by_rejection(mean.min(f64::from(u32::MAX)))
        }
    }

    /// The quantile of a fraction, found from 0 upward: takes as many steps as it returns.
    fn poisson_by_steps(&mut self, mean: f64) -> u32 {
        let mut rest = self.fraction();
        let mut probability = libm::exp(-mean);
        let mut count = 0;
        // Far out the probabilities are lost in rounding, and adding them leads nowhere.
        while rest > probability && count < POISSON_STEPS_MAX {
            rest -= probability;
            count += 1;
            probability *= mean / f64::from(count);
        }
        count
    }

    /// Transformed rejection, in about 1.2 rounds (`PTRS` of Hörmann 1993, "The transformed
    /// rejection method for generating Poisson random variables").
    fn poisson_by_rejection(&mut self, mean: f64) -> u32 {
        let b = 0.931 + 2.53 * mean.sqrt();
        let a = -0.059 + 0.02483 * b;
        let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
        let squeeze = 0.9277 - 3.6224 / (b - 2.0);
        let log_mean = libm::log(mean);
        loop {
            let u = self.fraction() - 0.5;
            let v = self.fraction();
            let us = 0.5 - u.abs();
            let count = ((2.0 * a / us + b) * u + mean + 0.43).floor();
            if us >= 0.07 && v <= squeeze {
                return count as u32;
            }
            if count < 0.0 || (us < 0.013 && v > us) {
                continue;
            }
            let bound = libm::log(v * inverse_alpha / (a / (us * us) + b));
            if bound <= count * log_mean - mean - libm::lgamma(count + 1.0) {
                return count as u32;
            }
        }
    }
}

/// From this mean on rejection is cheaper than steps; it is right from 10 on.
const POISSON_LARGE: f64 = 12.0;
/// A count that a mean below [`POISSON_LARGE`] exceeds once in 10^20 draws or less.
const POISSON_STEPS_MAX: u32 = 70;

/// The number that a part `fraction` of the standard normal distribution is below, to 16 digits:
/// algorithm AS 241 (Wichura 1988, "The percentage points of the normal distribution", `PPND16`).
fn normal_quantile(fraction: f64) -> f64 {
    let q = fraction - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * polynomial(&CENTRE.0, r) / polynomial(&CENTRE.1, r);
    }
    let tail = if q < 0.0 { fraction } else { 1.0 - fraction };
    let r = (-libm::log(tail)).sqrt();
    let distance = if r <= 5.0 {
        polynomial(&TAIL.0, r - 1.6) / polynomial(&TAIL.1, r - 1.6)
    } else {
        polynomial(&FAR_TAIL.0, r - 5.0) / polynomial(&FAR_TAIL.1, r - 5.0)
    };
    if q < 0.0 { -distance } else { distance }
}

/// Its value at `x`, by Horner's rule; the highest power comes first.
fn polynomial(coefficients: &[f64; 8], x: f64) -> f64 {
    coefficients.iter().fold(0.0, |value, coefficient| value * x + coefficient)
}

/// Numerator and denominator for fractions from 0.075 to 0.925.
const CENTRE: ([f64; 8], [f64; 8]) = (
    [
        2_509.080_928_730_122_7,
        33_430.575_583_588_13,
        67_265.770_927_008_7,
        45_921.953_931_549_87,
        13_731.693_765_509_46,
        1_971.590_950_306_551_3,
        133.141_667_891_784_38,
        3.387_132_872_796_366_5,
    ],
    [
        5_226.495_278_852_854,
        28_729.085_735_721_943,
        39_307.895_800_092_71,
        21_213.794_301_586_597,
        5_394.196_021_424_751,
        687.187_007_492_057_9,
        42.313_330_701_600_91,
        1.0,
    ],
);
/// The same for fractions down to e^-25 or up to 1 - e^-25.
const TAIL: ([f64; 8], [f64; 8]) = (
    [
        0.000_774_545_014_278_341_4,
        0.022_723_844_989_269_184,
        0.241_780_725_177_450_6,
        1.270_458_252_452_368_4,
        3.647_848_324_763_204_5,
        5.769_497_221_460_691,
        4.630_337_846_156_546,
        1.423_437_110_749_683_5,
    ],
    [
        1.050_750_071_644_416_9e-9,
        0.000_547_593_808_499_534_5,
        0.015_198_666_563_616_457,
        0.148_103_976_427_480_08,
        0.689_767_334_985_1,
        1.676_384_830_183_803_8,
        2.053_191_626_637_759,
        1.0,
    ],
);
/// The same for what is farther out.
const FAR_TAIL: ([f64; 8], [f64; 8]) = (
    [
        2.010_334_399_292_288_1e-7,
        2.711_555_568_743_487_6e-5,
        0.001_242_660_947_388_078_4,
        0.026_532_189_526_576_124,
        0.296_560_571_828_504_87,
        1.784_826_539_917_291_3,
        5.463_784_911_164_114,
        6.657_904_643_501_103,
    ],
    [
        2.044_263_103_389_939_7e-15,
        1.421_511_758_316_446e-7,
        1.846_318_317_510_054_8e-5,
        0.000_786_869_131_145_613_3,
        0.014_875_361_290_850_615,
        0.136_929_880_922_735_8,
        0.599_832_206_555_888,
        1.0,
    ],
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DRAWS: usize = 100_000;

    fn draws(mut draw: impl FnMut(&mut Random) -> f64) -> Vec<f64> {
        let mut random = Random::new(7, 0);
        (0..DRAWS).map(|_| draw(&mut random)).collect()
    }

    /// Mean, variance, and the third moment about the mean.
    fn moments(values: &[f64]) -> [f64; 3] {
        let mean_of = |of: &dyn Fn(f64) -> f64| {
            values.iter().map(|value| of(*value)).sum::<f64>() / values.len() as f64
        };
        let mean = mean_of(&|value| value);
        [mean, mean_of(&|value| (value - mean).powi(2)), mean_of(&|value| (value - mean).powi(3))]
    }

    fn assert_moments(values: &[f64], expected: [f64; 3], tolerances: [f64; 3]) {
        let found = moments(values);
        for ((found, expected), tolerance) in found.iter().zip(expected).zip(tolerances) {
            assert!((found - expected).abs() < tolerance, "{found} for {expected}");
        }
    }

    #[test]
    fn exponential_draws_have_mean_variance_and_skew_of_theirs() {
        assert_moments(&draws(Random::exponential), [1.0, 1.0, 2.0], [0.015, 0.04, 0.3]);
    }

    #[test]
    fn normal_draws_are_centred_and_as_wide_as_said() {
        let values = draws(Random::normal);
        assert_moments(&values, [0.0, 1.0, 0.0], [0.015, 0.02, 0.05]);
        let outside = values.iter().filter(|value| value.abs() > 1.959_964).count();
        assert!((4_750..5_250).contains(&outside), "{outside} outside of 95 %");
    }

    #[test]
    fn quantiles_of_the_normal_distribution_are_those_of_the_tables() {
        let table = [
            (0.5, 0.0),
            (0.841_344_746_068_542_9, 1.0),
            (0.975, 1.959_963_984_540_054),
            (0.001, -3.090_232_306_167_813_5),
            (1e-15, -7.941_345_326_170_997),
        ];
        for (fraction, quantile) in table {
            let found = normal_quantile(fraction);
            assert!((found - quantile).abs() < 1e-14, "{found} for {quantile}");
        }
    }

    #[test]
    fn lognormal_draws_have_the_quantiles_of_median_and_sigma() {
        let mut values = draws(|random| random.lognormal(15.0, 0.6));
        values.sort_by(f64::total_cmp);
        // e^(0.6 z) for z of 2.5, 16, 50, 84 and 97.5 %.
        for (part, factor) in [
            (0.025, 0.308_5),
            (0.158_66, 0.548_8),
            (0.5, 1.0),
            (0.841_34, 1.822_1),
            (0.975, 3.241_4),
        ] {
            let found = values[(part * DRAWS as f64) as usize] / 15.0;
            assert!((found / factor - 1.0).abs() < 0.02, "{found} for {factor} at {part}");
        }
    }

    #[test]
    fn poisson_draws_have_mean_variance_and_skew_of_theirs() {
        for mean in [0.05, 1.0, 4.0, 11.9, 12.1, 80.0, 5_000.0] {
            let values = draws(|random| f64::from(random.poisson(mean)));
            // Four standard errors and a bit of the mean, the variance and the third moment.
            let n = DRAWS as f64;
            let variance_error = ((mean + 2.0 * mean * mean) / n).sqrt();
            let third_error = ((15.0 * mean.powi(3) + 35.0 * mean * mean + mean) / n).sqrt();
            assert_moments(
                &values,
                [mean, mean, mean],
                [4.5 * (mean / n).sqrt(), 4.5 * variance_error, 4.5 * third_error],
            );
        }
    }

    #[test]
    fn small_counts_are_as_likely_as_poissons_formula_says() {
        for mean in [2.0_f64, 14.0] {
            let mut counts = [0.0; 40];
            for value in draws(|random| f64::from(random.poisson(mean))) {
                counts[(value as usize).min(39)] += 1.0;
            }
            let mut probability = (-mean).exp();
            let mut chi_square = 0.0;
            let mut classes = 0;
            for (count, found) in counts.iter().enumerate() {
                let expected = probability * DRAWS as f64;
                if expected > 10.0 {
                    chi_square += (found - expected).powi(2) / expected;
                    classes += 1;
                }
                probability *= mean / (count + 1) as f64;
            }
            // Below it in 999 of 1000 samples with so many classes.
            let limit = f64::from(classes) + 4.5 * f64::from(2 * classes).sqrt();
            assert!(chi_square < limit, "{chi_square} over {classes} classes of {mean}");
        }
    }

    #[test]
    fn a_mean_that_makes_no_sense_gives_a_count_all_the_same() {
        let mut random = Random::new(1, 0);
        for mean in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(random.poisson(mean), 0);
        }
        assert!(random.poisson(f64::INFINITY) > u32::MAX - 1_000_000);
    }

    #[test]
    fn a_seed_gives_the_same_draws_on_every_machine() {
        let mut random = Random::new(42, 0);
        let mut found = Vec::new();
        for _ in 0..3 {
            found.extend([random.exponential(), random.normal(), random.lognormal(15.0, 0.6)]);
            found.extend([3.5, 250.0].map(|mean| f64::from(random.poisson(mean))));
        }
        let bits: Vec<u64> = found.iter().map(|value| value.to_bits()).collect();
        let golden = [
            0.255_786_979_609_634_87,
            -0.936_341_762_684_218,
            7.848_499_522_163_093_5,
            3.0,
            235.0,
            3.406_018_361_291_345,
            0.837_743_778_517_074_9,
            33.789_738_923_993_14,
            6.0,
            268.0,
            1.052_848_698_612_498,
            0.692_045_168_400_189_1,
            10.310_887_932_174_875,
            2.0,
            263.0,
        ];
        assert_eq!(bits, golden.map(|value: f64| value.to_bits()), "{found:?}");
    }

    proptest! {
        #[test]
        fn every_draw_is_finite(seed: u64, mean in 0.0_f64..1e6) {
            let mut random = Random::new(seed, 0);
            let fraction = random.fraction();
            prop_assert!(fraction > 0.0 && fraction < 1.0);
            prop_assert!(random.exponential() > 0.0 && random.exponential() < 40.0);
            prop_assert!(random.normal().abs() < 9.0);
            let count = f64::from(random.poisson(mean));
            prop_assert!((count - mean).abs() <= 10.0 * mean.sqrt() + 10.0, "{count} for {mean}");
        }
    }
}
