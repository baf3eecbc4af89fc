//! /api/openapi.json: the table of endpoints as an OpenAPI 3.1 document, its schemas made from the very types that are read and written.

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    answer::ProblemBody,
    call::KEY_BYTES_MAX,
    parameter,
    table::{Endpoint, Response, Verb},
};
use crate::plan::Role;

/// Where the schemas of types are.
const SCHEMAS: &str = "/components/schemas";

/// The document of a table.
pub(super) fn document(table: &[Endpoint]) -> Value {
    let settings = || {
        let mut settings = SchemaSettings::draft2020_12();
        settings.definitions_path = SCHEMAS.into();
        // The dialect is said once, for the whole document.
        settings.meta_schema = None;
        settings
    };
    // What is read and what is written differ in what may be left out.
    let mut written = settings().for_serialize().into_generator();
    let mut read = settings().for_deserialize().into_generator();
    let problem = written.subschema_for::<ProblemBody<'_>>().to_value();
    let mut paths = Map::new();
    for endpoint in table {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        let verb = if endpoint.verb == Verb::Look { "get" } else { "post" };
        path[verb] = operation(endpoint, &problem, &mut written, &mut read);
    }
    let mut schemas = written.take_definitions(true);
    schemas.extend(read.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "hookgate",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "What an operator can look at and do.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "One of `admin.tokens`, or the one in {data_dir}/admin.token.",
            } },
        },
    })
}

fn operation(endpoint: &Endpoint, problem: &Value, written: &mut SchemaGenerator, read: &mut SchemaGenerator) -> Value {
    let mut parameters: Vec<Value> = named(endpoint.path).map(|name| in_path(endpoint.path, name)).collect();
    parameters.extend(
        endpoint
            .parameters
            .iter()
            .map(|one| json!({ "name": one.name, "in": "query", "required": false, "description": one.about, "schema": (one.schema)() })),
    );
    if endpoint.takes_key {
        parameters.push(json!({
            "name": "Idempotency-Key",
            "in": "header",
            "required": false,
            "description": "Chosen by whoever asks: the same key again is the same job, for as long as that is remembered.",
            "schema": { "type": "string", "pattern": format!("^[!-~]{{1,{KEY_BYTES_MAX}}}$") },
        }));
    }
    let refusal = json!({ "description": "Why not, and what to do.", "content": { "application/problem+json": { "schema": problem } } });
    let mut responses = json!({ "default": refusal });
    let fine = match endpoint.response {
        Response::Json(of) => Some(("application/json", of(written).to_value())),
        Response::Message => Some(("message/http", json!({ "type": "string", "contentMediaType": "message/http" }))),
        Response::Planned => None,
    };
    match fine {
        Some((kind, schema)) => responses["200"] = json!({ "description": "It is so.", "content": { kind: { "schema": schema } } }),
        None => responses["501"] = refusal,
    }
    let mut operation = json!({
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "x-role": role(endpoint.role),
        "responses": responses,
    });
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if matches!(endpoint.response, Response::Planned) {
        operation["x-planned"] = true.into();
    }
    if let Some(of) = endpoint.request {
        let schema = of(read).to_value();
        let body = json!({ "required": is_required(&schema, read), "content": { "application/json": { "schema": schema } } });
        operation["requestBody"] = body;
    }
    operation
}

/// Whether a body of this schema has anything that must be in it: an empty one is an object without fields.
fn is_required(schema: &Value, read: &SchemaGenerator) -> bool {
    let named = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    let whole = named.and_then(|name| read.definitions().get(name)).unwrap_or(schema);
    whole["required"].as_array().is_some_and(|required| !required.is_empty())
}

