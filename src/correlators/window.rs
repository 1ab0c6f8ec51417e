//! `type: window`: adds up events per key over stretches of event time.

mod aggregate;
mod aligned;
mod session;
mod teller;

use std::collections::BTreeSet;
use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::aggregate::Aggregate;
pub use self::aggregate::AggregateSettings;
use self::aligned::{Aligned, AlignedMemory};
use self::session::{SessionMemory, Sessions};
use self::teller::{Teller, Window};
use super::keys::{self, KeyFields, KeySettings};
use crate::component::{BuildContext, Kind, Settings};
use crate::event::{Event, Key, Timestamp, Value};
use crate::problem::{Problem, Problems};
use crate::script::{Premises, StateKey};
use crate::spec::SpecDuration;
use crate::stage::{Correlator, Failure, Output, Stage, State, StateError};

/// How many windows an event may be in.
const OVERLAP_MAX: u128 = 1_000;
/// The smallest step of event time.
const STEP: Duration = Duration::from_millis(1);

/// Adds up events over windows of event time, per key, and tells the result of each window when it
/// is over.
///
/// `tumbling` windows lie end to end, `hopping` windows of one size begin every so often and
/// overlap, and a `session` lasts as long as its events follow each other within `gap`. The first
/// two lie as a clock does: windows of an hour begin at full hours UTC, unless `offset` moves them.
/// A window has its start and not its end.
///
/// The payload of a result has the fields of the key, `window_start`, `window_end`, the aggregates,
/// and `complete`, which is false where the stream ended before the window did. Its time is the
/// last instant of the window. Of the envelope it has what follows from its type, then what is in
/// the key; the partition key is else the key as it reads, so that results of one key keep their
/// order. It has no parent. Windows without events tell nothing.
///
/// Fields that an event does not have, or that are null, do not count: a `sum` of none is 0, `avg`,
/// `min` and `max` of none are null. Whole numbers, and numbers of up to six decimals such as money,
/// are added up exactly; finer ones with an error that does not grow with their number. A sum of
/// whole numbers is a whole number, unless it does not fit 64 bits. `min` and `max` take strings,
/// too; numbers go before them. `sum` and `avg` fail on what is no number.
///
/// An event is late when it comes after the result of its window was told. With `allowed_lateness`
/// it is added all the same, and the window tells a corrected result at once: results then have a
/// `revision`, 0 at first, and the greatest one holds. The parent of a correction is the late event.
/// Where late events join two sessions, the result of the later one does not hold any more. What
/// comes later than that is in no window any more, and the report says how many events that were.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowSettings {
    /// How windows lie.
    pub kind: WindowKind,
    /// How long a `tumbling` or `hopping` window lasts.
    pub size: Option<SpecDuration>,
    /// How often a `hopping` window begins.
    pub every: Option<SpecDuration>,
    /// After how much time without events a `session` is over.
    pub gap: Option<SpecDuration>,
    /// How much later than at full hours, days and so on (UTC) `tumbling` and `hopping` windows
    /// begin.
    #[serde(default)]
    pub offset: SpecDuration,
    /// What windows are kept per: a field such as `payload.store_id`, or several. Without one, all
    /// events are in the same windows.
    #[serde(default)]
    pub key: KeySettings,
    /// The event types that are added up; others are not looked at. All, if there are none.
    #[serde(default)]
    pub on: Vec<String>,
    /// What is added up: names in the result's payload, each with `count`, or with `sum`, `avg`,
    /// `min`, `max` or `distinct` of a field.
    pub aggregates: IndexMap<String, AggregateSettings>,
    /// The type of the results.
    pub emit: String,
    /// How long after its end a window still takes late events.
    #[serde(default)]
    pub allowed_lateness: SpecDuration,
    /// How many windows may be kept, over all keys; an event that would need more fails. One of two
    /// aggregates takes about 220 bytes, a session 400, and each distinct value about 60 more.
    #[serde(default = "default_max_windows")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub max_windows: usize,
    /// How many different values `distinct` keeps of a window; an event that would bring more
    /// fails.
    #[serde(default = "default_max_distinct")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub max_distinct: usize,
    /// Whether the events that are seen go on too, or only the results.
    #[serde(default)]
    pub passthrough: bool,
}

