//! Keyed state: what a script remembers per key, bounded, and forgotten when it is not used.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rhai::{Array, Dynamic, Engine, ImmutableString};
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

use super::values::{Names, ScriptResult, from_rhai, map_to_rhai, to_rhai};
use crate::event::{FieldChanges, Fields, Key, Text, Timestamp, Value};

/// How many fields the state of one key may have.
pub(super) const FIELDS_MAX: usize = 1_000;

/// What events are told apart by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum StateKey {
    /// One value: no allocation.
    One(KeyPart),
    /// Several values, in order.
    Many(Box<[KeyPart]>),
}

/// One value of a key. An event without the field has the key null, which is a key like others.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum KeyPart {
    /// No value.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Anything else, as it reads.
    Text(Text),
}

impl From<&Value> for KeyPart {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(number) => Self::Int(*number),
            Value::Text(text) => Self::Text(text.clone()),
            Value::Time(time) => Self::Text(Text::from(time.to_string())),
            Value::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => {
                Self::Int(*number as i64)
            }
            other => Self::Text(Text::from(serde_json::to_string(other).unwrap_or_default())),
        }
    }
}

/// The states of all keys. When there are more keys than may be, the one that was not seen for
/// the longest event time is forgotten; with a ttl, so is every one not seen for that long.
#[derive(Debug)]
pub struct KeyedState<S> {
    places: HashMap<StateKey, usize, FxBuildHasher>,
    slots: Vec<Option<Slot<S>>>,
    free: Vec<usize>,
    /// When each slot was seen, at the latest known to the heap; looked at again when it is first.
    seen: BinaryHeap<Reverse<(Timestamp, u64, usize)>>,
    born: u64,
    ttl: Option<Duration>,
    keys_max: usize,
    forgotten: u64,
    /// How many of them were forgotten in this run, since their ttl had passed.
    expired: u64,
    /// How many were in this run, to make room.
    evicted: u64,
}

/// A key as it is kept between two runs: which one of all keys it was, when it was seen, and its
/// state.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptKey<K, S>(K, u64, i64, S);

impl<K, S> KeptKey<K, S> {
    /// The same key with its state in another form.
    pub fn map<T>(self, change: impl FnOnce(S) -> T) -> KeptKey<K, T> {
        let Self(key, born, seen, state) = self;
        KeptKey(key, born, seen, change(state))
    }
}

#[derive(Debug)]
struct Slot<S> {
    key: StateKey,
    /// Tells the keys that used one slot after each other apart; also their order.
    born: u64,
    seen: Timestamp,
    state: S,
}

impl<S: Default> KeyedState<S> {
    /// No keys, and never more than `keys_max`.
    pub fn new(keys_max: usize, ttl: Option<Duration>) -> Self {
        Self {
            places: HashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            seen: BinaryHeap::new(),
            born: 0,
            ttl,
            keys_max: keys_max.max(1),
            forgotten: 0,
            expired: 0,
            evicted: 0,
        }
    }

    /// The state of a key, which is seen now; made if there is none.
    pub fn access(&mut self, key: &StateKey, now: Timestamp) -> &mut S {
        self.expire(now);
        let place = match self.places.get(key) {
            Some(place) => *place,
            None => self.add(key.clone(), now),
        };
        let slot = self.slots[place].as_mut().expect("a key's slot is taken");
        slot.seen = slot.seen.max(now);
        &mut slot.state
    }

