//! The JSON Schema of a whole pipeline, for editors: what `with` may hold depends on `type`.

use serde_json::{Map, Value, json};

use crate::component::{Component, Kind};
use crate::spec::{ExpectBlock, Spec};

/// JSON Schema 2020-12 of a spec made of these components. Each component's settings are in
/// `$defs` under its kind and name, such as `source_retail_mix`.
pub fn pipeline_schema(components: &[Component]) -> Value {
    let mut schema = schemars::schema_for!(Spec).to_value();
    let stage = schema["$defs"]["StageSpec"].take();
    schema["title"] = "Pipeline".into();
    let mut definitions = Map::new();
    for kind in Kind::ALL {
        let of_kind: Vec<_> = components.iter().filter(|known| known.kind == kind).collect();
        definitions.insert(kind.singular().to_owned(), stage_schema(&stage, kind, &of_kind));
        let reference = json!({ "$ref": format!("#/$defs/{}", kind.singular()) });
        schema["properties"][kind.section()]["additionalProperties"] = reference;
        for component in of_kind {
            definitions.insert(definition(component), settings_schema(component));
        }
    }
    if let Some(known) = schema["$defs"].as_object_mut() {
        known.shift_remove("StageSpec");
        known.extend(definitions);
    }
    tell_what_tests_expect(&mut schema);
    allow_variables(&mut schema);
    schema
}

/// Puts all that `expect` may be in its place.
fn tell_what_tests_expect(schema: &mut Value) {
    let mut block = schemars::schema_for!(ExpectBlock).to_value();
    let expect = &mut schema["$defs"]["TestCase"]["properties"]["expect"];
    let about = expect["description"].take();
    *expect = json!({ "description": about, "anyOf": block["anyOf"].take() });
    if let (Some(known), Value::Object(further)) =
        (schema["$defs"].as_object_mut(), block["$defs"].take())
    {
        known.extend(further);
    }
}

fn definition(component: &Component) -> String {
    format!("{}_{}", component.kind.singular(), component.name)
}

/// One kind of stage: the common keys that it may have, and `with` by `type`.
fn stage_schema(common: &Value, kind: Kind, components: &[&Component]) -> Value {
    let mut schema = common.clone();
    schema["description"] = format!("One {}.", kind.singular()).into();
    if let Some(properties) = schema["properties"].as_object_mut() {
        if kind != Kind::Enricher {
            properties.shift_remove("parallelism");
        }
        if kind != Kind::Sink {
            properties.shift_remove("delivery");
        }
        if kind == Kind::Source {
            properties.shift_remove("inputs");
            properties.shift_remove("order");
        }
    }
    if kind != Kind::Source {
        schema["required"] = json!(["type", "inputs"]);
    }
    if components.is_empty() {
        return schema;
    }
    let types = components
        .iter()
        .map(|component| json!({ "const": component.name, "description": component.summary() }));
    let about = schema["properties"]["type"]["description"].take();
    schema["properties"]["type"] =
        json!({ "description": about, "oneOf": types.collect::<Vec<_>>() });
    schema["allOf"] = components.iter().map(|component| with_by_type(component)).collect();
    schema
}

/// `with` of a stage whose `type` is this component.
fn with_by_type(component: &Component) -> Value {
    let settings = json!({ "$ref": format!("#/$defs/{}", definition(component)) });
    let mut then = json!({ "properties": { "with": settings } });
    let required = (component.schema)().get("required").cloned();
    if required.is_some_and(|keys| keys.as_array().is_some_and(|keys| !keys.is_empty())) {
        then["required"] = json!(["with"]);
    }
    let is_type =
        json!({ "properties": { "type": { "const": component.name } }, "required": ["type"] });
    json!({ "if": is_type, "then": then })
}

/// A component's own schema, with its references made to hold where it now stands.
fn settings_schema(component: &Component) -> Value {
    let mut schema = (component.schema)().to_value();
    if let Some(keys) = schema.as_object_mut() {
        keys.shift_remove("$schema");
        // References in it are to this document from now on.
        keys.shift_remove("$id");
    }
    let home = format!("#/$defs/{}", definition(component));
    for_each_schema(&mut schema, &mut |keys| {
        if let Some(Value::String(reference)) = keys.get_mut("$ref")
            && let Some(own) = reference.strip_prefix('#')
        {
            *reference = format!("{home}{own}");
        }
    });
    schema
}

/// Numbers, truth values and texts of a certain form may also be written as `${NAME}`.
fn allow_variables(schema: &mut Value) {
    const VARIABLE: &str = r"\$\{";
    for_each_schema(schema, &mut |keys| {
        if let Some(Value::String(pattern)) = keys.get_mut("pattern") {
            *pattern = format!("{pattern}|{VARIABLE}");
        }
        let is_scalar = |name: &Value| name == "integer" || name == "number" || name == "boolean";
        let names = match keys.get("type") {
            Some(Value::Array(names)) => names.clone(),
            Some(name) => vec![name.clone()],
            None => return,
        };
        if names.iter().any(is_scalar) && !names.iter().any(|name| name == "string") {
            let with_text: Vec<_> = names.into_iter().chain(["string".into()]).collect();
            keys.insert("type".to_owned(), with_text.into());
            keys.insert("pattern".to_owned(), VARIABLE.into());
        }
    });
}

/// Visits the keys of a schema and of all schemas in it, but for those of names.
fn for_each_schema(schema: &mut Value, visit: &mut impl FnMut(&mut Map<String, Value>)) {
    let Some(keys) = schema.as_object_mut() else { return };
    visit(keys);
    for (keyword, value) in keys {
        match keyword.as_str() {
            "properties" | "patternProperties" | "$defs" => {
                let schemas = value.as_object_mut().into_iter().flat_map(Map::values_mut);
                schemas.for_each(|schema| for_each_schema(schema, visit));
            }
            "allOf" | "anyOf" | "oneOf" | "prefixItems" => {
                let schemas = value.as_array_mut().into_iter().flatten();
                schemas.for_each(|schema| for_each_schema(schema, visit));
            }
            "additionalProperties"
            | "unevaluatedProperties"
            | "items"
            | "contains"
            | "not"
            | "if"
            | "then"
            | "else" => for_each_schema(value, visit),
            _ => {}
        }
    }
}
