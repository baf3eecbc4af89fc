//! Keys that a vendor publishes: those that are here, what has to be fetched, and what is believed of it when it comes.
//!
//! Verifying fetches nothing and waits for nothing. It looks into what is here; [`Verifier::wanted`] names what is missing, somebody else
//! goes there, and [`Verifier::fetched`] judges what he brings. The URL was checked against the file's hosts before it was named, and what
//! is brought is a key only if it is one of the scheme, named as it must be, and vouched for.
//!
//! What strangers can cause is bounded: so many sets are kept, of so many keys; the [`desk`](super::desk) lets so many fetches through in
//! a minute; a URL that failed is left alone for a moment; a set is fetched again for a name that it does not hold once in a while, whoever
//! asks for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::RootCertStore;
use url::Url;

use super::{
    Verifier, asked, certificate,
    check::{Prepared, Variant},
    desk::ms,
    document::Document,
    keys::{Key, Lock},
    public_key,
    value::Scope,
};
use crate::{
    clock::UnixMs,
    errand::Ask,
    provider::{Effect, KeySource, KeyVendor, Scheme, SourceKind},
    rejection::Rejection,
    request::RawRequest,
};

/// How long what was fetched is taken as it is.
const FRESH_FOR: Duration = Duration::from_secs(60 * 60);
/// How long it is good while fetching it again fails.
const GOOD_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// How old a set must be to be fetched again for a key that it does not hold.
const UNKNOWN_AFTER: Duration = Duration::from_secs(60);
/// Sets of keys that are kept; one that nothing was proved with goes first, and of those the one that was fetched first.
const SETS_MAX: usize = 16;

/// Keys that a request is to be proved with, and that are not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where the key is.
    pub place: Url,
    /// Where what has to be fetched first is: the key, or a token that it is given out for. It is kept under this.
    pub url: Url,
    /// How it is asked for.
    pub ask: Ask,
    /// Whether the request cannot be proved without. If not, those that are here will do, and are to be fetched again all the same.
    pub is_needed: bool,
    /// Whether keys have come from there before.
    pub(super) is_known: bool,
}

/// The keys of one source that are fetched.
#[derive(Debug, Default)]
pub(super) struct Ring(ArcSwap<Vec<Arc<KeySet>>>);

/// What was fetched from one URL.
#[derive(Debug)]
pub(super) struct KeySet {
    url: Url,
    fetched_at: UnixMs,
    /// After this it is no longer good.
    until: UnixMs,
    by_scheme: Vec<(Scheme, Vec<Key>)>,
    /// Whether something was proved with it: then no stranger chose it.
    has_proved: AtomicBool,
}

impl KeySet {
    /// A signature is by one of its keys.
    pub(super) fn has_proved(&self) {
        self.has_proved.store(true, Ordering::Relaxed);
    }

    /// Its keys for a scheme.
    pub(super) fn keys(&self, scheme: Scheme) -> &[Key] {
        self.by_scheme.iter().find(|(own, _)| *own == scheme).map_or(&[], |(_, keys)| keys)
    }

    fn is_good(&self, now: UnixMs) -> bool {
        now < self.until
    }
}

impl Ring {
    /// What is here from a URL and good.
    pub(super) fn find(&self, url: &Url, now: UnixMs) -> Option<Arc<KeySet>> {
        self.known(url).filter(|set| set.is_good(now))
    }

    fn known(&self, url: &Url) -> Option<Arc<KeySet>> {
        self.0.load().iter().find(|set| set.url == *url).cloned()
    }

    /// Takes a set in, in the place of an older one from there. When there are too many, one that nothing was proved with
    /// goes: strangers name URLs too.
    fn put(&self, set: KeySet) {
        if self.known(&set.url).is_some_and(|before| before.has_proved.load(Ordering::Relaxed)) {
            set.has_proved();
        }
        let set = Arc::new(set);
        self.0.rcu(|sets| {
            let mut sets: Vec<_> = sets.iter().filter(|other| other.url != set.url).cloned().collect();
            if sets.len() >= SETS_MAX {
                sets.sort_by_key(|other| (other.has_proved.load(Ordering::Relaxed), other.fetched_at));
                sets.remove(0);
            }
            sets.push(Arc::clone(&set));
            sets
        });
    }
}

