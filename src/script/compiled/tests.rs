//! Compiled and interpreted do the same: on scripts and events of all kinds, made at random.

mod scripts;

use std::fmt::Write;
use std::sync::Arc;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use self::scripts::Writer;
use crate::event::{Event, Fields, Key, TR, Text, Timestamp, Value};
use crate::failure::Failure;
use crate::problem::{Excerpt, SourceText};
use crate::script::{
    Calls, Command, Function, Given, GivenEvent, Returned, Sandbox, Script, Table, Tier,
};

const ENRICH: [Function; 1] = [Function { name: "enrich", parameters: &["event"], required: true }];
const RULE: [Function; 3] = [
    Function { name: "on_event", parameters: &["event", "state", "out"], required: true },
    Function { name: "on_timer", parameters: &["name", "state", "out"], required: false },
    Function { name: "on_end", parameters: &["state", "out"], required: false },
];

fn script(text: &str, functions: &[Function]) -> Script {
    let source = SourceText { name: "rules/x.rhai".to_owned(), text: text.to_owned() };
    let mut sandbox = Sandbox::new(7);
    let table = "key,label,factor\n1,one,1.5\n2,two,\n";
    sandbox.add_tables([("sizes".to_owned(), Table::from_csv(table, None).unwrap())].into());
    let script = Script::compile(Excerpt::whole(Arc::new(source)), sandbox, functions);
    script.unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

/// A script's functions, compiled and not.
struct Both {
    compiled: Calls,
    interpreted: Calls,
    changes_event: bool,
    text: String,
}

/// All that a call does.
#[derive(Debug, PartialEq)]
struct Done {
    result: Result<Returned, Failure>,
    event: String,
    state: String,
    commands: String,
}

impl Done {
    /// What is not the same, without what is too long to read.
    fn difference(&self, other: &Self) -> Option<String> {
        let parts = |done: &Self| {
            [
                format!("{:?}", done.result),
                done.event.clone(),
                done.state.clone(),
                done.commands.clone(),
            ]
        };
        let pairs = parts(self).into_iter().zip(parts(other));
        let short = |text: String| text.replace(&"x".repeat(50), "");
        let mut unequal = pairs.filter(|(one, two)| one != two);
        unequal.next().map(|(one, two)| format!("compiled: {}\nelse: {}", short(one), short(two)))
    }
}

impl Both {
    fn new(text: &str) -> Self {
        let changes_event = text.contains("fn enrich(");
        let functions = if changes_event { &ENRICH[..] } else { &RULE };
        let calls =
            |compile| Calls::new(script(text, functions), functions, changes_event, compile);
        Self {
            compiled: calls(true),
            interpreted: calls(false),
            changes_event,
            text: text.to_owned(),
        }
    }

    fn is_compiled(&self, function: usize) -> bool {
        self.compiled.tiers()[function].1 == Tier::Compiled
    }

    /// Does the same with both, and says what that was.
    fn call(
        &mut self,
        function: usize,
        event: &Event,
        timer: Option<&str>,
        state: &mut Fields,
    ) -> (Done, bool) {
        let mut its_own = state.clone();
        let (one, given_up) =
            done(&mut self.compiled, self.changes_event, function, event, timer, state);
        let (two, _) =
            done(&mut self.interpreted, self.changes_event, function, event, timer, &mut its_own);
        if let Some(difference) = one.difference(&two) {
            panic!("{}\n{difference}", self.text);
        }
        assert_eq!(format!("{state:?}"), format!("{its_own:?}"), "{}", self.text);
        (one, given_up)
    }
}

fn done(
    calls: &mut Calls,
    changes_event: bool,
    function: usize,
    event: &Event,
    timer: Option<&str>,
    state: &mut Fields,
) -> (Done, bool) {
    let mut event = event.clone();
    let mut commands = Vec::new();
    calls.begin(&event);
    let before = calls.given_up();
    let given = match (changes_event, timer, function) {
        (true, ..) => Given { event: GivenEvent::Changed(&mut event), timer, state: None },
        (false, None, 0) => Given { event: GivenEvent::Seen(&event), timer, state: Some(state) },
        _ => Given { event: GivenEvent::Nothing, timer, state: Some(state) },
    };
    let accept = |commands: &[Command], _: &Returned| match commands.len() {
        0..=5 => Ok(()),
        _ => Err(Failure::new("script", "too much")),
    };
    let result = calls.call(function, given, &mut commands, accept);
    let done = Done {
        result,
        event: exactly(&event),
        state: format!("{state:?}"),
        commands: format!("{commands:?}"),
    };
    (done, calls.given_up() > before)
}

/// The event with the types of its values; ids are compared as they read.
fn exactly(event: &Event) -> String {
    format!("{event:?}")
}

fn event(random: &mut Pcg64) -> Event {
    let types = ["receipt_created", "store_opened", "my_own"];
    let event_type = Key::intern(types[random.random_range(0..3)]).unwrap();
    let time = Timestamp::from_millis(random.random_range(-1000..2_000_000_000_000));
    let mut event = Event::new(event_type, Text::stamped(TR, 1, random.random_range(0..99)), time);
    if random.random() {
        event.partition_key = Some("store_12".into());
    }
    for name in scripts::FIELDS {
        if random.random_range(0..10) > 0 {
            event.payload.set(Key::intern(name).unwrap(), value(name, random));
        }
    }
    event
}

/// A value for a field: mostly of the type that its name says.
fn value(name: &str, random: &mut Pcg64) -> Value {
    let kind = if random.random_range(0..20) == 0 {
        random.random_range(0..8)
    } else {
        match name {
            "amount" | "total" => 0,
            "count" | "size" => 1,
            "name" | "label" => 2,
            "flag" => 3,
            "items" => 4,
            "place" => 5,
            "at" => 6,
            _ => random.random_range(0..8),
        }
    };
    match kind {
        0 => Value::Float(
            [0.0, -0.0, 1.5, 99.99, 100.0, -3.25, 1e300, f64::NAN, f64::INFINITY, 1e-17, 0.1 + 0.2]
                [random.random_range(0..11)],
        ),
        1 => Value::Int(
            [0, 1, 2, 3, -7, 100, 5, 6, 12, 40, i64::MAX, i64::MIN][random.random_range(0..12)],
        ),
        2 => {
            let long = "x".repeat([0, 30, 65_530, 65_536, 65_537][random.random_range(0..5)]);
            let text = [
                "",
                "a",
                "store_12",
                "Größe",
                " 42 ",
                "7",
                "2024-11-29T10:00:00Z",
                "b",
                "c",
                &long,
            ];
            Value::Text(text[random.random_range(0..10)].into())
        }
        3 => Value::Bool(random.random()),
        4 => vec![Value::Int(1), Value::Null].into(),
        5 => {
            let city = Key::intern("city").unwrap();
            let fields: Fields = [(city, Value::Text("Ulm".into()))].into_iter().collect();
            Value::Map(Box::new(fields))
        }
        6 => Value::Time(Timestamp::from_millis(random.random_range(0..1_000_000))),
        _ => Value::Null,
    }
}

/// Runs a script that was made at random on some events; says how many calls succeeded, and how many
/// of them as compiled code.
fn run_at_random(seed: u64) -> (u32, u32) {
    let mut random = Pcg64::seed_from_u64(seed);
    let text = Writer::new(&mut random).script();
    let mut both = Both::new(&text);
    let (mut calls, mut compiled) = (0, 0);
    let mut state = Fields::new();
    for _ in 0..6 {
        let event = event(&mut random);
        let functions = if both.changes_event { 1 } else { 3 };
        for function in 0..functions {
            let timer = (function == 1).then_some("late");
            let is_compiled = both.is_compiled(function);
            let (done, given_up) = both.call(function, &event, timer, &mut state);
            calls += u32::from(done.result.is_ok());
            compiled += u32::from(done.result.is_ok() && is_compiled && !given_up);
        }
    }
    (calls, compiled)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_script_does_compiled_code_does_the_same(seed in any::<u64>()) {
        run_at_random(seed);
    }
}

#[test]
fn most_scripts_of_that_kind_are_compiled_and_most_of_their_calls_end_there() {
    let (mut calls, mut compiled) = (0, 0);
    for seed in 0..300 {
        let (all, of_them) = run_at_random(seed);
        (calls, compiled) = (calls + all, compiled + of_them);
    }
    assert!(compiled * 2 > calls, "{compiled} of {calls}");
}

/// How the function of an enricher is run.
fn tier(body: &str) -> Tier {
    let text =
        format!("fn enrich(event) {{\n{body}\n}}\nfn twice(x) {{ if x > 1 {{ twice(x - 1) }} }}");
    Calls::new(script(&text, &ENRICH), &ENRICH, true, true).tiers()[0].1.clone()
}

#[test]
fn what_is_not_of_the_common_kind_runs_interpreted_and_the_reason_is_told_with_its_place() {
    let mut wrong = Vec::new();
    for (body, reason) in [
        ("for x in 0..3 { event.payload.n = x; }", "a loop (rules/x.rhai, line 2, column 1)"),
        ("let x = 1;\n  loop { break; }", "a loop (rules/x.rhai, line 3, column 3)"),
        ("try { 1 / 0 } catch { }", "`try` (rules/x.rhai, line 2, column 1)"),
        ("event.payload.items.push(1)", "`push` (rules/x.rhai, line 2, column 21)"),
        ("twice(3)", "`twice` calls itself (rules/x.rhai, line 4, column 26)"),
        ("print(1)", "`print` (rules/x.rhai, line 2, column 1)"),
        ("let x = 'c';", "a character (rules/x.rhai, line 2, column 9)"),
        (
            "let x = 1 + { return 2 };",
            "a `return` inside an expression (rules/x.rhai, line 2, column 15)",
        ),
        ("let x = |a| a + 1;", "an expression of this kind (rules/x.rhai, line 2, column 9)"),
    ] {
        let expected = Tier::Interpreted(reason.to_owned());
        wrong.extend((tier(body) != expected).then(|| (body, tier(body))));
    }
    assert_eq!(wrong, []);
    for body in [
        "event.payload.high_value = event.payload.total > 100.0;",
        "switch event.event_type { \"a\" => { return false; }, _ => { } }",
        "let s = lookup(\"sizes\", event.payload.count); event.payload.f = s?.factor ?? 1.0;",
        "if event.payload.place?.city == \"Ulm\" { event.payload.n = rand_int(1, 6); }",
        "event.payload.tags = [event.payload.name, #{ a: `${event.payload.count}` }];",
        "throw \"no\"",
    ] {
        assert_eq!(tier(body), Tier::Compiled, "{body}");
    }
}

#[test]
fn a_function_that_calls_its_helpers_too_often_to_be_bounded_runs_interpreted() {
    let mut text = "fn enrich(event) { f0(1) }\nfn f20(x) { x }\n".to_owned();
    for level in 0..20 {
        writeln!(text, "fn f{level}(x) {{ f{0}(x) + f{0}(x) }}", level + 1).unwrap();
    }
    let calls = Calls::new(script(&text, &ENRICH), &ENRICH, true, true);
    let Tier::Interpreted(reason) = &calls.tiers()[0].1 else { panic!("it is compiled") };
    assert!(reason.starts_with("it is too large, with what it calls"), "{reason}");
}

#[test]
fn code_that_mostly_gives_up_is_left_to_the_interpreter() {
    let text = "fn enrich(event) { event.payload.n = event.payload.items.len; }";
    let mut both = Both::new(text);
    let mut random = Pcg64::seed_from_u64(1);
    for _ in 0..100 {
        let mut event = event(&mut random);
        event.payload.set(Key::intern("items").unwrap(), vec![Value::Int(1)]);
        both.call(0, &event, None, &mut Fields::new());
    }
    let expected = "most calls meet values that compiled code does not know";
    assert_eq!(both.compiled.tiers()[0].1, Tier::Interpreted(expected.to_owned()));
    assert_eq!(both.compiled.given_up(), 64);
}

#[test]
fn code_that_mostly_fails_goes_on() {
    let mut both = Both::new("fn enrich(event) { throw \"no\" }");
    let event = event(&mut Pcg64::seed_from_u64(1));
    for _ in 0..100 {
        both.call(0, &event, None, &mut Fields::new());
    }
    assert_eq!(both.compiled.tiers()[0].1, Tier::Compiled);
}

#[test]
fn what_was_drawn_before_compiled_code_gave_up_is_drawn_again() {
    let text =
        "fn on_event(event, state, out) { state.n = rand(); state.m = event.payload.count + 1; }";
    let mut both = Both::new(text);
    let mut random = Pcg64::seed_from_u64(2);
    let mut state = Fields::new();
    let mut gave_up = 0;
    for count in [Value::Int(1), Value::Int(i64::MAX), Value::Int(2), Value::Null, Value::Int(3)] {
        let mut event = event(&mut random);
        event.payload.set(Key::intern("count").unwrap(), count);
        gave_up += u32::from(both.call(0, &event, None, &mut state).1);
    }
    assert_eq!(gave_up, 2);
}

#[test]
fn corners_of_the_language_are_those_of_the_interpreter() {
    let rules = [
        // A function of the script goes before a method of the same name.
        "fn on_event(event, state, out) { out.emit(\"x\", #{ a: 1 }); } fn emit(kind, n) { n + 1 }",
        "fn on_event(event, state, out) { state.n = state.len(); } fn len() { 42 }",
        "fn on_event(event, state, out) { state.a = state.contains(\"z\") || event.payload.contains(\"z\"); }
         fn contains(x) { true }",
        "fn on_event(event, state, out) { state.a = 1; state.c = state.clear(); state.r = state.remove(\"a\"); }
         fn clear() { 7 } fn remove(x) { 8 }",
        // Arguments are worked out before what a method is called on, and a variable after them.
        "fn on_event(event, state, out) { state.n = rand_int(0, 9).max(rand_int(5, 20)); }",
        "fn on_event(event, state, out) { state.n = (state.n ?? 5); state.m = state.n.min(next(state)); }
         fn next(state) { state.n += 1; state.n }",
        "fn on_event(event, state, out) { let x = 1; state.n = h(x, { x = 9; 1 }); } fn h(a, b) { a * 100 + b }",
        "fn on_event(event, state, out) { let x = 1; state.n = max(x, { x = 9; 1 }); }",
        // The envelope of what is emitted is worked out as it is written.
        "fn on_event(event, state, out) {
            out.emit(\"x\", #{}, #{ session_id: `s${rand_int(1, 1000)}`, correlation_id: `c${rand_int(1, 1000)}` });
        }",
        // All texts of an array or a map together are bounded.
        "fn on_event(event, state, out) { let a = [event.payload.long, event.payload.long]; }",
        "fn on_event(event, state, out) { let a = #{ a: event.payload.long, b: event.payload.long }; }",
        "fn on_event(event, state, out) { out.emit(\"x\", #{ a: [event.payload.long, event.payload.long] }); }",
        "fn on_event(event, state, out) {
            let a = [1, 2, 3, 4, 5, 6, 7, 8]; let b = [a, a, a, a, a, a, a, a];
            let c = [b, b, b, b, b, b, b, b]; let d = [c, c, c, c, c, c, c, c];
            state.d = d;
        }",
        // What is in a namespace is not the constant of that name.
        "const A = 5; fn on_event(event, state, out) { state.z = global::A; }",
        "const A = 5; fn on_event(event, state, out) { let A = 6; state.z = A; { let A = 7; } state.y = A; }",
    ];
    let mut event = event(&mut Pcg64::seed_from_u64(3));
    event.payload.set(Key::intern("long").unwrap(), Text::from("y".repeat(40_000)));
    for rule in rules {
        let mut both = Both::new(rule);
        let mut state = Fields::new();
        for _ in 0..3 {
            both.call(0, &event, None, &mut state);
        }
    }
    let mut both = Both::new(
        "fn enrich(event) {
            event.payload.at = event.payload.name.index_of({ event.payload.name = \"zz\"; \"n\" });
        }",
    );
    event.payload.set(Key::intern("name").unwrap(), Text::from("no"));
    both.call(0, &event, None, &mut Fields::new());
}
