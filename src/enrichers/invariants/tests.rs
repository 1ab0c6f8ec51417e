//! A valid day has no violation; each rule finds the story that breaks it.

mod chain;
mod mutations;
mod sabotages;
mod story;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use self::chain::Chain;
use self::mutations::MUTATIONS;
use self::story::Story;
use super::*;
use crate::event::Event;
use crate::monitor::Findings;

fn inspector(settings: Value) -> Inspector {
    serde_json::from_value::<Invariants>(settings).unwrap().inspector(None)
}

fn look(events: &[Event], settings: Value) -> (Findings, Vec<(String, &'static str)>) {
    let (mut inspector, mut events) = (inspector(settings), events.to_vec());
    let mut failed = Vec::new();
    for batch in events.chunks_mut(7) {
        let mut rows = Rows::new(batch, None);
        inspector.enrich(&mut rows);
        for (place, verdict) in rows.into_verdicts() {
            let Verdict::Fail(failure) = verdict else { panic!("{verdict:?}") };
            failed.push((batch[place as usize].trace_id.to_string(), failure.category));
        }
    }
    let findings = inspector.board.lock().clone();
    (findings, failed)
}

fn broken(events: &[Event]) -> BTreeSet<&'static str> {
    look(events, json!({})).0.violations.into_keys().collect()
}

#[test]
fn a_valid_day_breaks_no_rule() {
    let story = Story::day();
    let (findings, failed) = look(&story.events, json!({ "on_violation": "dead_letter" }));
    assert_eq!((findings.violations, failed), (BTreeMap::new(), Vec::new()));
    assert_eq!((findings.events, findings.unchecked), (story.events.len() as u64, 0));
}

