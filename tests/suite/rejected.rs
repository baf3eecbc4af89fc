//! The rejected ring from outside: what is kept of a request that was not proved, that no secret is, and the way in once the secret is
//! right.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::Value;

use crate::{
    secrecy::{assert_clean, every_file},
    support::{
        gateway::{ADMIN_TOKEN, Gateway},
        patience::wait_until,
        recorder::Recorder,
        sender::{SECRET, github, standard_webhooks, stripe},
        wire::{Answer, Connection, Ring},
    },
};

const BODY: &[u8] = b"{\"ref\":\"refs/heads/main\",  \"odd\":\"\xc3\xa9\xff\"}\n";
const WRONG: &str = "the-wrong-secret-for-the-tests-000000";

/// A gateway whose source's secret stands in a file, so that it can be put right.
fn with_secret(target: &Recorder, secret: &str, source: &str) -> Gateway {
    let gateway = Gateway::written(&format!(
        r#"
sources:
  hub: {{ {source}, secret: "${{file:@DIR@/secret}}" }}
targets:
  app: {{ url: "{}" }}
routes:
  - {{ to: app }}
"#,
        target.url()
    ));
    write(&gateway, "secret", secret);
    gateway
}

fn write(gateway: &Gateway, file: &str, text: &str) {
    fs::write(gateway.folder().join(file), text).expect("written");
}

fn ask(gateway: &Gateway, method: &str, path: &str, token: &str) -> Answer {
    let mut ring = Ring::post(path, vec![("Authorization".into(), format!("Bearer {token}"))], b"");
    method.clone_into(&mut ring.method);
    Connection::plain(gateway.admin()).and_then(|mut connection| connection.exchange(&ring)).expect("an answer")
}

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

/// Waits until so many are listed, newest first.
fn listed(gateway: &Gateway, count: usize) -> Vec<Value> {
    let mut items = Vec::new();
    wait_until("they were kept", || {
        items = json(&gateway.look("/api/v1/rejected?limit=500").expect("a list"))["items"].as_array().cloned().unwrap_or_default();
        items.len() >= count
    });
    assert_eq!(items.len(), count, "{items:?}");
    items
}

fn id(item: &Value) -> &str {
    item["id"].as_str().expect("an id")
}

fn admit(gateway: &Gateway, id: &str) -> Answer {
    ask(gateway, "POST", &format!("/api/v1/rejected/{id}/admit"), ADMIN_TOKEN)
}

