//! The contract of events, as scripts are held against it: names of types, and the fields that
//! events of a type have.

use rhai::{Expr, Position};

use super::check::property_of;
use super::compile::place;
use crate::problem::{Excerpt, Place, Problem, did_you_mean};
use crate::retail::{EventType, description_of};

/// A type that is probably misspelt. Types of one's own are fine, so this is a warning, and only
/// where the name is close to one of the contract.
pub(super) fn misspelt_type(name: &str, place: impl Into<Option<Place>>) -> Option<Problem> {
    if name.parse::<EventType>().is_ok() {
        return None;
    }
    let close = did_you_mean(name, EventType::ALL.map(|known| known.key().as_str()))?;
    let problem = Problem::warning(format!("unknown event type `{name}`")).at(place);
    Some(problem.help(format!("did you mean `{close}`?")))
}

/// Whether events of a type have a field of that name in their payload.
pub(super) fn has_field(event_type: EventType, name: &str) -> bool {
    description_of(event_type).fields.iter().any(|field| field.key == *name)
}

/// The field of the types that a name is probably a slip of.
pub(super) fn close_field(types: &[EventType], name: &str) -> Option<&'static str> {
    let fields = types.iter().flat_map(|known| description_of(*known).fields);
    did_you_mean(name, fields.map(|field| field.key.as_str()))
}

/// `receipt_created` has no field `totl`: an error with the remedy where it is misspelt.
pub(super) fn unknown_field(
    types: &[EventType],
    name: &str,
    place: impl Into<Option<Place>>,
) -> Problem {
    let verb = if types.len() == 1 { "has" } else { "have" };
    let message = format!("{} {verb} no field `{name}`", names(types));
    match close_field(types, name) {
        Some(close) => Problem::error(message).at(place).help(format!("did you mean `{close}`?")),
        None => Problem::warning(message).at(place).help("fine where a stage before adds it"),
    }
}

/// `a`, `b` and `c`; of many types the first.
pub(super) fn names(types: &[EventType]) -> String {
    const NAMED_MAX: usize = 4;
    let mut names: Vec<String> =
        types.iter().take(NAMED_MAX).map(|known| format!("`{known}`")).collect();
    if let more @ 1.. = types.len().saturating_sub(NAMED_MAX) {
        names.push(format!("{more} further types"));
    }
    match names.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

/// The field in `event.payload.field`, whatever follows.
pub(super) fn payload_field<'a>(expression: &'a Expr, event: &str) -> Option<(&'a str, Position)> {
    match field_of(expression, event)? {
        Expr::Dot(deeper, ..) | Expr::Index(deeper, ..) => property(&deeper.lhs),
        single => property(single),
    }
}

/// The field in `event.payload.field`, if nothing follows.
pub(super) fn whole_field<'a>(expression: &'a Expr, event: &str) -> Option<&'a str> {
    property(field_of(expression, event)?).map(|(name, _)| name)
}

/// What stands behind `event.payload.`.
fn field_of<'a>(expression: &'a Expr, event: &str) -> Option<&'a Expr> {
    if property_of(expression, event)?.0 != "payload" {
        return None;
    }
    let Expr::Dot(dot, ..) = expression else { return None };
    let Expr::Dot(rest, ..) = &dot.rhs else { return None };
    Some(&rest.rhs)
}

fn property(expression: &Expr) -> Option<(&str, Position)> {
    match expression {
        Expr::Property(property, position) => Some((property.2.as_str(), *position)),
        _ => None,
    }
}

/// The place of a name in quotes.
pub(super) fn quoted(excerpt: &Excerpt, name: &str, position: Position) -> Place {
    place(excerpt, position, name.chars().count() + 2)
}

/// The names as types of the contract; none where one of them is another.
pub(super) fn known_types<'a>(
    names: impl IntoIterator<Item = &'a String>,
) -> Option<Vec<EventType>> {
    names.into_iter().map(|name| name.parse().ok()).collect()
}
