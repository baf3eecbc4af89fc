//! Signing as a provider would, for `send`, `demo` and tests: the same provider file, walked backwards.
//!
//! A sample is the file's first vector with its own id, type, time and signature. What a file says about verification is all that is used,
//! so what is signed here is what the vendor would sign, or it cannot be signed at all and the reason is said.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    ops::Range,
};

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{Credential, compile, document::Document, moment, spelling, value::Scope};
use crate::{
    clock::UnixMs,
    provider::{Atom, Check, Pointer, Provider, Step, Template},
    request::{HeadersBuilder, RawRequest},
};

/// What is to be sent. What is `None` is as in the provider file's first vector.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// The body.
    pub body: Option<Bytes>,
    /// The event's type, put where the provider has it.
    pub kind: Option<Box<str>>,
    /// The event's id, put where the provider has it: a new one makes a new event, the same one a repeat.
    pub id: Option<Box<str>>,
}

/// A request as the provider would send it. `Host`, `Content-Length` and the like are left to whoever sends it.
#[derive(Clone, Debug)]
pub struct SignedRequest {
    /// The method.
    pub method: Box<str>,
    /// Path and query, where the provider signs them.
    pub path_query: Option<Box<str>>,
    /// The headers, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Bytes,
}

/// Signs a sample as `provider` would, with the first credential that is good `now`.
///
/// # Errors
/// Why this cannot be signed, in a sentence without a secret.
pub fn sign(provider: &Provider, credentials: &[Credential], sample: &Sample, now: UnixMs) -> Result<SignedRequest, String> {
    let mut draft = Draft::of(provider, sample)?;
    if let Some(id) = &sample.id {
        draft.set_id(provider, id)?;
    }
    if let Some(kind) = &sample.kind {
        draft.set_type(provider, kind)?;
    }
    for check in &provider.checks {
        draft.sign(provider, check, credentials, now)?;
    }
    Ok(SignedRequest { method: draft.method, path_query: draft.path_query, headers: draft.headers, body: draft.body.into() })
}

