//! `allow_methods`: events that come with another method than POST, and what becomes of one that is sent again with a third.

use std::fs;

use crate::support::{
    gateway::Gateway,
    recorder::Recorder,
    sender::hmac_sha256,
    wire::{Answer, Connection, Ring},
};

const SECRET: &str = "canary-methods-0123456789abcdef";
/// One source signs the method and its query, which names the event; the other signs its body and nothing else.
const SOURCES: &str = r#"
sources:
  form:
    secret: canary-methods-0123456789abcdef
    allow_methods: [GET, HEAD, PUT]
    verify:
      scheme: hmac-sha256
      signature: { at: header:X-Seal, encoding: hex }
      message: "{method} {query}"
      event: { id: "{query:n}" }
      handshakes:
        - { name: knock, when: { method: [GET, OPTIONS], query:knock: true }, after: none, reply: { text: "{query:knock}" } }
  body:
    secret: canary-methods-0123456789abcde2
    allow_methods: [PATCH, DELETE]
    verify: { scheme: hmac-sha256, signature: { at: header:X-Seal, encoding: hex }, message: "{body}" }
"#;

fn seal(secret: &str, message: &[u8]) -> String {
    hex::encode(hmac_sha256(secret.as_bytes(), message))
}

/// A request whose method and query are signed, as `signed` says the method.
fn asked(method: &str, signed: &str, query: &str, body: &[u8]) -> Ring {
    let sealed = seal(SECRET, format!("{signed} {query}").as_bytes());
    Ring { method: method.to_owned(), ..Ring::post(&format!("/hooks/form?{query}"), vec![("X-Seal".to_owned(), sealed)], body) }
}

fn sent(method: &str, body: &[u8]) -> Ring {
    let sealed = seal("canary-methods-0123456789abcde2", body);
    Ring { method: method.to_owned(), ..Ring::post("/hooks/body", vec![("X-Seal".to_owned(), sealed)], body) }
}

fn ring(gateway: &Gateway, ring: &Ring) -> Answer {
    Connection::plain(gateway.door()).and_then(|mut connection| connection.exchange(ring)).expect("an answer")
}

#[test]
fn an_event_may_come_with_the_methods_that_are_allowed() {
    let target = Recorder::start();
    let mut gateway = Gateway::written(&format!(
        "{SOURCES}targets: {{ app: {{ url: \"{}\", concurrency: 1 }} }}\nroutes: [{{ to: app }}]\n",
        target.url()
    ));
    gateway.boot();
    let result = |answer: &Answer| (answer.status, answer.result().map(str::to_owned));
    let told = |status: u16, result: &str| (status, Some(result.to_owned()));

    assert_eq!(result(&ring(&gateway, &asked("GET", "GET", "n=1", b""))), told(200, "accepted"));
    assert_eq!(result(&ring(&gateway, &asked("HEAD", "HEAD", "n=2", b""))), told(200, "accepted"));
    assert_eq!(result(&ring(&gateway, &asked("PUT", "PUT", "n=3", b"{}"))), told(200, "accepted"));
    assert_eq!(result(&ring(&gateway, &asked("POST", "POST", "n=4", b"{}"))), told(200, "accepted"));
    assert_eq!(ring(&gateway, &asked("PUT", "GET", "n=5", b"")).status, 401, "the method is signed");
    assert_eq!(result(&ring(&gateway, &asked("PUT", "PUT", "n=1", b""))), told(200, "duplicate"), "its id says which event it is");

    let answer = ring(&gateway, &asked("DELETE", "DELETE", "n=6", b""));
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, GET, HEAD, PUT, OPTIONS")));
    let answer = ring(&gateway, &asked("GET", "", "knock=k", b""));
    assert_eq!((answer.status, answer.text()), (200, "k".to_owned()), "a handshake stays one");
    assert_eq!(ring(&gateway, &asked("OPTIONS", "OPTIONS", "n=7", b"")).status, 405, "a handshake's method is no event's");

    assert_eq!(result(&ring(&gateway, &sent("PATCH", b"{\"a\":1}"))), told(200, "accepted"));
    for method in ["POST", "DELETE", "PATCH"] {
        assert_eq!(result(&ring(&gateway, &sent(method, b"{\"a\":1}"))), told(200, "duplicate"), "{method}");
    }
    let answer = ring(&gateway, &sent("PUT", b"{\"a\":2}"));
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, PATCH, DELETE")));

    let received = target.wait_for(5);
    gateway.wait_until_drained();
    assert_eq!(target.count(), 5, "one delivery for each event");
    assert!(received.iter().all(|one| one.method == "POST"), "a target is asked as it says");
    let mut bodies: Vec<&[u8]> = received.iter().map(|one| one.body.as_slice()).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, [&b""[..], b"", b"{\"a\":1}", b"{}", b"{}"]);
    let metrics = gateway.metrics();
    assert_eq!(metrics.count("rejected_total", &[("source", "form"), ("reason", "method")]), 2);
    assert_eq!(metrics.count("rejected_total", &[("source", "body"), ("reason", "method")]), 1);
}

#[test]
fn every_command_knows_which_they_are() {
    let gateway = Gateway::written(&format!("{SOURCES}targets: {{ app: {{ url: \"http://127.0.0.1:9/\" }} }}\nroutes: [{{ to: app }}]\n"));
    let verify = |ring: &Ring| {
        fs::write(gateway.folder().join("captured.http"), ring.bytes()).expect("written");
        let output = gateway.command(&["verify", "--source", "form", "-c", "hookgate.yaml", "--json", "captured.http"]);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, out) = verify(&asked("PUT", "PUT", "n=1", b"{}"));
    assert!(code == Some(0) && out.contains(r#""event_id":"1""#), "{out}");
    let (code, out) = verify(&asked("DELETE", "DELETE", "n=1", b""));
    assert!(code == Some(1) && out.contains(r#""reason":"method""#), "{out}");
    let output = gateway.command(&["check", "-c", "hookgate.yaml"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let warned: Vec<&str> = said.lines().filter(|line| line.contains("DELETE")).collect();
    let place = "hookgate.yaml:15:28: warning: a DELETE has usually no body, which is all that tells its events apart";
    assert!(warned.len() == 1 && warned[0].starts_with(place), "{said}");
    assert!(!said.contains("a GET"), "what has an id is told apart by it: {said}");
}
