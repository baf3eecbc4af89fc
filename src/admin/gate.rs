//! Who may come in at all: the Host allow-list, requests that another site's page made, and the bearer token.
//!
//! There are no cookies, so a page of another site has nothing of ours to send along. What it could try is to reach a listener on the
//! visitor's own machine under a name of its own, or to have a form sent here; both are refused before the token is looked at.

use actix_web::{
    HttpRequest,
    http::{StatusCode, header},
};

use super::answer::Problem;

/// Refuses a `Host` (without its port) that is not on the list: a page of another site that resolves to us shows its own name here.
pub(super) fn host(request: &HttpRequest, known: &[String]) -> Result<(), Problem> {
    let name = only(request, header::HOST).map(name_of);
    if name.is_some_and(|name| known.iter().any(|one| name_of(one).eq_ignore_ascii_case(name))) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "this Host is not in `admin.hosts`"))
}

/// Refuses what a browser sends on behalf of a page that is not ours.
pub(super) fn own_site(request: &HttpRequest) -> Result<(), Problem> {
    let site = request.headers().get("sec-fetch-site").map(header::HeaderValue::as_bytes);
    // `none` is somebody who typed the address.
    let is_ours = site.is_none_or(|site| [b"same-origin".as_slice(), b"none"].contains(&site));
    let origin = request.headers().contains_key(header::ORIGIN).then(|| only(request, header::ORIGIN));
    let is_from_here = origin.is_none_or(|origin| {
        let authority = origin.and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
        authority.zip(only(request, header::HOST)).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
    });
    if is_ours && is_from_here {
        return Ok(());
    }
    Err(Problem::new(StatusCode::FORBIDDEN, "this comes from the page of another site, which may not use this API"))
}

/// The token of `Authorization: Bearer ...`; `None` when there is no such header, or more than one.
pub(super) fn bearer(request: &HttpRequest) -> Option<&[u8]> {
    let mut shown = request.headers().get_all(header::AUTHORIZATION);
    let (first, None) = (shown.next()?.as_bytes(), shown.next()) else { return None };
    let (scheme, token) = first.split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// The value of a field that is there once.
fn only(request: &HttpRequest, name: header::HeaderName) -> Option<&str> {
    let mut all = request.headers().get_all(name);
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    value.to_str().ok()
}

/// A `Host` without its port and without the brackets of IPv6.
fn name_of(host: &str) -> &str {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    match host.split_once(':') {
        // More than one colon is an address of IPv6 without brackets, as a list may write it.
        Some((name, port)) if !port.contains(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_host_is_compared_without_port_and_brackets() {
        for (host, name) in [("localhost:9480", "localhost"), ("127.0.0.1", "127.0.0.1"), ("[::1]:9480", "::1"), ("::1", "::1"), ("", "")] {
            assert_eq!(name_of(host), name, "{host}");
        }
    }

    #[test]
    fn what_a_page_of_another_site_sends_is_refused() {
        let comes = |fields: &[(&str, &str)]| {
            let request = TestRequest::default().insert_header(("Host", "localhost:9480"));
            let request = fields.iter().fold(request, |request, field| request.append_header(*field));
            own_site(&request.to_http_request()).is_ok()
        };
        for fields in [
            &[][..],
            &[("Origin", "http://localhost:9480"), ("Sec-Fetch-Site", "same-origin")],
            &[("Origin", "https://LOCALHOST:9480")],
            &[("Sec-Fetch-Site", "none")],
        ] {
            assert!(comes(fields), "{fields:?}");
        }
        for fields in [
            &[("Origin", "https://evil.example")][..],
            &[("Origin", "http://localhost")],
            &[("Origin", "null")],
            &[("Origin", "http://localhost:9480"), ("Origin", "https://evil.example")],
            &[("Sec-Fetch-Site", "cross-site")],
            &[("Sec-Fetch-Site", "same-site"), ("Origin", "http://localhost:9480")],
        ] {
            assert!(!comes(fields), "{fields:?}");
        }
    }
}
