//! How results are written: lines, JSON, `JUnit`, snapshots.

use super::{run, shop};
use crate::harness::Test;

const TWO: &str = "
  - name: it is halved
    at: halved
    input: [ { event_type: sale, payload: { n: 4 } } ]
    expect: [ { payload: { half: 25 } } ]
  - name: it is <not> halved & \"so\" on
    at: halved
    input: [ { event_type: sale, payload: { n: 4 } } ]
    expect: [ { payload: { half: 20 } } ]
";

#[test]
fn a_line_for_each_test_and_a_last_one_that_counts_them() {
    let ended = run(TWO).exits(1).prints("ok     shop.yaml: it is halved (");
    ended.prints("FAILED shop.yaml: it is <not> halved").prints("2 tests: 1 ok, 1 failed (");
}

#[test]
fn tests_are_chosen_by_a_text_in_their_names() {
    let filtered = |filter: &str| {
        let test = Test::new(&["test", "shop.yaml", "--filter", filter]);
        test.file("shop.yaml", &shop(TWO)).run()
    };
    filtered("it is halved").exits(0).prints("1 test: 1 ok").never_says("<not>");
    filtered("nowhere").exits(0).prints("0 tests: 0 ok").says("no test has `nowhere` in its name");
}

#[test]
fn a_spec_without_tests_says_so_and_passes() {
    let ended = Test::new(&["test", "shop.yaml"]).file("shop.yaml", &shop("")).run();
    ended.exits(0).says("`shop.yaml` has no tests").says("help: ");
}

#[test]
fn a_wrong_spec_does_not_keep_others_from_being_tested() {
    let spec = shop(TWO);
    let wrong = spec.replace("at: halved", "at: havled");
    let test = Test::new(&["test", "wrong.yaml", "shop.yaml"]);
    let ended = test.file("wrong.yaml", &wrong).file("shop.yaml", &spec).run().exits(2);
    ended
        .says("there is no stage `havled`")
        .says("did you mean `halved`?")
        .prints("ok     shop.yaml: it is halved")
        .prints("2 tests: 1 ok, 1 failed; 1 spec is wrong");
}

#[test]
fn results_are_an_object_for_programs() {
    let test = Test::new(&["test", "shop.yaml", "--format", "json"]);
    let results = test.file("shop.yaml", &shop(TWO)).run().exits(1).json();
    assert_eq!((&results["passed"], &results["failed"]), (&1.into(), &1.into()));
    let failed = &results["tests"][1];
    assert_eq!((&failed["status"], &failed["file"]), (&"failed".into(), &"shop.yaml".into()));
    assert_eq!(failed["failures"][0]["label"], "found `25`");
    assert_eq!(failed["failures"][0]["place"]["file"], "shop.yaml");
}

#[cfg(feature = "event_hubs")]
#[test]
fn junit_is_well_formed_and_holds_every_test() {
    use quick_xml::events::Event;
    let test = Test::new(&["test", "shop.yaml", "no.yaml", "--junit", "report.xml"]);
    let ended = test.file("shop.yaml", &shop(TWO)).run().exits(2);
    let report = ended.read("report.xml");
    let mut reader = quick_xml::Reader::from_str(&report);
    let (mut names, mut faults) = (Vec::new(), Vec::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(element) | Event::Empty(element) => {
                let attribute = |name: &str| {
                    let found = element.try_get_attribute(name).unwrap();
                    found.map(|it| it.value.into_owned())
                };
                match element.name().as_ref() {
                    "testcase" => names.push(attribute("name").unwrap()),
                    "failure" | "error" => faults.push(attribute("message").unwrap()),
                    "testsuites" => {
                        let counts = ["tests", "failures", "errors"].map(attribute);
                        assert_eq!(counts, ["3", "1", "1"].map(|it| Some(it.to_owned())));
                    }
                    _ => {}
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let escaped = "it is &lt;not&gt; halved &amp; &quot;so&quot; on";
    assert_eq!(names, ["it is halved", escaped, "the spec"]);
    assert_eq!(faults.len(), 2);
    assert!(faults[0].contains("payload.half"), "{faults:?}");
    let test = Test::new(&["test", "shop.yaml", "--format", "junit"]);
    test.file("shop.yaml", &shop(TWO)).run().exits(1).prints("<testsuites name=\"engine test\"");
}

#[test]
fn snapshots_are_written_when_asked_and_held_against_what_comes_out() {
    let spec = shop(
        "
  - name: halves
    at: halved
    input: [ { event_type: sale, payload: { n: 4 } }, { event_type: sale, payload: { n: 5 } } ]
    expect: { snapshot: halves }
",
    );
    let ended = Test::new(&["test", "shop.yaml"]).file("shop.yaml", &spec).run();
    ended.exits(1).prints("there is no snapshot").prints("help: write it with `--update`");
    let ended = Test::new(&["test", "shop.yaml", "--update"]).file("shop.yaml", &spec).run();
    let ended = ended.exits(0).says("wrote ");
    let kept = ended.read("snapshots/shop/halves.ndjson");
    assert_eq!(kept.lines().count(), 2, "{kept}");
    let held = |kept: &str, arguments: &[&str]| {
        let test = Test::new(arguments).file("shop.yaml", &spec);
        test.file("snapshots/shop/halves.ndjson", kept).run()
    };
    held(&kept, &["test", "shop.yaml"]).exits(0);
    let other = kept.replace("\"half\":20", "\"half\":21");
    let ended = held(&other, &["test", "shop.yaml"]).exits(1);
    ended.prints("line 2 differs: `payload.half` is `20`");
    let fewer: String = kept.split_inclusive('\n').take(1).collect();
    held(&fewer, &["test", "shop.yaml"]).exits(1).prints("it has 1 events, and 2 come out");
    let ended = held(&other, &["test", "shop.yaml", "--update"]).exits(0);
    assert_eq!(ended.read("snapshots/shop/halves.ndjson"), kept);
}
