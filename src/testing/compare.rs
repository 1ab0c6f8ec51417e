//! Expected events against those that came out: which is which, and what does not fit, each with its
//! place.

use std::fmt;

use serde_json::{Map, Value};

use super::checks::ExpectedList;
use crate::event::{Event, Timestamp};
use crate::problem::{Problem, Problems};
use crate::spec::{Document, SpecDuration, pointer_to};

/// How many misfits of a list are told, and events that are too many.
const TOLD_MAX: usize = 8;
/// Beyond so many pairs, events are compared place by place.
const PAIRS_MAX: usize = 4_000_000;
/// How long an event may be where it is shown.
const SHOWN_CHARACTERS: usize = 400;

/// Something in an event that is not as it is written.
#[derive(Debug, PartialEq)]
pub(super) struct Misfit {
    /// Its JSON pointer, in the expected event.
    pointer: String,
    /// What it is called, such as `payload.total`.
    name: String,
    /// What is there in its place.
    found: Option<Value>,
    /// Whether it is a field that should not be there.
    is_extra: bool,
}

/// Holds a list against the events that came out of `stage`, which are all there were.
pub(super) fn compare(
    document: &Document,
    list: &ExpectedList,
    stage: &str,
    events: &[Event],
    now: Timestamp,
) -> Problems {
    let found: Vec<Value> = events.iter().map(as_value).collect();
    let (patterns, exact) = (&list.events, list.exact);
    let fits = |pattern: usize, event: usize| {
        misfits(&patterns[pattern], &found[event], now, exact).is_empty()
    };
    let mut unmatched = Unmatched::of(patterns.len(), found.len(), fits);
    let mut problems = Problems::default();
    for pattern in std::mem::take(&mut unmatched.patterns) {
        let pointer = format!("{}/{pattern}", list.pointer);
        if let Some(place) = unmatched.events.iter().position(|event| fits(pattern, *event)) {
            let event = unmatched.events.remove(place);
            let message = format!("an event comes out of `{stage}` in another place than expected");
            let label = format!("it is event {} of {}", event + 1, found.len());
            let problem = Problem::error(message).at(document.place(&pointer)).label(label);
            problems.push(problem.note(order_of(events)));
            continue;
        }
        let Some((place, misfits)) =
            closest(&patterns[pattern], &unmatched.events, &found, now, exact)
        else {
            let message = format!("an event does not come out of `{stage}`");
            let problem = Problem::error(message).at(document.place(&pointer));
            problems.push(problem.label("not found").note(came_out(stage, events)));
            continue;
        };
        let event = unmatched.events.remove(place);
        // The event is shown once.
        let shown = format!("event {}: {}", event + 1, short(&events[event], now));
        let mut shown = Some(shown.into_boxed_str());
        for misfit in &misfits {
            let at = document.place(&format!("{pointer}{}", misfit.pointer));
            let problem = misfit.problem(stage, event + 1).at(at);
            problems.push(Problem { note: shown.take(), ..problem });
        }
    }
    for event in &unmatched.events {
        let message = format!("an event comes out of `{stage}` that is not expected");
        let label = format!("event {} of {} is not here", event + 1, found.len());
        let problem = Problem::error(message).at(document.key_place(&list.pointer)).label(label);
        problems.push(problem.note(format!(
            "event {}: {}",
            event + 1,
            short(&events[*event], now)
        )));
    }
    let further = problems.0.len().saturating_sub(TOLD_MAX);
    problems.0.truncate(TOLD_MAX);
    if let Some(last) = problems.0.last_mut().filter(|_| further > 0) {
        last.help = Some(format!("{further} more do not fit; these are the first"));
    }
    problems
}

/// Expected events and events that came out which have not found each other.
struct Unmatched {
    patterns: Vec<usize>,
    events: Vec<usize>,
}

