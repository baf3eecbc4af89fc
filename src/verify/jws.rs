//! JSON Web Signatures (RFC 7515) in compact form. What the header says is held against what the file demands, and never followed: the
//! algorithm must be the scheme's, and a header that brings or points at a key, or demands an extension, is refused.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use smallvec::SmallVec;

use super::{document::Document, moment, spelling::Signature};
use crate::{
    clock::UnixMs,
    provider::{Pointer, Scheme},
    rejection::Rejection,
};

/// Bytes of the longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// What a header is asked for, in the order of [`Header`].
const HEADER: [&str; 6] = ["alg", "kid", "crit", "jku", "x5u", "jwk"];

/// A token, taken apart.
pub(super) struct Jws<'t> {
    /// The header as it was sent: what was signed begins with it.
    pub(super) header: &'t str,
    /// The payload as it was sent; empty when it is detached.
    pub(super) payload: &'t str,
    /// The payload, decoded.
    pub(super) claims: Vec<u8>,
    /// Which key it claims to be made with.
    pub(super) kid: Option<Box<str>>,
    /// The signature.
    pub(super) signature: Signature,
}

/// The name of a scheme's algorithm in headers (RFC 7518).
pub(super) fn algorithm(scheme: Scheme) -> Option<&'static str> {
    match scheme {
        Scheme::JwsHs256 => Some("HS256"),
        Scheme::JwsRs256 => Some("RS256"),
        Scheme::JwsRs512 => Some("RS512"),
        Scheme::JwsEs256 => Some("ES256"),
        _ => None,
    }
}

/// Takes a token apart. `None` when it is not one of this scheme's.
pub(super) fn read(text: &str, scheme: Scheme, detached: bool) -> Option<Jws<'_>> {
    if text.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let mut parts = text.split('.');
    let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || payload.is_empty() != detached {
        return None;
    }
    let decoded = URL_SAFE_NO_PAD.decode(header).ok()?;
    let pointers: SmallVec<[Pointer; 6]> = HEADER.iter().map(|name| Pointer::member(name)).collect();
    let document = Document::read(&decoded, &pointers);
    let mut found = pointers.iter().map(|pointer| document.slot(pointer));
    let mut next = || found.next().flatten();
    let text_of = |slot: &super::document::Slot<'_>| match (slot.is_unusable(), slot.values.as_slice()) {
        (false, [one]) => std::str::from_utf8(one).ok().map(Box::<str>::from),
        _ => None,
    };
    let (alg, kid) = (next()?, next()?);
    if text_of(alg).as_deref() != algorithm(scheme) || kid.is_unusable() {
        return None;
    }
    let kid = text_of(kid);
    // Whatever stands there, even null: the header has no business with it.
    if !std::iter::from_fn(next).all(super::document::Slot::is_nothing) {
        return None;
    }
    let signature = Signature::from_vec(URL_SAFE_NO_PAD.decode(signature).ok()?);
    let claims = URL_SAFE_NO_PAD.decode(payload).ok()?;
    scheme.signature_bytes().contains(&signature.len()).then_some(Jws { header, payload, claims, kid, signature })
}

impl Jws<'_> {
    /// What was signed; `message` is the payload of a detached one.
    pub(super) fn signed(&self, message: &[u8]) -> Vec<u8> {
        let payload = if self.payload.is_empty() { Cow::Owned(URL_SAFE_NO_PAD.encode(message)) } else { Cow::Borrowed(self.payload) };
        [self.header.as_bytes(), b".", payload.as_bytes()].concat()
    }
}

/// Whether the times in the claims hold: `exp` is ahead, `nbf` is not.
pub(super) fn in_time(claims: &[u8], now: UnixMs) -> Result<(), Rejection> {
    let pointers = [Pointer::member("exp"), Pointer::member("nbf")];
    let document = Document::read(claims, &pointers);
    let moment = |pointer: &Pointer| match document.slot(pointer) {
        Some(slot) if slot.is_unusable() => Err(Rejection::Malformed),
        Some(slot) => match slot.values.as_slice() {
            [] => Ok(None),
            [one] => moment::read_date(one).map(Some).ok_or(Rejection::Malformed),
            _ => Err(Rejection::Malformed),
        },
        None => Ok(None),
    };
    let [exp, nbf] = &pointers;
    if moment(exp)?.is_some_and(|exp| now >= exp) {
        return Err(Rejection::Stale);
    }
    if moment(nbf)?.is_some_and(|nbf| now < nbf) {
        return Err(Rejection::Future);
    }
    Ok(())
}
