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
    let source = root().join("tests/plugins/c").join(source).with_extension("c");
    let macros: Vec<_> = macros.iter().map(|text| format!("-D{text}")).collect();
    let flags = ["-g", "-O1", "-pthread"].into_iter().chain(macros.iter().map(String::as_str));
    assert!(compile(to, &source, flags), "a C compiler, `cc`, is needed");
}

/// Compiles a file in C to a library. False if there is no C compiler and `ENGINE_TEST_REQUIRE`
/// does not ask for one.
pub(crate) fn compile<'a>(
    to: &Path,
    source: &Path,
    flags: impl IntoIterator<Item = &'a str>,
) -> bool {
    let output = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", "-shared", "-fPIC", "-I"])
        .arg(root().join("plugins/sdk/include"))
        .args(flags)
        .args([source, Path::new("-o"), to])
        .output();
    let required = std::env::var("ENGINE_TEST_REQUIRE").unwrap_or_default();
    let is_required = required.split(',').any(|name| name.trim() == "cc");
    assert!(output.is_ok() || !is_required, "there is no `cc`, which is required");
    let Ok(output) = output else {
        println!("skipped: there is no C compiler `cc`");
        return false;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", source.display());
    true
}
