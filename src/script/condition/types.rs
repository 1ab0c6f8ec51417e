//! What a condition says about the type of an event: which types it can be true of, and whether
//! the fields that it names are those of such an event.

use std::collections::BTreeSet;

use rhai::{AST, ASTNode, Expr, FnCallExpr, Position, Stmt};

use super::super::check::{property_of, unknown_event_property};
use super::super::compile::place;
use super::super::contract::{
    has_field, known_types, misspelt_type, payload_field, quoted, unknown_field,
};
use super::super::event::EVENT_PROPERTIES;
use crate::problem::{Excerpt, Problem};

/// The names of the types that the expression can be true of; none where it does not say.
pub(super) fn pinned(expression: &Expr) -> Option<BTreeSet<String>> {
    match expression {
        Expr::And(all, _) => all.iter().filter_map(pinned).reduce(|one, two| &one & &two),
        Expr::Or(any, _) => {
            any.iter().map(pinned).try_fold(BTreeSet::new(), |all, one| Some(&all | &one?))
        }
        Expr::FnCall(call, _) => {
            type_literals(call).map(|literals| literals.into_iter().map(|(name, _)| name).collect())
        }
        _ => None,
    }
}

/// The names of the types that a function goes on for which is one `if` without an `else`, and which
/// looks at the type first: for events of other types it does nothing.
pub(in crate::script) fn guarded(body: &[Stmt]) -> Option<BTreeSet<String>> {
    let [Stmt::If(flow, _)] = body else { return None };
    let first = match &flow.expr {
        Expr::And(all, _) => all.first()?,
        single => single,
    };
    let is_guard = decide(first) && flow.branch.is_empty();
    is_guard.then(|| pinned(first)).flatten()
}

/// Whether the expression says nothing but which type the event is of.
pub(super) fn decide(expression: &Expr) -> bool {
    match expression {
        Expr::And(parts, _) | Expr::Or(parts, _) => parts.iter().all(decide),
        Expr::FnCall(call, _) => type_literals(call).is_some(),
        _ => false,
    }
}

/// The literals in `event.event_type == "a"`, `"a" == event.event_type` and
/// `event.event_type in ["a", "b"]`.
fn type_literals(call: &FnCallExpr) -> Option<Vec<(String, Position)>> {
    let [one, two] = call.args.as_slice() else { return None };
    let is_type = |expression: &Expr| {
        matches!(expression, Expr::Dot(dot, ..) if matches!(dot.rhs, Expr::Property(..)))
            && property_of(expression, "event").is_some_and(|(name, _)| name == "event_type")
    };
    match call.name.as_str() {
        "==" if is_type(one) => Some(vec![literal(two)?]),
        "==" if is_type(two) => Some(vec![literal(one)?]),
        "contains" if is_type(two) => match one {
            Expr::Array(names, _) => names.iter().map(literal).collect(),
            // What the optimiser has made of such an array.
            Expr::DynamicConstant(names, position) => {
                let names = names.as_array_ref().ok()?;
                let text = |name: &rhai::Dynamic| {
                    Some((name.as_immutable_string_ref().ok()?.to_string(), *position))
                };
                names.iter().map(text).collect()
            }
            _ => None,
        },
        _ => None,
    }
}

fn literal(expression: &Expr) -> Option<(String, Position)> {
    match expression {
        Expr::StringConstant(text, position) => Some((text.to_string(), *position)),
        _ => None,
    }
}

/// Reports names that no envelope has, types that are probably misspelt, and fields that no event
/// of a pinned type has.
pub(super) fn check(ast: &AST, expression: &Expr, excerpt: &Excerpt, problems: &mut Vec<Problem>) {
    ast.walk(&mut |path: &[ASTNode<'_>]| {
        match path.last() {
            Some(ASTNode::Expr(Expr::FnCall(call, _))) => {
                for (name, position) in type_literals(call).unwrap_or_default() {
                    problems.extend(misspelt_type(&name, quoted(excerpt, &name, position)));
                }
            }
            Some(ASTNode::Expr(expression)) => {
                if let Some((name, position)) = property_of(expression, "event")
                    && !EVENT_PROPERTIES.contains(&name)
                {
                    problems.push(unknown_event_property(excerpt, name, position));
                }
            }
            _ => (),
        }
        true
    });
    check_fields(expression, &BTreeSet::new(), excerpt, problems);
}

/// Checks payload fields under the types that the surrounding conjunction pins.
fn check_fields(
    expression: &Expr,
    outer: &BTreeSet<String>,
    excerpt: &Excerpt,
    problems: &mut Vec<Problem>,
) {
    let own = pinned(expression).unwrap_or_default();
    let types = if own.is_empty() { outer } else { &own };
    match expression {
        Expr::And(parts, _) | Expr::Or(parts, _) => {
            for part in parts.iter() {
                check_fields(part, types, excerpt, problems);
            }
        }
        _ => check_fields_of(expression, types, excerpt, problems),
    }
}

fn check_fields_of(
    expression: &Expr,
    types: &BTreeSet<String>,
    excerpt: &Excerpt,
    problems: &mut Vec<Problem>,
) {
    let Some(known) = known_types(types).filter(|known| !known.is_empty()) else { return };
    expression.walk(&mut Vec::new(), &mut |path: &[ASTNode<'_>]| {
        if let Some(ASTNode::Expr(expression)) = path.last()
            && let Some((name, position)) = payload_field(expression, "event")
            && !known.iter().any(|event_type| has_field(*event_type, name))
        {
            problems.push(unknown_field(
                &known,
                name,
                place(excerpt, position, name.chars().count()),
            ));
        }
        true
    });
}
