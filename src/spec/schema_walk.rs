//! Walks a value and its JSON Schema side by side.

use serde_json::Value;

use super::node::join;

/// References and combinations that are followed from one value; more is a loop.
const HOPS_MAX: usize = 32;

/// Visits each value with each schema that speaks about it, in every branch of every `oneOf`.
pub(super) fn walk(root: &Value, value: &Value, visit: &mut impl FnMut(&str, &Value, &Value)) {
    step(root, root, "", value, 0, visit);
}

fn step(
    root: &Value,
    schema: &Value,
    pointer: &str,
    value: &Value,
    hops: usize,
    visit: &mut impl FnMut(&str, &Value, &Value),
) {
    if hops > HOPS_MAX {
        return;
    }
    visit(pointer, schema, value);
    if let Some(target) = referred(root, schema) {
        step(root, target, pointer, value, hops + 1, visit);
    }
    for branch in branches(schema) {
        step(root, branch, pointer, value, hops + 1, visit);
    }
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let own = schema["properties"].get(key);
                if let Some(schema) = own.or(schema.get("additionalProperties")) {
                    step(root, schema, &join(pointer, key), value, 0, visit);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let own = schema["prefixItems"].get(index);
                if let Some(schema) = own.or(schema.get("items")) {
                    step(root, schema, &format!("{pointer}/{index}"), item, 0, visit);
                }
            }
        }
        _ => {}
    }
}

/// The keys that a schema knows at its top, whichever branch they are from.
pub(super) fn known_keys(root: &Value, schema: &Value) -> Vec<String> {
    let mut keys = Vec::new();
    gather_keys(root, schema, 0, &mut keys);
    keys
}

fn gather_keys(root: &Value, schema: &Value, hops: usize, keys: &mut Vec<String>) {
    if hops > HOPS_MAX {
        return;
    }
    for key in schema["properties"].as_object().into_iter().flat_map(|known| known.keys()) {
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }
    for schema in referred(root, schema).into_iter().chain(branches(schema)) {
        gather_keys(root, schema, hops + 1, keys);
    }
}

fn referred<'a>(root: &'a Value, schema: &Value) -> Option<&'a Value> {
    root.pointer(schema.get("$ref")?.as_str()?.strip_prefix('#')?)
}

fn branches(schema: &Value) -> impl Iterator<Item = &Value> {
    ["allOf", "anyOf", "oneOf"]
        .into_iter()
        .filter_map(|keyword| schema.get(keyword)?.as_array())
        .flatten()
}
