//! Randomness: the only file that knows the generator. All of it is whole numbers and plain
//! arithmetic, so that a seed gives the same events on every machine.

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};

use crate::event::mix;

/// A stream of random numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Random(Pcg64Mcg);

impl Random {
    /// The `stream`th stream of a seed; streams have nothing to do with each other.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(Pcg64Mcg::seed_from_u64(mix(seed ^ mix(stream))))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`, which is above 0. Multiplied, not divided (Lemire 2019); the bias is
    /// below one in 2^32 for every end that fits 32 bits.
    pub fn below(&mut self, end: u32) -> u32 {
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u32
    }

    /// A number from `low` to `high`, both inclusive.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + i64::from(self.below((high - low + 1) as u32))
    }

    /// True with this probability, from 0 to 1.
    pub fn chance(&mut self, probability: f64) -> bool {
        ((self.bits() >> 11) as f64) < probability * (1_u64 << 53) as f64
    }

    /// One of them, each as likely as another.
    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u32) as usize]
    }

    /// The place of one of them, each as likely as its weight says.
    pub fn pick_weighted(&mut self, weights: &[u32]) -> usize {
        let mut rest = self.below(weights.iter().sum());
        for (place, weight) in weights.iter().enumerate() {
            if rest < *weight {
                return place;
            }
            rest -= weight;
        }
        weights.len() - 1
    }
}

/// A rank from 1 to `ranks` by Zipf's law with slope 1, in steps: each octave of ranks (1, 2-3,
/// 4-7, ...) is as likely as another. The upper fifth of 10 000 ranks gets 83 % of the draws.
pub(super) fn zipf_rank(mut bits: u64, ranks: u32) -> u32 {
    let octaves = u64::from(ranks.ilog2()) + 1;
    loop {
        let octave = ((bits >> 32) * octaves) >> 32;
        let rank = (1_u64 << octave) + (((bits & 0xffff_ffff) << octave) >> 32);
        if rank <= u64::from(ranks) {
            return rank as u32;
        }
        bits = mix(bits);
    }
}

/// Draws places by weight in constant time (Walker 1977, built as by Vose 1991).
#[derive(Clone, Debug, PartialEq)]
pub struct Alias(Vec<Column>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Column {
    /// What part of the column is its own place's, of 2^64.
    own: u64,
    /// Whose the rest is.
    other: u32,
}

impl Alias {
    /// Weights are finite, not negative, and at least one is above 0.
    pub fn new(weights: &[f64]) -> Self {
        let mean = weights.iter().sum::<f64>() / weights.len() as f64;
        let mut parts: Vec<f64> = weights.iter().map(|weight| weight / mean).collect();
        let heaviest = (0..parts.len()).fold(0, |a, b| if parts[b] > parts[a] { b } else { a });
        // What rounding leaves over keeps its column, unless it must not be drawn at all.
        let mut columns: Vec<Column> = weights
            .iter()
            .map(|weight| Column {
                own: if *weight > 0.0 { u64::MAX } else { 0 },
                other: heaviest as u32,
            })
            .collect();
        let (mut light, mut heavy): (Vec<_>, Vec<_>) =
            (0..parts.len()).partition(|place| parts[*place] < 1.0);
        while let (Some(low), Some(high)) = (light.pop(), heavy.last().copied()) {
            columns[low] = Column { own: (parts[low] * 2_f64.powi(64)) as u64, other: high as u32 };
            parts[high] -= 1.0 - parts[low];
            if parts[high] < 1.0 {
                heavy.pop();
                light.push(high);
            }
        }
        Self(columns)
    }

    /// A place.
    pub fn draw(&self, random: &mut Random) -> usize {
        let product = u128::from(random.bits()) * self.0.len() as u128;
        let place = (product >> 64) as usize;
        let column = self.0[place];
        if (product as u64) < column.own { place } else { column.other as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_seed_gives_the_same_stream_on_every_machine() {
        let mut random = Random::new(42, 0);
        assert_eq!(
            [random.bits(), random.bits()],
            [14_283_441_115_178_616_947, 3_219_853_834_486_401_569]
        );
        assert_ne!(Random::new(42, 1).bits(), Random::new(42, 0).bits());
    }

    #[test]
    fn a_place_without_weight_is_never_drawn() {
        let alias = Alias::new(&[0.0, 0.1, 0.0, 0.3, 0.0]);
        let mut random = Random::new(1, 0);
        let mut counts = [0; 5];
        for _ in 0..40_000 {
            counts[alias.draw(&mut random)] += 1;
        }
        assert_eq!((counts[0], counts[2], counts[4]), (0, 0, 0));
        assert!((9_500..10_500).contains(&counts[1]), "{counts:?}");
    }

    #[test]
    fn the_upper_fifth_of_ranks_gets_four_fifths_of_the_draws() {
        let mut random = Random::new(1, 0);
        let draws = 100_000;
        let upper = (0..draws).filter(|_| zipf_rank(random.bits(), 10_000) <= 2_000).count();
        assert!((80_000..86_000).contains(&upper), "{upper}");
    }

    proptest! {
        #[test]
        fn draws_stay_within_bounds(seed: u64, end in 1_u32.., low in -1000_i64..0, high in 0_i64..1000) {
            let mut random = Random::new(seed, 0);
            prop_assert!(random.below(end) < end);
            prop_assert!((low..=high).contains(&random.between(low, high)));
            prop_assert!((1..=end).contains(&zipf_rank(random.bits(), end)));
            prop_assert!(random.chance(1.0) && !random.chance(0.0));
        }
    }
}
