//! All functions that a script may call, as the engine itself has them, for whoever lists them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::compiled::calls_compiled;
use super::{Function, HookHost, Sandbox, Script, Table};
use crate::problem::{Excerpt, SourceText};

/// A function, a property or an index that a script may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostFunction {
    /// What it belongs to, such as `event` or `text`.
    pub group: &'static str,
    /// Its name.
    pub name: String,
    /// How it is called: the ways to do so, with the types of what it takes and gives.
    pub signatures: Vec<String>,
    /// What it does, in a sentence.
    pub about: String,
    /// Whether a function that calls it can run compiled, where it is called with numbers, texts,
    /// `true`, `false` and `()`.
    pub compiled: bool,
}

/// The groups, in the order in which they are listed.
pub const GROUPS: [(&str, &str); 14] = [
    (
        "event",
        "In enrichers, conditions and hooks, and `on_event` of correlators; enrichers may write.",
    ),
    ("payload", "Of `event.payload`."),
    ("state", "In correlators."),
    ("out", "In correlators."),
    ("hooks", "In hooks."),
    ("events", "In `batch_sent` of hooks; `for event in events` takes one after the other."),
    ("tables", "In enrichers with `tables:`."),
    ("random", "Not in conditions and weights."),
    ("time", "Everywhere."),
    ("text", "Everywhere."),
    ("numbers", "Everywhere."),
    ("arrays", "Everywhere."),
    ("maps", "Everywhere."),
    ("general", "Everywhere."),
];

