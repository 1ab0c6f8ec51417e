//! The subject of a message: a template, filled in from an event so that no value makes a token more.

use std::fmt::Write;

use engine_plugin::{Engine, Events, Key, Value};

/// How many characters of a value a subject takes.
const VALUE_CHARACTERS: usize = 64;
/// How long a subject is at most, in bytes: a server ends a connection that sends it a line of more
/// than 4096, of which this is the largest part.
const SUBJECT_BYTES: usize = 2048;
/// What stands for a value that an event does not have.
const MISSING: &str = "none";

/// A parsed subject.
#[derive(Debug)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug)]
enum Part {
    Literal(String),
    Field(Key),
}

impl Template {
    /// # Errors
    ///
    /// It is no subject, or a placeholder is no field.
    pub(crate) fn parse(text: &str, engine: &Engine) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            let (path, after) =
                after.split_once('}').ok_or_else(|| format!("a `{{` in `{text}` has no `}}`"))?;
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            parts.push(Part::Field(engine.key(path).map_err(|error| error.to_string())?));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        let template = Self(parts);
        template.check(text)?;
        Ok(template)
    }

    fn check(&self, text: &str) -> Result<(), String> {
        let literals = self.0.iter().filter_map(|part| match part {
            Part::Literal(literal) => Some(literal.as_str()),
            Part::Field(_) => None,
        });
        for literal in literals {
            let is_wrong = |c: char| !is_fine(c) && c != '.' && c != '$';
            if let Some(wrong) = literal.chars().find(|c| is_wrong(*c)) {
                return Err(format!("`{text}` is no subject: {wrong:?} is not allowed in one"));
            }
        }
        if self.filter().split('.').any(str::is_empty) {
            return Err(format!("`{text}` is no subject: there is nothing between two dots"));
        }
        Ok(())
    }

    /// The subjects that it can come to: `retail.*` for `retail.{event_type}`.
    pub(crate) fn filter(&self) -> String {
        let mut filter = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => filter.push_str(literal),
                Part::Field(_) => filter.push('*'),
            }
        }
        // `*` stands for a whole token only.
        let tokens = filter.split('.').map(|token| if token.contains('*') { "*" } else { token });
        tokens.collect::<Vec<_>>().join(".")
    }

    /// The subject of an event.
    ///
    /// # Errors
    ///
    /// It is longer than a server takes.
    pub(crate) fn render(&self, events: &Events<'_>, row: usize) -> Result<String, String> {
        let mut subject = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => subject.push_str(literal),
                Part::Field(key) => push_value(events.get(row, *key), &mut subject),
            }
        }
        if subject.len() > SUBJECT_BYTES {
            return Err(format!(
                "the subject has more than {SUBJECT_BYTES} bytes: `{subject:.60}`"
            ));
        }
        Ok(subject)
    }
}

/// Adds a value as a part of a token.
fn push_value(value: Value<'_>, subject: &mut String) {
    match value {
        Value::Absent | Value::Null => subject.push_str(MISSING),
        Value::Str(text) | Value::Json(text) => push_clean(text, subject),
        Value::Bool(value) => push_clean(if value { "true" } else { "false" }, subject),
        Value::F64(number) => push_clean(&number.to_string(), subject),
        Value::I64(number) | Value::Time(number) => {
            // Writing to a string does not fail.
            let _ = write!(subject, "{number}");
        }
    }
}

fn push_clean(text: &str, subject: &mut String) {
    if text.is_empty() {
        return subject.push_str(MISSING);
    }
    let characters = text.chars().take(VALUE_CHARACTERS);
    subject.extend(characters.map(|c| if is_fine(c) { c } else { '_' }));
}

/// Whether a character may be in a token, wherever it stands: it parts no tokens, is no wildcard,
/// and begins no subject of the server's own.
fn is_fine(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !matches!(c, '.' | '*' | '>' | '$' | '{' | '}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_value_makes_a_token_more(text in prop_oneof![any::<String>(), "[.*> a\\n{}$]{0,9}"]) {
            let mut subject = "retail.".to_owned();
            push_value(Value::Str(&text), &mut subject);
            let tokens: Vec<_> = subject.split('.').collect();
            prop_assert_eq!(tokens.len(), 2);
            prop_assert!(!tokens[1].is_empty());
            prop_assert!(!tokens[1].contains(|c: char| c.is_whitespace() || "*>$\0".contains(c)));
            prop_assert!(tokens[1].chars().count() <= VALUE_CHARACTERS);
        }
    }

    #[test]
    fn values_that_are_no_texts_stand_for_themselves() {
        let rendered = |value| {
            let mut subject = String::new();
            push_value(value, &mut subject);
            subject
        };
        let values = [
            Value::Absent,
            Value::Null,
            Value::Str(""),
            Value::Bool(true),
            Value::I64(-7),
            Value::F64(2.5),
            Value::Time(1000),
            Value::Json("[1, 2]"),
        ];
        let wanted = ["none", "none", "none", "true", "-7", "2_5", "1000", "[1,_2]"];
        assert_eq!(values.map(rendered), wanted);
    }
}
