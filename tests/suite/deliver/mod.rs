//! Deliveries against a zoo of targets: every way a target can behave becomes the right result, and nothing but its own delivery suffers.

mod operators;
pub(crate) mod rig;
mod target;
mod tls_target;
mod trouble;

use std::{sync::atomic::Ordering, time::Duration};

use hookgate::{
    delivery::{AttemptResult, DeadReason, State},
    limits::{ANSWER_BYTES_MAX, EXCERPT_BYTES_MAX},
    plan::{Auth, ClientTls, Egress, EgressClass, StatusPattern, Target},
    secret::Secret,
    store::{AttemptView, DeliveryView},
};

use rig::{Rig, target, wait_until};
use target::{Play, ScriptedTarget, answer};

/// One event against a target that plays this first and answers 200 from then on: the failed attempt, and the delivery in the end.
fn after(play: Play, settings: impl FnOnce(&mut Target)) -> (AttemptView, DeliveryView) {
    let scripted = ScriptedTarget::playing(move |number| if number == 0 { play.clone() } else { answer(200) });
    let mut to = target("app", &scripted.url());
    settings(&mut to);
    let rig = Rig::to(vec![to]);
    let delivery = rig.wait_for(rig.admit(&[], b"{}"), State::Delivered);
    assert_eq!(delivery.attempt, 2, "{delivery:?}");
    (delivery.attempts.first().expect("a failed attempt").clone(), delivery)
}

fn impatient(to: &mut Target) {
    to.timeout = Duration::from_millis(300);
}

fn bytes(text: &str) -> Play {
    Play::Bytes(text.as_bytes().to_vec())
}

#[test]
fn only_2xx_is_success_and_every_status_has_its_class() {
    let classes = [
        (301, AttemptResult::Http3xx),
        (400, AttemptResult::Http4xx),
        (404, AttemptResult::Http4xx),
        (410, AttemptResult::Http4xx),
        (429, AttemptResult::Http429),
        (500, AttemptResult::Http5xx),
        (503, AttemptResult::Http5xx),
        (799, AttemptResult::Http5xx),
        (999, AttemptResult::Http5xx),
    ];
    for (status, result) in classes {
        let (failed, delivery) = after(answer(status), |_| {});
        assert_eq!((failed.result, failed.status), (result, Some(status)));
        let odd = if status > 599 { format!("status {status} is none of HTTP, and counts as 5xx: ") } else { String::new() };
        assert_eq!(failed.excerpt.as_deref(), Some(&*format!("{odd}this is {status}")));
        assert_eq!((delivery.failures, delivery.status), (1, Some(200)), "{status}");
    }
}

#[test]
fn a_broken_connection_is_a_failed_attempt() {
    for play in [Play::Reset, Play::HalfClose] {
        let (failed, _) = after(play.clone(), |_| {});
        assert_eq!((failed.result, failed.status), (AttemptResult::Connect, None), "{play:?}: {failed:?}");
        assert!(failed.excerpt.is_some(), "{play:?}: a cause for people");
    }
}

