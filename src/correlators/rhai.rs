//! `type: rhai`: derives events by a script with keyed state and timers in event time.

mod memory;

use std::collections::HashMap;

use ::rhai::Dynamic;
use rustc_hash::FxBuildHasher;
use schemars::JsonSchema;
use serde::Deserialize;

use super::emit::{self, Emitter, cause_to_keep};
use super::keys::{self, KeyFields, KeySettings};
use crate::component::{BuildContext, Kind, Settings};
use crate::event::{Event, Fields, Key, Timestamp, TraceIds};
use crate::problem::{Problem, Problems};
use crate::script::{
    Command, EventHandle, Function, KeyedState, OutputHandle, Randomness, Runner, Sandbox, Script,
    StateHandle, StateKey, TimerId, Timers, seed_of,
};
use crate::spec::SpecDuration;
use crate::stage::{Correlator, Failure, Output, Stage, State, StateError};

const ON_EVENT: Function =
    Function { name: "on_event", parameters: &["event", "state", "out"], required: true };
const ON_TIMER: Function =
    Function { name: "on_timer", parameters: &["name", "state", "out"], required: false };
const ON_END: Function =
    Function { name: "on_end", parameters: &["state", "out"], required: false };

/// Derives events by a script that remembers things per key and sets timers in event time.
///
/// `on_event(event, state, out)` is called for each event, `on_timer(name, state, out)` when a
/// timer of its key is due, `on_end(state, out)` for each key at the end of the stream.
/// `out.emit(type, payload)` emits an event, `out.emit_after("5m", type, payload)` one at a later
/// time, `out.timer(name, "4h")` sets a timer and `out.cancel(name)` takes it back. What a call
/// that fails has emitted, set and changed is taken back.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RhaiSettings {
    /// The script itself, or the path of a `.rhai` file.
    pub script: String,
    /// What state and timers are kept per: a field such as `payload.store_id`, or several. Without
    /// one, all events share one state.
    #[serde(default)]
    pub key: KeySettings,
    /// The event types that the script is for; others pass by. All, if there are none.
    #[serde(default)]
    pub on: Vec<String>,
    /// How long after its last event a key's state is forgotten; never by default. Timers stay.
    pub ttl: Option<SpecDuration>,
    /// For how many keys state is kept; beyond it, the key not seen for the longest is forgotten.
    #[serde(default = "default_max_keys")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub max_keys: usize,
    /// How many timers and events to come may be open; an event that would need more fails.
    #[serde(default = "default_max_timers")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub max_timers: usize,
    /// Whether the events that are seen go on too, or only those that are derived.
    #[serde(default = "yes")]
    pub passthrough: bool,
}

fn default_max_keys() -> usize {
    100_000
}

fn default_max_timers() -> usize {
    100_000
}

fn yes() -> bool {
    true
}

impl Settings for RhaiSettings {
    const NAME: &'static str = "rhai";
    const KIND: Kind = Kind::Correlator;
    const EXAMPLE: &'static str = r#"
key: [payload.store_id, payload.product_id]
on: [inventory_updated]
ttl: 7d
script: |
  fn on_event(event, state, out) {
      if event.payload.quantity_on_hand <= 10 && state.pending != true {
          state.pending = true;
          out.emit("reorder_triggered", #{
              store_id: event.payload.store_id, product_id: event.payload.product_id,
              current_quantity: event.payload.quantity_on_hand, reorder_quantity: 100,
              reorder_point: 10, priority: "NORMAL",
          });
          out.timer("lead_time", "4h");
      }
  }
  fn on_timer(name, state, out) { state.pending = false; }
"#;

    fn build(self, cx: &BuildContext<'_>) -> Result<Stage, Problems> {
        let mut problems = Vec::new();
        let key = KeyFields::read(&self.key, "/key", cx, &mut problems);
        let on = keys::types(&self.on, "/on", cx, &mut problems);
        let sandbox = Sandbox::new(seed_of(cx.seed, cx.stage));
        let script = cx
            .script("/script", &self.script)
            .map_err(Problems::from)
            .and_then(|excerpt| compile(excerpt, sandbox));
        match script {
            Ok(script) if problems.is_empty() => {
                let rule = Rule::new(script, cx.trace_ids.clone(), &self, key, on);
                Ok(Stage::Correlator(Box::new(rule)))
            }
            script => {
                problems.extend(script.err().into_iter().flat_map(|found| found.0));
                Err(Problems(problems))
            }
        }
    }
}

