//! What a condition says about the type of an event: which types it can be true of, and whether
//! the fields that it names are those of such an event.

use std::collections::BTreeSet;

use rhai::{AST, ASTNode, Expr, FnCallExpr, Position};

use super::super::check::{property_of, unknown_event_property};
use super::super::compile::place;
use super::super::event::EVENT_PROPERTIES;
use crate::event::Key;
use crate::problem::{Excerpt, Problem, did_you_mean};
use crate::retail::{EventType, description_of};

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
                    problems.extend(misspelt_type(excerpt, &name, position));
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

/// Types of one's own are fine, so this is a warning, and only where the name is close to one of
/// the contract.
fn misspelt_type(excerpt: &Excerpt, name: &str, position: Position) -> Option<Problem> {
    if name.parse::<EventType>().is_ok() {
        return None;
    }
    let close = did_you_mean(name, EventType::ALL.map(|known| known.key().as_str()))?;
    let place = place(excerpt, position, name.chars().count() + 2);
    Some(
        Problem::warning(format!("unknown event type `{name}`"))
            .at(place)
            .help(format!("did you mean `{close}`?")),
    )
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
    let known: Option<Vec<EventType>> = types.iter().map(|name| name.parse().ok()).collect();
    let Some(known) = known.filter(|known| !known.is_empty()) else { return };
    expression.walk(&mut Vec::new(), &mut |path: &[ASTNode<'_>]| {
        if let Some(ASTNode::Expr(expression)) = path.last()
            && let Some((name, position)) = payload_field(expression)
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

fn has_field(event_type: EventType, name: &str) -> bool {
    Key::intern(name).is_ok_and(|key| description_of(event_type).field(key).is_some())
}

fn unknown_field(types: &[EventType], name: &str, place: crate::problem::Place) -> Problem {
    let names: Vec<String> = types.iter().map(|known| format!("`{known}`")).collect();
    let fields = types.iter().flat_map(|known| description_of(*known).fields);
    let verb = if names.len() == 1 { "has" } else { "have" };
    let message = format!("{} {verb} no field `{name}`", names.join(" and "));
    match did_you_mean(name, fields.map(|field| field.key.as_str())) {
        Some(close) => Problem::error(message).at(place).help(format!("did you mean `{close}`?")),
        None => Problem::warning(message).at(place).help("fine where a stage before adds it"),
    }
}

/// The field in `event.payload.field`, whatever follows.
fn payload_field(expression: &Expr) -> Option<(&str, Position)> {
    if property_of(expression, "event")?.0 != "payload" {
        return None;
    }
    let Expr::Dot(dot, ..) = expression else { return None };
    let Expr::Dot(rest, ..) = &dot.rhs else { return None };
    let field = match &rest.rhs {
        Expr::Dot(deeper, ..) | Expr::Index(deeper, ..) => &deeper.lhs,
        single => single,
    };
    match field {
        Expr::Property(property, position) => Some((property.2.as_str(), *position)),
        _ => None,
    }
}
