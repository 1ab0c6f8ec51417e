//! Where a value does not fit its JSON Schema, in the words of a spec.

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{JsonType, ValidationError, Validator};
use serde_json::Value;

use super::schema_walk::known_keys;
use crate::problem::did_you_mean;

/// One misfit.
pub(super) struct Violation {
    /// The JSON pointer of the value.
    pub(super) pointer: String,
    pub(super) at: At,
    pub(super) message: String,
    pub(super) help: Option<String>,
    pub(super) key: KeyMistake,
}

/// A mistake in a key, and what it is about.
#[derive(PartialEq, Eq)]
pub(super) enum KeyMistake {
    None,
    Missing(String),
    /// Unknown, but likely meant to be this.
    Misspelt(String),
}

/// What of it the caret goes under.
pub(super) enum At {
    Value,
    Key,
    /// A key in the value.
    KeyBelow(String),
}

/// All misfits of a value. `noun` is what a key of it is called.
pub(super) fn violations(
    validator: &Validator,
    schema: &Value,
    value: &Value,
    noun: &str,
) -> Vec<Violation> {
    let mut teller = Teller { schema, noun, found: Vec::new() };
    validator.iter_errors(value).for_each(|error| teller.tell(&error));
    without_echoes(teller.found)
}

/// A misspelt key that is required is missing too, but that is one mistake.
fn without_echoes(mut found: Vec<Violation>) -> Vec<Violation> {
    let misspelt: Vec<_> = found
        .iter()
        .filter_map(|violation| match &violation.key {
            KeyMistake::Misspelt(meant) => Some((violation.pointer.clone(), meant.clone())),
            _ => None,
        })
        .collect();
    found.retain(|violation| {
        let is_echo = |(pointer, meant): &(String, String)| {
            *pointer == violation.pointer && violation.key == KeyMistake::Missing(meant.clone())
        };
        !misspelt.iter().any(is_echo)
    });
    found
}

struct Teller<'a> {
    schema: &'a Value,
    noun: &'a str,
    found: Vec<Violation>,
}

