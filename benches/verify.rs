//! What proving a request costs, by scheme: the head's check and the whole one, beside a bare HMAC-SHA256 of the same body in the same run.
//!
//! `cargo bench --bench verify`; the figures are of this machine, so compare ratios of one run, not numbers of two. Nothing fails by being
//! slow. First every scheme of the grammar, by one rule over one body; then each embedded provider's first vector as it is.
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
    provider::{Catalogue, Family, Provider, Scheme, Vector},
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
/// Signatures that no library here makes any more, over the body of the first table, made once by OpenSSL 3: the public key, and
/// `openssl dgst -sha1 -sign`. Their private keys are gone.
const ECDSA_SHA1: (&str, &str) = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEImHU6DUla8IDrdimJNydt8HMqXxEPilCvEe25fek0UuiJUg8Uxrm8xBL7Yspa8Pn4MvHP1MWTW6e2zN1RMQNOQ==",
    "MEUCIA8jNGyzY7PNCP/7uWggwV5fCdTFdowxLr4kKeh9sb4+AiEArqMHlHTqTCclbaM7JrA0ye1VgziiD/e4vmA/vhMK9QY=",
);
const RSA_SHA1: (&str, &str) = (
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAtFMZOtdzDBtg6IJZTu/mPf+AwGmUjJi+u5wXYIEgkPBKzodfK32kbYZs+25V4GkzmLuymMhj1nCW\
     mQ6GFzJcDtj5OvRRR1Ju6GHTEaLKxqk+ozTCAxH9yjG4ayvAAZIeHSaNUcFhuDp2WD14EoKKEyXdOLomcybZ4ouuULjU5CnQi1cOzd32bqcY9lxoKeOogbAh\
     lJbFFghR9LWxx/eXXvWdvd5Vq1jJQC5rdn8eC32BpGCCfcPIX5sZnm04Aymq38zIgWh2h5oZZcKb3NTMWnyp29PZ5UKoo8AmWVBZQZuYYJ31WF23asvNYEMY\
     QnzqtRNDs7QMxbl9v+2SJ7PWJQIDAQAB",
    "I8tsRlQsjLHG9xSRkjSnXyEGcPgVL0K62Isf88hU4Uy6XAcznypboJ2y4N+Mj8VrHdN19aGh5HkR9Izk2Zq4EqVQn2jZZTkMgmudaJiXzbhSzYfg6Axuaa37\
     vA1yOVHZ66u18Zi8E0W3898nCaKE9FLxqumCvXeG77sdHSKRe8G2fT49rduKfbpMP2NdIvev/BeoKPo7MUzouWtMOrEFWwQ9hH7TMfb1tfNEiSnXAMeGNfJc\
     ravs6buwgJ9JGxwHXmlrZuu6nCXMHXbiyovf3IOdjuAhZ/j7lxWOo95xnLNTHIHNrPsUBMMrpu7F3QeCiiIiQEQJPCyDLJMIZxbkWw==",
);

/// Something to prove, again and again.
struct Row {
    name: String,
    verifier: Verifier,
    request: RawRequest,
    at: UnixMs,
}

