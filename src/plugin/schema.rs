//! The schema of a plugin's settings: others write it, and much relies on it.

use schemars::Schema;
use serde_json::{Value, json};

/// Longer ones are no schemas of settings.
const BYTES_MAX: usize = 1 << 20;

/// Schemas that speak about one value at once; more is a loop, or as good as one.
const HOPS_MAX: usize = 16;
const STEPS_MAX: usize = 10_000;

/// The dialect, which is the one that settings types of the engine have.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Reads a schema. It has a description afterwards, in any case.
pub(super) fn read(text: &str, summary: &str) -> Result<Schema, String> {
    if text.len() > BYTES_MAX {
        return Err(format!("their schema is longer than {} KiB", BYTES_MAX >> 10));
    }
    let mut schema: Value =
        serde_json::from_str(text).map_err(|error| format!("their schema is no JSON: {error}"))?;
    let dialect = schema.get("$schema").and_then(Value::as_str).unwrap_or(DIALECT);
    if dialect.trim_end_matches('#') != DIALECT {
        return Err(format!("their schema is of another dialect, `{dialect}`: not of `{DIALECT}`"));
    }
    if let Err(error) = jsonschema::draft202012::meta::validate(&schema) {
        let place = error.instance_path();
        return Err(format!("their schema is no JSON Schema: {error}, at `{place}`"));
    }
    check_loops(&schema)?;
    let validator = jsonschema::draft202012::new(&schema)
        .map_err(|error| format!("their schema is no JSON Schema: {error}"))?;
    let others = [json!(null), json!(true), json!(0), json!("a"), json!([])];
    if let Some(other) = others.iter().find(|other| validator.is_valid(other)) {
        return Err(format!(
            "their schema does not say `\"type\": \"object\"`: it takes `{other}`"
        ));
    }
    make_readable(&mut schema);
    if let Some(keys) = schema.as_object_mut().filter(|keys| !keys.contains_key("description")) {
        keys.insert("description".to_owned(), summary.into());
    }
    Schema::try_from(schema).map_err(|error| format!("their schema is no JSON Schema: {error}"))
}

/// Takes out of descriptions what a terminal would obey.
fn make_readable(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(make_readable),
        Value::Object(entries) => entries.iter_mut().for_each(|(key, value)| match value {
            Value::String(text) if key == "description" => {
                let is_obeyed = |c: char| c.is_control() && c != '\n';
                *text = text.replace(is_obeyed, " ");
            }
            value => make_readable(value),
        }),
        _ => {}
    }
}

/// Refuses a schema that comes back to itself without having gone into a value: following it would
/// never end.
fn check_loops(root: &Value) -> Result<(), String> {
    let mut steps = 0;
    each_schema(root, &mut |schema| follow(root, schema, 0, &mut steps))
}

fn follow(root: &Value, schema: &Value, hops: usize, steps: &mut usize) -> Result<(), String> {
    *steps += 1;
    if hops > HOPS_MAX || *steps > STEPS_MAX {
        return Err("their schema refers to itself without end, or is far too involved".to_owned());
    }
    let target = schema.get("$ref").and_then(Value::as_str);
    let target = target.and_then(|target| root.pointer(target.strip_prefix('#')?));
    let branches = ["allOf", "anyOf", "oneOf"]
        .into_iter()
        .filter_map(|key| schema.get(key)?.as_array())
        .flatten();
    let inner = ["not", "if", "then", "else"].into_iter().filter_map(|key| schema.get(key));
    let dependent = schema.get("dependentSchemas").and_then(Value::as_object);
    let dependent = dependent.into_iter().flat_map(|schemas| schemas.values());
    target
        .into_iter()
        .chain(branches)
        .chain(inner)
        .chain(dependent)
        .try_for_each(|schema| follow(root, schema, hops + 1, steps))
}

