//! Components as rows for `list` and `describe`: what a settings type's schema says.

use engine::component::{Component, Kind, PluginOrigin};
use serde_json::{Map, Value, json};

/// One setting of a component, or a part of one.
pub(super) struct SettingRow {
    /// How deep it is nested; 0 for what stands right under `with:`.
    pub(super) depth: usize,
    /// Its key.
    pub(super) name: String,
    /// What it takes, such as `integer` or `max | number`.
    pub(super) takes: String,
    /// Its default as YAML; none if it has to be given, or is off unless given.
    pub(super) default: Option<String>,
    /// Whether it has to be given.
    pub(super) required: bool,
    /// What it means, in one paragraph.
    pub(super) about: String,
}

/// The components of a kind, by name.
pub(super) fn of_kind(components: &[Component], kind: Kind) -> Vec<&Component> {
    let mut rows: Vec<_> = components.iter().filter(|row| row.kind == kind).collect();
    rows.sort_by_key(|row| row.name);
    rows
}

/// All paragraphs of a component's description.
pub(super) fn description(component: &Component) -> String {
    let schema = (component.schema)();
    about(schema.as_value())
}

/// The settings of a component, nested ones after the one they belong to.
pub(super) fn settings(component: &Component) -> Vec<SettingRow> {
    let schema = (component.schema)();
    let mut rows = Vec::new();
    Reader { root: schema.as_value() }.rows(schema.as_value(), None, 0, &mut rows);
    rows
}

/// Where a component is from, as JSON.
pub(super) fn origin(plugin: &PluginOrigin) -> Value {
    json!({
        "file": plugin.file.display().to_string(),
        "version": plugin.version,
        "abi": abi(plugin),
        "built_with": plugin.built_with,
    })
}

/// The version of the ABI, such as `1.0`.
pub(super) fn abi(plugin: &PluginOrigin) -> String {
    format!("{}.{}", plugin.abi.0, plugin.abi.1)
}

/// Where a component is from, in a sentence; none for what is built in.
pub(super) fn origin_sentence(component: &Component) -> Option<String> {
    let plugin = component.plugin()?;
    Some(format!(
        "Version {} of the plugin in `{}`, for plugin ABI {}, built with {}.",
        plugin.version,
        plugin.file.display(),
        abi(plugin),
        plugin.built_with
    ))
}

/// Deeper than any settings are; keeps a schema that refers to itself from going on for ever.
const DEPTH_MAX: usize = 5;

struct Reader<'a> {
    root: &'a Value,
}

impl<'a> Reader<'a> {
    /// The rows of an object's properties. `defaults` is the default of the object as a whole.
    fn rows(
        &self,
        schema: &'a Value,
        defaults: Option<&Value>,
        depth: usize,
        rows: &mut Vec<SettingRow>,
    ) {
        let schema = self.resolved(schema);
        let is_required = |name: &str| {
            let required = schema.get("required").and_then(Value::as_array);
            required.is_some_and(|names| names.iter().any(|known| known == name))
        };
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        for (name, property) in properties {
            let of_parent = defaults.and_then(|defaults| defaults.get(name));
            let default = of_parent.or_else(|| property.get("default"));
            let own = about(property);
            rows.push(SettingRow {
                depth,
                name: name.clone(),
                takes: self.takes(property, DEPTH_MAX),
                default: default.filter(|value| shows(value)).map(as_yaml),
                required: is_required(name),
                about: if own.is_empty() { about(self.resolved(property)) } else { own },
            });
            if depth < DEPTH_MAX {
                for nested in self.objects(property, DEPTH_MAX) {
                    self.rows(nested, default, depth + 1, rows);
                }
            }
        }
        if depth < DEPTH_MAX {
            // A type that takes one of several objects: the settings of each.
            for case in cases(schema).filter(|_| properties.is_empty()) {
                self.rows(case, defaults, depth, rows);
            }
        }
    }

