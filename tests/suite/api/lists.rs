//! Lists: everything is found once while new things come in, and by what is said about it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{gateway, get, items, ring, text};
use crate::support::{gateway::Gateway, listener::Reaction, recorder::Recorder};

/// Follows the pages to the end; between two of them something happens.
fn walk(gateway: &Gateway, path: &str, mut between: impl FnMut(usize)) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    for page in 0..1000 {
        let listed = get(gateway, &format!("{path}&limit=7{cursor}"));
        assert!(items(&listed).len() <= 7);
        all.extend(items(&listed).iter().cloned());
        let Some(next) = listed["next"].as_str() else { return all };
        cursor = format!("&cursor={next}");
        between(page);
    }
    panic!("{path} comes to no end");
}

#[test]
fn cursors_walk_everything_exactly_once_while_new_events_come_in() {
    let target = Recorder::start();
    let gateway = gateway(&target, "");
    let rung: Vec<String> = (0..30).map(|n| ring(&gateway, "hub", &format!("d-{n}"))).collect();
    let newest_first: Vec<&str> = rung.iter().rev().map(String::as_str).collect();
    for (path, key) in [("/api/v1/events?source=hub", "id"), ("/api/v1/deliveries?source=hub", "event_id")] {
        let walked = walk(&gateway, path, |page| drop(ring(&gateway, "other", &format!("new-{key}-{page}"))));
        assert_eq!(walked.iter().map(|item| text(item, key)).collect::<Vec<_>>(), newest_first, "{path}");
    }
    let all = walk(&gateway, "/api/v1/events?since=1h", |page| drop(ring(&gateway, "hub", &format!("late-{page}"))));
    let ids: BTreeSet<&str> = all.iter().map(|event| text(event, "id")).collect();
    assert_eq!(ids.len(), all.len(), "nothing twice");
    assert!(rung.iter().all(|id| ids.contains(id.as_str())), "nothing is missed");
}

#[test]
fn what_is_asked_for_is_found_and_nothing_else() {
    // The second one that comes is refused for good.
    let target = Recorder::reacting(|_, count| Reaction::Status(if count == 2 { 410 } else { 200 }));
    let gateway = gateway(&target, "retry: { dead_on: [410] }, ");
    let first = ring(&gateway, "hub", "d-1");
    gateway.wait_until_drained();
    let second = ring(&gateway, "hub", "d-2");
    gateway.wait_until_drained();
    let third = ring(&gateway, "other", "d-3");
    gateway.wait_until_drained();
    let found = |path: &str, key: &str| items(&get(&gateway, path)).iter().map(|item| text(item, key).to_owned()).collect::<Vec<_>>();
    for (query, expected) in [
        ("", vec![&third, &second, &first]),
        ("source=hub", vec![&second, &first]),
        ("source=hub&source=other&type=pu*", vec![&third, &second, &first]),
        ("type=pull*", vec![]),
        ("state=dead", vec![&second]),
        ("state=delivered&target=app", vec![&third, &first]),
        ("state=pending", vec![]),
        ("state=paused", vec![]),
        ("state=parked", vec![]),
        ("since=1h&until=1ms", vec![&third, &second, &first]),
        ("until=1h", vec![]),
        (&format!("id={first}&id={third}"), vec![&third, &first]),
    ] {
        let expected: Vec<String> = expected.into_iter().cloned().collect();
        assert_eq!(found(&format!("/api/v1/events?{query}"), "id"), expected, "events?{query}");
        assert_eq!(found(&format!("/api/v1/deliveries?{query}"), "event_id"), expected, "deliveries?{query}");
    }
    assert_eq!(found("/api/v1/events?unrouted=true", "id"), [] as [String; 0]);
    let dead = get(&gateway, "/api/v1/deliveries?state=dead");
    let dead = &items(&dead)[0];
    assert_eq!((&dead["dead_reason"], &dead["status"], &dead["target"]), (&"status".into(), &410.into(), &"app".into()), "{dead}");
    assert_eq!((&dead["attempts"][0]["result"], &dead["types"][0]), (&"http_4xx".into(), &"push".into()), "{dead}");
    assert!(!dead.to_string().contains("d-2\\\""), "no body is shown");
    let listed = get(&gateway, "/api/v1/events?state=dead");
    assert_eq!(items(&listed)[0]["deliveries"][0]["state"], "dead");
}

#[test]
fn sources_targets_and_secrets_are_listed_and_no_secret_is_shown() {
    let target = Recorder::start();
    let gateway = gateway(&target, "");
    ring(&gateway, "hub", "d-1");
    gateway.wait_until_drained();
    let (sources, targets, secrets) =
        (get(&gateway, "/api/v1/sources"), get(&gateway, "/api/v1/targets"), get(&gateway, "/api/v1/secrets"));
    assert_eq!(items(&sources).iter().map(|one| text(one, "name")).collect::<Vec<_>>(), ["hub", "other"]);
    assert_eq!((&items(&targets)[0]["name"], &items(&targets)[0]["delivered"]), (&"app".into(), &1.into()));
    let (used, unused) = (&items(&secrets)[0], &items(&secrets)[1]);
    assert_eq!((&used["matches"], used["last_match"].is_string(), text(used, "secret").len()), (&1.into(), true, 4), "{secrets}");
    assert_eq!((&unused["matches"], &unused["last_match"]), (&0.into(), &Value::Null));
    for listed in [sources, targets, secrets] {
        assert!(!listed.to_string().contains(crate::support::sender::SECRET));
    }
}
