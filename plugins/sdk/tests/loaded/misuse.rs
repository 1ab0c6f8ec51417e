//! What plugins in C misuse, in each kind of call: the host answers as the header says, whatever
//! number, row, key or text it is given, from whichever thread, and after the instance is gone.

use std::sync::Arc;

use engine_plugin::host::{Fault, Polled, Written};
use engine_plugin::{Error, Outcome};

use crate::host::{Host, Row, Table, Use};
use crate::library::Loaded;

const MISUSE: &str = r#"{"fault":"misuse"}"#;

#[test]
fn an_enricher_that_misuses_all_it_is_given_does_its_work() {
    let (faults, host) = (Loaded::faults(), Arc::new(Host::default()));
    let mut instance = faults.create("c_enricher", &host, MISUSE).unwrap();
    instance.start().unwrap();
    // The second call tries the batch of the first.
    for call in 0..3 {
        let mut rows = Table::new(Use::Enriched, 2);
        instance.process(&mut rows).unwrap();
        let numbers: Vec<_> = rows.rows.iter().map(Row::n).collect();
        assert_eq!(numbers, [Some(2 * call), Some(2 * call + 1)]);
        assert!(rows.rows.iter().all(|row| !row.is_dropped && row.failed.is_none()));
    }
    drop(instance);
    assert_eq!(faults.found(), 0);
    assert!(
        !host.lines().iter().any(|line| line.contains("nobody says this")),
        "{:?}",
        host.lines()
    );
}

#[test]
fn a_reason_that_is_no_text_is_shown_as_what_it_is() {
    let (faults, host) = (Loaded::faults(), Arc::new(Host::default()));
    let settings = r#"{"fault":"fails_garbled"}"#;
    let mut instance = faults.create("c_enricher", &host, settings).unwrap();
    let mut rows = Table::new(Use::Enriched, 3);
    instance.process(&mut rows).unwrap();
    let reasons: Vec<_> = rows.rows.iter().map(|row| row.failed.as_deref()).collect();
    assert_eq!(reasons, [Some("broken \u{fffd}\u{fffd} text"), Some(""), None]);
    drop(instance);
    assert_eq!(faults.found(), 0);
}