#[test]
fn what_is_no_answer_is_the_targets_fault_and_not_the_connections() {
    let plays = [
        bytes("what?\r\n\r\n"),
        bytes("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
        bytes("HTTP/1.1 abc OK\r\n\r\n"),
        bytes("SSH-2.0-OpenSSH_9.9\r\n"),
    ];
    for play in plays {
        let (failed, _) = after(play.clone(), |_| {});
        assert_eq!((failed.result, failed.status), (AttemptResult::Http5xx, None), "{play:?}: {failed:?}");
        let said = failed.excerpt.unwrap_or_default();
        assert!(said.starts_with("the answer cannot be read as HTTP/1.1: "), "{play:?}: {said}");
    }
    let (failed, _) = after(bytes("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), |_| {});
    assert_eq!((failed.result, failed.status), (AttemptResult::Http5xx, Some(101)), "{failed:?}");
    assert_eq!(failed.excerpt.as_deref(), Some("status 101 changes to a protocol that nobody asked for"));
}

#[test]
fn a_target_that_never_ends_its_head_runs_into_the_time_limit_or_a_bound() {
    let (failed, _) = after(Play::Silence, impatient);
    assert_eq!((failed.result, failed.status), (AttemptResult::Timeout, None));
    let (failed, _) = after(bytes("HTTP/1.1 200 OK\r\nX-Half: "), impatient);
    assert_eq!(failed.result, AttemptResult::Timeout);
    let (failed, _) = after(Play::Flood(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()), impatient);
    assert_eq!(failed.result, AttemptResult::Timeout);
    let endless_head = Play::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), b"X-More: of the same\r\n".to_vec());
    let (failed, _) = after(endless_head, |_| {});
    assert_eq!(failed.result, AttemptResult::Http5xx);
}

#[test]
fn once_the_status_is_there_the_body_changes_nothing() {
    let endless = Play::Endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(), b"3\r\nabc\r\n".to_vec());
    let dawdling = bytes("HTTP/1.1 202 Accepted\r\nContent-Length: 1000\r\n\r\nfour");
    let informed = bytes("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
    let statuses = [(endless, 200), (dawdling, 202), (informed, 204)];
    for (play, status) in statuses {
        let scripted = ScriptedTarget::playing(move |_| play.clone());
        let mut to = target("app", &scripted.url());
        impatient(&mut to);
        let rig = Rig::to(vec![to]);
        let delivery = rig.wait_for(rig.admit(&[], b"{}"), State::Delivered);
        assert_eq!((delivery.attempt, delivery.status), (1, Some(status)));
    }
}

#[test]
fn a_huge_answer_is_read_to_its_bound_and_kept_to_an_excerpt() {
    let huge = Play::Endless(
        b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
        [b"2000\r\n", &[b'x'; 8192][..], b"\r\n"].concat(),
    );
    let scripted = ScriptedTarget::playing(move |number| if number == 0 { huge.clone() } else { answer(200) });
    let rig = Rig::to(vec![target("app", &scripted.url())]);
    let delivery = rig.wait_for(rig.admit(&[], b"{}"), State::Delivered);
    let excerpt = delivery.attempts[0].excerpt.clone().expect("an excerpt");
    assert_eq!(&*excerpt, "x".repeat(EXCERPT_BYTES_MAX));
    const { assert!(ANSWER_BYTES_MAX < 1 << 20, "far less than what the target would send") };
    scripted.wait_for_ends(1);
}

#[test]
fn no_redirect_is_followed() {
    let elsewhere = ScriptedTarget::answering(200);
    for status in [301, 302, 303, 307, 308] {
        let location = format!("Location: {}", elsewhere.url());
        let (failed, _) = after(Play::Answer(status, vec![location], vec![]), |_| {});
        assert_eq!(failed.result, AttemptResult::Http3xx);
        assert!(failed.excerpt.is_some_and(|text| text.contains("not followed") && text.contains(&elsewhere.url())));
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn every_attempt_carries_the_same_id_and_bytes_and_a_rising_number() {
    let scripted = ScriptedTarget::playing(|number| match number {
        0 => answer(500),
        1 => Play::HalfClose,
        _ => answer(200),
    });
    let mut to = target("app", &scripted.url());
    to.headers = vec![(http::HeaderName::from_static("x-team"), http::HeaderValue::from_static("a"))];
    to.auth = Some(Auth::Bearer(Secret::new("t0ken")));
    let rig = Rig::to(vec![to]);
    let body: Vec<u8> = (0..=255).collect();
    let id = rig.admit(&[("X-Signature", b"t=1,v1=\xfe"), ("Content-Type", b"application/json; charset=utf-8")], &body);
    let delivery = rig.wait_for(id, State::Delivered);
    let seen = scripted.wait_for(3);
    for (number, request) in seen.iter().enumerate() {
        assert_eq!(request.line, "POST /hook?a=1 HTTP/1.1");
        assert_eq!(request.body, body);
        assert_eq!(request.one("hookgate-delivery-id"), delivery.id.to_string());
        assert_eq!(request.one("hookgate-attempt"), (number + 1).to_string());
        assert_eq!(request.one("host"), scripted.at.to_string());
        assert_eq!(request.one("content-length"), "256");
        assert_eq!(request.one("authorization"), "Bearer t0ken");
        assert_eq!(request.one("x-team"), "a");
        assert_eq!(request.one("content-type"), "application/json; charset=utf-8");
        assert!(request.headers.iter().any(|(name, value)| name == "x-signature" && value == b"t=1,v1=\xfe"));
        for absent in ["hookgate-replay", "transfer-encoding", "expect", "user-agent", "referer"] {
            assert!(request.all(absent).is_empty(), "{absent}");
        }
    }
    assert_eq!(delivery.attempts.len(), 2);
}

#[test]
fn a_final_status_and_a_spent_budget_are_dead_letters() {
    let gone = ScriptedTarget::answering(410);
    let mut to = target("app", &gone.url());
    to.retry.dead_on = vec![StatusPattern::Exact(410)];
    let rig = Rig::to(vec![to]);
    let delivery = rig.wait_for(rig.admit(&[], b"{}"), State::Dead);
    assert_eq!((delivery.attempt, delivery.dead), (1, Some(DeadReason::Status)));
    rig.wait_for_metric("hookgate_deliveries_total{outcome=\"dead\",target=\"app\"} 1");

    let down = ScriptedTarget::answering(500);
    let mut to = target("app", &down.url());
    to.retry.attempts = Some(3);
    let rig = Rig::to(vec![to]);
    let delivery = rig.wait_for(rig.admit(&[], b"{}"), State::Dead);
    assert_eq!((delivery.attempt, delivery.dead), (3, Some(DeadReason::Attempts)));
}

#[test]
fn retry_after_is_heeded() {
    let scripted = ScriptedTarget::playing(|_| Play::Answer(429, vec!["Retry-After: 30".into()], vec![]));
    let rig = Rig::to(vec![target("app", &scripted.url())]);
    let id = rig.admit(&[], b"{}");
    scripted.wait_for(1);
    let waiting = || rig.view(id).deliveries[0].clone();
    wait_until("the retry", || waiting().state == State::Pending && waiting().attempts.len() == 1);
    let delivery = waiting();
    let asked = delivery.due.expect("due").ms_since(delivery.attempts[0].at);
    assert!((30_000..60_000).contains(&asked), "{asked} ms");
    assert_eq!(delivery.failures, 0, "what the target asks for does not use up the budget");
}

#[test]
fn what_is_not_reached_says_which_step_failed() {
    let plain = ScriptedTarget::playing(|_| bytes("HTTP/1.1 400 Bad Request\r\n\r\n"));
    let tls = tls_target::TlsTarget::start();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let cases = [
        (format!("http://{closed}/"), AttemptResult::Connect),
        ("http://nothing.invalid/".to_owned(), AttemptResult::Dns),
        (format!("https://{}/", plain.at), AttemptResult::Tls),
        (format!("https://localhost:{}/", tls.port), AttemptResult::Tls),
    ];
    for (url, result) in cases {
        let mut to = target("app", &url);
        // A root of its own, which has signed nothing: the system's roots may be missing where the tests run.
        to.tls = ClientTls { ca: Some(tls.stranger.clone().into()), ..ClientTls::default() };
        let rig = Rig::to(vec![to]);
        let id = rig.admit(&[], b"{}");
        wait_until("a failed attempt", || !rig.view(id).deliveries[0].attempts.is_empty());
        let failed = rig.view(id).deliveries[0].attempts[0].clone();
        assert_eq!((failed.result, failed.status), (result, None), "{url}: {failed:?}");
    }
}

#[test]
fn a_target_with_a_ca_of_its_own_is_trusted_by_it() {
    let tls = tls_target::TlsTarget::start();
    let mut to = target("app", &format!("https://localhost:{}/in", tls.port));
    to.tls = ClientTls { ca: Some(tls.certificate.clone().into()), ..ClientTls::default() };
    let rig = Rig::to(vec![to]);
    for _ in 0..3 {
        let delivery = rig.wait_for(rig.admit(&[], b"over TLS"), State::Delivered);
        assert_eq!(delivery.attempt, 1, "{delivery:?}");
    }
}

#[test]
fn the_egress_guard_judges_the_connected_address() {
    let scripted = ScriptedTarget::answering(200);
    let port = scripted.at.port();
    let denying = || Egress { deny_classes: vec![EgressClass::Loopback], deny_nets: vec![], allow: vec![] };
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"] {
        let rig = Rig::guarded(vec![target("app", &format!("http://{host}:{port}/"))], denying());
        let id = rig.admit(&[], b"{}");
        wait_until("a failed attempt", || !rig.view(id).deliveries[0].attempts.is_empty());
        let failed = rig.view(id).deliveries[0].attempts[0].clone();
        assert_eq!((failed.result, failed.status), (AttemptResult::EgressDenied, None), "{host}: {failed:?}");
    }
    assert_eq!(scripted.connections(), 0);
    let allowing = Egress { allow: vec!["127.0.0.1/32".parse().expect("a network")], ..denying() };
    let rig = Rig::guarded(vec![target("app", &format!("http://localhost:{port}/"))], allowing);
    rig.wait_for(rig.admit(&[], b"{}"), State::Delivered);
}

#[test]
fn a_silent_target_delays_only_its_own() {
    let silent = ScriptedTarget::playing(|_| Play::Silence);
    let well = ScriptedTarget::answering(204);
    let rig = Rig::to(vec![target("silent", &silent.url()), target("well", &well.url())]);
    let ids: Vec<_> = (0..40).map(|number: u32| rig.admit(&[], &number.to_le_bytes())).collect();
    well.wait_for(ids.len());
    let of_well = |id| rig.view(id).deliveries.into_iter().find(|one| one.target.as_str() == "well").expect("owed");
    wait_until("all of them", || ids.iter().all(|id| of_well(*id).state == State::Delivered));
    assert!(silent.seen().len() <= 4, "no more than its concurrency");
}

#[test]
fn a_connection_is_used_again_and_a_closed_one_costs_no_attempt() {
    let scripted = ScriptedTarget::playing(|number| if number == 2 { Play::AnswerThenClose } else { answer(200) });
    let rig = Rig::to(vec![target("app", &scripted.url())]);
    for number in 0..5 {
        let delivery = rig.wait_for(rig.admit(&[], b"{}"), State::Delivered);
        assert_eq!(delivery.attempt, 1, "{number}: {delivery:?}");
        if number == 2 {
            scripted.wait_for_ends(1);
        }
    }
    let connections: Vec<usize> = scripted.seen().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [0, 0, 0, 1, 1]);
}

#[test]
fn what_waited_before_the_start_is_delivered_in_order_of_acceptance() {
    let scripted = ScriptedTarget::answering(200);
    let mut to = target("app", &scripted.url());
    to.concurrency = 1;
    let mut rig = Rig::stopped(vec![to], Egress { deny_classes: vec![], deny_nets: vec![], allow: vec![] });
    let waiting: Vec<_> = (0..30_u32).map(|number| rig.admit(&[], &number.to_le_bytes())).collect();
    rig.start();
    waiting.iter().for_each(|id| drop(rig.wait_for(*id, State::Delivered)));
    let bodies: Vec<Vec<u8>> = scripted.seen().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, (0..30_u32).map(|number| number.to_le_bytes().to_vec()).collect::<Vec<_>>());
}

