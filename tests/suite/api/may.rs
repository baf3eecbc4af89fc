//! Who may: every endpoint there is, with every role, without a token, with a wrong one, under a foreign name, from a page of another site.
//! What is refused changes nothing.

use serde_json::Value;

use super::{OPERATE_TOKEN, READ_TOKEN, ask, configuration, gateway, get, items, json, ring, text};
use crate::support::{
    gateway::{ADMIN_TOKEN, Gateway},
    listener::Reaction,
    recorder::Recorder,
    wire::{Answer, Connection},
};

/// One endpoint as the document has it, with names of things that are not there.
struct Endpoint {
    method: String,
    path: String,
    role: String,
    planned: bool,
}

fn endpoints(gateway: &Gateway) -> Vec<Endpoint> {
    let document = get(gateway, "/api/openapi.json");
    let mut endpoints = Vec::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        let id = match path.split('/').nth(3) {
            Some("events") => "evt_0000000000001",
            Some("deliveries") => "dlv_0000000000001-0",
            Some("rejected") => "rej_0000000000001",
            _ => "job_0000000000001",
        };
        for (method, operation) in operations.as_object().expect("operations") {
            endpoints.push(Endpoint {
                method: method.to_uppercase(),
                path: path.replace("{id}", id).replace("{name}", "app"),
                role: text(operation, "x-role").to_owned(),
                planned: operation["x-planned"] == true,
            });
        }
    }
    assert!(endpoints.len() >= 22, "{} endpoints", endpoints.len());
    endpoints
}

/// All that an act could have changed.
fn state(gateway: &Gateway) -> Vec<Value> {
    let paused = items(&get(gateway, "/api/v1/targets")).iter().map(|target| target["paused"].clone()).collect();
    let lists = ["/api/v1/deliveries?limit=500", "/api/v1/jobs", "/api/v1/rejected"];
    lists.into_iter().map(|path| get(gateway, path)["items"].clone()).chain([Value::Array(paused)]).collect()
}

/// Sends a head that no library would.
fn raw(gateway: &Gateway, head: &str) -> Answer {
    let mut connection = Connection::plain(gateway.admin()).expect("connected");
    connection.send(format!("{head}\r\nContent-Length: 0\r\n\r\n").as_bytes()).expect("sent");
    connection.answer().expect("an answer")
}

#[test]
fn nobody_without_the_right_gets_in_and_nothing_changes() {
    let target = Recorder::reacting(|_, _| Reaction::Status(410));
    let gateway = gateway(&target, "retry: { dead_on: [410] }, ");
    ring(&gateway, "hub", "d-1");
    gateway.wait_until_drained();
    let before = state(&gateway);
    for Endpoint { method, path, role, planned } in endpoints(&gateway) {
        let at = format!("{method} {path}");
        for token in ["", "nobody", &READ_TOKEN[1..], &format!("{ADMIN_TOKEN}x")] {
            let answer = ask(&gateway, &method, &path, token, &[], "");
            assert_eq!(answer.status, 401, "{at} with `{token}`");
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{at}");
        }
        let head = |host: &str, token: &str| format!("{method} {path} HTTP/1.1\r\nHost: {host}{token}");
        let token = format!("\r\nAuthorization: Bearer {ADMIN_TOKEN}");
        assert_eq!(raw(&gateway, &head("localhost", "")).status, 401, "{at} without a token");
        assert_eq!(raw(&gateway, &head("localhost", &format!("{token}{token}"))).status, 401, "{at} with two");
        assert_eq!(raw(&gateway, &head("evil.example", &token)).status, 421, "{at} under another name");
        for foreign in
            [("Origin", "https://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-site")]
        {
            assert_eq!(ask(&gateway, &method, &path, ADMIN_TOKEN, &[foreign], "").status, 403, "{at} from {foreign:?}");
        }
        let other = ask(&gateway, "DELETE", &path, ADMIN_TOKEN, &[], "");
        assert_eq!(other.status, 405, "{at}");
        assert!(other.header("allow").is_some_and(|allow| allow.contains(&method)), "{at}: {:?}", other.header("allow"));
        let looked = ask(&gateway, &method, &path, READ_TOKEN, &[], "");
        let expected = if role == "read" { &[200, 404][..] } else { &[403] };
        assert!(expected.contains(&looked.status) || (planned && role == "read" && looked.status == 501), "{at}: {}", looked.text());
        if role == "admin" {
            assert_eq!(ask(&gateway, &method, &path, OPERATE_TOKEN, &[], "").status, 403, "{at}");
        }
    }
    assert_eq!(state(&gateway), before, "what was refused changed nothing");
    assert_eq!(target.count(), 1);
}

#[test]
fn whoever_may_act_gets_to_the_endpoint() {
    let target = Recorder::start();
    let gateway = gateway(&target, "");
    for Endpoint { method, path, role, planned } in endpoints(&gateway) {
        let token = if role == "admin" { ADMIN_TOKEN } else { OPERATE_TOKEN };
        let answer = ask(&gateway, &method, &path, token, &[], "");
        let expected = if planned { &[501][..] } else { &[200, 400, 404] };
        assert!(expected.contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text());
        let own = ask(&gateway, &method, &path, token, &[("Origin", "http://localhost"), ("Sec-Fetch-Site", "same-origin")], "");
        assert!(expected.contains(&own.status), "{method} {path} from our own page: {}", own.text());
    }
}

