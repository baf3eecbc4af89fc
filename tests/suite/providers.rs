//! A provider that nobody has heard of: one YAML file in `providers_dir`, no Rust, no rebuild.

use std::fs;

use crate::support::{
    gateway::Gateway,
    recorder::Recorder,
    sender::hmac_sha256,
    wire::{Connection, Ring},
};

const WORD: &str = "sesame-0123456789";
const SECRET: &str = "canary-acme-0123456789abcdef";
/// Signs what no embedded file says: time, method and body under a header of its own.
const ACME: &str = r#"
provider: acme
title: Acme
confidence: low
credentials:
  secret: { label: Bell key }
  word: { label: Pass word }
verify:
  - scheme: hmac-sha256
    signature: { at: header:Acme-Seal, strip: "seal:", encoding: hex }
    message: "acme/{method}/{header:Acme-Number}/{body}"
event:
  id: "{header:Acme-Number}"
  type: "acme.{json:/what}"
handshakes:
  - name: knock
    when: { method: GET, query:knock: true }
    after: none
    guard: { query:word: "{credential:word}" }
    refuse: 403
    reply: { text: "come in, {query:knock}" }
replies:
  accepted: { status: 202 }
"#;

fn seal(secret: &str, number: &str, body: &[u8]) -> String {
    let message = [format!("acme/POST/{number}/").as_bytes(), body].concat();
    format!("seal:{}", hex::encode(hmac_sha256(secret.as_bytes(), &message)))
}

fn rung(secret: &str, number: &str, body: &[u8]) -> Ring {
    let headers = [("Content-Type", "application/json"), ("Acme-Number", number), ("Acme-Seal", &seal(secret, number, body))];
    Ring::post("/hooks/bell", headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(), body)
}

/// A gateway with a source of the provider `acme`, whose file is this.
fn gateway(file: &str, more: &str) -> Gateway {
    let gateway = Gateway::written(&format!(
        "providers_dir: \"@DIR@/providers\"\n\
         sources: {{ bell: {{ provider: acme, secret: {SECRET}, credentials: {{ word: {WORD} }} }} }}\n{more}"
    ));
    let folder = gateway.folder().join("providers");
    fs::create_dir(&folder).expect("made");
    fs::write(folder.join("acme.yaml"), file).expect("written");
    gateway
}

/// The file with a known answer, which this secret has signed, and two ways to spoil it.
fn proved(secret: &str) -> String {
    let seal = seal(secret, "n", b"{}");
    format!(
        r#"{ACME}vectors:
  - name: one
    source: computed
    at: 0
    credentials: {{ secret: {SECRET}, word: w }}
    headers: {{ Acme-Number: n, Acme-Seal: "{seal}" }}
    body: '{{}}'
    rejects:
      - {{ why: no seal, drop: Acme-Seal }}
      - {{ why: another number, header: {{ Acme-Number: m }} }}
"#
    )
}