/// A request in the making.
struct Draft {
    method: Box<str>,
    path_query: Option<Box<str>>,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Draft {
    fn of(provider: &Provider, sample: &Sample) -> Result<Self, String> {
        let Some(vector) = provider.vectors.first() else {
            let body = sample.body.as_ref().ok_or_else(|| format!("{} has no sample of its own: give a body", provider.slug))?;
            let headers = vec![("Content-Type".to_owned(), b"application/json".to_vec())];
            return Ok(Self { method: "POST".into(), path_query: None, headers, body: body.to_vec() });
        };
        let signed_places = |name: &str| {
            let mut places = provider.checks.iter().flat_map(|check| &check.signature.at);
            places.any(|atom| matches!(atom, Atom::Header(place) if place.eq_ignore_ascii_case(name)))
        };
        let kept = vector.headers.iter().filter(|(name, _)| !signed_places(name));
        Ok(Self {
            method: vector.method.clone(),
            path_query: vector.url.as_ref().map(|url| url[url::Position::BeforePath..url::Position::AfterQuery].into()),
            headers: kept.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect(),
            body: sample.body.as_ref().unwrap_or(&vector.body).to_vec(),
        })
    }

    /// Puts the id where the first rule for it looks. Where there is no rule the body is the identity, and the caller has chosen it.
    fn set_id(&mut self, provider: &Provider, id: &str) -> Result<(), String> {
        let Some(template) = provider.event.id.first() else {
            return Ok(());
        };
        let of_type = |atom: &Atom| provider.event.types.iter().flat_map(Template::values).any(|value| value.atom == *atom);
        let settable = |atom: &&Atom| matches!(atom, Atom::Header(_) | Atom::Json(_)) && !of_type(atom);
        match template.values().map(|value| &value.atom).find(settable) {
            Some(atom) => self.set(atom, id).map_err(|why| format!("the id of {} cannot be set: {why}", provider.slug)),
            None => Err(format!("the id of {} stands in no header and no JSON value of its own", provider.slug)),
        }
    }

    fn set_type(&mut self, provider: &Provider, kind: &str) -> Result<(), String> {
        match provider.event.types.first().and_then(|template| template.bare()) {
            Some(atom) => self.set(atom, kind).map_err(|why| format!("the type of {} cannot be set: {why}", provider.slug)),
            None => Err(format!("the type of {} is put together from several values: give a body that has them", provider.slug)),
        }
    }

    /// Adds the timestamp and the signature of one check.
    fn sign(&mut self, provider: &Provider, check: &Check, credentials: &[Credential], now: UnixMs) -> Result<(), String> {
        let mut found = check.key.from.iter().flat_map(|name| credentials.iter().filter(move |credential| credential.name == *name));
        let credential = found.find(|credential| credential.active(now));
        let credential =
            credential.ok_or_else(|| format!("{} signs with `{}`, and there is none", provider.slug, check.key.from.join("` or `")))?;
        let mut mac = compile::key(check, credential)?.mac;
        let moment = check.timestamp.as_ref().map(|rule| (&rule.at, moment::write(now, rule.unit)));
        let mut fields: Vec<(&str, &str)> = Vec::new();
        match &moment {
            Some((Atom::Field(name), text)) => fields.push((name, text)),
            Some((atom, text)) => self.set(atom, text)?,
            None => {}
        }
        let request = self.request(now)?;
        let pointers: Vec<Pointer> = check
            .message
            .values()
            .filter_map(|value| match &value.atom {
                Atom::Json(pointer) => Some(pointer.clone()),
                _ => None,
            })
            .collect();
        let document = Document::read(&request.body, &pointers);
        let scope =
            Scope { request: &request, document: &document, fields: &fields, credentials, now, element: None, empty_is_absent: false };
        let fed = scope.feed(&check.message, &mut |piece| mac.update(piece));
        fed.map_err(|_| format!("something that {} signs is not in this sample", provider.slug))?;
        let prefix = check.signature.strip.first().map(|prefix| &**prefix).unwrap_or_default();
        let signature = format!("{prefix}{}", spelling::encode(mac.finish().bytes(), check.signature.encoding));
        let text = match &check.signature.pairs {
            None => signature,
            Some(pairs) => {
                let all = fields.iter().copied().chain([(&*pairs.value, &*signature)]);
                all.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(&pairs.separator)
            }
        };
        let place = check.signature.at.first().ok_or("a check without a place for its signature")?;
        self.set(place, &text)
    }

    /// Puts a value where an atom looks for it.
    fn set(&mut self, atom: &Atom, text: &str) -> Result<(), String> {
        match atom {
            Atom::Header(name) => {
                let value = text.as_bytes().to_vec();
                match self.headers.iter_mut().find(|(other, _)| other.eq_ignore_ascii_case(name)) {
                    Some((_, old)) => *old = value,
                    None => self.headers.push((name.to_string(), value)),
                }
                Ok(())
            }
            Atom::Json(pointer) => {
                let place = place(&self.body, pointer).ok_or("the body has no such JSON value")?;
                let number = self.body.get(place.clone()).is_some_and(|old| old.first().is_some_and(u8::is_ascii_digit));
                let plain_number = number && !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
                let spelled = if plain_number { text.to_owned() } else { serde_json::Value::from(text).to_string() };
                self.body.splice(place, spelled.into_bytes());
                Ok(())
            }
            _ => Err("it stands neither in a header nor in a JSON value".into()),
        }
    }

    fn request(&self, now: UnixMs) -> Result<RawRequest, String> {
        let mut headers = HeadersBuilder::new();
        for (name, value) in &self.headers {
            if !headers.push(name, value) {
                return Err(format!("`{name}` cannot be a header with this value"));
            }
        }
        let (path, query) = match self.path_query.as_deref().unwrap_or("/").split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.path_query.as_deref().unwrap_or("/"), None),
        };
        Ok(RawRequest {
            method: self.method.clone(),
            path: path.into(),
            query: query.map(Box::from),
            headers: headers.build(),
            body: Bytes::copy_from_slice(&self.body),
            client_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            received_at: now,
        })
    }
}

