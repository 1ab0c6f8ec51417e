//! What a script may not do, in whole pipelines: it ends with a message that names the place, and
//! costs nobody but its own event.

use std::path::Path;

use engine::engine::Engine;
use engine::registry::built_in;
use engine::spec::{Document, Environment};
use engine::testing::{Snapshots, Suite};

/// A pipeline of one rule; the function gets the statements that misbehave.
fn spec(kind: &str, compile: bool, misbehave: &str) -> String {
    let function = match kind {
        "enrichers" => "enrich(event)",
        _ => "on_event(event, state, out)",
    };
    format!(
        "name: sandbox
sources: {{ tills: {{ type: retail_mix }} }}
{kind}:
  rule:
    type: rhai
    inputs: [tills]
    with:
      compile: {compile}
      script: |
        fn sink(x) {{ sink(x + 1) }}
        fn spin() {{ let i = 0; while true {{ i += 1; }} }}
        fn {function} {{
            if event.payload.total == 13 {{
                {misbehave}
            }}
        }}
sinks: {{ out: {{ type: blackhole, inputs: [rule] }} }}
"
    )
}

fn engine(spec: String) -> Result<Engine, String> {
    let document =
        Document::parse("shop.yaml", spec, Path::new("."), &Environment::default()).unwrap();
    Engine::new(document, &built_in()).map_err(|problems| problems.render(false))
}

/// Takes the mark `¦` out of the statements; gives the line and column in the spec at which it was.
fn marked(kind: &str, statements: &str) -> (String, usize, usize) {
    let with_mark = spec(kind, true, statements);
    let (line, text) = with_mark.lines().enumerate().find(|(_, line)| line.contains('¦')).unwrap();
    let column = text.chars().take_while(|letter| *letter != '¦').count() + 1;
    (statements.replace('¦', ""), line + 1, column)
}

const ENDLESS: &str = "the call took too many operations";
const DEEP: &str = "functions call each other too deep";
const STRING: &str = "a string may have 65536 bytes";
const ARRAY: &str = "an array may have 4096 elements";
const MAP: &str = "a map may have 4096 elements";

/// Statements with the mark where the error is, and what is said of it.
const CASES: [(&str, &str); 23] = [
    ("loop ¦{ }", ENDLESS),
    ("let i = 0; while true { ¦i += 1; }", ENDLESS),
    ("for i in 0..100000000 { ¦let x = i; }", ENDLESS),
    ("¦spin();", ENDLESS),
    ("[1].¦map(|x| { spin() });", ENDLESS),
    ("¦sink(1);", DEEP),
    ("let s = \"x\"; loop { s ¦+= s; }", STRING),
    ("let s = \"x\"; loop { s = s ¦+ s; }", STRING),
    ("let s = \"x\"; loop { s = `${s}${¦s}`; }", STRING),
    ("let s = \"x\"; s.¦pad(100000000, \"x\");", STRING),
    ("let a = []; loop { a.¦push(1); }", ARRAY),
    ("let a = [1]; loop { a ¦+= a; }", ARRAY),
    ("let a = []; a.¦pad(1000000000, 0);", ARRAY),
    ("let m = #{}; let i = 0; loop { m.¦set(i.to_string(), i); i += 1; }", MAP),
    ("let s = \"x\"; s.pad(60000, \"x\"); let a = s.¦to_chars();", ARRAY),
    (
        "let a = []; for i in 0..70 { a = [a]; } let x = #{ y: a }; event.to_string(); ¦throw x;",
        "[",
    ),
    ("let a = []; loop { a = [¦a]; }", ARRAY),
    ("let z = 0; let x = 1 ¦/ z;", "division by zero"),
    ("let x = 9223372036854775807; x ¦+= 1;", "overflow"),
    ("let a = [1]; let x = a[¦5];", "out of bounds"),
    ("let x = ¦parse_int(\"zz\");", "integer"),
    ("¦throw \"no\";", "no"),
    ("let x = (); x.¦y.z = 1;", "nothing"),
];

/// Runs a rule on three events, of which the second one goes wrong; gives the cases that do not end
/// as they should.
fn wrong_ends(kind: &str, compile: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    for (statements, message) in CASES {
        let (statements, line, column) = marked(kind, statements);
        let place = format!("(shop.yaml, line {line}, column {column})");
        let tests = [message, &place].map(|reason| {
            format!(
                "  - name: '{reason}'
    at: rule
    input: [1, 13, 2]
    expect: [ {{ payload: {{ total: 1 }} }}, {{ payload: {{ total: 2 }} }} ]
    dead_letters: [ {{ stage: rule, category: script, reason: '{reason}' }} ]
"
            )
            .replace("[1, 13, 2]", INPUT)
        });
        let engine =
            engine(spec(kind, compile, &statements) + "tests:\n" + tests.concat().as_str());
        let engine = engine.unwrap_or_else(|problems| panic!("{problems}"));
        let suite = Suite::new(engine.plan()).unwrap();
        for case in suite.cases() {
            let outcome = suite.run(case, Snapshots::Compare);
            if !outcome.is_success() {
                wrong.push(format!("{statements}\n{}", outcome.failures));
            }
        }
    }
    wrong
}

const INPUT: &str = "
      - { event_type: receipt_created, payload: { total: 1 } }
      - { event_type: receipt_created, payload: { total: 13 } }
      - { event_type: receipt_created, payload: { total: 2 } }";

#[test]
fn a_rule_that_misbehaves_costs_one_event_and_names_line_and_column() {
    for (kind, compile) in [("enrichers", true), ("enrichers", false), ("correlators", true)] {
        let wrong = wrong_ends(kind, compile);
        assert!(wrong.is_empty(), "{kind}, compile: {compile}\n{}", wrong.join("\n"));
    }
}

#[test]
fn what_reaches_outside_or_nests_too_deep_is_refused_before_anything_runs() {
    let nested = format!("let x = ¦{}1{};", "(".repeat(200), ")".repeat(200));
    for (statements, message) in [
        ("let x = ¦eval(\"1\");", "eval"),
        ("¦import \"x\" as y;", "import"),
        ("let x = ¦open_file(\"/etc/passwd\");", "a script has no files"),
        ("let x = ¦timestamp();", "a script has no clock"),
        ("¦sleep(1);", "a script has no clock"),
        ("¦exit();", "exit"),
    ] {
        let (statements, line, column) = marked("enrichers", statements);
        let said = engine(spec("enrichers", true, &statements)).err().unwrap();
        assert!(said.contains(message), "{said}");
        assert!(said.contains(&format!("shop.yaml:{line}:{column}\n")), "{line}:{column}\n{said}");
    }
    let (statements, line, _) = marked("enrichers", &nested);
    let said = engine(spec("enrichers", true, &statements)).err().unwrap();
    assert!(said.contains(&format!("shop.yaml:{line}:")), "{said}");
}