fn main() {
    let pairs = Pairs::new();
    let rows: Vec<Row> = Scheme::all().map(|scheme| pairs.row(scheme)).collect();
    table(&format!("each scheme, {BODY_BYTES} bytes"), &rows);
    let catalogue = Catalogue::embedded();
    let first = |slug: &str| catalogue.find(slug).and_then(|provider| provider.vectors.first().map(|vector| vectored(provider, vector)));
    let mut rows: Vec<Row> = catalogue.names().filter_map(first).collect();
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    table("each provider's first vector, as it is", &rows);
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
fn provider(scheme: Scheme, rule: &str) -> Provider {
    let scheme = scheme.word();
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
fn shared(scheme: Scheme, rule: &str) -> Row {
    let provider = provider(scheme, rule);
    let secret = Credential { name: "secret".into(), value: Secret::new("user:it is of no consequence"), until: None };
    let credentials = if scheme == Scheme::None { Vec::new() } else { vec![secret] };
    let sample = Sample { body: Some(body()), ..Sample::default() };
    let headers = if scheme == Scheme::None {
        vec![("X-Sign".to_owned(), b"x".to_vec())]
    } else {
        sign(&provider, &credentials, &sample, NOW).expect("signs").headers
    };
    let verifier = Verifier::compile(&provider, &credentials, None, None).expect("compiles");
    Row { name: scheme.word().into(), verifier, request: request("POST", None, &headers, body()), at: NOW }
}

/// Pairs of keys, made anew for each run.
struct Pairs {
    random: SystemRandom,
    ed25519: Ed25519KeyPair,
    ecdsa: EcdsaKeyPair,
    /// The same curve, for signatures that are not in DER.
    fixed: EcdsaKeyPair,
    rsa: RsaKeyPair,
}

impl Pairs {
    fn new() -> Self {
        Self {
            random: SystemRandom::new(),
            ed25519: Ed25519KeyPair::generate().expect("a key"),
            ecdsa: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key"),
            fixed: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"),
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"),
        }
    }

    /// A request of this scheme, by what its check says besides `scheme`. There is no arm for the rest, so that a new scheme is measured.
    fn row(&self, scheme: Scheme) -> Row {
        let body = body();
        let in_hex =
            |message: &str| shared(scheme, &format!("signature: {{ at: header:X-Sign, encoding: hex }}\n    message: '{message}'"));
        let signed = |key: &str, signature: &[u8]| asymmetric(scheme, key, STANDARD.encode(signature));
        let (of_ecdsa, of_fixed, of_rsa) = (spki(self.ecdsa.public_key()), spki(self.fixed.public_key()), spki(self.rsa.public_key()));
        match scheme {
            Scheme::HmacSha1 | Scheme::HmacSha256 | Scheme::HmacSha512 => in_hex("{body}"),
            Scheme::HashSha256 => in_hex("{body}{key}"),
            Scheme::Ed25519 => signed(&spki(self.ed25519.public_key()), self.ed25519.sign(&body).as_ref()),
            Scheme::EcdsaP256Sha1 => asymmetric(scheme, ECDSA_SHA1.0, ECDSA_SHA1.1.to_owned()),
            Scheme::EcdsaP256Sha256 => signed(&of_ecdsa, &self.with_ecdsa(&self.ecdsa, &body)),
            Scheme::RsaSha1 => asymmetric(scheme, RSA_SHA1.0, RSA_SHA1.1.to_owned()),
            Scheme::RsaSha256 => signed(&of_rsa, &self.with_rsa(&RSA_PKCS1_SHA256, &body)),
            Scheme::RsaSha512 => signed(&of_rsa, &self.with_rsa(&RSA_PKCS1_SHA512, &body)),
            Scheme::JwsHs256 => shared(scheme, "signature: { at: header:X-Sign, detached: true }\n    message: '{body}'"),
            Scheme::JwsRs256 => asymmetric(scheme, &of_rsa, jws("RS256", |message| self.with_rsa(&RSA_PKCS1_SHA256, message))),
            Scheme::JwsRs512 => asymmetric(scheme, &of_rsa, jws("RS512", |message| self.with_rsa(&RSA_PKCS1_SHA512, message))),
            Scheme::JwsEs256 => asymmetric(scheme, &of_fixed, jws("ES256", |message| self.with_ecdsa(&self.fixed, message))),
            Scheme::Token => shared(scheme, "signature: { at: header:X-Sign }"),
            Scheme::Basic => shared(scheme, "signature: { at: header:Authorization }"),
            Scheme::None => shared(scheme, "require: { header:X-Sign: true }"),
        }
    }

    fn with_rsa(&self, padding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.rsa.public_modulus_len()];
        self.rsa.sign(padding, &self.random, message, &mut signature).expect("signs");
        signature
    }

    fn with_ecdsa(&self, pair: &EcdsaKeyPair, message: &[u8]) -> Vec<u8> {
        pair.sign(&self.random, message).expect("signs").as_ref().to_vec()
    }
}

/// A public key as it is written in a configuration.
fn spki<'a>(key: &impl AsDer<PublicKeyX509Der<'a>>) -> String {
    STANDARD.encode(key.as_der().expect("DER").as_ref())
}

/// A detached signature over the body.
fn jws(algorithm: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{algorithm}"}}"#));
    let signature = sign(format!("{header}.{}", URL_SAFE_NO_PAD.encode(body())).as_bytes());
    format!("{header}..{}", URL_SAFE_NO_PAD.encode(signature))
}

fn asymmetric(scheme: Scheme, key: &str, signature: String) -> Row {
    let spelled = if scheme.family() == Family::Jws { "detached: true" } else { "encoding: base64" };
    let rule = format!("signature: {{ at: header:X-Sign, {spelled} }}\n    message: '{{body}}'\n    key: {{ form: spki }}");
    let credentials = [Credential { name: "secret".into(), value: Secret::new(key), until: None }];
    let verifier = Verifier::compile(&provider(scheme, &rule), &credentials, None, None).expect("compiles");
    let headers = [("X-Sign".into(), signature.into_bytes())];
    Row { name: scheme.word().into(), verifier, request: request("POST", None, &headers, body()), at: NOW }
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
