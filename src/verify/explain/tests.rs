//! Each kind of mistake is made on a request of our own signing, and named again; nothing is named where there is none, nothing is shown,
//! and the tries end.

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

#[test]
fn another_secret_of_the_source_is_named_by_its_fingerprint() {
    let bench = Bench::new();
    let old = credential("secret", OTHER);
    let request = bench.signed(&Setting { credentials: vec![old.clone()], ..bench.setting("github", &[]) }, Some(JSON));
    let print = old.value.fingerprint().to_string();
    let retired = Credential { until: Some(UnixMs(1)), ..old };
    let with_old = Setting { retired: vec![retired.clone()], ..bench.setting("github", &[("secret", SECRET)]) };
    bench.named(&request, &with_old, &["past its `until`", &print]);
    let listed = Setting { credentials: vec![credential("secret", SECRET), retired], ..with_old.clone() };
    bench.named(&request, &Setting { retired: Vec::new(), ..listed }, &["past its `until`", &print]);

    let swapped = bench.setting("meta", &[("secret", SECRET), ("verify_token", OTHER)]);
    let request = bench.signed(&bench.setting("meta", &[("secret", OTHER), ("verify_token", SECRET)]), Some(JSON));
    bench.named(&request, &swapped, &["under `verify_token`", &print, "write that value as `secret`"]);
}

#[test]
fn another_source_is_named_and_so_is_its_secret() {
    let bench = Bench::new();
    let here = bench.setting("github", &[("secret", SECRET)]);
    let there = Neighbour { name: "shop".into(), setting: bench.setting("stripe", &[("secret", OTHER)]) };
    let print = credential("secret", OTHER).value.fingerprint().to_string();
    let neighbours = [Neighbour { name: "far".into(), setting: bench.setting("gitlab", &[("secret", "canary-of-nobody")]) }, there];
    let of_neighbour = bench.signed(&neighbours[1].setting, Some(JSON));
    let said = bench.told(&of_neighbour, &here, &neighbours, NOW);
    assert!(said.found && said.text.contains("for the source `shop` (provider `stripe`, secret of fingerprint"), "{}", said.text);
    assert!(said.text.contains(&print) && said.text.contains("have it sent to that source's URL"), "{}", said.text);
    let with_its_secret = bench.signed(&bench.setting("github", &[("secret", OTHER)]), Some(JSON));
    let said = bench.told(&with_its_secret, &here, &neighbours, NOW);
    assert!(said.found && said.text.contains("the `secret` of the source `shop` (fingerprint"), "{}", said.text);
    assert!(!bench.told(&with_its_secret, &here, &[], NOW).found, "without the configuration nobody knows that secret");
}

#[test]
fn what_stands_around_a_secret_is_taken_off() {
    let bench = Bench::new();
    for (slug, right) in [("github", SECRET), ("standard-webhooks", WHSEC), ("stripe", WHSEC), ("gitlab", SECRET)] {
        let request = bench.signed(&bench.setting(slug, &[("secret", right)]), Some(JSON));
        for around in ["@\n", "@\r\n", " @", "\t@  "] {
            let wrong = around.replace('@', right);
            bench.named(&request, &bench.setting(slug, &[("secret", &wrong)]), &["without the blanks or line ends", "store it"]);
        }
        for around in ["\"@\"", "'@'", "\"@\"\n"] {
            let wrong = around.replace('@', right);
            bench.named(&request, &bench.setting(slug, &[("secret", &wrong)]), &["without the quotation marks"]);
        }
    }
    let request = bench.signed(&bench.setting("github", &[("secret", &format!("{SECRET}\n"))]), Some(JSON));
    bench.named(&request, &bench.setting("github", &[("secret", SECRET)]), &["a line end behind it", "stored anew"]);
}

#[test]
fn a_prefix_too_many_or_too_few_is_named() {
    let bench = Bench::new();
    let bare = WHSEC.trim_start_matches("whsec_");
    let stripe = bench.signed(&bench.setting("stripe", &[("secret", WHSEC)]), Some(JSON));
    bench.named(&stripe, &bench.setting("stripe", &[("secret", bare)]), &["behind `whsec_`", "store the secret whole"]);
    let github = bench.signed(&bench.setting("github", &[("secret", bare)]), Some(JSON));
    bench.named(&github, &bench.setting("github", &[("secret", WHSEC)]), &["without its `whsec_`"]);
    let standard = bench.signed(&bench.setting("standard-webhooks", &[("secret", WHSEC)]), Some(JSON));
    let supabase = format!("v1,{WHSEC}");
    bench.named(&standard, &bench.setting("standard-webhooks", &[("secret", &supabase)]), &["without its `v1,whsec_`"]);
}

