//! What can be refused from the head alone, before a byte of the body is read: cheap, and in the order of what tells a stranger least.

use std::{net::IpAddr, sync::Arc};

use super::{head::Head, refusal::Refusal};
use crate::{
    clock::UnixMs,
    limits::{OUR_HEAD_BYTES_MAX, STORED_HEAD_BYTES_MAX, VIA_MAX},
    plan::{Plan, Source},
    rejection::Rejection,
    request::Single,
};

/// Where a request goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rung<'a> {
    /// The source.
    pub(super) source: &'a Arc<Source>,
    /// Its path as configured, without a URL token: what may be shown.
    pub(super) path: &'a str,
    /// Whether the path goes on with a URL token, if one is asked for.
    pub(super) shows_token: bool,
    /// Whether the client has the certificate that is asked for, if one is.
    pub(super) shows_certificate: bool,
    /// The guard that would have refused it, did its source not only observe.
    pub(super) let_by: Option<Rejection>,
}

/// The source whose path this is, or whose path and URL token. Paths are compared as received, byte for byte: what would have to be decoded
/// or tidied up first is not ours.
pub(super) fn rung<'a>(plan: &'a Plan, head: &Head, now: UnixMs) -> Result<Rung<'a>, Refusal> {
    let names = head.names.as_deref().unwrap_or_default();
    let rung = |source: &'a Arc<Source>, path, shows_token| Rung {
        source,
        path,
        shows_token,
        shows_certificate: source.guard.recognises(names),
        let_by: None,
    };
    if let Some((path, source)) = plan.paths.get_key_value(&*head.path) {
        return Ok(rung(source, path, source.guard.url_tokens.is_empty()));
    }
    let (before, segment) = head.path.rsplit_once('/').ok_or(Rejection::UnknownPath)?;
    let with_slash = head.path.get(..=before.len()).unwrap_or_default();
    let mut stood_before = None;
    for path in [before, with_slash] {
        let found = plan.paths.get_key_value(path).filter(|(_, source)| !source.guard.url_tokens.is_empty());
        let Some((path, source)) = found else { continue };
        let rung = rung(source, path, source.guard.knows(segment, now));
        if rung.shows_token {
            return Ok(rung);
        }
        stood_before.get_or_insert(rung);
    }
    stood_before.ok_or_else(|| Rejection::UnknownPath.into())
}

/// What guards the source: URL token (a wrong one is answered like a path that is nobody's), address, client certificate.
pub(super) fn guard(rung: &Rung<'_>, client: IpAddr) -> Result<(), Rejection> {
    if !rung.shows_token {
        return Err(Rejection::UrlToken);
    }
    if !rung.source.guard.lets_in(client) {
        return Err(Rejection::Ip);
    }
    if rung.shows_certificate { Ok(()) } else { Err(Rejection::ClientCert) }
}

/// The same, and a source that only observes lets by what its guards refuse. Without its URL token a request is its own at its very path
/// only: whatever stands behind that may be a mistake about another's.
pub(super) fn pass<'a>(rung: Rung<'a>, client: IpAddr, head: &Head, now: UnixMs) -> Result<Rung<'a>, Refusal> {
    match guard(&rung, client) {
        Ok(()) => Ok(rung),
        Err(reason) => {
            let is_its_own = reason != Rejection::UrlToken || *head.path == *rung.path;
            if is_its_own && rung.source.verifier.observes(now) { Ok(Rung { let_by: Some(reason), ..rung }) } else { Err(reason.into()) }
        }
    }
}

/// Method (one that only handshakes come with is looked at further), loop, encoding, repeated fields, size.
pub(super) fn check(source: &Source, head: &Head) -> Result<(), Refusal> {
    if !source.takes(&head.method) && !source.verifier.methods().contains(&head.method) {
        return Err(Rejection::Method.into());
    }
    if visits(head) >= VIA_MAX {
        return Err(Rejection::Loop.into());
    }
    let identity = |value: &[u8]| value.trim_ascii().eq_ignore_ascii_case(b"identity");
    if !head.headers.all("content-encoding").all(identity) {
        return Err(Rejection::Encoding.into());
    }
    if head.headers.single("content-type") == Single::Repeated {
        return Err(Rejection::DuplicateHeader.into());
    }
    if head.content_length().is_some_and(|announced| announced > source.body_limit) {
        return Err(Rejection::TooLarge.into());
    }
    if head.forwarded_bytes() > STORED_HEAD_BYTES_MAX - OUR_HEAD_BYTES_MAX {
        return Err(Refusal::HeadTooLarge);
    }
    Ok(())
}

/// How often the request has passed through a hookgate, by its `Via` entries (RFC 9110, 7.6.3): `1.1 hookgate/4f1d22a0`.
fn visits(head: &Head) -> usize {
    let ours = |word: &[u8]| word.get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"hookgate/"));
    let entries = head.headers.all("via").flat_map(|value| value.split(|byte| *byte == b','));
    entries.filter(|entry| entry.split(u8::is_ascii_whitespace).any(ours)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::HeadersBuilder;

    fn head(fields: &[(&str, &[u8])]) -> Head {
        let mut headers = HeadersBuilder::new();
        for (name, value) in fields {
            assert!(headers.push(name, value));
        }
        Head { method: "POST".into(), path: "/".into(), query: None, headers: headers.build(), peer: [127, 0, 0, 1].into(), names: None }
    }

    #[test]
    fn visits_are_counted_over_fields_and_lists() {
        assert_eq!(visits(&head(&[])), 0);
        assert_eq!(visits(&head(&[("Via", b"1.1 proxy, 1.1 hookgates/x, 1.0 vegur")])), 0);
        assert_eq!(visits(&head(&[("Via", b"1.1 hookgate/a,1.1 HOOKGATE/b"), ("via", b"1.1 proxy , hookgate/c")])), 3);
    }
}
