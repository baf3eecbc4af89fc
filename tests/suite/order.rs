//! `order_by` over sockets: events of one customer arrive one after the other, whatever fails and whoever is killed in between.

use std::collections::BTreeMap;

use crate::{
    crash::setting,
    support::{
        campaign::one_at_a_time,
        gateway::Gateway,
        listener::{Reaction, Received},
        patience::{wait_until, wait_while_it_grows},
        recorder::Recorder,
        sender::{SECRET, github},
        wire::Connection,
    },
};

fn gateway(target: &Recorder) -> Gateway {
    Gateway::start(&format!(
        r#"
sources:
  github: {{ provider: github, secret: "{SECRET}" }}
targets:
  app:
    url: "{}"
    order_by: "{{json:/customer}}"
    retry: {{ first: 50ms, max: 200ms }}
    breaker: none
routes:
  - {{ from: github, to: app }}
"#,
        target.url()
    ))
}

fn body(customer: usize, number: usize) -> Vec<u8> {
    format!("{{\"customer\":\"c-{customer}\",\"n\":{number}}}").into_bytes()
}

/// Customer and number of what was received.
fn read(received: &Received) -> (String, usize) {
    let value: serde_json::Value = serde_json::from_slice(&received.body).expect("JSON");
    (value["customer"].as_str().unwrap_or_default().to_owned(), usize::try_from(value["n"].as_u64().expect("a number")).expect("small"))
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what a campaign is for")]
fn each_key_arrives_in_order_over_failures_and_kills() {
    let _turn = one_at_a_time();
    let (customers, each, kills) = (setting("ORDER_KEYS", 8), setting("ORDER_EACH", 12), setting("ORDER_KILLS", 2));
    // Every third request fails, whatever it is.
    let target = Recorder::reacting(|_, count| Reaction::Status(if count % 3 == 0 { 500 } else { 200 }));
    let mut gateway = gateway(&target);
    let mut killed = 0;
    for number in 0..each {
        let mut connection = Connection::plain(gateway.door()).expect("a connection");
        for customer in 0..customers {
            let id = format!("d-{customer}-{number}");
            let answer = connection.exchange(&github("/hooks/github", SECRET, &id, &body(customer, number)));
            assert_eq!(answer.expect("an answer").status, 200);
        }
        if killed < kills && (number + 1) * (kills + 1) >= each * (killed + 1) {
            gateway.kill();
            gateway.boot();
            killed += 1;
        }
    }
    wait_while_it_grows("attempts", || target.count() as u64, || gateway.open_deliveries() == 0);
    let mut last = BTreeMap::new();
    let seen = target.seen();
    for received in &seen {
        let (customer, number) = read(received);
        let before = last.insert(customer.clone(), number);
        // A number is tried again until it is taken, and the next one comes only then.
        let fits = before.map_or(number == 0, |before| number == before || number == before + 1);
        assert!(fits, "{customer}: {number} after {before:?}");
    }
    println!("order: {} events of {customers} keys, {killed} kills, {} attempts, 0 out of order", customers * each, seen.len());
    assert_eq!((last.len(), killed), (customers, kills));
    assert!(last.values().all(|number| *number == each - 1), "{last:?}");
}

#[test]
fn who_fails_holds_up_his_own_key_and_is_shown_as_the_one_before() {
    let target = Recorder::reacting(|received, _| Reaction::Status(if received.body == body(1, 0) { 500 } else { 200 }));
    let gateway = gateway(&target);
    let ring = |customer, number| {
        let sent = github("/hooks/github", SECRET, &format!("d-{customer}-{number}"), &body(customer, number));
        assert_eq!(gateway.ring(&sent).status, 200);
    };
    ring(1, 0);
    ring(1, 1);
    (0..5).for_each(|number| ring(2, number));
    let unordered = github("/hooks/github", SECRET, "d-none", b"{}");
    assert_eq!(gateway.ring(&unordered).status, 200);
    wait_until("the others arrive", || target.seen().iter().filter(|received| received.body != body(1, 0)).count() == 6);
    assert!(target.seen().iter().all(|received| received.body != body(1, 1)));
    wait_until("who fails is open, and who waits for it", || gateway.open_deliveries() == 2);
}
