//! `hookgate verify` as people meet it: a captured request, the configuration it came to, and one sentence that says what went wrong.

use std::{fs, process::Output};

use serde_json::Value;

use crate::{
    secrecy::assert_clean,
    support::{
        gateway::Gateway,
        patience::{unix_seconds, wait_until},
        sender::{github, standard_webhooks, stripe},
        wire::Ring,
    },
};

const NEW: &str = "canary-new-5a6c1f0e9b7d4c32";
const OLD: &str = "canary-old-77aa10bb22cc33dd";
const SHOP: &str = "canary-shop-c01dfeedbead1234";
const TOKEN: &str = "canary-token-9f3b1c77d2e84a10";
const STANDARD: &str = "whsec_Y2FuYXJ5LXN0YW5kYXJkLTAxMjM0NTY3";
const CONFIGURATION: &str = r#"
sources:
  code: { provider: github, secret: ["canary-new-5a6c1f0e9b7d4c32", { value: "canary-old-77aa10bb22cc33dd", until: 2001-01-01 }] }
  shop: { provider: stripe, secret: "canary-shop-c01dfeedbead1234", tolerance: 10m }
  narrow: { provider: stripe, secret: "${SHOP}", tolerance: 5s, unrouted: keep }
  hidden: { provider: github, secret: "${SHOP}", url_token: "canary-token-9f3b1c77d2e84a10", body_limit: 1KiB }
targets: { app: { url: "http://127.0.0.1:9/" } }
routes: [{ to: app }]
"#;

/// A configuration with four sources, which nothing runs.
struct Bench(Gateway);

impl Bench {
    fn new() -> Self {
        Self(Gateway::written(CONFIGURATION).with_variable("SHOP", SHOP))
    }

    /// Verifies a captured request; nothing that is printed has a secret in it.
    fn verify(&self, ring: &Ring, arguments: &[&str]) -> Output {
        let file = self.0.folder().join("captured.http");
        fs::write(&file, [ring.head(ring.body.len()), ring.body.clone()].concat()).expect("written");
        let output = self.0.command(&[&["verify"], arguments, &["captured.http"]].concat());
        assert_clean("what verify prints", &[&output.stdout[..], &output.stderr].concat(), &[NEW, OLD, SHOP, TOKEN, STANDARD]);
        output
    }

