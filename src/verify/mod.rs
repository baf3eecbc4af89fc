//! Proving who rang.
//!
//! # Against whom
//! Anyone on the internet can send any bytes to a source's path, as often as he likes, and may have seen genuine requests. He does not hold
//! a secret of the source. This module is the only way from a [`RawRequest`] to a [`Verified`], and nothing that is not `Verified` is
//! stored, counted against others, or routed; save what a source takes while it only observes, which [`grounds`] keeps apart.
//!
//! * *Forgery.* The provider file fixes scheme, places, spellings and the message; a request can only match them, never choose. A check
//!   without a key that is still good refuses everything.
//! * *Timing.* Codes are compared as bytes of a fixed size in constant time. Every candidate is tried with every key, also after one has
//!   matched, so the time tells neither how close a forgery came nor which secret is in use.
//! * *Oracles.* A computed code is never returned, printed or logged, and has no `Debug`. A refusal is one word of a closed list.
//! * *Replay in disguise.* Each signature has one spelling, each verified header may occur once, a timestamp is digits and nothing else,
//!   and is bounded on both sides of now.
//! * *Parser differentials.* What was signed is taken from the bytes as received. A JSON value that two readers could read differently is
//!   unusable: it refuses in a check, and is no id in an event.
//! * *Downgrade.* A token that names another algorithm than the file, or brings a key, is refused; a scheme is picked by the request only
//!   from a closed map of one family. What an unsigned `Content-Type` says cannot take the body out of a signature.
//! * *Exhaustion.* Candidates, keys, types and JSON values have bounds. One code per key is computed for all signatures of one list, and
//!   the body is fed to it where it lies. What the head already shows to be wrong is refused before the body is read.
//!
//! Not its business: replays within the tolerance (deduplication ends those), a secret that has leaked, limits on how much is sent.
//!
//! # The way
//! [`compile`] takes [`keys`] up when a source is loaded. A [`check`] has [`candidates`] find what could be signatures, [`spelling`] and
//! [`jws`] read them, [`value`], [`document`], [`form`] and [`canonical`] feed the message to the [`mac`] or the [`public_key`]; [`moment`]
//! judges the timestamp, [`condition`] what must hold besides, and [`identity`] says what the request is. [`greeting`] answers handshakes.
//! [`sign`] walks the same data backwards, so that what we send in tests and demonstrations cannot drift from what we accept; [`proof`]
//! runs the known answers. Keys that a vendor publishes are [`fetched`](mod@fetched), with [`certificate`] to say whose one is, and
//! [`asked`] where they are given out one by one.
//! [`explain`](mod@explain) says on the command line why a request was refused.

mod asked;
mod candidates;
mod canonical;
mod certificate;
mod challenge;
mod check;
mod compile;
mod condition;
mod confirm;
mod desk;
mod document;
mod draft;
mod explain;
mod fetched;
mod form;
mod greeting;
mod grounds;
mod identity;
mod jws;
mod keys;
mod known_answers;
mod mac;
mod moment;
mod order;
pub mod parsers;
mod proof;
mod public_key;
mod sign;
mod singles;
mod spelling;
mod unproved;
mod value;

use std::{sync::Arc, time::Duration};

pub use explain::{Case, Explanation, Neighbour, SHOWN_SIGNATURE_BYTES_MAX, Setting, TRIED_BYTES_MAX, TRIES_MAX, explain};
pub use fetched::Wanted;
pub use greeting::{Greeted, Reply};
pub use grounds::{Identified, Proof};
pub use identity::{Identity, KnownBy};
pub use order::OrderBy;
pub use proof::{Tried, prove, prove_handshakes};
pub use sign::{Sample, SignedRequest, sign, signable};
pub use unproved::Unproved;

use crate::{
    clock::UnixMs,
    provider::{Atom, DocumentPlace, EventRule, Family, Pointer, Provider, Template},
    rejection::Rejection,
    request::RawRequest,
    secret::{Fingerprint, Secret},
};
use canonical::Addresses;
use check::{Held, Prepared};
use desk::Desk;
use document::Document;
use form::Form;
use greeting::Greeting;
use value::Scope;