/// How windows lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WindowKind {
    /// End to end, of `size`.
    Tumbling,
    /// Of `size`, one `every` so often.
    Hopping,
    /// As long as events follow each other within `gap`.
    Session,
}

fn default_max_windows() -> usize {
    100_000
}

fn default_max_distinct() -> usize {
    10_000
}

impl Settings for WindowSettings {
    const NAME: &'static str = "window";
    const KIND: Kind = Kind::Correlator;
    const EXAMPLE: &'static str = r"
kind: hopping
size: 1h
every: 10m
key: payload.product_id
on: [receipt_line_added]
aggregates:
  units: { sum: payload.quantity }
  revenue: { sum: payload.extended_price }
  receipts: { distinct: payload.receipt_id }
  lines: count
emit: product_hour
allowed_lateness: 5m
";

    fn build(self, cx: &BuildContext<'_>) -> Result<Stage, Problems> {
        let mut problems = Vec::new();
        let shape = self.shape(cx, &mut problems);
        let key = KeyFields::read(&self.key, "/key", cx, &mut problems);
        let on = keys::types(&self.on, "/on", cx, &mut problems);
        let event_type = keys::interned(&self.emit, "/emit", cx, &mut problems);
        let aggregates = self.aggregates(&key, cx, &mut problems);
        match (shape, event_type) {
            (Some(shape), Some(event_type)) if problems.is_empty() => {
                let teller = Teller::new(
                    event_type,
                    key,
                    aggregates,
                    self.allowed_lateness.0 > Duration::ZERO,
                    cx.trace_ids.clone(),
                )
                .map_err(|error| cx.problem("/emit", error.to_string()))?;
                Ok(Stage::Correlator(Box::new(Windows::new(&self, shape, teller, on))))
            }
            _ => Err(Problems(problems)),
        }
    }
}

/// How windows lie, checked.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Aligned { size: Duration, every: Duration, offset: Duration },
    Session { gap: Duration },
}

impl WindowSettings {
    /// Checks what belongs to which kind.
    fn shape(&self, cx: &BuildContext<'_>, problems: &mut Vec<Problem>) -> Option<Shape> {
        let (name, needed): (_, &[&str]) = match self.kind {
            WindowKind::Tumbling => ("tumbling", &["size"]),
            WindowKind::Hopping => ("hopping", &["size", "every"]),
            WindowKind::Session => ("session", &["gap"]),
        };
        let given = [("size", self.size), ("every", self.every), ("gap", self.gap)];
        let before = problems.len();
        for (setting, value) in given {
            let pointer = format!("/{setting}");
            match value {
                None if needed.contains(&setting) => problems.push(
                    cx.problem("/kind", format!("`{name}` windows need `{setting}`"))
                        .help(format!("add, for example, `{setting}: 10m`")),
                ),
                Some(_) if !needed.contains(&setting) => problems
                    .push(cx.problem(&pointer, format!("`{name}` windows have no `{setting}`"))),
                Some(length) if length.0.is_zero() => {
                    problems.push(cx.problem(&pointer, format!("`{setting}` has to be longer")));
                }
                _ => {}
            }
        }
        if self.kind == WindowKind::Session && cx.has("/offset") {
            problems.push(cx.problem("/offset", "`session` windows have no `offset`"));
        }
        if problems.len() > before {
            return None;
        }
        let Some(size) = self.size else { return Some(Shape::Session { gap: self.gap?.0 }) };
        let every = self.every.unwrap_or(size);
        if every > size {
            let message = format!("there are gaps between windows of {size} every {every}");
            problems.push(cx.problem("/every", message).help("`every` is at most `size`"));
            return None;
        }
        if size.0.as_millis().div_ceil(every.0.as_millis()) > OVERLAP_MAX {
            let message = format!("an event would be in more than {OVERLAP_MAX} windows");
            problems.push(cx.problem("/every", message).help("make `every` longer"));
            return None;
        }
        Some(Shape::Aligned { size: size.0, every: every.0, offset: self.offset.0 })
    }

