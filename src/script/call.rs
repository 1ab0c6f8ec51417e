//! Calls a script's functions, quickly and many times, and says where a call failed.

use std::collections::BTreeSet;
use std::sync::Arc;

use rhai::{
    AST, Caches, Dynamic, Engine, EvalAltResult, EvalContext, FuncArgs, GlobalRuntimeState,
    Position, Scope,
};

use super::body::{self, Body};
use super::print::Printer;
use super::sandbox::{ELEMENTS_MAX, STRING_BYTES_MAX};
use super::{Mishap, PayloadFields, Premises, Script, Trial};
use crate::failure::Failure;
use crate::problem::{Excerpt, LineColumn, Place};

/// A script that is ready to run: its functions stay resolved from call to call.
pub struct Runner {
    engine: Arc<Engine>,
    excerpt: Arc<Excerpt>,
    printer: Printer,
    bodies: Arc<[Body]>,
    /// Why the last call failed, if one did.
    fault: Option<Fault>,
    global: GlobalRuntimeState,
    caches: Caches,
    scope: Scope<'static>,
}

impl Runner {
    /// A runner of a compiled script.
    pub fn new(script: Script) -> Self {
        Self::with_ast(script.engine, &script.ast, script.excerpt, script.printer)
    }

    pub(super) fn with_ast(
        engine: Arc<Engine>,
        ast: &AST,
        excerpt: Arc<Excerpt>,
        printer: Printer,
    ) -> Self {
        let mut global = engine.new_global_runtime_state();
        global.lib.push(ast.shared_lib().clone());
        let mut caches = Caches::new();
        // Without one, each call would make its own and resolve every function again.
        caches.push_fn_resolution_cache();
        let (bodies, scope) = (body::all(ast), Scope::new());
        Self { engine, excerpt, printer, bodies, fault: None, global, caches, scope }
    }

    /// Calls a function.
    pub fn call(&mut self, function: &str, arguments: impl FuncArgs) -> Result<Dynamic, Failure> {
        self.try_call(function, arguments).map_err(|fault| {
            if fault.position.is_none() {
                let failure = self.refuse(function, Failure::new("script", fault.message.clone()));
                self.fault = Some(fault);
                failure
            } else {
                self.failed(fault)
            }
        })
    }

    /// The same, for whoever wants to point at what failed.
    pub(super) fn try_call(
        &mut self,
        function: &str,
        arguments: impl FuncArgs,
    ) -> Result<Dynamic, Fault> {
        let mut values = Vec::with_capacity(3);
        arguments.parse(&mut values);
        let bodies = Arc::clone(&self.bodies);
        self.attempt(|context| match body::find(&bodies, function, values.len()) {
            Some(body) => body.run(context, values),
            None => context.call_fn(function, values),
        })
    }

    /// What a function returned or asked for is refused: that has a place, too.
    pub(super) fn refuse(&mut self, function: &str, refused: Failure) -> Failure {
        let place = super::compile::function_place(&self.excerpt, function);
        let reason = place.as_ref().map_or_else(String::new, display);
        let reason = format!("{}{reason}", refused.reason);
        let (message, position) = (refused.reason, Position::NONE);
        self.fault = Some(Fault { message, position, cause: FaultCause::Script });
        Failure::new(refused.category, reason)
    }

    /// How many operations the last call took, until it ended or failed.
    pub fn operations(&self) -> u64 {
        self.global.num_operations
    }

    /// Begins to try the script out, which prints nothing from now on; `types` are the names of the
    /// types that it is for.
    pub fn trial(
        &self,
        fields: &PayloadFields,
        types: Option<&BTreeSet<String>>,
        premises: &Premises<'_>,
    ) -> Trial {
        self.silence();
        Trial::new(fields, &self.excerpt, types, premises)
    }

    /// Has the script print nothing from now on.
    pub(super) fn silence(&self) {
        self.printer.silence();
    }

    /// What went wrong in a call of a function that has just failed, for whoever wants to point at
    /// it.
    pub fn mishap(&mut self, function: &str, failure: &Failure) -> Mishap {
        let name_place = || super::compile::function_place(&self.excerpt, function);
        match self.fault.take() {
            Some(Fault { message, position, cause }) => {
                let is_known = position.line().is_some();
                let place = is_known.then(|| super::compile::place(&self.excerpt, position, 1));
                // What a host function refuses is an error of this sort, too.
                let is_thrown = place.as_ref().is_some_and(|Place { source, span }| {
                    source.text[span.start..].starts_with("throw")
                });
                let cause = match cause {
                    FaultCause::Thrown if !is_thrown => FaultCause::Script,
                    cause => cause,
                };
                Mishap { message, place: place.or_else(name_place), cause }
            }
            None => Mishap {
                message: failure.reason.clone(),
                place: name_place(),
                cause: FaultCause::Script,
            },
        }
    }

    /// Runs something in the runner's context, with a fresh count of operations.
    pub(super) fn run(
        &mut self,
        work: impl FnOnce(
            &mut EvalContext<'_, '_, '_, '_, '_, '_>,
        ) -> Result<Dynamic, Box<EvalAltResult>>,
    ) -> Result<Dynamic, Failure> {
        self.attempt(work).map_err(|fault| self.failed(fault))
    }

