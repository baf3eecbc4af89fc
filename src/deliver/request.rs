//! From a lease and its bytes to the request a target gets: the provider's headers as stored, ours that differ from attempt to attempt,
//! the target's own. Values stay slices of the stored block; the body is shared, never copied.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri,
    header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
};
use http_body_util::Full;

use crate::{
    clock::UnixMs,
    delivery::DeliveryId,
    event::Payload,
    lease::Lease,
    limits::HEADER_FIELDS_MAX,
    plan::{Auth, Target},
    request::Headers,
};

const DELIVERY_ID: HeaderName = HeaderName::from_static("hookgate-delivery-id");
const ATTEMPT: HeaderName = HeaderName::from_static("hookgate-attempt");
const REPLAY: HeaderName = HeaderName::from_static("hookgate-replay");

/// What every request to a target has in common, made once.
#[derive(Debug)]
pub(super) struct Envelope {
    method: http::Method,
    uri: Uri,
    headers: HeaderMap,
}

/// What of a lease a request carries, and what is told of its attempt: all but the bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// The delivery.
    pub(super) id: DeliveryId,
    /// The number of this attempt.
    pub(super) attempt: u32,
    /// The slot it replays.
    pub(super) replay_of: Option<u8>,
    /// When the delivery was born.
    pub(super) first_at: UnixMs,
    /// What is left of the lease.
    pub(super) left: Duration,
}

impl Facts {
    /// Those of a lease, of which this much is left.
    pub(super) fn of(lease: &Lease, left: Duration) -> Self {
        Self { id: lease.id, attempt: lease.attempt, replay_of: lease.replay_of, first_at: lease.first_at, left }
    }
}

/// The stored header block is not one: it is damaged, and wrong bytes are never sent.
#[derive(Debug, thiserror::Error)]
#[error("the stored headers are damaged")]
pub(super) struct Damaged;

impl Envelope {
    /// For this target; `None` when its URL or its credential cannot stand in a request.
    pub(super) fn to(target: &Target) -> Option<Self> {
        let mut headers = HeaderMap::with_capacity(target.headers.len() + 1);
        for (name, value) in &target.headers {
            headers.append(name, value.clone());
        }
        if let Some(auth) = &target.auth {
            headers.insert(AUTHORIZATION, authorization(auth)?);
        }
        // These three are the connection's own affair.
        for name in [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION] {
            headers.remove(name);
        }
        Some(Self { method: target.method.clone(), uri: target.url.as_str().parse().ok()?, headers })
    }

    /// The request of one attempt.
    ///
    /// # Errors
    /// [`Damaged`].
    pub(super) fn request(&self, facts: &Facts, payload: Payload) -> Result<Request<Full<Bytes>>, Damaged> {
        let mut headers = self.stored(payload.head)?;
        self.put_ours(&mut headers);
        headers.insert(DELIVERY_ID, text(facts.id.to_string())?);
        headers.insert(ATTEMPT, HeaderValue::from(facts.attempt));
        if let Some(slot) = facts.replay_of {
            headers.insert(REPLAY, text(DeliveryId { event: facts.id.event, slot }.to_string())?);
        }
        headers.insert(CONTENT_LENGTH, HeaderValue::from(payload.body.len()));
        let mut request = Request::new(Full::new(payload.body));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn stored(&self, block: Bytes) -> Result<HeaderMap, Damaged> {
        let stored = Headers::parse(block).ok_or(Damaged)?;
        let mut headers = HeaderMap::with_capacity((stored.len() + self.headers.len() + 4).min(2 * HEADER_FIELDS_MAX));
        for (name, value) in stored.iter() {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Damaged)?;
            // The value is a part of the very block it is sliced from, which is what `slice_ref` demands.
            let value = HeaderValue::from_maybe_shared(stored.block().slice_ref(value)).map_err(|_| Damaged)?;
            headers.try_append(name, value).map_err(|_| Damaged)?;
        }
        // Ingest leaves them out; a stored one would speak of another connection.
        for name in [HOST, TRANSFER_ENCODING, CONNECTION] {
            headers.remove(name);
        }
        Ok(headers)
    }

    /// The target's own fields replace the provider's of the same name.
    fn put_ours(&self, headers: &mut HeaderMap) {
        for name in self.headers.keys() {
            headers.remove(name);
        }
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
    }
}