impl Prepared {
    /// Where the keys of this request are; `None` for a check that fetches none. `name` says what the signature calls its key.
    ///
    /// # Errors
    /// The request names no such place, or one that the file does not admit.
    pub(super) fn place(&self, scope: &Scope<'_>, name: impl FnOnce() -> Option<Vec<u8>>) -> Result<Option<Url>, Rejection> {
        let Some(source) = &self.rule.key.source else {
            return Ok(None);
        };
        match &source.kind {
            SourceKind::Jwks { url, .. } => Ok(Some(Url::clone(url))),
            SourceKind::X509 { url, .. } => {
                let text = scope.bytes(url).map_err(|_| Rejection::Malformed)?;
                source.admitted(&text).map(Some).ok_or(Rejection::Malformed)
            }
            SourceKind::Asked { vendor, url, .. } => {
                let place = name().and_then(|name| asked::place(*vendor, url, &name));
                place.map(Some).ok_or(Rejection::Malformed)
            }
        }
    }

    /// Whether it would have to ask for its keys, and has no credentials for that.
    pub(super) fn lacks_credentials(&self) -> bool {
        self.asker.is_none() && self.fetches().is_some_and(KeySource::takes_credentials)
    }

    /// Whether its keys are fetched: none is pinned.
    fn fetches(&self) -> Option<&KeySource> {
        let is_pinned = self.variants.iter().any(|variant| !variant.keys.is_empty());
        self.rule.key.source.as_ref().filter(|_| !is_pinned)
    }

    /// What has to be fetched before this check can be judged.
    fn wanted(&self, scope: &Scope<'_>) -> Option<Wanted> {
        self.fetches()?;
        let variant = self.variant(scope).ok()?;
        let name = || self.key_names(variant, scope).ok()?.into_iter().flatten().next();
        let url = self.place(scope, name).ok()??;
        // Nobody goes out for what no key could prove.
        self.lacks_only_its_key(variant, scope).ok()?;
        let set = self.ring.known(&url);
        let Some(set) = set.filter(|set| set.is_good(scope.now)) else {
            let is_known = self.ring.known(&url).is_some();
            return self.asked(url, true, is_known, scope.now);
        };
        let age = scope.now.ms_since(set.fetched_at);
        // A set that has just come says all that its vendor says.
        if age >= ms(UNKNOWN_AFTER) && self.lacks(&set, variant, scope) {
            return self.asked(url, true, true, scope.now);
        }
        if age >= ms(FRESH_FOR) { self.asked(url, false, true, scope.now) } else { None }
    }

    /// How the keys at a place are asked for.
    fn asked(&self, place: Url, is_needed: bool, is_known: bool, now: UnixMs) -> Option<Wanted> {
        let (url, ask) = match self.rule.key.source.as_ref().map(|source| &source.kind) {
            Some(SourceKind::Asked { vendor, .. }) => self.asker.as_ref()?.ask(*vendor, &place, now)?,
            _ => (place.clone(), Ask::get(&place)),
        };
        // A token is asked for by us, whoever the stranger is that a key is wanted for.
        let is_known = is_known || url != place && url == asked::token_place(&place);
        Some(Wanted { place, url, ask, is_needed, is_known })
    }

    /// Whether a candidate names a key that the set does not hold.
    fn lacks(&self, set: &KeySet, variant: &Variant, scope: &Scope<'_>) -> bool {
        let of_groups = |names: &[Option<Vec<u8>>]| {
            let held = |name: &Vec<u8>| set.keys(variant.scheme).iter().any(|key| key.kid.as_deref().map(str::as_bytes) == Some(name));
            names.iter().flatten().any(|name| !held(name))
        };
        self.key_names(variant, scope).is_ok_and(|names| of_groups(&names))
    }
}

