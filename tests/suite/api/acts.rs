//! Acts: what a target missed comes again under new ids, what is held waits, what is cancelled never comes, and asking twice does it once.

use std::collections::BTreeSet;

use super::{OPERATE_TOKEN, ask, ended, gateway, get, items, json, listed, post, ring, text};
use crate::support::{listener::Reaction, recorder::Recorder};

#[test]
fn what_a_target_missed_is_replayed_once_however_often_it_is_asked_for() {
    let target = Recorder::reacting(|_, count| Reaction::Status(if count <= 5 { 410 } else { 200 }));
    let gateway = gateway(&target, "retry: { dead_on: [410] }, ");
    let events: BTreeSet<String> = (0..5).map(|n| ring(&gateway, "hub", &format!("d-{n}"))).collect();
    let dead = listed(&gateway, "/api/v1/deliveries?state=dead", 5);

    let body = "{\"filter\":{\"target\":[\"app\"],\"state\":[\"dead\"],\"since\":\"1h\"},\"dry_run\":true}";
    let counted = post(&gateway, "/api/v1/replay", body);
    assert_eq!((&counted["count"]["done"], counted["job"].is_null()), (&5.into(), true), "{counted}");
    assert_eq!(items(&get(&gateway, "/api/v1/jobs")).len(), 0, "a dry run begins nothing");

    let body = body.replace("true}", "false}");
    let begin = || json(&ask(&gateway, "POST", "/api/v1/replay", OPERATE_TOKEN, &[("Idempotency-Key", "after-the-outage")], &body));
    let begun = begin();
    assert_eq!((&begun["job"]["expected"], text(&begun["job"], "by")), (&5.into(), "hand"), "{begun}");
    let job = ended(&gateway, &begun["job"]);
    assert_eq!((text(&job, "state"), &job["progress"]["done"]), ("done", &5.into()), "{job}");
    let received = target.wait_for(10).split_off(5);
    gateway.wait_until_drained();

    assert_eq!(begin()["job"]["id"], begun["job"]["id"], "the same key is the same job");
    let other = body.replace("\"dead\"", "\"delivered\"");
    let other = ask(&gateway, "POST", "/api/v1/replay", OPERATE_TOKEN, &[("Idempotency-Key", "after-the-outage")], &other);
    assert!(other.status == 409 && other.text().contains("take another key"), "{}", other.text());
    let jobs = get(&gateway, "/api/v1/jobs");
    assert_eq!(items(&jobs).len(), 1);
    gateway.wait_until_drained();
    assert_eq!(target.count(), 10, "each came once more");

    let old: BTreeSet<&str> = dead.iter().map(|one| text(one, "id")).collect();
    for one in &received {
        assert!(events.contains(one.header("hookgate-event-id")));
        assert!(!old.contains(one.header("hookgate-delivery-id")), "under a new id");
        assert!(old.contains(one.header("hookgate-replay")), "{}", one.header("hookgate-replay"));
    }
    assert_eq!(listed(&gateway, "/api/v1/deliveries?state=dead", 5), dead, "the old ones are as they were");
    assert_eq!(listed(&gateway, "/api/v1/deliveries?state=delivered", 5).len(), 5);
}

#[test]
fn one_delivery_is_replayed_by_its_id_and_not_while_it_waits() {
    let target = Recorder::start();
    let gateway = gateway(&target, "");
    ring(&gateway, "hub", "d-1");
    let delivered = listed(&gateway, "/api/v1/deliveries?state=delivered", 1).remove(0);
    let path = format!("/api/v1/deliveries/{}/replay", text(&delivered, "id"));
    let begun = post(&gateway, &path, "");
    assert_eq!(text(&ended(&gateway, &begun["job"]), "state"), "done");
    let again = target.wait_for(2).remove(1);
    assert_eq!(again.header("hookgate-replay"), text(&delivered, "id"));

    post(&gateway, "/api/v1/targets/app/pause", "");
    ring(&gateway, "hub", "d-2");
    let waiting = listed(&gateway, "/api/v1/deliveries?state=paused", 1).remove(0);
    let refused = ask(&gateway, "POST", &format!("/api/v1/deliveries/{}/replay", text(&waiting, "id")), OPERATE_TOKEN, &[], "");
    assert_eq!(refused.status, 409, "{}", refused.text());
}

