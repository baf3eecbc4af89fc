//! Secrets that vendors hand over in a handshake: shown once to who may see them, and nowhere else.

use serde_json::Value;

use crate::{
    secrecy::{assert_clean, every_file},
    support::{
        gateway::Gateway,
        recorder::Recorder,
        sender::hmac_sha256,
        wire::{Answer, Connection, Ring},
    },
};

const ADMIN: &str = "canary-admin-27182818284590452";
const OPERATOR: &str = "canary-operator-5772156649015";
const ASANA: &str = "canary-asana-7f3c0b9e5d2a4186c4e7a1b8f06d3952";
const NOTION: &str = "secret_canary-notion-Zk3mQ9rT1vB7xD2cF8hJ5n";

fn gateway(target: &Recorder, more: &str, asana: &str) -> Gateway {
    Gateway::start(&format!(
        r#"
admin:
  listen: "127.0.0.1:@ADMIN@"
  tokens: [{{ name: ops, role: admin, token: "{ADMIN}" }}, {{ name: watch, role: operate, token: "{OPERATOR}" }}]
log: {{ level: trace, requests: all, attempts: all }}
sources:
  asana: {{ provider: asana{asana} }}
  notion: {{ provider: notion{more} }}
targets: {{ app: {{ url: "{}" }} }}
routes: [{{ to: app }}]
"#,
        target.url()
    ))
}

fn hand_over_asana(secret: &str) -> Ring {
    Ring::post("/hooks/asana", vec![("X-Hook-Secret".to_owned(), secret.to_owned())], b"")
}

