//! `type: join`: brings events of two sides together that have a key in common.

mod memory;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::emit::{Emitter, cause_to_keep};
use super::keys::{self, KeySettings};
use super::side::{Pick, PickSettings, Row, Select};
use crate::component::{BuildContext, Kind, Settings};
use crate::event::{Event, Key, Timestamp};
use crate::problem::{Problem, Problems};
use crate::script::{Premises, StateKey, TimerId, Timers};
use crate::spec::SpecDuration;
use crate::stage::{Correlator, Failure, Output, Stage, State, StateError};

/// The names of the sides in `select:`.
const SIDES: [&str; 2] = ["left", "right"];
/// The smallest step of event time.
const STEP: Duration = Duration::from_millis(1);

/// Brings events of two sides together that have a key in common and are not further apart than
/// `within`, and emits an event for each such pair.
///
/// A side is told by its types, by a condition, or both, and not by the input that its events come
/// from: inputs are merged into one order of time before a stage sees them. Either side may come
/// first. A pair's event is at the time of the later one, which is its parent; of the envelope it
/// has what follows from its type, then what the parent has. The payload is what `select` says.
///
/// With `unmatched`, an event of that side that finds nobody is told by itself when its time is
/// over, with null for the fields of the other side; one without a value for its key matches nothing,
/// and is told at once. An event that comes when its own time is over already is late: it is not looked at, and
/// the report says how many events that were. What waits when the stream ends is not told; it is
/// counted as open timers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinSettings {
    /// The one side.
    pub left: PickSettings,
    /// The other side.
    pub right: PickSettings,
    /// What both sides have in common: a field, or several. A side may have a `key` of its own.
    #[serde(default)]
    pub key: KeySettings,
    /// How far apart in event time the two may be.
    pub within: SpecDuration,
    /// Which side has to be there first, if that matters.
    #[serde(default)]
    pub order: JoinOrder,
    /// The type of the events that are emitted.
    pub emit: String,
    /// The payload: names in it, each with a field of a side, such as `left.payload.total` or
    /// `right.trace_id`.
    pub select: IndexMap<String, String>,
    /// The sides whose events are told when they find nobody.
    #[serde(default)]
    pub unmatched: Unmatched,
    /// The type of those events; that of `emit`, if there is none.
    pub emit_unmatched: Option<String>,
    /// How many events may wait, of both sides; an event that would be one more fails. One takes
    /// about 350 bytes, 550 where it is told unmatched, and what `select` takes over of it.
    #[serde(default = "default_max_waiting")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub max_waiting: usize,
    /// How many of them may have the same key on the same side, so that no event makes more pairs
    /// than this.
    #[serde(default = "default_max_per_key")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_per_key: usize,
    /// Whether the events that are seen go on too, or only those that are emitted.
    #[serde(default = "yes")]
    pub passthrough: bool,
}

/// Which side has to be there first. Of two at the same instant, either is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JoinOrder {
    /// Either one.
    #[default]
    Any,
    /// `left`.
    LeftFirst,
    /// `right`.
    RightFirst,
}

/// The sides whose events are told when they find nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unmatched {
    /// Neither: an inner join.
    #[default]
    None,
    /// `left`: a left outer join.
    Left,
    /// `right`.
    Right,
    /// Both: a full outer join.
    Both,
}

fn default_max_waiting() -> usize {
    100_000
}

fn default_max_per_key() -> usize {
    100
}

fn yes() -> bool {
    true
}

impl Settings for JoinSettings {
    const NAME: &'static str = "join";
    const KIND: Kind = Kind::Correlator;
    const EXAMPLE: &'static str = r#"
left: { on: [receipt_created] }
right: { on: [payment_processed], when: 'event.payload.status == "APPROVED"' }
key: payload.receipt_id
within: 5m
emit: receipt_paid
select:
  receipt_id: left.payload.receipt_id
  total: left.payload.total
  method: right.payload.payment_method
unmatched: left
emit_unmatched: receipt_unpaid
"#;

