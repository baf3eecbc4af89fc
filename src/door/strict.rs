//! What HTTP/1.1 asks of those who read a request and actix leaves to us, looked at before anybody else sees the head.
//!
//! A request that is at fault here is answered and its connection closed, as one that cannot be parsed is: what follows it might be
//! understood in two ways. The table in `tests/suite/conformance` names each rule; those that cannot be kept from here are named there too.

use actix_http::RequestHead;
use actix_web::http::{Method, Uri, header};

use crate::limits::{HEAD_BYTES_MAX, TARGET_BYTES_MAX};

/// The status to refuse a request with, if it is at fault. `is_secured` says whether clients reach us over TLS, ours or a proxy's.
pub(super) fn fault(head: &RequestHead, is_secured: bool) -> Option<u16> {
    // Whether a long head is read to its end depends on how it comes; whether it is taken does not.
    let fields: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if fields > HEAD_BYTES_MAX {
        return Some(431);
    }
    // RFC 9112, 3.2: one Host, and a valid one; actix sees to the one.
    if head.headers.get(header::HOST).is_some_and(|host| !is_authority(host.as_bytes())) {
        return Some(400);
    }
    // actix would read such a body to the end of the connection, whatever Content-Length says.
    let upgrades = head.headers.get_all(header::UPGRADE).any(|value| names(value.as_bytes(), b"websocket"));
    if upgrades {
        return Some(400);
    }
    target_fault(&head.method, &head.uri, is_secured)
}

fn target_fault(method: &Method, target: &Uri, is_secured: bool) -> Option<u16> {
    // RFC 9112, 3: a target longer than any that is served.
    if target.path_and_query().is_some_and(|rest| rest.as_str().len() > TARGET_BYTES_MAX) {
        return Some(414);
    }
    let authority = target.authority()?.as_str();
    let scheme = target.scheme_str();
    // RFC 9110, 4.2.4: a name before the host is there to mislead. 9112, 3.2.3: a bare authority is for CONNECT alone.
    if !is_authority(authority.as_bytes()) || scheme.is_none() && *method != Method::CONNECT {
        return Some(400);
    }
    match scheme {
        Some("https") if !is_secured => Some(421), // RFC 9110, 7.4
        Some("http" | "https") | None => None,
        Some(_) => Some(400),
    }
}

/// `uri-host [ ":" port ]` (RFC 9110, 7.2): an address in brackets or a name, which may be empty, and digits.
fn is_authority(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    let (host, rest) = match value.strip_prefix(b"[") {
        Some(inner) => {
            let Some(end) = inner.iter().position(|byte| *byte == b']') else { return false };
            let (address, rest) = inner.split_at(end);
            if address.is_empty() || !address.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')) {
                return false;
            }
            (&b""[..], rest.get(1..).unwrap_or_default())
        }
        None => value.split_at(value.iter().position(|byte| *byte == b':').unwrap_or(value.len())),
    };
    is_name(host) && rest.strip_prefix(b":").unwrap_or(rest).iter().all(u8::is_ascii_digit) && (rest.is_empty() || rest.starts_with(b":"))
}

/// `reg-name` (RFC 3986, 3.2.2).
fn is_name(name: &[u8]) -> bool {
    let mut rest = name;
    while let Some((first, after)) = rest.split_first() {
        rest = match (first, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => after,
            (byte, after) if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte) => after,
            _ => return false,
        };
    }
    true
}

/// Whether a list has this member, whatever its case.
fn names(list: &[u8], member: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|one| one.trim_ascii().eq_ignore_ascii_case(member))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses_and_nothing_else() {
        for fine in ["", "a", "hooks.example.com", "a:", "a:80", "[::1]", "[::ffff:1.2.3.4]:8443", "10.0.0.1:1", "x_y", "a%2Db", " a "] {
            assert!(is_authority(fine.as_bytes()), "{fine}");
        }
        for wrong in ["a b", "a:b", "a:1:2", "user@a", "a/b", "[::1", "[]", "[::1]x", "[g]", "a%2", "a%zz", "http://a", "a\\b", "é", "a#b"]
        {
            assert!(!is_authority(wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn targets_are_in_the_form_their_method_asks_for() {
        let fault = |method: Method, target: &str, secured| target_fault(&method, &target.parse().expect("a target"), secured);
        assert_eq!(fault(Method::POST, "/hooks/github?a=1", false), None);
        assert_eq!(fault(Method::OPTIONS, "*", false), None);
        assert_eq!(fault(Method::POST, "http://a/hooks/github", false), None);
        assert_eq!(fault(Method::POST, "https://a/hooks/github", true), None);
        assert_eq!(fault(Method::POST, "https://a/hooks/github", false), Some(421));
        assert_eq!(fault(Method::POST, "ftp://a/hooks/github", true), Some(400));
        assert_eq!(fault(Method::POST, "http://me@a/hooks/github", false), Some(400));
        assert_eq!(fault(Method::POST, "a:80", false), Some(400));
        assert_eq!(fault(Method::CONNECT, "a:80", false), None);
        assert_eq!(fault(Method::POST, &format!("/{}", "x".repeat(TARGET_BYTES_MAX - 1)), false), None);
        assert_eq!(fault(Method::POST, &format!("/{}", "x".repeat(TARGET_BYTES_MAX)), false), Some(414));
    }
}
