//! `alerts`: who asked for them is told of dead letters, breakers, silence and rejections, once; and being told leads to nothing more.
//! What takes minutes (the window in which further news are gathered) is tested where the clock is passed in, in `alert::board`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::Value;

use crate::support::{
    gateway::Gateway,
    listener::Reaction,
    patience::wait_until,
    recorder::Recorder,
    sender::{SECRET, github},
};

const WRONG: &str = "canary-wrong-secret-5be0cd19137e2179";

/// A gateway that tells `ops` of everything; `more` is what its source `git` has besides, and its targets.
fn gateway(ops: &str, app: &str, source: &str) -> Gateway {
    Gateway::written(&format!(
        r#"
alerts: {{ to: ops }}
sources:
  git: {{ provider: github, secret: "{SECRET}"{source} }}
targets:
  app: {{ {app} }}
  ops: {{ {ops} }}
routes:
  - {{ to: app }}
"#
    ))
}

/// A target that takes nothing more of what this one refused: everything becomes a dead letter.
fn refusing() -> (Recorder, String) {
    let app = Recorder::reacting(|_, _| Reaction::Status(410));
    let written = format!("url: \"{}\", retry: {{ dead_on: [410] }}", app.url());
    (app, written)
}

fn url(target: &Recorder) -> String {
    format!("url: \"{}\"", target.url())
}