impl Unmatched {
    /// As many pairs as possible are made without crossing each other, and what is left is this.
    fn of(patterns: usize, events: usize, fits: impl Fn(usize, usize) -> bool) -> Self {
        let mut left = Self { patterns: Vec::new(), events: Vec::new() };
        // What fits from the front on is most often all of it.
        let begin = (0..patterns.min(events)).take_while(|place| fits(*place, *place)).count();
        let (rows, columns) = (patterns - begin, events - begin);
        if rows.saturating_mul(columns) > PAIRS_MAX {
            let misfit = |place: &usize| *place >= patterns.min(events) || !fits(*place, *place);
            left.patterns = (begin..patterns).filter(misfit).collect();
            left.events = (begin..events).filter(misfit).collect();
            return left;
        }
        // The longest common subsequence, counted from the end.
        let width = columns + 1;
        let mut longest = vec![0_u32; (rows + 1) * width];
        let mut pairs = vec![false; rows * columns];
        for row in (0..rows).rev() {
            for column in (0..columns).rev() {
                let is_pair = fits(begin + row, begin + column);
                pairs[row * columns + column] = is_pair;
                longest[row * width + column] = if is_pair {
                    longest[(row + 1) * width + column + 1] + 1
                } else {
                    longest[(row + 1) * width + column].max(longest[row * width + column + 1])
                };
            }
        }
        let (mut row, mut column) = (0, 0);
        while row < rows && column < columns {
            if pairs[row * columns + column] {
                (row, column) = (row + 1, column + 1);
            } else if longest[(row + 1) * width + column] >= longest[row * width + column + 1] {
                left.patterns.push(begin + row);
                row += 1;
            } else {
                left.events.push(begin + column);
                column += 1;
            }
        }
        left.patterns.extend((row..rows).map(|row| begin + row));
        left.events.extend((column..columns).map(|column| begin + column));
        left
    }
}

/// The event that is most like a pattern, and what does not fit; none if there is nothing alike.
fn closest(
    pattern: &Value,
    candidates: &[usize],
    events: &[Value],
    now: Timestamp,
    exact: bool,
) -> Option<(usize, Vec<Misfit>)> {
    let of_other_type = |misfits: &[Misfit]| misfits.iter().any(|it| it.name == "event_type");
    let misfits_of = |event: &usize| misfits(pattern, &events[*event], now, exact);
    let all = candidates.iter().map(misfits_of).enumerate();
    let (place, misfits) =
        all.min_by_key(|(_, misfits)| (of_other_type(misfits), misfits.len()))?;
    // One of another type is taken where nothing else could be meant.
    (!of_other_type(&misfits) || candidates.len() == 1).then_some((place, misfits))
}

/// `payload.total` is `3`
impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            Some(value) => write!(f, "`{}` is `{}`", harmless(&self.name), plain(value)),
            None => write!(f, "`{}` is not there", harmless(&self.name)),
        }
    }
}

impl Misfit {
    fn problem(&self, stage: &str, event: usize) -> Problem {
        let found = match &self.found {
            None => "nothing".to_owned(),
            Some(value) => format!("`{}`", plain(value)),
        };
        let name = harmless(&self.name);
        if self.is_extra {
            let message = format!("event {event} of `{stage}` has a field `{name}`");
            return Problem::error(message).label(format!("not here; it is {found}"));
        }
        Problem::error(format!("`{name}` of event {event} of `{stage}` is not as expected"))
            .label(format!("found {found}"))
    }
}

