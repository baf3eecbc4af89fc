//! The main job, from end to end: signed webhooks over HTTPS go in, every target gets them untouched, repeats are known, failures are tried
//! again.

use rustls::version::{TLS12, TLS13};

use crate::support::{
    certificate::Authority,
    gateway::Gateway,
    listener::{Reaction, Received},
    patience::wait_until,
    recorder::Recorder,
    sender::{SECRET, github, github_signature, standard_webhooks, stripe},
    wire::{Answer, Connection, Ring},
};

const STANDARD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Bytes that every careless hop would change: spacing, an escape, a number that loses its form, bytes that are no UTF-8.
const ODD_BODY: &[u8] = b"{\"ref\":\"refs/heads/main\",  \"odd\":\"\xc3\xa9 \\u00e9\xff\",\r\n\"n\":1.0,\"n\":1e2}\n";

fn secure(authority: &Authority, targets: &[(&str, &Recorder)]) -> Gateway {
    let targets: String = targets.iter().map(|(name, target)| format!("  {name}: {{ url: \"{}\" }}\n", target.url())).collect();
    let gateway = Gateway::written(&format!(
        r#"
server:
  listen: "127.0.0.1:@DOOR@"
  public_url: https://hooks.example.com
  tls: {{ cert: "@DIR@/door.pem", key: "@DIR@/door.key" }}
sources:
  github: {{ provider: github, secret: "${{GH_SECRET}}" }}
  stripe: {{ provider: stripe, secret: ["{SECRET}-new", "{SECRET}-old"] }}
  standard: {{ provider: standard-webhooks, secret: "{STANDARD_SECRET}" }}
targets:
{targets}routes:
  - {{ from: github, to: [crm, audit] }}
  - {{ from: stripe, types: ["invoice.*"], to: [crm, audit] }}
  - {{ from: standard, to: audit }}
"#
    ));
    authority.issue("localhost", gateway.folder(), "door");
    gateway.with_variable("GH_SECRET", SECRET)
}

fn ring(gateway: &Gateway, authority: &Authority, ring: &Ring) -> Answer {
    let client = authority.client(&[&TLS12, &TLS13], &["h2", "http/1.1"]);
    let connection = Connection::tls(gateway.door(), client);
    connection.and_then(|mut connection| connection.exchange(ring)).expect("an answer over TLS")
}

#[test]
fn signed_webhooks_over_https_reach_every_target_that_wants_them() {
    let (authority, crm, audit) = (Authority::new(), Recorder::start(), Recorder::start());
    let mut gateway = secure(&authority, &[("crm", &crm), ("audit", &audit)]);
    gateway.boot();

    let answer = ring(&gateway, &authority, &github("/hooks/github", SECRET, "d-1", ODD_BODY));
    assert_eq!((answer.status, answer.result()), (200, Some("accepted")), "{answer:?}");
    let event_id = answer.event_id().expect("an id").to_owned();
    for target in [&crm, &audit] {
        let received = &target.wait_for(1)[0];
        assert_eq!(received.body, ODD_BODY, "not a byte is changed");
        assert_eq!(received.header("x-hub-signature-256"), github_signature(SECRET, ODD_BODY), "and the vendor's signature still holds");
        assert_eq!(received.header("hookgate-event-id"), event_id);
    }

    let invoice = |id: &str| format!("{{\"id\":\"{id}\",\"type\":\"invoice.paid\"}}").into_bytes();
    for secret in ["new", "old"] {
        let sent = stripe("/hooks/stripe", &format!("{SECRET}-{secret}"), 0, &invoice(&format!("evt_{secret}")));
        assert_eq!(ring(&gateway, &authority, &sent).status, 200, "the {secret} secret holds while they are exchanged");
    }
    let sent = standard_webhooks("/hooks/standard", STANDARD_SECRET, "msg_1", 0, b"{\"type\":\"contact.created\"}");
    assert_eq!(ring(&gateway, &authority, &sent).status, 200);
    let seen = audit.wait_for(4);
    let types: Vec<&str> = seen.iter().map(|received| received.header("hookgate-event-type")).collect();
    assert!(types.contains(&"invoice.paid") && types.contains(&"contact.created") && types.contains(&"push"), "{types:?}");
    gateway.wait_until_drained();
    assert_eq!((crm.count(), audit.count()), (3, 4), "nobody got what no route gives him");
}

