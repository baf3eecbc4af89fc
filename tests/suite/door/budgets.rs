//! What requests under way may hold, and that it is given back.

use std::time::Duration;

use hookgate::{
    clock::UnixMs,
    door::Patience,
    plan::Tls,
    provider::Catalogue,
    secret::Secret,
    verify::{Credential, Verifier},
};

use super::{
    client::{Client, request, ring, signed},
    setting::{Mood, PATH, SECRET, Setting, signature},
};

const KIB: usize = 1024;

/// A request that has sent `sent` bytes of its body and is silent since.
fn half_sent(setting: &Setting, number: usize, sent: usize, fields: &[&str]) -> Client {
    let body = vec![b'x'; 200 * KIB];
    let request = signed(&body, &format!("half-{number}"), fields);
    let mut client = Client::connect(setting);
    client.send(&request[..request.len() - body.len() + sent]);
    client
}

fn in_flight(setting: &Setting) -> f64 {
    setting.series("hookgate_inflight_bytes").expect("a gauge")
}

#[test]
fn strangers_may_hold_half_of_the_bytes() {
    let setting = Setting::start_with(Patience::default(), |plan, _| {
        plan.server.limits.in_flight = 400 * 1024;
        plan.server.limits.in_flight_per_source = 100;
    });
    let waiting: Vec<Client> = (0..2).map(|number| half_sent(&setting, number, 90 * KIB, &[])).collect();
    setting.wait("both halves", |setting| in_flight(setting) == 180.0 * 1024.0);
    let reply = ring(&setting, &signed(&vec![b'y'; 60 * KIB], "d-1", &[]));
    assert_eq!((reply.status, reply.header("connection")), (503, Some("close")));
    assert!(reply.header("retry-after").is_some());
    assert_eq!(setting.requests("throttled"), 1.0);
    assert_eq!(ring(&setting, &signed(b"small enough", "d-2", &[])).status, 200);
    drop(waiting);
    setting.wait("all given back", |setting| in_flight(setting) == 0.0);
    assert_eq!(ring(&setting, &signed(&vec![b'y'; 60 * KIB], "d-1", &[])).status, 200);
}

#[test]
fn a_source_may_hold_its_share() {
    let setting = Setting::start_with(Patience::default(), |plan, _| {
        plan.server.limits.in_flight = 1000 * 1024;
        plan.server.limits.in_flight_per_source = 10;
    });
    let _waiting = half_sent(&setting, 0, 90 * KIB, &[]);
    setting.wait("the half", |setting| in_flight(setting) == 90.0 * 1024.0);
    assert_eq!(ring(&setting, &signed(&vec![b'y'; 60 * KIB], "d-1", &[])).status, 503);
}

#[test]
fn what_was_answered_holds_nothing_any_more() {
    let setting = Setting::start_with(Patience::default(), |plan, _| {
        plan.server.limits.in_flight = 300 * 1024;
        plan.server.limits.in_flight_per_source = 100;
    });
    let mut client = Client::connect(&setting);
    for number in 0..10 {
        let forged = format!("X-Hub-Signature-256: {}", signature("another", b""));
        let wrong = request("POST", PATH, &[&forged], &vec![b'y'; 100 * KIB]);
        assert_eq!(ring(&setting, &wrong).status, 401);
        let reply = client.send(&signed(&vec![b'y'; 100 * KIB], &format!("d-{number}"), &[])).reply();
        assert_eq!(reply.map(|reply| reply.status), Some(200), "{number}");
    }
}

#[test]
fn an_announcement_holds_nothing() {
    let setting = Setting::start_with(Patience::default(), |plan, _| {
        plan.server.limits.in_flight = 300 * 1024;
        plan.server.limits.in_flight_per_source = 100;
    });
    let _waiting: Vec<Client> = (0..20).map(|number| half_sent(&setting, number, 1, &[])).collect();
    setting.wait("one byte each", |setting| in_flight(setting) == 20.0);
    assert_eq!(ring(&setting, &signed(&vec![b'y'; 100 * KIB], "d-1", &[])).status, 200);
}