    /// The keys with their states, in the order they were first seen.
    pub fn keys(&self) -> Vec<StateKey> {
        let mut keys: Vec<&Slot<S>> = self.slots.iter().flatten().collect();
        keys.sort_unstable_by_key(|slot| slot.born);
        keys.into_iter().map(|slot| slot.key.clone()).collect()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How many keys were forgotten so far.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// How many keys were forgotten in this run since their ttl had passed.
    pub fn expired(&self) -> u64 {
        self.expired
    }

    /// How many keys were forgotten in this run to make room for others.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// How many keys there ever were.
    pub fn born(&self) -> u64 {
        self.born
    }

    /// All keys with their states, as they are kept.
    pub fn kept(&self) -> impl Iterator<Item = KeptKey<&StateKey, &S>> {
        self.slots
            .iter()
            .flatten()
            .map(|slot| KeptKey(&slot.key, slot.born, slot.seen.as_millis(), &slot.state))
    }

    /// Goes on with the keys of another one with the same bounds. Says what does not fit.
    pub fn restore(
        &mut self,
        born: u64,
        forgotten: u64,
        kept: impl IntoIterator<Item = KeptKey<StateKey, S>>,
    ) -> Result<(), String> {
        if born.max(forgotten) > u64::MAX / 2 {
            return Err(format!("`{}` keys were never seen", born.max(forgotten)));
        }
        let mut restored = Self::new(self.keys_max, self.ttl);
        (restored.born, restored.forgotten) = (born, forgotten);
        let mut births = HashSet::with_hasher(FxBuildHasher);
        for KeptKey(key, number, seen, state) in kept {
            if number > born || !births.insert(number) || restored.places.contains_key(&key) {
                return Err("it has a key twice, or one that was never seen".to_owned());
            }
            let (place, seen) = (restored.slots.len(), Timestamp::from_millis(seen));
            restored.seen.push(Reverse((seen, number, place)));
            restored.places.insert(key.clone(), place);
            restored.slots.push(Some(Slot { key, born: number, seen, state }));
        }
        if restored.len() > self.keys_max {
            return Err(format!("it has {} keys, and `max_keys` is less", restored.len()));
        }
        *self = restored;
        Ok(())
    }

    fn add(&mut self, key: StateKey, now: Timestamp) -> usize {
        while self.places.len() >= self.keys_max && self.forget_if(|_| true) {
            self.evicted += 1;
        }
        self.born += 1;
        let slot = Slot { key: key.clone(), born: self.born, seen: now, state: S::default() };
        let place = if let Some(place) = self.free.pop() {
            self.slots[place] = Some(slot);
            place
        } else {
            self.slots.push(Some(slot));
            self.slots.len() - 1
        };
        self.places.insert(key, place);
        self.seen.push(Reverse((now, self.born, place)));
        place
    }

    /// Forgets the keys whose ttl has passed.
    pub fn expire(&mut self, now: Timestamp) {
        let Some(ttl) = self.ttl else { return };
        while self.forget_if(|seen| seen + ttl < now) {
            self.expired += 1;
        }
    }

    /// Forgets the key that was not seen for the longest, if `old` says so of its time; says
    /// whether it did.
    fn forget_if(&mut self, old: impl Fn(Timestamp) -> bool) -> bool {
        while let Some(Reverse((known, born, place))) = self.seen.peek().copied() {
            // Nothing is older than what the heap knows of its first.
            if !old(known) {
                return false;
            }
            self.seen.pop();
            let Some(slot) = self.slots[place].as_ref().filter(|slot| slot.born == born) else {
                continue;
            };
            if slot.seen > known {
                self.seen.push(Reverse((slot.seen, born, place)));
                continue;
            }
            self.places.remove(&slot.key);
            self.slots[place] = None;
            self.free.push(place);
            self.forgotten += 1;
            return true;
        }
        false
    }
}

/// The cell behind `state`: one per runner, and in it the state of the call's key.
#[derive(Default)]
struct Cell {
    fields: Fields,
    changes: FieldChanges,
    names: Names,
}

/// `state` in scripts: a map per key. A missing field reads as `()`; arrays and maps in it are
/// copied when they are read.
#[derive(Clone, Default)]
pub struct StateHandle(Arc<Mutex<Cell>>);

impl StateHandle {
    /// Exchanges the cell's fields with those of a key: called before and after a call.
    pub fn swap(&self, fields: &mut Fields) {
        std::mem::swap(&mut self.lock().fields, fields);
    }

    /// Makes the changes of the call that ended final.
    pub fn keep_changes(&self) {
        self.lock().changes.keep();
    }

    /// Takes the changes of the call that failed back.
    pub fn undo_changes(&self) {
        let Cell { fields, changes, .. } = &mut *self.lock();
        changes.undo(fields);
    }

    fn lock(&self) -> MutexGuard<'_, Cell> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: Key) -> Dynamic {
        self.lock().fields.get(key).map_or(Dynamic::UNIT, to_rhai)
    }

    fn set(&self, key: Key, value: &Dynamic) -> ScriptResult<()> {
        let value = from_rhai(value)?;
        let Cell { fields, changes, .. } = &mut *self.lock();
        if fields.len() >= FIELDS_MAX && fields.get(key).is_none() {
            return Err(format!("the state of a key may have {FIELDS_MAX} fields, not more").into());
        }
        changes.set(fields, key, value);
        Ok(())
    }

    fn get_by_name(&self, name: &str) -> Dynamic {
        let cell = self.lock();
        let field = cell.fields.iter().find(|(key, _)| key.as_str() == name);
        field.map_or(Dynamic::UNIT, |(_, value)| to_rhai(value))
    }

    fn set_by_name(&self, name: &str, value: &Dynamic) -> ScriptResult<()> {
        let key = self.lock().names.key(name)?;
        self.set(key, value)
    }

