//! A part of a spec against a JSON Schema: variables are given the type the schema asks for,
//! secrets are marked, and what does not fit is told with its place.

use std::collections::BTreeSet;

use jsonschema::Validator;
use serde_json::Value;

use super::Document;
use super::node::{Node, join};
use super::scalar;
use super::schema_walk::walk;
use super::violation::{At, KeyMistake, Violation, violations};
use crate::problem::Problem;

/// A schema that is ready to check with.
pub(crate) struct Checker {
    schema: Value,
    validator: Validator,
}

impl Checker {
    /// Prepares a schema; settings types make valid ones, a plugin's may be broken.
    pub(crate) fn new(schema: Value) -> Result<Self, String> {
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(&schema)
            .map_err(|error| error.to_string())?;
        Ok(Self { schema, validator })
    }

    fn violations(&self, value: &Value, noun: &str) -> Vec<Violation> {
        violations(&self.validator, &self.schema, value, noun)
    }

    fn count(&self, value: &Value) -> usize {
        self.validator.iter_errors(value).count()
    }
}

impl Document {
    /// Checks what stands at a pointer; `absent` stands for it if nothing does. `noun` is what a
    /// key there is called: `key`, `setting`.
    pub(crate) fn check(
        &mut self,
        pointer: &str,
        absent: &Value,
        checker: &Checker,
        noun: &str,
    ) -> Vec<Problem> {
        self.mark_secrets(pointer, checker);
        self.coerce_filled(pointer, checker);
        self.make_integers(pointer, checker);
        let mut value = self.value(pointer);
        if value.is_null() {
            value = absent.clone();
        }
        let mut violations = checker.violations(&value, noun);
        violations.extend(number_violations(&checker.schema, &value));
        violations
            .into_iter()
            .filter(|violation| !self.is_unfilled(&format!("{pointer}{}", violation.pointer)))
            .map(|violation| self.problem_of(pointer, violation))
            .collect()
    }

    /// Marks what the schema calls secret (`x-secret`, `writeOnly`).
    pub(crate) fn mark_secrets(&mut self, pointer: &str, checker: &Checker) {
        let mut secrets = Vec::new();
        walk(&checker.schema, &self.value(pointer), &mut |below, schema, value| {
            let marked = ["x-secret", "writeOnly"].iter().any(|mark| schema[*mark] == true);
            if marked && !value.is_null() {
                secrets.push(format!("{pointer}{below}"));
            }
        });
        for secret in secrets {
            self.mark_secret(&secret);
        }
    }

    /// Text that came from variables becomes a number, a truth value or nothing where the schema
    /// has it so and does not take the text.
    fn coerce_filled(&mut self, pointer: &str, checker: &Checker) {
        let mut value = self.value(pointer);
        let before = checker.count(&value);
        if before == 0 {
            return;
        }
        let mut coerced = Vec::new();
        for (below, text) in self.filled_leaves(pointer) {
            let typed = scalar::plain(&text);
            if let Some(leaf) = value.pointer_mut(&below).filter(|_| !typed.is_string()) {
                *leaf = typed;
                coerced.push((below, text));
            }
        }
        // Each goes back to text unless that is worse.
        for (below, text) in coerced {
            let errors = checker.count(&value);
            let Some(leaf) = value.pointer_mut(&below) else { continue };
            let typed = std::mem::replace(leaf, text.into());
            if checker.count(&value) > errors {
                if let Some(leaf) = value.pointer_mut(&below) {
                    *leaf = typed.clone();
                }
                self.retype(&format!("{pointer}{below}"), typed);
            }
        }
    }

    /// The leaves at or below a pointer that came from variables: their pointers from there on,
    /// and their text.
    fn filled_leaves(&self, pointer: &str) -> Vec<(String, String)> {
        let mut leaves = Vec::new();
        let Some(node) = self.root.at(pointer) else { return leaves };
        node.clone().for_each_leaf("", &mut |below, leaf, _| {
            if let Some(filled) = leaf.filled.as_ref().filter(|filled| !filled.missing) {
                leaves.push((below.to_owned(), filled.text.clone()));
            }
        });
        leaves
    }

    /// `1.0` and `1e3` are integers to JSON Schema, but not to the settings types.
    fn make_integers(&mut self, pointer: &str, checker: &Checker) {
        let mut integers = Vec::new();
        walk(&checker.schema, &self.value(pointer), &mut |below, schema, value| {
            let Some(number) = value.as_f64().filter(|_| value.is_f64()) else { return };
            if takes_integers_only(schema) && number.fract() == 0.0 && number.abs() < 9e15 {
                integers.push((below.to_owned(), number as i64));
            }
        });
        for (below, integer) in integers {
            self.retype(&format!("{pointer}{below}"), integer.into());
        }
    }

    fn retype(&mut self, pointer: &str, value: Value) {
        if let Some(leaf) = self.root.at_mut(pointer).and_then(|node| node.scalar_mut()) {
            leaf.value = value;
        }
    }

    fn problem_of(&self, base: &str, violation: Violation) -> Problem {
        let pointer = format!("{base}{}", violation.pointer);
        let place = match &violation.at {
            At::Value => self.place(&pointer),
            At::Key => self.key_place(&pointer),
            At::KeyBelow(key) => self.key_place(&join(&pointer, key)),
        };
        let mut problem = Problem::error(violation.message).at(place);
        problem.help = violation.help;
        // What was filled in may be secret: it is shown as it was written.
        let leaf = self.root.at(&pointer).and_then(Node::scalar);
        if let Some(filled) = leaf.and_then(|leaf| leaf.filled.as_ref()) {
            let shown = problem
                .message
                .replace(&format!("`{}`", filled.text), &format!("`{}`", filled.raw));
            problem.message = shown;
            problem = problem.label("with its variables filled in");
        }
        problem
    }
}

fn takes_integers_only(schema: &Value) -> bool {
    match &schema["type"] {
        Value::String(name) => name == "integer",
        Value::Array(names) => {
            names.iter().any(|name| name == "integer") && !names.iter().any(|name| name == "number")
        }
        _ => false,
    }
}

/// Integers beyond what their format holds, of which JSON Schema knows nothing.
fn number_violations(schema: &Value, value: &Value) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    walk(schema, value, &mut |pointer, schema, value| {
        if !takes_integers_only(schema) || !value.is_number() {
            return;
        }
        let max = match schema["format"].as_str() {
            Some("uint8") => u64::from(u8::MAX),
            Some("uint16") => u64::from(u16::MAX),
            Some("uint32") => u64::from(u32::MAX),
            Some("int32") => i32::MAX as u64,
            Some("int64" | "int") => i64::MAX as u64,
            _ => u64::MAX,
        };
        let too_large = value.as_u64().is_some_and(|number| number > max)
            || value.is_f64() && value.as_f64().is_some_and(|number| number > 0.0);
        let whole = value.as_f64().is_some_and(|number| number.fract() == 0.0);
        if too_large && whole && seen.insert(pointer.to_owned()) {
            found.push(Violation {
                pointer: pointer.to_owned(),
                at: At::Value,
                message: format!("`{value}` is too large: expected at most {max}"),
                help: None,
                key: KeyMistake::None,
            });
        }
    });
    found
}