#[test]
fn lost_bytes_are_never_made_up() {
    let scripted = ScriptedTarget::answering(200);
    let mut rig = Rig::stopped(vec![target("app", &scripted.url())], Egress { deny_classes: vec![], deny_nets: vec![], allow: vec![] });
    let id = rig.admit(&[], b"{}");
    rig.store.reads_failing.store(usize::MAX, Ordering::SeqCst);
    rig.start();
    let delivery = rig.wait_for(id, State::Dead);
    assert_eq!(delivery.dead, Some(DeadReason::PayloadLost));
    assert_eq!(scripted.connections(), 0);
}

#[test]
fn a_store_in_trouble_costs_time_and_nothing_else() {
    let scripted = ScriptedTarget::answering(200);
    let mut rig = Rig::stopped(vec![target("app", &scripted.url())], Egress { deny_classes: vec![], deny_nets: vec![], allow: vec![] });
    let id = rig.admit(&[], b"{}");
    rig.store.reads_failing.store(2, Ordering::SeqCst);
    rig.store.settles_failing.store(2, Ordering::SeqCst);
    rig.start();
    let delivery = rig.wait_for(id, State::Delivered);
    assert_eq!((delivery.failures, scripted.seen().len()), (0, 1), "{delivery:?}");
    rig.wait_for_metric("hookgate_deliveries_total{outcome=\"delivered\",target=\"app\"} 1");
    rig.wait_for_metric("hookgate_delivery_lag_seconds_count{target=\"app\"} 1");
    rig.wait_for_metric("hookgate_attempts_total{result=\"delivered\",target=\"app\"} 1");
}