#[test]
fn a_target_is_told_who_rang_and_nothing_it_must_not_know() {
    let (authority, crm, audit) = (Authority::new(), Recorder::start(), Recorder::start());
    let mut gateway = secure(&authority, &[("crm", &crm), ("audit", &audit)]);
    gateway.boot();
    let sent = github("/hooks/github?tenant=7", SECRET, "d-1", ODD_BODY)
        .with("Cookie", "session=1")
        .with("X-Forwarded-For", "203.0.113.9")
        .with("X-Forwarded-Host", "evil.example.com")
        .with("Forwarded", "for=203.0.113.9")
        .with("X-Real-IP", "203.0.113.9")
        .with("CF-Connecting-IP", "203.0.113.9")
        .with("Hookgate-Event-Id", "evt_forged")
        .with("Hookgate-Verified", "forged")
        .with("Connection", "keep-alive, X-Hop")
        .with("X-Hop", "1")
        .with("X-GitHub-Hook-ID", "12345");
    let answer = ring(&gateway, &authority, &sent);
    assert_eq!(answer.status, 200);
    let received = &crm.wait_for(1)[0];
    assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/in"));
    let expected = [
        ("hookgate-event-id", answer.event_id().expect("an id")),
        ("hookgate-attempt", "1"),
        ("hookgate-source", "github"),
        ("hookgate-provider", "github"),
        ("hookgate-event-type", "push"),
        ("hookgate-provider-event-id", "d-1"),
        ("hookgate-original-url", "https://hooks.example.com/hooks/github?tenant=7"),
        ("hookgate-verified", "true"),
        ("x-github-hook-id", "12345"),
        ("content-type", "application/json"),
        ("host", &crm.address().to_string()),
    ];
    for (name, value) in expected {
        assert_eq!(received.header(name), value, "{name} in {:?}", received.headers);
    }
    assert!(received.header("hookgate-delivery-id").starts_with("dlv_"), "{:?}", received.headers);
    assert!(received.header("via").contains("hookgate"), "{:?}", received.headers);
    let at = received.header("hookgate-received-at");
    assert!(at.len() == "2025-10-09T08:53:20.007Z".len() && at.ends_with('Z'), "RFC 3339 with milliseconds: {at}");
    for gone in ["cookie", "x-forwarded-for", "x-forwarded-host", "forwarded", "x-real-ip", "cf-connecting-ip", "x-hop", "hookgate-replay"]
    {
        assert!(received.headers.iter().all(|(name, _)| name != gone), "{gone} in {:?}", received.headers);
    }
    let ours = |name: &str| received.headers.iter().filter(|(other, _)| other == name).count();
    assert_eq!((ours("hookgate-event-id"), ours("hookgate-verified")), (1, 1), "what the sender claimed to be ours is gone");
}

#[test]
fn the_door_speaks_tls_1_2_and_1_3_and_no_http_2() {
    let (authority, crm, audit) = (Authority::new(), Recorder::start(), Recorder::start());
    let mut gateway = secure(&authority, &[("crm", &crm), ("audit", &audit)]);
    gateway.boot();
    for version in [&TLS12, &TLS13] {
        let connection = Connection::tls(gateway.door(), authority.client(&[version], &["h2", "http/1.1"])).expect("a handshake");
        assert_eq!(connection.protocol().as_deref(), Some("http/1.1"), "{version:?}");
    }
    let strangers = Authority::new().client(&[&TLS13], &["http/1.1"]);
    assert!(Connection::tls(gateway.door(), strangers).is_err(), "the certificate is the one that was configured");
    let plain =
        Connection::plain(gateway.door()).and_then(|mut connection| connection.exchange(&github("/hooks/github", SECRET, "d", b"{}")));
    assert!(plain.is_err(), "no plain HTTP at a TLS door: {plain:?}");
}

#[test]
fn a_repeat_is_known_whoever_answers_it() {
    let target = Recorder::start();
    let mut gateway = Gateway::start(&one_target(&target, ""));
    let sent = github("/hooks/github", SECRET, "d-1", ODD_BODY);
    let first = gateway.ring(&sent);
    assert_eq!((first.status, first.result()), (200, Some("accepted")));
    for when in ["at once", "after the delivery", "after a stop", "after a kill"] {
        let again = gateway.ring(&sent);
        assert_eq!((again.status, again.result()), (200, Some("duplicate")), "{when}");
        assert_eq!(again.event_id(), first.event_id(), "{when}");
        match when {
            "at once" => drop(target.wait_for(1)),
            "after the delivery" => assert!(gateway.terminate().success()),
            _ => gateway.kill(),
        }
        if when.starts_with("after") {
            gateway.boot();
        }
    }
    gateway.wait_until_drained();
    assert_eq!(target.count(), 1, "one fan-out");
    let other = gateway.ring(&github("/hooks/github", SECRET, "d-2", ODD_BODY));
    assert_eq!(other.result(), Some("accepted"), "the same bytes under another id are another event");
}

