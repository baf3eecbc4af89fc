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
    let vector = |signature: &str| {
        format!(
            "{ACME}vectors:\n  - name: one\n    source: computed\n    at: 0\n    credentials: {{ secret: {SECRET}, word: w }}\n    \
             headers: {{ Acme-Number: n, Acme-Seal: \"{signature}\" }}\n    body: '{{}}'\n"
        )
    };
    let (code, said) = check(&vector(&seal(SECRET, "n", b"{}")));
    assert!(code == Some(0) && !said.contains("unproved"), "{said}");
    let (code, said) = check(&vector(&seal("another", "n", b"{}")));
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
