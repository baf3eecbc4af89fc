//! What proving a request costs, by scheme: the head's check and the whole one, beside a bare HMAC-SHA256 of the same body in the same run.
//!
//! `cargo bench --bench verify`; the figures are of this machine, so compare ratios of one run, not numbers of two. Nothing fails by being
//! slow. First every scheme that can be signed with here, by one rule over one body; then each embedded provider's first vector as it is.
#![expect(clippy::print_stdout, reason = "the figures are the result")]

use std::{hint::black_box, net::IpAddr, sync::Arc, time::Duration};

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
        RSA_PKCS1_SHA512, RsaEncoding,
    },
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use hookgate::{
    clock::{Clock, UnixMs},
    provider::{Catalogue, Provider, Vector},
    request::{HeadersBuilder, RawRequest},
    secret::Secret,
    verify::{Credential, Sample, Verifier, sign},
};
use sha2::Sha256;

/// Bytes of the body of the first table, as of the other benches.
const BODY_BYTES: usize = 2048;
/// Requests that are made before the clock runs.
const BATCH: usize = 256;
/// How long one row is measured.
const ROW: Duration = Duration::from_millis(300);
const NOW: UnixMs = UnixMs(1_760_000_000_000);
/// Schemes with one secret on both sides, and what their checks say besides `scheme` and `at`.
const SHARED: [(&str, &str); 8] = [
    ("hmac-sha1", "signature: { at: header:X-Sign, encoding: hex }\n    message: '{body}'"),
    ("hmac-sha256", "signature: { at: header:X-Sign, encoding: hex }\n    message: '{body}'"),
    ("hmac-sha512", "signature: { at: header:X-Sign, encoding: hex }\n    message: '{body}'"),
    ("hash-sha256", "signature: { at: header:X-Sign, encoding: hex }\n    message: '{body}{key}'"),
    ("jws-hs256", "signature: { at: header:X-Sign, detached: true }\n    message: '{body}'"),
    ("token", "signature: { at: header:X-Sign }"),
    ("basic", "signature: { at: header:Authorization }"),
    ("none", "require: { header:X-Sign: true }"),
];

/// Something to prove, again and again.
struct Row {
    name: String,
    verifier: Verifier,
    request: RawRequest,
    at: UnixMs,
}

fn main() {
    let mut rows: Vec<Row> = SHARED.iter().map(|(scheme, rule)| shared(scheme, rule)).collect();
    rows.extend(public());
    table(&format!("each scheme, {BODY_BYTES} bytes"), &rows);
    let catalogue = Catalogue::embedded();
    let first = |slug: &str| catalogue.find(slug).and_then(|provider| provider.vectors.first().map(|vector| vectored(provider, vector)));
    let mut rows: Vec<Row> = catalogue.names().filter_map(first).collect();
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    table("each provider's first vector, as it is", &rows);
    println!("ecdsa-p256-sha1 is not measured: nothing here signs with it; rsa-sha1 is, by a vector");
}

fn table(title: &str, rows: &[Row]) {
    println!("{title}");
    println!("{:<52} {:>7} {:>11} {:>11} {:>8}", "scheme", "body", "ns", "bare ns", "ratio");
    for row in rows {
        let (ns, bare_ns) = (row.measured(), bare(&row.request.body));
        println!("{:<52} {:>7} {ns:>11.0} {bare_ns:>11.0} {:>8.2}", row.name, row.request.body.len(), ns / bare_ns);
    }
}

