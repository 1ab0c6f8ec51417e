//! The functions of a script that a component calls for event after event: compiled where they can
//! be, else interpreted, and each call as a whole or not at all.

use std::collections::BTreeSet;

use rhai::Dynamic;

use super::compile::{Function, Script};
use super::compiled::{Compiled, Frame, GivenEvent, Scratch};
use super::values::to_rhai;
use super::{
    Command, EventHandle, Meter, Mishap, OutputHandle, PayloadFields, Premises, Randomness,
    RuleFigures, Runner, StateHandle, Trial,
};
use crate::event::{Event, Fields, Value};
use crate::failure::Failure;

/// After how many calls that a compiled function could not do it is looked at whether it is worth
/// the while: it is not where that was every other call.
const UNKNOWN_MAX: u64 = 64;

/// A script's functions, with the arguments that they take.
pub struct Calls {
    runner: Runner,
    meter: Meter,
    functions: Vec<Called>,
    /// What the interpreter's functions take.
    handles: Handles,
    /// What the compiled ones work with.
    scratch: Scratch,
    randomness: Option<Randomness>,
}

/// One of the functions.
struct Called {
    function: Function,
    exists: bool,
    compiled: Option<Compiled>,
    tier: Tier,
    /// Whether nobody was told of the tier yet.
    is_new_tier: bool,
    calls: u64,
    given_up: u64,
    /// Those of them that the interpreter could do.
    unknown: u64,
}

/// How a function is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tier {
    /// As closures.
    Compiled,
    /// By the interpreter, for this reason.
    Interpreted(String),
}

impl Tier {
    /// Why the interpreter runs it, if it does.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Compiled => None,
            Self::Interpreted(reason) => Some(reason),
        }
    }
}

/// What a function is called with; which of it depends on the function.
pub struct Given<'a> {
    /// The event.
    pub event: GivenEvent<'a>,
    /// The name of the timer that is due.
    pub timer: Option<&'a str>,
    /// The state of the key.
    pub state: Option<&'a mut Fields>,
}

/// What a function returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Returned {
    /// Nothing.
    Nothing,
    /// True or false.
    Bool(bool),
    /// Something else, of this type.
    Other(String),
}

impl Returned {
    fn of(value: &Dynamic) -> Self {
        match value.as_bool() {
            _ if value.is_unit() => Self::Nothing,
            Ok(value) => Self::Bool(value),
            Err(found) => Self::Other(found.to_owned()),
        }
    }
}

struct Handles {
    event: EventHandle,
    state: StateHandle,
    out: OutputHandle,
}

impl Calls {
    /// The functions of a script, in this order; the script may lack those that are not required.
    /// An enricher's may change their event. With `compile` they are compiled where they can be,
    /// without it the interpreter runs them all, to the same results.
    pub fn new(script: Script, functions: &[Function], changes_event: bool, compile: bool) -> Self {
        let called = |function: &Function| {
            let lowered = if compile {
                script.lower(function, changes_event)
            } else {
                Err("compiling is turned off".to_owned())
            };
            let (compiled, tier) = match lowered {
                Ok(compiled) => (Some(compiled), Tier::Compiled),
                Err(reason) => (None, Tier::Interpreted(reason)),
            };
            let exists = script.has(function.name);
            let function = *function;
            Called {
                function,
                exists,
                compiled,
                tier,
                is_new_tier: true,
                calls: 0,
                given_up: 0,
                unknown: 0,
            }
        };
        let functions = functions.iter().map(called).collect();
        Self {
            functions,
            handles: Handles {
                event: EventHandle::new(changes_event),
                state: StateHandle::default(),
                out: OutputHandle::default(),
            },
            scratch: Scratch::default(),
            randomness: script.randomness(),
            meter: Meter::default(),
            runner: Runner::new(script),
        }
    }

    /// Where the calls are counted.
    pub fn figures(&self) -> RuleFigures {
        self.meter.figures()
    }

    /// Enters what was counted since the last time: a batch is through.
    pub fn end_batch(&mut self) {
        self.meter.enter();
        let figures = self.meter.figures();
        for called in &mut self.functions {
            if called.exists && std::mem::take(&mut called.is_new_tier) {
                figures.note_function(called.function.name, called.tier.reason());
            }
        }
    }

    /// Begins to try the script out, which prints nothing from now on; `types` are the names of the
    /// types that it is for.
    pub fn trial(
        &self,
        fields: &PayloadFields,
        types: Option<&BTreeSet<String>>,
        premises: &Premises<'_>,
    ) -> Trial {
        self.runner.trial(fields, types, premises)
    }

    /// What went wrong in a call of a function that has just failed, for whoever wants to point at
    /// it.
    pub fn mishap(&mut self, function: usize, failure: &Failure) -> Mishap {
        self.runner.mishap(self.functions[function].function.name, failure)
    }

    /// Whether the script has one of the functions.
    pub fn has(&self, function: usize) -> bool {
        self.functions[function].exists
    }

    /// The functions that the script has, and how each is run.
    pub fn tiers(&self) -> Vec<(&'static str, Tier)> {
        let there = self.functions.iter().filter(|called| called.exists);
        there.map(|called| (called.function.name, called.tier.clone())).collect()
    }

    /// How many calls compiled code left to the interpreter.
    pub fn given_up(&self) -> u64 {
        self.functions.iter().map(|called| called.given_up).sum()
    }

    /// Draws random numbers from here on as one event asks for.
    pub fn begin(&self, event: &Event) {
        if let Some(randomness) = &self.randomness {
            randomness.begin(event);
        }
    }

