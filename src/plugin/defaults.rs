//! The defaults of a schema in the places of what settings leave out: a plugin in C has no other way
//! to them.

use serde_json::{Map, Value};

/// Deeper than any settings are.
const DEPTH_MAX: usize = 32;

/// More values than any settings leave out.
const VALUES_MAX: usize = 10_000;

/// Fills in what is not there, in settings that fit their schema, and says so if they do not fit it
/// any more.
pub(super) fn complete(schema: &Value, settings: &mut Value) -> Result<(), String> {
    fill_in(schema, settings)?;
    let validator = jsonschema::draft202012::new(schema)
        .map_err(|error| format!("their schema is no JSON Schema: {error}"))?;
    let wrong = validator.iter_errors(settings).map(|error| match error.instance_path().as_str() {
        "" => error.to_string(),
        place => format!("{error}, at `{place}`"),
    });
    let wrong: Vec<String> = wrong.take(WRONG_MAX).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("the defaults of its schema do not fit it: {}", wrong.join("; ")))
}

/// More are not told at once.
const WRONG_MAX: usize = 5;

/// Fills in what is not there. Branches of `anyOf` and `oneOf` are left alone: which of them is meant
/// is not told by what is missing.
pub(super) fn fill_in(schema: &Value, settings: &mut Value) -> Result<(), String> {
    let mut filling = Filling { root: schema, left: VALUES_MAX };
    filling
        .fill(schema, settings, DEPTH_MAX)
        .ok_or_else(|| format!("the defaults of its schema come to more than {VALUES_MAX} values"))
}

struct Filling<'a> {
    root: &'a Value,
    /// How many values may still be added.
    left: usize,
}

impl Filling<'_> {
    /// None if there would be too many values.
    fn fill(&mut self, schema: &Value, value: &mut Value, depth: usize) -> Option<()> {
        let Some(depth) = depth.checked_sub(1) else { return Some(()) };
        let root = self.root;
        let reference = schema.get("$ref").and_then(Value::as_str);
        let target = reference.and_then(|reference| root.pointer(reference.strip_prefix('#')?));
        let all = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
        for schema in target.into_iter().chain(all) {
            self.fill(schema, value, depth)?;
        }
        match value {
            Value::Object(entries) => {
                for (key, schema) in keys(schema, "properties") {
                    if !entries.contains_key(key)
                        && let Some(default) = schema.get("default")
                    {
                        self.left = self.left.checked_sub(count(default))?;
                        entries.insert(key.clone(), default.clone());
                    }
                    if let Some(value) = entries.get_mut(key) {
                        self.fill(schema, value, depth)?;
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = schema.get("items") {
                    for item in items {
                        self.fill(schema, item, depth)?;
                    }
                }
            }
            _ => {}
        }
        Some(())
    }
}

/// How many values a value is made of.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(entries) => entries.values().map(count).sum(),
        _ => 0,
    }
}

fn keys<'a>(schema: &'a Value, keyword: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    schema.get(keyword).and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_left_out_gets_its_default_at_any_depth() {
        let schema = json!({
            "properties": {
                "rate": { "default": 0.5 },
                "name": {},
                "retry": { "$ref": "#/$defs/retry", "default": {} },
                "rows": { "items": { "$ref": "#/$defs/retry" } },
            },
            "$defs": { "retry": { "properties": { "times": { "default": 3 } } } },
        });
        let mut settings = json!({});
        fill_in(&schema, &mut settings).unwrap();
        assert_eq!(settings, json!({ "rate": 0.5, "retry": { "times": 3 } }));
        let mut settings = json!({ "rate": 1, "retry": { "times": 1 }, "rows": [{}, 1] });
        let expected = json!({ "rate": 1, "retry": { "times": 1 }, "rows": [{ "times": 3 }, 1] });
        fill_in(&schema, &mut settings).unwrap();
        assert_eq!(settings, expected);
    }

    #[test]
    fn a_schema_that_holds_itself_is_filled_in_as_deep_as_the_settings_are() {
        let schema = json!({ "properties": {
            "inner": { "$ref": "#", "default": {} }, "n": { "default": 1 },
        } });
        let mut settings = json!({ "n": 2 });
        fill_in(&schema, &mut settings).unwrap();
        assert_eq!(settings["inner"]["inner"]["n"], 1);
    }
    #[test]
    fn a_schema_whose_defaults_multiply_is_refused_before_they_fill_the_memory() {
        let mut schema = json!({ "properties": {} });
        for number in 0..8 {
            schema["properties"][format!("p{number}")] = json!({ "$ref": "#", "default": {} });
        }
        let refused = fill_in(&schema, &mut json!({})).unwrap_err();
        assert_eq!(refused, "the defaults of its schema come to more than 10000 values");
        let large = json!({ "properties": { "list": { "default": vec![0; VALUES_MAX] } } });
        fill_in(&large, &mut json!({})).unwrap_err();
        fill_in(&large, &mut json!({ "list": vec![0; 2 * VALUES_MAX] })).unwrap();
    }

    #[test]
    fn a_default_that_does_not_fit_its_schema_is_told_with_its_place() {
        let schema = json!({
            "type": "object",
            "properties": {
                "rate": { "type": "number", "default": "fast" },
                "retry": { "$ref": "#/$defs/retry", "default": {} },
            },
            "$defs": { "retry": {
                "required": ["times"],
                "properties": { "times": { "type": "integer", "default": 3 } },
            } },
        });
        let refused = complete(&schema, &mut json!({})).unwrap_err();
        let expected = "the defaults of its schema do not fit it: \"fast\" is not of type \
                        \"number\", at `/rate`";
        assert_eq!(refused, expected);
        complete(&schema, &mut json!({ "rate": 1 })).unwrap();
    }
}
