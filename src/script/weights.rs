//! `fn weight(event_type, ctx)`: how often something happens, as a script says it.

mod context;
mod dry_run;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use rhai::{AST, Dynamic, Engine, ImmutableString};

use self::context::Context;
use super::call::display;
use super::compile::function_place;
use super::print::Printer;
use super::{Function, Runner, Sandbox, Script};
use crate::problem::{Excerpt, Place, Problem, Problems};
use crate::retail::{EventType, Moment, Weigh};

const WEIGHT: Function =
    Function { name: "weight", parameters: &["event_type", "ctx"], required: true };

/// A script that gives weights. What it gives depends on the type and the moment alone: it has no
/// memory, and no random numbers.
///
/// Copies work beside each other, and share the account of what failed.
pub struct Weights {
    compiled: Arc<Compiled>,
    runner: Runner,
}

struct Compiled {
    engine: Arc<Engine>,
    ast: AST,
    excerpt: Arc<Excerpt>,
    printer: Printer,
    fingerprint: String,
    /// The name of the function, where the script defines it.
    place: Option<Place>,
    /// The names of the types as a script compares them, each at the place of its number.
    types: Vec<ImmutableString>,
    failures: AtomicU64,
    first_failure: OnceLock<String>,
}

impl Weights {
    /// Compiles a script, and checks its function and what it reads of `ctx`. What shows only when
    /// it runs is found by [`Weights::check_for_mix`] and [`Weights::check_for_world`].
    pub fn compile(excerpt: Excerpt) -> Result<Self, Problems> {
        let mut sandbox = Sandbox::without_randomness();
        context::register(&mut sandbox.engine);
        let script = Script::compile(excerpt, sandbox, &[WEIGHT])?;
        let problems = context::unknown_properties(&script.ast, &script.excerpt, &[WEIGHT]);
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        Ok(Self::with(Arc::new(Compiled {
            fingerprint: script.fingerprint(),
            place: function_place(&script.excerpt, WEIGHT.name),
            engine: script.engine,
            ast: script.ast,
            excerpt: script.excerpt,
            printer: script.printer,
            types: EventType::ALL.map(|known| known.key().as_str().into()).to_vec(),
            failures: AtomicU64::new(0),
            first_failure: OnceLock::new(),
        })))
    }

    fn with(compiled: Arc<Compiled>) -> Self {
        let runner = Runner::with_ast(
            Arc::clone(&compiled.engine),
            &compiled.ast,
            Arc::clone(&compiled.excerpt),
            compiled.printer.clone(),
        );
        Self { compiled, runner }
    }

    /// Tells the script from another version of it.
    pub fn fingerprint(&self) -> &str {
        &self.compiled.fingerprint
    }

    /// How often the script failed, and 1 was taken for its weight.
    pub fn failures(&self) -> u64 {
        self.compiled.failures.load(Ordering::Relaxed)
    }

    /// How it failed first, with the place.
    pub fn first_failure(&self) -> Option<&str> {
        self.compiled.first_failure.get().map(String::as_str)
    }

    /// What the script gives for a name that an event type may have.
    fn ask(&mut self, event_type: ImmutableString, moment: &Moment) -> Result<f64, Problem> {
        let arguments = (event_type, Context(*moment));
        let returned = self.runner.try_call(WEIGHT.name, arguments).map_err(|fault| {
            let place = super::compile::place(&self.compiled.excerpt, fault.position, 1);
            Problem::error(fault.message).at(place)
        })?;
        number(&returned).filter(|weight| *weight >= 0.0 && weight.is_finite()).ok_or_else(|| {
            let found = describe(&returned);
            Problem::error(format!("`weight` gives {found}, and not a number of 0 or more"))
                .at(self.compiled.place.clone())
        })
    }

    /// Counts a failure; the first one is told.
    fn note(&self, event_type: EventType, problem: &Problem) {
        self.compiled.failures.fetch_add(1, Ordering::Relaxed);
        self.compiled.first_failure.get_or_init(|| {
            let place = problem.place.as_ref().map(display).unwrap_or_default();
            let failure = format!("{}{place}", problem.message);
            tracing::warn!(
                "no weight for `{event_type}`, so it counts as 1, and so will others: {failure}"
            );
            failure
        });
    }
}

fn number(returned: &Dynamic) -> Option<f64> {
    returned.as_float().ok().or_else(|| returned.as_int().ok().map(|number| number as f64))
}

fn describe(returned: &Dynamic) -> String {
    match number(returned) {
        Some(_) => format!("`{returned}`"),
        None if returned.is_unit() => "nothing".to_owned(),
        None => format!("a value of type `{}`", returned.type_name()),
    }
}

impl Weigh for Weights {
    fn weight(&mut self, event_type: EventType, moment: &Moment) -> f64 {
        let name = self.compiled.types[event_type as usize].clone();
        self.ask(name, moment).unwrap_or_else(|problem| {
            self.note(event_type, &problem);
            1.0
        })
    }
}

impl Clone for Weights {
    fn clone(&self) -> Self {
        Self::with(Arc::clone(&self.compiled))
    }
}

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Weights").field(&self.compiled.excerpt.text).finish()
    }
}

#[cfg(test)]
mod tests;