#[test]
fn a_secret_that_is_decoded_or_not_is_named() {
    let bench = Bench::new();
    let hook = |slug, value: &[u8]| {
        let setting = Setting { credentials: vec![credential("secret", value)], ..bench.setting(slug, &[]) };
        bench.signed(&setting, Some(JSON))
    };
    let key = b"\x00\xffcanary-key\xfe";
    let (hex, base64) = (hex::encode(key), spelled(key));
    bench.named(&hook("github", key), &bench.setting("github", &[("secret", &hex)]), &["taken as hex", "key: { form: hex }"]);
    bench.named(&hook("github", key), &bench.setting("github", &[("secret", &base64)]), &["taken as base64", "takes it as text"]);
    let prefixed = format!("whsec_{base64}");
    let words = ["after its `whsec_`", "form: base64, strip: \"whsec_\""];
    bench.named(&hook("stripe", key), &bench.setting("stripe", &[("secret", &prefixed)]), &words);
    // Signed with the secret's text, where it should have been decoded.
    for text in [WHSEC, WHSEC.trim_start_matches("whsec_")] {
        let request = hook("standard-webhooks", spelled(text.as_bytes()).as_bytes());
        bench.named(&request, &bench.setting("standard-webhooks", &[("secret", WHSEC)]), &["taken as text", "takes it as base64"]);
    }
}

fn spelled(bytes: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}

#[test]
fn another_url_is_named_by_what_differs() {
    let bench = Bench::new();
    let at = |text: &str| Setting { endpoint: Some(link(text)), ..bench.setting("square", &[("secret", SECRET)]) };
    let cases = [
        ("http://h.example/hooks/t", "https://h.example/hooks/t", "with `http` instead of `https`"),
        ("https://h.example/hooks/t", "http://h.example/hooks/t", "with `https` instead of `http`"),
        ("https://h.example/hooks/t", "https://h.example:8443/hooks/t", "without the port 8443"),
        ("https://h.example/hooks/t/", "https://h.example/hooks/t", "with a slash at its end"),
        ("https://h.example/hooks/t", "https://h.example/hooks/t/", "without the slash at its end"),
        ("http://h.example/hooks/t/", "https://h.example/hooks/t", "with `http` instead of `https` and with a slash at its end"),
    ];
    for (right, wrong, said) in cases {
        let request = bench.signed(&at(right), Some(JSON));
        bench.named(&request, &at(wrong), &[said, "`public_url`"]);
        let text = bench.told(&request, &at(wrong), &[], NOW).text;
        assert!(!text.contains("h.example"), "a URL may have a token in it: {text}");
    }
    let request = bench.signed(&at("https://h.example/hooks/t"), Some(JSON));
    let queried = RawRequest { query: Some("a=1".into()), ..request.clone() };
    bench.named(&queried, &at("https://h.example/hooks/t"), &["without its query"]);
    let host = [("Host".to_owned(), b"h.example".to_vec())];
    let headers: Vec<(String, Vec<u8>)> = request.headers.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
    let hosted = built("POST", None, &[&host[..], &headers].concat(), request.body.clone());
    bench.named(&hosted, &at("https://inside.example/hooks/t"), &["host and port of the request's `Host` header"]);
}