impl Verifier {
    /// What has to be fetched for this request, or would better be. `None` when all is here, or when no key would help it.
    #[must_use]
    pub fn wanted(&self, request: &RawRequest, now: UnixMs) -> Option<Wanted> {
        let check = self.fetching()?;
        self.single_headers(request).ok()?;
        let form = self.form(request);
        let document = Document::read(self.document_text(request, &form), &self.check_pointers);
        check.wanted(&Scope { document: &document, ..self.scope(request, &form, now) })
    }

    /// Whether somebody may go and fetch it now. Whoever is told so goes: it is counted.
    #[must_use]
    pub fn lets_out(&self, wanted: &Wanted, now: UnixMs) -> bool {
        self.desk.lets_out(wanted, now)
    }

    /// Takes in what was found at the URL of [`Self::wanted`]; `None` when nothing came.
    ///
    /// # Errors
    /// Why there is no key in it, in words for the operator. The URL is then left alone for a moment.
    pub fn fetched(&self, url: &Url, found: Option<&[u8]>, roots: &RootCertStore, now: UnixMs) -> Result<(), String> {
        let Some(check) = self.fetching() else {
            return Ok(());
        };
        let taken =
            found.ok_or_else(|| "nothing came".to_owned()).and_then(|text| match check.asker.as_ref().filter(|_| check.is_token(url)) {
                Some(asker) => asker.take_token(text, now),
                None => check.taken_up(url, text, roots, now).map(|set| check.ring.put(set)),
            });
        taken.inspect_err(|_| {
            self.desk.note_failed(url, now);
            check.asker.iter().for_each(|asker| asker.note_refused(now));
        })
    }

    /// Whether its source goes out to somebody: for keys, or for the effect of a handshake.
    #[must_use]
    pub fn goes_out(&self) -> bool {
        self.fetching().is_some() || self.greetings.iter().any(|greeting| matches!(greeting.rule.effect, Some(Effect::SnsConfirm { .. })))
    }

    fn fetching(&self) -> Option<&Prepared> {
        self.checks.iter().find(|check| check.fetches().is_some())
    }
}

impl Prepared {
    /// Whether a token is given out there.
    fn is_token(&self, url: &Url) -> bool {
        match self.rule.key.source.as_ref().map(|source| &source.kind) {
            Some(SourceKind::Asked { vendor: KeyVendor::Ebay, url: keys, .. }) => *url == asked::token_place(keys),
            _ => false,
        }
    }

