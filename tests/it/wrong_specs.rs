//! Wrong specs, and word for word what is said about them: `tests/wrong/NAME.yaml` beside
//! `NAME.txt`. `ENGINE_UPDATE=1 cargo test` writes the texts anew.

use std::path::{Path, PathBuf};

use engine::plan::Plan;
use engine::problem::Problems;
use engine::registry::built_in;
use engine::spec::{Document, Environment};
use engine::testing::Suite;

use crate::golden;

fn problems(path: &Path) -> Problems {
    let environment = Environment::from_iter([("PORT".to_owned(), "eighty".to_owned())]);
    let planned =
        Document::read(path, &environment).and_then(|document| Plan::new(document, &built_in()));
    let (plan, mut warnings) = match planned {
        Ok(planned) => planned,
        Err(problems) => return problems,
    };
    let tests =
        Suite::new(&plan).map_or_else(|problems| problems, |suite| suite.warnings().clone());
    warnings.append(tests);
    warnings
}

/// The specs of a folder; folders in it hold what they include.
fn specs(folder: &str) -> Vec<PathBuf> {
    let mut specs: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    specs.sort();
    specs
}

#[test]
fn every_wrong_spec_is_told_as_recorded() {
    let mut specs = specs("tests/wrong");
    specs.extend(self::specs("tests/wrong/scripts"));
    assert!(specs.len() >= 30, "{} wrong specs", specs.len());
    let mut drifted = Vec::new();
    for path in specs {
        let said = problems(&path).render(false);
        assert!(!said.is_empty(), "nothing is said about {}", path.display());
        drifted.extend(golden::drift(&path.with_extension("txt"), &said));
    }
    assert!(drifted.is_empty(), "{}", drifted.join("\n"));
}

#[test]
fn colour_changes_nothing_but_colour() {
    let problems = problems(Path::new("tests/wrong/unknown_setting.yaml"));
    let coloured = problems.render(true);
    assert_ne!(coloured, problems.render(false));
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), problems.render(false));
}

#[test]
fn a_directory_and_a_missing_file_are_no_specs() {
    let folder = tempfile::tempdir().unwrap();
    let said = problems(folder.path()).render(false);
    assert!(said.contains("it is a directory"), "{said}");
    let said = problems(&folder.path().join("none.yaml")).render(false);
    assert!(said.contains("there is no such file"), "{said}");
}

#[test]
fn twenty_thousand_brackets_are_refused_at_the_first_too_deep() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep.yaml");
    for (opening, column) in [("[", 74), ("{a: ", 262)] {
        std::fs::write(&path, format!("sources: {}", opening.repeat(20_000))).unwrap();
        let problems = problems(&path);
        let place = problems.0[0].place.as_ref().unwrap().start();
        assert!(problems.0[0].message.contains("deep"), "{problems}");
        assert_eq!((place.line, place.column), (1, column), "{opening}");
        assert!(problems.render(false).lines().all(|line| line.len() < 200));
    }
}