/// Runs a command that asks this gateway; its exit code and all it said.
fn command(gateway: &Gateway, arguments: &[&str]) -> (Option<i32>, String) {
    let output = gateway.command(&[arguments, &["-c", "hookgate.yaml", "--token", ADMIN_TOKEN]].concat());
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn what_a_wrong_secret_rejected_is_admitted_once_when_it_is_right() {
    let target = Recorder::start();
    let mut gateway = with_secret(&target, WRONG, "provider: github");
    gateway.boot();
    assert_eq!(gateway.ring(&github("/hooks/hub?tenant=7", SECRET, "d-1", BODY)).status, 401);
    let item = listed(&gateway, 1).remove(0);
    for (key, value) in [("source", "hub"), ("provider", "github"), ("reason", "bad_signature"), ("path", "/hooks/hub"), ("method", "POST")]
    {
        assert_eq!(item[key], value, "{item}");
    }
    assert_eq!((&item["body_bytes"], &item["admitted"]), (&BODY.len().into(), &Value::Null), "{item}");
    let refused = admit(&gateway, id(&item));
    assert_eq!((refused.status, json(&refused)["reason"].as_str()), (409, Some("bad_signature")), "{}", refused.text());
    let (code, said) = command(&gateway, &["verify", "--rejected", id(&item)]);
    assert!(code == Some(1) && said.contains("bad_signature"), "{said}");
    assert_eq!(target.count(), 0);

    assert!(gateway.terminate().success());
    write(&gateway, "secret", SECRET);
    gateway.boot();
    assert_eq!(listed(&gateway, 1)[0], item, "a restart changes nothing");
    let (code, said) = command(&gateway, &["verify", "--rejected", id(&item)]);
    assert!(code == Some(0) && said.contains("accepted: github"), "{said}");
    let taken = admit(&gateway, id(&item));
    assert_eq!((taken.status, json(&taken)["result"].as_str()), (200, Some("accepted")), "{}", taken.text());
    let event = json(&taken)["event_id"].as_str().expect("an event").to_owned();
    let received = &target.wait_for(1)[0];
    assert_eq!((received.body.as_slice(), received.header("hookgate-event-id")), (BODY, event.as_str()));
    assert_eq!(
        received.header("hookgate-received-at"),
        item["received_at"].as_str().expect("a time"),
        "when it came, not when it was let in"
    );
    assert_eq!(received.header("hookgate-verified"), "true");

    let again = json(&admit(&gateway, id(&item)));
    assert_eq!((again["result"].as_str(), again["event_id"].as_str()), (Some("duplicate"), Some(event.as_str())));
    assert_eq!(listed(&gateway, 1)[0]["admitted"].as_str(), Some(event.as_str()));
    let repeat = gateway.ring(&github("/hooks/hub", SECRET, "d-1", BODY));
    assert_eq!((repeat.result(), repeat.event_id()), (Some("duplicate"), Some(event.as_str())), "the provider's own next try is known");
    gateway.wait_until_drained();
    assert_eq!(target.count(), 1, "delivered once");
}

#[test]
fn an_event_that_came_by_itself_meanwhile_is_not_taken_twice() {
    let target = Recorder::start();
    let mut gateway = with_secret(&target, WRONG, "provider: standard-webhooks");
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    write(&gateway, "secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx");
    gateway.boot();
    let ring = standard_webhooks("/hooks/hub", secret, "msg_1", 0, b"{\"type\":\"a\"}");
    assert_eq!(gateway.ring(&ring).status, 401);
    let item = listed(&gateway, 1).remove(0);
    assert!(gateway.terminate().success());
    write(&gateway, "secret", secret);
    gateway.boot();
    let event = gateway.ring(&ring).event_id().expect("the provider tried again").to_owned();
    let (code, said) = command(&gateway, &["rejected", "admit", id(&item)]);
    assert!(code == Some(0) && said.contains(&format!("{}: duplicate as {event}", id(&item))), "{said}");
    gateway.wait_until_drained();
    assert_eq!(target.count(), 1);
}

#[test]
fn time_is_judged_as_of_when_it_came() {
    let target = Recorder::start();
    let mut gateway = with_secret(&target, SECRET, "provider: stripe, tolerance: \"${file:@DIR@/tolerance}\"");
    write(&gateway, "tolerance", "5m");
    gateway.boot();
    let event = |name: &str| format!("{{\"id\":\"{name}\",\"type\":\"invoice.paid\"}}").into_bytes();
    assert_eq!(gateway.ring(&stripe("/hooks/hub", SECRET, 900, &event("evt_late"))).status, 401);
    assert_eq!(gateway.ring(&stripe("/hooks/hub", SECRET, 9000, &event("evt_later"))).status, 401);
    assert_eq!(gateway.ring(&stripe("/hooks/hub", WRONG, 900, &event("evt_forged"))).status, 401);
    let items = listed(&gateway, 3);
    let reasons: Vec<_> = items.iter().map(|item| item["reason"].as_str().expect("a reason")).collect();
    assert_eq!(reasons, ["bad_signature", "stale", "stale"], "that it is late is said of what is genuine");
    assert!(items.iter().all(|item| item["body_bytes"].is_u64()), "{items:?}");
    assert_eq!(admit(&gateway, id(&items[2])).status, 409);
    assert!(gateway.terminate().success());
    write(&gateway, "tolerance", "20m");
    gateway.boot();
    assert_eq!(json(&admit(&gateway, id(&items[2])))["result"], "accepted");
    assert_eq!(json(&admit(&gateway, id(&items[1])))["reason"], "stale");
    assert_eq!(json(&admit(&gateway, id(&items[0])))["reason"], "bad_signature");
    gateway.wait_until_drained();
    assert_eq!(target.count(), 1);
}

#[test]
fn a_flood_is_a_sample_and_honest_events_pass_it_by() {
    let target = Recorder::start();
    let mut gateway = Gateway::written(&format!(
        r#"
log: {{ requests: none }}
sources:
  flooded: {{ provider: github, secret: "{SECRET}" }}
  quiet: {{ provider: github, secret: "{SECRET}" }}
targets:
  app: {{ url: "{}" }}
routes:
  - {{ to: app }}
"#,
        target.url()
    ));
    gateway.boot();
    assert_eq!(gateway.ring(&github("/hooks/quiet", WRONG, "q-1", BODY)).status, 401);
    let mut connection = None;
    for number in 0..10_000_usize {
        let body = vec![b'x'; if number % 10 == 0 { 60_000 } else { 500 }];
        let forged = github("/hooks/flooded", WRONG, &format!("f-{number}"), &body);
        let open = connection.take().unwrap_or_else(|| Connection::plain(gateway.door()).expect("a connection"));
        let mut open: Connection = open;
        let answer = open.exchange(&forged).expect("an answer");
        assert_eq!(answer.status, 401);
        // A connection carries a thousand requests, and is then closed by the gateway.
        connection = (answer.header("connection") != Some("close")).then_some(open);
        if number % 500 == 0 {
            let honest = gateway.ring(&github("/hooks/flooded", SECRET, &format!("h-{number}"), BODY));
            assert_eq!((honest.status, honest.result()), (200, Some("accepted")));
        }
    }
    gateway.wait_until_drained();
    assert_eq!(target.count(), 20, "every honest event arrived");
    let made_of = |result: &str| gateway.metrics().count("rejected_ring_total", &[("result", result)]);
    let all = || ["kept", "sampled", "no_room", "failed"].map(made_of);
    wait_until("each was kept or counted", || all().iter().sum::<u64>() == 10_001);
    let [kept, sampled, _, failed] = all();
    assert!(kept >= 100 && sampled >= 1 && failed == 0, "{:?}", all());
    let quiet = json(&gateway.look("/api/v1/rejected?source=quiet").expect("a list"));
    assert_eq!(quiet["items"].as_array().map(Vec::len), Some(1), "another source's request is still there");
    let status = json(&gateway.look("/api/v1/status").expect("status"));
    assert!(status["rejected"]["bytes"].as_u64() <= status["rejected"]["max_bytes"].as_u64(), "{}", status["rejected"]);
    let files = ["rejected.db", "rejected.db-wal"].map(|file| fs::metadata(gateway.data_dir().join(file)).map_or(0, |file| file.len()));
    assert!(files.iter().sum::<u64>() < 96 << 20, "{files:?}");
}

const TOKEN: &str = "canary-token-5be0cd19137e217900ff";
const OTHER_TOKEN: &str = "canary-other-token-1f83d9abfb41bd";
const URL_TOKEN: &str = "canary-url-token-a54ff53a5f1d36f1";
const COOKIE: &str = "canary-cookie-2718281828459045235";
const BEARER: &str = "canary-bearer-3141592653589793238";

#[test]
fn no_secret_goes_into_the_ring() {
    let target = Recorder::start();
    let mut gateway = Gateway::written(&format!(
        r#"
log: {{ level: trace, requests: all }}
sources:
  lab: {{ provider: gitlab, secret: "{TOKEN}" }}
  hub: {{ provider: github, secret: "{SECRET}", url_token: "{URL_TOKEN}" }}
  teams: {{ provider: ms-teams, secret: "c2VjcmV0LW9mLXRoZS10ZXN0cy0wMTIzNDU2Nzg5" }}
targets:
  app: {{ url: "{}" }}
routes:
  - {{ to: app }}
"#,
        target.url()
    ));
    gateway.boot();
    let lab = Ring::post("/hooks/lab", vec![("X-Gitlab-Event".into(), "Push Hook".into())], b"{\"object_kind\":\"push\"}");
    assert_eq!(gateway.ring(&lab.with("X-Gitlab-Token", OTHER_TOKEN)).status, 401);
    let hub = github(&format!("/hooks/hub/{URL_TOKEN}?tenant=7"), WRONG, "d-1", BODY)
        .with("X-Original-Url", &format!("https://hooks.example.com/hooks/hub/{URL_TOKEN}"))
        .with("Cookie", &format!("session={COOKIE}"))
        .with("Authorization", &format!("Bearer {BEARER}"))
        .with("X-Gitlab-Token", OTHER_TOKEN);
    assert_eq!(gateway.ring(&hub).status, 401);
    let teams =
        Ring::post("/hooks/teams", vec![("Authorization".into(), "HMAC AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".into())], BODY);
    assert_eq!(gateway.ring(&teams).status, 401);
    assert_eq!(gateway.ring(&Ring::post("/hooks/hub", Vec::new(), BODY)).status, 404, "without its token nobody rang");

    let items = listed(&gateway, 3);
    assert_eq!((&items[1]["path"], &items[2]["body_bytes"]), (&"/hooks/hub".into(), &Value::Null), "{items:?}");
    let secrets = [TOKEN, OTHER_TOKEN, URL_TOKEN, COOKIE, BEARER];
    let mut seen = Vec::new();
    for item in &items {
        for part in ["", "/request"] {
            let answer = gateway.look(&format!("/api/v1/rejected/{}{part}", id(item))).expect("shown");
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_clean("what is shown", &answer.body, &secrets);
            seen.push(answer.text());
        }
    }
    assert!(seen[0].contains("HMAC AAAA"), "a signature is no secret, wherever it stands: {}", seen[0]);
    assert!(
        seen[3].starts_with("POST /hooks/hub?tenant=7 HTTP/1.1\r\n") && seen[3].to_lowercase().contains("x-hub-signature-256: sha256="),
        "{}",
        seen[3]
    );
    let names = ["cookie: <removed>", "authorization: <removed>", "x-original-url: <removed>", "x-gitlab-token: <removed>"];
    assert!(names.iter().all(|name| seen[3].to_lowercase().contains(name)), "{}", seen[3]);
    let list = gateway.look("/api/v1/rejected").expect("a list").text();
    assert!(
        !list.contains("tenant") && !list.contains("sha256=") && !list.contains("refs/heads"),
        "a list shows nothing of what was sent: {list}"
    );
    let refused = json(&admit(&gateway, id(&items[2])));
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("before its body was read")), "{refused}");

    let file = gateway.data_dir().join("rejected.db");
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    gateway.kill();
    assert_clean("the log", gateway.log().as_bytes(), &secrets);
    let mut files = 0;
    every_file(&gateway.data_dir(), &mut |path, content| {
        files += 1;
        assert_clean(&path.to_string_lossy(), content, &secrets);
    });
    assert!(files > 0);
}

