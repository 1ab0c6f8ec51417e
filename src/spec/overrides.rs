//! What flags of the command line put in place of values of a spec, such as `--events 100`.

use std::sync::Arc;

use serde_json::Value;

use super::Document;
use super::document::{last_key, parent};
use super::node::{Content, Entry, Node, join, leaf, place, segments};
use super::yaml;
use crate::problem::{Place, Problems, SourceText};

impl Document {
    /// Sets the value at a JSON pointer; problems with it will point at `origin`, such as
    /// `--events`. Mappings on the way that are not there are added. Where something else stands
    /// on the way nothing is set: the plan will say what is wrong with that.
    pub fn put(&mut self, origin: &str, pointer: &str, value: &Value) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let source = Arc::new(SourceText { name: origin.to_owned(), text });
        let whole = place(&source, 0..source.text.len());
        let Some(node) = slot(&mut self.root, pointer, &whole) else { return };
        let single = leaf(value.clone(), whole.clone());
        // JSON is YAML, so every part of a value of several has its place in the text of it.
        let new = match value {
            Value::Object(_) | Value::Array(_) => {
                yaml::read(&source, whole.span, &mut Problems::default()).unwrap_or(single)
            }
            _ => single,
        };
        let old = std::mem::replace(node, new);
        self.forget_problems_of(&old);
        self.directories.push((source, self.directory().to_owned()));
    }

    /// Takes away what stands at a JSON pointer, if anything does.
    pub fn remove(&mut self, pointer: &str) {
        let key = last_key(pointer);
        let above = parent(pointer).and_then(|parent| self.root.at_mut(parent));
        let Some(entries) = above.and_then(Node::entries_mut) else { return };
        if let Some(index) = entries.iter().position(|entry| entry.key == key) {
            let removed = entries.remove(index);
            self.forget_problems_of(&removed.value);
        }
    }

    /// The seed for the whole pipeline, in place of what the spec says: its own and those of its
    /// sources.
    pub fn override_seed(&mut self, seed: u64) {
        self.put("--seed", "/seed", &seed.into());
        let sources = self.value("/sources");
        for name in sources.as_object().into_iter().flat_map(|sources| sources.keys()) {
            let pointer = format!("{}/with/seed", join("/sources", name));
            if self.contains(&pointer) {
                self.put("--seed", &pointer, &seed.into());
            }
        }
    }

    /// What was wrong with a value that another one has replaced does not matter any more.
    pub(super) fn forget_problems_of(&mut self, old: &Node) {
        let mut places: Vec<Place> = Vec::new();
        old.clone().for_each_leaf("", &mut |_, _, place| places.push(place.clone()));
        let is_within = |inner: &Place, outer: &Place| {
            let (span, around) = (&inner.span, &outer.span);
            Arc::ptr_eq(&inner.source, &outer.source)
                && around.start <= span.start
                && span.end <= around.end
        };
        self.problems.0.retain(|problem| {
            let place = problem.place.as_ref();
            !place.is_some_and(|place| places.iter().any(|old| is_within(place, old)))
        });
    }
}

/// The node at a pointer, added if it is not there.
fn slot<'a>(root: &'a mut Node, pointer: &str, stands: &Place) -> Option<&'a mut Node> {
    segments(pointer).try_fold(root, |node, key| {
        // What was left empty (`with:`) holds nothing, so a key may go there.
        if node.scalar().is_some_and(|scalar| scalar.value.is_null()) {
            node.content = Content::Mapping(Vec::new());
        }
        let entries = node.entries_mut()?;
        let known = entries.iter().position(|entry| entry.key == *key);
        let index = known.unwrap_or_else(|| {
            let (key_place, value) = (stands.clone(), leaf(Value::Null, stands.clone()));
            entries.push(Entry { key, key_place, value });
            entries.len() - 1
        });
        Some(&mut entries[index].value)
    })
}

#[cfg(test)]
mod tests {
    use super::super::Environment;
    use super::*;
    use serde_json::json;

    fn document(yaml: &str) -> Document {
        Document::parse("a.yaml", yaml, "", &Environment::default()).unwrap()
    }

    #[test]
    fn values_are_put_and_removed_and_point_at_their_flag() {
        let mut document = document("clock: { until: x }\nlist: [1]\nwith:\n");
        document.put("--events", "/clock/events", &json!(3));
        document.put("--sample", "/with/format", &json!({ "deep": "x" }));
        document.put("--sample", "/list/key/0", &json!(1));
        document.remove("/clock/until");
        document.remove("/no/such");
        assert_eq!(
            document.value(""),
            json!({
                "clock": { "events": 3 },
                "list": [1],
                "with": { "format": { "deep": "x" } },
            })
        );
        assert_eq!(document.place("/clock/events").unwrap().display(), "--events:1:1");
        assert_eq!(document.place("/with/format/deep").unwrap().display(), "--sample:1:9");
    }

    #[test]
    fn a_seed_from_outside_replaces_all_that_are_written() {
        let mut document = document("sources: { a: { with: { seed: 1 } }, b: { with: {} } }");
        document.override_seed(9);
        assert_eq!(
            document.value(""),
            json!({ "sources": { "a": { "with": { "seed": 9 } }, "b": { "with": {} } }, "seed": 9 })
        );
    }

    #[test]
    fn a_variable_that_is_not_needed_any_more_may_be_missing() {
        let yaml = "sinks: { a: { with: { key: '${NO_SUCH}' } }, b: { key: '${NO_SUCH}' } }";
        let mut replaced = document(yaml);
        assert_eq!(replaced.problems().0.len(), 2);
        replaced.put("--sample", "/sinks/a/with", &json!({}));
        assert_eq!(replaced.problems().0.len(), 1);
        replaced.remove("/sinks/b");
        assert_eq!(replaced.problems().0.len(), 0);
        let mut set = document(yaml);
        set.set("sinks.a.with.key=1").unwrap();
        assert_eq!(set.problems().0.len(), 1);
    }
}