#[test]
fn an_address_may_have_so_many_unproved_requests() {
    let setting = Setting::start_with(Patience::default(), |plan, _| {
        plan.server.limits.in_flight_per_ip = 3;
        plan.server.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    });
    let from = "X-Forwarded-For: 203.0.113.9, 198.51.100.7";
    let mut waiting: Vec<Client> = (0..3).map(|number| half_sent(&setting, number, 1, &[from])).collect();
    setting.wait("three under way", |setting| in_flight(setting) == 3.0);
    let reply = ring(&setting, &signed(b"{}", "d-1", &[from]));
    assert_eq!((reply.status, setting.requests("throttled")), (503, 1.0));
    let forged = "X-Forwarded-For: 192.0.2.1, 198.51.100.7:4711";
    assert_eq!(ring(&setting, &signed(b"{}", "d-1", &[forged])).status, 503, "what the client wrote itself changes nothing");
    assert_eq!(ring(&setting, &signed(b"{}", "d-2", &["X-Forwarded-For: 198.51.100.8"])).status, 200, "another address");
    assert_eq!(ring(&setting, &signed(b"{}", "d-3", &[])).status, 200, "an unknown one: the proxy's own address is everybody's");
    waiting.pop();
    setting.wait("one given back", |setting| in_flight(setting) == 2.0);
    assert_eq!(ring(&setting, &signed(b"{}", "d-1", &[from])).status, 200);
}

#[test]
fn what_is_only_observed_stays_a_strangers() {
    let from = "X-Forwarded-For: 198.51.100.7";
    for (secret, second) in [("another", 503), (SECRET, 200)] {
        let setting = Setting::start_with(Patience::default(), |plan, source| {
            plan.server.limits.in_flight_per_ip = 1;
            plan.server.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
            let credential = Credential { name: "secret".into(), value: Secret::new(SECRET), until: None };
            let verifier = Verifier::compile(Catalogue::embedded().find("github").expect("embedded"), &[credential], None, None);
            source.verifier = verifier.expect("compiled").observing_until(Some(UnixMs(i64::MAX)));
        });
        // The store takes it and does not say so: it is under way until its answer is due.
        setting.store.is_from_now_on(Mood::Silent);
        let signature = format!("X-Hub-Signature-256: {}", signature(secret, b"{}"));
        let mut waiting = Client::connect(&setting);
        waiting.send(&request("POST", PATH, &[&signature, from], b"{}"));
        setting.wait("it reached the store", |setting| setting.store.admits() == 1);
        setting.store.is_from_now_on(Mood::Well);
        assert_eq!(ring(&setting, &signed(b"{}", "d-1", &[from])).status, second, "behind one that is signed with {secret:?}");
    }
}

#[test]
fn a_proxy_that_says_nothing_is_not_taken_for_one_client() {
    let setting = Setting::start_with(Patience::default(), |plan, _| {
        plan.server.limits.in_flight_per_ip = 1;
        plan.server.tls = Tls::Upstream;
    });
    let _waiting: Vec<Client> = (0..5).map(|number| half_sent(&setting, number, 1, &["X-Forwarded-For: 203.0.113.9"])).collect();
    setting.wait("five under way", |setting| in_flight(setting) == 5.0);
    assert_eq!(ring(&setting, &signed(b"{}", "d-1", &["X-Forwarded-For: 203.0.113.9"])).status, 200);
}

#[test]
fn a_full_house_lets_the_next_one_in_when_one_leaves() {
    let setting = Setting::start_with(Patience::default(), |plan, _| plan.server.limits.connections = 4);
    let mut inside: Vec<Client> = (0..4).map(|_| Client::connect(&setting)).collect();
    setting.wait("a full house", |setting| setting.series("hookgate_connections") == Some(4.0));
    let outside = std::thread::spawn({
        let mut client = Client::connect(&setting);
        move || client.send(&signed(b"{}", "d-1", &[])).reply().map(|reply| reply.status)
    });
    std::thread::park_timeout(Duration::from_millis(50));
    inside.clear();
    assert_eq!(outside.join().expect("no panic"), Some(200));
}