/// The exit code of a command, its result, and what it says besides.
fn asked(gateway: &Gateway, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = gateway.command(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn one_file_makes_a_provider() {
    let target = Recorder::start();
    let mut gateway = gateway(ACME, &format!("targets: {{ app: {{ url: \"{}\" }} }}\nroutes: [{{ to: app }}]\n", target.url()));
    gateway.boot();

    let body = br#"{"what":"rang"}"#;
    let answer = gateway.ring(&rung(SECRET, "n-1", body));
    assert_eq!((answer.status, answer.header("hookgate-result")), (202, Some("accepted")));
    let received = &target.wait_for(1)[0];
    assert_eq!((received.body.as_slice(), received.header("hookgate-provider")), (&body[..], "acme"));
    assert_eq!((received.header("hookgate-provider-event-id"), received.header("hookgate-event-type")), ("n-1", "acme.rang"));
    assert_eq!(received.header("hookgate-original-url"), "/hooks/bell", "where it is rung from outside, nobody said");

    assert_eq!(gateway.ring(&rung("another-secret-0123456789", "n-2", body)).status, 401);
    let forged = Ring { body: br#"{"what":"lied"}"#.to_vec(), ..rung(SECRET, "n-3", body) };
    assert_eq!(gateway.ring(&forged).status, 401);

    let get = |path: &str| {
        let ring = Ring { method: "GET".to_owned(), ..Ring::post(path, Vec::new(), b"") };
        Connection::plain(gateway.door()).and_then(|mut connection| connection.exchange(&ring)).expect("an answer")
    };
    let answer = get("/hooks/bell?knock=k-7&word=sesame-0123456789");
    assert_eq!((answer.status, answer.text()), (200, "come in, k-7".to_owned()));
    assert_eq!(get("/hooks/bell?knock=k-7&word=guessed").status, 403);

    gateway.wait_until_drained();
    assert_eq!(target.wait_for(1).len(), 1, "what was refused, or was a handshake, goes nowhere");
    let metrics = gateway.metrics();
    assert_eq!(metrics.count("rejected_total", &[("source", "bell"), ("reason", "bad_signature")]), 2);
    assert_eq!(metrics.count("handshakes_total", &[("source", "bell"), ("handshake", "knock"), ("result", "answered")]), 1);
    assert_eq!(metrics.count("source_info", &[("source", "bell"), ("provider", "acme"), ("verification", "unproved")]), 1);

    let captured = rung(SECRET, "n-4", body);
    fs::write(gateway.folder().join("captured.http"), [captured.head(body.len()), body.to_vec()].concat()).expect("written");
    let verified = gateway.command(&["verify", "--source", "bell", "-c", "hookgate.yaml", "--json", "captured.http"]);
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stderr));
    assert!(String::from_utf8_lossy(&verified.stdout).contains(r#""provider":"acme","event_id":"n-4""#));
}

#[test]
fn what_is_not_looked_at_is_said_in_the_status() {
    let file = ACME
        .replace("  word: { label: Pass word }\n", "  word: { label: Pass word }\n  mate: { label: Mate, required: false }\n")
        .replace("event:\n", "    require: { header:Acme-Mate: \"{credential:mate}\" }\nevent:\n");
    let target = Recorder::start();
    let mut gateway = gateway(&file, &format!("targets: {{ app: {{ url: \"{}\" }} }}\nroutes: [{{ to: app }}]\n", target.url()));
    let skipped = |gateway: &Gateway| {
        let status = gateway.look("/api/v1/status").expect("it answers").text();
        serde_json::from_str::<serde_json::Value>(&status).expect("JSON")["sources"][0]["skipped"].clone()
    };
    gateway.boot();
    assert_eq!(skipped(&gateway), serde_json::json!(["header Acme-Mate is not compared: `mate` is not set"]));
    assert_eq!(gateway.ring(&rung(SECRET, "n-1", b"{}")).status, 202);
    assert!(gateway.terminate().success());

    gateway.rewrite(&gateway.configuration().replace(&format!("word: {WORD}"), &format!("word: {WORD}, mate: bosun")));
    gateway.boot();
    assert_eq!(skipped(&gateway), serde_json::json!([]));
    assert_eq!(gateway.ring(&rung(SECRET, "n-2", b"{}")).status, 401, "now it is looked at");
}

#[test]
fn a_file_of_ones_own_is_checked_with_the_configuration() {
    const REST: &str = "targets: { app: { url: \"http://127.0.0.1:9/\" } }\nroutes: [{ to: app }]\n";
    let check = |file: &str| {
        let output = gateway(file, REST).command(&["check", "-c", "hookgate.yaml"]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = check(ACME);
    assert!(code == Some(0) && said.contains("warning: `acme` is unproved: its file has no `vectors`"), "{said}");
    let (code, said) = check(&ACME.replace("encoding: hex", "encoding: hexx"));
    assert!(code == Some(1) && said.contains("acme.yaml:10:") && said.contains("did you mean `hex`?"), "{said}");
    let (code, said) = check(&proved(SECRET));
    assert!(code == Some(0) && !said.contains("unproved"), "{said}");
    let (code, said) = check(&proved("another"));
    assert!(code == Some(1) && said.contains("the vector `one` of `acme` does not come out: it is rejected: bad_signature"), "{said}");

    let twice = gateway(ACME, REST);
    fs::write(twice.folder().join("providers/github.yaml"), ACME.replace("provider: acme", "provider: github")).expect("written");
    let output = twice.command(&["check", "-c", "hookgate.yaml"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("there is a provider `github` already"), "{said}");
    let nowhere = Gateway::written(&format!("providers_dir: \"@DIR@/nowhere\"\nsources: {{}}\n{REST}"));
    let output = nowhere.command(&["check", "-c", "hookgate.yaml"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("a directory that is not there"), "{said}");
}

#[test]
fn a_file_of_ones_own_is_listed_shown_and_tested_like_the_others() {
    let gateway = gateway(&proved(SECRET), "");
    // Who writes a provider file has no secret yet.
    let unset = "providers_dir: providers\nsources: { bell: { provider: acme, secret: \"${NOT_SET}\" } }\n";
    fs::write(gateway.folder().join("unset.yaml"), unset).expect("written");
    let asked = |arguments: &[&str]| asked(&gateway, arguments);
    assert_eq!(asked(&["check", "-c", "unset.yaml"]).0, Some(1), "it does not start like this");
    let embedded = asked(&["providers", "test"]).1;
    let all: serde_json::Value = serde_json::from_str(&asked(&["providers", "test", "--json"]).1).expect("JSON");
    let first = &all[0];
    assert!(first["vectors"]["accepted"].as_u64() > Some(0) && first["problems"] == serde_json::json!([]), "{first}");
    for file in ["hookgate.yaml", "unset.yaml"] {
        let (code, out, err) = asked(&["providers", "test", "-c", file]);
        assert_eq!((code, &*err, out.strip_prefix(&embedded)), (Some(0), "", Some("acme: 1 accepted, 2 rejected\n")), "{out}");
        let (code, out, _) = asked(&["providers", "-c", file]);
        assert!(code == Some(0) && out.lines().any(|line| line.split_whitespace().eq(["acme", "hmac-sha256", "low", "Acme"])), "{out}");
        let (code, out, _) = asked(&["providers", "acme", "-c", file]);
        assert!(code == Some(0) && out.starts_with("Acme (acme)\n"), "{out}");
    }
    let (code, out, _) = asked(&["providers", "--json", "--config", "unset.yaml", "acme"]);
    assert!(code == Some(0) && out.contains(r#""name": "acme""#), "{out}");
    let (code, _, err) = asked(&["providers", "acme"]);
    assert!(code == Some(2) && err.contains("there is no provider `acme`"), "nobody said where it is: {err}");

    fs::write(gateway.folder().join("captured.http"), rung(SECRET, "n-1", b"{}").bytes()).expect("written");
    let verify =
        |more: &[&str]| asked(&[&["verify", "acme", "--secret", SECRET, "--credential", "word=w"], more, &["captured.http"]].concat());
    let (code, out, err) = verify(&["-c", "unset.yaml"]);
    assert!(code == Some(0) && out.starts_with("accepted: acme (signed)\nevent id: n-1\n"), "{out}{err}");
    assert_eq!(verify(&[]).0, Some(2));
}

#[test]
fn what_is_wrong_with_a_file_of_ones_own_is_said_by_every_command() {
    let broken = gateway(&ACME.replace("encoding: hex", "encoding: hexx"), "");
    let place = "acme.yaml:10:";
    let (code, out, _) = asked(&broken, &["providers", "test", "-c", "hookgate.yaml"]);
    let failed: Vec<&str> = out.lines().filter(|line| line.contains("FAILED")).collect();
    assert!(code == Some(1) && failed.len() == 1 && failed[0].contains(place) && failed[0].contains("did you mean `hex`?"), "{out}");
    let (code, out, err) = asked(&broken, &["providers", "-c", "hookgate.yaml"]);
    assert!(code == Some(78) && out.contains("\ngithub ") && !out.contains("acme") && err.contains(place), "{out}{err}");
    for arguments in [&["providers", "acme"][..], &["verify", "acme", "--secret", "x", "captured.http"], &["send", "bell"]] {
        let (code, out, err) = asked(&broken, &[arguments, &["-c", "hookgate.yaml"]].concat());
        assert!(code == Some(78) && out.is_empty() && err.contains(place), "{arguments:?}: {out}{err}");
    }

    let unlike = gateway(&proved("another"), "");
    let (code, out, _) = asked(&unlike, &["providers", "test", "-c", "hookgate.yaml"]);
    assert!(code == Some(1) && out.ends_with("  FAILED acme: `one`: it is rejected: bad_signature\n"), "{out}");
    let few = gateway(ACME, "");
    let (code, out, _) = asked(&few, &["providers", "test", "-c", "hookgate.yaml"]);
    assert!(code == Some(1) && out.ends_with("  FAILED acme: has fewer than 1 accepted and 2 rejected vectors\n"), "{out}");

    let nowhere = Gateway::written("providers_dir: \"${NOT_SET}/providers\"\n");
    for arguments in [&["providers"][..], &["providers", "test"], &["verify", "github", "--secret", "x", "captured.http"]] {
        let (code, out, err) = asked(&nowhere, &[arguments, &["-c", "hookgate.yaml"]].concat());
        assert!(code == Some(78) && out.is_empty() && err.contains("hookgate.yaml:1:16: ") && err.contains("NOT_SET"), "{out}{err}");
        let (code, _, err) = asked(&nowhere, &[arguments, &["-c", "elsewhere.yaml"]].concat());
        assert!(code == Some(78) && err.contains("elsewhere.yaml"), "{err}");
    }
}

#[test]
fn a_first_configuration_can_be_of_a_file_of_ones_own() {
    let gateway = gateway(&proved(SECRET), "");
    let folder = gateway.folder().join("new");
    fs::create_dir(&folder).expect("made");
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(crate::support::gateway::binary());
        command.args(arguments).current_dir(&folder).env("ACME_WEBHOOK_SECRET", SECRET).env("ACME_WORD", WORD);
        let output = command.output().expect("the binary starts");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, said) = run(&["init", "--provider", "acme", "--providers-dir", "nowhere"]);
    assert!(code == Some(78) && said.contains("a directory that is not there: nowhere"), "{said}");
    let (code, said) = run(&["init", "--provider", "acem", "--providers-dir", "../providers"]);
    assert!(code == Some(2) && said.contains("did you mean `acme`?"), "{said}");
    let (code, said) = run(&["init", "--provider", "acme", "--providers-dir", "../providers"]);
    assert!(code == Some(0) && said.contains("/hooks/acme"), "{said}");
    let (code, said) = run(&["check", "--strict"]);
    assert_eq!(code, Some(0), "it runs as it is: {said}");
}