    fn build(self, cx: &BuildContext<'_>) -> Result<Stage, Problems> {
        let mut problems = Vec::new();
        check_key(&self, cx, &mut problems);
        let mut pick =
            |settings, pointer| Pick::read(settings, pointer, &self.key, cx, &mut problems);
        let picks = [pick(&self.left, "/left"), pick(&self.right, "/right")];
        if picks[0].key_len() != picks[1].key_len() {
            let message = "the keys of `left` and `right` have not as many fields";
            problems.push(cx.problem("/right", message));
        }
        if self.unmatched == Unmatched::None && self.emit_unmatched.is_some() {
            let problem = cx.problem("/emit_unmatched", "nothing unmatched is told");
            problems.push(problem.help("say of which side: `unmatched: left`"));
        }
        let select = Select::read(&self.select, &SIDES, cx, &mut problems);
        let emit = keys::interned(&self.emit, "/emit", cx, &mut problems);
        let unmatched = match &self.emit_unmatched {
            Some(name) => keys::interned(name, "/emit_unmatched", cx, &mut problems),
            None => emit,
        };
        match (emit, unmatched) {
            (Some(emit), Some(emit_unmatched)) if problems.is_empty() => {
                Ok(Stage::Correlator(Box::new(Join {
                    picks,
                    select,
                    emit,
                    emit_unmatched,
                    tells: match self.unmatched {
                        Unmatched::None => [false, false],
                        Unmatched::Left => [true, false],
                        Unmatched::Right => [false, true],
                        Unmatched::Both => [true, true],
                    },
                    within: self.within.0,
                    order: self.order,
                    per_key_max: self.max_per_key,
                    passthrough: self.passthrough,
                    waiting: HashMap::default(),
                    timers: Timers::new(self.max_waiting),
                    emitter: Emitter::new(cx.trace_ids.clone()),
                    horizon: Timestamp::MIN,
                })))
            }
            _ => Err(Problems(problems)),
        }
    }
}

/// Reads the stage's key once by itself, and asks for one.
fn check_key(settings: &JoinSettings, cx: &BuildContext<'_>, problems: &mut Vec<Problem>) {
    let key = keys::KeyFields::read(&settings.key, "/key", cx, problems);
    let has_own = settings.left.key.is_some() && settings.right.key.is_some();
    if key.len() == 0 && problems.is_empty() && !has_own {
        let problem = cx.problem("", "nothing says what both sides have in common");
        problems.push(problem.help("add a field that they share, such as `key: payload.order_id`"));
    }
}

/// The correlator. Sides are 0 and 1.
struct Join {
    picks: [Pick; 2],
    select: Select,
    emit: Key,
    emit_unmatched: Key,
    /// Whether a side's events are told when they find nobody.
    tells: [bool; 2],
    within: Duration,
    order: JoinOrder,
    per_key_max: usize,
    passthrough: bool,
    /// The events of each side that wait, by key, as they came.
    waiting: HashMap<StateKey, [Vec<Waiting>; 2], FxBuildHasher>,
    /// One for each of them, due when its time is over.
    timers: Timers<Place>,
    emitter: Emitter,
    /// Nothing earlier comes any more, but for what is late.
    horizon: Timestamp,
}

/// Where an event waits.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Place {
    key: StateKey,
    side: usize,
}

/// An event that waits for others.
#[derive(Debug)]
struct Waiting {
    timer: TimerId,
    time: Timestamp,
    row: Row,
    /// What its own event follows from, where it is told when it finds nobody.
    cause: Option<Box<Event>>,
    is_matched: bool,
}

impl Join {
    /// Whether a side's event at one time and the other side's at another make a pair.
    fn is_pair(&self, side: usize, time: Timestamp, other: Timestamp) -> bool {
        let (left, right) = if side == 0 { (time, other) } else { (other, time) };
        let in_order = match self.order {
            JoinOrder::Any => true,
            JoinOrder::LeftFirst => left <= right,
            JoinOrder::RightFirst => right <= left,
        };
        in_order && left.since(right).max(right.since(left)) <= self.within
    }

    /// The sides that an event belongs to, with its key in each.
    fn sides(&mut self, event: &Event) -> Result<Vec<(usize, Option<StateKey>)>, Failure> {
        let mut sides = Vec::new();
        for (side, pick) in self.picks.iter_mut().enumerate() {
            if pick.takes(event)? {
                sides.push((side, pick.key_of(event)));
            }
        }
        Ok(sides)
    }

    /// Checks that an event has room to wait.
    fn check_room(&self, sides: &[(usize, Option<StateKey>)]) -> Result<(), Failure> {
        let keyed = sides.iter().filter_map(|(side, key)| Some((*side, key.as_ref()?)));
        if keyed.clone().count() > self.timers.room() {
            return Err(failure("there are as many events waiting as `max_waiting` allows"));
        }
        for (side, key) in keyed {
            let waiting = self.waiting.get(key).map_or(0, |sides| sides[side].len());
            if waiting >= self.per_key_max {
                let reason = "there are as many events of this key waiting as `max_per_key` allows";
                return Err(failure(reason));
            }
        }
        Ok(())
    }