    fn failed(&mut self, fault: Fault) -> Failure {
        let failure = self.failure(&fault.message, fault.position);
        self.fault = Some(fault);
        failure
    }

    fn attempt(
        &mut self,
        work: impl FnOnce(
            &mut EvalContext<'_, '_, '_, '_, '_, '_>,
        ) -> Result<Dynamic, Box<EvalAltResult>>,
    ) -> Result<Dynamic, Fault> {
        let Self { engine, global, caches, scope, .. } = self;
        global.num_operations = 0;
        let mut context = EvalContext::new(engine, global, caches, scope, None);
        work(&mut context).map_err(|error| Fault::new(&error))
    }

    /// The variables that expressions see.
    pub(super) fn scope_mut(&mut self) -> &mut Scope<'static> {
        &mut self.scope
    }

    /// A failure at a place of the script, or at none.
    pub(super) fn failure(&self, message: &str, position: Position) -> Failure {
        let place = match position.line() {
            Some(_) => display(&super::compile::place(&self.excerpt, position, 0)),
            None => String::new(),
        };
        Failure::new("script", format!("{message}{place}"))
    }
}

/// What failed, in the innermost function that did, at the innermost place that is known.
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) position: Position,
    pub(super) cause: FaultCause,
}

/// What lies behind a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultCause {
    /// Something that the script does and cannot.
    Script,
    /// Something that it does with a value that is not there.
    Absent,
    /// The script throws, which is meant.
    Thrown,
    /// The call goes on until a limit of the sandbox ends it.
    Endless,
}

impl Fault {
    fn new(error: &EvalAltResult) -> Self {
        let mut innermost = error;
        let mut position = error.position();
        while let EvalAltResult::ErrorInFunctionCall(_, _, inner, _) = innermost {
            innermost = inner;
            if !inner.position().is_none() {
                position = inner.position();
            }
        }
        let cause = match innermost {
            EvalAltResult::ErrorRuntime(..) => FaultCause::Thrown,
            EvalAltResult::ErrorTooManyOperations(_)
            | EvalAltResult::ErrorStackOverflow(_)
            | EvalAltResult::ErrorDataTooLarge(..) => FaultCause::Endless,
            EvalAltResult::ErrorFunctionNotFound(signature, _) if signature.contains("()") => {
                FaultCause::Absent
            }
            EvalAltResult::ErrorDotExpr(text, _) if text.contains("'()'") => FaultCause::Absent,
            _ => FaultCause::Script,
        };
        Self { message: message(innermost), position, cause }
    }
}

/// The message in our words, without the position.
fn message(error: &EvalAltResult) -> String {
    match error {
        EvalAltResult::ErrorRuntime(value, _) if value.is_unit() => "the script threw".to_owned(),
        EvalAltResult::ErrorRuntime(value, _) => value.to_string(),
        EvalAltResult::ErrorTooManyOperations(_) => {
            "the call took too many operations: is there a loop without an end?".to_owned()
        }
        EvalAltResult::ErrorDataTooLarge(what, _) => too_large(what),
        EvalAltResult::ErrorStackOverflow(_) => "functions call each other too deep".to_owned(),
        EvalAltResult::ErrorFunctionNotFound(signature, _) => no_such_function(signature),
        other => {
            let text = other.to_string();
            let end = text.rfind(" (line ").unwrap_or(text.len());
            property_of_nothing(&text[..end])
                .unwrap_or_else(|| super::compile::in_our_words(&text[..end]))
        }
    }
}

/// What is larger than it may be, with the bound.
fn too_large(what: &str) -> String {
    if what.contains("string") {
        format!("a string may have {STRING_BYTES_MAX} bytes, and this one is too large")
    } else {
        let kind = if what.contains("map") { "a map" } else { "an array" };
        format!("{kind} may have {ELEMENTS_MAX} elements, and this one is too large")
    }
}

/// `Unknown property 'x' - a getter is not registered for type '()'` in words.
fn property_of_nothing(text: &str) -> Option<String> {
    let name = text.strip_prefix("Unknown property '")?.split('\'').next()?;
    text.ends_with("for type '()'").then(|| {
        format!("there is no `{name}` of nothing; `?.` in place of the dot gives nothing there")
    })
}

/// `name (type, type)` in words; an operator that has no meaning for its operands is one too.
fn no_such_function(signature: &str) -> String {
    let (name, types) = signature.split_once(" (").unwrap_or((signature, ""));
    let types: Vec<String> = types
        .trim_end_matches(')')
        .split(", ")
        .map(|name| match name {
            "i64" => "an integer".to_owned(),
            "f64" => "a number".to_owned(),
            "bool" => "a boolean".to_owned(),
            "()" => "nothing".to_owned(),
            text if text.contains("String") => "a string".to_owned(),
            other => format!("`{other}`"),
        })
        .collect();
    if name.starts_with(|first: char| first.is_alphabetic() || first == '_') {
        format!("there is no `{name}` of {}", types.join(", "))
    } else {
        format!("`{name}` does not work on {}", types.join(" and "))
    }
}

/// ` (<file>, line <l>, column <c>)`, counted in the file in which the script stands.
pub(super) fn display(place: &Place) -> String {
    let LineColumn { line, column } = place.start();
    format!(" ({}, line {line}, column {column})", place.source.name)
}
