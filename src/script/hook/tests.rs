use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::*;
use crate::event::{BatchBuilder, RECEIPT_CREATED, TOTAL, Text};
use crate::problem::SourceText;

type Measured = Arc<Mutex<BTreeMap<String, f64>>>;

fn compiled(function: Function, text: &str) -> Result<(HookScript, Measured), Problems> {
    let measured = Measured::default();
    let seen = Arc::clone(&measured);
    let host = HookHost::new(move |what, name, value| {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        match what {
            _ if name == "one_too_many" => return Err("there is no room".to_owned()),
            HookMeasure::Count => *seen.entry(name.to_owned()).or_default() += value,
            HookMeasure::Gauge => _ = seen.insert(name.to_owned(), value),
        }
        Ok(())
    });
    let source = SourceText { name: "rules/x.rhai".to_owned(), text: text.to_owned() };
    let script = HookScript::compile(Excerpt::whole(Arc::new(source)), function, 7, &host)?;
    Ok((script, measured))
}

fn hook(function: Function, text: &str) -> (HookScript, Measured) {
    compiled(function, text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// What is wrong: the line, the message, what the caret underlines, and the help.
fn problems(function: Function, text: &str) -> Vec<String> {
    let Err(Problems(problems)) = compiled(function, text) else { panic!("nothing is wrong") };
    let seen = |problem: &Problem| {
        let place = problem.place.clone().unwrap();
        let line = place.start().line;
        let help = problem.help.clone().unwrap_or_default();
        format!("{line}: {} [{}] {help}", problem.message, &place.source.text[place.span])
    };
    problems.iter().map(seen).collect()
}

fn receipt(total: f64) -> Event {
    let mut event = Event::new(RECEIPT_CREATED, Text::from("TR_1_00001"), Timestamp::default());
    event.payload.set(TOTAL, total);
    event
}

fn batch(totals: &[f64]) -> Batch {
    let mut builder = BatchBuilder::default();
    for total in totals {
        builder.push(receipt(*total), &[]);
    }
    builder.finish(Timestamp::MAX)
}

/// All that was measured, as `name value`.
fn shown(measured: &Measured) -> String {
    let measured = measured.lock().unwrap_or_else(PoisonError::into_inner);
    let all: Vec<String> = measured.iter().map(|(name, value)| format!("{name} {value}")).collect();
    all.join(", ")
}

fn reason(called: Result<(), Failure>) -> String {
    called.unwrap_err().reason
}

#[test]
fn a_hook_counts_measures_and_remembers_from_call_to_call() {
    let (mut hook, measured) = hook(
        EVENT_GENERATED,
        "fn event_generated(event) {
            count(\"receipts\");
            count(\"takings\", event.payload.total);
            count(\"pairs\", 2);
            let memory = state();
            memory.most = (memory.most ?? 0.0).max(event.payload.total);
            gauge(\"most\", memory.most);
            gauge(\"known\", memory.len());
        }",
    );
    for total in [2.5, 7.0, 1.0] {
        let mut event = receipt(total);
        hook.event_generated(&mut event).unwrap();
        assert_eq!(event, receipt(total), "it is as it was");
    }
    assert_eq!(shown(&measured), "known 1, most 7, pairs 6, receipts 3, takings 10.5");
}

#[test]
fn what_a_call_remembers_is_forgotten_when_it_fails() {
    let (mut hook, measured) = hook(
        EVENT_GENERATED,
        "fn event_generated(event) {
            let memory = state();
            memory.calls = (memory.calls ?? 0) + 1;
            gauge(\"calls\", memory.calls);
            if event.payload.total > 5 { throw \"too much\" }
        }",
    );
    hook.event_generated(&mut receipt(1.0)).unwrap();
    let failure = hook.event_generated(&mut receipt(9.0));
    assert_eq!(reason(failure), "too much (rules/x.rhai, line 5, column 42)");
    hook.event_generated(&mut receipt(1.0)).unwrap();
    assert_eq!(shown(&measured), "calls 2");
}

#[test]
fn what_cannot_be_measured_is_an_error_at_its_place() {
    for (call, expected) in [
        ("count(\"a\", -1)", "`count` adds 0 or more, and not -1"),
        ("gauge(\"a\", 0.0 / 0.0)", "`a` cannot be NaN"),
        ("count(\"one_too_many\")", "there is no room"),
    ] {
        let text = format!("fn event_generated(event) {{ {call}; }}");
        let (mut hook, _) = hook(EVENT_GENERATED, &text);
        let expected = format!("{expected} (rules/x.rhai, line 1, column 29)");
        assert_eq!(reason(hook.event_generated(&mut receipt(1.0))), expected);
    }
}

#[test]
fn an_endless_hook_is_ended() {
    let (mut hook, _) = hook(EVENT_GENERATED, "fn event_generated(event) { loop { } }");
    assert!(reason(hook.event_generated(&mut receipt(1.0))).contains("too many operations"));
}

#[test]
fn a_batch_reads_as_a_list_of_events() {
    let (mut hook, measured) = hook(
        BATCH_SENT,
        "fn batch_sent(events) {
            for event in events { count(\"sum\", event.payload.total); }
            gauge(\"first\", events[0].payload.total);
            gauge(\"last\", events[-1].payload.total);
            gauge(\"large\", events.to_array().filter(|event| event.payload.total > 1.5).len());
            if events.sink == \"hub\" && !events.is_empty() { count(\"batches\"); }
            if events.to_string() == \"3 events for `hub`\" { count(\"in_words\"); }
        }",
    );
    hook.batch_sent("hub", &batch(&[1.0, 2.0, 4.0])).unwrap();
    let expected = "batches 1, first 1, in_words 1, large 2, last 4, sum 7";
    assert_eq!(shown(&measured), expected);
}

#[test]
fn a_batch_has_no_event_beyond_its_ends_and_none_that_can_be_changed() {
    for (body, expected) in [
        ("events[3]", "there is no event 3 in a batch of 2"),
        ("events[-3]", "there is no event -3 in a batch of 2"),
        ("let first = events[0]; first.session_id = \"s\"", "the event can only be read here"),
        ("for event in events { event.payload.total = 1 }", "the event can only be read here"),
    ] {
        let (mut hook, _) = hook(BATCH_SENT, &format!("fn batch_sent(events) {{ {body} }}"));
        let said = reason(hook.batch_sent("hub", &batch(&[1.0, 2.0])));
        assert!(said.starts_with(expected), "{said}");
    }
}

#[test]
fn a_batch_larger_than_an_array_may_be_is_taken_event_by_event() {
    let large = batch(&vec![1.0; 5000]);
    let (mut hook, _) = hook(BATCH_SENT, "fn batch_sent(events) { events.to_array() }");
    let said = reason(hook.batch_sent("hub", &large));
    assert!(said.contains("4096") && said.contains("for event in events"), "{said}");
    let text = "fn batch_sent(events) { for event in events { count(\"events\") } }";
    let (mut hook, measured) = self::hook(BATCH_SENT, text);
    hook.batch_sent("hub", &large).unwrap();
    assert_eq!(shown(&measured), "events 5000");
}

#[test]
fn an_error_comes_with_its_context() {
    let text = "fn error(error, context) {
        let event = context.event?.payload?.total ?? 0.0;
        throw `${error}|${context.stage}|${context.kind}|${context.category}|${context.fate}|` +
            `${context.trace_id ?? \"none\"}|${context.event_type ?? \"none\"}|${event}`;
    }";
    let (mut hook, _) = hook(ERROR, text);
    let event = receipt(3.5);
    let mut failure = HookFailure {
        stage: "hub",
        kind: "sink",
        category: "timeout",
        reason: "no answer",
        fate: "retried",
        event: Some(&event),
    };
    let said = reason(hook.error(&failure));
    let expected = "no answer|hub|sink|timeout|retried|TR_1_00001|receipt_created|3.5";
    assert!(said.starts_with(expected), "{said}");
    failure.event = None;
    let said = reason(hook.error(&failure));
    assert!(said.starts_with("no answer|hub|sink|timeout|retried|none|none|0"), "{said}");
}

#[test]
fn a_hook_that_would_change_its_event_does_not_compile() {
    assert_eq!(
        problems(
            EVENT_GENERATED,
            "fn event_generated(event) {\n\
             \x20   event.payload.total += 1;\n\
             \x20   event.session_id = ();\n\
             \x20   event.payload[\"x\"] = event.payload.total;\n\
             \x20   let event_type = event.event_type;\n\
             }"
        ),
        [
            "2: a hook cannot change the event [payload.total] an enricher of type `rhai` can",
            "3: a hook cannot change the event [session_id] an enricher of type `rhai` can",
            "4: a hook cannot change the event [payload] an enricher of type `rhai` can",
        ]
    );
    let text = "fn event_generated(event) { change(event) } fn change(e) { e.source = \"x\" }";
    let (mut hook, _) = hook(EVENT_GENERATED, text);
    assert!(reason(hook.event_generated(&mut receipt(1.0))).contains("can only be read here"));
}

#[test]
fn a_hook_that_is_one_condition_on_the_type_is_for_those_types_only() {
    let types = |body: &str| {
        let text = format!("fn event_generated(event) {{ {body} }}");
        let (hook, _) = hook(EVENT_GENERATED, &text);
        hook.types().map(|types| types.iter().cloned().collect::<Vec<_>>().join(" "))
    };
    let is = |names: &str| Some(names.to_owned());
    assert_eq!(types("if event.event_type == \"store_opened\" { print(1) }"), is("store_opened"));
    let body = "if event.event_type in [\"a\", \"b\"] && event.payload.total > 1 { print(1) }";
    assert_eq!(types(body), is("a b"));
    for every in [
        "if event.event_type == \"a\" { print(1) } else { print(2) }",
        "if event.event_type == \"a\" { print(1) } print(2)",
        "if count(\"all\") == () && event.event_type == \"a\" { print(1) }",
        "if event.event_type != \"a\" { print(1) }",
        "if event.event_type == \"a\" || event.payload.x == 1 { print(1) }",
        "print(event.event_type)",
    ] {
        assert_eq!(types(every), None, "{every}");
    }
}
