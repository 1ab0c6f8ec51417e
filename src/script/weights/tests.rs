//! Weights from scripts: what is refused before a run, and what a call gives.

use std::sync::Arc;

use jiff::civil::date;

use super::*;
use crate::problem::SourceText;
use crate::retail::{Region, StoreMoment, Tier, Weather};

fn compile(text: &str) -> Result<Weights, Problems> {
    let source = SourceText { name: "rules/x.rhai".to_owned(), text: text.to_owned() };
    Weights::compile(Excerpt::whole(Arc::new(source)))
}

fn weights(text: &str) -> Weights {
    compile(text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A script that gives what an expression does.
fn expression(text: &str) -> Weights {
    weights(&format!("fn weight(event_type, ctx) {{ {text} }}"))
}

/// The line, the message, what the caret underlines, and the help of each problem.
fn seen(problems: &Problems) -> Vec<String> {
    let seen = |problem: &Problem| {
        let place = problem.place.clone().unwrap();
        let help = problem.help.clone().unwrap_or_default();
        let (line, text) = (place.start().line, &place.source.text[place.span]);
        format!("{line}: {} [{text}] {help}", problem.message)
    };
    problems.0.iter().map(seen).collect()
}

fn friday() -> Moment {
    Moment {
        date: date(2024, 11, 29),
        hour: 14,
        holiday: Some("black_friday"),
        store: Some(StoreMoment {
            id: 7,
            tier: Tier::Flagship,
            region: Region::West,
            weather: Weather::Storm,
        }),
    }
}

fn assert_weight(script: &str, moment: &Moment, expected: f64) {
    let mut weights = expression(script);
    let weight = weights.weight(EventType::CustomerEntered, moment);
    assert!((weight - expected).abs() < 1e-12, "{script} gives {weight}");
    assert_eq!(weights.first_failure(), None);
}

#[test]
fn a_weight_may_depend_on_the_type_and_all_of_the_moment() {
    let all = "event_type == \"customer_entered\" && ctx.hour == 14 && ctx.weekday == 5
        && ctx.month == 11 && ctx.day == 29 && ctx.date == \"2024-11-29\"
        && ctx.holiday == \"black_friday\" && ctx.weather == \"storm\" && ctx.store.id == 7
        && ctx.store.tier == \"flagship\" && ctx.store.region == \"west\"";
    assert_weight(&format!("if {all} {{ 2.5 }} else {{ 0 }}"), &friday(), 2.5);
    let sunday = Moment { date: date(2024, 12, 1), holiday: None, store: None, ..friday() };
    let none = "ctx.holiday == () && ctx.store == () && ctx.weather == () && ctx.store?.tier == ()";
    assert_weight(&format!("if {none} {{ ctx.weekday }} else {{ 0 }}"), &sunday, 7.0);
}

#[test]
fn what_no_moment_has_is_reported_at_its_place() {
    assert_eq!(
        seen(
            &compile(
                "fn weight(type, at) {\n\
                 \x20   let a = at.weekdy + at.tier.len();\n\
                 \x20   if at.store.tierr == 1 || at.store?.weather == at.colour { a } else { 1 }\n\
                 }"
            )
            .unwrap_err()
        ),
        [
            "2: `ctx` has no `weekdy` [weekdy] did you mean `weekday`?",
            "2: `ctx` has no `tier` [tier] write `ctx.store?.tier`",
            "3: `ctx.store` has no `tierr` [tierr] did you mean `tier`?",
            "3: `ctx.store` has no `weather` [weather] write `ctx.weather`",
            "3: `ctx` has no `colour` [colour] it has `hour`, `weekday`, `month`, `day`, `date`, \
             `holiday`, `store` and `weather`",
        ]
    );
}

#[test]
fn a_script_without_the_function_or_with_chance_is_refused() {
    assert_eq!(
        seen(&compile("fn wieght(event_type, ctx) { 1 }").unwrap_err()),
        ["1: `fn weight(event_type, ctx)` is missing [wieght] rename `wieght` to `weight`"]
    );
    assert_eq!(
        seen(&compile("fn weight(event_type) { 1 }").unwrap_err()),
        ["1: `weight` takes 2 parameters, not 1 [weight] write `fn weight(event_type, ctx)`"]
    );
    assert_eq!(
        seen(&compile("fn weight(event_type, ctx) { rand() }").unwrap_err()),
        ["1: there is no function `rand` [rand] "]
    );
}

#[test]
fn what_is_no_weight_is_found_before_a_run() {
    for (script, found) in [
        ("-1", "`-1`"),
        ("0.0 / 0.0", "`NaN`"),
        ("1.0 / 0.0", "`inf`"),
        ("\"2\"", "a value of type `string`"),
        ("", "nothing"),
    ] {
        let problems = expression(script).check_for_mix();
        let said = seen(&problems);
        let expected = format!("1: `weight` gives {found}, and not a number of 0 or more [weight]");
        assert!(said[0].starts_with(&expected), "{said:?}");
        assert_eq!(said.len(), 1, "one mistake is told once: {said:?}");
    }
    let night = "if ctx.hour < 6 && event_type == \"ad_impression\" { 1 / 0 } else { 1 }";
    assert_eq!(
        seen(&expression(night).check_for_mix()),
        ["1: division by zero: 1 / 0 [/] it was asked for `ad_impression` on 2024-06-11, hour 3, \
             where `ctx.store` is `()`"]
    );
    assert_eq!(seen(&expression("loop { }").check_for_mix()).len(), 1);
}

#[test]
fn a_mix_has_no_store_and_the_world_has() {
    let flagship = expression("if ctx.store.tier == \"flagship\" { 2 } else { 1 }");
    let said = seen(&flagship.check_for_mix());
    assert!(said[0].contains("where `ctx.store` is `()`"), "{said:?}");
    let in_stores = "if event_type == \"customer_entered\" && ctx.store.tier == \"kiosk\" { 0.5 } \
                     else { 1 }";
    assert_eq!(seen(&expression(in_stores).check_for_world()), [""; 0]);
    let typo = expression("let store = ctx.store; if store.teir == \"low\" { 2 } else { 1 }");
    let said = seen(&typo.check_for_world());
    assert!(said[0].starts_with("1: `ctx.store` has no `teir` ["), "{said:?}");
}

#[test]
fn what_follows_from_others_cannot_be_weighted_in_the_world() {
    let names = weights(
        "// no \"payment_processed\" here\n\
         fn weight(event_type, ctx) {\n\
         \x20   switch event_type {\n\
         \x20       \"payment_processed\" => 2,\n\
         \x20       \"truck_arrived\" => 1,\n\
         \x20       _ => 0.5,\n\
         \x20   }\n\
         }",
    );
    assert_eq!(
        seen(&names.check_for_world()),
        ["4: `payment_processed` cannot be weighted: it follows from the purchases \
             [\"payment_processed\"] what can be weighted: customer_entered (how many come into a \
             store), receipt_created (how many of them buy something), ble_ping_detected (how often \
             beacons hear a device), promotion_applied (how much more promoted products are bought), \
             ad_impression (how many ads are shown), online_order_created (how many orders come in \
             online)"]
    );
    assert!(names.check_for_mix().is_empty(), "a mix may weight all");
    let online = "if event_type.starts_with(\"online_order\") { 2 } else { 1 }";
    let said = seen(&expression(online).check_for_world());
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("1: `online_order_picked` cannot be weighted"), "{said:?}");
}

#[test]
fn the_shipped_script_makes_black_friday_busy_and_storms_quiet() {
    let mut weights = weights(include_str!("../../../pipelines/rules/black_friday.rhai"));
    assert_eq!(seen(&weights.check_for_world()), [""; 0]);
    assert_eq!(seen(&weights.check_for_mix()), [""; 0]);
    let sunny = |tier| StoreMoment { tier, weather: Weather::Sun, ..friday().store.unwrap() };
    let mut footfall = |moment: Moment| weights.weight(EventType::CustomerEntered, &moment);
    let large = footfall(Moment { store: Some(sunny(Tier::Flagship)), ..friday() });
    let small = footfall(Moment { store: Some(sunny(Tier::Low)), ..friday() });
    let storm = footfall(Moment { holiday: None, ..friday() });
    assert!(large > small && small > 1.5 && storm < 0.7, "{large} {small} {storm}");
    let before = Moment { date: date(2024, 11, 26), holiday: None, store: None, ..friday() };
    assert!(weights.weight(EventType::AdImpression, &before) > 1.5);
}

#[test]
fn a_script_that_fails_in_a_run_counts_as_one_and_keeps_its_first_failure() {
    let script = "if ctx.hour == 14 { ctx.day / 0 } else { 3 }";
    let mut weights = expression(script);
    assert!(weights.check_for_mix().is_empty(), "the hour is none that is tried");
    let mut copy = weights.clone();
    for _ in 0..2 {
        let weight = copy.weight(EventType::CustomerEntered, &friday());
        assert!((weight - 1.0).abs() < 1e-12, "{weight}");
    }
    let later = copy.weight(EventType::CustomerEntered, &Moment { hour: 15, ..friday() });
    assert!((later - 3.0).abs() < 1e-12, "{later}");
    weights.weight(EventType::AdImpression, &friday());
    assert_eq!(weights.failures(), 3, "copies count together");
    assert_eq!(
        weights.first_failure(),
        Some("division by zero: 29 / 0 (rules/x.rhai, line 1, column 58)")
    );
}