fn ring(gateway: &Gateway, secret: &str, id: &str) -> u16 {
    gateway.ring(&github("/hooks/git", secret, id, br#"{"canary":"of-the-body"}"#)).status
}

/// What a target was told, in order.
fn told(target: &Recorder) -> Vec<Value> {
    target.seen().iter().map(|received| serde_json::from_slice(&received.body).expect("an alert is JSON")).collect()
}

fn dead(gateway: &Gateway, target: &str) -> u64 {
    gateway.metrics().count("deliveries_total", &[("target", target), ("outcome", "dead")])
}

/// Enough requests with another secret for anybody to notice.
fn ring_wrongly(gateway: &Gateway) {
    for number in 0..6 {
        assert_eq!(ring(gateway, WRONG, &format!("w-{number}")), 401);
    }
}

#[test]
fn dead_letters_are_told_once_and_what_follows_is_gathered() {
    let (ops, (app, written)) = (Recorder::start(), refusing());
    let mut gateway = gateway(&url(&ops), &written, "");
    gateway.boot();
    for number in 0..3 {
        assert_eq!(ring(&gateway, SECRET, &format!("d-{number}")), 200);
    }
    let first = &ops.wait_for(1)[0];
    for (name, expected) in [
        ("hookgate-source", "_alerts"),
        ("hookgate-provider", "hookgate"),
        ("hookgate-event-type", "dead_letter"),
        ("hookgate-verified", "true"),
        ("hookgate-attempt", "1"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(first.header(name), expected, "{name}");
    }
    let alert = &told(&ops)[0];
    let count = alert["count"].as_u64().expect("a count");
    assert!((1..=3).contains(&count), "{alert}");
    assert_eq!((&alert["alert"], &alert["state"], &alert["target"]), (&"dead_letter".into(), &"raised".into(), &"app".into()));
    assert_eq!(alert["reasons"], serde_json::json!({ "status": count }));
    let refused: Vec<String> = app.seen().iter().map(|received| received.header("hookgate-delivery-id").to_owned()).collect();
    let named: Vec<&str> = alert["deliveries"].as_array().expect("a list").iter().map(|id| id.as_str().expect("an id")).collect();
    assert!(named.len() as u64 == count && named.iter().all(|id| refused.iter().any(|other| other == id)), "{alert} {refused:?}");
    assert!(!alert.to_string().contains("canary") && !alert.to_string().contains(SECRET));
    assert_eq!((ring(&gateway, SECRET, "d-3"), ring(&gateway, SECRET, "d-4")), (200, 200));
    wait_until("five dead letters", || dead(&gateway, "app") == 5);
    // What is told of the source now was noticed after all of them.
    ring_wrongly(&gateway);
    ops.wait_for(2);
    let kinds: Vec<Value> = told(&ops).into_iter().map(|alert| alert["alert"].clone()).collect();
    assert_eq!(kinds, ["dead_letter", "rejected_spike"], "the others wait for the end of the window");
}

#[test]
fn a_breaker_is_told_when_it_opens_and_when_it_has_closed() {
    let (ops, is_well) = (Recorder::start(), Arc::new(AtomicBool::new(false)));
    let seen = Arc::clone(&is_well);
    let app = Recorder::reacting(move |_, _| Reaction::Status(if seen.load(Ordering::Acquire) { 200 } else { 500 }));
    let breaker = "retry: { first: 50ms, max: 100ms }, breaker: { consecutive: 2, open_for: 1s, open_for_max: 1s }";
    let mut gateway = gateway(&url(&ops), &format!("{}, {breaker}", url(&app)), "");
    gateway.boot();
    assert_eq!(ring(&gateway, SECRET, "b-1"), 200);
    ops.wait_for(1);
    is_well.store(true, Ordering::Release);
    ops.wait_for(2);
    let told: Vec<(Value, Value, Value)> =
        told(&ops).into_iter().map(|alert| (alert["alert"].clone(), alert["state"].clone(), alert["target"].clone())).collect();
    let of = |state: &str| (Value::from("breaker_open"), Value::from(state), Value::from("app"));
    assert_eq!(told, [of("raised"), of("resolved")]);
}

#[test]
fn a_source_that_is_not_heard_is_told_of_and_that_it_is_heard_again() {
    let (ops, app) = (Recorder::start(), Recorder::start());
    let mut gateway = gateway(&url(&ops), &url(&app), ", expect_every: 1s");
    gateway.boot();
    ops.wait_for(1);
    assert_eq!(ring(&gateway, SECRET, "s-1"), 200);
    ops.wait_for(2);
    let alerts = told(&ops);
    let states: Vec<&Value> = alerts.iter().map(|alert| &alert["state"]).collect();
    assert_eq!(states, ["raised", "resolved"]);
    assert!(alerts.iter().all(|alert| alert["alert"] == "source_silent" && alert["source"] == "git"), "{alerts:?}");
    assert!(alerts[1]["text"].as_str().is_some_and(|text| text.starts_with("`git` is heard again")), "{alerts:?}");
}

#[test]
fn a_wrong_secret_is_told_with_its_count_and_its_reasons() {
    let (ops, app) = (Recorder::start(), Recorder::start());
    let mut gateway = gateway(&url(&ops), &url(&app), "");
    gateway.boot();
    ring_wrongly(&gateway);
    ops.wait_for(1);
    let alert = told(&ops).remove(0);
    // Three are enough where none was taken; which of the six were there when it was looked is not ours to say.
    let count = alert["count"].as_u64().expect("a count");
    assert!((3..=6).contains(&count) && alert["alert"] == "rejected_spike" && alert["source"] == "git", "{alert}");
    assert_eq!(alert["reasons"], serde_json::json!({ "bad_signature": count }));
    assert_eq!((app.count(), gateway.log().contains(WRONG)), (0, false));
}

#[test]
fn an_alert_survives_a_kill_before_it_was_delivered() {
    let (gone, (_app, written)) = (Recorder::start(), refusing());
    let (address, ops) = (gone.address(), format!("{}, retry: {{ first: 1s, max: 1s }}", url(&gone)));
    drop(gone);
    let mut gateway = gateway(&ops, &written, "");
    gateway.boot();
    assert_eq!(ring(&gateway, SECRET, "k-1"), 200);
    wait_until("an alert that was tried in vain", || {
        gateway.metrics().count("attempts_total", &[("target", "ops"), ("result", "connect")]) > 0
    });
    gateway.kill();
    let ops = Recorder::again(address);
    gateway.boot();
    let received = ops.wait_for(1).remove(0);
    assert_eq!((received.header("hookgate-source"), received.header("hookgate-event-type")), ("_alerts", "dead_letter"));
    assert!(received.attempt() > 1, "it is the alert of before");
    gateway.wait_until_drained();
    assert_eq!(told(&ops).iter().filter(|alert| alert["target"] == "app").count(), ops.count(), "and nothing else was told");
}

#[test]
fn an_alert_waits_for_a_target_that_is_switched_off() {
    let (ops, (_app, written)) = (Recorder::start(), refusing());
    let mut gateway = gateway(&format!("{}, disabled: true", url(&ops)), &written, "");
    gateway.boot();
    assert_eq!(ring(&gateway, SECRET, "o-1"), 200);
    wait_until("an alert that waits", || gateway.metrics().count("queue_deliveries", &[("target", "ops"), ("state", "pending")]) == 1);
    assert_eq!((dead(&gateway, "app"), ops.count()), (1, 0));
}

#[test]
fn an_alert_that_nobody_takes_leads_to_no_other() {
    let ops = Recorder::reacting(|_, _| Reaction::Status(410));
    let (_app, written) = refusing();
    let mut gateway = gateway(&format!("{}, retry: {{ dead_on: [410] }}", url(&ops)), &written, "");
    gateway.boot();
    assert_eq!(ring(&gateway, SECRET, "n-1"), 200);
    wait_until("the alert is a dead letter itself", || dead(&gateway, "ops") == 1);
    // Were that told, it would be in the same look as this, or before it.
    ring_wrongly(&gateway);
    wait_until("so is the next", || dead(&gateway, "ops") == 2);
    let about: Vec<(Value, Value)> = told(&ops).into_iter().map(|alert| (alert["alert"].clone(), alert["target"].clone())).collect();
    assert_eq!(about, [("dead_letter".into(), "app".into()), ("rejected_spike".into(), Value::Null)]);
}