/// What in an event is not as it is written.
pub(super) fn misfits(pattern: &Value, event: &Value, now: Timestamp, exact: bool) -> Vec<Misfit> {
    let mut misfits = Vec::new();
    let time = event["ingest_timestamp"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
    for (key, wanted) in pattern.as_object().into_iter().flatten() {
        let found = event.get(key).filter(|found| !found.is_null());
        match key.as_str() {
            "payload" => {
                let none = Map::new();
                let found = found.and_then(Value::as_object).unwrap_or(&none);
                let wanted = wanted.as_object().unwrap_or(&none);
                compare_fields(wanted, found, "/payload", "payload", exact, &mut misfits);
            }
            "after" => {
                let after = wanted.as_str().and_then(|text| text.parse::<SpecDuration>().ok());
                if after.map(|after| now + after.0) != time {
                    let found = time.map(|time| after_now(time, now).into());
                    misfits.push(Misfit::of("/after", "after", found));
                }
            }
            "ingest_timestamp" => {
                let wanted = wanted.as_str().and_then(|text| text.parse::<Timestamp>().ok());
                if wanted != time {
                    misfits.push(Misfit::of("/ingest_timestamp", key, found.cloned()));
                }
            }
            _ if is_equal(wanted, found) => {}
            _ => misfits.push(Misfit::of(&pointer_to("", key), key, found.cloned())),
        }
    }
    misfits
}

impl Misfit {
    fn of(pointer: &str, name: &str, found: Option<Value>) -> Self {
        Self { pointer: pointer.to_owned(), name: name.to_owned(), found, is_extra: false }
    }
}

/// Fields, and the fields of mappings in them.
fn compare_fields(
    wanted: &Map<String, Value>,
    found: &Map<String, Value>,
    pointer: &str,
    name: &str,
    exact: bool,
    misfits: &mut Vec<Misfit>,
) {
    for (key, value) in wanted {
        let (pointer, name) = (pointer_to(pointer, key), format!("{name}.{key}"));
        let found = found.get(key).filter(|found| !found.is_null());
        match (value, found) {
            (Value::Object(value), Some(Value::Object(found))) => {
                compare_fields(value, found, &pointer, &name, exact, misfits);
            }
            _ if is_equal(value, found) => {}
            _ => misfits.push(Misfit::of(&pointer, &name, found.cloned())),
        }
    }
    if exact {
        for (key, value) in found.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
            let name = format!("{name}.{key}");
            let misfit = Misfit::of(pointer, &name, Some(value.clone()));
            misfits.push(Misfit { is_extra: true, ..misfit });
        }
    }
}

/// Whether two values are the same: numbers by what they are worth, `null` as if it were absent.
fn is_equal(wanted: &Value, found: Option<&Value>) -> bool {
    match (wanted, found) {
        (Value::Null, None | Some(Value::Null)) => true,
        (_, None) => false,
        (Value::Number(one), Some(Value::Number(two))) => {
            one == two || one.as_f64() == two.as_f64() && (one.is_f64() || two.is_f64())
        }
        (Value::Array(one), Some(Value::Array(two))) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| is_equal(one, Some(two)))
        }
        (Value::Object(one), Some(Value::Object(two))) => {
            one.len() == two.len() && one.iter().all(|(key, one)| is_equal(one, two.get(key)))
        }
        (one, Some(two)) => one == two,
    }
}

pub(super) fn as_value(event: &Event) -> Value {
    serde_json::to_value(event).unwrap_or_default()
}

/// The time since `now`, with its sign: `5m`, or `-5m` for what was before.
fn after_now(time: Timestamp, now: Timestamp) -> String {
    let sign = if time < now { "-" } else { "" };
    format!("{sign}{}", SpecDuration(time.since(now).max(now.since(time))))
}

/// An event on one line: its type, its payload, and when it happens.
pub(super) fn short(event: &Event, now: Timestamp) -> String {
    let value = as_value(event);
    let mut shown = Map::new();
    shown.insert("event_type".to_owned(), value["event_type"].clone());
    shown.insert("payload".to_owned(), value["payload"].clone());
    if event.time < now {
        shown.insert("ingest_timestamp".to_owned(), value["ingest_timestamp"].clone());
    } else {
        shown.insert("after".to_owned(), SpecDuration(event.time.since(now)).to_string().into());
    }
    cut(&Value::Object(shown).to_string(), SHOWN_CHARACTERS)
}

/// A value as it would be written in a spec.
fn plain(value: &Value) -> String {
    cut(&value.as_str().map_or_else(|| value.to_string(), str::to_owned), 60)
}

fn cut(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", harmless(&text[..end])),
        None => harmless(text),
    }
}

/// A text of an event, for a terminal: it cannot move the cursor or change colours.
pub(super) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

fn order_of(events: &[Event]) -> String {
    let types: Vec<&str> = events.iter().map(|event| event.event_type.as_str()).collect();
    cut(&format!("they come in this order: {}", types.join(", ")), SHOWN_CHARACTERS)
}

