//! The readers behind a verified request and an attempt: JSON, forms, tokens, timestamps, `Retry-After`, ids.

use std::{net::Ipv4Addr, str::from_utf8, time::Duration};

use bytes::Bytes;
use hookgate::{
    clock::UnixMs,
    deliver,
    event::EventId,
    provider::{Pointer, Scheme, TimeUnit},
    rejection::Rejection,
    request::{HeadersBuilder, RawRequest},
    verify::parsers,
};

use super::first_line;

const NOW: UnixMs = UnixMs(1_760_000_000_000);
/// Values one pointer may find; the module keeps no more.
const VALUES_MAX: usize = 1024;
/// Bytes of the longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// A JSON document behind a line with a pointer: what is found is what a reader of whole trees finds, and never one of two.
pub(super) fn json(input: &[u8]) {
    let (line, body) = first_line(input);
    let texts = [from_utf8(line).unwrap_or_default(), "/id", "/a", "/b", "/a/b", "/l/*", "/l/*/id", "/0", ""];
    let pointers: Vec<Pointer> = texts.iter().filter_map(|text| Pointer::parse(text).ok()).collect();
    let found = parsers::json(body, &pointers);
    assert_eq!(found.len(), pointers.len());
    let tree: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    for (pointer, values) in pointers.iter().zip(&found) {
        let Some(values) = values else { continue };
        assert!(values.len() <= if pointer.many() { VALUES_MAX } else { 1 }, "{pointer}: {} values", values.len());
        let ([value], false, Some(tree)) = (values.as_slice(), pointer.many(), &tree) else { continue };
        match tree.pointer(&pointer.to_string()) {
            Some(serde_json::Value::String(text)) => assert_eq!(value, text.as_bytes(), "{pointer}"),
            Some(serde_json::Value::Bool(flag)) => assert_eq!(value, flag.to_string().as_bytes(), "{pointer}"),
            Some(serde_json::Value::Number(_)) => assert!(value.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-')),
            other => panic!("{pointer} found a value where the tree has {other:?}"),
        }
    }
    for pointer in &pointers {
        assert!(parsers::json_elements(body, pointer).is_none_or(|count| count <= VALUES_MAX));
    }
}

/// A form behind a line with its type: what is read is no longer than what was sent, and another type has no fields.
pub(super) fn form(input: &[u8]) {
    let (kind, body) = first_line(input);
    let mut headers = HeadersBuilder::new();
    if !headers.push("Content-Type", kind) {
        return;
    }
    let request = RawRequest {
        method: "POST".into(),
        path: "/".into(),
        query: None,
        headers: headers.build(),
        body: Bytes::copy_from_slice(body),
        client_ip: Ipv4Addr::LOCALHOST.into(),
        received_at: NOW,
    };
    let Some(form) = parsers::form(&request, &["a", "payload", ""]) else { return };
    for value in form.fields.iter().flatten().chain(&form.sorted) {
        assert!(value.len() <= body.len(), "decoding makes nothing longer");
    }
    if let Some(php) = &form.php {
        assert!(php.starts_with(b"a:") && php.ends_with(b"}"));
    }
}

/// A JSON Web Signature: it is within its bound, and what it covers is what was sent.
pub(super) fn jws(input: &[u8]) {
    let Ok(text) = from_utf8(input) else { return };
    let mut fitting = 0;
    for scheme in [Scheme::JwsHs256, Scheme::JwsRs256, Scheme::JwsRs512, Scheme::JwsEs256] {
        let attached = parsers::token(text, scheme, false, NOW);
        let detached = parsers::token(text, scheme, true, NOW);
        assert!(attached.is_none() || detached.is_none(), "a payload is there or it is not");
        if let Some(token) = attached {
            assert!(text.starts_with(from_utf8(&token.signed).expect("text")), "the signed part is not as it was sent");
            assert!(token.claims.len() < text.len() && text.len() <= TOKEN_BYTES_MAX);
            assert!(matches!(token.in_time, Ok(()) | Err(Rejection::Stale | Rejection::Future | Rejection::Malformed)));
            fitting += 1;
        }
        fitting += i32::from(detached.is_some_and(|token| token.claims.is_empty()));
    }
    assert!(fitting <= 1, "a token names one algorithm");
}

/// A timestamp in every unit: what is read is written as what reads the same, and the tolerance holds in both directions.
pub(super) fn timestamp(input: &[u8]) {
    let units = [TimeUnit::Seconds, TimeUnit::Milliseconds, TimeUnit::SecondsOrMilliseconds, TimeUnit::Rfc3339, TimeUnit::HttpDate];
    for unit in units {
        let Some(at) = parsers::timestamp(input, unit) else { continue };
        let written = parsers::written_timestamp(at, unit);
        let again = parsers::timestamp(written.as_bytes(), unit);
        // The number that counts either is written in seconds, and beyond the year 5138 that would be read as milliseconds.
        if unit != TimeUnit::SecondsOrMilliseconds || at.0 < 100_000_000_000_000 {
            assert_eq!(again.map(|again| again.0.div_euclid(1000)), Some(at.0.div_euclid(1000)), "{unit:?} {written}");
        }
        let tolerance = Duration::from_secs(300);
        if let Ok(skew_ms) = parsers::skew(unit, Some(tolerance), at, NOW) {
            assert!(skew_ms.unsigned_abs() <= 301_000, "{unit:?}: {skew_ms} ms are within five minutes");
        }
        assert_eq!(parsers::skew(unit, None, at, NOW), Ok(NOW.0.saturating_sub(at.0)));
    }
    let _ = parsers::numeric_date(input);
}

/// What a target may ask for with `Retry-After`: digits always count, and a date that has passed asks for nothing.
pub(super) fn retry_after(input: &[u8]) {
    let Ok(text) = from_utf8(input) else { return };
    let asked = deliver::delay_asked_for(text, NOW);
    let digits = text.trim();
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        assert!(asked.is_some(), "{text}");
    }
    if let (Some(asked), Some(_)) = (asked, digits.strip_suffix("GMT")) {
        assert!(asked < Duration::from_secs(10_000 * 366 * 24 * 60 * 60), "{text}: {asked:?}");
    }
}

/// An id as it stands in a path of the API: one spelling, and the time in it is a time.
pub(super) fn event_id(input: &[u8]) {
    let Ok(text) = from_utf8(input) else { return };
    let Some(id) = EventId::parse(text) else { return };
    assert_eq!(id.to_string(), text);
    assert_eq!(EventId::from_i64(id.to_i64()), Some(id));
    assert!(EventId::first_at(id.made_at()) <= id);
}