#[test]
fn a_correlator_that_misuses_all_it_is_given_does_its_work() {
    let (faults, host) = (Loaded::faults(), Arc::new(Host::default()));
    let mut instance = faults.create("c_correlator", &host, MISUSE).unwrap();
    instance.start().unwrap();
    for _ in 0..3 {
        let mut seen = Table::new(Use::Observed, 1);
        let mut made = Table::new(Use::Made, 0);
        instance.correlate(&mut seen, &mut made).unwrap();
        assert_eq!(made.rows.len(), 1);
        assert!(made.rows[0].has_type());
        assert!(!seen.rows[0].is_dropped);
    }
    assert_eq!(instance.save().unwrap().as_deref(), Some(r#"{"n":3}"#));
    drop(instance);
    assert_eq!(faults.found(), 0);
}

#[test]
fn a_source_that_misuses_all_it_is_given_does_its_work() {
    let (faults, host) = (Loaded::faults(), Arc::new(Host::default()));
    let settings = r#"{"fault":"misuse","count":25}"#;
    let mut instance = faults.create("c_source", &host, settings).unwrap();
    instance.start().unwrap();
    for place in [10, 20, 25] {
        let mut made = Table::new(Use::Made, 0);
        assert_eq!(instance.poll(&mut made, 10, 0), Ok(Polled::Ready(place)));
        assert!(made.rows.len() <= 10);
    }
    assert_eq!(instance.poll(&mut Table::new(Use::Made, 0), 10, 0), Ok(Polled::End));
    drop(instance);
    assert_eq!(faults.found(), 0);
}

#[test]
fn a_sink_that_misuses_all_it_is_given_does_its_work() {
    let (faults, host) = (Loaded::faults(), Arc::new(Host::default()));
    let mut instance = faults.create("c_sink", &host, MISUSE).unwrap();
    instance.start().unwrap();
    for token in 1..4 {
        let mut batch = Table::new(Use::Written, 2);
        assert_eq!(instance.write(&mut batch, token), Ok(Written::Pending));
    }
    assert_eq!(host.outcomes().len(), 3);
    assert_eq!(instance.flush(4), Ok(Written::Done));
    drop(instance);
    assert_eq!(faults.found(), 0);
    let lines = host.lines();
    assert!(lines.iter().any(|line| line.contains("does not hold")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("never released")), "{lines:?}");
}

#[test]
fn what_a_thread_does_after_the_end_of_its_instance_has_no_effect() {
    let faults = Loaded::faults();
    for plugin in ["c_source", "c_enricher", "c_correlator", "c_sink"] {
        for _ in 0..8 {
            let host = Arc::new(Host::default());
            let mut instance = faults.create(plugin, &host, r#"{"fault":"lingers"}"#).unwrap();
            instance.start().unwrap();
            drop(instance);
            let lines = host.lines().len();
            assert_eq!(faults.found(), 0, "{plugin}");
            assert_eq!(host.lines().len(), lines, "{plugin}");
        }
    }
}

#[test]
fn a_batch_that_is_kept_outlives_its_instance_until_it_is_released() {
    let (faults, host) = (Loaded::faults(), Arc::new(Host::default()));
    let settings = r#"{"fault":"lingers","at":"write"}"#;
    let mut instance = faults.create("c_sink", &host, settings).unwrap();
    instance.start().unwrap();
    instance.write(&mut Table::new(Use::Written, 2), 7).unwrap();
    drop(instance);
    assert_eq!(faults.found(), 0);
    // The one that `write` kept, and at most one that its thread had in hand.
    let lines = host.lines();
    let left = lines.iter().filter(|line| line.contains("retained and never released")).count();
    assert_eq!(left, 1, "{lines:?}");
    // The thread answers again and again what was answered already.
    assert_eq!(host.outcomes().len(), 1);
}

#[test]
fn batches_that_a_sink_never_lets_go_are_told_at_its_end() {
    let (faults, host) = (Loaded::faults(), Arc::new(Host::default()));
    let mut instance = faults.create("c_sink", &host, r#"{"fault":"keeps"}"#).unwrap();
    for token in 0..5 {
        instance.write(&mut Table::new(Use::Written, 2), token).unwrap();
    }
    drop(instance);
    assert_eq!(host.lines(), ["5 batches were retained and never released"]);
}

#[test]
fn a_sink_that_lets_nothing_go_is_told_once_that_no_more_is_kept() {
    let (faults, host) = (Loaded::faults(), Arc::new(Host::default()));
    let mut instance = faults.create("c_sink", &host, r#"{"fault":"keeps"}"#).unwrap();
    for token in 0..4100 {
        instance.write(&mut Table::new(Use::Written, 1), token).unwrap();
    }
    drop(instance);
    assert_eq!(
        host.lines(),
        [
            "4096 batches are retained, and there is room for no more",
            "4096 batches were retained and never released",
        ]
    );
}

#[test]
fn an_answer_with_a_status_that_is_none_is_no_success() {
    let faults = Loaded::faults();
    for status in [1, 2, 3, i32::MAX] {
        let host = Arc::new(Host::default());
        let settings = format!(r#"{{"fault":"answers_oddly","status":{status}}}"#);
        let mut instance = faults.create("c_sink", &host, &settings).unwrap();
        instance.write(&mut Table::new(Use::Written, 2), 1).unwrap();
        let reason = format!("an outcome with status {status}, which means nothing there");
        assert_eq!(host.outcomes()[0].1, Outcome::refused(Error::Rejected(reason)));
    }
}

#[test]
fn refusals_that_make_no_sense_are_brought_into_order() {
    let (faults, host) = (Loaded::faults(), Arc::new(Host::default()));
    let mut instance = faults.create("c_sink", &host, r#"{"fault":"refuses_oddly"}"#).unwrap();
    instance.write(&mut Table::new(Use::Written, 2), 1).unwrap();
    drop(instance);
    let outcomes = host.outcomes();
    let (_, outcome) = &outcomes[0];
    assert_eq!(outcome.error, None);
    let refused: Vec<_> =
        outcome.refusals.iter().map(|refusal| (refusal.row, refusal.error.clone())).collect();
    let rejected = |row, reason: &str| (row, Error::Rejected(reason.to_owned()));
    assert_eq!(
        refused,
        [
            rejected(0, "the first"),
            rejected(1, "broken \u{fffd}\u{fffd} text"),
            rejected(2, "status 0"),
            rejected(usize::MAX, "no such row"),
        ]
    );
}

#[test]
fn an_outcome_without_a_size_or_with_refusals_that_are_not_there_is_no_reason_to_crash() {
    let faults = Loaded::faults();
    for (fault, wanted) in [
        ("answers_without_a_size", Some(Error::rejected("an outcome without a size"))),
        ("refuses_nothing", None),
    ] {
        let host = Arc::new(Host::default());
        let settings = format!(r#"{{"fault":"{fault}"}}"#);
        let mut instance = faults.create("c_sink", &host, &settings).unwrap();
        instance.write(&mut Table::new(Use::Written, 2), 1).unwrap();
        assert_eq!(host.outcomes()[0].1.error, wanted, "{fault}");
    }
}

/// The statuses that there are, and two that there are not, as a call of each kind returns them.
#[test]
fn each_status_of_a_call_means_what_the_header_says() {
    let faults = Loaded::faults();
    let fault_of = |plugin: &str, at: &str, status: i32| {
        let host = Arc::new(Host::default());
        let settings = format!(r#"{{"fault":"status","at":"{at}","status":{status}}}"#);
        let mut instance = faults.create(plugin, &host, &settings).unwrap();
        let (mut rows, mut made) = (Table::new(Use::Enriched, 1), Table::new(Use::Made, 0));
        let failed = match at {
            "start" => instance.start(),
            "process" => instance.process(&mut rows),
            "correlate" => instance.correlate(&mut Table::new(Use::Observed, 1), &mut made),
            "tick" => instance.tick(0, &mut made),
            "drain" => instance.drain(0, &mut made),
            "poll" => instance.poll(&mut made, 1, 0).map(drop),
            "ack" => instance.ack(0),
            "write" => instance.write(&mut Table::new(Use::Written, 1), 1).map(drop),
            "flush" => instance.flush(1).map(drop),
            "save" => instance.save().map(drop),
            "restore" => instance.restore("{}"),
            other => panic!("no call {other}"),
        };
        failed.expect_err(at)
    };
    let calls = [
        ("c_enricher", "start"),
        ("c_enricher", "process"),
        ("c_correlator", "correlate"),
        ("c_correlator", "tick"),
        ("c_correlator", "drain"),
        ("c_correlator", "save"),
        ("c_correlator", "restore"),
        ("c_source", "poll"),
        ("c_source", "ack"),
        ("c_sink", "write"),
        ("c_sink", "flush"),
    ];
    for (plugin, at) in calls {
        for (status, fault) in [
            (-1, Fault::Config),
            (-2, Fault::Retry),
            (-3, Fault::Fatal),
            (-4, Fault::Panic),
            (-5, Fault::Rejected),
            (-6, Fault::Config),
            (-7, Fault::Stopped),
            (-8, Fault::Rejected),
        ] {
            let failed = fault_of(plugin, at, status);
            assert_eq!((failed.fault, failed.reason.as_str()), (fault, "as the settings say"));
        }
        for status in [4711, -4711, i32::MIN, i32::MAX] {
            let failed = fault_of(plugin, at, status);
            assert_eq!(failed.fault, Fault::Panic, "{at} {status}");
            assert_eq!(
                failed.reason,
                format!("`{at}` returned {status}, which means nothing there")
            );
        }
    }
}

#[test]
fn a_status_without_a_text_or_with_one_that_is_none_still_says_what_failed() {
    let faults = Loaded::faults();
    for (fault, wanted) in
        [("silent", "`start` failed with status -3"), ("garbled", "broken \u{fffd}\u{fffd} text")]
    {
        let host = Arc::new(Host::default());
        let settings = format!(r#"{{"fault":"{fault}","at":"start"}}"#);
        let failed = faults.create("c_sink", &host, &settings).unwrap().start().unwrap_err();
        assert_eq!(failed.reason, wanted);
    }
}

#[test]
fn what_is_remembered_has_to_be_text() {
    let (faults, host) = (Loaded::faults(), Arc::new(Host::default()));
    let settings = r#"{"fault":"garbled","at":"save","status":0}"#;
    let instance = faults.create("c_source", &host, settings).unwrap();
    let failed = instance.save().unwrap_err();
    assert_eq!(
        (failed.fault, failed.reason.as_str()),
        (Fault::Panic, "`save` wrote what is not UTF-8")
    );
}

#[test]
fn an_instance_is_told_to_stop_while_it_lives_and_no_longer() {
    let (faults, host) = (Loaded::faults(), Arc::new(Host::default()));
    // Destroyed beside stoppers that never rest: a call into what is gone would be a crash.
    let settings = r#"{"fault":"none"}"#;
    for _ in 0..200 {
        let instance = faults.create("c_enricher", &host, settings).unwrap();
        let stoppers = [instance.stopper(), instance.stopper()];
        let (begun, has_begun) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            for stopper in stoppers {
                let begun = begun.clone();
                scope.spawn(move || {
                    stopper.stop();
                    begun.send(()).unwrap();
                    (0..100).for_each(|_| stopper.stop());
                });
            }
            has_begun.recv().unwrap();
            drop(instance);
        });
    }
    assert_eq!(faults.found(), 0);
}
