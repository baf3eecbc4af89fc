//! The rejected ring from outside: what is kept of a request that was not proved, that no secret is, and the way in once the secret is
//! right.

mod shown;

use std::fs;

use serde_json::Value;

use crate::{
    spine::all_to,
    support::{
        gateway::{ADMIN_TOKEN, Gateway},
        patience::wait_until,
        recorder::Recorder,
        sender::{SECRET, github, standard_webhooks, stripe},
        wire::{Answer, Connection, Ring},
    },
};

const BODY: &[u8] = b"{\"ref\":\"refs/heads/main\",  \"odd\":\"\xc3\xa9\xff\"}\n";
const URL_TOKEN: &str = "canary-url-token-a54ff53a5f1d36f1";
const WRONG: &str = "the-wrong-secret-for-the-tests-000000";

/// A gateway whose source's secret stands in a file, so that it can be put right.
fn with_secret(target: &Recorder, secret: &str, source: &str) -> Gateway {
    let sections = format!(
        r#"
sources:
  hub: {{ {source}, secret: "${{file:@DIR@/secret}}" }}
"#
    );
    let gateway = Gateway::written(&all_to(target, &sections));
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
    let sections = format!(
        r#"
log: {{ requests: none }}
sources:
  flooded: {{ provider: github, secret: "{SECRET}" }}
  quiet: {{ provider: github, secret: "{SECRET}" }}
"#
    );
    let mut gateway = Gateway::written(&all_to(&target, &sections));
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

#[test]
fn what_was_rejected_for_its_signature_does_not_come_in_behind_a_url_token() {
    const PUSH: &[u8] = br#"{"push_data":{"pushed_at":1760000000,"tag":"1.2"},"repository":{"repo_name":"example/app"}}"#;
    let target = Recorder::start();
    let mut signed = with_secret(&target, WRONG, "provider: github");
    signed.boot();
    signed.ring(&github("/hooks/hub", SECRET, "d-1", PUSH));
    let item = listed(&signed, 1).remove(0);
    assert!(signed.terminate().success());
    let sections = format!(
        r#"
sources:
  hub: {{ provider: docker-hub, url_token: "{URL_TOKEN}" }}
"#
    );
    let mut unsigned = Gateway::written(&all_to(&target, &sections));
    fs::create_dir(unsigned.data_dir()).expect("made");
    fs::copy(signed.data_dir().join("rejected.db"), unsigned.data_dir().join("rejected.db")).expect("copied");
    unsigned.boot();
    assert_eq!(listed(&unsigned, 1)[0], item);
    let refused = admit(&unsigned, id(&item));
    assert_eq!((refused.status, json(&refused)["reason"].as_str()), (409, Some("url_token")), "{}", refused.text());
    let rung = unsigned.ring(&Ring::post(&format!("/hooks/hub/{URL_TOKEN}"), Vec::new(), PUSH));
    assert_eq!(rung.status, 200, "whoever shows the token is let in");
}

/// What kind of file it is stood in the log only, until a first clean stop: after a kill before that, nothing was kept any more.
#[test]
fn a_kill_in_the_first_run_leaves_a_ring_that_goes_on() {
    let target = Recorder::start();
    let mut gateway = with_secret(&target, WRONG, "provider: github");
    for kills in 0..3 {
        gateway.boot();
        gateway.ring(&github("/hooks/hub", SECRET, &format!("d-{kills}"), BODY));
        listed(&gateway, kills + 1);
        gateway.kill();
    }
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
