//! The effective spec as YAML, and the blotting out of what is secret.

use std::sync::Arc;

use serde_json::Value;

use super::Document;
use super::node::Node;
use crate::problem::{Problems, SourceText};

/// Stands for a secret.
const MASK: &str = "***";

impl Document {
    /// The spec with includes, variables and edits in their places, as YAML; secrets are `***`.
    pub fn render_effective(&self) -> String {
        serde_saphyr::to_string(&self.masked_value("")).unwrap_or_default()
    }

    /// The value at a pointer, with `***` for what is secret; null where there is none.
    pub fn masked_value(&self, pointer: &str) -> Value {
        let mut value = self.root.value();
        for pointer in self.all_secrets() {
            if let Some(secret) = value.pointer_mut(&pointer).filter(|value| !value.is_null()) {
                *secret = MASK.into();
            }
        }
        value.pointer_mut(pointer).map(Value::take).unwrap_or_default()
    }

    /// Marks a value as one that is never shown, and blots it out where it is written: every place
    /// asked for from now on points into a text that lacks it.
    pub fn mark_secret(&mut self, pointer: &str) {
        if self.secrets.insert(pointer.to_owned()) {
            self.blot_out(pointer);
        }
    }

    /// The same for everything that reads like a connection string of Azure, wherever it stands: under
    /// a misspelt key, no schema calls it secret.
    pub fn mark_connection_strings(&mut self) {
        let mut found = Vec::new();
        self.root.clone().for_each_leaf("", &mut |pointer, leaf, _| {
            let text = leaf.value.as_str().unwrap_or_default().to_ascii_lowercase();
            if text.contains("sharedaccesskey=") || text.contains("sharedaccesssignature=") {
                found.push(pointer.to_owned());
            }
        });
        for pointer in found {
            self.mark_secret(&pointer);
        }
    }

    fn blot_out(&mut self, pointer: &str) {
        let Some(node) = self.root.at(pointer) else { return };
        let written_openly = match node.scalar() {
            Some(leaf) => leaf.filled.is_none() && !leaf.value.is_null(),
            None => true,
        };
        let old = node.place.source.clone();
        let Some(secret) = old.text.get(node.place.span.clone()).filter(|_| written_openly) else {
            return;
        };
        let blot = |character: char| match character {
            '\n' | '\r' | ' ' => character.to_string(),
            _ => "*".repeat(character.len_utf8()),
        };
        let mut text = old.text.clone();
        let blotted: String = secret.chars().map(blot).collect();
        text.replace_range(node.place.span.clone(), &blotted);
        let new = Arc::new(SourceText { name: old.name.clone(), text });
        let renew = |source: &mut Arc<SourceText>| {
            if Arc::ptr_eq(source, &old) {
                *source = new.clone();
            }
        };
        self.root.for_each_place(&mut |place| renew(&mut place.source));
        self.directories.iter_mut().for_each(|(source, _)| renew(source));
        let places = self.problems.0.iter_mut().filter_map(|problem| problem.place.as_mut());
        places.for_each(|place| renew(&mut place.source));
    }

    /// A text without a trace of secrets.
    pub fn masked(&self, text: &str) -> String {
        self.secret_texts().masked(text)
    }

    /// What is secret, gathered once for whoever masks many texts.
    pub fn secret_texts(&self) -> SecretTexts {
        let secrets = self.all_secrets();
        let nodes = secrets.iter().filter_map(|pointer| self.root.at(pointer));
        SecretTexts(nodes.flat_map(texts).filter(|text| text.len() >= MASK.len()).collect())
    }

    /// Problems without a trace of secrets.
    #[must_use]
    pub fn without_secrets(&self, mut problems: Problems) -> Problems {
        let SecretTexts(secrets) = self.secret_texts();
        for problem in &mut problems.0 {
            let texts = [Some(&mut problem.message), problem.label.as_mut(), problem.help.as_mut()];
            for text in texts.into_iter().flatten() {
                for secret in &secrets {
                    *text = text.replace(secret, MASK);
                }
            }
            if let Some(note) = &mut problem.note {
                for secret in &secrets {
                    *note = note.replace(secret, MASK).into();
                }
            }
        }
        problems
    }

    /// What the settings types mark, and what came from a file.
    fn all_secrets(&self) -> Vec<String> {
        let mut secrets: Vec<String> = self.secrets.iter().cloned().collect();
        self.root.clone().for_each_leaf("", &mut |pointer, leaf, _| {
            if leaf.filled.as_ref().is_some_and(|filled| filled.secret) {
                secrets.push(pointer.to_owned());
            }
        });
        secrets
    }
}

/// What is secret in a spec.
pub struct SecretTexts(Vec<String>);

impl SecretTexts {
    /// A text without a trace of them.
    pub fn masked(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
    }
}

fn texts(node: &Node) -> Vec<String> {
    match node.value() {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::Object(entries) => {
            entries.values().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Environment;
    use super::*;
    use crate::problem::Problem;
    use proptest::prelude::*;
    use serde_json::json;

    fn parse(yaml: &str) -> Document {
        Document::parse("a.yaml", yaml, "", &Environment::default()).unwrap()
    }

    #[test]
    fn what_reads_like_a_connection_string_is_masked_wherever_it_stands() {
        let mut document = parse(
            "a: { conection_string: \"Endpoint=sb://h/;SharedAccessKeyName=a;SharedAccessKey=c2VjcmV0\" }\n\
             b: [\"sharedaccesskey=c2VjcmV0\", plain]\n",
        );
        document.mark_connection_strings();
        let effective = document.render_effective();
        assert!(!effective.contains("c2VjcmV0") && effective.contains("plain"), "{effective}");
        let problem =
            Problem::error("unknown setting").at(document.key_place("/a/conection_string"));
        let text = crate::problem::Problems::from(problem).render(false);
        assert!(text.contains("conection_string: ***") && !text.contains("c2VjcmV0"), "{text}");
    }

    #[test]
    fn secrets_are_masked_in_the_effective_spec_and_in_problems() {
        let mut document = parse("a: 1\nkey: hunter22 # é\nb: x\n");
        document.mark_secret("/key");
        assert_eq!(document.value("/key"), json!("hunter22"));
        assert!(
            document.render_effective().contains("key: \"***\""),
            "{}",
            document.render_effective()
        );
        let problem = Problem::error("`hunter22` is wrong").at(document.place("/key"));
        let text = document.without_secrets(problem.into()).render(false);
        assert!(text.contains("key: ********") && !text.contains("hunter22"), "{text}");
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            "[ -~\n\t]{0,20}".prop_map(Value::from),
            prop_oneof!["no", "0042", "1e3", "~", "<<", "0x1f", "\\.inf"].prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,4}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_effective_spec_reads_back_as_itself(value in value()) {
            // Variables would be filled in, which is not what is tested here.
            let yaml = serde_json::to_string(&json!({ "root": value })).unwrap().replace('$', "S");
            let document = parse(&yaml);
            let rendered = document.render_effective();
            prop_assert_eq!(parse(&rendered).value(""), document.value(""), "{}", rendered);
        }
    }
}
