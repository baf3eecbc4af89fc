//! Signing as a provider would, for `send`, `demo` and tests: the same provider file, walked backwards.
//!
//! A sample is the file's first vector with its own id, type, time and signature. What a file says about verification is all that is used,
//! so what is signed here is what the vendor would sign, or it cannot be signed at all and the reason is said. Who has a public key can
//! only verify: what a vendor signs with a private one, nobody but the vendor can sign.

use std::borrow::Cow;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{
    Credential,
    draft::{Draft, Teller},
    keys,
    mac::Mac,
    moment, spelling,
    value::{Field, Scope},
};
use crate::{
    clock::UnixMs,
    provider::{Atom, Check, Family, Pointer, Provider, Scheme, Shape, Template, Want},
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
    /// The source's public URL, for providers that sign it.
    pub endpoint: Option<url::Url>,
    /// The path that is rung, for providers that sign it.
    pub path: Option<Box<str>>,
}

/// A request as the provider would send it. `Host`, `Content-Length` and the like are left to whoever sends it.
#[derive(Clone, Debug)]
pub struct SignedRequest {
    /// The method.
    pub method: Box<str>,
    /// The query, without its `?`; `None` without one.
    pub query: Option<Box<str>>,
    /// The headers, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Bytes,
}

/// Whether samples of this provider can be signed by whoever has its credentials.
///
/// # Errors
/// Why not, in a sentence.
pub fn signable(provider: &Provider) -> Result<(), String> {
    let public = |check: &&Check| check.scheme.first().is_asymmetric();
    match provider.checks.iter().find(public) {
        None => Ok(()),
        Some(check) => {
            let (slug, scheme) = (&provider.slug, check.scheme.words());
            Err(format!("{slug} signs with a private key ({scheme}) that only the vendor has, so nobody else can sign for it"))
        }
    }
}

/// Signs a sample as `provider` would, with the first credential that is good `now`.
///
/// # Errors
/// Why this cannot be signed, in a sentence without a secret.
pub fn sign(provider: &Provider, credentials: &[Credential], sample: &Sample, now: UnixMs) -> Result<SignedRequest, String> {
    signable(provider)?;
    let mut draft = Draft::of(provider, sample)?;
    if let Some(id) = &sample.id {
        draft.set_id(provider, id);
    }
    if let Some(kind) = &sample.kind {
        draft.set_type(provider, kind)?;
    }
    Signer { provider, credentials, now }.sign(&mut draft)?;
    Ok(SignedRequest { method: draft.method, query: draft.query, headers: draft.headers, body: draft.body.into() })
}

/// Signs the draft of a request in place, all checks of the provider.
pub(super) fn sign_draft(provider: &Provider, credentials: &[Credential], draft: &mut Draft, now: UnixMs) -> Result<(), String> {
    signable(provider)?;
    Signer { provider, credentials, now }.sign(draft)
}

/// Who signs, with what, when.
#[derive(Clone, Copy)]
struct Signer<'a> {
    provider: &'a Provider,
    credentials: &'a [Credential],
    now: UnixMs,
}

/// A credential as its bytes.
type Key = zeroize::Zeroizing<Vec<u8>>;