/// What is the project's own, and what says nothing of itself: the group, the name that it is
/// registered by, how it is used, what it does. Whether it can run compiled is tried out.
const DESCRIBED: [(&str, &str, &str, &str); 52] = [
    ("event", "get$event_type", "event.event_type", "The type, such as `receipt_created`."),
    ("event", "get$trace_id", "event.trace_id", "The event's own id."),
    ("event", "get$ingest_timestamp", "event.ingest_timestamp", "Event time as a text."),
    ("event", "get$time_ms", "event.time_ms", "Event time in milliseconds since 1970."),
    ("event", "get$schema_version", "event.schema_version", "The version of the payload's schema."),
    ("event", "get$source", "event.source", "What made the event."),
    ("event", "get$correlation_id", "event.correlation_id", "What the event belongs to, or `()`."),
    ("event", "get$partition_key", "event.partition_key", "What keeps events in order, or `()`."),
    ("event", "get$session_id", "event.session_id", "The visit or session, or `()`."),
    ("event", "get$parent_event_id", "event.parent_event_id", "The id of the cause, or `()`."),
    ("event", "to_string", "event.to_string()", "The event as JSON."),
    ("event", "to_debug", "event.to_debug()", "The event as JSON."),
    (
        "payload",
        "index$get$",
        "event.payload.total",
        "A field, or `()`; also `event.payload[name]`.",
    ),
    ("payload", "contains", "event.payload.contains(\"total\")", "Whether there is such a field."),
    (
        "payload",
        "remove",
        "event.payload.remove(\"total\")",
        "Takes a field out; gives it, or `()`.",
    ),
    ("payload", "keys", "event.payload.keys()", "The names of all fields."),
    ("payload", "len", "event.payload.len()", "How many fields there are."),
    ("payload", "to_map", "event.payload.to_map()", "A copy as a map."),
    ("payload", "to_string", "event.payload.to_string()", "The payload as JSON."),
    ("payload", "to_debug", "event.payload.to_debug()", "The payload as JSON."),
    ("state", "index$get$", "state.sum", "A field, or `()`; also `state[name]`. May be written."),
    ("state", "contains", "state.contains(\"sum\")", "Whether there is such a field."),
    ("state", "remove", "state.remove(\"sum\")", "Forgets a field; gives it, or `()`."),
    ("state", "clear", "state.clear()", "Forgets all fields."),
    ("state", "keys", "state.keys()", "The names of all fields."),
    ("state", "len", "state.len()", "How many fields there are."),
    ("state", "to_map", "state.to_map()", "A copy as a map."),
    ("state", "to_string", "state.to_string()", "The state as JSON."),
    ("state", "to_debug", "state.to_debug()", "The state as JSON."),
    (
        "out",
        "emit",
        "out.emit(\"rush\", #{ n: 1 })",
        "Derives an event of a type and a payload; a third argument sets fields of its envelope.",
    ),
    (
        "out",
        "emit_after",
        "out.emit_after(\"5m\", \"rush\", #{ n: 1 })",
        "The same, so much event time later.",
    ),
    (
        "out",
        "timer",
        "out.timer(\"late\", \"4h\")",
        "Calls `on_timer` for this key so much event time later.",
    ),
    ("out", "cancel", "out.cancel(\"late\")", "Takes a timer back."),
    (
        "hooks",
        "count",
        "count(\"high_value\")",
        "Counts once, or by as much as stands behind the name.",
    ),
    ("hooks", "gauge", "gauge(\"open_visits\", 7)", "Notes how much there is at the moment."),
    ("hooks", "state", "state()", "What hooks remember from call to call, all of them together."),
    ("events", "len", "events.len()", "How many events there are."),
    ("events", "is_empty", "events.is_empty()", "Whether there is none."),
    (
        "events",
        "index$get$",
        "events[0]",
        "The event at a place; from the end, where it is negative.",
    ),
    ("events", "get$sink", "events.sink", "The sink whose receiver has them."),
    ("events", "to_array", "events.to_array()", "The events as an array, to filter and sort."),
    ("events", "to_string", "events.to_string()", "How many there are, in words."),
    ("events", "to_debug", "events.to_debug()", "How many there are, in words."),
    ("tables", "lookup", "lookup(\"stores\", 1)", "The record of a key as a map, or `()`."),
    ("random", "rand", "rand()", "A number from 0 to 1, without 1."),
    ("random", "rand_int", "rand_int(1, 6)", "A whole number, both ends included."),
    ("time", "format_time", "format_time(0)", "Milliseconds since 1970 as a text."),
    (
        "time",
        "parse_time",
        "parse_time(\"2024-11-29T10:00:00Z\")",
        "A text as milliseconds since 1970; it fails on what is no instant.",
    ),
    ("text", "append", "\"a\".append(\"b\")", "Puts something at the end of the text."),
    ("numbers", "to_int", "to_int(1.5)", "A number without its fraction."),
    ("numbers", "to_float", "to_float(1)", "A number as a float."),
    (
        "general",
        "print",
        "print(1)",
        "Writes to the log; `debug` does where the log is asked for more.",
    ),
];

/// Names of no use in a rule: what is listed under another name, or speaks of the engine itself.
const UNLISTED: [&str; 2] = ["get_fn_metadata_list", "debug"];

/// All of them, by group and name.
pub fn host_functions() -> Vec<HostFunction> {
    let mut rows: BTreeMap<(usize, String), HostFunction> = BTreeMap::new();
    for (group, name, example, about) in DESCRIBED {
        let plain = name.trim_start_matches("get$").trim_start_matches("index$");
        let plain = match group {
            _ if !name.starts_with("index$") => plain,
            "events" => "an event",
            _ => "a field",
        };
        let row = HostFunction {
            group,
            name: plain.to_owned(),
            signatures: vec![example.to_owned()],
            about: about.to_owned(),
            // No hook is compiled: what has no effect is none.
            compiled: !["hooks", "events"].contains(&group) && lowers(example),
        };
        rows.insert((place(group), plain.to_owned()), row);
    }
    for function in registered() {
        let Some((group, name, signature)) = listed(&function) else { continue };
        if is_described(group, name) || is_described("general", name) {
            continue;
        }
        let key = (place(group), name.to_owned());
        let row = rows.entry(key).or_insert_with(|| HostFunction {
            group,
            name: name.to_owned(),
            signatures: Vec::new(),
            about: String::new(),
            compiled: false,
        });
        if !row.signatures.contains(&signature) {
            row.signatures.push(signature);
        }
        if row.about.is_empty() {
            row.about = first_sentence(&function);
        }
        row.compiled |= calls_compiled(name, parameters(&function).len())
            && ["text", "numbers", "general"].contains(&group);
    }
    let mut rows: Vec<HostFunction> = rows.into_values().collect();
    for row in &mut rows {
        row.signatures.sort_by_key(|text| (text.len(), text.clone()));
    }
    rows
}

