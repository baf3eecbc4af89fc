//! Deliveries that take the process down, and attempts that only take themselves down.

use std::collections::BTreeSet;

use crate::support::{
    exposition::Exposition,
    gateway::Gateway,
    listener::Reaction,
    patience::{SOON, holds_within, wait_until},
    recorder::Recorder,
    sender::{SECRET, github},
    wire::Connection,
};

/// Crashes that put a delivery away: two among others, and three alone.
const CRASHES: usize = 5;

fn gateway(target: &Recorder, fault: &str) -> Gateway {
    Gateway::written(&format!(
        r#"
sources:
  github: {{ provider: github, secret: "{SECRET}" }}
targets:
  app: {{ url: "{}", retry: {{ first: 20ms, max: 100ms }}, breaker: none }}
routes:
  - {{ from: github, to: app }}
"#,
        target.url()
    ))
    .with_variable("HOOKGATE_FAULT", fault)
}

#[test]
fn a_delivery_that_ends_the_process_is_put_away_and_everything_else_arrives() {
    let target = Recorder::reacting(|_, _| Reaction::Slow(std::time::Duration::from_millis(30), 200));
    let mut gateway = gateway(&target, "poison");
    gateway.boot();
    let mut sent = BTreeSet::new();
    for number in 0..30 {
        let id = format!("d-{number}");
        let body = format!("{{\"n\":{number}}}").into_bytes();
        assert_eq!(gateway.ring(&github("/hooks/github", SECRET, &id, &body)).status, 200);
        sent.insert(body);
    }
    // The answer may be lost with the process; the event is not.
    let poison = github("/hooks/github", SECRET, "d-poison", b"{\"n\":\"poison\"}");
    let _ = Connection::plain(gateway.door()).and_then(|mut connection| connection.exchange(&poison));
    let mut crashes = 0;
    loop {
        let ended = holds_within(SOON, || !gateway.is_running() || dead(&gateway) == 1);
        assert!(ended, "after {crashes} crashes it neither ends nor is the poison put away");
        if gateway.is_running() {
            break;
        }
        crashes += 1;
        assert!(crashes <= CRASHES, "it goes on and on");
        gateway.wait();
        gateway.spawn();
        wait_until("it is ready, or ends again", || gateway.is_ready() || !gateway.is_running());
    }
    assert_eq!(crashes, CRASHES);
    gateway.wait_until_drained();
    let arrived: BTreeSet<Vec<u8>> = target.seen().into_iter().map(|received| received.body).collect();
    assert_eq!(arrived, sent, "nobody else was put away, and the poison was not sent");
    assert!(gateway.log().contains("quarantined"), "{}", gateway.log());
}

fn dead(gateway: &Gateway) -> u64 {
    let scraped = gateway.look("/metrics").map(|answer| Exposition::parse(&answer.text()));
    scraped.map_or(0, |metrics| metrics.count("queue_deliveries", &[("target", "app"), ("state", "dead")]))
}

#[test]
fn an_attempt_that_panics_is_tried_again_and_nothing_else_notices() {
    let target = Recorder::start();
    let mut gateway = gateway(&target, "attempt_panics:0.5");
    gateway.boot();
    for number in 0..30 {
        assert_eq!(gateway.ring(&github("/hooks/github", SECRET, &format!("d-{number}"), b"{}")).status, 200);
    }
    gateway.wait_until_drained();
    assert_eq!(target.count(), 30, "each arrives once: what panicked had sent nothing");
    assert!(gateway.log().contains("an attempt panicked"), "{}", gateway.log());
    assert!(gateway.is_running() && gateway.is_ready());
}
