//! How an answer of the admin side looks: the headers every one carries, JSON, and problems as RFC 9457 has them.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
};
use serde::Serialize;

/// A problem: what went wrong, for people and for programs.
#[derive(Debug, Serialize)]
struct Problem<'a> {
    /// No vocabulary of our own: the status says it.
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    /// A code of one of our closed lists, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// An answer in JSON.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> HttpResponse {
    let text = serde_json::to_vec(body).unwrap_or_else(|_| b"null".to_vec());
    closed(status, "application/json", text)
}

/// A refusal. `detail` says what to do; it never repeats what was sent.
pub(super) fn problem(status: StatusCode, detail: &str) -> HttpResponse {
    refusal(status, detail, None)
}

/// A refusal with its reason for programs.
pub(super) fn refusal(status: StatusCode, detail: &str, reason: Option<&str>) -> HttpResponse {
    let title = status.canonical_reason().unwrap_or("Error");
    let body = Problem { r#type: "about:blank", title, status: status.as_u16(), detail, reason };
    let mut response = closed(status, "application/problem+json", serde_json::to_vec(&body).unwrap_or_default());
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer realm=\"hookgate\""));
    }
    response
}

/// Lines of text.
pub(super) fn text(status: StatusCode, body: String) -> HttpResponse {
    closed(status, "text/plain; charset=utf-8", body.into_bytes())
}

/// An HTTP message as it is (RFC 9112, 10.1), for a program to read: no browser shows it.
pub(super) fn message(body: Vec<u8>) -> HttpResponse {
    closed(StatusCode::OK, "message/http", body)
}

/// What a scrape gets, in the text format Prometheus names 0.0.4.
pub(super) fn metrics(body: String) -> HttpResponse {
    closed(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", body.into_bytes())
}

/// Headers that close what a browser could make of an answer.
fn closed(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(body)
}