#[test]
fn what_is_held_waits_and_what_is_cancelled_never_comes() {
    let target = Recorder::start();
    let mut gateway = gateway(&target, "");
    let held = post(&gateway, "/api/v1/targets/app/pause", "{\"for\":\"45m\"}");
    assert!(held["paused"]["until"].is_string() && held["paused"]["by"] == "hand", "{held}");
    let withdrawn = ring(&gateway, "hub", "d-1");
    let kept = ring(&gateway, "hub", "d-2");
    assert_eq!(listed(&gateway, "/api/v1/deliveries?state=paused", 2).len(), 2);
    assert!(gateway.terminate().success());
    gateway.boot();
    assert!(get(&gateway, "/api/v1/status")["targets"][0]["paused"].is_object(), "a restart changes nothing");
    assert_eq!(target.count(), 0);

    let body = format!("{{\"filter\":{{\"id\":[\"{withdrawn}\"]}}}}");
    let begun = post(&gateway, "/api/v1/cancel", &body);
    assert_eq!(ended(&gateway, &begun["job"])["progress"]["done"], 1);
    let resumed = post(&gateway, "/api/v1/targets/app/resume", "");
    assert!(resumed["paused"].is_null(), "{resumed}");
    let received = target.wait_for(1).remove(0);
    assert_eq!(received.header("hookgate-event-id"), kept);
    gateway.wait_until_drained();
    assert_eq!(target.count(), 1);
    let cancelled = listed(&gateway, "/api/v1/deliveries?state=cancelled", 1).remove(0);
    assert_eq!(text(&cancelled, "event_id"), withdrawn);
}

#[test]
fn bodies_are_taken_as_people_write_them() {
    let target = Recorder::start();
    let gateway = gateway(&target, "");
    ring(&gateway, "hub", "d-1");
    listed(&gateway, "/api/v1/deliveries?state=delivered", 1);
    // What needs no body takes an object without fields, and none with any.
    assert!(post(&gateway, "/api/v1/targets/app/resume", "{}")["paused"].is_null());
    let refused = ask(&gateway, "POST", "/api/v1/targets/app/resume", OPERATE_TOKEN, &[], "{\"for\":1}");
    assert!(refused.status == 400 && refused.text().contains("the body has no field"), "{}", refused.text());
    assert_eq!(ask(&gateway, "POST", "/api/v1/reload", crate::support::gateway::ADMIN_TOKEN, &[], "{}").status, 501);
    // One value is a list of one.
    let counted = post(&gateway, "/api/v1/replay", "{\"filter\":{\"target\":\"app\",\"state\":\"delivered\"},\"dry_run\":true}");
    assert_eq!(counted["count"]["done"], 1, "{counted}");
    let refused = ask(&gateway, "POST", "/api/v1/replay", OPERATE_TOKEN, &[], "{\"target\":\"app\"}");
    let said = refused.text();
    assert!(refused.status == 400 && said.contains("dry_run, filter, rate, to") && said.contains("filter has id, limit"), "{said}");
}

#[test]
fn a_job_is_stopped_where_it_is() {
    let target = Recorder::start();
    let gateway = gateway(&target, "");
    for n in 0..20 {
        ring(&gateway, "hub", &format!("d-{n}"));
    }
    listed(&gateway, "/api/v1/deliveries?state=delivered", 20);
    let begun = post(&gateway, "/api/v1/replay", "{\"filter\":{\"source\":[\"hub\"]},\"rate\":1}");
    let stopped = post(&gateway, &format!("/api/v1/jobs/{}/cancel", text(&begun["job"], "id")), "");
    assert_eq!(text(&stopped, "state"), "stopped", "{stopped}");
    assert!(stopped["progress"]["done"].as_u64().is_some_and(|done| done < 20), "{stopped}");
    assert_eq!(get(&gateway, &format!("/api/v1/jobs/{}", text(&begun["job"], "id")))["state"], "stopped");
}
