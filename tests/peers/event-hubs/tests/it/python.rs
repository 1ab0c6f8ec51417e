//! The official Python client, if it is there: what it sends, the peer holds and gives back.

use std::process::Command;

use event_hubs_peer::{Peer, Property, Stored};

const HUB: &str = "retail-events";
const PACKAGE: &str = "azure-eventhub";

/// Python with the package; none if the test is to be skipped. `ENGINE_TEST_PYTHON` says which
/// Python, and `ENGINE_TEST_REQUIRE` names what must not be skipped.
fn python() -> Option<Command> {
    let python = std::env::var("ENGINE_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = Command::new(&python)
        .args(["-c", "import azure.eventhub"])
        .output()
        .is_ok_and(|output| output.status.success());
    let required = std::env::var("ENGINE_TEST_REQUIRE").unwrap_or_default();
    let is_required = required.split(',').any(|name| name.trim() == PACKAGE);
    assert!(found || !is_required, "`{python}` has no package `{PACKAGE}`, which is required");
    if !found {
        println!("skipped: the Python package {PACKAGE} is not installed");
    }
    found.then(|| Command::new(python))
}

/// Runs a script of the folder `python`. Returns what it prints.
fn run(mut python: Command, script: &str, arguments: &[&str]) -> String {
    let script = format!("{}/python/{script}", env!("CARGO_MANIFEST_DIR"));
    let output = python.arg(script).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// What the script for sending has sent.
fn check(events: &[Stored], peer: &Peer) {
    let of = |kind: &str| {
        let kind = Property::from(kind);
        events.iter().filter(move |event| event.properties["kind"] == kind).collect::<Vec<_>>()
    };
    assert_eq!(events.len(), 5 + 3 + 2 + 1);
    for (event, number) in of("keyed").iter().zip(0_i64..) {
        assert_eq!(event.partition, peer.partition_of(HUB, "device-7"));
        assert_eq!(event.key.as_deref(), Some("device-7"));
        assert_eq!(event.text(), format!("keyed {number}"));
        assert_eq!(event.message_id, Some(format!("keyed-{number}")));
        assert_eq!(event.correlation_id.as_deref(), Some("trace"));
        assert_eq!(event.content_type.as_deref(), Some("text/plain"));
        assert_eq!(event.properties["number"], Property::from(number));
    }
    assert!(of("fixed").iter().all(|event| event.partition == 3));
    let listed = of("listed");
    assert_eq!(listed[0].partition, listed[1].partition);
    assert_eq!(of("large")[0].body, vec![b'x'; 200_000]);
}

/// What the script for reading prints: what tells events and their places apart.
fn lines(events: &[Stored]) -> String {
    let line = |event: &Stored| {
        let property = |name: &str| match &event.properties[name] {
            Property::Text(text) => text.clone(),
            other => format!("{other:?}"),
        };
        format!(
            "{} {} {} {} {} {} {}\n",
            event.partition,
            event.sequence,
            event.offset,
            event.key.as_deref().unwrap_or("None"),
            event.message_id.as_deref().unwrap_or("None"),
            property("kind"),
            event.body.len(),
        )
    };
    events.iter().map(line).collect()
}

#[test]
fn what_python_sends_it_reads_back() {
    let Some(python) = python() else { return };
    let peer = Peer::builder().hub(HUB, 4).start();
    let connection_string = peer.connection_string(HUB);
    run(python, "send.py", &[&connection_string]);
    let events = peer.events(HUB);
    check(&events, &peer);
    let python = self::python().unwrap();
    let read = run(python, "read.py", &[&connection_string, &events.len().to_string()]);
    assert_eq!(read, lines(&events));
}

#[test]
fn what_python_sends_over_tls_it_reads_back() {
    let Some(python) = python() else { return };
    let peer = Peer::builder().hub(HUB, 4).tls().start();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, peer.ca_pem()).unwrap();
    let ca_file = ca_file.to_str().unwrap();
    let connection_string = peer.tls_connection_string(HUB);
    run(python, "send.py", &[&connection_string, ca_file]);
    let events = peer.events(HUB);
    check(&events, &peer);
    let count = events.len().to_string();
    let python = self::python().unwrap();
    let read = run(python, "read.py", &[&connection_string, &count, ca_file]);
    assert_eq!(read, lines(&events));
}

#[test]
fn python_is_told_why_it_is_refused() {
    let Some(python) = python() else { return };
    let peer = Peer::builder().hub(HUB, 1).start();
    let wrong = peer.connection_string_with(HUB, "RootManageSharedAccessKey", "wrong");
    let error = run(python, "refused.py", &[&wrong]);
    assert!(error.starts_with("AuthenticationError"), "{error}");
    let elsewhere = peer.connection_string("nowhere");
    let python = self::python().unwrap();
    let error = run(python, "refused.py", &[&elsewhere]);
    assert!(error.contains("amqp:not-found"), "{error}");
    assert_eq!(peer.events(HUB), []);
}
