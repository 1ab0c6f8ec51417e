//! A path with placeholders, filled in from an event so that no value leads out of its folder.

use std::fmt::Write;
use std::str::FromStr;

use crate::event::{Event, FieldPath};

/// How many characters of a value a path takes; the file system allows 255 bytes for a name.
const VALUE_CHARACTERS: usize = 48;
/// What stands for a value that an event does not have.
const MISSING: &str = "none";

/// A parsed path.
pub(super) struct Template(Vec<Part>);

enum Part {
    Literal(String),
    /// `2024-11-29`
    Date,
    /// `09`
    Hour,
    Field(FieldPath),
}

impl Template {
    /// The path itself, if it has no placeholders.
    pub(super) fn fixed(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Part::Literal(path)] => Some(path),
            _ => None,
        }
    }

    /// Writes the path of an event's file into `path`.
    pub(super) fn render(&self, event: &Event, path: &mut String) {
        path.clear();
        for part in &self.0 {
            match part {
                Part::Literal(text) => path.push_str(text),
                Part::Date => {
                    // A rendered timestamp is `YYYY-MM-DDTHH:MM:SS.mmmZ`; writing to a string
                    // does not fail.
                    let start = path.len();
                    let _ = write!(path, "{}", event.time);
                    path.truncate(start + 10);
                }
                Part::Hour => {
                    let hour = event.time.as_seconds().div_euclid(3600).rem_euclid(24);
                    let _ = write!(path, "{hour:02}");
                }
                Part::Field(field) => match field.text(event) {
                    Some(text) => text.with_str(|text| push_clean(text, path)),
                    None => path.push_str(MISSING),
                },
            }
        }
    }
}

/// Adds a value that is never empty, never begins with a dot, and holds no separator.
fn push_clean(value: &str, path: &mut String) {
    if value.is_empty() {
        return path.push_str(MISSING);
    }
    for (place, character) in value.chars().take(VALUE_CHARACTERS).enumerate() {
        let is_fine = character.is_alphanumeric()
            || matches!(character, '-' | '_' | '=' | '+' | '@')
            || (character == '.' && place > 0);
        path.push(if is_fine { character } else { '_' });
    }
}

impl FromStr for Template {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the path is empty".to_owned());
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                return Err(format!("a `{{` in `{text}` has no `}}`"));
            };
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            parts.push(match name {
                "date" => Part::Date,
                "hour" => Part::Hour,
                name => Part::Field(name.parse()?),
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{RECEIPT_CREATED, SOURCE, STORE_ID, Text, Value};
    use proptest::prelude::*;
    use std::path::{Component, Path};

    fn event() -> Event {
        let time = "2024-11-29T09:59:59.999Z".parse().unwrap();
        Event::new(RECEIPT_CREATED, Text::from("TR_1"), time)
    }

    fn rendered(template: &str, event: &Event) -> String {
        let mut path = "from the event before".to_owned();
        template.parse::<Template>().unwrap().render(event, &mut path);
        path
    }

    #[test]
    fn placeholders_take_their_values_from_the_event() {
        let mut event = event();
        event.payload.set(STORE_ID, 12_i64);
        let path = rendered("out/{date}/{hour}/{event_type}-{payload.store_id}.ndjson", &event);
        assert_eq!(path, "out/2024-11-29/09/receipt_created-12.ndjson");
        assert_eq!(rendered("{partition_key}", &event), "none");
    }

    #[test]
    fn a_placeholder_that_means_nothing_is_refused() {
        let error = |text: &str| text.parse::<Template>().err().unwrap();
        assert_eq!(error(""), "the path is empty");
        assert_eq!(error("out/{date"), "a `{` in `out/{date` has no `}`");
        assert!(error("{store_id}").starts_with("`store_id` is not a key of the envelope"));
    }

    proptest! {
        #[test]
        fn no_value_leads_out_of_the_folder(
            value in prop_oneof!["\\PC*", "[./\\\\\\x00]{0,9}", Just("../../etc/passwd".to_owned())],
            template in prop_oneof![
                Just("out/{payload.source}/x"),
                Just("out/{payload.source}{payload.source}"),
                Just("out/.{payload.source}/x"),
            ],
        ) {
            let mut event = event();
            event.payload.set(SOURCE, Value::Text(Text::from(value)));
            let path = rendered(template, &event);
            let parts: Vec<_> = Path::new(&path).components().collect();
            prop_assert_eq!(parts.len(), template.split('/').count(), "{}", path);
            prop_assert!(parts.iter().all(|part| matches!(part, Component::Normal(_))), "{}", path);
            prop_assert!(!path.contains('\0'));
        }
    }
}