#[test]
fn what_is_not_understood_is_refused_and_says_what_to_do() {
    let target = Recorder::start();
    let gateway = gateway(&target, "");
    let large = format!("{{\"filter\":{{\"source\":[\"{}\"]}}}}", "x".repeat(70_000));
    let kind = |kind: &'static str| vec![("Content-Type", kind)];
    for (path, fields, body, status) in [
        ("/api/v1/replay", vec![], "", 400),
        ("/api/v1/replay", vec![], "{}", 400),
        ("/api/v1/replay", vec![], "[]", 400),
        ("/api/v1/admit", vec![], "[null,null]", 400),
        ("/api/v1/replay", vec![], "{\"filter\":[]}", 400),
        ("/api/v1/replay", vec![], "{\"filter\":{}}", 400),
        ("/api/v1/cancel", vec![], "{\"filter\":{\"target\":[],\"since\":null,\"unrouted\":false,\"limit\":5}}", 400),
        ("/api/v1/replay", vec![], "{\"filter\":{\"target\":\"app\",\"target\":\"app\"}}", 400),
        ("/api/v1/replay", vec![], "{\"filter\":{\"source\":\"hub\"},\"rate\":1.5}", 400),
        ("/api/v1/replay", vec![], "{\"filter\":{\"source\":\"hub\"},\"dry_rnu\":true}", 400),
        ("/api/v1/replay", vec![], "{\"filter\":{\"states\":[\"dead\"]}}", 400),
        ("/api/v1/replay", vec![], "{\"filter\":{\"state\":[\"lost\"]}}", 400),
        ("/api/v1/replay", vec![], "{\"filter\":{\"state\":[\"paused\",\"dead\"]}}", 409),
        ("/api/v1/replay", vec![], "{\"filter\":{\"unrouted\":true,\"state\":[\"dead\"]}}", 409),
        ("/api/v1/cancel", vec![], "{\"filter\":{\"unrouted\":true}}", 409),
        ("/api/v1/replay", vec![], "{\"filter\":{\"source\":\"hub\"},\"to\":\"nobody\"}", 404),
        ("/api/v1/replay", vec![], "{\"filter\":{\"target\":[\"nobody\"]}}", 404),
        ("/api/v1/replay", vec![], "{\"filter\":{\"source\":\"hub\"},\"rate\":0}", 400),
        ("/api/v1/replay", vec![], large.as_str(), 413),
        ("/api/v1/replay", kind("text/plain"), "{\"filter\":{}}", 415),
        ("/api/v1/replay", kind("application/x-www-form-urlencoded"), "filter=1", 415),
        ("/api/v1/replay", vec![("Idempotency-Key", "")], "{\"filter\":{}}", 400),
        ("/api/v1/targets/app/pause", vec![], "{\"for\":\"soon\"}", 400),
        ("/api/v1/targets/nobody/pause", vec![], "", 404),
        ("/api/v1/targets/app/resume", vec![], "{\"for\":\"1h\"}", 400),
        ("/api/v1/targets/app/resume", vec![], "[]", 400),
        ("/api/v1/deliveries/dlv_1/replay", vec![], "", 400),
        ("/api/v1/deliveries/dlv_0000000000001-0/replay", vec![], "", 404),
        ("/api/v1/jobs/job_0000000000001/cancel", vec![], "", 404),
    ] {
        let answer = ask(&gateway, "POST", path, OPERATE_TOKEN, &fields, body);
        assert_eq!(answer.status, status, "{path} {fields:?} {:.80}: {}", body, answer.text());
        let problem = json(&answer);
        assert!(text(&problem, "detail").len() > 10 && problem["status"] == status && problem["type"] == "about:blank", "{problem}");
        assert!(!answer.text().contains("xxxxxx"), "what was sent is not repeated");
    }
    for (path, status) in [
        ("/api/v1/events?cursor=1", 400),
        ("/api/v1/events?limit=0", 400),
        ("/api/v1/events?limit=501", 400),
        ("/api/v1/events?text=x", 400),
        ("/api/v1/events?since=1h&since=2h", 400),
        ("/api/v1/events?match=x", 400),
        ("/api/v1/status?x=1", 400),
        ("/api/v1/deliveries?source=nobody", 404),
        ("/api/v1/deliveries?target=nobody", 404),
        ("/api/v1/deliveries?since=1h&until=2h", 409),
        ("/api/v1/events/evt_1", 400),
        ("/api/v1/events/evt_0000000000001", 404),
        ("/api/v1/jobs/1", 400),
        ("/api/v1/nothing", 404),
        ("/", 501),
        ("/index.html", 404),
    ] {
        let answer = ask(&gateway, "GET", path, READ_TOKEN, &[], "");
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
    }
    assert_eq!(items(&get(&gateway, "/api/v1/jobs")), [] as [Value; 0]);
}

#[test]
fn the_document_is_served_and_says_which_role_is_needed() {
    let target = Recorder::start();
    let gateway = Gateway::start(&configuration(&target, ""));
    let document = get(&gateway, "/api/openapi.json");
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["paths"]["/api/v1/replay"]["post"]["x-role"], "operate");
    assert_eq!(document["paths"]["/api/v1/events"]["get"]["x-role"], "read");
    assert_eq!(document["components"]["schemas"]["Replay"]["additionalProperties"], false, "unknown fields are refused, and it says so");
}
