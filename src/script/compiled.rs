//! The compiled tier: functions of a rule as closures over the event, where all that they do is of
//! the common kind.
//!
//! A closure knows the ordinary cases. At anything else (a value of another type, an overflow,
//! whatever the interpreter would call an error) it gives up: what the call has changed is taken
//! back, and the interpreter does it from its beginning. So results, errors and their places are the
//! interpreter's own, and whoever adds to this tier has to get the ordinary cases right and nothing
//! else.

mod bounds;
mod calls;
mod chain;
mod expression;
mod frame;
mod host;
mod lower;
mod operators;
mod outputs;
mod place;
mod switch;
#[cfg(test)]
mod tests;

use rhai::Expr;

use self::frame::{Flow, Step, Test};
use self::lower::{Binding, Lowering};
use crate::event::Value;

pub use self::frame::GivenEvent;
pub(super) use self::frame::{Frame, Scratch};
pub(super) use self::lower::{Reason, Source};

/// Whether compiled rules can call a function of the engine with so many arguments.
pub(super) fn calls_compiled(name: &str, arguments: usize) -> bool {
    host::find(name, arguments).is_some()
}

/// A function of a rule as closures.
pub(super) struct Compiled {
    body: Step,
    slots: usize,
    /// Whether it draws random numbers: before the interpreter does the same call, they begin again.
    pub(super) draws: bool,
}

impl Compiled {
    /// Lowers a function of the script, whose parameters are called as the component calls them.
    pub(super) fn function(
        source: &Source<'_>,
        name: &str,
        parameters: &[&str],
    ) -> Result<Self, Reason> {
        let mut lowering = Lowering::new(source);
        let definition = source
            .ast
            .iter_fn_def()
            .find(|found| found.name == name && found.params.len() == parameters.len());
        let Some(definition) = definition else {
            return lower::because("it is not there", rhai::Position::NONE);
        };
        for (own, role) in definition.params.iter().zip(parameters) {
            let binding = match *role {
                "event" => Binding::Event,
                "state" => Binding::State,
                "out" => Binding::Out,
                // The first slot; whoever calls fills it.
                _ => Binding::Slot(lowering.new_slot()),
            };
            lowering.bind(own.clone(), binding);
        }
        lowering.inside.push((definition.name.clone(), parameters.len()));
        let body = lowering.body(name, parameters.len())?;
        Ok(Self { body, slots: lowering.slots(), draws: lowering.draws })
    }

    /// Makes room for its variables; the first of them is a parameter that is a value.
    pub(super) fn prepare(&self, scratch: &mut Scratch, parameter: Option<Value>) {
        scratch.make_room(self.slots);
        if let Some(parameter) = parameter {
            scratch.slots[0] = parameter;
        }
    }

    /// Does the call, or says nothing: then the interpreter has to, and what was changed has to be
    /// taken back first.
    pub(super) fn run(&mut self, frame: &mut Frame<'_>) -> Option<Value> {
        match (self.body)(frame)? {
            Flow::Continue(value) | Flow::Break(value) => Some(value),
        }
    }
}

/// A condition as closures.
pub(super) struct CompiledTest {
    test: Test,
    slots: usize,
}

impl CompiledTest {
    /// Lowers an expression over `event`.
    pub(super) fn expression(source: &Source<'_>, expression: &Expr) -> Result<Self, Reason> {
        let mut lowering = Lowering::new(source);
        lowering.bind("event".into(), Binding::Event);
        let test = lowering.test(expression)?;
        Ok(Self { test, slots: lowering.slots() })
    }

    /// Whether it is true, or nothing: then the interpreter has to say.
    pub(super) fn is_true(
        &mut self,
        event: &crate::event::Event,
        scratch: &mut Scratch,
    ) -> Option<bool> {
        scratch.make_room(self.slots);
        (self.test)(&mut Frame { event: GivenEvent::Seen(event), state: None, scratch })
    }
}