fn place(group: &str) -> usize {
    GROUPS.iter().position(|(name, _)| *name == group).unwrap_or(GROUPS.len())
}

fn is_described(group: &str, name: &str) -> bool {
    // Whatever they are given first, they stand in the group that they are described in.
    let is_own = |own: &&str| ["hooks", "tables", "random", "time", "numbers"].contains(own);
    DESCRIBED.iter().any(|(own, known, ..)| *known == name && (*own == group || is_own(own)))
}

/// A sandbox with all that any rule or hook may have.
fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new(0);
    HookHost::new(|_, _, _| Ok(())).register(&mut sandbox.engine);
    sandbox.add_tables(HashMap::from([("stores".to_owned(), Table::default())]));
    sandbox
}

/// What the engine knows of its functions; in the order of their signatures, which it has not.
fn registered() -> Vec<Value> {
    let engine = sandbox().engine;
    let text = engine.gen_fn_metadata_to_json(true).unwrap_or_default();
    let mut all: Value = serde_json::from_str(&text).unwrap_or_default();
    let Value::Array(mut functions) = all["functions"].take() else { return Vec::new() };
    functions.retain(|function| !engine.is_symbol_disabled(text_of(function, "name")));
    functions.sort_by(|one, two| text_of(one, "signature").cmp(text_of(two, "signature")));
    functions
}

fn text_of<'a>(function: &'a Value, key: &str) -> &'a str {
    function[key].as_str().unwrap_or_default()
}

fn parameters(function: &Value) -> &[Value] {
    function["params"].as_array().map_or(&[], Vec::as_slice)
}

/// The group, the name and the signature of what is listed: neither operators nor what is for
/// numbers of other sizes, which rules do not have.
fn listed(function: &Value) -> Option<(&'static str, &str, String)> {
    let name = text_of(function, "name");
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic());
    if !is_name || name.contains('$') || UNLISTED.contains(&name) {
        return None;
    }
    let mut types = Vec::new();
    let mut names = Vec::new();
    for parameter in parameters(function) {
        let type_name = match text_of(parameter, "type") {
            // The engine does not say what these take: any number, or a text.
            "" => "any",
            known => plain_type(known)?,
        };
        types.push(type_name);
        let own = text_of(parameter, "name").trim_start_matches("mut ");
        names.push(if ["", "_"].contains(&own) { type_name } else { own });
    }
    let with_type = |(name, type_name): (&&str, &&str)| {
        if name == type_name { (*name).to_owned() } else { format!("{name}: {type_name}") }
    };
    let taken: Vec<String> = names.iter().zip(&types).map(with_type).collect();
    let given = match text_of(function, "returnType") {
        "" | "()" => String::new(),
        known => plain_type(known).map(|given| format!(" -> {given}")).unwrap_or_default(),
    };
    let signature = format!("{name}({}){given}", taken.join(", "));
    Some((group_of(types.first().copied()), name, signature))
}

fn group_of(first: Option<&str>) -> &'static str {
    match first {
        Some("event") => "event",
        Some("payload") => "payload",
        Some("state") => "state",
        Some("out") => "out",
        Some("events") => "events",
        Some("text" | "character") => "text",
        Some("int" | "float") => "numbers",
        Some("array") => "arrays",
        Some("map") => "maps",
        _ => "general",
    }
}