    /// The keys in what was found at a URL.
    fn taken_up(&self, url: &Url, text: &[u8], roots: &RootCertStore, now: UnixMs) -> Result<KeySet, String> {
        let source = self.fetches().ok_or("its key is pinned")?;
        let schemes = || self.variants.iter().map(|variant| variant.scheme);
        let key = |public, kid| Key { lock: Lock::Public(Box::new(public)), fingerprint: None, until: None, kid };
        let (by_scheme, until) = match &source.kind {
            SourceKind::Jwks { .. } => {
                let of = |scheme| {
                    let named = public_key::of_published(scheme, text)?;
                    Ok((scheme, named.into_iter().map(|named| key(named.key, named.kid)).collect()))
                };
                (schemes().map(of).collect::<Result<Vec<_>, String>>()?, None)
            }
            SourceKind::X509 { names, issuer, .. } => {
                let certificate = certificate::believed(text, url, names, *issuer, roots, now)?;
                let of = |scheme| Ok((scheme, vec![key(public_key::of_der(scheme, &certificate.key)?, None)]));
                (schemes().map(of).collect::<Result<Vec<_>, String>>()?, Some(certificate.until))
            }
            SourceKind::Asked { vendor, .. } => {
                let name = asked::name(*vendor, url).ok_or("nobody asked for it")?;
                let scheme = schemes().next().ok_or("there is no scheme")?;
                let given = asked::given(*vendor, scheme, name, text, now)?;
                (vec![(scheme, vec![key(given.key, Some(name.into()))])], given.until)
            }
        };
        let good = now.after(GOOD_FOR);
        Ok(KeySet {
            url: url.clone(),
            fetched_at: now,
            until: until.map_or(good, |until| until.min(good)),
            by_scheme,
            has_proved: AtomicBool::new(false),
        })
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _},
    };
    use base64::{
        Engine,
        engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
    };

    use super::*;
    use crate::{provider, request::HeadersBuilder, secret::Secret, verify::Credential, yaml::Problems};

    const NOW: UnixMs = UnixMs(1_760_000_000_000);
    const TOKENS: &str = "provider: t\n\
        verify:\n  scheme: jws-es256\n  signature: { at: header:Authorization }\n  \
        key: { form: jwks, source: { kind: jwks, url: https://keys.example.com/1 } }\n";
    const CERTIFICATES: &str = "provider: t\n\
        verify:\n  scheme: ecdsa-p256-sha256\n  signature: { at: header:Seal, encoding: base64 }\n  message: '{body}'\n  \
        key: { form: pem, source: { kind: x509, url: '{header:Cert}', hosts: [keys.example.com], issuer: host } }\n";

    /// Who signs, and what is published of it.
    struct Signer {
        key: rcgen::KeyPair,
        signing: EcdsaKeyPair,
    }

    impl Signer {
        fn new(algorithm: &'static EcdsaSigningAlgorithm) -> Self {
            let key = rcgen::KeyPair::generate().expect("a key");
            let signing = EcdsaKeyPair::from_pkcs8(algorithm, &key.serialize_der()).expect("the same");
            Self { key, signing }
        }

        fn sign(&self, message: &[u8]) -> Vec<u8> {
            self.signing.sign(&SystemRandom::new(), message).expect("signed").as_ref().to_vec()
        }

        fn token(&self, kid: Option<&str>) -> String {
            let kid = kid.map(|kid| format!(r#","kid":"{kid}""#)).unwrap_or_default();
            let head = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"ES256"{kid}}}"#));
            let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode("{}"));
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(self.sign(signed.as_bytes())))
        }

        fn published(&self, kid: &str) -> String {
            let point = self.signing.public_key().as_ref();
            let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
            format!(r#"{{"kty":"EC","crv":"P-256","use":"sig","alg":"ES256","kid":"{kid}","x":"{x}","y":"{y}"}}"#)
        }

        fn certificate(&self, host: &str) -> String {
            rcgen::CertificateParams::new(vec![host.to_owned()]).expect("parameters").self_signed(&self.key).expect("signed").pem()
        }
    }

    fn compiled(file: &str, credentials: &[Credential]) -> Verifier {
        let mut problems = Problems::new();
        let provider = provider::read(&Arc::from("t.yaml"), file, &|_| None, &mut problems);
        let provider = provider.unwrap_or_else(|| panic!("{:?}", problems.into_sorted()));
        Verifier::compile(&provider, credentials, None, None).expect("compiles")
    }

    fn request(headers: &[(&str, &str)], at: UnixMs) -> RawRequest {
        let mut block = HeadersBuilder::new();
        headers.iter().for_each(|(name, value)| assert!(block.push(name, value.as_bytes())));
        RawRequest {
            method: "POST".into(),
            path: "/hooks/a".into(),
            query: None,
            headers: block.build(),
            body: bytes::Bytes::from_static(b"{}"),
            client_ip: [127, 0, 0, 1].into(),
            received_at: at,
        }
    }

    fn none() -> RootCertStore {
        RootCertStore::empty()
    }

    #[test]
    fn a_set_is_fetched_once_and_again_for_a_name_that_it_lacks_but_not_often() {
        let (old, new) = (Signer::new(&ECDSA_P256_SHA256_FIXED_SIGNING), Signer::new(&ECDSA_P256_SHA256_FIXED_SIGNING));
        let verifier = compiled(TOKENS, &[]);
        assert!(verifier.goes_out());
        let by = |signer: &Signer, kid: Option<&str>, at| request(&[("Authorization", &signer.token(kid))], at);
        let judged = |request: RawRequest| verifier.verify(request.clone(), request.received_at).map(|_| ());
        let asked = |request: RawRequest| verifier.wanted(&request, request.received_at).map(|wanted| wanted.is_needed);
        let first = by(&old, Some("a"), NOW);
        let wanted = verifier.wanted(&first, NOW).expect("its key");
        assert_eq!((wanted.url.as_str(), wanted.is_needed, wanted.is_known), ("https://keys.example.com/1", true, false));
        assert_eq!(judged(first.clone()), Err(Rejection::BadSignature), "nothing is proved before");

        // Keys of other kinds, for other uses and of nobody's are passed over.
        let others =
            r#"{"kty":"XYZ","kid":"x"},{"kty":"RSA","use":"enc","kid":"r","n":"AQAB","e":"AQAB"},7,{"kty":"EC","crv":"P-256","kid":"b"}"#;
        let set = format!("{{\"keys\":[{others},{}]}}", old.published("a"));
        verifier.fetched(&wanted.url, Some(set.as_bytes()), &none(), NOW).expect("a key");
        assert_eq!((judged(first.clone()), asked(first)), (Ok(()), None));
        assert_eq!(judged(by(&new, Some("a"), NOW)), Err(Rejection::BadSignature), "forged with the name of a key that is here");
        assert_eq!(judged(by(&old, None, NOW)), Err(Rejection::BadSignature), "a signature that names no key has none");

        let young = UnixMs(NOW.0 + 59_999);
        assert_eq!(asked(by(&new, Some("b"), young)), None, "the set has just come");
        assert_eq!(judged(by(&new, Some("b"), young)), Err(Rejection::BadSignature));
        let older = NOW.after(UNKNOWN_AFTER);
        assert_eq!((asked(by(&new, Some("b"), older)), asked(by(&old, Some("a"), older))), (Some(true), None));
        let both = format!("{{\"keys\":[{},{}]}}", old.published("a"), new.published("b"));
        verifier.fetched(&wanted.url, Some(both.as_bytes()), &none(), older).expect("two keys");
        assert_eq!(judged(by(&new, Some("b"), older)), Ok(()));
        assert_eq!(asked(by(&new, Some("c"), older)), None, "whatever a stranger makes up next");

        // What is old is fetched again and good meanwhile, also when that fails; a day later it is not.
        let stale = older.after(FRESH_FOR);
        assert_eq!((asked(by(&new, Some("b"), stale)), judged(by(&new, Some("b"), stale))), (Some(false), Ok(())));
        assert!(verifier.fetched(&wanted.url, None, &none(), stale).is_err());
        assert_eq!(judged(by(&new, Some("b"), stale)), Ok(()));
        let gone = older.after(GOOD_FOR);
        assert_eq!((asked(by(&new, Some("b"), gone)), judged(by(&new, Some("b"), gone))), (Some(true), Err(Rejection::BadSignature)));
    }

    #[test]
    fn what_is_no_set_of_keys_gives_none() {
        let verifier = compiled(TOKENS, &[]);
        let key = Signer::new(&ECDSA_P256_SHA256_FIXED_SIGNING).published("a");
        let nameless = key.replace(r#""kid":"a","#, "");
        let many = vec![key.as_str(); 33].join(",");
        let sets = [
            String::new(),
            "[]".into(),
            "<html>".into(),
            key.clone(),
            r#"{"keys":[]}"#.into(),
            format!(r#"{{"keys":[{nameless}]}}"#),
            format!(r#"{{"keys":[{}]}}"#, key.replace("\"sig\"", "\"enc\"")),
            format!(r#"{{"keys":[{}]}}"#, key.replace("ES256", "ES384")),
            format!(r#"{{"keys":[{}]}}"#, key.replace("P-256", "P-384")),
            format!(r#"{{"keys":[{}]}}"#, key.replace("\"x\":\"", "\"x\":\"A")),
            format!(r#"{{"keys":[{many}]}}"#),
        ];
        for set in sets {
            assert!(verifier.fetched(&url(1), Some(set.as_bytes()), &none(), NOW).is_err(), "{set}");
        }
        verifier.fetched(&url(1), Some(format!(r#"{{"keys":[{key}]}}"#).as_bytes()), &none(), NOW).expect("a key");
    }

    #[test]
    fn a_certificate_is_fetched_from_where_the_request_says_if_that_may_be() {
        let signer = Signer::new(&ECDSA_P256_SHA256_ASN1_SIGNING);
        let seal = STANDARD.encode(signer.sign(b"{}"));
        let from = |place: &str| request(&[("Seal", &seal), ("Cert", place)], NOW);
        let verifier = compiled(CERTIFICATES, &[]);
        for place in ["https://evil.example/1", "http://keys.example.com/1", "https://keys.example.com:444/1", "https://127.0.0.1/1", ""] {
            assert_eq!(verifier.wanted(&from(place), NOW), None, "{place}");
            assert_eq!(verifier.verify(from(place), NOW).map(|_| ()), Err(Rejection::Malformed), "{place}");
        }
        assert_eq!(verifier.wanted(&from("https://keys.example.com/1"), NOW).map(|wanted| wanted.url), Some(url(1)));
        let certificate = signer.certificate("keys.example.com");
        verifier.fetched(&url(1), Some(certificate.as_bytes()), &none(), NOW).expect("a key");
        assert!(verifier.verify(from("https://keys.example.com/1"), NOW).is_ok());
        assert_eq!(verifier.verify(from("https://keys.example.com/2"), NOW).map(|_| ()), Err(Rejection::BadSignature), "another's place");

        // A key that is pinned is used, nothing is fetched, and the place is looked at all the same.
        let pin = Credential { name: "secret".into(), value: Secret::new(certificate), until: None };
        let pinned = compiled(CERTIFICATES, &[pin]);
        assert!(!pinned.goes_out());
        assert_eq!(pinned.wanted(&from("https://keys.example.com/1"), NOW), None);
        assert!(pinned.verify(from("https://keys.example.com/1"), NOW).is_ok());
        assert_eq!(pinned.verify(from("https://evil.example/1"), NOW).map(|_| ()), Err(Rejection::Malformed));
    }

    fn url(number: usize) -> Url {
        Url::parse(&format!("https://keys.example.com/{number}")).expect("a URL")
    }

    fn set(number: usize, fetched_at: UnixMs) -> KeySet {
        let has_proved = AtomicBool::new(false);
        KeySet { url: url(number), fetched_at, until: fetched_at.after(GOOD_FOR), by_scheme: vec![], has_proved }
    }

    #[test]
    fn the_ring_holds_so_many_sets_and_lets_the_oldest_go() {
        let ring = Ring::default();
        for number in 0..SETS_MAX + 4 {
            ring.put(set(number, UnixMs(NOW.0 + i64::try_from(number).expect("small"))));
        }
        assert_eq!(ring.0.load().len(), SETS_MAX);
        assert!((0..4).all(|gone| ring.known(&url(gone)).is_none()));
        assert!((4..SETS_MAX + 4).all(|kept| ring.find(&url(kept), NOW).is_some()));
        // What proved something stays, however many strangers name, and so does the set that takes its place.
        ring.known(&url(5)).expect("here").has_proved();
        ring.put(set(5, UnixMs(NOW.0 + 5)));
        (100..200).for_each(|number| ring.put(set(number, NOW.after(UNKNOWN_AFTER))));
        assert!(ring.known(&url(5)).is_some() && ring.known(&url(4)).is_none());
        (4..SETS_MAX + 3).for_each(|number| ring.put(set(number, NOW.after(UNKNOWN_AFTER))));
        // A set takes the place of the one before it, and of no other.
        ring.put(set(5, NOW.after(FRESH_FOR)));
        assert_eq!(ring.0.load().len(), SETS_MAX);
        assert_eq!(ring.known(&url(5)).map(|set| set.fetched_at), Some(NOW.after(FRESH_FOR)));
        assert!(ring.known(&url(4)).is_some());
    }

    #[test]
    fn a_set_is_good_for_a_day_and_no_longer() {
        let ring = Ring::default();
        ring.put(set(1, NOW));
        assert!(ring.find(&url(1), UnixMs(NOW.after(GOOD_FOR).0 - 1)).is_some());
        assert!(ring.find(&url(1), NOW.after(GOOD_FOR)).is_none());
        assert!(ring.known(&url(1)).is_some(), "and still known");
    }
}
