//! Names, and what is carried.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{sdk, type_name};

fn below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { below(&path, files) } else { files.push(path) }
    }
}

#[test]
fn all_of_the_crate_is_carried() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/sdk");
    let mut files = vec![root.join("Cargo.toml"), root.join("README.md")];
    below(&root.join("src"), &mut files);
    below(&root.join("include"), &mut files);
    let name = |path: PathBuf| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    let there: BTreeSet<String> = files.into_iter().map(name).collect();
    let carried: BTreeSet<String> = sdk::FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(carried, there);
}

#[test]
fn the_manifest_that_is_carried_needs_no_workspace() {
    let (_, manifest) = sdk::files().find(|(path, _)| *path == "Cargo.toml").unwrap();
    assert!(!manifest.contains("workspace") && !manifest.contains("[lints]"), "{manifest}");
    assert!(manifest.contains("\ntesting = [") && manifest.contains("\nserde = {"), "{manifest}");
}

#[test]
fn the_name_of_the_folder_is_the_type_of_the_stage() {
    let name = |folder: &str| type_name(Path::new(folder)).ok();
    assert_eq!(name("loyalty").as_deref(), Some("loyalty"));
    assert_eq!(name("some/where/loyalty-tier2").as_deref(), Some("loyalty_tier2"));
    for folder in ["Loyalty", "2nd", "-x", "a b", "a.b", "é", "..", "/", "", "filter", "retail"] {
        assert_eq!(name(folder), None, "{folder}");
    }
    assert_eq!(name(&"x".repeat(65)), None);
}
