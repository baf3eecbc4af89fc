//! The admin side of the real binary: probes, metrics from the first moment, the API behind its token, and what is logged.

use std::{fs, os::unix::fs::PermissionsExt as _};

use rustix::process::Signal;

use crate::{
    spine::one_target,
    support::{
        gateway::Gateway,
        listener::Reaction,
        patience::wait_until,
        recorder::Recorder,
        sender::{SECRET, github},
        wire::{Answer, Connection, Ring},
    },
};

fn get(gateway: &Gateway, path: &str, fields: &[(&str, &str)]) -> Answer {
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let ring = Ring { method: "GET".to_owned(), ..Ring::post(path, fields, b"") };
    Connection::plain(gateway.admin()).and_then(|mut connection| connection.exchange(&ring)).expect("an answer")
}

#[test]
fn every_series_of_what_is_configured_is_there_at_zero_before_the_first_request() {
    let target = Recorder::start();
    let gateway = Gateway::start(&one_target(&target, ""));
    let text = get(&gateway, "/metrics", &[]).text();
    for name in ["app", "_removed"] {
        for state in ["pending", "in_flight", "paused", "parked", "dead"] {
            let line = format!("hookgate_queue_deliveries{{state=\"{state}\",target=\"{name}\"}} 0\n");
            assert!(text.contains(&line), "{line}");
        }
        assert!(text.contains(&format!("hookgate_queue_oldest_age_seconds{{target=\"{name}\"}} 0\n")));
    }
    for reason in ["bad_signature", "stale", "unknown_path", "too_large"] {
        assert!(text.contains(&format!("hookgate_rejected_total{{reason=\"{reason}\",source=\"github\"}} 0\n")), "{reason}");
    }
    for family in ["store_bytes", "store_max_bytes", "store_free_bytes", "store_durability_info", "build_info", "workers"] {
        assert!(text.contains(&format!("\nhookgate_{family}")), "{family}");
    }
    assert!(text.contains("\nprocess_"), "the process's own");
}

#[test]
fn a_token_is_made_once_and_is_the_only_way_in() {
    let target = Recorder::start();
    let configuration = one_target(&target, "") + "admin: { listen: \"127.0.0.1:@ADMIN@\" }\n";
    let mut gateway = Gateway::start(&configuration);
    let file = gateway.data_dir().join("admin.token");
    assert_eq!(fs::metadata(&file).expect("made").permissions().mode() & 0o777, 0o600);
    let token = fs::read_to_string(&file).expect("read").trim().to_owned();
    let bearer = format!("Bearer {token}");
    assert_eq!(get(&gateway, "/api/v1/status", &[("Authorization", &bearer)]).status, 200);
    for stranger in
        [&[][..], &[("Authorization", "Bearer nobody")], &[("Authorization", "Basic YTpi")], &[("Authorization", token.as_str())]]
    {
        assert_eq!(get(&gateway, "/api/v1/status", stranger).status, 401, "{stranger:?}");
    }
    assert!(!gateway.log().contains(&token), "it is not logged");
    gateway.terminate();
    gateway.boot();
    assert_eq!(get(&gateway, "/api/v1/status", &[("Authorization", &bearer)]).status, 200, "it is the same at the next start");
}

#[test]
fn status_names_what_runs_and_an_event_shows_what_became_of_it() {
    let target = Recorder::reacting(|_, count| Reaction::Status(if count == 1 { 500 } else { 200 }));
    let gateway = Gateway::start(&one_target(&target, ", retry: { first: 50ms }"));
    let answer = gateway.ring(&github("/hooks/github", SECRET, "d-1", b"{}"));
    target.wait_for(2);
    gateway.wait_until_drained();
    let status: serde_json::Value = serde_json::from_slice(&gateway.look("/api/v1/status").expect("status").body).expect("JSON");
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert!(["ephemeral", "embedded"].contains(&status["store"]["durability"].as_str().expect("a level")));
    assert_eq!(status["sources"][0]["name"], "github");
    assert_eq!(status["sources"][0]["requests"]["accepted"], 1);
    assert_eq!(status["targets"][0]["delivered"], 1);

    let path = format!("/api/v1/events/{}", answer.event_id().expect("an id"));
    let event: serde_json::Value = serde_json::from_slice(&gateway.look(&path).expect("the event").body).expect("JSON");
    assert_eq!((&event["provider_event_id"], &event["types"][0]), (&"d-1".into(), &"push".into()));
    let delivery = &event["deliveries"][0];
    assert_eq!((&delivery["state"], &delivery["target"], &delivery["attempt"]), (&"delivered".into(), &"app".into(), &2.into()));
    assert_eq!((&delivery["attempts"][0]["result"], &delivery["attempts"][0]["status"]), (&"http_5xx".into(), &500.into()));
}

#[test]
fn dead_letters_that_are_soon_purged_are_in_the_status_and_in_the_log() {
    let target = Recorder::reacting(|_, _| Reaction::Status(410));
    let kept = "store: { retention: { delivered: 2s, dead: 2s } }\n";
    let mut gateway = Gateway::start(&(one_target(&target, ", retry: { dead_on: [410] }") + kept));
    gateway.ring(&github("/hooks/github", SECRET, "d-1", b"{}"));
    wait_until("the delivery was dead", || gateway.metrics().count("queue_deliveries", &[("target", "app"), ("state", "dead")]) == 1);
    let said = |gateway: &Gateway| {
        let status: serde_json::Value = serde_json::from_slice(&gateway.look("/api/v1/status").expect("status").body).expect("JSON");
        status["warnings"].to_string().contains("dead letters of `app` (1 now) are purged from")
    };
    wait_until("the status said so", || said(&gateway));
    assert_eq!(gateway.terminate().code(), Some(0));
    gateway.boot();
    wait_until("the log said so", || gateway.log().lines().any(|line| line.contains("dead letters of `app`") && line.contains("\"warn\"")));
}

#[test]
fn the_log_is_lines_of_json_with_the_stable_keys() {
    let target = Recorder::start();
    let gateway = Gateway::start(&(one_target(&target, "") + "log: { requests: all, attempts: all }\n"));
    gateway.ring(&github("/hooks/github", SECRET, "d-1", b"{}"));
    gateway.ring(&github("/hooks/github", "a-wrong-secret-0123456789", "d-2", b"{}"));
    gateway.wait_until_drained();
    gateway.signal(Signal::USR1);
    gateway.signal(Signal::HUP);
    let has = |event: &str| gateway.log().contains(&format!("\"event\":\"{event}\""));
    for event in ["start", "request", "attempt", "status", "reload"] {
        wait_until(event, || has(event));
    }
    for line in gateway.log().lines() {
        let read: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for key in ["ts", "level", "msg"] {
            assert!(read[key].is_string(), "{key} in {line}");
        }
        assert!(read["ts"].as_str().is_some_and(|ts| ts.ends_with('Z') && ts.len() == "2025-10-09T08:53:20.007Z".len()), "{line}");
        assert!(!line.contains(char::is_control), "{line}");
    }
    let ready = gateway.log().lines().find(|line| line.contains("\"ready\"")).map(str::to_owned).expect("it says that it is ready");
    assert!(ready.contains("\"durability\":") && ready.contains("\"version\":") && ready.contains(&gateway.door().to_string()), "{ready}");
}
