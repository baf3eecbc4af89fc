//! What is said of a target that gets nothing: that it asked for time, that it is left alone, that it has left the configuration.

use super::{OPERATE_TOKEN, ask, configuration, get, items, listed, post, ring, text};
use crate::support::{
    gateway::{ADMIN_TOKEN, Gateway},
    listener::Reaction,
    patience::{unix_seconds, wait_until},
    recorder::Recorder,
};

fn status(gateway: &Gateway) -> String {
    let printed = gateway.command(&["status", "-c", "hookgate.yaml", "--token", ADMIN_TOKEN]);
    String::from_utf8_lossy(&printed.stdout).into_owned()
}

#[test]
fn a_target_that_asked_for_time_is_shown_with_the_end_of_it() {
    let target = Recorder::reacting(|_, _| Reaction::Later(503, 600));
    let gateway = super::gateway(&target, "");
    let stands = || get(&gateway, "/api/v1/targets")["items"][0].clone();
    assert!(stands()["left_alone_until"].is_null() && stands()["breaker"] == "closed", "{}", stands());
    ring(&gateway, "hub", "d-1");
    wait_until("it is said", || stands()["left_alone_until"].is_string());
    assert!(status(&gateway).contains("LEFT ALONE until 20"), "{}", status(&gateway));
    assert!(gateway.log().contains("asked to be left alone until 20"), "{}", gateway.log());
    let told = gateway.metrics().count("target_retry_after_timestamp_seconds", &[("target", "app")]);
    let now = u64::try_from(unix_seconds()).expect("after 1970");
    assert!((now..=now + 601).contains(&told), "{told}");
    ring(&gateway, "hub", "d-2");
    listed(&gateway, "/api/v1/deliveries?state=pending", 2);
    assert_eq!(target.count(), 1, "the second waits too");
}

#[test]
fn an_open_breaker_is_shown() {
    let target = Recorder::reacting(|_, _| Reaction::Status(500));
    let gateway = super::gateway(&target, "breaker: { consecutive: 1, open_for: 1m }, ");
    ring(&gateway, "hub", "d-1");
    wait_until("it is open", || get(&gateway, "/api/v1/status")["targets"][0]["breaker"] == "open");
    assert!(status(&gateway).contains("BREAKER OPEN"), "{}", status(&gateway));
}

#[test]
fn what_a_target_left_behind_is_shown_and_replayed_to_nobody_but_another_one() {
    let target = Recorder::reacting(|_, count| Reaction::Status(if count == 1 { 410 } else { 200 }));
    let mut gateway = super::gateway(&target, "retry: { dead_on: [410] }, ");
    ring(&gateway, "hub", "d-1");
    listed(&gateway, "/api/v1/deliveries?state=dead", 1);
    post(&gateway, "/api/v1/targets/app/pause", "");
    ring(&gateway, "hub", "d-2");
    assert!(gateway.terminate().success());

    gateway.rewrite(&configuration(&target, "").replace("app", "crm"));
    gateway.boot();
    let removed = get(&gateway, "/api/v1/status")["removed"].clone();
    let row = &removed[0];
    assert_eq!((text(row, "name"), &row["parked"], &row["dead"]), ("app", &1.into(), &1.into()), "{removed}");
    let printed = status(&gateway);
    assert!(printed.contains("NOT IN THE CONFIGURATION") && printed.contains("hookgate move"), "{printed}");

    let nobody = post(&gateway, "/api/v1/replay", "{\"filter\":{\"target\":[\"app\"],\"state\":[\"dead\"]}}");
    assert!(nobody["job"].is_null() && nobody["count"]["left"]["target_gone"] == 1, "{nobody}");
    let answer = ask(&gateway, "POST", "/api/v1/replay", OPERATE_TOKEN, &[], "{\"filter\":{\"state\":[\"dead\"]},\"to\":\"crm\"}");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(target.wait_for(2).len(), 2);
    assert_eq!(items(&get(&gateway, "/api/v1/jobs")).len(), 1);
}