#[test]
fn a_query_or_a_port_that_was_signed_is_named() {
    let bench = Bench::new();
    let vector = bench.provider("twilio").vectors.first().expect("proved").clone();
    let setting =
        |text: &str| Setting { endpoint: Some(link(text)), credentials: proof::credentials(&vector), ..bench.setting("twilio", &[]) };
    let request = RawRequest { query: None, ..proof::request(&vector, NOW).expect("a request") };
    let url = vector.url.as_ref().expect("signed");
    let setting = setting(&format!("https://{}{}", url.host_str().expect("a host"), url.path()));
    let refused = setting.compile().expect("compiles").verify(request.clone(), NOW).expect_err("without its query");
    let case = Case {
        request: &request,
        line_query: url.query(),
        now: NOW,
        rejection: refused,
        setting: &setting,
        neighbours: &[],
        catalogue: &bench.catalogue,
    };
    let said = explain(&case);
    assert!(said.found && said.text.contains("with the query of the request line"), "{}", said.text);

    let exact = |text: &str| Setting { endpoint: Some(link(text)), ..bench.setting("square", &[("secret", SECRET)]) };
    let ported = changed(bench.provider("square"), |check| check.urls = vec![crate::provider::UrlSpelling::DefaultPort]);
    let request = {
        let setting = exact("https://h.example/hooks/t");
        let signed = bench.signed(&setting, Some(JSON));
        let mut mac = crate::verify::mac::Mac::new(crate::provider::Scheme::HmacSha256, SECRET.as_bytes()).expect("a key");
        mac.update(b"https://h.example:443/hooks/t");
        mac.update(JSON.as_bytes());
        let signature = spelled(mac.finish().bytes());
        let headers: Vec<(String, Vec<u8>)> = signed.headers.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
        let own = |name: &str| name.eq_ignore_ascii_case("x-square-hmacsha256-signature");
        let headers: Vec<_> = headers
            .into_iter()
            .map(|(name, value)| if own(&name) { (name, signature.clone().into_bytes()) } else { (name, value) })
            .collect();
        built("POST", None, &headers, JSON)
    };
    assert!(
        Setting { provider: &ported, ..exact("https://h.example/hooks/t") }
            .compile()
            .expect("compiles")
            .verify(request.clone(), NOW)
            .is_ok()
    );
    bench.named(&request, &exact("https://h.example/hooks/t"), &["with the port 443 written out"]);
}

#[test]
fn line_ends_that_came_or_went_are_named() {
    let bench = Bench::new();
    let setting = bench.setting("github", &[("secret", SECRET)]);
    let cases = [
        ("{}\n", "{}", "with a line feed at its end, which was lost"),
        ("{}\r\n", "{}", "with CR LF at its end, which was lost"),
        ("{}", "{}\n", "without the line feed at its end, which was added"),
        ("{}", "{}\r\n", "without the CR LF at its end, which was added"),
        ("{}", "  {} \n", "without the blanks and line ends around it"),
        ("{\n}\n", "{\r\n}\r\n", "with LF line ends, and here they are CR LF"),
        ("{\r\n}\r\n", "{\n}\n", "with CR LF line ends, and here they are LF"),
        ("{}", "\u{feff}{}", "without the byte order mark"),
    ];
    for (right, wrong, said) in cases {
        let request = with_body(&bench.signed(&setting, Some(right)), wrong);
        bench.named(&request, &setting, &[said, "keep the bytes as they arrive"]);
    }
}

#[test]
fn a_body_that_was_written_anew_is_named_by_its_spelling() {
    let bench = Bench::new();
    let setting = bench.setting("stripe", &[("secret", WHSEC)]);
    let pretty = json::spelled(JSON.as_bytes(), &json::STYLES[4]).expect("JSON");
    let mut seen = std::collections::BTreeSet::new();
    for style in &json::STYLES {
        let right = String::from_utf8(json::spelled(JSON.as_bytes(), style).expect("JSON")).expect("text");
        // Written by a framework in another way than by the sender.
        let wrong = if right.as_bytes() == pretty { JSON.into() } else { pretty.clone() };
        let request = bench.signed(&setting, Some(&right));
        bench.named(&with_body(&request, wrong), &setting, &["the same JSON written as", style.what, "parsed and written anew"]);
        assert!(seen.insert(right), "each style is another spelling");
    }
}

#[test]
fn a_form_taken_for_json_and_the_other_way_round_is_named() {
    let bench = Bench::new();
    let github = bench.setting("github", &[("secret", SECRET)]);
    let form = url::form_urlencoded::Serializer::new(String::new()).append_pair("payload", JSON).finish();
    let whole = with_body(&bench.signed(&github, Some(&form)), JSON);
    bench.named(&whole, &github, &["a form whose field `payload`"]);
    let inner = with_body(&bench.signed(&github, Some(JSON)), form);
    bench.named(&inner, &github, &["the JSON in the form's field `payload`"]);
    let twilio = bench.provider("twilio");
    let vector = twilio.vectors.first().expect("proved");
    let edited = vector.edited(&crate::provider::Reject {
        why: "a framework".into(),
        edits: vec![Edit::Header("Content-Type".into(), vec!["application/json".into()])],
    });
    let setting = Setting { endpoint: proof::endpoint(vector), credentials: proof::credentials(vector), ..bench.setting("twilio", &[]) };
    bench.named(&proof::request(&edited, NOW).expect("a request"), &setting, &["verifies as a form", "`Content-Type`"]);
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
    let both = bench.told(&request, &blanks, &[], UnixMs(NOW.0 + 4000_000));
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
            &["with the same secret as a request of", &format!("`{right}` ("), "name that provider"],
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
