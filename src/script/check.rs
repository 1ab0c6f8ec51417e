//! What can be known of a script before it runs: that the functions it calls exist, and that an
//! event has the properties it names.

use std::collections::{BTreeMap, BTreeSet};

use rhai::{AST, ASTNode, Engine, Expr, FnCallExpr, Position, Stmt};

use super::compile::{Function, place};
use super::event::{EVENT_PROPERTIES, unknown_property};
use crate::problem::{Excerpt, Problem, did_you_mean};

/// What the interpreter itself understands as a call.
const BUILT_IN: [&str; 9] =
    ["print", "debug", "type_of", "call", "curry", "Fn", "is_shared", "is_def_var", "is_def_fn"];

/// Reports calls of functions that exist neither in the script nor in the engine.
pub(super) fn calls(engine: &Engine, ast: &AST, excerpt: &Excerpt, problems: &mut Vec<Problem>) {
    let known = Callable::new(engine, ast);
    walk(ast, |node| {
        let Some((call, position, method)) = call(node) else { return };
        if let Some((message, help)) = known.problem_with(call, method) {
            let mut problem =
                Problem::error(message).at(place(excerpt, position, call.name.chars().count()));
            problem.help = help;
            problems.push(problem);
        }
    });
}

/// The call that a node is, where, and whether it is a method's.
fn call<'a>(node: &ASTNode<'a>) -> Option<(&'a FnCallExpr, Position, bool)> {
    match node {
        ASTNode::Expr(Expr::MethodCall(call, position)) => Some((call, *position, true)),
        ASTNode::Expr(Expr::FnCall(call, position))
        | ASTNode::Stmt(Stmt::FnCall(call, position)) => Some((call, *position, false)),
        _ => None,
    }
}

/// Where a function or method of that name is called.
pub(super) fn position_of_call(ast: &AST, function: &str) -> Option<Position> {
    let mut found = None;
    walk(ast, |node| {
        if let Some((call, position, _)) = call(node)
            && call.name.as_str() == function
        {
            found = found.or(Some(position));
        }
    });
    found
}

/// Names of functions, with the numbers of parameters that there are.
struct Callable {
    arities: BTreeMap<String, BTreeSet<usize>>,
    /// With closures about, `map.name()` may call one that is kept in the map.
    has_closures: bool,
}

impl Callable {
    fn new(engine: &Engine, ast: &AST) -> Self {
        let mut arities: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for signature in engine.gen_fn_signatures(true) {
            if let Some((name, arity)) = name_and_arity(&signature)
                && !engine.is_symbol_disabled(name)
            {
                arities.entry(name.to_owned()).or_default().insert(arity);
            }
        }
        let mut has_closures = false;
        for function in ast.iter_functions() {
            has_closures |= function.name.starts_with("anon$");
            let arity = arities.entry(function.name.to_owned()).or_default();
            // `x.f(y)` calls `f(y)` with `x` as `this`, or `f(x, y)`.
            arity.extend([function.params.len(), function.params.len() + 1]);
        }
        Self { arities, has_closures }
    }

    fn problem_with(&self, call: &FnCallExpr, method: bool) -> Option<(String, Option<String>)> {
        let name = call.name.as_str();
        let is_name = name.starts_with(|first: char| first.is_alphabetic() || first == '_');
        if call.op_token.is_some() || !is_name || BUILT_IN.contains(&name) {
            return None;
        }
        if method && self.has_closures {
            return None;
        }
        let given = call.args.len() + usize::from(method);
        let Some(arities) = self.arities.get(name) else {
            let close = || did_you_mean(name, self.arities.keys().map(String::as_str));
            let help = super::sandbox::in_place_of(name)
                .map(str::to_owned)
                .or_else(|| Some(format!("did you mean `{}`?", close()?)));
            return Some((format!("there is no function `{name}`"), help));
        };
        if arities.contains(&given) {
            return None;
        }
        let wanted: Vec<String> = arities
            .iter()
            .map(|wanted| (wanted - usize::from(method && *wanted > 0)).to_string())
            .collect();
        let message =
            format!("`{name}` takes {} arguments, not {}", wanted.join(" or "), call.args.len());
        Some((message, None))
    }
}

/// `name(a: X, b: Y<Z, W>) -> R` has two parameters.
fn name_and_arity(signature: &str) -> Option<(&str, usize)> {
    let (name, rest) = signature.split_once('(')?;
    let mut depth = 0;
    let mut commas = 0;
    let mut any = false;
    for letter in rest.chars() {
        match letter {
            ')' if depth == 0 => break,
            '(' | '<' | '[' => depth += 1,
            ')' | '>' | ']' => depth -= 1,
            ',' if depth == 0 => commas += 1,
            _ => any = true,
        }
    }
    Some((name, if any { commas + 1 } else { 0 }))
}