impl Teller<'_> {
    fn tell(&mut self, error: &ValidationError<'_>) {
        match error.kind() {
            Kind::AdditionalProperties { unexpected }
            | Kind::UnevaluatedProperties { unexpected } => {
                for key in unexpected {
                    self.unknown_key(error, key);
                }
            }
            Kind::Required { property } => {
                let key = property.as_str().unwrap_or_default();
                self.add(error, At::Key, format!("missing {} `{key}`", self.noun), None);
                self.about_key(KeyMistake::Missing(key.to_owned()));
            }
            Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
                self.no_branch_fits(error, context);
            }
            Kind::PropertyNames { error: inner } => {
                let key = inner.instance().as_str().unwrap_or_default().to_owned();
                let (message, help) = self.pattern(inner);
                self.add(error, At::KeyBelow(key), message, help);
            }
            Kind::Pattern { .. } => {
                let (message, help) = self.pattern(error);
                self.add(error, At::Value, message, help);
            }
            _ => {
                let (message, help) = plain_message(error);
                self.add(error, At::Value, message, help);
            }
        }
    }

    fn add(&mut self, error: &ValidationError<'_>, at: At, message: String, help: Option<String>) {
        let pointer = error.instance_path().as_str().to_owned();
        self.found.push(Violation { pointer, at, message, help, key: KeyMistake::None });
    }

    /// Says of the last violation that it is about a key.
    fn about_key(&mut self, mistake: KeyMistake) {
        if let Some(violation) = self.found.last_mut() {
            violation.key = mistake;
        }
    }

    fn unknown_key(&mut self, error: &ValidationError<'_>, key: &str) {
        let mut known = known_keys(self.schema, self.subschema(error));
        let present = error.instance().as_object();
        let meant = did_you_mean(key, known.iter().map(String::as_str)).map(str::to_owned);
        let help = if let Some(meant) = &meant {
            Some(format!("did you mean `{meant}`?"))
        } else {
            known.retain(|key| !present.is_some_and(|present| present.contains_key(key)));
            (!known.is_empty()).then(|| format!("it may have {}", list(&known, "and")))
        };
        let message = format!("unknown {} `{key}`", self.noun);
        self.add(error, At::KeyBelow(key.to_owned()), message, help);
        self.about_key(meant.map_or(KeyMistake::None, KeyMistake::Misspelt));
    }

    /// The schema that the failed keyword stands in.
    fn subschema(&self, error: &ValidationError<'_>) -> &Value {
        let path = error.schema_path().as_str();
        let parent = path.rfind('/').map_or("", |slash| &path[..slash]);
        self.schema.pointer(parent).unwrap_or(&Value::Null)
    }

    fn pattern(&self, error: &ValidationError<'_>) -> (String, Option<String>) {
        let schema = self.subschema(error);
        let found = shown(error.instance());
        let message = match (schema["title"].as_str(), error.kind()) {
            (Some(title), _) => format!("{found} is not a {title}"),
            (None, Kind::Pattern { pattern }) => {
                format!("{found} does not fit the pattern `{pattern}`")
            }
            (None, _) => format!("{found} does not fit here"),
        };
        let examples: Vec<_> = schema["examples"].as_array().into_iter().flatten().collect();
        let examples: Vec<_> = examples.iter().filter_map(|text| text.as_str()).collect();
        let help =
            (!examples.is_empty()).then(|| format!("write it as in {}", list(&examples, "or")));
        (message, help)
    }

    /// Tells what is wrong in the branch that was meant, or what all branches ask for.
    fn no_branch_fits(
        &mut self,
        error: &ValidationError<'_>,
        branches: &[Vec<ValidationError<'static>>],
    ) {
        let here = error.instance_path().as_str();
        let of_this_shape: Vec<_> =
            branches.iter().filter(|errors| !errors.iter().any(|e| rules_out(e, here))).collect();
        if of_this_shape.is_empty() {
            return self.nothing_expected(error, branches);
        }
        let of_this_tag: Vec<_> =
            of_this_shape.iter().filter(|errors| !errors.iter().any(is_other_tag)).collect();
        if of_this_tag.is_empty() {
            return self.unknown_tag(error, &of_this_shape);
        }
        // The keys that are there say which one was meant, before those that are not.
        let meant = of_this_tag
            .into_iter()
            .min_by_key(|errors| (errors.iter().map(unknown_keys).sum::<usize>(), errors.len()));
        meant.into_iter().flat_map(|errors| errors.iter()).for_each(|error| self.tell(error));
    }

    fn nothing_expected(
        &mut self,
        error: &ValidationError<'_>,
        branches: &[Vec<ValidationError<'static>>],
    ) {
        let here = error.instance_path().as_str();
        let mut expected = Vec::new();
        for branch in branches {
            let Some(error) = branch.iter().find(|error| rules_out(error, here)) else { continue };
            for text in self.expectations(error) {
                if !expected.contains(&text) {
                    expected.push(text);
                }
            }
        }
        let words: Vec<_> = expected.iter().filter_map(|text| text.strip_prefix('`')).collect();
        let words: Vec<_> = words.iter().filter_map(|text| text.strip_suffix('`')).collect();
        let found = error.instance();
        let help = suggestion(found, &words);
        let message = format!("expected {}, found {}", listed(&expected, "or"), shown(found));
        self.add(error, At::Value, message, help);
    }

    fn expectations(&self, error: &ValidationError<'_>) -> Vec<String> {
        match error.kind() {
            Kind::Type { kind } => types(kind),
            Kind::Constant { expected_value } => vec![shown(expected_value)],
            Kind::Enum { options } => options.as_array().into_iter().flatten().map(shown).collect(),
            _ => match self.subschema(error)["title"].as_str() {
                Some(title) => vec![format!("a {title}")],
                None => vec!["other text".to_owned()],
            },
        }
    }

    /// The branches differ by the value of one key, and none has this one.
    fn unknown_tag(
        &mut self,
        error: &ValidationError<'_>,
        branches: &[&Vec<ValidationError<'static>>],
    ) {
        let tags: Vec<_> =
            branches.iter().filter_map(|errors| errors.iter().find(|e| is_other_tag(e))).collect();
        let mut options: Vec<String> = Vec::new();
        for tag in &tags {
            options.extend(self.expectations(tag));
        }
        let Some(tag) = tags.first() else { return };
        let words: Vec<_> = options.iter().map(|option| option.trim_matches('`')).collect();
        let message =
            format!("expected {}, found {}", listed(&options, "or"), shown(tag.instance()));
        let help = suggestion(tag.instance(), &words);
        let at = if tag.instance_path() == error.instance_path() { error } else { tag };
        self.add(at, At::Value, message, help);
    }
}

/// Whether an error says that a branch is about values of another shape.
fn rules_out(error: &ValidationError<'_>, here: &str) -> bool {
    let by_shape = matches!(
        error.kind(),
        Kind::Type { .. } | Kind::Constant { .. } | Kind::Enum { .. } | Kind::Pattern { .. }
    );
    by_shape && error.instance_path().as_str() == here
}

/// How many keys an error calls unknown.
fn unknown_keys(error: &ValidationError<'_>) -> usize {
    match error.kind() {
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            unexpected.len()
        }
        _ => 0,
    }
}

/// Whether an error says that a key has not the value that marks a branch.
fn is_other_tag(error: &ValidationError<'_>) -> bool {
    matches!(error.kind(), Kind::Constant { .. })
}

fn plain_message(error: &ValidationError<'_>) -> (String, Option<String>) {
    let found = error.instance();
    let message = match error.kind() {
        Kind::Type { kind } => {
            format!("expected {}, found {}", listed(&types(kind), "or"), type_of(found))
        }
        Kind::Enum { options } => {
            let options: Vec<_> = options.as_array().into_iter().flatten().collect();
            let words: Vec<_> = options.iter().filter_map(|option| option.as_str()).collect();
            let all: Vec<_> = options.iter().map(|option| shown(option)).collect();
            let message = format!("expected {}, found {}", listed(&all, "or"), shown(found));
            return (message, suggestion(found, &words));
        }
        Kind::Constant { expected_value } => {
            format!("expected {}, found {}", shown(expected_value), shown(found))
        }
        Kind::Minimum { limit } => {
            format!("{} is too small: expected at least {limit}", shown(found))
        }
        Kind::ExclusiveMinimum { limit } => {
            format!("{} is too small: expected more than {limit}", shown(found))
        }
        Kind::Maximum { limit } => {
            format!("{} is too large: expected at most {limit}", shown(found))
        }
        Kind::ExclusiveMaximum { limit } => {
            format!("{} is too large: expected less than {limit}", shown(found))
        }
        Kind::MultipleOf { multiple_of } => {
            format!("{} is not a multiple of {multiple_of}", shown(found))
        }
        Kind::MinLength { limit: 1 } => "expected some text, found none".to_owned(),
        Kind::MinLength { limit } => format!("too short: expected at least {limit} characters"),
        Kind::MaxLength { limit } => format!("too long: expected at most {limit} characters"),
        Kind::MinItems { limit } => {
            let count = found.as_array().map_or(0, Vec::len);
            format!("expected at least {limit} in the list, found {count}")
        }
        Kind::MaxItems { limit } => format!("expected at most {limit} in the list"),
        Kind::MinProperties { limit } => format!("expected at least {limit} keys"),
        Kind::MaxProperties { limit } => format!("expected at most {limit} keys"),
        Kind::UniqueItems => "something stands in the list twice".to_owned(),
        Kind::Format { format } if format == "date-time" => {
            let message = format!("{} is not an instant", shown(found));
            return (message, Some("write it as in `2024-11-29T10:00:00Z`".to_owned()));
        }
        Kind::Format { format } => format!("{} is not of the format `{format}`", shown(found)),
        _ => error.masked().to_string(),
    };
    (message, None)
}

fn suggestion(found: &Value, words: &[&str]) -> Option<String> {
    let meant = did_you_mean(found.as_str()?, words.iter().copied())?;
    Some(format!("did you mean `{meant}`?"))
}

fn types(kind: &TypeKind) -> Vec<String> {
    match kind {
        TypeKind::Single(single) => vec![type_name(*single).to_owned()],
        // Absence is written by leaving the key out, so it is not offered.
        TypeKind::Multiple(set) => set
            .into_iter()
            .filter(|each| *each != JsonType::Null)
            .map(|each| type_name(each).to_owned())
            .collect(),
    }
}

fn type_name(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Null => "nothing",
        JsonType::Boolean => "`true` or `false`",
        JsonType::Integer => "an integer",
        JsonType::Number => "a number",
        JsonType::String => "a string",
        JsonType::Array => "a list",
        JsonType::Object => "a mapping",
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(true) => "`true`",
        Value::Bool(false) => "`false`",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// A single value as it is written; of others only the type.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if !text.contains('\n') => format!("`{text}`"),
        Value::Number(_) => format!("`{value}`"),
        _ => type_of(value).to_owned(),
    }
}

/// `` `a`, `b` and `c` ``
pub(crate) fn list(words: &[impl AsRef<str>], last: &str) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{}`", word.as_ref())).collect();
    listed(&quoted, last)
}

fn listed(words: &[String], last: &str) -> String {
    match words {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}
