//! POST /api/v1/secrets/{source}/take: the secrets that a vendor handed over to a source, shown once to who has the role `admin`.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, StatusCode},
};
use serde::Serialize;

use super::{Gateway, answer};
use crate::{ingest::Handed, name::SourceName, plan::Role};

#[derive(Debug, Serialize)]
struct Shown {
    items: Vec<Item>,
}

#[derive(Debug, Serialize)]
struct Item {
    source: String,
    handshake: String,
    received_at: String,
    client_ip: String,
    fingerprint: String,
    secret: String,
}

/// The source that a path asks for; `None` when it belongs to another part.
pub(super) fn asked(path: &str) -> Option<&str> {
    path.strip_prefix("/api/v1/secrets/")?.strip_suffix("/take").filter(|name| !name.contains('/'))
}

/// Answers whoever shows a token of this role.
pub(super) fn answer(source: &str, role: Role, request: &HttpRequest, gateway: &Gateway) -> HttpResponse {
    if *request.method() != Method::POST {
        let mut refused = answer::problem(StatusCode::METHOD_NOT_ALLOWED, "what was handed over is shown once: it is taken with POST");
        refused.headers_mut().insert(actix_web::http::header::ALLOW, actix_web::http::header::HeaderValue::from_static("POST"));
        return refused;
    }
    if role < Role::Admin {
        return answer::problem(StatusCode::FORBIDDEN, "a secret is shown to who has a token of role `admin`");
    }
    let Some(known) = SourceName::parse(source).filter(|name| gateway.plan.sources.contains_key(name)) else {
        return answer::problem(StatusCode::NOT_FOUND, "there is no such source");
    };
    let items: Vec<Item> = gateway.ingest.take_handed(&known).iter().map(item).collect();
    tracing::warn!(event = "secret", source, count = items.len(), "secrets that were handed over have been shown");
    answer::json(StatusCode::OK, &Shown { items })
}

fn item(handed: &Handed) -> Item {
    Item {
        source: handed.source.to_string(),
        handshake: handed.handshake.to_string(),
        received_at: handed.at.to_string(),
        client_ip: handed.client_ip.to_string(),
        fingerprint: handed.secret.fingerprint().to_string(),
        // Revealed to whom it is for: this is the one place that shows it.
        secret: String::from_utf8_lossy(handed.secret.reveal()).into_owned(),
    }
}
