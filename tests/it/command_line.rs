//! The command line: each command, its success and its failures.

mod draw;
mod export;
mod inspect;
mod new;
mod run;
mod signals;
mod validate;

use crate::harness::Test;

/// A pipeline of a thousand events at full speed, to stdout.
const SHOP: &str = "\
version: 1
name: shop
clock: { start: 2024-11-29T10:00:00Z, speed: max, events: 1000 }
sources:
  stores: { type: retail_mix, with: { seed: 42, stores: 5, burst: 100 } }
sinks:
  out: { type: console, inputs: [stores], with: { format: ndjson } }
";

/// The same, paced and without an end.
const ENDLESS: &str = "\
clock: { start: 2024-11-29T10:00:00Z }
sources:
  stores: { type: retail_mix, with: { emit_interval_ms: 10, burst: 10 } }
sinks:
  out: { type: console, inputs: [stores], with: { format: ndjson } }
";

#[test]
fn help_and_version_are_no_errors() {
    Test::new(&["--help"]).run().exits(0).prints("Usage: engine").prints("completions");
    Test::new(&["--version"]).run().exits(0).prints(env!("CARGO_PKG_VERSION"));
    for command in [
        "run",
        "validate",
        "bench",
        "list",
        "describe",
        "schema",
        "graph",
        "new",
        "render",
        "completions",
        "dlq",
        "export",
    ] {
        Test::new(&[command, "--help"]).run().exits(0).prints("Example");
    }
}

#[test]
fn a_wrong_command_line_exits_with_two() {
    Test::new(&[]).run().exits(2).says("Usage: engine");
    Test::new(&["validat"]).run().exits(2).says("'validate'");
    Test::new(&["run"]).run().exits(2).says("<FILE>");
    Test::new(&["run", "x.yaml", "--drain-timeout", "soon"]).run().exits(2).says("`soon`");
    Test::new(&["run", "x.yaml", "--events", "1", "--sample", "1"]).run().exits(2).says("--sample");
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        Test::new(&["completions", shell]).run().exits(0).prints("validate");
    }
    Test::new(&["completions", "tcsh"]).run().exits(2).says("tcsh");
}

#[test]
fn colours_are_used_where_they_are_asked_for() {
    let plain = |arguments: &[&str]| !Test::new(arguments).run().stderr.contains('\u{1b}');
    assert!(plain(&["validate", "none.yaml"]));
    assert!(plain(&["validate", "none.yaml", "--color", "never"]));
    assert!(!plain(&["validate", "none.yaml", "--color", "always"]));
}
