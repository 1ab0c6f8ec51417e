//! The rule cookbook: every recipe is a pipeline whose tests pass.

use std::path::Path;

use engine::engine::Engine;
use engine::registry::built_in;
use engine::spec::{Document, Environment};
use engine::testing::{Snapshots, Suite};

use crate::harness::project;

const PAGE: &str = include_str!("../../docs/rules.md");

/// The recipes: their titles and their pipelines.
fn recipes() -> Vec<(&'static str, &'static str)> {
    let sections = PAGE.split("\n## ").skip(1);
    let recipe = |section: &'static str| {
        let (title, rest) = section.split_once('\n')?;
        Some((title, rest.split_once("```yaml\n")?.1.split_once("```")?.0))
    };
    sections.filter_map(recipe).collect()
}

#[test]
fn every_recipe_of_the_cookbook_does_what_its_tests_say() {
    let recipes = recipes();
    assert_eq!(recipes.len(), PAGE.matches("```yaml\n").count(), "a section has two recipes");
    assert!(recipes.len() >= 12, "{} recipes", recipes.len());
    let mut failed = Vec::new();
    for (title, spec) in recipes {
        // Tables are those of the shipped pipelines.
        let folder = project("pipelines");
        let document = Document::parse(
            "rules.md",
            spec.to_owned(),
            Path::new(&folder),
            &Environment::default(),
        )
        .unwrap_or_else(|problems| panic!("{title}\n{problems}"));
        let engine = Engine::new(document, &built_in())
            .unwrap_or_else(|problems| panic!("{title}\n{problems}"));
        assert!(engine.warnings().0.is_empty(), "{title}\n{}", engine.warnings());
        let suite = Suite::new(engine.plan()).unwrap();
        assert!(!suite.cases().is_empty(), "{title} has no test");
        for case in suite.cases() {
            let outcome = suite.run(case, Snapshots::Compare);
            if !outcome.is_success() {
                failed.push(format!("{title}: {}\n{}", outcome.name, outcome.failures));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn every_pipeline_that_the_cookbook_names_is_there() {
    let named = PAGE.split("](../pipelines/").skip(1);
    let named: Vec<&str> = named.filter_map(|rest| rest.split(')').next()).collect();
    assert!(named.len() >= 5);
    for name in named {
        let text = std::fs::read_to_string(project("pipelines").join(name)).unwrap();
        assert!(text.contains("\ntests:"), "{name} has no tests");
    }
}
