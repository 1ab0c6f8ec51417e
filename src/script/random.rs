//! `rand()` and `rand_int(from, to)`: seeded, so that a run repeats.

use std::sync::{Arc, Mutex, PoisonError};

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use rhai::{Engine, EvalAltResult};

/// 2^-53: a float has that many steps between 0 and 1.
const STEP: f64 = 1.0 / (1_u64 << 53) as f64;

/// Gives scripts a stream of random numbers.
pub(super) fn register(engine: &mut Engine, seed: u64) {
    let stream = Arc::new(Mutex::new(Pcg64::seed_from_u64(seed)));
    let numbers = stream.clone();
    engine.register_fn("rand", move || (next(&numbers) >> 11) as f64 * STEP);
    engine.register_fn("rand_int", move |from: i64, to: i64| {
        if from > to {
            return Err(format!("`rand_int({from}, {to})` has no number to choose from").into());
        }
        let steps = u128::from(to.abs_diff(from)) + 1;
        let step = (u128::from(next(&stream)) * steps) >> 64;
        Ok::<i64, Box<EvalAltResult>>((i128::from(from) + step as i128) as i64)
    });
}

fn next(stream: &Mutex<Pcg64>) -> u64 {
    stream.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
}