/// A provider compiled with the credentials of one source.
#[derive(Debug)]
pub struct Verifier {
    checks: Vec<Prepared>,
    event: EventRule,
    /// Where the JSON document is.
    document: Vec<DocumentPlace>,
    /// Headers that must not occur twice.
    singles: Vec<Box<str>>,
    /// Beginnings of the names of headers that must not occur twice.
    families: Vec<Box<str>>,
    check_pointers: Vec<Pointer>,
    event_pointers: Vec<Pointer>,
    /// What the event is made of among the claims.
    claim_pointers: Vec<Pointer>,
    /// What handshakes look up before the checks, and behind them.
    before_pointers: Vec<Pointer>,
    after_pointers: Vec<Pointer>,
    /// Whether anything stands in a form.
    reads_form: bool,
    /// Credentials whose values stand in a message, a condition or an answer.
    named: Arc<[Credential]>,
    addresses: Option<Addresses>,
    /// What its source had fetched lately.
    desk: Desk,
    greetings: Vec<Greeting>,
    /// Methods besides `POST` that handshakes come with.
    methods: Vec<Box<str>>,
    credential_places: Vec<Atom>,
    /// Until when its source takes what nothing proves.
    observe_until: Option<UnixMs>,
    /// What is not looked at, because an optional credential is unset.
    skipped: Vec<String>,
}

/// A credential as configured: its value, and until when it is good.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The provider file's name for it (`secret`).
    pub name: Box<str>,
    /// The value.
    pub value: Secret,
    /// After this it no longer matches.
    pub until: Option<UnixMs>,
}

/// How far a signed timestamp may lie from now, where a source says it itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tolerance {
    /// So far, in both directions.
    Within(Duration),
    /// Any distance.
    None,
}

/// A request whose signature holds. Only this module can make one.
#[derive(Debug)]
pub struct Verified {
    request: RawRequest,
    proof: Proof,
    /// The payload of the token that proved it.
    claims: Option<Vec<u8>>,
    /// SHA-256 of what was signed, where that is good for one event only.
    signed: Option<[u8; 32]>,
}

impl Verifier {
    /// Compiles a provider with the credentials of one source. `endpoint` is the source's public URL, where the provider signs it;
    /// `tolerance` overrides the provider file's.
    ///
    /// # Errors
    /// Everything that is wrong with the credentials, each in a sentence for the operator, without a value of one.
    pub fn compile(
        provider: &Provider,
        credentials: &[Credential],
        endpoint: Option<&url::Url>,
        tolerance: Option<Tolerance>,
    ) -> Result<Self, Vec<String>> {
        compile::compile(provider, credentials, endpoint, tolerance)
    }

    /// The same, of a source that knows its events by this template.
    #[must_use]
    pub fn knowing_by(self, key: Template) -> Self {
        compile::knowing_by(self, key)
    }

    /// Everything that can be refused from the head alone, before a byte of the body is read: presence and shape of the signature,
    /// repeated headers, the timestamp's age at `head.received_at`. `head.body` is empty.
    ///
    /// # Errors
    /// The reason to refuse.
    pub fn precheck(&self, head: &RawRequest) -> Result<(), Rejection> {
        self.single_headers(head)?;
        let form = Form::default();
        let scope = self.scope(head, &form, head.received_at);
        // Whether it is a handshake may stand in the body, and then nothing is proved before.
        if self.may_greet(&scope) {
            return Ok(());
        }
        self.checks.iter().filter(|check| check.in_head).try_for_each(|check| check.precheck(&scope))
    }

    /// The handshake that this request is, before anything was proved.
    #[must_use]
    pub fn greet(&self, request: &RawRequest, now: UnixMs) -> Option<Greeted> {
        self.greeted(request, now, None)
    }

    /// The handshake that this proved request is.
    #[must_use]
    pub fn greet_verified(&self, verified: &Verified) -> Option<Greeted> {
        self.greeted(&verified.request, verified.request.received_at, Some(verified.proof))
    }

    /// Proves the request or refuses it, in time that does not depend on how close a forgery came.
    ///
    /// # Errors
    /// The reason, for our logs and metrics only.
    pub fn verify(&self, request: RawRequest, now: UnixMs) -> Result<Verified, Rejection> {
        self.verify_or_return(request, now).map_err(|unproved| unproved.reason)
    }

