//! A panic in any call of a plugin in Rust is told with its words and its place, ends the instance,
//! and goes no further.

use std::sync::Arc;

use engine_plugin::host::{Failed, Fault, Instance};

use crate::host::{Host, Table, Use};
use crate::library::Loaded;

/// The calls of each kind.
const CALLS: [(&str, &str); 14] = [
    ("faulty_enricher", "start"),
    ("faulty_enricher", "process"),
    ("faulty_correlator", "start"),
    ("faulty_correlator", "correlate"),
    ("faulty_correlator", "tick"),
    ("faulty_correlator", "drain"),
    ("faulty_correlator", "save"),
    ("faulty_correlator", "restore"),
    ("faulty_source", "poll"),
    ("faulty_source", "ack"),
    ("faulty_source", "save"),
    ("faulty_source", "restore"),
    ("faulty_sink", "write"),
    ("faulty_sink", "flush"),
];

fn make(instance: &mut Instance, call: &str) -> Result<(), Failed> {
    let mut made = Table::new(Use::Made, 0);
    match call {
        "start" => instance.start(),
        "process" => instance.process(&mut Table::new(Use::Enriched, 4)),
        "correlate" => instance.correlate(&mut Table::new(Use::Observed, 1), &mut made),
        "tick" => instance.tick(0, &mut made),
        "drain" => instance.drain(0, &mut made),
        "poll" => instance.poll(&mut made, 10, 0).map(drop),
        "ack" => instance.ack(0),
        "save" => instance.save().map(drop),
        "restore" => instance.restore(r#"{"given":3}"#),
        "write" => instance.write(&mut Table::new(Use::Written, 2), 1).map(drop),
        "flush" => instance.flush(2).map(drop),
        other => panic!("no call {other}"),
    }
}

fn settings(fault: &str, at: &str) -> String {
    format!(r#"{{"fault":"{fault}","at":"{at}"}}"#)
}

#[test]
fn a_panic_in_any_call_ends_the_instance_and_says_where() {
    let faulty = Loaded::faulty();
    for (plugin, call) in CALLS {
        for (fault, said) in [
            ("panic", format!("panicked: {call} panics")),
            ("panic_number", "panicked: something that is no text".to_owned()),
            ("panic_twice", "panicked: something that is no text".to_owned()),
            ("panic_locked", format!("panicked: {call} panics with a lock")),
        ] {
            let host = Arc::new(Host::default());
            let mut instance = faulty.create(plugin, &host, &settings(fault, call)).unwrap();
            let failed = make(&mut instance, call).unwrap_err();
            assert_eq!((failed.fault, &failed.reason), (Fault::Panic, &said), "{plugin} {call}");
            assert!(failed.fault.is_final());
            // Whatever is called afterwards, it is not entered.
            let failed = make(&mut instance, call).unwrap_err();
            assert_eq!(failed.reason, "panicked: earlier");
            drop(instance);
            let lines = host.lines();
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert!(lines[0].contains("faulty/src/lib.rs:"), "{lines:?}");
        }
    }
}

#[test]
fn a_panic_in_create_makes_no_instance() {
    let faulty = Loaded::faulty();
    for plugin in ["faulty_source", "faulty_enricher", "faulty_correlator", "faulty_sink"] {
        for fault in ["panic", "panic_number", "panic_twice", "panic_locked"] {
            let host = Arc::new(Host::default());
            let created = faulty.create(plugin, &host, &settings(fault, "create"));
            assert_eq!(created.err().unwrap().fault, Fault::Panic);
        }
    }
}

#[test]
fn a_panic_while_an_instance_is_dropped_or_told_to_stop_is_told_and_no_more() {
    let faulty = Loaded::faulty();
    for (at, said) in [("destroy", "destroy panics"), ("on_stop", "on_stop panics")] {
        let host = Arc::new(Host::default());
        let mut instance = faulty.create("faulty_enricher", &host, &settings("panic", at)).unwrap();
        instance.stopper().stop();
        let mut rows = Table::new(Use::Enriched, 2);
        instance.process(&mut rows).unwrap();
        assert_eq!(rows.rows[1].n(), Some(1));
        drop(instance);
        let lines = host.lines();
        assert!(lines.len() == 1 && lines[0].contains(said), "{lines:?}");
    }
}

#[test]
fn a_panic_in_a_thread_of_the_plugin_ends_that_thread_alone() {
    let (faulty, host) = (Loaded::faulty(), Arc::new(Host::default()));
    let mut instance =
        faulty.create("faulty_sink", &host, &settings("panic_thread", "write")).unwrap();
    make(&mut instance, "write").unwrap();
    make(&mut instance, "flush").unwrap();
    assert_eq!(host.lines(), ["a thread ended: true"]);
}

#[test]
fn an_error_of_each_sort_from_any_call_is_told_in_the_words_of_the_plugin() {
    let faulty = Loaded::faulty();
    for (plugin, call) in CALLS {
        for (fault, wanted, says) in [
            ("config", Fault::Config, "finds its settings wrong"),
            ("retry", Fault::Retry, "may do it later"),
            ("rejected", Fault::Rejected, "never does it"),
            ("fatal", Fault::Fatal, "cannot go on"),
        ] {
            let host = Arc::new(Host::default());
            let mut instance = faulty.create(plugin, &host, &settings(fault, call)).unwrap();
            let made = make(&mut instance, call);
            if ["write", "flush"].contains(&call) {
                // These answer by an outcome.
                assert_eq!(made, Ok(()));
                let outcomes = host.outcomes();
                let error = outcomes.last().unwrap().1.error.clone().unwrap();
                assert_eq!(error.reason(), format!("{call} {says}"));
                continue;
            }
            let failed = made.unwrap_err();
            let (wanted, says) = match call {
                // It cannot fail, so it panics.
                "save" => (Fault::Panic, format!("panicked: {call} {says}")),
                _ => (wanted, format!("{call} {says}")),
            };
            assert_eq!((failed.fault, failed.reason), (wanted, says), "{plugin} {call}");
        }
    }
}