/// What came out, by types.
fn came_out(stage: &str, events: &[Event]) -> String {
    let mut types: Vec<(&str, usize)> = Vec::new();
    for event in events {
        let name = event.event_type.as_str();
        match types.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => types.push((name, 1)),
        }
    }
    let types: Vec<_> = types.iter().map(|(name, count)| format!("{count} {name}")).collect();
    match types.as_slice() {
        [] => format!("nothing came out of `{stage}`"),
        types => cut(&format!("`{stage}` gave {}", types.join(", ")), SHOWN_CHARACTERS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn misfit_names(pattern: &Value, payload: &Value, exact: bool) -> Vec<String> {
        let event = json!({
            "event_type": "sale", "payload": payload, "session_id": null,
            "ingest_timestamp": "2024-01-01T00:01:00.000Z",
        });
        let now = "2024-01-01T00:00:00Z".parse().unwrap();
        misfits(pattern, &event, now, exact).into_iter().map(|misfit| misfit.name).collect()
    }

    #[test]
    fn what_is_not_written_is_not_compared() {
        let payload = json!({ "a": 1, "b": { "c": 2.0, "d": [1, 2] } });
        for fitting in [
            json!({}),
            json!({ "event_type": "sale", "session_id": null, "after": "1m" }),
            json!({ "payload": { "a": 1.0, "b": { "c": 2 }, "x": null } }),
            json!({ "ingest_timestamp": "2024-01-01T00:01:00Z" }),
        ] {
            assert_eq!(misfit_names(&fitting, &payload, false), [""; 0], "{fitting}");
        }
        let pattern = json!({
            "event_type": "x", "after": "2m", "source": "y",
            "payload": { "a": 2, "b": { "d": [1] }, "e": 3 },
        });
        let names = ["event_type", "after", "source", "payload.a", "payload.b.d", "payload.e"];
        assert_eq!(misfit_names(&pattern, &payload, false), names);
    }

    #[test]
    fn an_exact_payload_has_no_further_field() {
        let payload = json!({ "a": 1, "b": 2 });
        assert_eq!(misfit_names(&json!({ "payload": { "a": 1 } }), &payload, true), ["payload.b"]);
        assert_eq!(misfit_names(&json!({ "event_type": "sale" }), &payload, true), [""; 0]);
    }

    #[test]
    fn a_time_before_now_has_its_sign() {
        let event = json!({ "ingest_timestamp": "2023-12-31T23:55:00.000Z" });
        let now = "2024-01-01T00:00:00Z".parse().unwrap();
        let found = misfits(&json!({ "after": "5m" }), &event, now, false);
        assert_eq!(found[0].to_string(), "`after` is `-5m`");
    }

    #[test]
    fn control_characters_of_an_event_do_not_reach_the_terminal() {
        let payload = json!({ "a": "red \u{1b}[31m\u{9b}2J", "b\u{1b}": 1 });
        let event = json!({ "payload": payload });
        let now = "2024-01-01T00:00:00Z".parse().unwrap();
        let pattern = json!({ "payload": { "a": "x" } });
        let said: Vec<String> = misfits(&pattern, &event, now, true)
            .iter()
            .map(|misfit| misfit.problem("out", 1))
            .map(|problem| format!("{} {}", problem.message, problem.label.unwrap_or_default()))
            .collect();
        assert!(said[0].contains(r"red \u{1b}[31m\u{9b}2J"), "{said:?}");
        assert!(said[1].contains(r"`payload.b\u{1b}`"), "{said:?}");
        assert!(!said.concat().contains(['\u{1b}', '\u{9b}']), "{said:?}");
    }

    #[test]
    fn large_integers_are_compared_digit_by_digit() {
        let (one, two) = (json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_992_i64));
        assert!(!is_equal(&one, Some(&two)));
        assert!(is_equal(&one, Some(&one)));
    }

    #[test]
    fn as_many_find_each_other_as_can_without_crossing() {
        let (patterns, events) = (["a", "b", "c", "d"], ["b", "x", "c", "a", "d"]);
        let left = Unmatched::of(4, 5, |one, two| patterns[one] == events[two]);
        assert_eq!((left.patterns, left.events), (vec![0], vec![1, 3]));
        let left = Unmatched::of(0, 2, |_, _| true);
        assert_eq!((left.patterns.len(), left.events), (0, vec![0, 1]));
        let many = Unmatched::of(3000, 3000, |one, two| one == two && one != 0 && one != 2999);
        assert_eq!((many.patterns, many.events), (vec![0, 2999], vec![0, 2999]));
    }
}