fn hand_over_notion(secret: &str) -> Ring {
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    Ring::post("/hooks/notion", headers, format!(r#"{{"verification_token":"{secret}"}}"#).as_bytes())
}

fn event(secret: &str, id: &str) -> Ring {
    let body = format!(r#"{{"events":[{{"id":"{id}","resource":{{"resource_type":"task"}}}}]}}"#);
    let signature = hex::encode(hmac_sha256(secret.as_bytes(), body.as_bytes()));
    Ring::post("/hooks/asana", vec![("X-Hook-Signature".to_owned(), signature)], body.as_bytes())
}

fn take(gateway: &Gateway, method: &str, source: &str, token: &str) -> Answer {
    let fields = vec![("Authorization".to_owned(), format!("Bearer {token}"))];
    let ring = Ring { method: method.to_owned(), ..Ring::post(&format!("/api/v1/secrets/{source}/take"), fields, b"") };
    Connection::plain(gateway.admin()).and_then(|mut connection| connection.exchange(&ring)).expect("an answer")
}

/// What is shown of a source, in this moment.
fn shown(gateway: &Gateway, source: &str) -> Vec<Value> {
    let answer = take(gateway, "POST", source, ADMIN);
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    let page: Value = serde_json::from_slice(&answer.body).expect("JSON");
    page["items"].as_array().expect("a list").clone()
}

fn assert_unseen(gateway: &Gateway, target: &Recorder) {
    let secrets = [ASANA, NOTION, ADMIN];
    assert_clean("the log", gateway.log().as_bytes(), &secrets);
    for page in ["/metrics", "/api/v1/status", "/api/v1/rejected"] {
        assert_clean(page, &gateway.look_as(page, ADMIN).expect("a page").body, &secrets);
    }
    every_file(&gateway.data_dir(), &mut |path, content| assert_clean(&path.display().to_string(), content, &secrets));
    for received in target.seen() {
        assert_clean("a delivery", &received.body, &secrets);
    }
}

#[test]
fn a_secret_that_is_handed_over_is_shown_once_to_an_admin() {
    let target = Recorder::start();
    let gateway = gateway(&target, "", "");
    let asked = gateway.ring(&hand_over_asana(ASANA));
    assert_eq!((asked.status, asked.header("x-hook-secret"), asked.body.len()), (200, Some(ASANA), 0), "{}", gateway.log());
    assert_eq!(gateway.ring(&hand_over_notion(NOTION)).status, 200);
    assert_eq!(gateway.ring(&event(ASANA, "early")).status, 401, "it proves nothing yet");
    let status = gateway.look_as("/api/v1/status", ADMIN).expect("a page").text();
    assert!(status.contains("`hookgate secrets asana` shows"), "{status}");

    assert_eq!(take(&gateway, "POST", "asana", OPERATOR).status, 403);
    assert_eq!(take(&gateway, "POST", "asana", "nobody").status, 401);
    assert_eq!(take(&gateway, "POST", "nobody", ADMIN).status, 404);
    assert_eq!(take(&gateway, "GET", "asana", ADMIN).status, 405);
    let items = shown(&gateway, "asana");
    assert_eq!(items.len(), 1);
    for (name, value) in [("secret", ASANA), ("source", "asana"), ("handshake", "secret"), ("client_ip", "127.0.0.1")] {
        assert_eq!(items[0][name], value);
    }
    let said = gateway.command(&["secrets", "notion", "--admin", &format!("http://{}", gateway.admin()), "--token", ADMIN]);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.trim_end().ends_with(&format!("from 127.0.0.1: {NOTION}")), "{said}");
    assert!(shown(&gateway, "asana").is_empty() && shown(&gateway, "notion").is_empty(), "once");
    assert_eq!(gateway.metrics().count("handshakes_total", &[("source", "asana"), ("result", "answered")]), 1);
    assert_unseen(&gateway, &target);
}

#[test]
fn a_source_that_has_a_secret_takes_no_other() {
    let target = Recorder::start();
    let more = format!(", secret: \"{NOTION}\", observe_until: \"{}\"", in_a_week());
    let gateway = gateway(&target, &more, &format!(", secret: \"{ASANA}\""));
    assert_eq!(gateway.ring(&event(ASANA, "1")).status, 200);
    let another = format!("{ASANA}-another");
    let asked = gateway.ring(&hand_over_asana(&another));
    assert_eq!((asked.status, asked.header("x-hook-secret")), (401, None));
    let signed = hand_over_asana(&another).with("X-Hook-Signature", &"0".repeat(64));
    assert_eq!(gateway.ring(&signed).status, 401);
    // Nor is one taken for an event where nothing has to be proved.
    assert_eq!(gateway.ring(&hand_over_notion(&format!("{NOTION}-another"))).status, 401);
    assert!(shown(&gateway, "asana").is_empty() && shown(&gateway, "notion").is_empty());
    assert_eq!(target.wait_for(1).len(), 1);
    assert_unseen(&gateway, &target);
}

#[test]
fn strangers_can_fill_what_waits_and_push_nothing_out() {
    let target = Recorder::start();
    let gateway = gateway(&target, "", "");
    assert_eq!(gateway.ring(&hand_over_asana(ASANA)).status, 200);
    let statuses: Vec<u16> = (0..20).map(|number| gateway.ring(&hand_over_asana(&format!("stranger-secret-{number:04}"))).status).collect();
    assert_eq!(statuses, [[200; 7].as_slice(), &[503; 13]].concat());
    assert_eq!(gateway.ring(&hand_over_asana(ASANA)).status, 200, "who asks again is known");
    assert_eq!(gateway.ring(&hand_over_notion(NOTION)).status, 200, "and another source does not pay");
    for short in ["short", "has blanks in it and more", &"x".repeat(1025)] {
        assert_eq!(gateway.ring(&hand_over_notion(short)).status, 401, "{short}");
    }
    assert_eq!(shown(&gateway, "asana").len(), 8);
    assert_eq!(gateway.ring(&hand_over_asana("stranger-secret-9999")).status, 200, "there is room again");
}

fn in_a_week() -> String {
    let week = jiff::SignedDuration::from_hours(7 * 24);
    jiff::Timestamp::now().checked_add(week).expect("a time").strftime("%Y-%m-%d").to_string()
}
