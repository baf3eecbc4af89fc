//! The parsers behind [`super::Verifier`], one by one, for those who try them with arbitrary bytes (`tests/fuzz`, `fuzz/`): no gateway
//! calls them here. Each promises what its own module does, and none proves anything.

use std::time::Duration;

use super::{document::Document, form::Form, jws, moment, proof, value::Lack};
use crate::{
    clock::UnixMs,
    provider::{Pointer, Scheme, TimeUnit, Vector},
    rejection::Rejection,
    request::RawRequest,
    verify::Credential,
};

/// Looks pointers up in a body: the values of each, or `None` where it can be read in two ways or has more values than are kept.
#[must_use]
pub fn json(body: &[u8], pointers: &[Pointer]) -> Vec<Option<Vec<Vec<u8>>>> {
    let document = Document::read(body, pointers);
    let found = |pointer| {
        let slot = document.slot(pointer).filter(|slot| !slot.is_unusable() && !slot.cut)?;
        Some(slot.values.iter().map(|value| value.to_vec()).collect())
    };
    pointers.iter().map(found).collect()
}

/// How many elements the array has that `pointer` leads to; `None` without exactly one array, or with more than are looked at.
#[must_use]
pub fn json_elements(body: &[u8], pointer: &Pointer) -> Option<usize> {
    Document::read(body, std::slice::from_ref(pointer)).elements(pointer).map(|elements| elements.len())
}

/// A form as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormRead {
    /// The values of the fields that were asked for, decoded.
    pub fields: Vec<Option<Vec<u8>>>,
    /// Names and values as Twilio signs them, sorted.
    pub sorted: Option<Vec<u8>>,
    /// All fields but the first that was asked for, as Paddle Classic signs them.
    pub php: Option<Vec<u8>>,
}

/// Reads the form in a request's body; `None` where its type says that it is none.
#[must_use]
pub fn form(request: &RawRequest, names: &[&str]) -> Option<FormRead> {
    let form = Form::read(request);
    let some = |found: Result<Vec<u8>, Lack>| found.ok();
    form.is_form().then(|| FormRead {
        fields: names.iter().map(|name| form.field(name).ok().map(<[u8]>::to_vec)).collect(),
        sorted: some(form.sorted(&request.body)),
        php: some(form.php(names.first().copied().unwrap_or_default())),
    })
}

/// A token, taken apart and not proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRead {
    /// Its payload, decoded; empty when it is detached.
    pub claims: Vec<u8>,
    /// What its signature would have to cover.
    pub signed: Vec<u8>,
    /// Whether its times hold.
    pub in_time: Result<(), Rejection>,
}

/// Takes a JSON Web Signature apart; `None` when it is none of this scheme.
#[must_use]
pub fn token(text: &str, scheme: Scheme, detached: bool, now: UnixMs) -> Option<TokenRead> {
    let token = jws::read(text, scheme, detached)?;
    Some(TokenRead { signed: token.signed(b""), in_time: jws::in_time(&token.claims, now), claims: token.claims })
}

/// Reads a timestamp.
#[must_use]
pub fn timestamp(text: &[u8], unit: TimeUnit) -> Option<UnixMs> {
    moment::read(text, unit)
}

/// Writes a timestamp as [`timestamp`] reads it.
#[must_use]
pub fn written_timestamp(at: UnixMs, unit: TimeUnit) -> String {
    moment::write(at, unit)
}

/// Reads a NumericDate (RFC 7519).
#[must_use]
pub fn numeric_date(text: &[u8]) -> Option<UnixMs> {
    moment::read_date(text)
}

/// How far a timestamp lies behind `now`, in milliseconds.
///
/// # Errors
/// [`Rejection::Stale`] or [`Rejection::Future`] beyond `tolerance`.
pub fn skew(unit: TimeUnit, tolerance: Option<Duration>, signed_at: UnixMs, now: UnixMs) -> Result<i64, Rejection> {
    let rule = crate::provider::TimestampRule { at: crate::provider::Atom::Body, unit, tolerance };
    moment::skew(&rule, tolerance, signed_at, now)
}

/// The request of a known answer, with the credentials it is verified with and the public URL it was sent to.
///
/// # Errors
/// What is wrong with the vector, in a sentence.
pub fn known_answer(vector: &Vector) -> Result<(RawRequest, Vec<Credential>, Option<url::Url>), String> {
    let at = UnixMs(vector.at.saturating_mul(1000));
    Ok((proof::request(vector, at)?, proof::credentials(vector), proof::endpoint(vector)))
}
