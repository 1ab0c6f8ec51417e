//! The sequences under way, as they are kept between two runs.

use serde::{Deserialize, Serialize};

use super::{Progress, Row, Sequences};
use crate::event::{Event, Exact, Timestamp};
use crate::script::{StateKey, TimerId, Timers};
use crate::stage::{State, StateError};

/// All that is remembered: `P` is a sequence, in the order of their timers.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory<P> {
    /// How many trace ids were given.
    trace_ids: u64,
    horizon: i64,
    timers_set: u64,
    under_way: Vec<P>,
}

/// A sequence: its timer, its key, its first and its last time, its rows, and its cause.
type Kept<K, R, E> = (TimerId, K, i64, i64, R, Option<Exact<E>>);

impl Sequences {
    pub(super) fn memory(&self) -> State {
        let kept = |(timer, key): (TimerId, _)| {
            let Progress { first, last, rows, cause, .. } = self.under_way.get(key)?;
            let cause = cause.as_deref().map(Exact);
            Some((timer, key, first.as_millis(), last.as_millis(), rows, cause))
        };
        let under_way: Vec<Kept<&StateKey, &Vec<Row>, &Event>> =
            self.timers.iter().filter_map(kept).collect();
        State::of(&Memory {
            trace_ids: self.emitter.trace_ids().counter(),
            horizon: self.horizon.as_millis(),
            timers_set: self.timers.sequence(),
            under_way,
        })
    }

    pub(super) fn remember(&mut self, state: &State) -> Result<(), StateError> {
        let read: Memory<Kept<StateKey, Vec<Row>, Event>> = state.read()?;
        let wrong = || StateError("its sequences do not belong together".to_owned());
        let mut timers = Vec::with_capacity(read.under_way.len());
        self.under_way.clear();
        for (timer, key, first, last, rows, cause) in read.under_way {
            if rows.is_empty() || rows.len() > self.steps.len() {
                return Err(wrong());
            }
            let (first, last) = (Timestamp::from_millis(first), Timestamp::from_millis(last));
            let cause = cause.map(|Exact(event)| Box::new(event));
            let progress = Progress { timer, first, last, rows, cause };
            if self.under_way.insert(key.clone(), progress).is_some() {
                return Err(wrong());
            }
            timers.push((timer, key));
        }
        let keys_max = self.timers.len() + self.timers.room();
        self.timers = Timers::new(keys_max).restored(read.timers_set, timers).ok_or_else(wrong)?;
        self.emitter.trace_ids_mut().go_on_from(read.trace_ids);
        self.horizon = Timestamp::from_millis(read.horizon);
        Ok(())
    }
}
