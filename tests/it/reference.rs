//! `docs/reference.md` is what the components say of themselves.

use crate::harness::{Test, project};

#[test]
fn the_reference_is_fresh() {
    let path = project("docs/reference.md");
    let fresh = Test::new(&["describe", "--all", "--format", "markdown"]).run().exits(0).stdout;
    if std::env::var_os("ENGINE_UPDATE").is_some_and(|update| update == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &fresh).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == fresh,
        "docs/reference.md has drifted; run the tests with `ENGINE_UPDATE=1`"
    );
}