    /// What all checks together say, each of which must hold.
    fn held(&self, request: &RawRequest, now: UnixMs) -> Result<Held, Rejection> {
        self.single_headers(request)?;
        let form = self.form(request);
        let document = Document::read(self.document_text(request, &form), &self.check_pointers);
        let scope = Scope { document: &document, ..self.scope(request, &form, now) };
        let mut all = Held::default();
        for check in &self.checks {
            let held = check.hold(&scope)?;
            all = Held {
                secret: all.secret.or(held.secret),
                skew_ms: all.skew_ms.or(held.skew_ms),
                claims: all.claims.or(held.claims),
                signed: all.signed.or(held.signed),
            };
        }
        Ok(all)
    }

    /// What the verified request is. Who sends a signed body again under another type, which is not signed, makes no other event of it.
    #[must_use]
    pub fn identify(&self, verified: &Verified) -> Identity {
        self.identity(&verified.request, verified.claims.as_deref().unwrap_or_default(), verified.signed)
    }

    /// What a request says that it is, by itself and by the claims and the signed text that are believed.
    fn identity(&self, request: &RawRequest, claims: &[u8], signed: Option<[u8; 32]>) -> Identity {
        let form = if self.reads_form && self.event.body_signed { Form::of_bytes(&request.body) } else { self.form(request) };
        let document = Document::read(self.document_text(request, &form), &self.event_pointers);
        let claims = Document::read(claims, &self.claim_pointers);
        let scope = Scope { document: &document, claims: &claims, for_name: true, ..self.scope(request, &form, request.received_at) };
        let key = self.event.key.as_ref().and_then(|key| scope.bytes(key).ok());
        let (id, types) = (identity::id(&self.event, &scope), identity::types(&self.event, &scope));
        Identity { id, types, always_new: self.event.always_new, signed, key }
    }

    /// How requests are proved, as metrics name it: `signed`, `token` (a secret that is sent as it is) or `none`.
    #[must_use]
    pub fn verification(&self) -> &'static str {
        let families = || self.checks.iter().map(|check| check.rule.scheme.family());
        if families().any(|family| !matches!(family, Family::Token | Family::Basic | Family::None)) {
            "signed"
        } else if families().any(|family| family != Family::None) {
            "token"
        } else {
            "none"
        }
    }

    /// What is not looked at because an optional credential is unset, each in words for the operator.
    #[must_use]
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// Methods besides `POST` that the provider's handshakes come with.
    #[must_use]
    pub fn methods(&self) -> &[Box<str>] {
        &self.methods
    }

    /// The names of its handshakes.
    pub fn handshakes(&self) -> impl Iterator<Item = &str> {
        self.greetings.iter().map(|greeting| &*greeting.rule.name)
    }

    /// The places where the provider sends a secret as it is: they are not forwarded.
    #[must_use]
    pub fn credential_places(&self) -> &[Atom] {
        &self.credential_places
    }

    /// Whether the signature covers the event's id. An id that it does not cover can be changed on a request that was seen, so whoever
    /// deduplicates by it should know the body too.
    #[must_use]
    pub fn id_signed(&self) -> bool {
        self.event.id_signed
    }

    /// The fingerprints of the secrets that may match, for metrics; sorted.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        let mut all: Vec<_> = self
            .checks
            .iter()
            .flat_map(|check| &check.variants)
            .flat_map(|variant| &variant.keys)
            .filter_map(|key| key.fingerprint)
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn scope<'a>(&'a self, request: &'a RawRequest, form: &'a Form<'a>, now: UnixMs) -> Scope<'a> {
        Scope { addresses: self.addresses.as_ref(), ..Scope::of(request, form, &self.named, now) }
    }

    /// The form in the body, where one is looked at.
    fn form<'a>(&self, request: &'a RawRequest) -> Form<'a> {
        if self.reads_form { Form::read(request) } else { Form::default() }
    }

    /// The JSON document: the first of its places that is there.
    fn document_text<'a>(&self, request: &'a RawRequest, form: &'a Form<'_>) -> &'a [u8] {
        let found = self.document.iter().find_map(|place| match place {
            // A form is no document, where the document may also stand in one of its fields.
            DocumentPlace::Body => (self.document.len() == 1 || !form.is_form()).then_some(&*request.body),
            DocumentPlace::Form(name) => form.field(name).ok(),
        });
        found.unwrap_or_default()
    }
}

/// Credentials that load and look as if something else had been pasted, each in a sentence without its value: for warnings.
#[must_use]
pub fn doubts(provider: &Provider, credentials: &[Credential]) -> Vec<String> {
    compile::doubts(provider, credentials)
}

