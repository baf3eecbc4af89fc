//! Starts and ends: stopped in full flow, killed, started twice, started wrong. Each ends with the exit code that says what to do.

use std::{fs, time::Duration};

use rustix::process::Signal;

use crate::{
    spine::one_target,
    support::{
        gateway::Gateway,
        listener::Reaction,
        patience::wait_until,
        recorder::Recorder,
        sender::{SECRET, github},
        wire::Connection,
    },
};

#[test]
fn a_stop_lets_running_attempts_end_and_repeats_nothing() {
    let target = Recorder::reacting(|_, _| Reaction::Slow(Duration::from_millis(500), 200));
    let mut gateway = Gateway::start(&one_target(&target, ""));
    for id in 0..8 {
        assert_eq!(gateway.ring(&github("/hooks/github", SECRET, &format!("d-{id}"), b"{}")).status, 200);
    }
    target.wait_for(8);
    assert_eq!(gateway.terminate().code(), Some(0), "{}", gateway.log());
    gateway.boot();
    gateway.wait_until_drained();
    assert_eq!(target.count(), 8, "what had arrived at the stop is not sent again");
}

#[test]
fn a_stop_says_so_before_it_closes_the_door() {
    let target = Recorder::start();
    let configuration = one_target(&target, "") + "server: { listen: \"127.0.0.1:@DOOR@\", shutdown: { delay: 2s, deadline: 10s } }\n";
    let mut gateway = Gateway::start(&configuration);
    gateway.signal(Signal::TERM);
    wait_until("/readyz said no", || gateway.look("/readyz").is_ok_and(|answer| answer.status == 503));
    assert_eq!(gateway.ring(&github("/hooks/github", SECRET, "late", b"{}")).status, 200, "whoever still comes is served");
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(Connection::plain(gateway.door()).is_err(), "and then the door is closed");
    gateway.boot();
    target.wait_for(1);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let target = Recorder::reacting(|_, _| Reaction::Slow(Duration::from_secs(5), 200));
    let mut gateway = Gateway::start(&one_target(&target, ""));
    gateway.ring(&github("/hooks/github", SECRET, "d-1", b"{}"));
    target.wait_for(1);
    gateway.signal(Signal::TERM);
    wait_until("the stop had begun", || gateway.look("/readyz").map_or(true, |answer| answer.status == 503));
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait().code(), Some(130));
}

#[test]
fn what_waits_for_a_dead_target_survives_a_kill() {
    let target = Recorder::start();
    let (configuration, address) = (one_target(&target, ", retry: { first: 50ms, max: 200ms }"), target.address());
    drop(target);
    let mut gateway = Gateway::start(&configuration);
    let first = gateway.ring(&github("/hooks/github", SECRET, "d-1", b"{\"kept\":true}"));
    assert_eq!(first.status, 200);
    wait_until("an attempt had failed", || gateway.metrics().count("attempts_total", &[("result", "connect")]) >= 1);
    gateway.kill();
    let target = Recorder::again(address);
    gateway.boot();
    let received = &target.wait_for(1)[0];
    assert_eq!((received.header("hookgate-event-id"), received.body.as_slice()), (first.event_id().unwrap_or(""), &b"{\"kept\":true}"[..]));
    assert!(received.attempt() >= 2, "attempts count on over the kill: {}", received.attempt());
}

#[test]
fn a_second_process_on_the_same_store_waits_and_gives_up_with_75() {
    let target = Recorder::start();
    let gateway = Gateway::start(&one_target(&target, ""));
    let mut second = Gateway::written(&format!(
        "{}data_dir: \"{}\"\nstore: {{ lock_wait: 300ms }}\n",
        one_target(&target, ""),
        gateway.data_dir().display()
    ));
    second.spawn();
    assert_eq!(second.wait().code(), Some(75), "{}", second.log());
    assert!(second.log().contains(&gateway.pid().to_string()), "it names the holder: {}", second.log());
    assert_eq!(gateway.ring(&github("/hooks/github", SECRET, "d-1", b"{}")).status, 200, "the first did not notice");
}

#[test]
fn a_bad_configuration_never_starts_and_says_everything_that_is_wrong() {
    let bad = r#"sources:
  a: { provider: githbu, secret: x }
  b: { provider: github, secret: "${NOPE}" }
routes:
  - { from: a, to: nowhere }
server: { lisen: 1 }
"#;
    let mut gateway = Gateway::written(bad);
    gateway.spawn();
    assert_eq!(gateway.wait().code(), Some(78), "{}", gateway.log());
    let checked = gateway.command(&["check", "-c", "hookgate.yaml"]);
    assert_eq!(checked.status.code(), Some(1));
    let checked = [checked.stdout, checked.stderr].concat();
    for said in [gateway.log(), String::from_utf8_lossy(&checked).into_owned()] {
        let places = ["hookgate.yaml:2:", "hookgate.yaml:3:", "hookgate.yaml:5:", "hookgate.yaml:6:"];
        for expected in ["githbu", "github", "NOPE", "nowhere", "lisen", "listen"].into_iter().chain(places) {
            assert!(said.contains(expected), "`{expected}` is missing in:\n{said}");
        }
    }
    assert!(fs::metadata(gateway.data_dir()).is_err(), "and nothing was made on the way");
}

#[test]
fn a_port_that_is_taken_is_an_end_and_not_a_wait() {
    let target = Recorder::start();
    let first = Gateway::start(&one_target(&target, ""));
    let mut second = Gateway::written(&format!("{}server: {{ listen: \"{}\" }}\n", one_target(&target, ""), first.door()));
    second.spawn();
    let code = second.wait().code();
    assert!(matches!(code, Some(1..=78)), "{code:?}: {}", second.log());
    assert!(second.log().contains(&first.door().port().to_string()), "it names the address: {}", second.log());
}

#[test]
fn a_store_whose_file_cannot_be_written_ends_the_gateway_with_74_and_never_answers_falsely() {
    const RINGS_MAX: usize = 2_000;
    let target = Recorder::start();
    // The kernel refuses every write beyond this size, as it does on a device that fails; without the trap it would end the process itself.
    let limited = ["sh", "-c", "trap '' XFSZ; ulimit -f 12288; exec \"$0\" \"$@\""];
    let mut gateway = Gateway::written(&one_target(&target, "")).wrapped(&limited);
    gateway.boot();
    let body = vec![b'x'; 60_000];
    let mut accepted = Vec::new();
    for number in 0..RINGS_MAX {
        let ring = github("/hooks/github", SECRET, &format!("d-{number}"), &body);
        match Connection::plain(gateway.door()).and_then(|mut connection| connection.exchange(&ring)) {
            Ok(answer) if answer.status == 200 => accepted.extend(answer.event_id().map(str::to_owned)),
            Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text()),
            Err(_) => break,
        }
    }
    assert_eq!(gateway.wait().code(), Some(74), "{}", gateway.log());
    assert!(gateway.log().contains("the store's file failed"), "{}", gateway.log());
    assert!((1..RINGS_MAX).contains(&accepted.len()));

    gateway.run_by_itself();
    gateway.boot();
    gateway.wait_until_drained();
    let seen = target.seen();
    let arrived = |id: &String| seen.iter().any(|one| one.header("hookgate-event-id") == id);
    assert_eq!(accepted.iter().filter(|id| !arrived(id)).collect::<Vec<_>>(), Vec::<&String>::new(), "acknowledged and lost");
}