impl Row {
    /// Nanoseconds of the head's check and the whole one. The copies that are used up are made while the clock stands.
    fn measured(&self) -> f64 {
        let head = RawRequest { body: Bytes::new(), ..self.request.clone() };
        let once = |request: RawRequest| self.verifier.precheck(&head).and_then(|()| self.verifier.verify(request, self.at));
        once(self.request.clone()).unwrap_or_else(|rejection| panic!("{}: {}", self.name, rejection.code()));
        let (mut took, mut times) = (Duration::ZERO, 0_u32);
        while took < ROW {
            let copies: Vec<RawRequest> = vec![self.request.clone(); BATCH];
            let mut proved = Vec::with_capacity(BATCH);
            let began = Clock::System.mono();
            for request in copies {
                proved.push(black_box(once(request)));
            }
            took += Clock::System.mono().since(began);
            times += u32::try_from(proved.len()).unwrap_or(u32::MAX);
        }
        took.as_secs_f64() * 1e9 / f64::from(times)
    }
}

/// Nanoseconds of an HMAC-SHA256 of a body, its key taken up beforehand, compared in constant time.
fn bare(body: &[u8]) -> f64 {
    let key = Hmac::<Sha256>::new_from_slice(b"it is of no consequence").expect("any key fits");
    let code = key.clone().chain_update(body).finalize().into_bytes();
    let (mut took, mut times) = (Duration::ZERO, 0_u32);
    while took < ROW {
        let began = Clock::System.mono();
        for _ in 0..BATCH {
            let good = key.clone().chain_update(black_box(body)).verify_slice(&code).is_ok();
            assert!(black_box(good));
        }
        took += Clock::System.mono().since(began);
        times += u32::try_from(BATCH).unwrap_or(u32::MAX);
    }
    took.as_secs_f64() * 1e9 / f64::from(times)
}

/// A provider with one check.
fn provider(scheme: &str, rule: &str) -> Provider {
    let slug = format!("bench-{scheme}");
    let text = format!(
        "provider: {slug}\ntitle: Bench\nconfidence: low\n{}verify:\n  - scheme: {scheme}\n    {rule}\n",
        if scheme == "none" { "credentials: {}\n" } else { "credentials:\n  secret: { label: Key }\n" }
    );
    let mut catalogue = Catalogue::default();
    assert!(catalogue.add(&slug, Arc::from(format!("{slug}.yaml")), text));
    let read = catalogue.load(&slug).expect("added");
    read.unwrap_or_else(|problems| panic!("{problems:?}")).clone()
}

fn body() -> Bytes {
    Bytes::from(vec![b'b'; BODY_BYTES])
}

fn request(method: &str, query: Option<Box<str>>, headers: &[(String, Vec<u8>)], body: Bytes) -> RawRequest {
    let mut block = HeadersBuilder::new();
    headers.iter().for_each(|(name, value)| assert!(block.push(name, value), "{name}"));
    let client_ip = IpAddr::from([127, 0, 0, 1]);
    RawRequest { method: method.into(), path: "/".into(), query, headers: block.build(), body, client_ip, received_at: NOW }
}

/// One that we can sign ourselves.
fn shared(scheme: &str, rule: &str) -> Row {
    let provider = provider(scheme, rule);
    let secret = Credential { name: "secret".into(), value: Secret::new("user:it is of no consequence"), until: None };
    let credentials = if scheme == "none" { Vec::new() } else { vec![secret] };
    let sample = Sample { body: Some(body()), ..Sample::default() };
    let headers = if scheme == "none" {
        vec![("X-Sign".to_owned(), b"x".to_vec())]
    } else {
        sign(&provider, &credentials, &sample, NOW).expect("signs").headers
    };
    let verifier = Verifier::compile(&provider, &credentials, None, None).expect("compiles");
    Row { name: scheme.into(), verifier, request: request("POST", None, &headers, body()), at: NOW }
}

