//! The files that a spec is made of and names, so that whoever watches them knows.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Document;

/// Longer texts name no file.
const NAME_CHARACTERS_MAX: usize = 200;

impl Document {
    /// The files of the spec and of what it includes, and every text in it that may name a file,
    /// such as a script or the events of a test: with an ending, relative to the file that it
    /// stands in. They need not be there.
    pub fn named_files(&self) -> Vec<PathBuf> {
        let mut files = BTreeSet::new();
        for (source, _) in &self.directories {
            if !source.name.starts_with('<') {
                files.insert(PathBuf::from(&source.name));
            }
        }
        self.root.clone().for_each_leaf("", &mut |pointer, leaf, _| {
            let text = leaf.value.as_str().unwrap_or_default().trim();
            if may_name_a_file(text) {
                files.insert(self.directory_of(pointer).join(text));
            }
        });
        files.into_iter().collect()
    }
}

fn may_name_a_file(text: &str) -> bool {
    let ending = Path::new(text).extension().and_then(|ending| ending.to_str());
    let is_ending = |ending: &str| {
        ending.len() <= 8 && ending.starts_with(|first: char| first.is_ascii_alphabetic())
    };
    text.len() <= NAME_CHARACTERS_MAX
        && ending.is_some_and(is_ending)
        && !text.contains(['\n', '"', '{', '=', ' '])
}

#[cfg(test)]
mod tests {
    use super::super::Environment;
    use super::*;

    #[test]
    fn scripts_and_files_of_events_are_named_and_expressions_are_not() {
        let yaml = "a: { script: rules/x.rhai, when: 'event.payload.total > 1.5', at: 1.5 }\n\
                    b: [{ file: ../data/y.ndjson }, http://x:80/, event.type]\n";
        let environment = Environment::default();
        let document = Document::parse("p/shop.yaml", yaml, "p", &environment).unwrap();
        let files = ["p/../data/y.ndjson", "p/event.type", "p/rules/x.rhai", "p/shop.yaml"];
        assert_eq!(document.named_files(), files.map(PathBuf::from));
    }
}