    fn aggregates(
        &self,
        key: &KeyFields,
        cx: &BuildContext<'_>,
        problems: &mut Vec<Problem>,
    ) -> Vec<Aggregate> {
        if self.aggregates.is_empty() {
            let problem = cx.problem("/aggregates", "there is nothing to add up");
            problems.push(problem.help("add, for example, `events: count`"));
        }
        let taken: Vec<String> =
            teller::FIELDS.map(str::to_owned).into_iter().chain(key.names()).collect();
        let mut aggregates = Vec::new();
        for (name, what) in &self.aggregates {
            let pointer = format!("/aggregates/{}", keys::escaped(name));
            if taken.contains(name) {
                let message = format!("the payload has a `{name}` already");
                problems.push(cx.problem(&pointer, message).help("give it another name"));
            }
            let field = what.path().and_then(|path| keys::field(path, &pointer, cx, problems));
            if let Some(output) = keys::interned(name, &pointer, cx, problems) {
                aggregates.push(Aggregate { output, what: what.clone(), field });
            }
        }
        let mut names: Vec<String> = key.names().collect();
        names.sort();
        for twice in names.windows(2).filter(|names| names[0] == names[1]) {
            let message = format!("two fields of the key are called `{}`", twice[0]);
            problems.push(cx.problem("/key", message).help("the payload has room for one of them"));
        }
        aggregates
    }
}

fn failure(reason: impl Into<String>) -> Failure {
    Failure::new("window", reason)
}

/// The correlator: windows of one shape.
struct Windows {
    store: Store,
    rules: Rules,
    on: Vec<Key>,
    passthrough: bool,
    /// The values of the event that is looked at; kept for its room.
    values: Vec<Value>,
}

enum Store {
    Aligned(Aligned),
    Sessions(Sessions),
}

/// What windows of either shape go by.
struct Rules {
    teller: Teller,
    lateness: Duration,
    windows_max: usize,
    distinct_max: usize,
    /// Nothing earlier comes any more, but for what is late.
    horizon: Timestamp,
}

impl Rules {
    /// Whether the result of a window with this last instant was due.
    fn is_over(&self, last: Timestamp) -> bool {
        last < self.horizon
    }

    /// Whether such a window takes events no more.
    fn is_gone(&self, last: Timestamp) -> bool {
        self.is_over(last) && last + self.lateness < self.horizon
    }

    /// When what is told at the end of a stream is told.
    fn end(&self, end: Timestamp) -> Timestamp {
        // A stream that has no end in event time ends with what came last.
        if end == Timestamp::MAX { self.horizon } else { end }
    }

    /// Checks that a window can take the values of an event.
    fn check_room(&self, window: &Window, values: &[Value]) -> Result<(), Failure> {
        if window.has_room_for(values, self.distinct_max) {
            return Ok(());
        }
        Err(failure("the window has as many distinct values as `max_distinct` allows"))
    }
}

/// There are as many windows as may be.
fn too_many_windows() -> Failure {
    failure("there are as many windows as `max_windows` allows")
}

/// An event that is added, with what it brings to each aggregate.
struct Added<'a> {
    event: &'a Event,
    values: &'a [Value],
}

/// Whether an event was in time for any window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Window,
    TooLate,
}

impl Windows {
    fn new(settings: &WindowSettings, shape: Shape, teller: Teller, on: Vec<Key>) -> Self {
        let store = match shape {
            Shape::Aligned { size, every, offset } => {
                Store::Aligned(Aligned::new(size, every, offset))
            }
            Shape::Session { gap } => Store::Sessions(Sessions::new(gap, settings.max_windows)),
        };
        let rules = Rules {
            teller,
            lateness: settings.allowed_lateness.0,
            windows_max: settings.max_windows,
            distinct_max: settings.max_distinct,
            horizon: Timestamp::MIN,
        };
        Self { store, rules, on, passthrough: settings.passthrough, values: Vec::new() }
    }
}

