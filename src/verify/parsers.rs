//! The parsers behind [`super::Verifier`], one by one, for those who try them with arbitrary bytes (`tests/fuzz`, `fuzz/`): no gateway
//! calls them here. Each promises what its own module does, and none proves anything.

use std::time::Duration;

use rustls::RootCertStore;
use url::Url;

use super::{asked, certificate, confirm, document::Document, form::Form, jws, moment, proof, public_key, value::Lack};
use crate::{
    clock::UnixMs,
    provider::{Issuer, KeyVendor, Pointer, Scheme, TimeUnit, Vector},
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

/// How many keys a published set has for a scheme, each by its name.
///
/// # Errors
/// Why there is none.
pub fn published(scheme: Scheme, set: &[u8]) -> Result<Vec<Box<str>>, String> {
    Ok(public_key::of_published(scheme, set)?.into_iter().filter_map(|named| named.kid).collect())
}

/// How many keys a pinned text holds, read as a set, as a PEM and as it is.
#[must_use]
pub fn pinned(scheme: Scheme, text: &[u8]) -> [usize; 3] {
    let set = public_key::of_jwks(scheme, text).map_or(0, |keys| keys.len());
    [set, usize::from(public_key::of_pem(scheme, text).is_ok()), usize::from(public_key::of_der(scheme, text).is_ok())]
}

/// Until when a certificate is good that is believed of this host, vouched for by the host or by no authority at all.
///
/// # Errors
/// Why it is not believed.
pub fn certificate(text: &[u8], url: &Url, is_of_host: bool, now: UnixMs) -> Result<UnixMs, String> {
    let issuer = if is_of_host { Issuer::Host } else { Issuer::Roots };
    certificate::believed(text, url, &[], issuer, &RootCertStore::empty(), now).map(|believed| believed.until)
}

/// Where a key of this name is asked for, and the name as it is read back from there.
#[must_use]
pub fn key_place(vendor: KeyVendor, url: &Url, name: &[u8]) -> Option<(Url, String)> {
    let place = asked::place(vendor, url, name)?;
    let name = asked::name(vendor, &place)?.to_owned();
    Some((place, name))
}

/// Until when a key is good that was given out, if it has an end.
///
/// # Errors
/// Why it is none.
pub fn given_key(vendor: KeyVendor, name: &str, answer: &[u8], now: UnixMs) -> Result<Option<UnixMs>, String> {
    let scheme = if vendor == KeyVendor::Ebay { Scheme::EcdsaP256Sha1 } else { Scheme::JwsEs256 };
    asked::given(vendor, scheme, name, answer, now).map(|given| given.until)
}

/// The call that confirms a subscription to a topic at Amazon SNS.
#[must_use]
pub fn confirmation(topic: &str, token: &str) -> Option<Url> {
    confirm::confirmation(topic, token)
}

/// The request of a known answer, with the credentials it is verified with and the public URL it was sent to.
///
/// # Errors
/// What is wrong with the vector, in a sentence.
pub fn known_answer(vector: &Vector) -> Result<(RawRequest, Vec<Credential>, Option<url::Url>), String> {
    let at = UnixMs(vector.at.saturating_mul(1000));
    Ok((proof::request(vector, at)?, proof::credentials(vector), proof::endpoint(vector)))
}
