//! The crate `engine-plugin`, carried in this program: it is on no registry, so a new plugin has it
//! beside its own code.

/// The contract, for plugins in C.
pub(super) const HEADER: &str = include_str!("../../../../plugins/sdk/include/engine_plugin.h");

macro_rules! carried {
    ($($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../plugins/sdk/", $path)))),+]
    };
}

/// All files that a build of the crate needs.
pub(super) const FILES: &[(&str, &str)] = carried![
    "Cargo.toml",
    "README.md",
    "include/engine_plugin.h",
    "src/abi.rs",
    "src/batch.rs",
    "src/boundary.rs",
    "src/boundary/host.rs",
    "src/crossing.rs",
    "src/engine.rs",
    "src/host.rs",
    "src/host/instance.rs",
    "src/host/loans.rs",
    "src/host/matrix.rs",
    "src/host/module.rs",
    "src/host/said.rs",
    "src/host/table.rs",
    "src/host/tests.rs",
    "src/host/tests/stops.rs",
    "src/lib.rs",
    "src/outcome.rs",
    "src/plugin.rs",
    "src/testing.rs",
    "src/testing/batch.rs",
    "src/testing/correlator.rs",
    "src/testing/enricher.rs",
    "src/testing/event.rs",
    "src/testing/host.rs",
    "src/testing/running.rs",
    "src/testing/sink.rs",
    "src/testing/source.rs",
    "src/testing/tests.rs",
    "src/value.rs",
];

/// The files of the crate as they stand outside of its workspace.
pub(super) fn files() -> impl Iterator<Item = (&'static str, String)> {
    FILES.iter().map(|(path, text)| match *path {
        "Cargo.toml" => (*path, manifest(text)),
        _ => (*path, (*text).to_owned()),
    })
}

/// The sections of the manifest that mean something outside of the workspace.
fn manifest(text: &str) -> String {
    let mut is_kept = false;
    let mut kept = String::new();
    for line in text.lines() {
        if line.starts_with('[') {
            is_kept = matches!(line, "[package]" | "[features]" | "[dependencies]");
        }
        if is_kept {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}
