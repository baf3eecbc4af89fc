//! The head of a request as the door hands it over, and the head of an event as it is stored: what of the provider's may be forwarded, and
//! ours.

use std::{fmt::Write as _, net::IpAddr, sync::Arc};

use bytes::Bytes;
use memchr::memmem;

use super::identity;
use crate::{
    clock::UnixMs,
    event::{EventId, EventTypes},
    limits::{OUR_HEAD_BYTES_MAX, SHOWN_URL_BYTES_MAX, STORED_HEAD_BYTES_MAX},
    name::SourceName,
    plan::Source,
    provider::Atom,
    rejection::Rejection,
    request::{Headers, HeadersBuilder, RawRequest, Single, name_begins},
    subject::SubjectName,
    verify::{Identity, Proof},
};

/// Fields that are not forwarded: between two hops (RFC 9110, 7.6.1), about this connection only, or claims about the way here that a
/// target might believe. Further ones are kept back by their prefix, and those that `Connection` names.
const KEPT_BACK: [&str; 16] = [
    "connection",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-real-ip",
];
const KEPT_BACK_PREFIXES: [&str; 3] = ["x-forwarded-", "cf-", "hookgate-"];

/// The provider of events of our own, which come from nobody else.
const OWN_PROVIDER: &str = "hookgate";

/// The head of a request, as received.
#[derive(Clone, Debug)]
pub struct Head {
    /// The method.
    pub method: Box<str>,
    /// The path: no decoding, no normalisation.
    pub path: Box<str>,
    /// What followed the `?`; `None` without one.
    pub query: Option<Box<str>>,
    /// All fields.
    pub headers: Headers,
    /// The other end of the connection.
    pub peer: IpAddr,
    /// The names in the certificate that the client has proved to hold; `None` without one.
    pub names: Option<Arc<[SubjectName]>>,
}

impl Head {
    /// The length of the body, when the head says it. The HTTP reader has refused what is no number, is repeated or contradicts a
    /// `Transfer-Encoding`.
    pub(super) fn content_length(&self) -> Option<u64> {
        match self.headers.single("content-length") {
            Single::One(value) => std::str::from_utf8(value).ok()?.trim().parse().ok(),
            Single::Absent | Single::Repeated => None,
        }
    }

    /// Bytes of the fields that would be stored.
    pub(super) fn forwarded_bytes(&self) -> usize {
        let all = self.headers.block().len();
        if all <= STORED_HEAD_BYTES_MAX - OUR_HEAD_BYTES_MAX {
            return all;
        }
        let hops = self.headers.all("via").map(|hops| ("via", hops));
        forwarded(&self.headers).chain(hops).map(|(name, value)| name.len() + value.len() + 4).sum()
    }

    /// The request this is the head of, which came at `at`; its body is still to come, and with its last byte another time.
    pub(super) fn into_request(self, client_ip: IpAddr, at: UnixMs) -> RawRequest {
        RawRequest {
            method: self.method,
            path: self.path,
            query: self.query,
            headers: self.headers,
            body: Bytes::new(),
            client_ip,
            received_at: at,
        }
    }
}

/// What our own fields say.
pub(super) struct Facts<'a> {
    pub(super) id: EventId,
    pub(super) source: &'a Source,
    /// The path that was rung, less the URL token.
    pub(super) path: &'a str,
    pub(super) identity: &'a Identity,
    pub(super) proof: Proof,
    pub(super) public_url: Option<&'a url::Url>,
    pub(super) via: &'a str,
}

/// The block that is stored with an event: the provider's fields that may be forwarded, then ours.
#[must_use]
pub(super) fn compose(request: &RawRequest, facts: &Facts<'_>) -> Bytes {
    let mut head = HeadersBuilder::new();
    // What the builder refuses (a name that is no token, a value with a line end) has no way through HTTP/1.1 either.
    let secrets = Secrets { source: facts.source, token: url_token(request, facts.path) };
    for (name, value) in forwarded(&request.headers).filter(|(name, value)| !secrets.stand_in(name, value)) {
        head.push(name, value);
    }
    head.push("Via", via_with_ours(&request.headers, facts.via).as_slice());
    introduce(&mut head, facts.id, &facts.source.name, &facts.source.provider, &facts.identity.types);
    if let Some(id) = &facts.identity.id {
        head.push("Hookgate-Provider-Event-Id", identity::stored_id(id).as_bytes());
    }
    head.push("Hookgate-Received-At", request.received_at.to_string().as_bytes());
    let url = original_url(request, facts);
    if url.len() <= SHOWN_URL_BYTES_MAX {
        head.push("Hookgate-Original-Url", url.as_bytes());
    }
    let is_proved = facts.proof.observed().is_none() && facts.source.proves();
    head.push("Hookgate-Verified", if is_proved { b"true" } else { b"false" });
    head.build().block().clone()
}