impl Credential {
    /// Whether it still matches.
    #[must_use]
    pub fn active(&self, now: UnixMs) -> bool {
        in_force(self.until, now)
    }
}

fn in_force(until: Option<UnixMs>, now: UnixMs) -> bool {
    until.is_none_or(|until| now <= until)
}

impl Verified {
    /// The request, as received.
    #[must_use]
    pub fn request(&self) -> &RawRequest {
        &self.request
    }

    /// The request, given up.
    #[must_use]
    pub fn into_request(self) -> RawRequest {
        self.request
    }

    /// That it was verified, and by what.
    #[must_use]
    pub fn proof(&self) -> Proof {
        self.proof
    }
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, sync::Arc};

    use bytes::Bytes;

    use super::*;
    use crate::{provider, request::HeadersBuilder, yaml::Problems};

    const NOW: UnixMs = UnixMs(1_760_000_000_000);

    fn read(verify: &str, rest: &str) -> Provider {
        let mut problems = Problems::new();
        let text = format!("provider: t\nverify:\n  - {verify}\n{rest}");
        let provider = provider::read(&Arc::from("t.yaml"), &text, &|_| None, &mut problems);
        provider.unwrap_or_else(|| panic!("{:?}", problems.into_sorted()))
    }

    fn secret(value: &str) -> Credential {
        Credential { name: "secret".into(), value: Secret::new(value), until: None }
    }

    fn request(headers: &[(&str, &str)], body: &str) -> RawRequest {
        let mut block = HeadersBuilder::new();
        for (name, value) in headers {
            assert!(block.push(name, value.as_bytes()));
        }
        RawRequest {
            method: "POST".into(),
            path: "/hooks/t".into(),
            query: None,
            headers: block.build(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            client_ip: IpAddr::from([127, 0, 0, 1]),
            received_at: NOW,
        }
    }

    /// A provider in the manner of Stripe, what it signs, and the header it comes in.
    fn timed() -> Provider {
        read(
            "{ scheme: hmac-sha256, signature: { at: header:S, pairs: ',', value: v, encoding: hex }, message: '{sig:t}.{body}', \
             timestamp: { at: sig:t, unit: s, tolerance: 5m } }",
            "event: { id: '{json:/id}', type: ['{json:/list/*/kind}', '{json:/kind}'] }",
        )
    }

    fn signature(secret: &str, message: &str) -> String {
        let mut mac = mac::Mac::new(provider::Scheme::HmacSha256, secret.as_bytes()).expect("a key");
        mac.update(message.as_bytes());
        hex::encode(mac.finish().bytes())
    }

    fn verify(verifier: &Verifier, header: &str, body: &str) -> Result<Proof, Rejection> {
        verifier.verify(request(&[("S", header)], body), NOW).map(|verified| verified.proof())
    }

    #[test]
    fn each_reason_is_told_apart_for_our_own_eyes() {
        let verifier = Verifier::compile(&timed(), &[secret("a")], None, None).expect("compiles");
        let good = signature("a", "1760000000.{}");
        let at = |seconds: i64| format!("t={seconds},v={}", signature("a", &format!("{seconds}.{{}}")));
        let cases = [
            (at(1_760_000_000), Ok(())),
            (at(1_759_999_699), Err(Rejection::Stale)),
            (at(1_760_000_301), Err(Rejection::Future)),
            (format!("t=1760000001,v={good}"), Err(Rejection::BadSignature)),
            (format!("v={good}"), Err(Rejection::Malformed)),
            (format!("t=1760000000,t=1760000000,v={good}"), Err(Rejection::Malformed)),
            (format!("t=1760000000,v={}", good.to_uppercase()), Err(Rejection::Malformed)),
            (format!("t=1760000000,v={good},"), Err(Rejection::Malformed)),
            (format!("t=1760000000,w={good}"), Err(Rejection::MissingSignature)),
            (format!("t=1760000000,v=00,v={good}"), Ok(())),
            (format!("t=1760000000{}", ",v=00".repeat(17)), Err(Rejection::Malformed)),
            (format!("t=1760000000,v={good}\u{e9}"), Err(Rejection::Malformed)),
            (String::new(), Err(Rejection::MissingSignature)),
        ];
        for (header, expected) in cases {
            assert_eq!(verify(&verifier, &header, "{}").map(|_| ()), expected, "{header}");
        }
        assert_eq!(verifier.verify(request(&[], "{}"), NOW).err(), Some(Rejection::MissingSignature));
        let twice = request(&[("S", &at(1_760_000_000)), ("s", &at(1_760_000_000))], "{}");
        assert_eq!(verifier.precheck(&twice), Err(Rejection::DuplicateHeader));
        assert_eq!(verifier.verify(twice, NOW).err(), Some(Rejection::DuplicateHeader));
    }

    #[test]
    fn the_head_alone_refuses_what_it_shows() {
        let verifier = Verifier::compile(&timed(), &[secret("a")], None, None).expect("compiles");
        let any = "0".repeat(64);
        let early = |header: &str| verifier.precheck(&request(&[("S", header)], ""));
        assert_eq!(early(&format!("t=1760000000,v={any}")), Ok(()));
        assert_eq!(early(&format!("t=1759990000,v={any}")), Err(Rejection::Stale));
        assert_eq!(early(&format!("t=1760090000,v={any}")), Err(Rejection::Future));
        assert_eq!(early(&format!("t=now,v={any}")), Err(Rejection::Malformed));
        assert_eq!(early("t=1760000000"), Err(Rejection::MissingSignature));
        assert_eq!(verifier.precheck(&request(&[], "")), Err(Rejection::MissingSignature));
    }

    #[test]
    fn any_active_secret_matches_and_says_which() {
        let old = Credential { until: Some(UnixMs(NOW.0 - 1)), ..secret("old") };
        let leaving = Credential { until: Some(NOW), ..secret("leaving") };
        let verifier = Verifier::compile(&timed(), &[secret("new"), leaving.clone(), old.clone()], None, None).expect("compiles");
        let signed = |key: &str| format!("t=1760000000,v={}", signature(key, "1760000000.{}"));
        let proof = verify(&verifier, &signed("new"), "{}").expect("new");
        assert_eq!((proof.secret(), proof.skew_ms()), (Some(secret("new").value.fingerprint()), Some(0)));
        assert_eq!(verify(&verifier, &signed("leaving"), "{}").expect("until now").secret(), Some(leaving.value.fingerprint()));
        assert_eq!(verify(&verifier, &signed("old"), "{}").map(|_| ()), Err(Rejection::BadSignature));
        assert_eq!(verifier.fingerprints().len(), 3);
        let both = format!("t=1760000000,v={},v={}", signature("x", "1760000000.{}"), signature("leaving", "1760000000.{}"));
        assert!(verify(&verifier, &both, "{}").is_ok());
    }

    #[test]
    fn a_source_may_say_the_tolerance_itself() {
        let header = format!("t=1750000000,v={}", signature("a", "1750000000.{}"));
        let verifier = |tolerance| Verifier::compile(&timed(), &[secret("a")], None, Some(tolerance)).expect("compiles");
        assert!(verify(&verifier(Tolerance::None), &header, "{}").is_ok());
        let within = Tolerance::Within(Duration::from_secs(9_999_999));
        assert_eq!(verify(&verifier(within), &header, "{}").map(|_| ()), Err(Rejection::Stale));
        let proof = verify(&verifier(Tolerance::Within(Duration::from_secs(10_000_000))), &header, "{}").expect("just within");
        assert_eq!(proof.skew_ms(), Some(10_000_000_000));
    }

    #[test]
    fn identity_is_the_first_complete_alternative_and_never_a_doubtful_one() {
        let verifier = Verifier::compile(&timed(), &[secret("a")], None, None).expect("compiles");
        let many = format!("{{\"list\":[{}]}}", (0..99).map(|n| format!("{{\"kind\":\"k{n}\"}}")).collect::<Vec<_>>().join(","));
        let cases = [
            (r#"{"id":"e","kind":"k"}"#, Some("e"), "k".to_owned()),
            (r#"{"id":1e2,"list":[{"kind":"a"},{"kind":"b"},{"kind":"a"}]}"#, Some("1e2"), "a,b".into()),
            (r#"{"id":"","kind":""}"#, None, String::new()),
            (r#"{"id":"a","id":"b","kind":"k"}"#, None, "k".into()),
            (r#"{"id":{},"list":[],"kind":"k"}"#, None, "k".into()),
            ("not json", None, String::new()),
            (&many, None, (0..32).map(|n| format!("k{n}")).collect::<Vec<_>>().join(",")),
        ];
        for (body, id, types) in cases {
            let header = format!("t=1760000000,v={}", signature("a", &format!("1760000000.{body}")));
            let verified = verifier.verify(request(&[("S", &header)], body), NOW).expect("signed");
            let identity = verifier.identify(&verified);
            assert_eq!(identity.id.as_deref(), id.map(str::as_bytes), "{body}");
            assert_eq!(identity.types.to_string(), types, "{body}");
        }
    }

    #[test]
    fn an_event_is_known_by_what_was_signed_before_an_id_beside_it() {
        let known = |id: Option<&[u8]>, signed: Option<[u8; 32]>, always_new| {
            let types = crate::event::EventTypes::default();
            let identity = Identity { id: id.map(<[u8]>::to_vec), types, always_new, signed, key: None };
            match identity.known_by() {
                KnownBy::Key(_) => "key",
                KnownBy::Id(_) => "id",
                KnownBy::Signed(_) => "signed",
                KnownBy::Body => "body",
                KnownBy::Nothing => "nothing",
            }
        };
        assert_eq!(
            [
                known(Some(b"i"), None, false),
                known(Some(b""), None, false),
                known(None, None, false),
                known(Some(b"i"), Some([0; 32]), false),
                known(Some(b"i"), None, true),
                known(None, None, true),
            ],
            ["id", "body", "body", "signed", "id", "nothing"]
        );
    }

    #[test]
    fn what_is_wrong_with_credentials_is_said_without_their_value() {
        let provider = read(
            "{ scheme: hmac-sha1, signature: { at: header:S, encoding: base64 }, message: '{credential:app}{body}', \
             key: { form: hex, strip: k_ } }",
            "credentials: { secret: { label: Key, prefix: k_ }, app: { label: App id } }",
        );
        let named = |name: &str, value: &str| Credential { name: name.into(), ..secret(value) };
        let errors = |credentials: &[Credential], tolerance| Verifier::compile(&provider, credentials, None, tolerance).expect_err("wrong");
        assert_eq!(errors(&[], None), ["t needs `secret` (Key)", "t needs `app` (App id)"]);
        assert_eq!(
            errors(&[named("secret", "k_hushhush"), named("app", "1"), named("sercet", "x")], Some(Tolerance::None)),
            [
                "t has no credential `sercet`; it has: secret, app",
                "t signs no timestamp, so a tolerance has no meaning",
                "`secret` is not hex after its `k_`; copy it again, whole and without blanks",
            ]
        );
        assert_eq!(errors(&[named("secret", "k_"), named("app", "1")], None), ["`secret` is empty: anyone could sign with it"]);
        let five: Vec<_> = (0..5).map(|n| named("secret", &format!("k_0{n}"))).chain([named("app", "1"), named("app", "2")]).collect();
        assert_eq!(
            errors(&five, None),
            [
                "`secret` has 5 values, and 4 is the most",
                "`app` stands in what t signs, demands or answers, so it has one value",
                "there are 5 keys for one signature, and 4 is the most"
            ]
        );
        assert_eq!(doubts(&provider, &[named("secret", "00")]), ["`secret` of t usually begins with `k_`, and this one does not"]);
        let verifier = Verifier::compile(&provider, &[named("secret", "k_00"), named("app", "hush")], None, None).expect("compiles");
        assert!(!format!("{verifier:?}").contains("hush"));
    }

    #[test]
    fn a_header_full_of_signatures_costs_one_code_per_key() {
        let listed = read("{ scheme: hmac-sha256, signature: { at: header:S, split: ' ', encoding: hex }, message: '{body}' }", "");
        let verifier = Verifier::compile(&listed, &[secret("a")], None, None).expect("compiles");
        let (request, form) = (request(&[], ""), Form::default());
        let groups = |count: usize| {
            let texts = [std::borrow::Cow::Owned(vec!["0".repeat(64); count].join(" "))];
            let scope = verifier.scope(&request, &form, NOW);
            candidates::groups(&verifier.checks[0], provider::Scheme::HmacSha256, &texts, &scope).map(|groups| groups.len())
        };
        assert_eq!(groups(16), Ok(1));
        assert!(groups(17).is_err());
    }
}
