//! Each kind of mistake is made on a request of our own signing, and named again; nothing is named where there is none, nothing is shown,
//! and the tries end.

mod requests;
mod secrets;

use std::net::IpAddr;

use bytes::Bytes;

use super::*;
use crate::{
    provider::Edit,
    request::{HeadersBuilder, Single},
    secret::Secret,
    verify::{Sample, proof, sign},
};

const NOW: UnixMs = UnixMs(1_760_000_000_000);
const JSON: &str = r#"{"id":"evt_1","type":"a.b","data":{"n":1.0,"url":"https://h/é","list":[1,{}]}}"#;
const SECRET: &str = "canary-0123456789abcdef";
const OTHER: &str = "canary-fedcba9876543210";
/// A secret that is base64 and that is also text.
const WHSEC: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

fn credential(name: &str, value: impl Into<Vec<u8>>) -> Credential {
    Credential { name: name.into(), value: Secret::new(value), until: None }
}

fn link(text: &str) -> url::Url {
    url::Url::parse(text).expect("a URL")
}

fn built(method: &str, query: Option<&str>, headers: &[(String, Vec<u8>)], body: impl Into<Bytes>) -> RawRequest {
    let mut block = HeadersBuilder::new();
    assert!(headers.iter().all(|(name, value)| block.push(name, value)));
    RawRequest {
        method: method.into(),
        path: "/hooks/t".into(),
        query: query.map(Box::from),
        headers: block.build(),
        body: body.into(),
        client_ip: IpAddr::from([127, 0, 0, 1]),
        received_at: NOW,
    }
}

/// A provider of the catalogue, all of which a test may ask for.
struct Bench {
    catalogue: Catalogue,
}

impl Bench {
    fn new() -> Self {
        Self { catalogue: Catalogue::embedded() }
    }

    fn provider(&self, slug: &str) -> &Provider {
        self.catalogue.find(slug).expect("an embedded provider")
    }

    fn setting(&self, slug: &str, credentials: &[(&str, &str)]) -> Setting<'_> {
        let credentials = credentials.iter().map(|(name, value)| credential(name, *value)).collect();
        Setting { provider: self.provider(slug), credentials, retired: Vec::new(), endpoint: None, tolerance: None }
    }

    /// A request as `setting` would have it signed.
    fn signed(&self, setting: &Setting<'_>, body: Option<&str>) -> RawRequest {
        let body = body.map(|text| Bytes::copy_from_slice(text.as_bytes()));
        let sample = Sample { body, endpoint: setting.endpoint.clone(), path: Some("/hooks/t".into()), ..Sample::default() };
        let signed = sign(setting.provider, &setting.credentials, &sample, NOW).expect("signs");
        let request = built(&signed.method, signed.query.as_deref(), &signed.headers, signed.body);
        let verified = setting.compile().expect("compiles").verify(request.clone(), NOW);
        assert!(verified.is_ok(), "what is signed verifies before any mistake: {:?}", verified.err());
        request
    }

    /// What is said of a request, which must be refused.
    fn told(&self, request: &RawRequest, setting: &Setting<'_>, neighbours: &[Neighbour<'_>], now: UnixMs) -> Explanation {
        let refused = setting.compile().map_or(Err(Rejection::BadSignature), |verifier| verifier.verify(request.clone(), now).map(|_| ()));
        let rejection = refused.expect_err("a mistake was made");
        let said = explain(&Case { request, line_query: Some("line=1"), now, rejection, setting, neighbours, catalogue: &self.catalogue });
        let all = setting.credentials.iter().chain(&setting.retired).chain(neighbours.iter().flat_map(|one| &one.setting.credentials));
        for secret in all.filter(|credential| credential.value.reveal().len() > 8) {
            let shown = String::from_utf8_lossy(secret.value.reveal()).trim().to_owned();
            assert!(!said.text.contains(&shown), "a secret is shown: {}", said.text);
        }
        assert!(said.tries <= TRIES_MAX);
        said
    }

    /// Wants a mistake found and named with all these words.
    fn named(&self, request: &RawRequest, setting: &Setting<'_>, words: &[&str]) {
        let said = self.told(request, setting, &[], NOW);
        let all = words.iter().all(|word| said.text.contains(word));
        assert!(said.found && all, "{words:?} wanted ({} tries): {}", said.tries, said.text);
    }
}