    fn remove(&self, name: &str) -> ScriptResult<Dynamic> {
        let Cell { fields, changes, names } = &mut *self.lock();
        let removed = changes.remove(fields, names.key(name)?);
        Ok(removed.as_ref().map_or(Dynamic::UNIT, to_rhai))
    }

    fn clear(&self) {
        let Cell { fields, changes, .. } = &mut *self.lock();
        changes.replace(fields, Fields::new());
    }

    fn keys(&self) -> Array {
        self.lock().fields.iter().map(|(key, _)| key.as_str().into()).collect()
    }
}

/// Teaches an engine what `state` is.
pub(super) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<StateHandle>("state");
    engine.register_indexer_get(|state: &mut StateHandle, name: ImmutableString| {
        state.get_by_name(&name)
    });
    engine.register_indexer_set(
        |state: &mut StateHandle, name: ImmutableString, value: Dynamic| {
            state.set_by_name(&name, &value)
        },
    );
    engine.register_fn("contains", |state: &mut StateHandle, name: &str| {
        state.lock().fields.iter().any(|(key, _)| key.as_str() == name)
    });
    engine.register_fn("remove", |state: &mut StateHandle, name: &str| state.remove(name));
    engine.register_fn("clear", |state: &mut StateHandle| state.clear());
    engine.register_fn("keys", |state: &mut StateHandle| state.keys());
    engine.register_fn("len", |state: &mut StateHandle| state.lock().fields.len() as i64);
    engine.register_fn("to_map", |state: &mut StateHandle| map_to_rhai(&state.lock().fields));
    engine.register_fn("to_string", |state: &mut StateHandle| json(state));
    engine.register_fn("to_debug", |state: &mut StateHandle| json(state));
}

/// Makes a field that a script names quick to get at.
pub(super) fn register_field(engine: &mut Engine, name: &str, key: Key) {
    engine.register_get_set(
        name,
        move |state: &mut StateHandle| state.get(key),
        move |state: &mut StateHandle, value: Dynamic| state.set(key, &value),
    );
}

fn json(state: &StateHandle) -> String {
    serde_json::to_string(&state.lock().fields).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: i64) -> StateKey {
        StateKey::One(KeyPart::Int(number))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    #[test]
    fn beyond_the_bound_the_key_not_seen_for_the_longest_is_forgotten() {
        let mut states: KeyedState<i64> = KeyedState::new(2, None);
        *states.access(&key(1), at(1)) = 10;
        *states.access(&key(2), at(2)) = 20;
        states.access(&key(1), at(3));
        *states.access(&key(3), at(4)) = 30;
        assert_eq!(states.keys(), [key(1), key(3)]);
        assert_eq!((states.len(), states.forgotten()), (2, 1));
        assert_eq!(*states.access(&key(2), at(5)), 0, "it begins anew");
    }

    #[test]
    fn a_key_is_forgotten_when_its_ttl_has_passed_since_it_was_last_seen() {
        let mut states: KeyedState<i64> = KeyedState::new(10, Some(Duration::from_secs(10)));
        *states.access(&key(1), at(0)) = 1;
        *states.access(&key(2), at(0)) = 2;
        states.access(&key(1), at(8));
        assert_eq!(*states.access(&key(1), at(18)), 1, "seen ten seconds ago");
        assert_eq!(states.keys(), [key(1)]);
        assert_eq!(*states.access(&key(1), at(29)), 0);
    }

    #[test]
    fn a_million_keys_that_come_again_and_again_take_bounded_room_and_go_after_their_ttl() {
        const KEYS: usize = 1_000_000;
        let ttl = Duration::from_mins(1);
        let mut states: KeyedState<i64> = KeyedState::new(KEYS, Some(ttl));
        for round in 0..3 {
            for number in 0..KEYS {
                *states.access(&key(number as i64), at(round * 20)) += 1;
            }
        }
        assert_eq!((states.len(), states.forgotten()), (KEYS, 0));
        assert_eq!(*states.access(&key(7), at(40)), 3);
        // Half of them are seen again, the others make room one by one as new ones come.
        for number in (0..KEYS / 2).chain(KEYS..KEYS + KEYS / 2) {
            states.access(&key(number as i64), at(90));
        }
        assert_eq!((states.len(), states.evicted()), (KEYS, (KEYS / 2) as u64));
        assert_eq!((states.slots.len(), states.seen.len()), (KEYS, KEYS), "one entry each");
        states.expire(at(151));
        assert!(states.is_empty() && states.seen.is_empty());
        assert_eq!(states.forgotten(), (KEYS + KEYS / 2) as u64);
        assert_eq!(states.free.len(), KEYS, "all slots are there for others");
    }
}
