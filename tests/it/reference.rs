//! Pages of the documentation that the program writes itself are what it says.

use crate::harness::{Test, project};

#[test]
fn the_reference_is_fresh() {
    is_fresh("docs/reference.md", &["describe", "--all", "--format", "markdown"]);
}

#[test]
fn the_list_of_functions_is_fresh() {
    is_fresh("docs/functions.md", &["list", "functions", "--format", "markdown"]);
}

fn is_fresh(page: &str, command: &[&str]) {
    let path = project(page);
    let fresh = Test::new(command).run().exits(0).stdout;
    if std::env::var_os("ENGINE_UPDATE").is_some_and(|update| update == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &fresh).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == fresh, "{page} has drifted; run the tests with `ENGINE_UPDATE=1`");
}