impl Signer<'_> {
    fn sign(self, draft: &mut Draft) -> Result<(), String> {
        let is_set = |name: &str| self.credentials.iter().any(|credential| *credential.name == *name);
        let unset: Vec<&str> = self.provider.credentials.iter().map(|rule| &*rule.name).filter(|name| !is_set(name)).collect();
        for (index, check) in self.provider.checks.iter().enumerate() {
            let needed = |name: &str| self.provider.credential(name).is_none_or(|rule| rule.required);
            let left_out = index > 0 && !check.key.from.iter().any(|name| is_set(name) || needed(name));
            if check.scheme.family() != Family::None && !left_out {
                // What is held against a credential that is not set is not looked at.
                let mut check = check.clone();
                check.require = check.require.without(&unset);
                check.signature.fitting = check.signature.fitting.without(&unset);
                self.check(&check, draft)?;
            }
        }
        Ok(())
    }

    /// Adds what one check demands: the choice of the scheme, values tied to others, the time, and the signature.
    fn check(self, check: &Check, draft: &mut Draft) -> Result<(), String> {
        let key = self.key(check)?;
        let scheme = check.scheme.first();
        if let (Some(at), Some((value, _))) = (check.scheme.chosen_at(), check.scheme.all().next()) {
            draft.set(at, value)?;
        }
        self.tie(check, draft)?;
        let mut fields: Vec<(&str, String)> = self.fitting(check);
        let time = check.timestamp.as_ref().map(|rule| (&rule.at, moment::write(self.now, rule.unit)));
        match time {
            Some((Atom::Field(name), text)) => fields.push((name, text)),
            Some((Atom::Claim(_), _)) | None => {}
            Some((atom, text)) => draft.set(atom, &text)?,
        }
        let place = check.signature.at.first().ok_or("a check without a place for its signature")?;
        let elements = match &check.each {
            None => vec![None],
            Some(each) => draft.elements(each)?.map(Some).collect(),
        };
        for element in elements {
            let signature = match scheme.family() {
                Family::Token => String::from_utf8_lossy(&key).into_owned(),
                Family::Basic => format!("Basic {}", STANDARD.encode(&*key)),
                Family::Jws => self.token(check, &key, draft)?,
                _ => spelling::encode(&self.code(check, scheme, &key, &fields, draft, element)?, check.signature.encoding),
            };
            let prefix = check.signature.strip.first().map(|prefix| &**prefix).unwrap_or_default();
            let candidate = self.shaped(&check.signature.shape, &fields, &format!("{prefix}{signature}"))?;
            match (place, element, &check.each) {
                (Atom::Item(item), Some(index), Some(each)) => draft.set_item(each, index, item, &candidate)?,
                _ => draft.set(place, &candidate)?,
            }
        }
        Ok(())
    }

    /// The first key that is good now, decoded.
    fn key(self, check: &Check) -> Result<Key, String> {
        let named = check.key.from.iter().flat_map(|name| self.credentials.iter().filter(move |credential| credential.name == *name));
        let credential = named.into_iter().find(|credential| credential.active(self.now)).ok_or_else(|| {
            let names = check.key.from.join("` or `");
            format!("{} signs with `{names}`, and there is none", self.provider.slug)
        })?;
        keys::bytes(&check.key, &credential.value).map_err(|wrong| format!("`{}` {wrong}", credential.name))
    }

    /// Sets the headers and parameters that must be something of the rest of the request, such as a digest of the body.
    fn tie(self, check: &Check, draft: &mut Draft) -> Result<(), String> {
        for demand in &check.require.demands {
            let Want::Any(templates) = &demand.want else { continue };
            let settable = matches!(demand.value.atom, Atom::Header(_) | Atom::Parameter(_)) && demand.value.filters.is_empty();
            let Some(template) = templates.first().filter(|_| settable) else { continue };
            let text = self.told(check, draft, &[], |scope| scope.bytes(template))?;
            draft.set(&demand.value.atom, &String::from_utf8_lossy(&text))?;
        }
        Ok(())
    }

    /// The code over the message.
    fn code(
        self,
        check: &Check,
        scheme: Scheme,
        key: &Key,
        fields: &[(&str, String)],
        draft: &Draft,
        element: Option<usize>,
    ) -> Result<Vec<u8>, String> {
        let fields: Vec<Field<'_>> = fields.iter().map(|(name, value)| (*name, Cow::Borrowed(value.as_str()))).collect();
        let teller = Teller { provider: self.provider, credentials: self.credentials, now: self.now, check, element };
        let message = draft.tell(&teller, |scope| Scope { fields: &fields, key: Some(key), ..*scope }.bytes(&check.message))?;
        let message = if check.digested { Sha256::digest(&message).to_vec() } else { message };
        let Some(mut mac) = Mac::new(scheme, key) else {
            return Ok(Sha256::digest(&message).to_vec());
        };
        mac.update(&message);
        Ok(mac.finish().bytes().to_vec())
    }

    /// The fields that a candidate must have to be looked at.
    fn fitting(self, check: &Check) -> Vec<(&str, String)> {
        let text = |template: &Template| match template.bare() {
            Some(Atom::Credential(name)) => {
                let credential = self.credentials.iter().find(|credential| credential.name == *name && credential.active(self.now));
                credential.map(|credential| String::from_utf8_lossy(credential.value.reveal()).into_owned()) // it is sent as it is
            }
            _ => template.literal(),
        };
        let mut fields = Vec::new();
        for demand in &check.signature.fitting.demands {
            if let (Atom::Field(name), Want::Any(templates)) = (&demand.value.atom, &demand.want)
                && let Some(text) = templates.first().and_then(text)
            {
                fields.push((&**name, text));
            }
        }
        fields
    }

    /// What a closure makes of the draft as it is.
    fn told(
        self,
        check: &Check,
        draft: &Draft,
        fields: &[Field<'_>],
        make: impl FnOnce(&Scope<'_>) -> Result<Vec<u8>, super::value::Lack>,
    ) -> Result<Vec<u8>, String> {
        let teller = Teller { provider: self.provider, credentials: self.credentials, now: self.now, check, element: None };
        draft.tell(&teller, |scope| make(&Scope { fields, ..*scope }))
    }

    fn shaped(self, shape: &Shape, fields: &[(&str, String)], signature: &str) -> Result<String, String> {
        match shape {
            Shape::Whole => Ok(signature.to_owned()),
            Shape::Pairs { separator, value } => {
                let all = fields.iter().map(|(name, value)| (*name, value.as_str())).chain([(&**value, signature)]);
                Ok(all.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(separator))
            }
            Shape::Columns { separator, names, value } => {
                let end = names.iter().position(|name| name == value).map_or(names.len(), |first| first + 1);
                let text = |name: &str| match fields.iter().find(|(own, _)| *own == name) {
                    _ if *name == **value => Ok(signature),
                    Some((_, text)) => Ok(text.as_str()),
                    None => Err(format!("the column `{name}` of {} is not in this sample", self.provider.slug)),
                };
                Ok(names.iter().take(end).map(|name| text(name)).collect::<Result<Vec<_>, _>>()?.join(separator))
            }
            Shape::Unpacked(_) => Err(format!("{} packs its signature in JSON of its own, which is not made here", self.provider.slug)),
        }
    }

    /// A JSON Web Signature with HMAC: the first vector's, with times moved to now and claims that are tied to the body made anew.
    fn token(self, check: &Check, key: &Key, draft: &Draft) -> Result<String, String> {
        let mut claims = draft.claims(check).unwrap_or_default();
        let moved = |number: i64| number.saturating_add(self.now.0.div_euclid(1000)).saturating_sub(draft.at);
        for name in ["exp", "nbf", "iat"] {
            if let Some(number) = claims.get(name).and_then(serde_json::Value::as_i64) {
                claims.insert(name.into(), moved(number).into());
            }
        }
        if let Some((Atom::Claim(pointer), rule)) = check.timestamp.as_ref().map(|rule| (&rule.at, rule)) {
            let text = moment::write(self.now, rule.unit);
            claims.insert(claim_name(pointer), text.parse::<i64>().map_or_else(|_| text.into(), Into::into));
        }
        for demand in &check.require.demands {
            let (Atom::Claim(pointer), Want::Any(templates)) = (&demand.value.atom, &demand.want) else { continue };
            if let Some(template) = templates.first().filter(|template| needs_no_claim(template)) {
                let text = self.told(check, draft, &[], |scope| scope.bytes(template))?;
                claims.insert(claim_name(pointer), String::from_utf8_lossy(&text).into());
            }
        }
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
        let detached = check.signature.detached;
        let payload = if detached {
            self.told(check, draft, &[], |scope| scope.bytes(&check.message))?
        } else {
            serde_json::Value::Object(claims).to_string().into_bytes()
        };
        let payload = URL_SAFE_NO_PAD.encode(payload);
        let mut mac = Mac::new(Scheme::JwsHs256, key).ok_or("a token cannot be signed with this key")?;
        mac.update(format!("{header}.{payload}").as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(mac.finish().bytes());
        let shown = if detached { "" } else { payload.as_str() };
        Ok(format!("{header}.{shown}.{signature}"))
    }
}

fn claim_name(pointer: &Pointer) -> String {
    pointer.to_string().trim_start_matches('/').replace("~1", "/").replace("~0", "~")
}

fn needs_no_claim(template: &Template) -> bool {
    !template.values().any(|value| matches!(value.atom, Atom::Claim(_)))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        provider::{Catalogue, Vector},
        request::{HeadersBuilder, RawRequest},
        secret::Secret,
        verify::{KnownBy, Verifier, proof},
    };

    /// Providers whose whole way of signing is one header over the body.
    const PLAIN: [&str; 3] = ["github", "stripe", "standard-webhooks"];

    /// Every vector of those.
    fn each(mut look: impl FnMut(&Provider, &Vector)) {
        let catalogue = Catalogue::embedded();
        for slug in PLAIN {
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
    fn whatever_can_be_signed_verifies_and_what_cannot_says_why() {
        let catalogue = Catalogue::embedded();
        let mut wrong = Vec::new();
        for slug in catalogue.names() {
            let provider = catalogue.find(slug).expect("reads");
            let vector = provider.vectors.first().expect("proved");
            // As a first configuration has them: what is optional comes later, if it is not the key.
            let needed = |name: &str| provider.credential(name).is_none_or(|rule| rule.required) || name == "secret";
            let credentials: Vec<_> = proof::credentials(vector).into_iter().filter(|credential| needed(&credential.name)).collect();
            let now = UnixMs(1_770_000_000_000);
            let sample = Sample { endpoint: proof::endpoint(vector), ..Sample::default() };
            let signed = match sign(provider, &credentials, &sample, now) {
                Ok(signed) => signed,
                Err(why) => {
                    let public = provider.checks.iter().any(|check| check.scheme.first().is_asymmetric());
                    if !public || !why.contains("only the vendor has") {
                        wrong.push(format!("{slug}: {why}"));
                    }
                    continue;
                }
            };
            let verifier = Verifier::compile(provider, &credentials, proof::endpoint(vector).as_ref(), None).expect("compiles");
            let path = vector.url.as_ref().map_or("/", |url| url.path());
            let request = raw(&signed, |_, value| value.to_vec()).expect("a request");
            let request = RawRequest { path: path.into(), query: signed.query.clone(), ..request };
            let head = RawRequest { body: Bytes::new(), received_at: now, ..request.clone() };
            let outcome = verifier.precheck(&head).and_then(|()| verifier.verify(request, now).map(|_| ()));
            if let Err(rejection) = outcome {
                wrong.push(format!("{slug}: {}", rejection.code()));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn each_sample_is_an_event_of_its_own() {
        let catalogue = Catalogue::embedded();
        let (mut tried, mut alike) = (0, Vec::new());
        for provider in catalogue.names().filter_map(|slug| catalogue.find(slug)).filter(|provider| signable(provider).is_ok()) {
            let vector = provider.vectors.first().expect("proved");
            let (credentials, now) = (proof::credentials(vector), UnixMs(1_770_000_000_000));
            let known = |id: &str| {
                let endpoint = proof::endpoint(vector);
                let sample = Sample { id: Some(id.into()), endpoint: endpoint.clone(), ..Sample::default() };
                let signed = sign(provider, &credentials, &sample, now).unwrap_or_else(|why| panic!("{}: {why}", provider.slug));
                let verifier = Verifier::compile(provider, &credentials, endpoint.as_ref(), None).expect("compiles");
                let path = vector.url.as_ref().map_or("/", |url| url.path());
                let request = raw(&signed, |_, value| value.to_vec()).expect("a request");
                let request = RawRequest { path: path.into(), query: signed.query.clone(), received_at: now, ..request };
                let verified = verifier.verify(request, now).unwrap_or_else(|why| panic!("{}: {}", provider.slug, why.code()));
                match verifier.identify(&verified).known_by() {
                    KnownBy::Nothing => format!("{id}, like any other"),
                    KnownBy::Body => String::from_utf8_lossy(&signed.body).into_owned(),
                    known => format!("{known:?}"),
                }
            };
            // What cannot be marked: XML, and what is no form and no object.
            let open = vector.body.trim_ascii_start();
            if provider.event.id.is_empty() && (open.is_empty() || open.starts_with(b"<")) {
                continue;
            }
            if known("sample-1") == known("sample-2") {
                alike.push(&*provider.slug);
            }
            tried += 1;
        }
        assert!(tried > 100, "only {tried} providers were tried");
        // What Braintree signs is XML in base64, of which nothing is known here.
        assert_eq!(alike, ["braintree"]);
    }

    #[test]
    fn our_signature_is_the_sdks_to_the_byte() {
        let catalogue = Catalogue::embedded();
        for slug in PLAIN {
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
            let sample = Sample { kind: Some("a.type".into()), id: Some("evt_new".into()), ..Sample::default() };
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