#[test]
fn each_rule_is_broken_by_its_mutation_and_no_other_rule_is() {
    let mut wrong = Vec::new();
    for mutation in MUTATIONS {
        let mut story = Story::day();
        (mutation.change)(&mut story);
        let names = mutation.also.iter().chain([&mutation.rule]);
        let expected: BTreeSet<&str> = names.map(|rule| rule.description().name).collect();
        let (findings, _) = look(&story.events, json!({}));
        let found: BTreeSet<&str> = findings.violations.keys().copied().collect();
        if found != expected {
            wrong.push(format!("{:?}: {:#?}", mutation.rule, findings.violations));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_has_a_mutation_and_a_sabotage() {
    let names = |rules: &mut dyn Iterator<Item = Rule>| -> BTreeSet<&str> {
        rules.map(|rule| rule.description().name).collect()
    };
    let all = names(&mut RULES.iter().map(|rule| rule.rule));
    assert_eq!(names(&mut MUTATIONS.iter().map(|it| it.rule)), all);
    assert_eq!(names(&mut sabotages::all().map(|it| it.rule)), all);
}

#[test]
fn the_simulated_chain_breaks_no_rule() {
    let chain = Chain::told();
    let (findings, _) = look(&chain.events, chain::settings());
    assert_eq!(findings.violations, BTreeMap::new());
    assert_eq!((findings.events, findings.unchecked), (chain.events.len() as u64, 0));
}

#[test]
fn a_chain_that_is_spoilt_by_any_sabotage_is_found_out_under_the_rule_that_it_breaks() {
    let mut unnoticed = Vec::new();
    for sabotage in sabotages::all() {
        let mut chain = Chain::told();
        (sabotage.spoil)(&mut chain);
        let (findings, _) = look(&chain.events, chain::settings());
        let name = sabotage.rule.description().name;
        if !findings.violations.contains_key(name) {
            let found: Vec<_> = findings.violations.keys().collect();
            unnoticed.push(format!("{}: not as {name}, but {found:?}", sabotage.fault));
        }
    }
    assert!(unnoticed.is_empty(), "{}", unnoticed.join("\n"));
}

#[test]
fn without_some_family_or_type_nothing_false_is_found() {
    for family in Family::ALL {
        let without: Vec<EventType> = family.event_types().collect();
        let events = Story::day().without(&without).events;
        assert_eq!(broken(&events), BTreeSet::new(), "without {family:?}");
    }
    for one in EventType::ALL {
        let events = Story::day().without(&[one]).events;
        assert_eq!(broken(&events), BTreeSet::new(), "without {one}");
        for other in EventType::ALL {
            let events = Story::day().without(&[one, other]).events;
            assert_eq!(broken(&events), BTreeSet::new(), "without {one} and {other}");
        }
    }
}

#[test]
fn a_stream_that_is_cut_anywhere_breaks_no_rule() {
    let events = Story::day().events;
    for end in 0..events.len() {
        assert_eq!(broken(&events[..end]), BTreeSet::new(), "cut before {end}");
    }
}

#[test]
fn a_stream_that_is_joined_anywhere_breaks_no_rule_if_that_is_said() {
    let events = Story::day().events;
    for start in 0..events.len() {
        let (findings, _) = look(&events[start..], json!({ "joined_late": true }));
        assert_eq!(findings.violations, BTreeMap::new(), "joined at {start}");
    }
    let halfway = events.len() / 2;
    assert_ne!(broken(&events[halfway..]), BTreeSet::new(), "it has to be said");
}

#[test]
fn with_little_room_questions_stay_open_and_nothing_false_is_found() {
    for entries in 1..20 {
        let settings = json!({ "max_entries": entries });
        let (findings, _) = look(&Story::day().events, settings);
        assert_eq!(findings.violations, BTreeMap::new(), "with room for {entries}");
        assert!(findings.unchecked > 0 || entries > 3, "with room for {entries}");
    }
}

#[test]
fn only_the_rules_that_are_named_are_checked() {
    let mut story = Story::day();
    for mutation in MUTATIONS.iter().filter(|it| it.rule != Rule::PaymentAmount).take(3) {
        (mutation.change)(&mut story);
    }
    let (findings, _) = look(&story.events, json!({ "rules": ["payment_amount"] }));
    assert_eq!(findings.violations, BTreeMap::new());
}

#[test]
fn the_first_example_of_a_rule_is_kept_and_the_event_fails_where_that_is_asked_for() {
    let mut story = Story::day();
    story.set("approved1", "payment_method", json!("CASH"));
    story.set("payment2", "payment_method", json!("CHECK"));
    let settings = json!({ "on_violation": "dead_letter" });
    let (findings, failed) = look(&story.events, settings);
    let violations = &findings.violations["payment_method_is_tender"];
    assert_eq!((violations.count, violations.first_trace_id.as_str()), (2, "approved1"));
    assert_eq!(violations.first_reason, "CASH, where the tender is CREDIT_CARD");
    let names = ["approved1", "payment2"];
    assert_eq!(failed, names.map(|name| (name.to_owned(), "payment_method_is_tender")));
    assert_eq!(look(&story.events, json!({})).1, [], "else the events go on");
}

#[test]
fn types_that_are_told_count_from_the_first_event_on() {
    let story = Story::day().without(&[EventType::CustomerEntered]);
    let mut told = inspector(json!({}));
    told.checker =
        Checker::new(Watch::new(RuleSet::ALL, Some(u32::MAX), told.checker.watch.spans), 1000);
    let mut events = story.events;
    told.enrich(&mut Rows::new(&mut events, None));
    assert!(told.board.lock().violations.contains_key("visit_begins_with_entry"));
}

#[test]
fn the_names_of_rules_are_theirs_in_settings_and_the_reference_lists_them() {
    let schema = schemars::schema_for!(Invariants);
    let text = schema.get("description").and_then(Value::as_str).unwrap();
    for (place, rule) in RULES.iter().enumerate() {
        assert_eq!(rule.rule as usize, place);
        assert_eq!(serde_json::from_value::<Rule>(json!(rule.name)).unwrap(), rule.rule);
        assert!(text.contains(&format!("- `{}`: {}", rule.name, rule.statement)), "{}", rule.name);
    }
}
