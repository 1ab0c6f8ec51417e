//! Calls a script's functions, quickly and many times, and says where a call failed.

use std::sync::Arc;

use rhai::{
    AST, Caches, Dynamic, Engine, EvalAltResult, EvalContext, FuncArgs, GlobalRuntimeState,
    Position, Scope,
};

use super::Script;
use crate::failure::Failure;
use crate::problem::Excerpt;

/// A script that is ready to run: its functions stay resolved from call to call.
pub struct Runner {
    engine: Arc<Engine>,
    excerpt: Arc<Excerpt>,
    global: GlobalRuntimeState,
    caches: Caches,
    scope: Scope<'static>,
}

impl Runner {
    /// A runner of a compiled script.
    pub fn new(script: Script) -> Self {
        Self::with_ast(Arc::new(script.engine), &script.ast, script.excerpt)
    }

    pub(super) fn with_ast(engine: Arc<Engine>, ast: &AST, excerpt: Arc<Excerpt>) -> Self {
        let mut global = engine.new_global_runtime_state();
        global.lib.push(ast.shared_lib().clone());
        let mut caches = Caches::new();
        // Without one, each call would make its own and resolve every function again.
        caches.push_fn_resolution_cache();
        Self { engine, excerpt, global, caches, scope: Scope::new() }
    }

    /// Calls a function.
    pub fn call(&mut self, function: &str, arguments: impl FuncArgs) -> Result<Dynamic, Failure> {
        self.run(|context| context.call_fn(function, arguments))
    }

    /// Runs something in the runner's context, with a fresh count of operations.
    pub(super) fn run(
        &mut self,
        work: impl FnOnce(
            &mut EvalContext<'_, '_, '_, '_, '_, '_>,
        ) -> Result<Dynamic, Box<EvalAltResult>>,
    ) -> Result<Dynamic, Failure> {
        let Self { engine, excerpt, global, caches, scope } = self;
        global.num_operations = 0;
        let mut context = EvalContext::new(engine, global, caches, scope, None);
        work(&mut context).map_err(|error| failure(&error, excerpt))
    }

    /// The variables that expressions see.
    pub(super) fn scope_mut(&mut self) -> &mut Scope<'static> {
        &mut self.scope
    }

    /// A failure at a place of the script, or at none.
    pub(super) fn failure(&self, message: &str, position: Position) -> Failure {
        Failure::new("script", format!("{message}{}", place(&self.excerpt, position)))
    }
}

/// What failed, in the innermost function that did, at the innermost place that is known.
fn failure(error: &EvalAltResult, excerpt: &Excerpt) -> Failure {
    let mut innermost = error;
    let mut position = error.position();
    while let EvalAltResult::ErrorInFunctionCall(_, _, inner, _) = innermost {
        innermost = inner;
        if !inner.position().is_none() {
            position = inner.position();
        }
    }
    Failure::new("script", format!("{}{}", message(innermost), place(excerpt, position)))
}

/// The message in our words, without the position.
fn message(error: &EvalAltResult) -> String {
    match error {
        EvalAltResult::ErrorRuntime(value, _) if value.is_unit() => "the script threw".to_owned(),
        EvalAltResult::ErrorRuntime(value, _) => value.to_string(),
        EvalAltResult::ErrorTooManyOperations(_) => {
            "the call took too many operations: is there a loop without an end?".to_owned()
        }
        EvalAltResult::ErrorStackOverflow(_) => "functions call each other too deep".to_owned(),
        EvalAltResult::ErrorFunctionNotFound(signature, _) => no_such_function(signature),
        other => {
            let text = other.to_string();
            let end = text.rfind(" (line ").unwrap_or(text.len());
            super::compile::in_our_words(&text[..end])
        }
    }
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
fn place(excerpt: &Excerpt, position: Position) -> String {
    let (Some(line), column) = (position.line(), position.position().unwrap_or(1)) else {
        return String::new();
    };
    let place = excerpt.place(line, column, 0);
    let before = &place.source.text[..place.span.start];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|letter| *letter != '\n').count() + 1;
    format!(" ({}, line {line}, column {column})", place.source.name)
}