    /// Emits the pairs that an event makes with those that wait on the other side. Says whether
    /// there are any.
    fn pair(
        &mut self,
        side: usize,
        key: &StateKey,
        event: &Event,
        row: &Row,
        out: &mut Output,
    ) -> bool {
        let Some(mut sides) = self.waiting.remove(key) else { return false };
        let mut is_matched = false;
        for waiting in &mut sides[1 - side] {
            if !self.is_pair(side, event.time, waiting.time) {
                continue;
            }
            (is_matched, waiting.is_matched) = (true, true);
            let rows = match side {
                0 => [Some(row), Some(&waiting.row)],
                _ => [Some(&waiting.row), Some(row)],
            };
            let (payload, time) = (self.select.payload(&rows), event.time.max(waiting.time));
            out.events.push(self.emitter.caused(self.emit, payload, event, time));
        }
        self.waiting.insert(key.clone(), sides);
        is_matched
    }

    /// Lets an event wait; there is room.
    fn wait(&mut self, side: usize, key: StateKey, event: &Event, row: Row, is_matched: bool) {
        let place = Place { key, side };
        let Ok(timer) = self.timers.set(event.time + self.within, place.clone()) else { return };
        let cause = self.tells[side].then(|| Box::new(cause_to_keep(Some(event), event.time)));
        let waiting = Waiting { timer, time: event.time, row, cause, is_matched };
        let sides = self.waiting.entry(place.key).or_default();
        if sides[side].capacity() == 0 {
            // Most keys have one event, and there may be many keys.
            sides[side].reserve_exact(1);
        }
        sides[side].push(waiting);
    }

    /// Emits an event that found nobody.
    fn tell(&mut self, side: usize, row: &Row, cause: &Event, time: Timestamp, out: &mut Output) {
        let rows = if side == 0 { [Some(row), None] } else { [None, Some(row)] };
        let payload = self.select.payload(&rows);
        out.events.push(self.emitter.caused(self.emit_unmatched, payload, cause, time));
    }

    /// Takes out an event whose time is over.
    fn take(&mut self, place: &Place, timer: TimerId) -> Option<Waiting> {
        let sides = self.waiting.get_mut(&place.key)?;
        let waiting = &mut sides[place.side];
        let found = waiting.iter().position(|waiting| waiting.timer == timer)?;
        let taken = waiting.remove(found);
        if sides.iter().all(Vec::is_empty) {
            self.waiting.remove(&place.key);
        }
        Some(taken)
    }
}

fn failure(reason: &str) -> Failure {
    Failure::new("join", reason)
}

impl Correlator for Join {
    fn observe(&mut self, event: &Event, out: &mut Output) -> Result<(), Failure> {
        self.horizon = self.horizon.max(event.time);
        let sides = self.sides(event)?;
        if sides.is_empty() {
            return Ok(());
        }
        if event.time + self.within < self.horizon {
            out.late = true;
            return Ok(());
        }
        self.check_room(&sides)?;
        // An event of both sides is no pair with itself: it looks around before it waits.
        let mut looked = Vec::with_capacity(sides.len());
        for (side, key) in sides {
            let row = self.select.row(side, event);
            let Some(key) = key else {
                if self.tells[side] {
                    self.tell(side, &row, event, event.time, out);
                }
                continue;
            };
            let is_matched = self.pair(side, &key, event, &row, out);
            looked.push((side, key, row, is_matched));
        }
        for (side, key, row, is_matched) in looked {
            self.wait(side, key, event, row, is_matched);
        }
        Ok(())
    }

    fn next_timer(&self) -> Option<Timestamp> {
        self.timers.next_due()
    }

    fn advance(&mut self, until: Timestamp, out: &mut Output) {
        self.horizon = self.horizon.max(until + STEP);
        while let Some((timer, place)) = self.timers.pop(until) {
            let Some(waiting) = self.take(&place, timer) else { continue };
            if let Some(cause) = waiting.cause.filter(|_| !waiting.is_matched) {
                self.tell(place.side, &waiting.row, &cause, timer.due(), out);
            }
        }
    }

    fn drain(&mut self, _: Timestamp, _: &mut Output) -> u64 {
        let waiting = self.waiting.values().flatten().flatten();
        waiting.filter(|waiting| waiting.cause.is_some() && !waiting.is_matched).count() as u64
    }

    fn adds(&self) -> Option<BTreeSet<String>> {
        let types = [self.emit, self.emit_unmatched].map(|name| name.as_str().to_owned());
        Some(self.select.names().chain(types).collect())
    }

    fn try_out(&mut self, premises: &Premises<'_>) -> Problems {
        self.select.misfits(&self.picks, premises)
    }

    fn state(&self) -> State {
        self.memory()
    }

    fn restore(&mut self, state: &State) -> Result<(), StateError> {
        self.remember(state)
    }

    fn passes_through(&self) -> bool {
        self.passthrough
    }
}

#[cfg(test)]
mod tests;
