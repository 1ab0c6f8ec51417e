//! `--set a.b=c`: edits of a spec from the command line, with places of their own.

use std::sync::Arc;

use super::Document;
use super::include::fill_in_leaves;
use super::node::{Content, Entry, Node, place};
use super::yaml;
use crate::problem::{Problem, Problems, SourceText};

impl Document {
    /// Sets the value at a path of keys, such as `sources.stores.with.seed=7`; the value is read
    /// as YAML. Keys that are not there are added: whether they make sense is for the plan to say.
    pub fn set(&mut self, edit: &str) -> Result<(), Problems> {
        let source = Arc::new(SourceText { name: "--set".to_owned(), text: edit.to_owned() });
        let Some((path, _)) = edit.split_once('=').filter(|(path, _)| !path.is_empty()) else {
            return Err(Problem::error(format!("`{edit}` sets nothing"))
                .help("write a path and a value: `--set sources.stores.with.seed=7`")
                .into());
        };
        let mut problems = Problems::default();
        let mut value = yaml::read(&source, path.len() + 1..edit.len(), &mut problems)?;
        let directory = self.directory().to_owned();
        fill_in_leaves(&mut value, &self.environment, &directory, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        self.directories.push((source.clone(), directory));
        let old = put(&mut self.root, &source, path, value)?;
        self.forget_problems_of(&old);
        Ok(())
    }
}

/// Puts a value in its place, and returns what was there.
fn put(
    root: &mut Node,
    source: &Arc<SourceText>,
    path: &str,
    value: Node,
) -> Result<Node, Problem> {
    let mut node = root;
    let mut start = 0;
    for key in path.split('.') {
        let key_place = place(source, start..start + key.len());
        start += key.len() + 1;
        // What was left empty (`with:`) holds nothing, so a key may go there.
        if node.scalar().is_some_and(|scalar| scalar.value.is_null()) {
            node.content = Content::Mapping(Vec::new());
        }
        node = match &mut node.content {
            Content::Mapping(entries) => {
                let known = entries.iter().position(|entry| entry.key == key);
                let index = known.unwrap_or_else(|| {
                    let value = super::node::leaf(serde_json::Value::Null, key_place.clone());
                    entries.push(Entry { key: key.to_owned(), key_place, value });
                    entries.len() - 1
                });
                &mut entries[index].value
            }
            Content::Sequence(items) => {
                let count = items.len();
                let item = key.parse::<usize>().ok().and_then(|index| items.get_mut(index));
                item.ok_or_else(|| {
                    Problem::error(format!("no item `{key}`"))
                        .at(key_place)
                        .help(format!("the list has {count} items, counted from 0"))
                })?
            }
            Content::Scalar(_) => {
                return Err(
                    Problem::error(format!("no key `{key}` in a single value")).at(key_place)
                );
            }
        };
    }
    Ok(std::mem::replace(node, value))
}

#[cfg(test)]
mod tests {
    use super::super::Environment;
    use super::*;
    use serde_json::json;

    fn document() -> Document {
        let yaml = "a: { b: [1, 2], c: x }\nwith:\n";
        Document::parse("a.yaml", yaml, "", &Environment::default()).unwrap()
    }

    #[test]
    fn values_are_yaml_and_keys_are_added() {
        let mut document = document();
        for edit in ["a.b.1=7", "a.c=text", "with.deep.key=[true, no]", "a.e=", "a.f=x=y"] {
            document.set(edit).unwrap();
        }
        assert_eq!(
            document.value(""),
            json!({
                "a": { "b": [1, 7], "c": "text", "e": null, "f": "x=y" },
                "with": { "deep": { "key": [true, "no"] } },
            })
        );
        assert_eq!(document.place("/a/b/1").unwrap().display(), "--set:1:7");
        assert_eq!(document.key_place("/with/deep").unwrap().display(), "--set:1:6");
    }

    #[test]
    fn an_edit_that_fits_nowhere_is_a_problem() {
        for (edit, message) in [
            ("a.c.d=1", "no key `d` in a single value"),
            ("a.b.2=1", "no item `2`"),
            ("a", "`a` sets nothing"),
            ("=1", "`=1` sets nothing"),
            ("a=[1", "not YAML"),
            ("a=${NO_SUCH}", "the variable `NO_SUCH` is not set"),
        ] {
            let problems = document().set(edit).unwrap_err();
            assert!(problems.0[0].message.contains(message), "{problems}");
        }
    }
}
