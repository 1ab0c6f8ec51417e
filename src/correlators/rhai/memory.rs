//! What a rule remembers, written straight from the live structures and read back into others.

use serde::ser::{SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};

use super::{Due, Rule};
use crate::event::{Event, Exact, Fields, Timestamp};
use crate::script::{KeptKey, Randomness, StateKey, StreamState, TimerId};
use crate::stage::{State, StateError};

/// A rule's memory as it is written.
#[derive(Serialize)]
struct Written<'a> {
    /// Tells the script from another version of it, which may have another notion of its state.
    script: &'a str,
    now: i64,
    /// How many trace ids were given.
    trace_ids: u64,
    /// Where its random numbers are, if it draws any.
    random: Option<StreamState>,
    born: u64,
    forgotten: u64,
    keys: Keys<'a>,
    timers_set: u64,
    timers: Timers<'a>,
}

struct Keys<'a>(&'a Rule);
struct Timers<'a>(&'a Rule);

/// The same as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    script: String,
    now: i64,
    trace_ids: u64,
    random: Option<StreamState>,
    born: u64,
    forgotten: u64,
    keys: Vec<KeptKey<StateKey, Exact<Fields>>>,
    timers_set: u64,
    timers: Vec<(TimerId, ReadDue)>,
}

type ReadDue = KeptDue<StateKey, String, Exact<Event>>;

/// What happens when a timer is due, as it is kept.
#[derive(Serialize, Deserialize)]
enum KeptDue<K, N, E> {
    #[serde(rename = "call")]
    Call(K, N, E),
    #[serde(rename = "emit")]
    Emit(E),
}

impl Serialize for Keys<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.states.len()))?;
        for kept in self.0.states.kept() {
            list.serialize_element(&kept.map(Exact))?;
        }
        list.end()
    }
}

impl Serialize for Timers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.timers.len()))?;
        for (id, due) in self.0.timers.iter() {
            let due = match due {
                Due::Call { key, name, cause } => {
                    KeptDue::Call(key, name.as_str(), Exact(cause.as_ref()))
                }
                Due::Emit(event) => KeptDue::Emit(Exact(event.as_ref())),
            };
            list.serialize_element(&(id, due))?;
        }
        list.end()
    }
}

impl Rule {
    /// All that the rule remembers.
    pub(super) fn memory(&self) -> State {
        State::of(&Written {
            script: &self.fingerprint,
            now: self.now.as_millis(),
            trace_ids: self.emitter.trace_ids().counter(),
            random: self.randomness.as_ref().map(Randomness::state),
            born: self.states.born(),
            forgotten: self.states.forgotten(),
            keys: Keys(self),
            timers_set: self.timers.sequence(),
            timers: Timers(self),
        })
    }

    /// Goes on from what another rule of the same settings and script remembered.
    pub(super) fn remember(&mut self, state: &State) -> Result<(), StateError> {
        let read: Read = state.read()?;
        if read.script != self.fingerprint {
            return Err(StateError("the script was changed".to_owned()));
        }
        let keys = read.keys.into_iter().map(|kept| kept.map(|Exact(fields)| fields));
        self.states.restore(read.born, read.forgotten, keys).map_err(StateError)?;
        self.named.clear();
        let mut timers = Vec::with_capacity(read.timers.len());
        for (id, due) in read.timers {
            let due = match due {
                KeptDue::Emit(Exact(event)) => Due::Emit(Box::new(event)),
                KeptDue::Call(key, name, Exact(cause)) => {
                    self.named.entry(key.clone()).or_default().push((name.clone(), id));
                    Due::Call { key, name, cause: Box::new(cause) }
                }
            };
            timers.push((id, due));
        }
        let bound = crate::script::Timers::new(self.timers.len() + self.timers.room());
        self.timers = bound
            .restored(read.timers_set, timers)
            .ok_or_else(|| StateError("its timers do not belong together".to_owned()))?;
        self.emitter.trace_ids_mut().go_on_from(read.trace_ids);
        if let (Some(randomness), Some(state)) = (&self.randomness, read.random) {
            randomness.go_on_from(state);
        }
        self.now = Timestamp::from_millis(read.now);
        Ok(())
    }
}
