//! `type: rhai`: derives events by a script with keyed state and timers in event time.

mod memory;
mod trial;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rustc_hash::FxBuildHasher;
use schemars::JsonSchema;
use serde::Deserialize;

use super::emit::{self, Emitter, cause_to_keep};
use super::keys::{self, KeyFields, KeySettings};
use crate::component::{BuildContext, Kind, Settings};
use crate::event::{Event, Fields, Key, Timestamp, TraceIds};
use crate::problem::{Problem, Problems};
use crate::script::{
    Calls, Command, Function, Given, GivenEvent, KeyedState, PayloadFields, Premises, Randomness,
    Returned, RuleFigures, Sandbox, Script, StateKey, TimerId, Timers, seed_of,
};
use crate::spec::SpecDuration;
use crate::stage::{Correlator, Failure, Output, Stage, State, StateError};

const ON_EVENT: Function =
    Function { name: "on_event", parameters: &["event", "state", "out"], required: true };
const ON_TIMER: Function =
    Function { name: "on_timer", parameters: &["name", "state", "out"], required: false };
const ON_END: Function =
    Function { name: "on_end", parameters: &["state", "out"], required: false };
/// The functions of a rule, and the places of each among them.
const FUNCTIONS: [Function; 3] = [ON_EVENT, ON_TIMER, ON_END];
const EVENT: usize = 0;
const TIMER: usize = 1;
const END: usize = 2;

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
    /// Whether the functions of the script run as compiled code where they can. Results are the
    /// same without; it is slower then.
    #[serde(default = "yes")]
    pub compile: bool,
    /// What state and timers are kept per: a field such as `payload.store_id`, or several. Without
    /// one, all events share one state.
    #[serde(default)]
    pub key: KeySettings,
    /// The event types that the script is for; others pass by. All, if there are none.
    #[serde(default)]
    pub on: Vec<String>,
    /// How long after its last event a key's state is forgotten; never by default. Timers stay.
    pub ttl: Option<SpecDuration>,
    /// For how many keys state is kept; beyond it, the key not seen for the longest is forgotten. A
    /// key takes about 310 bytes with up to four numbers as its fields.
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
        let sandbox = Sandbox::new(seed_of(cx.seed, cx.stage)).of_rule(cx.stage);
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
    let script = Script::compile(excerpt, sandbox, &FUNCTIONS)?;
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
    calls: Calls,
    /// Tells the script from another version of it.
    fingerprint: String,
    /// What the script draws from, if it does.
    randomness: Option<Randomness>,
    payload_fields: Arc<PayloadFields>,
    /// Functions that nobody calls and that were meant to be called, until that is told.
    misnamed: Problems,
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

fn too_many_timers() -> Failure {
    Failure::new("script", "there are as many open timers as `max_timers` allows")
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
            payload_fields: script.payload_fields(),
            misnamed: Problems(script.misnamed(&FUNCTIONS)),
            calls: Calls::new(script, &FUNCTIONS, false, settings.compile),
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
        function: usize,
        (event, timer): (GivenEvent<'_>, Option<&str>),
        key: &StateKey,
        cause: Option<&Event>,
        time: Timestamp,
        out: &mut Output,
    ) -> Result<(), Failure> {
        let state = Some(self.states.access(key, time));
        let mut commands = std::mem::take(&mut self.commands);
        let room = self.timers.room();
        let named = &self.named;
        let fits = |commands: &[Command], _: &Returned| {
            // Mostly nothing is asked for, and then nobody has to look.
            if commands.is_empty() {
                return Ok(());
            }
            let open = named.get(key).map(Vec::as_slice).unwrap_or_default();
            let is_open = |name: &str| open.iter().any(|(open, _)| open == name);
            if Command::count_timers(commands, is_open) <= room {
                return Ok(());
            }
            Err(too_many_timers())
        };
        let result = self.calls.call(function, Given { event, timer, state }, &mut commands, fits);
        for command in commands.drain(..) {
            self.carry_out(command, key, cause, time, out);
        }
        self.commands = commands;
        result.map(|_| ())
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

    /// There is room: the call has failed where there is none.
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
                let given = (GivenEvent::Nothing, Some(name.as_str()));
                let result = self.call(TIMER, given, &key, Some(&cause), due, out);
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
        let given = (GivenEvent::Seen(event), None);
        self.call(EVENT, given, &key, Some(event), event.time, out)
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
        if self.calls.has(END) {
            // A stream that has no end in event time ends with what came last.
            let end = if end == Timestamp::MAX { self.now } else { end };
            self.states.expire(end);
            for key in self.states.keys() {
                let given = (GivenEvent::Nothing, None);
                let result = self.call(END, given, &key, None, end, out);
                out.failures.extend(result.err());
            }
        }
        self.timers.len() as u64
    }

    fn end_batch(&mut self) {
        self.calls.end_batch();
        let states = &self.states;
        let figures = self.calls.figures();
        figures.enter_keys(states.len(), states.expired(), states.evicted());
    }

    fn figures(&self) -> Option<RuleFigures> {
        Some(self.calls.figures())
    }

    fn adds(&self) -> Option<BTreeSet<String>> {
        Some(self.payload_fields.added().cloned().collect())
    }

    fn try_out(&mut self, premises: &Premises<'_>) -> Problems {
        self.try_functions_out(premises)
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
