//! The functions of the engine and of the language that compiled rules call: each gives what the
//! interpreter's gives, or nothing where that would err or where a value is of another type.

use compact_str::{CompactString, ToCompactString};

use super::operators::{push, text_value};
use crate::event::{Text, Timestamp, Value};

/// The most arguments that one takes.
pub(super) const ARGUMENTS_MAX: usize = 3;

/// A function: `f(x)`, or `x.f()`.
pub(super) struct Host {
    name: &'static str,
    arguments: usize,
    pub(super) call: fn(&[Value]) -> Option<Value>,
}

/// A function by its name and the number of its arguments.
pub(super) fn find(name: &str, arguments: usize) -> Option<&'static Host> {
    HOSTS.iter().find(|host| host.name == name && host.arguments == arguments)
}

/// All of them. None of the interpreter's changes its first argument in place.
static HOSTS: &[Host] = &[
    Host { name: "to_string", arguments: 1, call: |values| to_string(&values[0]) },
    Host {
        name: "len",
        arguments: 1,
        call: |values| of_text(values, |text| text.chars().count() as i64),
    },
    Host { name: "is_empty", arguments: 1, call: |values| of_text(values, str::is_empty) },
    Host { name: "to_upper", arguments: 1, call: |values| changed(values, str::to_uppercase) },
    Host { name: "to_lower", arguments: 1, call: |values| changed(values, str::to_lowercase) },
    Host {
        name: "starts_with",
        arguments: 2,
        call: |values| of_texts(values, |text, part| text.starts_with(part)),
    },
    Host {
        name: "ends_with",
        arguments: 2,
        call: |values| of_texts(values, |text, part| text.ends_with(part)),
    },
    Host {
        name: "contains",
        arguments: 2,
        call: |values| of_texts(values, |text, part| text.contains(part)),
    },
    Host { name: "index_of", arguments: 2, call: |values| of_texts(values, index_of) },
    Host {
        name: "sub_string",
        arguments: 2,
        call: |values| sub_string(&values[0], &values[1], None),
    },
    Host {
        name: "sub_string",
        arguments: 3,
        call: |values| sub_string(&values[0], &values[1], Some(&values[2])),
    },
    Host {
        name: "parse_int",
        arguments: 1,
        call: |values| parsed(values, |text| text.parse().ok().map(Value::Int)),
    },
    Host {
        name: "parse_float",
        arguments: 1,
        call: |values| parsed(values, |text| text.parse().ok().map(Value::Float)),
    },
    Host { name: "parse_time", arguments: 1, call: |values| parse_time(&values[0]) },
    Host { name: "format_time", arguments: 1, call: |values| format_time(&values[0]) },
    Host { name: "to_float", arguments: 1, call: |values| values[0].as_f64().map(Value::Float) },
    Host { name: "to_int", arguments: 1, call: |values| to_int(&values[0]) },
    Host { name: "floor", arguments: 1, call: |values| of_float(values, f64::floor) },
    Host { name: "ceiling", arguments: 1, call: |values| of_float(values, f64::ceil) },
    Host { name: "round", arguments: 1, call: |values| of_float(values, f64::round) },
    Host { name: "int", arguments: 1, call: |values| of_float(values, f64::trunc) },
    Host { name: "fraction", arguments: 1, call: |values| of_float(values, f64::fract) },
    Host { name: "sqrt", arguments: 1, call: |values| of_float(values, f64::sqrt) },
    Host { name: "abs", arguments: 1, call: |values| abs(&values[0]) },
    Host {
        name: "max",
        arguments: 2,
        call: |values| extreme(values, |one, two| one >= two, |one, two| one >= two),
    },
    Host {
        name: "min",
        arguments: 2,
        call: |values| extreme(values, |one, two| one <= two, |one, two| one <= two),
    },
];

fn to_string(value: &Value) -> Option<Value> {
    let mut text = CompactString::default();
    push(&mut text, value)?;
    text_value(text)
}

fn of_text<T: Into<Value>>(values: &[Value], give: fn(&str) -> T) -> Option<Value> {
    let [Value::Text(text)] = values else { return None };
    Some(text.with_str(|text| give(text).into()))
}

fn of_texts<T: Into<Value>>(values: &[Value], give: fn(&str, &str) -> T) -> Option<Value> {
    let [Value::Text(text), Value::Text(part)] = values else { return None };
    Some(text.with_str(|text| part.with_str(|part| give(text, part).into())))
}

fn changed(values: &[Value], change: fn(&str) -> String) -> Option<Value> {
    let [Value::Text(text)] = values else { return None };
    text_value(text.with_str(|text| CompactString::from(change(text))))
}

/// In characters, from the front; -1 where it is not found, or where there is nothing to look in.
fn index_of(text: &str, part: &str) -> i64 {
    let found = text.find(part).filter(|_| !text.is_empty());
    found.map_or(-1, |found| text[..found].chars().count() as i64)
}

/// In characters; a start below zero counts from the end.
fn sub_string(text: &Value, start: &Value, len: Option<&Value>) -> Option<Value> {
    let Value::Text(text) = text else { return None };
    let start = start.as_i64()?;
    let len = len.map_or(Some(i64::MAX), Value::as_i64)?;
    Some(text.with_str(|text| {
        let count = text.chars().count() as i64;
        let start = if start < 0 { start.saturating_add(count).max(0) } else { start };
        let len = usize::try_from(len).unwrap_or(0);
        let part: CompactString = text.chars().skip(start as usize).take(len).collect();
        Value::Text(Text::Plain(part))
    }))
}

fn parsed(values: &[Value], parse: fn(&str) -> Option<Value>) -> Option<Value> {
    let [Value::Text(text)] = values else { return None };
    text.with_str(|text| parse(text.trim()))
}

fn parse_time(text: &Value) -> Option<Value> {
    let Value::Text(text) = text else { return None };
    let time: Timestamp = text.with_str(|text| text.parse().ok())?;
    Some(Value::Int(time.as_millis()))
}

fn format_time(millis: &Value) -> Option<Value> {
    let Value::Int(millis) = millis else { return None };
    let text = Timestamp::from_millis(*millis).to_compact_string();
    Some(Value::Text(Text::Plain(text)))
}

fn to_int(value: &Value) -> Option<Value> {
    match value {
        Value::Int(number) => Some(Value::Int(*number)),
        Value::Float(number) => {
            let fits = *number <= i64::MAX as f64 && *number >= i64::MIN as f64;
            fits.then(|| Value::Int(number.trunc() as i64))
        }
        _ => None,
    }
}

fn of_float(values: &[Value], give: fn(f64) -> f64) -> Option<Value> {
    let [Value::Float(number)] = values else { return None };
    Some(Value::Float(give(*number)))
}

fn abs(value: &Value) -> Option<Value> {
    match value {
        Value::Int(number) => number.checked_abs().map(Value::Int),
        Value::Float(number) => Some(Value::Float(number.abs())),
        _ => None,
    }
}

/// The first of two numbers where it is to be taken, else the second.
fn extreme(
    values: &[Value],
    takes_first: fn(&i64, &i64) -> bool,
    takes_first_float: fn(&f64, &f64) -> bool,
) -> Option<Value> {
    let [one, two] = values else { return None };
    if let (Value::Int(first), Value::Int(second)) = (one, two) {
        return Some(Value::Int(if takes_first(first, second) { *first } else { *second }));
    }
    let (first, second) = (one.as_f64()?, two.as_f64()?);
    Some(Value::Float(if takes_first_float(&first, &second) { first } else { second }))
}