#[test]
fn who_may_look_may_not_admit() {
    let target = Recorder::start();
    let mut gateway = Gateway::written(&format!(
        r#"
admin:
  listen: "127.0.0.1:@ADMIN@"
  tokens:
    - {{ name: tests, role: admin, token: {ADMIN_TOKEN} }}
    - {{ name: eye, role: read, token: look-0123456789abcdef }}
    - {{ name: ops, role: operate, token: act-0123456789abcdef }}
sources:
  hub: {{ provider: github, secret: "{SECRET}" }}
targets:
  app: {{ url: "{}" }}
routes:
  - {{ to: app }}
"#,
        target.url()
    ));
    gateway.boot();
    gateway.ring(&github("/hooks/hub", WRONG, "d-1", BODY));
    let item = listed(&gateway, 1).remove(0);
    let path = format!("/api/v1/rejected/{}", id(&item));
    let (eye, ops) = ("look-0123456789abcdef", "act-0123456789abcdef");
    for (method, path, token, status) in [
        ("GET", "/api/v1/rejected", "nobody", 401),
        ("GET", "/api/v1/rejected", eye, 200),
        ("GET", &path, eye, 200),
        ("GET", &format!("{path}/request"), eye, 403),
        ("POST", &format!("{path}/admit"), eye, 403),
        ("GET", &format!("{path}/request"), ops, 200),
        ("POST", &format!("{path}/admit"), ops, 409),
        ("GET", &format!("{path}/admit"), ops, 405),
        ("POST", "/api/v1/rejected", ops, 405),
        ("GET", "/api/v1/rejected?state=dead", ops, 400),
        ("GET", "/api/v1/rejected/1", ops, 400),
        ("GET", "/api/v1/rejected/rej_0000000000001", ops, 404),
    ] {
        let answer = ask(&gateway, method, path, token);
        assert_eq!(answer.status, status, "{method} {path} with {token}: {}", answer.text());
        if status >= 400 {
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{method} {path}");
        }
    }
}