/// Visits every object in a schema: a few of them are none, which does no harm.
fn each_schema(
    value: &Value,
    visit: &mut impl FnMut(&Value) -> Result<(), String>,
) -> Result<(), String> {
    match value {
        Value::Object(entries) => {
            visit(value)?;
            entries.values().try_for_each(|value| each_schema(value, visit))
        }
        Value::Array(items) => items.iter().try_for_each(|item| each_schema(item, visit)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(schema: &Value) -> String {
        read(&schema.to_string(), "It does.").unwrap_err()
    }

    #[test]
    fn an_object_is_taken_and_has_a_description() {
        let schema = read(r#"{"type":"object"}"#, "It does.").unwrap();
        assert_eq!(schema.get("description"), Some(&json!("It does.")));
        let own = json!({ "$schema": DIALECT, "type": "object", "description": "Own." });
        let schema = read(&own.to_string(), "It does.").unwrap();
        assert_eq!(schema.get("description"), Some(&json!("Own.")));
        let by_reference = json!({
            "$ref": "#/$defs/a",
            "$defs": { "a": { "oneOf": [{ "type": "object" }] } },
        });
        read(&by_reference.to_string(), "It does.").unwrap();
        // A setting may well hold what it is itself in.
        let tree = json!({
            "type": "object",
            "properties": { "children": { "type": "array", "items": { "$ref": "#" } } },
        });
        read(&tree.to_string(), "It does.").unwrap();
    }

    #[test]
    fn descriptions_have_lines_and_nothing_that_a_terminal_obeys() {
        let described = json!({
            "type": "object",
            "description": "One.\n\nTwo\u{1b}[2J.",
            "properties": { "description": { "description": "a\rb", "pattern": "\t" } },
        });
        let schema = read(&described.to_string(), "").unwrap();
        assert_eq!(schema.as_value()["description"], "One.\n\nTwo [2J.");
        let property = &schema.as_value()["properties"]["description"];
        assert_eq!(property, &json!({ "description": "a b", "pattern": "\t" }));
    }

    #[test]
    fn what_is_no_schema_of_an_object_is_refused() {
        assert!(read("", "").unwrap_err().contains("no JSON"));
        assert!(read("{", "").unwrap_err().contains("no JSON"));
        assert!(read(&"[".repeat(100_000), "").unwrap_err().contains("no JSON"));
        assert!(read(&" ".repeat(BYTES_MAX + 1), "").unwrap_err().contains("longer"));
        for (schema, said) in [
            (json!({}), "it takes `null`"),
            (json!(true), "it takes `null`"),
            (json!({ "type": "string" }), "it takes `\"a\"`"),
            (json!({ "type": ["object", "array"] }), "it takes `[]`"),
            (json!(3), "no JSON Schema"),
            (json!({ "type": "thing" }), "no JSON Schema"),
            (json!({ "type": "object", "properties": [] }), "at `/properties`"),
            (json!({ "type": "object", "properties": { "a": { "pattern": "(" } } }), "regex"),
            (json!({ "$schema": "http://json-schema.org/draft-07/schema#" }), "another dialect"),
            (json!({ "type": "object", "$ref": "https://example.com/x" }), "example.com"),
            (json!({ "type": "object", "$ref": "#/$defs/none" }), "none"),
        ] {
            let refused = refused(&schema);
            assert!(refused.contains(said), "{schema}: {refused}");
        }
    }

    #[test]
    fn a_schema_that_leads_to_itself_is_refused() {
        let loops = json!({ "type": "object", "$ref": "#" });
        assert!(refused(&loops).contains("without end"));
        let pair = json!({
            "type": "object",
            "properties": { "a": { "$ref": "#/$defs/a" } },
            "$defs": { "a": { "anyOf": [{ "$ref": "#/$defs/b" }] }, "b": { "$ref": "#/$defs/a" } },
        });
        assert!(refused(&pair).contains("without end"));
        let level =
            |n: usize| json!({ "allOf": vec![json!({ "$ref": format!("#/$defs/{n}") }); 8] });
        let mut laughs = json!({ "type": "object", "$ref": "#/$defs/0", "$defs": { "6": true } });
        for n in 0..6 {
            laughs["$defs"][n.to_string()] = level(n + 1);
        }
        assert!(refused(&laughs).contains("without end"));
    }
}