    /// Calls a function. What it asked for is in `commands` when it succeeded and `accept` agreed
    /// to that and to what it returned; else event and state are as they were before.
    pub fn call(
        &mut self,
        function: usize,
        mut given: Given<'_>,
        commands: &mut Vec<Command>,
        accept: impl Fn(&[Command], &Returned) -> Result<(), Failure>,
    ) -> Result<Returned, Failure> {
        let Self { runner, meter, functions, handles, scratch, randomness } = self;
        let called = &mut functions[function];
        called.calls += 1;
        meter.count(|| {
            if called.compiled.is_some() {
                let before = randomness.as_ref().filter(|_| called.draws()).map(Randomness::state);
                if let Some(value) = called.run_compiled(&mut given, scratch) {
                    let settled = settle(&value, &mut given, scratch, commands, accept);
                    let name = called.function.name;
                    return (settled.map_err(|refused| runner.refuse(name, refused)), 0);
                }
                undo(&mut given, scratch);
                if let (Some(randomness), Some(before)) = (randomness, before) {
                    randomness.go_on_from(before);
                }
                called.given_up += 1;
            }
            let result = handles.call(runner, called.function.name, given, commands, accept);
            // What fails has to be left to the interpreter; what succeeds should not.
            if called.compiled.is_some() && result.is_ok() {
                called.meet_unknown();
            }
            (result, runner.operations())
        })
    }
}

impl Called {
    fn draws(&self) -> bool {
        self.compiled.as_ref().is_some_and(|compiled| compiled.draws)
    }

    fn run_compiled(&mut self, given: &mut Given<'_>, scratch: &mut Scratch) -> Option<Value> {
        let compiled = self.compiled.as_mut()?;
        compiled.prepare(scratch, given.timer.map(|name| Value::Text(name.into())));
        let event = given.event.lend();
        compiled.run(&mut Frame { event, state: given.state.as_deref_mut(), scratch })
    }

    /// Counts a call that compiled code could not do and the interpreter could. Where that is mostly
    /// so, the interpreter does all of them from here on.
    fn meet_unknown(&mut self) {
        self.unknown += 1;
        if self.unknown >= UNKNOWN_MAX && self.unknown * 2 > self.calls {
            self.compiled = None;
            let reason = "most calls meet values that compiled code does not know";
            self.tier = Tier::Interpreted(reason.to_owned());
            self.is_new_tier = true;
        }
    }
}

/// Ends a compiled call.
fn settle(
    value: &Value,
    given: &mut Given<'_>,
    scratch: &mut Scratch,
    commands: &mut Vec<Command>,
    accept: impl Fn(&[Command], &Returned) -> Result<(), Failure>,
) -> Result<Returned, Failure> {
    let returned = match value {
        Value::Null => Returned::Nothing,
        Value::Bool(value) => Returned::Bool(*value),
        other => Returned::Other(to_rhai(other).type_name().to_owned()),
    };
    if let Err(failure) = accept(&scratch.commands, &returned) {
        undo(given, scratch);
        return Err(failure);
    }
    scratch.event.keep();
    scratch.state.keep();
    commands.append(&mut scratch.commands);
    Ok(returned)
}

fn undo(given: &mut Given<'_>, scratch: &mut Scratch) {
    if let GivenEvent::Changed(event) = &mut given.event {
        scratch.event.undo(event);
    }
    if let Some(state) = &mut given.state {
        scratch.state.undo(state);
    }
    scratch.commands.clear();
}

impl Handles {
    /// Calls a function by the interpreter.
    fn call(
        &self,
        runner: &mut Runner,
        function: &str,
        given: Given<'_>,
        commands: &mut Vec<Command>,
        accept: impl Fn(&[Command], &Returned) -> Result<(), Failure>,
    ) -> Result<Returned, Failure> {
        let mut copy;
        let (mut event, is_given) = match given.event {
            GivenEvent::Nothing => (None, false),
            GivenEvent::Changed(event) => (Some(event), true),
            GivenEvent::Seen(event) => {
                copy = event.clone();
                (Some(&mut copy), true)
            }
        };
        let mut state = given.state;
        let mut arguments = Vec::with_capacity(3);
        if is_given {
            arguments.push(Dynamic::from(self.event.clone()));
        }
        arguments.extend(given.timer.map(|name| Dynamic::from(name.to_owned())));
        if state.is_some() {
            arguments.push(Dynamic::from(self.state.clone()));
            arguments.push(Dynamic::from(self.out.clone()));
        }
        self.swap(event.as_deref_mut(), state.as_deref_mut());
        let result = runner.call(function, arguments);
        let asked_from = commands.len();
        self.out.take(commands);
        let result = result.and_then(|returned| {
            let returned = Returned::of(&returned);
            accept(&commands[asked_from..], &returned)
                .map_err(|refused| runner.refuse(function, refused))?;
            Ok(returned)
        });
        if result.is_ok() {
            self.event.keep_changes();
            self.state.keep_changes();
        } else {
            commands.truncate(asked_from);
            self.event.undo_changes();
            self.state.undo_changes();
        }
        self.swap(event, state);
        result
    }

    /// Exchanges what the handles hold with what a call is about.
    fn swap(&self, event: Option<&mut Event>, state: Option<&mut Fields>) {
        if let Some(event) = event {
            self.event.swap(event);
        }
        if let Some(state) = state {
            self.state.swap(state);
        }
    }
}