/// Where in the body the value stands that a pointer without `*` leads to.
fn place(body: &[u8], pointer: &Pointer) -> Option<Range<usize>> {
    let whole: &RawValue = serde_json::from_slice(body).ok()?;
    let mut value = whole;
    for step in pointer.steps() {
        let Step::Member(name) = step else {
            return None;
        };
        value = match serde_json::from_str::<BTreeMap<String, &RawValue>>(value.get()) {
            Ok(members) => members.get(&**name).copied()?,
            Err(_) => serde_json::from_str::<Vec<&RawValue>>(value.get()).ok()?.get(name.parse::<usize>().ok()?).copied()?,
        };
    }
    // The value borrows from the body, so the distance of the two is its place.
    let start = (value.get().as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
    Some(start..start + value.get().len()).filter(|place| place.end <= body.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        provider::{Catalogue, Vector},
        secret::Secret,
        verify::{Verifier, proof},
    };

    /// Every embedded provider and every vector of it.
    fn each(mut look: impl FnMut(&Provider, &Vector)) {
        let catalogue = Catalogue::embedded();
        for slug in catalogue.names() {
            let provider = catalogue.find(slug).expect("reads");
            provider.vectors.iter().for_each(|vector| look(provider, vector));
        }
    }

    fn raw(signed: &SignedRequest, change: impl Fn(&str, &[u8]) -> Vec<u8>) -> Option<RawRequest> {
        let mut headers = HeadersBuilder::new();
        let pushed = signed.headers.iter().all(|(name, value)| headers.push(name, &change(name, value)));
        pushed.then(|| RawRequest {
            method: signed.method.clone(),
            path: "/".into(),
            query: None,
            headers: headers.build(),
            body: change("body", &signed.body).into(),
            client_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            received_at: UnixMs(0),
        })
    }

    #[test]
    fn our_signature_is_the_sdks_to_the_byte() {
        let catalogue = Catalogue::embedded();
        for slug in catalogue.names() {
            let provider = catalogue.find(slug).expect("reads");
            let vector = provider.vectors.first().expect("proved");
            let signed = sign(provider, &proof::credentials(vector), &Sample::default(), UnixMs(vector.at * 1000)).expect("signs");
            for (name, value) in &vector.headers {
                let (_, ours) = signed.headers.iter().find(|(other, _)| **other == **name).expect("the same headers");
                assert_eq!(String::from_utf8_lossy(ours), **value, "{slug} {name}");
            }
            assert_eq!(signed.body, vector.body);
        }
    }

    #[test]
    fn a_new_id_and_type_stand_where_they_are_read() {
        each(|provider, vector| {
            let now = UnixMs(1_770_000_000_123);
            let credentials = proof::credentials(vector);
            let sample = Sample { body: None, kind: Some("a.type".into()), id: Some("evt_new".into()) };
            let signed = sign(provider, &credentials, &sample, now).expect("signs");
            let verifier = Verifier::compile(provider, &credentials, None, None).expect("compiles");
            let verified = verifier.verify(raw(&signed, |_, value| value.to_vec()).expect("a request"), now).expect("verifies");
            let identity = verifier.identify(&verified);
            assert_eq!((identity.id, identity.types.to_string()), (Some(b"evt_new".to_vec()), "a.type".into()), "{}", provider.slug);
        });
    }

    #[test]
    fn no_single_bit_of_what_is_signed_can_be_flipped() {
        let mut flips = 0;
        each(|provider, vector| {
            let now = UnixMs(vector.at * 1000);
            let credentials = proof::credentials(vector);
            let verifier = Verifier::compile(provider, &credentials, None, None).expect("compiles");
            // Signed anew with one signature: in a list of two, either may be wrong.
            let sample = Sample { body: Some(vector.body.clone()), ..Sample::default() };
            let signed = sign(provider, &credentials, &sample, now).expect("signs");
            assert!(verifier.verify(raw(&signed, |_, value| value.to_vec()).expect("a request"), now).is_ok());
            for (place, bytes) in
                signed.headers.iter().map(|(name, value)| (&**name, value.len())).chain([("body", vector.body.len().min(64))])
            {
                if !["X-Hub-Signature-256", "Stripe-Signature", "webhook-signature", "webhook-timestamp", "webhook-id", "body"]
                    .contains(&place)
                {
                    continue;
                }
                for bit in 0..bytes * 8 {
                    let flip = |name: &str, value: &[u8]| {
                        let mut value = value.to_vec();
                        if name == place {
                            value[bit / 8] ^= 1 << (bit % 8);
                        }
                        value
                    };
                    // A flip to a line end or a zero cannot even be a header.
                    if let Some(request) = raw(&signed, flip) {
                        flips += 1;
                        assert!(verifier.verify(request, now).is_err(), "{}: {place} bit {bit} accepted", provider.slug);
                    }
                }
            }
        });
        assert!(flips > 7_000, "only {flips} flips were tried");
    }

    #[test]
    fn what_cannot_be_signed_is_said_without_the_secret() {
        let catalogue = Catalogue::embedded();
        let provider = catalogue.find("standard-webhooks").expect("there");
        let secret = |value: &str| [Credential { name: "secret".into(), value: Secret::new(value), until: Some(UnixMs(5)) }];
        let error = |credentials: &[Credential], now| sign(provider, credentials, &Sample::default(), now).expect_err("cannot");
        assert_eq!(error(&[], UnixMs(0)), "standard-webhooks signs with `secret`, and there is none");
        assert_eq!(error(&secret("whsec_AAAA"), UnixMs(6)), "standard-webhooks signs with `secret`, and there is none");
        let wrong = error(&secret("whsec_not base64!"), UnixMs(0));
        assert_eq!(wrong, "`secret` is not base64 after its `whsec_`; copy it again, whole and without blanks");
    }

    proptest! {
        #[test]
        fn what_is_signed_verifies_and_no_change_of_a_byte_does(
            slug in prop::sample::select(vec!["github", "stripe", "standard-webhooks"]),
            key in "[A-Za-z0-9+/]{24}",
            body in proptest::collection::vec(any::<u8>(), 1..200),
            at_s in 1_i64..4_000_000_000,
            place in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let catalogue = Catalogue::embedded();
            let provider = catalogue.find(slug).expect("there");
            let now = UnixMs(at_s * 1000);
            let credentials = [Credential { name: "secret".into(), value: Secret::new(format!("whsec_{key}")), until: None }];
            let sample = Sample { body: Some(body.clone().into()), ..Sample::default() };
            let signed = sign(provider, &credentials, &sample, now).expect("signs");
            let verifier = Verifier::compile(provider, &credentials, None, None).expect("compiles");
            let whole = raw(&signed, |_, value| value.to_vec()).expect("a request");
            let head = RawRequest { body: Bytes::new(), received_at: now, ..whole.clone() };
            prop_assert!(verifier.precheck(&head).is_ok());
            prop_assert!(verifier.verify(whole, now).is_ok());
            let at = place.index(body.len());
            prop_assume!(body[at] != byte);
            let changed = raw(&signed, |name, value| {
                let mut value = value.to_vec();
                if name == "body" {
                    value[at] = byte;
                }
                value
            });
            prop_assert!(verifier.verify(changed.expect("a request"), now).is_err());
        }
    }
}
