//! Targets in trouble, over sockets: what the simulator shows of lanes holds for the gateway's threads too.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use hookgate::{
    clock::Clock,
    delivery::State,
    plan::{BreakerPolicy, RampPolicy, Rate, Target},
};

use super::{
    rig::{Rig, target, wait_until},
    target::{Play, ScriptedTarget, answer},
};

fn breaker() -> BreakerPolicy {
    BreakerPolicy {
        consecutive: 3,
        failure_percent: 50,
        window: Duration::from_secs(30),
        min_attempts: 20,
        open_for: Duration::from_secs(1),
        open_for_max: Duration::from_secs(2),
        ramp: Some(RampPolicy { per_second: 50, double_every: Duration::from_secs(1) }),
    }
}

#[test]
fn a_target_that_is_down_is_left_alone_and_gets_everything_when_it_is_back() {
    let (is_down, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let scripted = ScriptedTarget::playing({
        let (is_down, asked) = (Arc::clone(&is_down), Arc::clone(&asked));
        move |_| {
            asked.fetch_add(1, Ordering::Relaxed);
            answer(if is_down.load(Ordering::Relaxed) { 500 } else { 200 })
        }
    });
    let well = ScriptedTarget::playing(|_| answer(200));
    let mut down = target("down", &scripted.url());
    down.breaker = Some(breaker());
    let rig = Rig::to(vec![down, target("well", &well.url())]);
    let events: Vec<_> = (0..40).map(|_| rig.admit(&[], b"{}")).collect();
    rig.wait_for_metric("hookgate_target_breaker_open{target=\"down\"} 1");
    wait_until("the others", || events.iter().all(|id| rig.view(*id).deliveries.iter().any(|to| to.state == State::Delivered)));
    // Three in a row opened it, and three more were under way; retries are due every 20 ms, and one probe a second is all they get.
    wait_until("two probes", || asked.load(Ordering::Relaxed) >= 6);
    let before = asked.load(Ordering::Relaxed);
    assert!(before <= 10, "{before} attempts while it is down");
    is_down.store(false, Ordering::Relaxed);
    wait_until("everything", || events.iter().all(|id| rig.view(*id).deliveries.iter().all(|to| to.state == State::Delivered)));
    rig.wait_for_metric("hookgate_target_breaker_open{target=\"down\"} 0");
    rig.wait_for_metric("hookgate_deliveries_total{outcome=\"delivered\",target=\"down\"} 40");
}

#[test]
fn a_target_that_asks_for_time_is_asked_by_nobody_until_then() {
    let asks = b"HTTP/1.1 429 Too Many\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n".to_vec();
    let scripted = ScriptedTarget::playing(move |number| if number == 0 { Play::Bytes(asks.clone()) } else { answer(200) });
    let rig = Rig::to(vec![Target { concurrency: 1, ..target("app", &scripted.url()) }]);
    let first = rig.admit(&[], b"{}");
    wait_until("the first answer", || rig.view(first).deliveries.iter().any(|to| !to.attempts.is_empty()));
    let asked = Clock::System.mono();
    let second = rig.admit(&[], b"{}");
    rig.wait_for(second, State::Delivered);
    let waited = Clock::System.mono().since(asked);
    assert!(waited >= Duration::from_millis(1_500), "the second went after {waited:?}");
    let first = rig.wait_for(first, State::Delivered);
    assert_eq!((first.attempt, first.failures), (2, 0), "that was no failure");
}

#[test]
fn a_rate_limit_holds_over_sockets() {
    let scripted = ScriptedTarget::playing(|_| answer(200));
    let rate_limit = Some(Rate { count: 20, per: Duration::from_secs(1) });
    let rig = Rig::to(vec![Target { rate_limit, ..target("app", &scripted.url()) }]);
    let began = Clock::System.mono();
    let events: Vec<_> = (0..40).map(|_| rig.admit(&[], b"{}")).collect();
    wait_until("everything", || events.iter().all(|id| rig.view(*id).deliveries.iter().all(|to| to.state == State::Delivered)));
    let took = Clock::System.mono().since(began);
    // 40 at 20 a second, of which a tenth of a second's may come at once.
    assert!(took >= Duration::from_millis(1_700), "{took:?}");
}