/// What stands in the braces of a path.
fn named(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn in_path(path: &str, name: &str) -> Value {
    let schema = match (path.split('/').nth(3), name) {
        (Some("events"), _) => parameter::coded("evt_", ""),
        (Some("deliveries"), _) => parameter::delivery_id(),
        (Some("rejected"), _) => parameter::coded("rej_", ""),
        (Some("jobs"), _) => parameter::coded("job_", ""),
        _ => parameter::name(),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

/// A role as the configuration writes it.
fn role(role: Role) -> &'static str {
    match role {
        Role::Read => "read",
        Role::Operate => "operate",
        Role::Admin => "admin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::endpoints;

    /// Every path of the contract, with its method.
    const CONTRACT: [(&str, &str); 20] = [
        ("/api/v1/status", "get"),
        ("/api/v1/sources", "get"),
        ("/api/v1/targets", "get"),
        ("/api/v1/events", "get"),
        ("/api/v1/events/{id}", "get"),
        ("/api/v1/deliveries", "get"),
        ("/api/v1/deliveries/{id}/replay", "post"),
        ("/api/v1/replay", "post"),
        ("/api/v1/cancel", "post"),
        ("/api/v1/targets/{name}/pause", "post"),
        ("/api/v1/targets/{name}/resume", "post"),
        ("/api/v1/rejected", "get"),
        ("/api/v1/rejected/{id}", "get"),
        ("/api/v1/rejected/{id}/admit", "post"),
        ("/api/v1/secrets", "get"),
        ("/api/v1/jobs", "get"),
        ("/api/v1/jobs/{id}", "get"),
        ("/api/v1/reload", "post"),
        ("/api/v1/tail", "get"),
        ("/api/openapi.json", "get"),
    ];

    #[test]
    fn everything_the_contract_names_is_in_it() {
        let document = document(&endpoints::table());
        for (path, verb) in CONTRACT {
            assert!(document["paths"][path][verb].is_object(), "{verb} {path}");
        }
    }

    /// What OpenAPI 3.1.0 asks of a document, as far as this one uses it.
    #[test]
    fn it_is_an_openapi_document() {
        let document = document(&endpoints::table());
        assert_eq!(document["openapi"], "3.1.0");
        assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
        let mut names = std::collections::BTreeSet::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            assert!(path == "/" || path.starts_with('/') && !path.ends_with('/'), "{path}");
            for (verb, operation) in item.as_object().expect("operations") {
                let at = format!("{verb} {path}");
                assert!(names.insert(operation["operationId"].as_str().expect("a name").to_owned()), "{at}: its name is another's");
                assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{at}");
                let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
                let in_path: Vec<&str> = parameters
                    .iter()
                    .filter(|one| one["in"] == "path")
                    .map(|one| {
                        assert_eq!(one["required"], true, "{at}");
                        one["name"].as_str().expect("a name")
                    })
                    .collect();
                assert_eq!(in_path, named(path).collect::<Vec<_>>(), "{at}");
                for one in &parameters {
                    assert!(
                        one["schema"].is_object() && ["path", "query", "header"].contains(&one["in"].as_str().expect("a place")),
                        "{at}"
                    );
                }
                let responses = operation["responses"].as_object().expect("responses");
                assert!(responses.contains_key("default") && responses.len() == 2, "{at}");
                assert!(responses.values().all(|one| one["description"].is_string() && one["content"].is_object()), "{at}");
                assert!(verb == "post" || operation.get("requestBody").is_none(), "{at}");
            }
        }
        every_reference(&document, &document);
        assert!(document["security"][0]["token"].is_array() && document["components"]["securitySchemes"]["token"]["scheme"] == "bearer");
    }

    /// Every reference leads somewhere, and no schema carries what is not allowed in one.
    fn every_reference(value: &Value, document: &Value) {
        match value {
            Value::Object(map) => {
                if let Some(to) = map.get("$ref").and_then(Value::as_str) {
                    let pointer = to.strip_prefix('#').expect("within the document");
                    assert!(document.pointer(pointer).is_some(), "{to} leads nowhere");
                }
                map.values().for_each(|value| every_reference(value, document));
            }
            Value::Array(all) => all.iter().for_each(|value| every_reference(value, document)),
            _ => {}
        }
    }

    #[test]
    fn what_changes_anything_needs_more_than_a_look() {
        for endpoint in endpoints::table() {
            let is_planned = matches!(endpoint.response, Response::Planned);
            assert!(endpoint.verb == Verb::Look || is_planned || endpoint.role > Role::Read, "{}", endpoint.path);
        }
    }
}
