//! A provider that is written in the source which uses it: it is rung, checked, shown and sent like one of a file.

use std::fs;

use crate::support::{
    gateway::Gateway,
    recorder::Recorder,
    sender::hmac_sha256,
    wire::{Connection, Ring},
};

const SECRET: &str = "canary-legacy-0123456789abcdef";
/// Signs time and body under headers of its own; the time is `$` and a value, as no variable is written.
const SOURCE: &str = r#"
sources:
  legacy:
    secret: "${LEGACY_SECRET}"
    credentials: { word: sesame-0123456789 }
    verify:
      scheme: hmac-sha256
      signature: { at: header:X-Seal, encoding: hex }
      message: "${header:X-Time}.{body}"
      event: { id: "{json:/id}", type: "legacy.{json:/kind}" }
      handshakes:
        - name: knock
          when: { method: GET, query:knock: true }
          after: none
          guard: { query:word: "{credential:word}" }
          reply: { text: "{query:knock}" }
      replies: { accepted: { status: 202 } }
      limits: { body: 64B }
      timestamp: { at: header:X-Time, unit: s, tolerance: none }
"#;

fn rung(secret: &str, id: &str) -> Ring {
    let body = format!(r#"{{"id":"{id}","kind":"rang"}}"#).into_bytes();
    let seal = hex::encode(hmac_sha256(secret.as_bytes(), &[b"$7.", &body[..]].concat()));
    let headers = [("Content-Type", "application/json"), ("X-Time", "7"), ("X-Seal", &seal)];
    Ring::post("/hooks/legacy", headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(), &body)
}

fn gateway(rest: &str) -> Gateway {
    Gateway::written(&format!("{SOURCE}{rest}")).with_variable("LEGACY_SECRET", SECRET)
}

#[test]
fn a_source_says_itself_what_its_provider_is() {
    let target = Recorder::start();
    let mut gateway = gateway(&format!("targets: {{ app: {{ url: \"{}\" }} }}\nroutes: [{{ to: app }}]\n", target.url()));
    gateway.boot();

    let answer = gateway.ring(&rung(SECRET, "n-1"));
    assert_eq!((answer.status, answer.header("hookgate-result")), (202, Some("accepted")));
    assert_eq!(gateway.ring(&rung(SECRET, "n-1")).header("hookgate-result"), Some("duplicate"));
    assert_eq!(gateway.ring(&rung("another-secret-0123456789", "n-2")).status, 401);
    assert_eq!(gateway.ring(&rung(SECRET, &"n".repeat(64))).status, 413, "the limit of its own");
    let received = &target.wait_for(1)[0];
    assert_eq!((received.header("hookgate-provider"), received.header("hookgate-source")), ("inline", "legacy"));
    assert_eq!((received.header("hookgate-provider-event-id"), received.header("hookgate-event-type")), ("n-1", "legacy.rang"));

    let get = |path: &str| {
        let ring = Ring { method: "GET".to_owned(), ..Ring::post(path, Vec::new(), b"") };
        Connection::plain(gateway.door()).and_then(|mut connection| connection.exchange(&ring)).expect("an answer")
    };
    let answer = get("/hooks/legacy?knock=k-7&word=sesame-0123456789");
    assert_eq!((answer.status, answer.text()), (200, "k-7".to_owned()));
    assert_eq!(get("/hooks/legacy?knock=k-7&word=guessed").status, 401);
    let metrics = gateway.metrics();
    assert_eq!(metrics.count("source_info", &[("source", "legacy"), ("provider", "inline"), ("verification", "unproved")]), 1);
    assert_eq!(metrics.count("handshakes_total", &[("source", "legacy"), ("handshake", "knock"), ("result", "answered")]), 1);
    let status: serde_json::Value = serde_json::from_slice(&gateway.look("/api/v1/status").expect("status").body).expect("JSON");
    assert_eq!((&status["sources"][0]["provider"], &status["sources"][0]["verification"]), (&"inline".into(), &"unproved".into()));

    let sent = gateway.command(&["send", "legacy", "-c", "hookgate.yaml"]);
    let said = String::from_utf8_lossy(&sent.stderr);
    assert!(sent.status.code() == Some(2) && said.contains("legacy: ") && said.contains("--data FILE"), "{said}");
    let sent = gateway.command(&["send", "legacy", "-c", "hookgate.yaml", "--data", "event.json"]);
    assert_eq!(sent.status.code(), Some(2), "there is no such file");
    fs::write(gateway.folder().join("event.json"), r#"{"id":"sent","kind":"x"}"#).expect("written");
    let sent = gateway.command(&["send", "legacy", "-c", "hookgate.yaml", "--data", "event.json"]);
    assert_eq!(sent.status.code(), Some(0), "{}", String::from_utf8_lossy(&sent.stderr));
    assert_eq!(target.wait_for(2)[1].header("hookgate-provider-event-id"), "sent");
}

#[test]
fn every_command_knows_it() {
    let gateway = gateway("targets: { app: { url: \"http://127.0.0.1:9/\" } }\nroutes: [{ to: app }]\n");
    let asked = |arguments: &[&str]| {
        let output = gateway.command(&[arguments, &["-c", "hookgate.yaml"]].concat());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, _, err) = asked(&["check"]);
    assert!(code == Some(0) && err.contains("hookgate.yaml:7:7: warning: the `verify` of `legacy` is unproved"), "{err}");
    assert_eq!(asked(&["check", "--strict"]).0, Some(1), "a warning is enough");
    let (code, out, _) = asked(&["check", "--print"]);
    assert!(code == Some(0) && out.contains("message: \"${header:X-Time}.{body}\"") && !out.contains(SECRET), "{out}");

    let (code, out, _) = asked(&["providers"]);
    let row = ["inline", "hmac-sha256", "low", "`verify`", "of", "the", "source", "legacy"];
    assert!(code == Some(0) && out.lines().any(|line| line.split_whitespace().eq(row)), "{out}");
    let (code, out, _) = asked(&["providers", "legacy"]);
    assert!(code == Some(0) && out.contains("event id    {json:/id}, signed\n") && out.contains("handshakes  knock\n"), "{out}");
    for name in ["secret", "word"] {
        assert!(out.lines().any(|line| line.trim_start().starts_with(&format!("{name}  "))), "what it names is what it needs: {out}");
    }
    assert_eq!(asked(&["providers", "test"]).0, Some(0), "it is no file, and has nothing to test");

    fs::write(gateway.folder().join("captured.http"), rung(SECRET, "n-4").bytes()).expect("written");
    let (code, out, err) = asked(&["verify", "--source", "legacy", "--json", "captured.http"]);
    assert!(code == Some(0) && out.contains(r#""provider":"inline","event_id":"n-4","event_type":"legacy.rang""#), "{out}{err}");
    fs::write(gateway.folder().join("captured.http"), rung("another", "n-4").bytes()).expect("written");
    assert_eq!(asked(&["verify", "--source", "legacy", "captured.http"]).0, Some(1));
}

#[test]
fn what_is_wrong_in_it_is_told_with_its_place() {
    let gateway = Gateway::written(&SOURCE.replace("{json:/kind}", "{josn:/kind}").replace("after: none", "aftr: none"));
    let output = gateway.with_variable("LEGACY_SECRET", SECRET).command(&["check", "-c", "hookgate.yaml"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for place in ["hookgate.yaml:10:40: ", "hookgate.yaml:14:11: "] {
        assert!(said.contains(place), "{said}");
    }
}