#[test]
fn what_no_route_wants_is_kept_and_acknowledged() {
    let target = Recorder::start();
    let gateway = Gateway::start(&format!(
        r#"
sources:
  stripe: {{ provider: stripe, secret: "{SECRET}" }}
targets:
  app: {{ url: "{}" }}
routes:
  - {{ from: stripe, types: ["invoice.*"], to: app }}
"#,
        target.url()
    ));
    let unwanted = stripe("/hooks/stripe", SECRET, 0, b"{\"id\":\"evt_x\",\"type\":\"customer.created\"}");
    let answer = gateway.ring(&unwanted);
    assert_eq!((answer.status, answer.result()), (200, Some("accepted")));
    assert_eq!(gateway.ring(&unwanted).result(), Some("duplicate"));
    let wanted = stripe("/hooks/stripe", SECRET, 0, b"{\"id\":\"evt_y\",\"type\":\"invoice.paid\"}");
    assert_eq!(gateway.ring(&wanted).status, 200);
    assert_eq!(target.wait_for(1)[0].header("hookgate-event-type"), "invoice.paid");
    let metrics = gateway.metrics();
    assert_eq!(metrics.count("requests_total", &[("source", "stripe"), ("result", "unrouted")]), 1);
    assert_eq!(metrics.count("requests_total", &[("source", "stripe"), ("result", "duplicate")]), 1);
    assert_eq!(metrics.count("deliveries_created_total", &[]), 1);
}

/// A GitHub source and one target, `app`, with these further settings.
pub(crate) fn one_target(target: &Recorder, settings: &str) -> String {
    format!(
        r#"
sources:
  github: {{ provider: github, secret: "{SECRET}" }}
targets:
  app: {{ url: "{}"{settings} }}
routes:
  - {{ from: github, to: app }}
"#,
        target.url()
    )
}

/// These sections, and everything that any source takes to one target, `app`.
pub(crate) fn all_to(target: &Recorder, sections: &str) -> String {
    format!("{sections}\ntargets:\n  app: {{ url: \"{}\" }}\nroutes:\n  - {{ to: app }}\n", target.url())
}

#[test]
fn a_failed_attempt_is_tried_again_under_the_same_delivery() {
    let failures = [Reaction::Status(500), Reaction::Status(404), Reaction::Status(302), Reaction::HangUp];
    let target = Recorder::reacting(move |_, count| failures.get(count - 1).cloned().unwrap_or(Reaction::Status(200)));
    let gateway = Gateway::start(&one_target(&target, ", retry: { first: 50ms, max: 200ms }"));
    gateway.ring(&github("/hooks/github", SECRET, "d-1", ODD_BODY));
    let seen = target.wait_for(5);
    gateway.wait_until_drained();
    assert_eq!(seen.iter().map(Received::attempt).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(seen.iter().all(|received| received.header("hookgate-delivery-id") == seen[0].header("hookgate-delivery-id")));
    assert!(seen.iter().all(|received| received.body == ODD_BODY));
    let metrics = gateway.metrics();
    for (result, count) in [("http_5xx", 1), ("http_4xx", 1), ("http_3xx", 1), ("connect", 1), ("delivered", 1)] {
        assert_eq!(metrics.count("attempts_total", &[("target", "app"), ("result", result)]), count, "{result}");
    }
    // The store knows a moment before it is counted.
    wait_until("it counts as delivered", || gateway.metrics().count("deliveries_total", &[("outcome", "delivered")]) == 1);
}

#[test]
fn a_dead_letter_is_announced_and_a_repeat_revives_it() {
    for (settings, tries) in [(", retry: { first: 50ms, dead_on: [410] }", 1), (", retry: { first: 50ms, max: 100ms, attempts: 3 }", 3)] {
        let target = Recorder::reacting(move |_, count| Reaction::Status(if count <= tries { 410 } else { 200 }));
        let gateway = Gateway::start(&one_target(&target, settings));
        let sent = github("/hooks/github", SECRET, "d-1", ODD_BODY);
        let first = gateway.ring(&sent);
        let dead = |gateway: &Gateway| gateway.metrics().count("deliveries_total", &[("target", "app"), ("outcome", "dead")]);
        wait_until("the delivery was dead", || dead(&gateway) == 1);
        assert_eq!(target.count(), tries);
        assert_eq!(gateway.metrics().count("queue_deliveries", &[("target", "app"), ("state", "dead")]), 1);

        let again = gateway.ring(&sent);
        assert_eq!((again.status, again.result()), (200, Some("duplicate")), "a repeat stays a repeat");
        assert_eq!(again.event_id(), first.event_id());
        let seen = target.wait_for(tries + 1);
        gateway.wait_until_drained();
        let (old, new) = (&seen[0], &seen[tries]);
        assert_eq!(new.header("hookgate-event-id"), old.header("hookgate-event-id"), "the same event");
        assert_ne!(new.header("hookgate-delivery-id"), old.header("hookgate-delivery-id"), "a delivery of its own");
        assert_eq!((new.attempt(), new.body.as_slice()), (1, ODD_BODY));
        assert_eq!(gateway.ring(&sent).result(), Some("duplicate"));
        gateway.wait_until_drained();
        assert_eq!(target.count(), tries + 1, "what arrived is not revived again");
        assert_eq!(gateway.metrics().count("deliveries_created_total", &[("target", "app")]), 2, "the revived one is one more");
    }
}
