//! How an answer of the admin side looks: the headers every one carries, JSON, and problems as RFC 9457 has them.

use std::borrow::Cow;

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
};
use schemars::JsonSchema;
use serde::Serialize;

/// A refusal on its way out. `detail` says what to do; it never repeats what was sent.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: Cow<'static, str>,
    reason: Option<&'static str>,
    allow: Option<String>,
}

/// A problem: what went wrong, for people and for programs (RFC 9457).
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct ProblemBody<'a> {
    /// No vocabulary of our own: the status says it.
    r#type: &'static str,
    /// The status in words.
    title: &'a str,
    /// The status.
    status: u16,
    /// What to do about it.
    detail: &'a str,
    /// A code for programs, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, detail: detail.into(), reason: None, allow: None }
    }

    /// What was sent cannot be understood.
    pub(super) fn bad(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// There is no such thing.
    pub(super) fn missing(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// It is understood, and cannot be as things stand.
    pub(super) fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// Not now: the same again may be right.
    pub(super) fn unavailable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// Another method is meant.
    pub(super) fn method(allow: String) -> Self {
        let detail = format!("this takes {allow}");
        Self { allow: Some(allow), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, detail) }
    }

    /// The same with a reason for programs.
    #[must_use]
    pub(super) fn because(self, reason: Option<&'static str>) -> Self {
        Self { reason, ..self }
    }

    pub(super) fn answer(&self) -> HttpResponse {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let Self { status, detail, reason, .. } = self;
        let body = ProblemBody { r#type: "about:blank", title, status: status.as_u16(), detail, reason: *reason };
        let mut response = closed(*status, "application/problem+json", serde_json::to_vec(&body).unwrap_or_default());
        if *status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer realm=\"hookgate\""));
        }
        if let Some(allow) = self.allow.as_deref().and_then(|allow| header::HeaderValue::from_str(allow).ok()) {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        response
    }
}

/// An answer in JSON.
pub(super) fn json(body: &impl Serialize) -> HttpResponse {
    match serde_json::to_vec(body) {
        Ok(text) => closed(StatusCode::OK, "application/json", text),
        Err(_) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written as JSON").answer(),
    }
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