    /// The exit code, and the answer in JSON.
    fn answer(&self, ring: &Ring, arguments: &[&str]) -> (i32, Value) {
        let output = self.verify(ring, &[arguments, &["--json"]].concat());
        let answer = serde_json::from_slice(&output.stdout);
        let answer = answer.unwrap_or_else(|why| panic!("{why}: {}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code().expect("an exit code"), answer)
    }

    /// Wants a request of a source rejected for `reason`, and all these words in the explanation.
    fn told(&self, ring: &Ring, source: &str, reason: &str, words: &[&str]) {
        let (code, answer) = self.answer(ring, &["--source", source, "-c", "hookgate.yaml"]);
        assert_eq!((code, &answer["verdict"], &answer["reason"]), (1, &"rejected".into(), &reason.into()), "{answer}");
        let said = answer["explanation"].as_str().expect("an explanation");
        assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
    }
}

#[test]
fn a_source_brings_provider_secrets_and_tolerance() {
    let bench = Bench::new();
    let ring = github("/hooks/code", NEW, "d-1", b"{}");
    let (code, answer) = bench.answer(&ring, &["--source", "code", "-c", "hookgate.yaml"]);
    let expected = serde_json::json!({
        "verdict": "accepted", "reason": "signed", "provider": "github", "event_id": "d-1", "event_type": "push",
        "explanation": "Signed with hmac-sha256.",
    });
    assert_eq!((code, answer), (0, expected));
    let (code, answer) = bench.answer(&github("/elsewhere", NEW, "d-1", b"{}"), &["--source", "code"]);
    assert!(code == 0 && answer["explanation"].as_str().is_some_and(|said| said.contains("rung at `/hooks/code`")), "{answer}");
    let late = stripe("/hooks/shop", SHOP, 400, b"{}");
    assert_eq!(bench.answer(&late, &["--source", "shop"]).0, 0, "its own tolerance is 10 minutes");
    let at = (unix_seconds() - 400).to_string();
    bench.told(&late, "narrow", "stale", &["5s is the most", "--at"]);
    assert_eq!(bench.answer(&late, &["--source", "narrow", "--at", &at]).0, 0, "and the hint helps");
}

#[test]
fn secrets_of_the_configuration_are_named_and_never_shown() {
    let bench = Bench::new();
    bench.told(&github("/hooks/code", OLD, "d-1", b"{}"), "code", "bad_signature", &["past its `until`", "fingerprint"]);
    bench.told(&github("/hooks/code", SHOP, "d-1", b"{}"), "code", "bad_signature", &["for the source `hidden`", "fingerprint"]);
    bench.told(&stripe("/hooks/code", SHOP, 0, b"{}"), "code", "missing_signature", &["source `shop` (provider `stripe`"]);
    bench.told(&stripe("/hooks/shop", NEW, 0, b"{}"), "shop", "bad_signature", &["the `secret` of the source `code`"]);
}

#[test]
fn a_url_token_and_a_limit_are_the_sources_own() {
    let bench = Bench::new();
    let path = format!("/hooks/hidden/{TOKEN}");
    assert_eq!(bench.answer(&github(&path, SHOP, "d-1", b"{}"), &["--source", "hidden"]).0, 0);
    bench.told(&github("/hooks/hidden/guess", SHOP, "d-1", b"{}"), "hidden", "url_token", &["no `url_token` of the source"]);
    bench.told(&github(&path, SHOP, "d-1", &[b' '; 1025]), "hidden", "too_large", &["1025 bytes", "`body_limit`"]);
}

#[test]
fn each_mistake_is_one_sentence_in_text_and_in_json() {
    let bench = Bench::new();
    let body = b"{\"id\": \"evt_1\", \"total\": 1.50}";
    let with_body = |body: &[u8]| Ring { body: body.to_vec(), ..stripe("/hooks/shop", SHOP, 0, b"{\"id\": \"evt_1\", \"total\": 1.50}") };
    bench.told(&with_body(b"{\"id\":\"evt_1\",\"total\":1.50}"), "shop", "bad_signature", &["the same JSON written as", "json.dumps"]);
    bench.told(&with_body(&[body, &b"\n"[..]].concat()), "shop", "bad_signature", &["without the line feed at its end"]);
    bench.told(&stripe("/hooks/shop", SHOP, -1000, body), "shop", "future", &["s behind", "--at"]);

    let standard = standard_webhooks("/", STANDARD, "msg_1", 0, body);
    let (code, answer) = bench.answer(&standard, &["svix", "--secret", STANDARD]);
    assert!(code == 1 && answer["explanation"].as_str().is_some_and(|said| said.contains("`standard-webhooks`")), "{answer}");
    fs::write(bench.0.folder().join("secret"), format!("\"{STANDARD}\"\n\n")).expect("written");
    let output = bench.verify(&standard, &["standard-webhooks", "--secret-file", "secret"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.starts_with("rejected: standard-webhooks (bad_signature)\n"), "{text}");
    assert!(text.contains("without the quotation marks around it: store it without them."), "{text}");

    let forged = bench.verify(&with_body(b"{\"id\":\"evt_2\"}"), &["--source", "shop"]);
    let text = String::from_utf8_lossy(&forged.stdout).into_owned();
    assert!(text.contains("likely mistakes that were tried (at most 512)"), "{text}");
}

#[test]
fn what_cannot_be_verified_is_usage_or_configuration() {
    let bench = Bench::new();
    let ring = github("/hooks/code", NEW, "d-1", b"{}");
    let cases: [(&[&str], i32, &str); 5] = [
        (&["--source", "coed", "-c", "hookgate.yaml"], 2, "did you mean `code`?"),
        (&["--source", "code", "-c", "nowhere.yaml"], 78, "nowhere.yaml"),
        (&["githbu", "--secret", "x", "-c", "hookgate.yaml"], 2, "did you mean `github`?"),
        (&["--source", "code", "--secret", "x"], 2, "cannot be used with"),
        (&["github", "--source", "code"], 2, "cannot be used with"),
    ];
    for (arguments, code, said) in cases {
        let output = bench.verify(&ring, arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(code), true), "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
}

#[test]
fn a_running_gateway_says_the_reason_and_nothing_else() {
    let mut bench = Bench::new();
    bench.0.boot();
    assert_eq!(bench.0.ring(&github("/hooks/code", OLD, "d-1", b"{}")).status, 401);
    wait_until("the refusal is logged", || bench.0.log().contains("bad_signature"));
    let log = bench.0.log();
    let refusals: Vec<&str> = log.lines().filter(|line| line.contains("bad_signature")).collect();
    assert!(!refusals.is_empty(), "{log}");
    for word in ["fingerprint", "until", "verifies", "tried"] {
        assert!(!refusals.iter().any(|line| line.contains(word)), "{word}: {refusals:?}");
    }
}