/// Those with a key pair, which is made here.
fn public() -> Vec<Row> {
    let random = SystemRandom::new();
    let spki = |der: &[u8]| STANDARD.encode(der);
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let rsa_public = |pair: &RsaKeyPair| spki(AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).expect("DER").as_ref());
    let with_rsa = |padding: &'static dyn RsaEncoding, message: &[u8]| {
        let mut signature = vec![0; rsa.public_modulus_len()];
        rsa.sign(padding, &random, message, &mut signature).expect("signs");
        signature
    };
    let ecdsa = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
    let fixed = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let point = |pair: &EcdsaKeyPair| spki(AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).expect("DER").as_ref());
    let with_ecdsa = |pair: &EcdsaKeyPair, message: &[u8]| pair.sign(&random, message).expect("signs").as_ref().to_vec();
    let ed25519 = Ed25519KeyPair::generate().expect("a key");
    let edwards = spki(AsDer::<PublicKeyX509Der<'_>>::as_der(ed25519.public_key()).expect("DER").as_ref());
    let body = body();
    let jws = |algorithm: &str, sign: &dyn Fn(&[u8]) -> Vec<u8>| {
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{algorithm}"}}"#));
        let signature = sign(format!("{header}.{}", URL_SAFE_NO_PAD.encode(&body)).as_bytes());
        format!("{header}..{}", URL_SAFE_NO_PAD.encode(signature))
    };
    vec![
        asymmetric("ed25519", &edwards, STANDARD.encode(ed25519.sign(&body))),
        asymmetric("ecdsa-p256-sha256", &point(&ecdsa), STANDARD.encode(with_ecdsa(&ecdsa, &body))),
        asymmetric("rsa-sha256", &rsa_public(&rsa), STANDARD.encode(with_rsa(&RSA_PKCS1_SHA256, &body))),
        asymmetric("rsa-sha512", &rsa_public(&rsa), STANDARD.encode(with_rsa(&RSA_PKCS1_SHA512, &body))),
        asymmetric("jws-es256", &point(&fixed), jws("ES256", &|message| with_ecdsa(&fixed, message))),
        asymmetric("jws-rs256", &rsa_public(&rsa), jws("RS256", &|message| with_rsa(&RSA_PKCS1_SHA256, message))),
        asymmetric("jws-rs512", &rsa_public(&rsa), jws("RS512", &|message| with_rsa(&RSA_PKCS1_SHA512, message))),
    ]
}

fn asymmetric(scheme: &str, key: &str, signature: String) -> Row {
    let spelled = if scheme.starts_with("jws") { "detached: true" } else { "encoding: base64" };
    let rule = format!("signature: {{ at: header:X-Sign, {spelled} }}\n    message: '{{body}}'\n    key: {{ form: spki }}");
    let credentials = [Credential { name: "secret".into(), value: Secret::new(key), until: None }];
    let verifier = Verifier::compile(&provider(scheme, &rule), &credentials, None, None).expect("compiles");
    Row { name: scheme.into(), verifier, request: request("POST", None, &[("X-Sign".into(), signature.into_bytes())], body()), at: NOW }
}

/// A known answer.
fn vectored(provider: &Provider, vector: &Vector) -> Row {
    let each = |(name, values): &(Box<str>, Vec<Box<str>>)| {
        let of = |value: &str| Credential { name: name.clone(), value: Secret::new(value), until: None };
        values.iter().map(|value| of(value)).collect::<Vec<_>>()
    };
    let credentials: Vec<Credential> = vector.credentials.iter().flat_map(each).collect();
    let mut endpoint = vector.url.clone();
    endpoint.iter_mut().for_each(|url| url.set_query(None));
    let verifier = Verifier::compile(provider, &credentials, endpoint.as_ref(), None).expect("compiles");
    let headers: Vec<(String, Vec<u8>)> =
        vector.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    let query = vector.url.as_ref().and_then(|url| url.query()).map(Box::from);
    let path = vector.url.as_ref().map_or("/", url::Url::path);
    let at = UnixMs(vector.at * 1000);
    let request = RawRequest { path: path.into(), received_at: at, ..request(&vector.method, query, &headers, vector.body.clone()) };
    Row { name: format!("{} ({})", provider.scheme(), provider.slug), verifier, request, at }
}