fn authorization(auth: &Auth) -> Option<HeaderValue> {
    let mut line = match auth {
        // Revealed to the target it belongs to, in the one header made for it.
        Auth::Bearer(token) => [b"Bearer ", token.reveal()].concat(),
        Auth::Basic(pair) => format!("Basic {}", STANDARD.encode(pair.reveal())).into_bytes(),
    };
    let value = HeaderValue::from_bytes(&line).ok();
    zeroize::Zeroize::zeroize(&mut line);
    let mut value = value?;
    value.set_sensitive(true);
    Some(value)
}

fn text(value: String) -> Result<HeaderValue, Damaged> {
    HeaderValue::from_maybe_shared(Bytes::from(value)).map_err(|_| Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::EventId, plan::testing, request::HeadersBuilder, secret::Secret};

    fn facts(attempt: u32, replay_of: Option<u8>) -> Facts {
        let id = DeliveryId { event: EventId::from_i64(77).expect("valid"), slot: 1 };
        Facts { id, attempt, replay_of, first_at: UnixMs(0), left: Duration::from_secs(30) }
    }

    fn payload(fields: &[(&str, &[u8])], body: &'static [u8]) -> Payload {
        let mut head = HeadersBuilder::new();
        for (name, value) in fields {
            assert!(head.push(name, value));
        }
        Payload { head: head.build().block().clone(), body: Bytes::from_static(body) }
    }

    #[test]
    fn stored_fields_stay_and_ours_are_added() {
        let mut target = testing::target("app", "http://127.0.0.1:9/hook?x=1");
        target.headers = vec![(HeaderName::from_static("x-team"), HeaderValue::from_static("a"))];
        target.auth = Some(Auth::Basic(Secret::new("user:pass word")));
        let stored = payload(
            &[("X-Sig", b"t=1,v1=\xff"), ("X-Multi", b"1"), ("X-Multi", b"2"), ("X-Team", b"spoofed"), ("Authorization", b"theirs")],
            b"{}",
        );
        let head = stored.head.clone();
        let request = Envelope::to(&target).expect("an envelope").request(&facts(3, Some(0)), stored).expect("a request");
        let value = |name: &str| request.headers().get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
        assert_eq!(request.uri(), "http://127.0.0.1:9/hook?x=1");
        assert_eq!(value("x-sig"), [b"t=1,v1=\xff"]);
        assert_eq!(value("x-multi"), [b"1", b"2"]);
        assert_eq!(value("x-team"), [b"a"]);
        assert_eq!(value("authorization"), [b"Basic dXNlcjpwYXNzIHdvcmQ="]);
        assert_eq!(value("hookgate-delivery-id"), [b"dlv_000000000002d-1"]);
        assert_eq!(value("hookgate-attempt"), [b"3"]);
        assert_eq!(value("hookgate-replay"), [b"dlv_000000000002d-0"]);
        assert_eq!(value("content-length"), [b"2"]);
        let sent = request.headers()["x-sig"].as_bytes().as_ptr_range();
        assert!(head.as_ptr_range().contains(&sent.start), "a slice of the block, not a copy");
    }

    #[test]
    fn nobody_else_says_which_delivery_it_is() {
        let mut target = testing::target("app", "http://127.0.0.1:9/");
        target.headers = vec![(DELIVERY_ID, HeaderValue::from_static("mine")), (CONTENT_LENGTH, HeaderValue::from_static("99"))];
        let stored = payload(&[("Hookgate-Attempt", b"9"), ("Connection", b"close"), ("Host", b"elsewhere")], b"abc");
        let request = Envelope::to(&target).expect("an envelope").request(&facts(1, None), stored).expect("a request");
        assert_eq!(request.headers()[DELIVERY_ID], "dlv_000000000002d-1");
        assert_eq!(request.headers()[ATTEMPT], "1");
        assert_eq!(request.headers()[CONTENT_LENGTH], "3");
        assert!(!request.headers().contains_key(REPLAY));
        assert!(!request.headers().contains_key(CONNECTION) && !request.headers().contains_key(HOST));
    }

    #[test]
    fn a_damaged_block_is_not_sent() {
        let envelope = Envelope::to(&testing::target("app", "http://127.0.0.1:9/")).expect("an envelope");
        for head in [&b"no colon\r\n"[..], b"bad name: x\r\n", b"x: \x01\r\n"] {
            let stored = Payload { head: Bytes::from_static(head), body: Bytes::new() };
            assert!(envelope.request(&facts(1, None), stored).is_err());
        }
    }
}
