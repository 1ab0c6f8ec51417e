//! The events that wait, as they are kept between two runs.

use serde::{Deserialize, Serialize};

use super::{Join, Place, Row, Waiting};
use crate::event::{Event, Exact, Timestamp};
use crate::script::{TimerId, Timers};
use crate::stage::{State, StateError};

/// All that a join remembers: `W` is what waits, in the order of its timers.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory<W> {
    /// How many trace ids were given.
    trace_ids: u64,
    horizon: i64,
    timers_set: u64,
    waiting: Vec<W>,
}

/// An event that waits: its timer, its place, its time, its row, its cause, and whether it has
/// found another one.
type Kept<P, R, E> = (TimerId, P, i64, R, Option<Exact<E>>, bool);

impl Join {
    pub(super) fn memory(&self) -> State {
        let kept = |(timer, place): (TimerId, &'_ Place)| {
            let sides = self.waiting.get(&place.key)?;
            let waiting = sides[place.side].iter().find(|waiting| waiting.timer == timer)?;
            let cause = waiting.cause.as_deref().map(Exact);
            let time = waiting.time.as_millis();
            Some((timer, place.clone(), time, &waiting.row, cause, waiting.is_matched))
        };
        let waiting: Vec<Kept<Place, &Row, &Event>> = self.timers.iter().filter_map(kept).collect();
        State::of(&Memory {
            trace_ids: self.emitter.trace_ids().counter(),
            horizon: self.horizon.as_millis(),
            timers_set: self.timers.sequence(),
            waiting,
        })
    }

    pub(super) fn remember(&mut self, state: &State) -> Result<(), StateError> {
        let read: Memory<Kept<Place, Row, Event>> = state.read()?;
        let wrong = || StateError("its events do not belong together".to_owned());
        let mut timers = Vec::with_capacity(read.waiting.len());
        self.waiting.clear();
        for (timer, place, time, row, cause, is_matched) in read.waiting {
            let time = Timestamp::from_millis(time);
            let cause = cause.map(|Exact(event)| Box::new(event));
            let waiting = Waiting { timer, time, row, cause, is_matched };
            let sides = self.waiting.entry(place.key.clone()).or_default();
            sides.get_mut(place.side).ok_or_else(wrong)?.push(waiting);
            timers.push((timer, place));
        }
        // Matches are made in the order in which events came, and so were their timers set.
        for waiting in self.waiting.values_mut().flatten() {
            waiting.sort_by_key(|waiting| waiting.timer.sequence());
        }
        let waiting_max = self.timers.len() + self.timers.room();
        self.timers =
            Timers::new(waiting_max).restored(read.timers_set, timers).ok_or_else(wrong)?;
        self.emitter.trace_ids_mut().go_on_from(read.trace_ids);
        self.horizon = Timestamp::from_millis(read.horizon);
        Ok(())
    }
}
