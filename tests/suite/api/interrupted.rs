//! A replay of very many dead letters that is killed as it goes: each gets one new delivery, and only what was under way comes twice. Small
//! in every run of the tests; `make campaign-targets` makes it a hundred thousand.

use std::{
    collections::{HashMap, HashSet},
    fs,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{ended, get, post, text};
use crate::{
    crash::setting,
    support::{
        campaign::{CONCURRENCY, one_at_a_time},
        gateway::Gateway,
        listener::{Listener, Reaction},
        patience::{now, wait_until, wait_while_it_grows},
        sender::SECRET,
    },
    waiting::fill,
};

/// What came once the target was back: by event, the ids of its deliveries; and how much there was in all.
#[derive(Default)]
struct Came {
    by_event: HashMap<String, HashSet<String>>,
    attempts: usize,
    /// Without `Hookgate-Replay`.
    unmarked: usize,
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what a campaign is for")]
fn a_replay_that_is_killed_goes_on_and_gives_each_dead_letter_one_new_delivery() {
    let _turn = one_at_a_time();
    let (events, kills) = (setting("REPLAY_EVENTS", 2_000), setting("REPLAY_KILLS", 2));
    let (is_back, came) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Came::default())));
    let target = {
        let (is_back, came) = (Arc::clone(&is_back), Arc::clone(&came));
        Listener::start(move |received| {
            if !is_back.load(Ordering::Acquire) {
                return Reaction::Status(404);
            }
            let mut came = came.lock().unwrap_or_else(PoisonError::into_inner);
            let delivery = received.header("hookgate-delivery-id").to_owned();
            let event = delivery.split('-').next().unwrap_or_default().to_owned();
            came.by_event.entry(event).or_default().insert(delivery);
            came.attempts += 1;
            came.unmarked += usize::from(received.header("hookgate-replay").is_empty());
            Reaction::Status(200)
        })
    };
    let mut gateway = Gateway::written(&configuration(&target));
    fs::write(gateway.configuration_file(), gateway.configuration()).expect("written");
    fill(&gateway.configuration_file(), events);
    gateway.boot();
    let dead = |gateway: &Gateway| gateway.metrics().count("queue_deliveries", &[("target", "dead"), ("state", "dead")]);
    let began = now();
    wait_while_it_grows("dead letters", || dead(&gateway), || dead(&gateway) == events as u64);
    println!("replay: {events} dead letters in {:.0} s", began.elapsed().as_secs_f64());

    is_back.store(true, Ordering::Release);
    let began = now();
    let rate = (events / 10).max(500);
    let asked = format!("{{\"filter\":{{\"target\":[\"dead\"],\"state\":[\"dead\"]}},\"rate\":{rate}}}");
    let begun = post(&gateway, "/api/v1/replay", &asked);
    assert_eq!(begun["job"]["expected"], events, "{begun}");
    let path = format!("/api/v1/jobs/{}", text(&begun["job"], "id"));
    let mut interrupted = 0;
    for kill in 1..=kills {
        let goal = (events * kill / (kills + 1)) as u64;
        wait_until("the job came so far", || get(&gateway, &path)["progress"]["done"].as_u64().is_some_and(|done| done >= goal));
        interrupted += usize::from(get(&gateway, &path)["state"] == "running");
        gateway.kill();
        gateway.boot();
    }
    let job = ended(&gateway, &begun["job"]);
    assert_eq!((text(&job, "state"), &job["progress"]["done"]), ("done", &events.into()), "{job}");
    let there = || came.lock().unwrap_or_else(PoisonError::into_inner).by_event.len() as u64;
    wait_while_it_grows("events came", there, || there() == events as u64);
    wait_until("the last is written down", || gateway.open_deliveries() == 0);
    let came = came.lock().unwrap_or_else(PoisonError::into_inner);
    let ids: usize = came.by_event.values().map(HashSet::len).sum();
    println!(
        "replay: {events} replayed in {:.0} s over {kills} kills, {interrupted} of a running job: {ids} new ids, {} repeats of the same",
        began.elapsed().as_secs_f64(),
        came.attempts - ids
    );
    assert_eq!((came.by_event.len(), ids, came.unmarked), (events, events, 0), "one new delivery for each");
    assert!(interrupted > 0 || kills == 0, "no kill met the job");
    assert!(came.attempts - ids <= kills * CONCURRENCY * 5, "only what was under way: {} repeats", came.attempts - ids);
    assert_eq!(dead(&gateway), events as u64, "the old ones are as they were");
}

fn configuration(target: &Listener) -> String {
    format!(
        r#"
sources:
  github: {{ provider: github, secret: "{SECRET}" }}
targets:
  dead: {{ url: "{}", concurrency: {CONCURRENCY}, breaker: none, retry: none }}
routes:
  - {{ from: github, to: dead }}
log: {{ requests: none, attempts: none }}
{}"#,
        target.url(),
        super::admin()
    )
}
