//! Builds the libraries beside this file, each as its author would. For tests of several crates.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The folder of the whole project.
fn root() -> &'static Path {
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

/// The library of the crate `faulty-plugin`, built once for each test program.
pub(crate) fn faulty() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let output = Command::new(env!("CARGO"))
            .args(["build", "--package", "faulty-plugin", "--message-format", "json"])
            .current_dir(root())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let artifacts = String::from_utf8(output.stdout).unwrap();
        let library = artifacts.lines().filter(|line| line.contains("\"faulty_plugin\""));
        let file = library.flat_map(|line| line.split('"')).find(|text| is_library(text));
        PathBuf::from(file.expect("cargo tells where the library is"))
    })
}

fn is_library(text: &str) -> bool {
    let extensions = ["so", "dylib", "dll"];
    Path::new(text).extension().is_some_and(|name| extensions.iter().any(|one| name == *one))
}