fn with_body(request: &RawRequest, body: impl Into<Bytes>) -> RawRequest {
    RawRequest { body: body.into(), ..request.clone() }
}

fn spelled(bytes: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}

#[test]
fn a_clock_that_is_off_is_named_by_how_much() {
    let bench = Bench::new();
    let setting = bench.setting("stripe", &[("secret", WHSEC)]);
    let request = bench.signed(&setting, Some(JSON));
    let at = |seconds: i64| bench.told(&request, &setting, &[], UnixMs(NOW.0 + seconds * 1000));
    let late = at(4000);
    for words in ["made 4000 s before", "5m is the most", "`--at 1760000000`", "4000 s ahead"] {
        assert!(late.found && late.text.contains(words), "{words}: {}", late.text);
    }
    let early = at(-301);
    assert!(early.found && early.text.contains("made 301 s after") && early.text.contains("301 s behind"), "{}", early.text);
    let narrow = Setting { tolerance: Some(Tolerance::Within(std::time::Duration::from_secs(7))), ..setting.clone() };
    let said = bench.told(&request, &narrow, &[], UnixMs(NOW.0 + 8000));
    assert!(said.text.contains("7s is the most"), "{}", said.text);
    // Another mistake is named first, and the time beside it.
    let blanks = bench.setting("stripe", &[("secret", &format!("{WHSEC}\n"))]);
    let both = bench.told(&request, &blanks, &[], UnixMs(NOW.0 + 4_000_000));
    assert!(both.text.contains("without the blanks") && both.text.contains("`--at 1760000000`"), "{}", both.text);
    let only = bench.told(&request, &blanks, &[], NOW);
    assert!(!only.text.contains("--at"), "{}", only.text);
}

#[test]
fn another_provider_is_named() {
    let bench = Bench::new();
    for (right, wrong, secret) in [
        ("svix", "standard-webhooks", WHSEC),
        ("standard-webhooks", "svix", WHSEC),
        ("shopify", "github", SECRET),
        ("gitlab", "github", SECRET),
    ] {
        let request = bench.signed(&bench.setting(right, &[("secret", secret)]), Some(JSON));
        bench.named(
            &request,
            &bench.setting(wrong, &[("secret", secret)]),
            &["with the same secret as a request of", &format!("`{right}`"), "name that provider"],
        );
    }
}

#[test]
fn a_header_that_occurs_twice_is_named() {
    let bench = Bench::new();
    let setting = bench.setting("stripe", &[("secret", WHSEC)]);
    let request = bench.signed(&setting, Some(JSON));
    let headers: Vec<(String, Vec<u8>)> = request.headers.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
    let twice = built("POST", None, &[&headers[..], &[("STRIPE-signature".to_owned(), b"x".to_vec())]].concat(), JSON);
    bench.named(&twice, &setting, &["The header `Stripe-Signature` occurs twice", "send it once"]);
}

#[test]
fn what_nothing_explains_is_told_truthfully() {
    let bench = Bench::new();
    let setting = bench.setting("stripe", &[("secret", WHSEC)]);
    let request = bench.signed(&setting, Some(JSON));
    let forged = with_body(&request, JSON.replace("evt_1", "evt_2"));
    let said = bench.told(&forged, &setting, &[], NOW);
    let Single::One(header) = request.headers.single("stripe-signature") else { panic!("signed") };
    let header = String::from_utf8_lossy(header).into_owned();
    let signature = header.split("v1=").nth(1).expect("a signature");
    let begins = format!("1 signature was found, the first beginning `{}`,", &signature[..SHOWN_SIGNATURE_BYTES_MAX]);
    let print = credential("secret", WHSEC).value.fingerprint().to_string();
    assert!(!said.found && said.tries > 20, "{said:?}");
    let bound = format!("None of {} likely mistakes that were tried (at most {TRIES_MAX})", said.tries);
    for words in [begins.as_str(), &print, &bound, "header Stripe-Signature", "{sig:t}.{body}"] {
        assert!(said.text.contains(words), "{words}: {}", said.text);
    }
    assert!(!said.text.contains(&signature[..=SHOWN_SIGNATURE_BYTES_MAX]), "{}", said.text);
    let none = built("POST", None, &[], JSON);
    let said = bench.told(&none, &setting, &[], NOW);
    assert!(!said.found && said.text.contains("The request has no `Stripe-Signature` header"), "{}", said.text);
    let token = bench.setting("gitlab", &[("secret", SECRET)]);
    let wrong = built("POST", None, &[("X-Gitlab-Token".to_owned(), OTHER.as_bytes().to_vec())], JSON);
    let said = bench.told(&wrong, &token, &[], NOW);
    assert!(!said.found && !said.text.contains(&OTHER[..SHOWN_SIGNATURE_BYTES_MAX]), "a token is a secret: {}", said.text);
}