/// Reports properties that no event has, in the functions that a component calls with one.
pub(super) fn event_properties(
    ast: &AST,
    excerpt: &Excerpt,
    functions: &[Function],
    problems: &mut Vec<Problem>,
) {
    for (alone, event) in functions_with("event", ast, functions) {
        walk(&alone, |node| {
            if let ASTNode::Expr(expression) = node
                && let Some((name, position)) = property_of(expression, &event)
                && !EVENT_PROPERTIES.contains(&name)
            {
                problems.push(unknown_event_property(excerpt, name, position));
            }
        });
    }
}

/// The functions that a component calls with a parameter, such as `event`: each on its own, with
/// the script's name for the parameter.
pub(super) fn functions_with(
    parameter: &str,
    ast: &AST,
    functions: &[Function],
) -> Vec<(AST, String)> {
    let mut found = Vec::new();
    for function in functions {
        let place = function.parameters.iter().position(|name| *name == parameter);
        let alone = alone(ast, function.name, function.parameters.len());
        if let (Some(place), Some((alone, parameters))) = (place, alone) {
            found.push((alone, parameters[place].clone()));
        }
    }
    found
}

/// A function on its own, and the script's names for its parameters.
pub(super) fn alone(ast: &AST, function: &str, parameters: usize) -> Option<(AST, Vec<String>)> {
    let definition = ast
        .iter_functions()
        .find(|found| found.name == function && found.params.len() == parameters)?;
    let names = definition.params.iter().map(|name| (*name).to_owned()).collect();
    // `clone_functions_only_filtered` of the interpreter takes all functions.
    let mut alone = ast.clone();
    alone.clear_statements();
    alone.retain_functions(|_, _, name, count| name == function && count == parameters);
    Some((alone, names))
}

/// The problem of a property that no event has.
pub(super) fn unknown_event_property(excerpt: &Excerpt, name: &str, position: Position) -> Problem {
    let (message, help) = unknown_property(name);
    Problem::error(message).at(place(excerpt, position, name.chars().count())).help(help)
}

/// The property in `variable.property` and whatever follows.
pub(super) fn property_of<'a>(expression: &'a Expr, variable: &str) -> Option<(&'a str, Position)> {
    let Expr::Dot(dot, ..) = expression else { return None };
    let Expr::Variable(name, ..) = &dot.lhs else { return None };
    if name.1.as_str() != variable {
        return None;
    }
    let first = match &dot.rhs {
        Expr::Dot(rest, ..) | Expr::Index(rest, ..) => &rest.lhs,
        single => single,
    };
    match first {
        Expr::Property(property, position) => Some((property.2.as_str(), *position)),
        _ => None,
    }
}

/// Whether a variable is read whose name is one of those.
pub(super) fn names_a_variable(ast: &AST, wanted: impl Fn(&str) -> bool) -> bool {
    let mut found = false;
    walk(ast, |node| {
        found |= matches!(node, ASTNode::Expr(Expr::Variable(name, ..)) if wanted(&name.1));
    });
    found
}

/// Every name that stands after a dot, with one of its places.
pub(super) fn properties(ast: &AST) -> BTreeMap<String, Position> {
    let mut names = BTreeMap::new();
    walk(ast, |node| {
        if let ASTNode::Expr(Expr::Property(property, position)) = node {
            names.entry(property.2.to_string()).or_insert(*position);
        }
    });
    names
}

/// Names that a text defines as variables or parameters, to suggest from.
pub(super) fn names_in_scope(text: &str) -> BTreeSet<String> {
    let words: Vec<&str> = text
        .split(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == '('))
        .collect();
    let mut names = BTreeSet::from(["event".to_owned()]);
    for pair in words.windows(2) {
        if matches!(pair[0], "let" | "const" | "for") {
            names.insert(pair[1].trim_matches('(').to_owned());
        }
    }
    for line in text.lines() {
        if let Some((_, function)) = line.split_once("fn ")
            && let Some((_, parameters)) = function.split_once('(')
        {
            let parameters = parameters.split(')').next().unwrap_or_default();
            names.extend(parameters.split(',').map(|name| name.trim().to_owned()));
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Looks at every statement and expression of a script, functions included.
pub(super) fn walk(ast: &AST, mut visit: impl FnMut(&ASTNode<'_>)) {
    ast.walk(&mut |path: &[ASTNode<'_>]| {
        if let Some(node) = path.last() {
            visit(node);
        }
        true
    });
}