/// A type as rules speak of it; none for one that they do not have.
fn plain_type(name: &str) -> Option<&'static str> {
    let name = name.trim_start_matches("&mut ").trim_start_matches("core::result::");
    let name = name.strip_prefix("Result<").map_or(name, |inner| {
        inner.split(", ").next().unwrap_or(inner).split(",alloc").next().unwrap_or(inner)
    });
    Some(match name {
        "event" => "event",
        "payload" => "payload",
        "state" => "state",
        "out" => "out",
        "events" => "events",
        "&str" | "string" | "String" | "ImmutableString" => "text",
        "char" => "character",
        "i64" => "int",
        "f64" => "float",
        "bool" => "bool",
        "Array" | "array" => "array",
        "Map" | "map" => "map",
        "FnPtr" => "function",
        "Range<i64>" | "RangeInclusive<i64>" => "range",
        "()" => "()",
        name if name.ends_with("Dynamic") => "any",
        _ => return None,
    })
}

/// What the engine says of a function, up to the end of its first paragraph.
fn first_sentence(function: &Value) -> String {
    let lines = function["docComments"].as_array().into_iter().flatten();
    let lines = lines.filter_map(Value::as_str).flat_map(str::lines);
    let lines = lines.map(|line| line.trim_start().trim_start_matches("///").trim());
    let first: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    first.join(" ")
}

/// Whether a rule with this in it can run compiled.
fn lowers(example: &str) -> bool {
    const ON_EVENT: Function =
        Function { name: "on_event", parameters: &["event", "state", "out"], required: true };
    let text = format!("fn on_event(event, state, out) {{ let x = {example}; }}");
    let source = Arc::new(SourceText { name: "example".to_owned(), text });
    // Commands give nothing that could be kept.
    let statement = format!("fn on_event(event, state, out) {{ {example}; }}");
    let plain = Arc::new(SourceText { name: "example".to_owned(), text: statement });
    [source, plain].into_iter().any(|source| {
        let script = Script::compile(Excerpt::whole(source), sandbox(), &[ON_EVENT]);
        script.is_ok_and(|script| script.lower(&ON_EVENT, true).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_says_what_it_does_and_how_it_is_called() {
        let silent: Vec<String> = host_functions()
            .into_iter()
            .filter(|row| row.about.is_empty() || row.signatures.is_empty())
            .map(|row| format!("{} {}", row.group, row.name))
            .collect();
        assert!(silent.is_empty(), "say something of them in `DESCRIBED`: {silent:?}");
    }

    #[test]
    fn what_is_described_is_registered_and_compiles() {
        let functions = registered();
        for (_, name, example, _) in DESCRIBED {
            let is_there = functions.iter().any(|function| text_of(function, "name") == name);
            assert!(is_there, "`{name}` is not registered");
            let text = format!("fn on_event(event, state, out) {{ let events = (); {example}; }}");
            let source = Arc::new(SourceText { name: "example".to_owned(), text });
            let on_event = Function {
                name: "on_event",
                parameters: &["event", "state", "out"],
                required: true,
            };
            let script = Script::compile(Excerpt::whole(source), sandbox(), &[on_event]);
            assert!(script.is_ok(), "{example}: {}", script.err().unwrap());
        }
    }

    #[test]
    fn what_is_compiled_is_found_by_compiling_it() {
        let rows = host_functions();
        let compiled = |group: &str, name: &str| {
            let row = rows.iter().find(|row| (row.group, row.name.as_str()) == (group, name));
            row.unwrap_or_else(|| panic!("no `{name}` in {group}")).compiled
        };
        assert!(compiled("event", "event_type") && compiled("out", "emit"));
        assert!(compiled("text", "sub_string") && compiled("random", "rand_int"));
        assert!(!compiled("general", "print") && !compiled("arrays", "sort"));
    }
}