#[test]
fn a_stop_cuts_what_runs_and_the_next_start_goes_on() {
    let scripted = ScriptedTarget::playing(|number| if number == 0 { Play::Silence } else { answer(200) });
    let mut rig = Rig::to(vec![target("app", &scripted.url())]);
    let id = rig.admit(&[], b"{}");
    scripted.wait_for(1);
    assert!(rig.shards().alive());
    let turn = rig.shards().last_turn();
    wait_until("a heartbeat", || rig.shards().last_turn() > turn);
    let stopped = rig.stop(Duration::from_millis(50));
    assert_eq!((stopped.cut, stopped.unsettled), (1, 0));
    scripted.wait_for_ends(1);
    assert_eq!(rig.view(id).deliveries[0].state, State::Pending, "released, not left to run out");
    rig.start();
    let delivery = rig.wait_for(id, State::Delivered);
    let seen = scripted.seen();
    assert_eq!(seen[0].one("hookgate-delivery-id"), seen[1].one("hookgate-delivery-id"));
    assert_eq!((seen[1].one("hookgate-attempt"), delivery.attempt), ("2".to_owned(), 2));
}

#[test]
fn an_idle_stop_is_quick_and_quiet() {
    let scripted = ScriptedTarget::answering(200);
    let mut rig = Rig::to(vec![target("app", &scripted.url())]);
    rig.wait_for(rig.admit(&[], b"{}"), State::Delivered);
    let stopped = rig.stop(Duration::from_secs(600));
    assert_eq!((stopped.cut, stopped.unsettled), (0, 0));
}