impl Correlator for Windows {
    fn observe(&mut self, event: &Event, out: &mut Output) -> Result<(), Failure> {
        let Self { store, rules, on, values, .. } = self;
        rules.horizon = rules.horizon.max(event.time);
        if !on.is_empty() && !on.contains(&event.event_type) {
            return Ok(());
        }
        rules.teller.values(event, values)?;
        let key = rules.teller.key.of(event);
        let added = Added { event, values };
        let found = match store {
            Store::Aligned(windows) => windows.add(&key, &added, rules, out)?,
            Store::Sessions(sessions) => sessions.add(&key, &added, rules, out)?,
        };
        out.late |= found == Found::TooLate;
        Ok(())
    }

    fn next_timer(&self) -> Option<Timestamp> {
        match &self.store {
            Store::Aligned(windows) => windows.next_due(&self.rules),
            Store::Sessions(sessions) => sessions.next_due(),
        }
    }

    fn advance(&mut self, until: Timestamp, out: &mut Output) {
        self.rules.horizon = self.rules.horizon.max(until + STEP);
        match &mut self.store {
            Store::Aligned(windows) => windows.advance(until, &mut self.rules, out),
            Store::Sessions(sessions) => sessions.advance(until, &mut self.rules, out),
        }
    }

    fn drain(&mut self, end: Timestamp, out: &mut Output) -> u64 {
        match &mut self.store {
            Store::Aligned(windows) => windows.tell_open(end, &mut self.rules, out),
            Store::Sessions(sessions) => sessions.tell_open(end, &mut self.rules, out),
        }
        // Every open window was told as far as it got.
        0
    }

    fn adds(&self) -> Option<BTreeSet<String>> {
        Some(self.rules.teller.adds())
    }

    fn try_out(&mut self, premises: &Premises<'_>) -> Problems {
        let types = premises.types_of(&self.on);
        let mut problems = Problems(premises.misspelt(&self.on));
        problems.extend(self.rules.teller.unknown_fields(types.as_ref(), premises));
        problems
    }

    fn state(&self) -> State {
        State::of(&Memory {
            trace_ids: self.rules.teller.trace_ids(),
            horizon: self.rules.horizon.as_millis(),
            windows: match &self.store {
                Store::Aligned(windows) => StoreMemory::Aligned(windows.memory()),
                Store::Sessions(sessions) => StoreMemory::Sessions(sessions.memory()),
            },
        })
    }

    fn restore(&mut self, state: &State) -> Result<(), StateError> {
        let read: Memory<AlignedMemory<StateKey, Window>, SessionMemory<StateKey, Window>> =
            state.read()?;
        match (&mut self.store, read.windows) {
            (Store::Aligned(windows), StoreMemory::Aligned(memory)) => {
                windows.remember(memory, &self.rules)?;
            }
            (Store::Sessions(sessions), StoreMemory::Sessions(memory)) => {
                sessions.remember(memory, &self.rules)?;
            }
            _ => return Err(StateError("it has windows of another kind".to_owned())),
        }
        self.rules.teller.go_on_from(read.trace_ids);
        self.rules.horizon = Timestamp::from_millis(read.horizon);
        Ok(())
    }

    fn passes_through(&self) -> bool {
        self.passthrough
    }
}

/// All that is remembered.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory<A, S> {
    /// How many trace ids were given.
    trace_ids: u64,
    horizon: i64,
    windows: StoreMemory<A, S>,
}

#[derive(Serialize, Deserialize)]
enum StoreMemory<A, S> {
    Aligned(A),
    Sessions(S),
}

#[cfg(test)]
mod tests;
