//! Ten thousand instances of each plugin, one after the other, each made, used and destroyed: no
//! memory is left behind, and none is touched that is not there.

use std::process::Command;
use std::sync::Arc;

use engine_plugin::host::Polled;

use crate::host::{Host, Table, Use};
use crate::library::Loaded;

const CYCLES: usize = 10_000;

/// Says in a process that it is the one to be watched.
const WATCHED: &str = "ENGINE_PLUGIN_CYCLES";

/// One instance of each plugin of a library, from its beginning to its end.
fn cycle(library: &Loaded, of: &str, host: &Arc<Host>) {
    let settings = r#"{"count":10}"#;
    let create = |kind: &str| {
        let mut instance = library.create(&format!("{of}_{kind}"), host, settings).unwrap();
        instance.start().unwrap();
        instance
    };
    let mut enricher = create("enricher");
    enricher.process(&mut Table::new(Use::Enriched, 3)).unwrap();
    enricher.stopper().stop();
    drop(enricher);

    let mut correlator = create("correlator");
    let (mut seen, mut made) = (Table::new(Use::Observed, 1), Table::new(Use::Made, 0));
    correlator.correlate(&mut seen, &mut made).unwrap();
    correlator.tick(0, &mut made).unwrap();
    let state = correlator.save().unwrap().unwrap();
    correlator.drain(0, &mut made).unwrap();
    assert_eq!(made.rows.len(), 1);
    drop(correlator);

    let mut source = create("source");
    source.restore(&state.replace('1', "7")).unwrap();
    let mut made = Table::new(Use::Made, 0);
    assert_eq!(source.poll(&mut made, 10, 0), Ok(Polled::Ready(10)));
    assert_eq!(made.rows.len(), 3);
    source.ack(10).unwrap();
    drop(source);

    let mut sink = create("sink");
    sink.write(&mut Table::new(Use::Written, 3), 1).unwrap();
    sink.flush(2).unwrap();
}

/// Kilobytes of memory that this process has in use.
fn resident_kb() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// What the tests below run in a process of its own.
#[test]
fn watched() {
    if std::env::var_os(WATCHED).is_none() {
        return;
    }
    let libraries = [("c", Loaded::faults()), ("faulty", Loaded::faulty())];
    let run = |cycles: usize| {
        let host = Arc::new(Host::deaf());
        for _ in 0..cycles {
            for (of, library) in &libraries {
                cycle(library, of, &host);
            }
        }
    };
    run(CYCLES / 10);
    let before = resident_kb();
    run(CYCLES);
    println!("grew by {} kB", resident_kb() - before);
    assert_eq!(libraries[0].1.found(), 0);
}

fn itself(before: &[&str]) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut words = before.iter().map(std::ffi::OsStr::new).chain([program.as_os_str()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(["--exact", "cycles::watched", "--nocapture"]).env(WATCHED, "1");
    command
}

fn said(mut command: Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let all = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{}: {all}", output.status);
    all
}

#[test]
#[cfg(target_os = "linux")]
fn ten_thousand_instances_of_each_plugin_leave_no_memory_behind() {
    let said = said(itself(&[]));
    let grown = said.lines().find_map(|line| line.split_once("grew by ")).unwrap().1;
    let grown: i64 = grown.trim_end_matches(" kB").parse().unwrap();
    assert!(grown < 2000, "{grown} kB");
}

#[test]
#[cfg(target_os = "linux")]
fn valgrind_finds_no_leak_and_no_invalid_access_in_ten_thousand_instances_of_each_plugin() {
    let is_there = Command::new("valgrind").arg("--version").output().is_ok();
    let required = std::env::var("ENGINE_TEST_REQUIRE").unwrap_or_default();
    let is_required = required.split(',').any(|name| name.trim() == "valgrind");
    assert!(is_there || !is_required, "`valgrind` is required, and not there");
    if !is_there {
        println!("skipped: valgrind is not installed");
        return;
    }
    let said = said(itself(&[
        "valgrind",
        "--error-exitcode=9",
        "--leak-check=full",
        "--errors-for-leak-kinds=definite",
    ]));
    assert!(said.contains("definitely lost: 0 bytes"), "{said}");
    assert!(said.contains("ERROR SUMMARY: 0 errors"), "{said}");
}