#[test]
fn what_was_rejected_for_its_signature_does_not_come_in_behind_a_url_token() {
    const PUSH: &[u8] = br#"{"push_data":{"pushed_at":1760000000,"tag":"1.2"},"repository":{"repo_name":"example/app"}}"#;
    let target = Recorder::start();
    let mut signed = with_secret(&target, WRONG, "provider: github");
    signed.boot();
    signed.ring(&github("/hooks/hub", SECRET, "d-1", PUSH));
    let item = listed(&signed, 1).remove(0);
    assert!(signed.terminate().success());
    let mut unsigned = Gateway::written(&format!(
        r#"
sources:
  hub: {{ provider: docker-hub, url_token: "{URL_TOKEN}" }}
targets:
  app: {{ url: "{}" }}
routes:
  - {{ to: app }}
"#,
        target.url()
    ));
    fs::create_dir(unsigned.data_dir()).expect("made");
    fs::copy(signed.data_dir().join("rejected.db"), unsigned.data_dir().join("rejected.db")).expect("copied");
    unsigned.boot();
    assert_eq!(listed(&unsigned, 1)[0], item);
    let refused = admit(&unsigned, id(&item));
    assert_eq!((refused.status, json(&refused)["reason"].as_str()), (409, Some("url_token")), "{}", refused.text());
    let rung = unsigned.ring(&Ring::post(&format!("/hooks/hub/{URL_TOKEN}"), Vec::new(), PUSH));
    assert_eq!(rung.status, 200, "whoever shows the token is let in");
}