#[test]
fn the_tries_end() {
    let bench = Bench::new();
    let setting = bench.setting("github", &[("secret", SECRET)]);
    let forged = with_body(&bench.signed(&setting, Some(JSON)), "{ }");
    let many: Vec<Neighbour<'_>> = (0..2000)
        .map(|n| Neighbour {
            name: format!("s{n}").into(),
            setting: bench.setting("github", &[("secret", &format!("canary-of-{n}-0123456789"))]),
        })
        .collect();
    let said = bench.told(&forged, &setting, &many, NOW);
    let alone = bench.told(&forged, &setting, &[], NOW);
    assert!(!said.found && said.tries > alone.tries && said.tries <= alone.tries + 128, "{} and {}", said.tries, alone.tries);
    let mut trial = Trial::at(NOW);
    (0..=TRIES_MAX).for_each(|_| _ = trial.proves(&setting, &forged));
    assert!(trial.cut_short() && trial.tries() == TRIES_MAX);
}

#[test]
fn a_stray_line_end_is_named_for_every_provider_that_can_be_signed_for() {
    let bench = Bench::new();
    let mut count = 0;
    for slug in bench.catalogue.names() {
        let provider = bench.provider(slug);
        let vector = provider.vectors.first().expect("proved");
        let now = UnixMs(vector.at * 1000);
        let right = Setting { endpoint: proof::endpoint(vector), credentials: proof::credentials(vector), ..bench.setting(slug, &[]) };
        let keyed = right.keys().next().is_some_and(|key| !key.value.reveal().contains(&b'\n'));
        let request = proof::request(vector, now).expect("a request");
        if !keyed || provider.checks.iter().any(|check| check.scheme.first().is_asymmetric()) {
            continue;
        }
        let mut wrong = right.clone();
        for key in &mut wrong.credentials {
            key.value = Secret::new([key.value.reveal(), b"\n"].concat());
        }
        // One mistake at a time: providers with several credentials have theirs right.
        if wrong.credentials.len() > 1 {
            continue;
        }
        let said = bench.told(&request, &wrong, &[], now);
        assert!(said.found && said.text.contains("without the blanks"), "{slug}: {}", said.text);
        count += 1;
    }
    assert!(count >= 12, "only {count} providers were tried");
}

#[test]
fn a_token_past_its_own_time_is_told_so() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let bench = Bench::new();
    let file = "provider: t\nverify:\n  - { scheme: jws-hs256, signature: { at: header:T } }\n";
    let mut problems = crate::yaml::Problems::new();
    let provider = crate::provider::read(&"t.yaml".into(), file, &|_| None, &mut problems);
    let provider = provider.unwrap_or_else(|| panic!("{:?}", problems.into_sorted()));
    let setting = Setting { provider: &provider, ..bench.setting("github", &[("secret", SECRET)]) };
    let told = |claims: &str, now: i64| {
        let signed = [r#"{"alg":"HS256"}"#, claims].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        let mut mac = crate::verify::mac::Mac::new(crate::provider::Scheme::JwsHs256, SECRET.as_bytes()).expect("a key");
        mac.update(signed.as_bytes());
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finish().bytes()));
        bench.told(&built("POST", None, &[("T".to_owned(), token.into_bytes())], JSON), &setting, &[], UnixMs(now)).text
    };
    let late = told(r#"{"exp":1760000000}"#, NOW.0 + 9000);
    assert!(late.contains("past the token's `exp`") && late.contains("`--at`"), "{late}");
    let early = told(r#"{"nbf":1760000000}"#, NOW.0 - 9000);
    assert!(early.contains("before the token's `nbf`"), "{early}");
}