/// A script that sets timers has to say what happens when they are due.
fn compile(excerpt: crate::problem::Excerpt, sandbox: Sandbox) -> Result<Script, Problems> {
    let script = Script::compile(excerpt, sandbox, &[ON_EVENT, ON_TIMER, ON_END])?;
    match script.place_of_call("timer") {
        Some(place) if !script.has(ON_TIMER.name) => {
            Err(Problem::error("nothing happens when this timer is due")
                .at(place)
                .help("add `fn on_timer(name, state, out)`")
                .into())
        }
        _ => Ok(script),
    }
}

/// The correlator: a script with its states and timers.
struct Rule {
    script: Calls,
    /// Tells the script from another version of it.
    fingerprint: String,
    /// What the script draws from, if it does.
    randomness: Option<Randomness>,
    states: KeyedState<Fields>,
    timers: Timers<Due>,
    /// The open timers of each key, by name.
    named: HashMap<StateKey, Vec<(String, TimerId)>, FxBuildHasher>,
    emitter: Emitter,
    key: KeyFields,
    on: Vec<Key>,
    passthrough: bool,
    /// The latest instant that was seen.
    now: Timestamp,
    /// What the last call asked for; kept for its room.
    commands: Vec<Command>,
}

/// What happens when a timer is due.
enum Due {
    /// `on_timer(name, ..)` of a key; what it emits was caused by this event.
    Call { key: StateKey, name: String, cause: Box<Event> },
    /// An event that was announced; it gets its id now.
    Emit(Box<Event>),
}

impl Rule {
    fn new(
        script: Script,
        trace_ids: TraceIds,
        settings: &RhaiSettings,
        key: KeyFields,
        on: Vec<Key>,
    ) -> Self {
        Self {
            fingerprint: script.fingerprint(),
            randomness: script.randomness(),
            script: Calls::new(script),
            states: KeyedState::new(settings.max_keys, settings.ttl.map(|ttl| ttl.0)),
            timers: Timers::new(settings.max_timers),
            named: HashMap::default(),
            emitter: Emitter::new(trace_ids),
            key,
            on,
            passthrough: settings.passthrough,
            now: Timestamp::MIN,
            commands: Vec::new(),
        }
    }

    /// Calls a function with the state of a key; carries out what it asked for if it succeeded.
    fn call(
        &mut self,
        function: &'static str,
        first: Option<Dynamic>,
        key: &StateKey,
        cause: Option<&Event>,
        time: Timestamp,
        out: &mut Output,
    ) -> Result<(), Failure> {
        let state = self.states.access(key, time);
        self.commands.clear();
        let room = Room {
            timers: self.timers.room(),
            open: self.named.get(key).map(Vec::as_slice).unwrap_or_default(),
        };
        self.script.call(function, first, state, &mut self.commands, &room)?;
        let mut commands = std::mem::take(&mut self.commands);
        for command in commands.drain(..) {
            self.carry_out(command, key, cause, time, out);
        }
        self.commands = commands;
        Ok(())
    }

    fn carry_out(
        &mut self,
        command: Command,
        key: &StateKey,
        cause: Option<&Event>,
        time: Timestamp,
        out: &mut Output,
    ) {
        match command {
            // The calendar ends before it would fire; at its end it would fire for ever.
            Command::EmitAfter(delay, _) | Command::Timer(_, delay)
                if time + delay == Timestamp::MAX => {}
            Command::Emit(emission) => out.events.push(self.emitter.event(emission, cause, time)),
            Command::EmitAfter(delay, emission) => {
                let event = emit::announced(emission, cause, time + delay);
                self.set_timer(time + delay, Due::Emit(Box::new(event)));
            }
            Command::Timer(name, delay) => {
                self.cancel(key, &name);
                let cause = Box::new(cause_to_keep(cause, time));
                let due = Due::Call { key: key.clone(), name: name.clone(), cause };
                if let Some(id) = self.set_timer(time + delay, due) {
                    self.named.entry(key.clone()).or_default().push((name, id));
                }
            }
            Command::Cancel(name) => self.cancel(key, &name),
        }
    }

    /// There is room: [`Calls::call`] fails where there is none.
    fn set_timer(&mut self, due: Timestamp, what: Due) -> Option<TimerId> {
        let id = self.timers.set(due, what);
        debug_assert!(id.is_ok(), "room for timers was asked for");
        id.ok()
    }

