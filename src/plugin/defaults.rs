//! The defaults of a schema in the places of what settings leave out: a plugin in C has no other way
//! to them.

use serde_json::{Map, Value};

/// Deeper than any settings are.
const DEPTH_MAX: usize = 32;

/// Fills in what is not there, in settings that fit their schema. Branches of `anyOf` and `oneOf`
/// are left alone: which of them is meant is not told by what is missing.
pub(super) fn fill_in(schema: &Value, settings: &mut Value) {
    fill(schema, schema, settings, DEPTH_MAX);
}

fn fill(root: &Value, schema: &Value, value: &mut Value, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else { return };
    let reference = schema.get("$ref").and_then(Value::as_str);
    let target = reference.and_then(|reference| root.pointer(reference.strip_prefix('#')?));
    let all = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
    for schema in target.into_iter().chain(all) {
        fill(root, schema, value, depth);
    }
    match value {
        Value::Object(entries) => {
            for (key, schema) in keys(schema, "properties") {
                if !entries.contains_key(key)
                    && let Some(default) = schema.get("default")
                {
                    entries.insert(key.clone(), default.clone());
                }
                if let Some(value) = entries.get_mut(key) {
                    fill(root, schema, value, depth);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for item in items {
                    fill(root, schema, item, depth);
                }
            }
        }
        _ => {}
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
        fill_in(&schema, &mut settings);
        assert_eq!(settings, json!({ "rate": 0.5, "retry": { "times": 3 } }));
        let mut settings = json!({ "rate": 1, "retry": { "times": 1 }, "rows": [{}, 1] });
        let expected = json!({ "rate": 1, "retry": { "times": 1 }, "rows": [{ "times": 3 }, 1] });
        fill_in(&schema, &mut settings);
        assert_eq!(settings, expected);
    }

    #[test]
    fn a_schema_that_holds_itself_is_filled_in_as_deep_as_the_settings_are() {
        let schema = json!({ "properties": {
            "inner": { "$ref": "#", "default": {} }, "n": { "default": 1 },
        } });
        let mut settings = json!({ "n": 2 });
        fill_in(&schema, &mut settings);
        assert_eq!(settings["inner"]["inner"]["n"], 1);
    }
}