/// The block that is stored with an event of our own, which is JSON.
#[must_use]
pub(super) fn compose_own(id: EventId, (source, types): (&SourceName, &EventTypes), at: UnixMs, via: &str) -> Bytes {
    let mut head = HeadersBuilder::new();
    head.push("Content-Type", b"application/json");
    head.push("Via", via.as_bytes());
    introduce(&mut head, id, source, OWN_PROVIDER, types);
    head.push("Hookgate-Received-At", at.to_string().as_bytes());
    head.push("Hookgate-Verified", b"true");
    head.build().block().clone()
}

/// What every event says of itself first: which it is, whose, and what about.
fn introduce(head: &mut HeadersBuilder, id: EventId, source: &SourceName, provider: &str, types: &EventTypes) {
    head.push("Hookgate-Event-Id", id.to_string().as_bytes());
    head.push("Hookgate-Source", source.as_str().as_bytes());
    head.push("Hookgate-Provider", provider.as_bytes());
    let types = identity::shown_types(types);
    if !types.is_empty() {
        head.push("Hookgate-Event-Type", types.as_bytes());
    }
}

/// Where secrets of a source stand in a request as they are.
pub(super) struct Secrets<'a> {
    pub(super) source: &'a Source,
    /// The URL token that was shown; empty without one.
    pub(super) token: &'a [u8],
}

impl Secrets<'_> {
    /// Whether a field is one of those places, or shows the URL token: a proxy in front may have noted the whole URL in a field of its own.
    pub(super) fn stand_in(&self, name: &str, value: &[u8]) -> bool {
        let is_credential = self.source.verifier.credential_places().iter().any(|place| match place {
            Atom::Header(own) => own.eq_ignore_ascii_case(name),
            Atom::Headers(start) => name_begins(name, start),
            _ => false,
        });
        is_credential || (!self.token.is_empty() && memmem::find(value, self.token).is_some())
    }

    /// The query less the parameters that are such places; `None` when nothing else was in it.
    pub(super) fn less_query(&self, query: &str) -> Option<String> {
        let places = self.source.verifier.credential_places();
        let is_secret = |pair: &&str| {
            let name = pair.split('=').next().unwrap_or_default();
            // As encoded or as it reads: a secret is not shown because its name was spelled in another way.
            let read = url::form_urlencoded::parse(name.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default();
            places.iter().any(|place| matches!(place, Atom::Parameter(own) if **own == *read))
        };
        let shown: Vec<&str> = query.split('&').filter(|pair| !is_secret(pair)).collect();
        (places.is_empty() || !shown.is_empty()).then(|| shown.join("&"))
    }
}

/// What stands behind the path that was rung: the URL token, if one was asked for.
pub(super) fn url_token<'a>(request: &'a RawRequest, path: &str) -> &'a [u8] {
    request.path.get(path.len()..).unwrap_or_default().trim_start_matches('/').as_bytes()
}

/// Who we are in a `Via`: a name that tells gateways apart and nothing about them.
#[must_use]
pub(super) fn via(instance: u32) -> Box<str> {
    format!("1.1 hookgate/{instance:08x}").into()
}

/// The fields that may be forwarded, less `Via`, which is written anew.
fn forwarded(headers: &Headers) -> impl Iterator<Item = (&str, &[u8])> {
    let named = |name: &str| {
        let options = headers.all("connection").flat_map(|value| value.split(|byte| *byte == b','));
        options.into_iter().any(|option| option.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
    };
    let has_connection = headers.all("connection").next().is_some();
    headers.iter().filter(move |(name, _)| {
        let listed = KEPT_BACK.iter().any(|kept| name.eq_ignore_ascii_case(kept));
        let prefixed = KEPT_BACK_PREFIXES.iter().any(|prefix| name_begins(name, prefix));
        !(listed || prefixed || has_connection && named(name))
    })
}

/// The hops so far and us, in one field. `Connection` cannot strike them out: a loop could then hide itself.
fn via_with_ours(headers: &Headers, ours: &str) -> Vec<u8> {
    let mut via = Vec::new();
    for hops in headers.all("via").filter(|hops| !hops.is_empty()) {
        via.extend_from_slice(hops);
        via.extend_from_slice(b", ");
    }
    via.extend_from_slice(ours.as_bytes());
    via
}

/// The URL the provider rang, as it knows it: never from `Host` or a forwarded field. Where no public URL is known it begins with the path.
fn original_url(request: &RawRequest, facts: &Facts<'_>) -> String {
    let source = facts.source;
    let is_first = source.paths.first().is_some_and(|first| **first == *facts.path);
    let mut url = if let Some(endpoint) = source.endpoint.as_ref().filter(|_| is_first) {
        let mut endpoint = endpoint.clone();
        endpoint.set_query(None);
        endpoint.to_string()
    } else {
        let base = facts.public_url.map_or("", |url| url.as_str().trim_end_matches('/'));
        format!("{base}{}", identity::safe(facts.path.as_bytes()))
    };
    let secrets = Secrets { source, token: b"" };
    // Without its token where it belongs, a request may have it here.
    let query = request.query.as_deref().filter(|_| facts.proof.observed() != Some(Rejection::UrlToken));
    if let Some(shown) = query.and_then(|query| secrets.less_query(query)) {
        // Writing to a String cannot fail.
        let _ = write!(url, "?{}", identity::safe(shown.as_bytes()));
    }
    url
}