    /// The objects that a setting may be, itself or its items, whose keys are settings too.
    fn objects(&self, schema: &'a Value, depth: usize) -> Vec<&'a Value> {
        let Some(depth) = depth.checked_sub(1) else { return Vec::new() };
        let schema = self.resolved(schema);
        if schema.get("properties").is_some() {
            return vec![schema];
        }
        let items = schema.get("items").into_iter();
        let values = schema.get("additionalProperties").filter(|schema| schema.is_object());
        let inner = cases(schema).chain(items).chain(values);
        inner.flat_map(|inner| self.objects(inner, depth)).collect()
    }

    /// What a value of the schema looks like, in few words.
    fn takes(&self, schema: &'a Value, depth: usize) -> String {
        let Some(depth) = depth.checked_sub(1) else { return "...".to_owned() };
        let schema = self.resolved(schema);
        if let Some(value) = schema.get("const") {
            return as_yaml(value);
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            let values = values.iter().filter(|value| !value.is_null());
            return joined(&values.map(as_yaml).collect::<Vec<_>>());
        }
        let mut parts: Vec<String> = Vec::new();
        for case in cases(schema).filter(|case| case.get("type").is_none_or(|name| name != "null"))
        {
            let part = self.takes(case, depth);
            if part != "null" && !parts.contains(&part) {
                parts.push(part);
            }
        }
        if parts.is_empty() {
            parts.extend(types(schema).map(|name| self.takes_type(schema, name, depth)));
        }
        if parts.is_empty() { "any".to_owned() } else { joined(&parts) }
    }

    fn takes_type(&self, schema: &'a Value, name: &str, depth: usize) -> String {
        let inner = |key: &str| schema.get(key).filter(|inner| inner.is_object());
        match name {
            "array" => match inner("items") {
                Some(items) => format!("list of {}", self.takes(items, depth)),
                None => "list".to_owned(),
            },
            "object" => match inner("additionalProperties") {
                Some(values) => format!("map of {}", self.takes(values, depth)),
                None => "map".to_owned(),
            },
            _ => match schema.get("format").and_then(Value::as_str) {
                Some(format @ ("duration" | "date-time")) => format.to_owned(),
                _ => name.to_owned(),
            },
        }
    }

    fn resolved(&self, mut schema: &'a Value) -> &'a Value {
        for _ in 0..DEPTH_MAX {
            let reference = schema.get("$ref").and_then(Value::as_str);
            let target = reference.and_then(|reference| reference.strip_prefix('#'));
            match target.and_then(|pointer| self.root.pointer(pointer)) {
                Some(target) => schema = target,
                None => break,
            }
        }
        schema
    }
}

fn cases(schema: &Value) -> impl Iterator<Item = &Value> {
    ["anyOf", "oneOf", "allOf"]
        .into_iter()
        .filter_map(|key| schema.get(key).and_then(Value::as_array))
        .flatten()
}

fn types(schema: &Value) -> impl Iterator<Item = &str> {
    let (one, several) = match schema.get("type") {
        Some(Value::String(name)) => (Some(name.as_str()), None),
        Some(Value::Array(names)) => (None, Some(names)),
        _ => (None, None),
    };
    let several = several.into_iter().flatten().filter_map(Value::as_str);
    one.into_iter().chain(several).filter(|name| *name != "null")
}

fn about(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.trim().replace('\n', " "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// A default of nothing tells nothing, and one of many keys is told by those keys.
fn shows(default: &Value) -> bool {
    match default {
        Value::Null => false,
        Value::Object(entries) => entries.is_empty(),
        _ => true,
    }
}

/// A small value on one line.
fn as_yaml(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() => text.clone(),
        other => other.to_string(),
    }
}
/// How many choices are named one by one.
const CHOICES_SHOWN: usize = 9;

/// `a | b | c`; of many only the first, and how many there are.
fn joined(parts: &[String]) -> String {
    if parts.len() <= CHOICES_SHOWN {
        return parts.join(" | ");
    }
    format!("{} | ... ({} choices)", parts[..3].join(" | "), parts.len())
}
