//! `rand()` and `rand_int(from, to)`: seeded, so that a run repeats.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use rhai::{Engine, EvalAltResult};
use serde::{Deserialize, Serialize};

use crate::event::{Event, mix};

/// 2^-53: a float has that many steps between 0 and 1.
const STEP: f64 = 1.0 / (1_u64 << 53) as f64;

/// The stream of random numbers that a script draws from.
#[derive(Clone)]
pub struct Randomness {
    seed: u64,
    stream: Arc<Mutex<Pcg64>>,
}

/// How far a stream of random numbers is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StreamState(Pcg64);

impl Randomness {
    /// How far the stream is.
    pub fn state(&self) -> StreamState {
        StreamState(self.lock().clone())
    }

    /// Goes on where another stream was.
    pub fn go_on_from(&self, state: StreamState) {
        *self.lock() = state.0;
    }

    fn lock(&self) -> MutexGuard<'_, Pcg64> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next number from 0 to 1, without 1.
    pub(super) fn float(&self) -> f64 {
        (self.lock().next_u64() >> 11) as f64 * STEP
    }

    /// The next number from one to another, both included; none where the first is greater.
    pub(super) fn integer(&self, from: i64, to: i64) -> Option<i64> {
        if from > to {
            return None;
        }
        let steps = u128::from(to.abs_diff(from)) + 1;
        let step = (u128::from(self.lock().next_u64()) * steps) >> 64;
        Some((i128::from(from) + step as i128) as i64)
    }

    pub(super) fn new(seed: u64) -> Self {
        Self { seed, stream: Arc::new(Mutex::new(Pcg64::seed_from_u64(seed))) }
    }

    /// Begins the stream that belongs to one event: what is drawn for it depends on the event, not
    /// on how many were seen before, so instances that share the work draw what one would.
    pub fn begin(&self, event: &Event) {
        let seed = event.trace_id.with_str(|text| fold(self.seed, text));
        *self.lock() = Pcg64::seed_from_u64(seed);
    }
}

/// The seed of what is random in a stage: stages of one pipeline get unrelated streams, and the
/// same ones in each run.
pub fn seed_of(pipeline: u64, stage: &str) -> u64 {
    fold(pipeline, stage)
}

fn fold(seed: u64, text: &str) -> u64 {
    text.bytes().fold(mix(seed), |seed, byte| mix(seed ^ u64::from(byte)))
}

/// Gives scripts `rand` and `rand_int`.
pub(super) fn register(engine: &mut Engine, randomness: &Randomness) {
    let (floats, integers) = (randomness.clone(), randomness.clone());
    engine.register_fn("rand", move || floats.float());
    engine.register_fn("rand_int", move |from: i64, to: i64| {
        let number = integers.integer(from, to);
        number.ok_or_else(|| -> Box<EvalAltResult> {
            format!("`rand_int({from}, {to})` has no number to choose from").into()
        })
    });
}