    fn cancel(&mut self, key: &StateKey, name: &str) {
        if let Some(id) = self.forget_name(key, name) {
            self.timers.cancel(id);
        }
    }

    fn forget_name(&mut self, key: &StateKey, name: &str) -> Option<TimerId> {
        let open = self.named.get_mut(key)?;
        let place = open.iter().position(|(known, _)| known == name)?;
        let (_, id) = open.swap_remove(place);
        if open.is_empty() {
            self.named.remove(key);
        }
        Some(id)
    }

    fn fire(&mut self, due: Timestamp, what: Due, out: &mut Output) {
        match what {
            Due::Emit(event) => out.events.push(self.emitter.with_id(*event)),
            Due::Call { key, name, cause } => {
                self.forget_name(&key, &name);
                let name = Some(Dynamic::from(name));
                let result = self.call(ON_TIMER.name, name, &key, Some(&cause), due, out);
                out.failures.extend(result.err());
            }
        }
    }
}

impl Correlator for Rule {
    fn observe(&mut self, event: &Event, out: &mut Output) -> Result<(), Failure> {
        self.now = self.now.max(event.time);
        if !self.on.is_empty() && !self.on.contains(&event.event_type) {
            return Ok(());
        }
        let key = self.key.of(event);
        let mut seen = event.clone();
        self.script.event.swap(&mut seen);
        let handle = Some(self.script.event_argument.clone());
        let result = self.call(ON_EVENT.name, handle, &key, Some(event), event.time, out);
        self.script.event.swap(&mut seen);
        result
    }

    fn next_timer(&self) -> Option<Timestamp> {
        self.timers.next_due()
    }

    fn advance(&mut self, until: Timestamp, out: &mut Output) {
        while let Some((id, what)) = self.timers.pop(until) {
            self.now = self.now.max(id.due());
            self.fire(id.due(), what, out);
        }
    }

    fn drain(&mut self, end: Timestamp, out: &mut Output) -> u64 {
        if self.script.has_on_end {
            // A stream that has no end in event time ends with what came last.
            let end = if end == Timestamp::MAX { self.now } else { end };
            self.states.expire(end);
            for key in self.states.keys() {
                let result = self.call(ON_END.name, None, &key, None, end, out);
                out.failures.extend(result.err());
            }
        }
        self.timers.len() as u64
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

/// The timers that a call may set.
struct Room<'a> {
    /// How many more may be open.
    timers: usize,
    /// Those of the key that are: setting one again takes no room.
    open: &'a [(String, TimerId)],
}

/// The script's functions with their arguments.
struct Calls {
    runner: Runner,
    event: EventHandle,
    state: StateHandle,
    out: OutputHandle,
    event_argument: Dynamic,
    state_argument: Dynamic,
    out_argument: Dynamic,
    has_on_end: bool,
}

impl Calls {
    fn new(script: Script) -> Self {
        let (event, state, out) =
            (EventHandle::new(false), StateHandle::default(), OutputHandle::default());
        Self {
            event_argument: Dynamic::from(event.clone()),
            state_argument: Dynamic::from(state.clone()),
            out_argument: Dynamic::from(out.clone()),
            has_on_end: script.has(ON_END.name),
            runner: Runner::new(script),
            event,
            state,
            out,
        }
    }

    /// Calls a function. Its commands are in `commands` when it succeeded; when it failed, or asks
    /// for more timers than there is room for, the state is as it was before.
    fn call(
        &mut self,
        function: &str,
        first: Option<Dynamic>,
        state: &mut Fields,
        commands: &mut Vec<Command>,
        room: &Room<'_>,
    ) -> Result<(), Failure> {
        self.state.swap(state);
        let (own, out) = (self.state_argument.clone(), self.out_argument.clone());
        let result = match first {
            Some(first) => self.runner.call(function, (first, own, out)),
            None => self.runner.call(function, (own, out)),
        };
        let timers = self.out.timers(|name| room.open.iter().any(|(open, _)| open == name));
        let result = match result {
            Ok(_) if timers > room.timers => {
                Err(Failure::new("script", "there are as many open timers as `max_timers` allows"))
            }
            result => result.map(|_| ()),
        };
        if result.is_ok() {
            self.out.take(commands);
            self.state.keep_changes();
        } else {
            self.out.discard();
            self.state.undo_changes();
        }
        self.state.swap(state);
        result
    }
}

#[cfg(test)]
mod tests;
