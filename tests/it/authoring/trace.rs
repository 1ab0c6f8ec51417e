//! `engine run --trace`

use super::receipts;

/// What a stage shows, without its name.
fn lines<'a>(said: &'a str, stage: &str) -> Vec<&'a str> {
    let signs = ["-> ", "<- ", "xx ", "!! ", "... "];
    let lines = said.lines().filter_map(|line| line.strip_prefix(stage)?.strip_prefix(' '));
    // The report's tables have rows that begin with the name, too.
    lines.filter(|line| signs.iter().any(|sign| line.starts_with(sign))).collect()
}

#[test]
fn an_enricher_shows_what_it_changes_drops_and_fails_on() {
    let ended = receipts(&["--trace", "high_value"]);
    let lines = lines(&ended.stderr, "high_value");
    let of = |sign: &str| lines.iter().filter(|line| line.starts_with(sign)).count();
    assert_eq!(of("-> receipt_created TR_"), 30);
    assert_eq!((of("<- "), of("... ")), (ended.stdout.matches("receipt_created").count(), 0));
    assert!(of("xx ") > 0 && of("!! ") > 0, "{lines:#?}");
    assert_eq!(of("<- ") + of("xx ") + of("!! "), 30);
    let ends = |sign: &str, end: &str| {
        let mut with = lines.iter().filter(|line| line.starts_with(sign));
        assert!(with.all(|line| line.contains(end)), "{sign} {end} {lines:#?}");
    };
    ends("-> ", "Z {\"store_id\":");
    ends("<- ", "Z high_value: + ");
    ends("xx ", "Z dropped");
    ends("!! ", "Z failed (script): a single item (receipts.yaml, line 16, column 48)");
}

#[test]
fn a_correlator_shows_what_it_derives_with_its_cause_and_other_kinds_what_they_have() {
    let ended = receipts(&["--trace", "rush,out", "--trace", "tills"]);
    let rush = lines(&ended.stderr, "rush");
    let derived: Vec<_> = rush.iter().filter(|line| line.starts_with("<- ")).collect();
    assert_eq!(derived.len(), ended.stdout.matches("\"basket_rush\"").count());
    assert!(!derived.is_empty());
    for line in derived {
        assert!(line.starts_with("<- basket_rush TR_") && line.contains("{\"n\":"), "{line}");
        let cause = line.rsplit_once(" from ").unwrap().1;
        assert!(rush.iter().any(|line| line.starts_with(&format!("-> receipt_created {cause}"))));
    }
    assert_eq!(lines(&ended.stderr, "tills").len(), 30);
    let sink = lines(&ended.stderr, "out");
    assert_eq!(sink.len(), ended.stdout.lines().count());
    assert!(sink.iter().all(|line| line.starts_with("-> ")));
}

#[test]
fn a_terminal_is_not_drowned() {
    let ended = receipts(&["--trace", "high_value", "--trace-limit", "4"]);
    let lines = lines(&ended.stderr, "high_value");
    let of = |sign: &str| lines.iter().filter(|line| line.starts_with(sign)).count();
    assert_eq!((of("-> "), of("<- ") + of("xx ") + of("!! ")), (4, 4), "{lines:#?}");
    assert_eq!(of("... more than 4 events: `--trace-limit` shows more"), 1);
    let said = receipts(&["--trace", "rush", "--trace-limit", "6"]).stderr;
    let rush = self::lines(&said, "rush");
    let passed = rush.iter().filter(|line| line.starts_with("<- receipt_created")).count();
    let derived = rush.iter().filter(|line| line.starts_with("<- basket_rush")).count();
    assert_eq!((rush.len(), passed), (6 + 1 + derived, 0), "{rush:#?}");
    let lines = receipts(&["--trace", "tills", "--trace-limit", "0"]).stderr;
    assert_eq!(self::lines(&lines, "tills").len(), 30);
}

#[test]
fn a_sample_can_be_traced_and_a_stage_that_is_not_there_is_an_error() {
    let ended = receipts(&["--sample", "3", "--trace", "high_value"]);
    assert_eq!(lines(&ended.stderr, "high_value").len(), 6);
    crate::harness::Test::new(&["run", "receipts.yaml", "--trace", "high_valu,x"])
        .file("receipts.yaml", super::RECEIPTS)
        .run()
        .exits(2)
        .says("there is no stage `high_valu` to trace")
        .says("help: did you mean `high_value`?")
        .says("the stages are `tills`, `high_value`, `rush`, `out`")
        .prints_lines(0);
}
