//! Compiles the libraries in C beside this file, as their author would. For tests of several crates.

use std::path::Path;
use std::process::Command;

/// The folder of the whole project.
pub(crate) fn root() -> &'static Path {
    let from = Path::new(env!("CARGO_MANIFEST_DIR"));
    from.ancestors().find(|folder| folder.join("tests/plugins/c").is_dir()).unwrap()
}

/// Compiles `tests/plugins/c/SOURCE.c` to a library, with the macros that are given (`KIND=9`).
pub(crate) fn c_library(to: &Path, source: &str, macros: &[&str]) {
    let output = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", "-g", "-O1"])
        .args(["-shared", "-fPIC", "-pthread", "-I"])
        .arg(root().join("plugins/sdk/include"))
        .args(macros.iter().map(|text| format!("-D{text}")))
        .arg(root().join("tests/plugins/c").join(source).with_extension("c"))
        .arg("-o")
        .arg(to)
        .output()
        .unwrap_or_else(|error| panic!("a C compiler, `cc`, is needed: {error}"));
    assert!(output.status.success(), "{macros:?}: {}", String::from_utf8_lossy(&output.stderr));
}
