//! A JSON Schema of the configuration, for editors, made from the written types themselves: their fields are its keys, their comments its
//! descriptions, and the defaults are read off an empty configuration. A test holds it against the reader, key by key.

use std::{path::PathBuf, sync::OnceLock};

use schemars::{JsonSchema as _, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{Config, source::Source, target::Target};
use crate::{
    clock::UnixMs,
    yaml::{self, Problems},
};

/// The JSON Schema (draft 2020-12) of a configuration file. Planned keys are not in it.
#[must_use]
pub fn schema() -> Value {
    static MADE: OnceLock<Value> = OnceLock::new();
    MADE.get_or_init(make).clone()
}

fn make() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let mut schema = SchemaGenerator::new(settings).into_root_schema_for::<Config>().to_value();
    tidy(&mut schema);
    let exemplar = "targets: { t: { url: http://t/ } }\nroutes: [ { to: t } ]\nsources: { s: { provider: p } }\n";
    let tree = yaml::parse(&"exemplar".into(), exemplar, &mut Problems::new());
    let config = tree.map(|tree| Config::read(&tree, PathBuf::from("./hookgate-data"), UnixMs(0), &mut Problems::new()));
    if let Some(listed) = config.and_then(|config| serde_json::to_value(config).ok()) {
        offer(&mut schema, &listed);
    }
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), json!("hookgate.yaml"));
        let defaults: [(&str, Value); 3] = [("sources", json!({})), ("targets", json!({})), ("routes", json!([]))];
        for (key, empty) in defaults {
            if let Some(Value::Object(property)) = root.get_mut("properties").and_then(|all| all.get_mut(key)) {
                property.insert("default".to_owned(), empty);
            }
        }
    }
    schema
}

/// The schema of `defaults`: a source and a target of which nothing is required.
pub(super) fn defaults(generator: &mut SchemaGenerator) -> Schema {
    let (mut source, mut target) = (Source::json_schema(generator).to_value(), Target::json_schema(generator).to_value());
    for half in [&mut source, &mut target] {
        if let Some(half) = half.as_object_mut() {
            half.remove("x-required");
            half.remove("oneOf");
            half.insert("x-off".to_owned(), json!(true));
        }
    }
    schemars::json_schema!({ "type": "object", "properties": { "source": source, "target": target }, "x-off": true })
}

/// The words that switch a thing off. A reader of YAML 1.1 takes `off` for `false`.
pub(super) fn off_words() -> Value {
    json!({ "enum": ["none", "off", false, null] })
}

/// What says of which form a value is. All else of a schema is of objects and lists only, or not checked at all.
const FORM: [&str; 7] = ["type", "pattern", "enum", "const", "format", "minimum", "maximum"];

/// What derived schemas do not know: nearly every key may be left out, no other is taken, a value may be inserted by `${...}`, and what
/// can be switched off (`x-off`, a flag, and what has `none` among its words) takes every word for that.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(map) => {
            map.values_mut().for_each(tidy);
            map.remove("required");
            map.remove("writeOnly");
            if let Some(required) = map.remove("x-required") {
                map.insert("required".to_owned(), required);
            }
            if map.contains_key("properties") {
                map.insert("additionalProperties".to_owned(), json!(false));
            }
            // A value that is inserted may be any of the choices.
            if let Some(choices) = map.remove("oneOf") {
                let of_keys = choices.as_array().is_some_and(|choices| choices.iter().any(|choice| choice.get("required").is_some()));
                map.insert(if of_keys { "oneOf" } else { "anyOf" }.to_owned(), choices);
            }
            let strict = map.contains_key("enum")
                || map.contains_key("const")
                || map.get("type").is_some_and(|kind| ["integer", "number", "boolean"].contains(&kind.as_str().unwrap_or_default()));
            let words = map.get("enum").and_then(Value::as_array).into_iter().flatten().chain(map.get("const"));
            let is_flag = map.get("type").is_some_and(|kind| kind == "boolean");
            let can_be_off = is_flag || words.into_iter().any(|word| word == "none") | map.contains_key("x-off");
            map.remove("x-off");
            if strict || can_be_off {
                let form: Map<String, Value> = FORM.iter().filter_map(|key| map.remove_entry(*key)).collect();
                let inserted = strict.then(|| json!({ "type": "string", "pattern": r"\$\{" }));
                let own = (!form.is_empty()).then_some(Value::Object(form));
                let further = own.into_iter().chain(inserted).chain(can_be_off.then(off_words));
                if let Value::Array(forms) = map.entry("anyOf").or_insert_with(|| json!([])) {
                    forms.extend(further);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Writes the defaults into the schema of a mapping, from a listing in which nothing was said.
fn offer(schema: &mut Value, listed: &Value) {
    if let (Some(one), Some(named)) = (schema.get_mut("additionalProperties"), listed.as_object())
        && let Some(listed) = named.values().next()
    {
        offer(one, listed);
    }
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    for (key, property) in properties {
        match listed.get(key) {
            Some(below @ Value::Object(_)) => offer(property, below),
            Some(default) if !["provider", "url", "to", "sources", "targets", "routes", "name"].contains(&key.as_str()) => {
                if let Some(property) = property.as_object_mut() {
                    property.insert("default".to_owned(), default.clone());
                }
            }
            Some(_) | None => {}
        }
    }
}

/// The paths of all keys outside of lists and names that may hold a scalar, such as `server.limits.body`.
pub(super) fn scalars() -> Vec<String> {
    let mut paths = Vec::new();
    collect(&schema(), "", &mut paths);
    paths
}

fn collect(schema: &Value, path: &str, paths: &mut Vec<String>) {
    for form in forms(schema) {
        match form.get("properties").and_then(Value::as_object) {
            Some(properties) => {
                for (key, property) in properties {
                    let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    collect(property, &below, paths);
                }
            }
            None if is_scalar(form) && !paths.iter().any(|known| known == path) => paths.push(path.to_owned()),
            None => {}
        }
    }
}

/// A schema, or all that it leaves the choice between. A mapping that can be switched off counts as the mapping it is.
fn forms(schema: &Value) -> Vec<&Value> {
    if schema.get("properties").is_some() {
        return vec![schema];
    }
    let choices = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema.get(key)?.as_array()).flatten();
    let forms: Vec<&Value> = choices.flat_map(forms).collect();
    if forms.is_empty() { vec![schema] } else { forms }
}

fn is_scalar(schema: &Value) -> bool {
    let scalar = |kind: &Value| kind.as_str().is_some_and(|kind| !matches!(kind, "object" | "array" | "null"));
    match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(scalar),
        Some(kind) => scalar(kind),
        None => (schema.get("enum").is_some() || schema.get("const").is_some()) && *schema != off_words(),
    }
}