#[test]
fn the_command_line_lists_shows_and_admits() {
    let target = Recorder::start();
    let gateway = Gateway::start(&format!(
        r#"
sources:
  hub: {{ provider: github, secret: "{SECRET}" }}
targets:
  app: {{ url: "{}" }}
routes:
  - {{ to: app }}
"#,
        target.url()
    ));
    gateway.ring(&github("/hooks/hub", WRONG, "d-1", BODY));
    gateway.ring(&Ring::post("/hooks/hub", vec![("X-GitHub-Event".into(), "push".into())], BODY));
    let items = listed(&gateway, 2);
    let (code, said) = command(&gateway, &["rejected", "--source", "hub", "--since", "1h"]);
    assert!(code == Some(0) && items.iter().all(|item| said.contains(id(item))), "{said}");
    assert!(said.contains("missing_signature") && said.contains("bad_signature"), "{said}");
    let (code, said) = command(&gateway, &["rejected", "--limit", "1", "--json"]);
    assert!(code == Some(0) && said.contains(id(&items[0])) && !said.contains(id(&items[1])), "{said}");
    let (code, said) = command(&gateway, &["rejected", id(&items[1])]);
    assert!(code == Some(0) && said.to_lowercase().contains("x-hub-signature-256: sha256="), "{said}");
    assert!(!said.contains("refs/heads"), "the body is not printed unasked: {said}");

    let raw = gateway.command(&["rejected", id(&items[1]), "--raw", "-c", "hookgate.yaml", "--token", ADMIN_TOKEN]);
    fs::write(gateway.folder().join("request"), &raw.stdout).expect("written");
    let verified = gateway.command(&["verify", "github", "--secret", WRONG, "request"]);
    assert_eq!(verified.status.code(), Some(0), "what comes out is the request: {}", String::from_utf8_lossy(&verified.stdout));
    let (code, said) = command(&gateway, &["verify", "--rejected", id(&items[0]), "--json"]);
    assert!(code == Some(1) && said.contains("\"reason\":\"missing_signature\""), "{said}");
    let (code, said) = command(&gateway, &["rejected", "admit", id(&items[0]), id(&items[1])]);
    assert!(code == Some(1) && said.contains("before its body was read") && said.contains("still rejected: bad_signature"), "{said}");
    assert_eq!(command(&gateway, &["rejected", "../status"]).0, Some(2));
    assert_eq!(command(&gateway, &["rejected", "rej_0000000000001"]).0, Some(1));
    assert_eq!(target.count(), 0);
}

#[test]
fn none_keeps_nothing_and_takes_away_what_was_kept() {
    let target = Recorder::start();
    let mut gateway = with_secret(&target, WRONG, "provider: github");
    gateway.boot();
    gateway.ring(&github("/hooks/hub", SECRET, "d-1", BODY));
    listed(&gateway, 1);
    assert!(gateway.terminate().success());
    let mut gateway = gateway.with_variable("HOOKGATE__STORE__RETENTION__REJECTED", "none");
    gateway.boot();
    assert_eq!(gateway.ring(&github("/hooks/hub", SECRET, "d-1", BODY)).status, 401);
    let answer = gateway.look("/api/v1/rejected").expect("an answer");
    assert!(answer.status == 404 && answer.text().contains("`none`"), "{}", answer.text());
    assert_eq!(json(&gateway.look("/api/v1/status").expect("status"))["rejected"], Value::Null);
    for file in ["rejected.db", "rejected.db-wal"] {
        assert!(!gateway.data_dir().join(file).exists(), "{file}");
    }
}
