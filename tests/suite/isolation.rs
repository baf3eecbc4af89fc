//! Ten targets, three of them sick: one dead with a large backlog, one that takes thirty seconds for an answer, one that comes and goes.
//! The other seven must not notice. Small in every run of the tests; `make campaign-targets` makes it two million and prints the figures.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, park_timeout},
    time::{Duration, Instant},
};

use crate::{
    crash::setting,
    support::{
        campaign::one_at_a_time,
        gateway::Gateway,
        listener::{Listener, Reaction, Received},
        patience::{holds_within, now},
        sender::{SECRET, github},
        wire::Connection,
    },
    waiting::{fill, mib},
};

/// Targets that are well.
const WELL: usize = 7;
/// Connections of the sender.
const SENDERS: usize = 4;
/// How long the slow target takes for an answer, and how long it is waited for.
const SLOW: Duration = Duration::from_secs(30);
const SLOW_TIMEOUT: &str = "40s";
/// How long the flapping target is up, and then down.
const FLAP: Duration = Duration::from_secs(2);
/// How long the others may take to get what was accepted last.
const CATCH_UP: Duration = Duration::from_secs(20);

/// From the time an event was due to be sent until it arrived, at all targets that are well.
#[derive(Clone, Default)]
struct Lags(Arc<Mutex<Vec<Duration>>>);

/// What the rounds of one gateway came to.
#[derive(Default)]
struct Rounds {
    /// How long each answer took.
    acks: Vec<Duration>,
    /// Answers that were not 200.
    refused: usize,
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what a campaign is for")]
fn sick_targets_do_not_slow_the_others() {
    let _turn = one_at_a_time();
    let (waiting, rate) = (setting("ISOLATION_WAITING", 20_000), setting("ISOLATION_RATE", 50));
    let (seconds, rounds) = (setting("ISOLATION_SECONDS", 3), setting("ISOLATION_ROUNDS", 1));
    let began = now();
    let (alone, beside) = (Lags::default(), Lags::default());
    let well = [&alone, &beside].map(|lags| (0..WELL).map(|_| well(lags, began)).collect::<Vec<_>>());
    let [slow, flapping] = [Listener::start(|_| Reaction::Slow(SLOW, 200)), Listener::start(move |_| flap(began))];
    let dead = free_address();
    let mut healthy = Gateway::written(&configuration(&well[0], &BTreeMap::new()));
    let sick = BTreeMap::from([
        ("dead", format!("url: \"http://{dead}/in\"")),
        ("slow", format!("url: \"{}\", timeout: {SLOW_TIMEOUT}", slow.url())),
        ("flapping", format!("url: \"{}\"", flapping.url())),
    ]);
    let mut mixed = Gateway::written(&configuration(&well[1], &sick));
    fs::write(mixed.configuration_file(), mixed.configuration()).expect("written");
    fill(&mixed.configuration_file(), waiting);
    healthy.boot();
    let ready = mixed.boot();

    let mut figures = [Rounds::default(), Rounds::default()];
    for round in 0..rounds {
        for ((gateway, lags), so_far) in [(&healthy, &alone), (&mixed, &beside)].into_iter().zip(&mut figures) {
            so_far.add(ring(gateway, began, round, rate, seconds));
            let owed = so_far.acks.len() * WELL;
            assert!(holds_within(CATCH_UP, || lags.sorted().len() >= owed), "the well have {} of {owed}", lags.sorted().len());
        }
    }
    let (alone, beside) = (alone.sorted(), beside.sorted());
    println!("isolation: {waiting} wait for a dead target; {rate}/s to all for {rounds} times {seconds} s");
    for (which, lags, acks) in [("alone", &alone, &figures[0].acks), ("beside the sick", &beside, &figures[1].acks)] {
        println!("isolation: {which}: sent to arrived {}; acks {}", shares(lags), shares(acks));
    }
    println!("isolation: p99 of the well, beside the sick to alone: {:.2}", part_ms(&beside, 99) / part_ms(&alone, 99));
    println!("isolation: {}", claims(&mixed));
    let peak = mib(mixed.pid(), "VmHWM:");
    mixed.kill();
    let after_a_kill = mixed.boot();
    println!("isolation: peak {peak} MiB; ready in {:.2} s, and in {:.2} s after a kill", ready.as_secs_f64(), after_a_kill.as_secs_f64());
    assert_eq!(figures.each_ref().map(|rounds| rounds.refused), [0, 0], "every event was accepted");
    let metrics = mixed.metrics();
    let open = |state| metrics.count("queue_deliveries", &[("target", "dead"), ("state", state)]);
    assert_eq!(open("pending") + open("in_flight"), (waiting + figures[1].acks.len()) as u64, "the dead one is owed everything");
}

/// An address where nobody listens.
fn free_address() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

/// A target that answers at once and notes how long ago the event was sent.
fn well(lags: &Lags, began: Instant) -> Listener {
    let lags = lags.clone();
    Listener::start(move |received: Received| {
        let sent = received.header("x-github-delivery").split('-').next().and_then(|nanos| nanos.parse().ok()).expect("an id of ours");
        let lag = began.elapsed().saturating_sub(Duration::from_nanos(sent));
        lags.0.lock().unwrap_or_else(PoisonError::into_inner).push(lag);
        Reaction::Status(200)
    })
}

fn flap(began: Instant) -> Reaction {
    let is_up = (began.elapsed().as_secs() / FLAP.as_secs()).is_multiple_of(2);
    if is_up { Reaction::Status(200) } else { Reaction::HangUp }
}

fn configuration(well: &[Listener], sick: &BTreeMap<&str, String>) -> String {
    let mut targets: Vec<(String, String)> =
        well.iter().enumerate().map(|(number, target)| (format!("well-{number}"), format!("url: \"{}\"", target.url()))).collect();
    targets.extend(sick.iter().map(|(name, keys)| ((*name).to_owned(), keys.clone())));
    let lines: String = targets.iter().map(|(name, keys)| format!("  {name}: {{ {keys} }}\n")).collect();
    let names = targets.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let source = format!("sources:\n  github: {{ provider: github, secret: \"{SECRET}\" }}\n");
    format!("{source}targets:\n{lines}routes:\n  - {{ from: github, to: [{names}] }}\n")
}

/// Rings `rate` times a second for so long; what each took from the time it was due, and its status (0 for none).
fn ring(gateway: &Gateway, began: Instant, round: usize, rate: usize, seconds: usize) -> Vec<(Duration, u16)> {
    let (door, count) = (gateway.door(), rate * seconds / SENDERS);
    let between = Duration::from_secs(1) * u32::try_from(SENDERS).expect("few") / u32::try_from(rate).expect("few");
    let sender = move |sender: usize| {
        let (started, mut connection, mut rung) = (now(), Connection::plain(door).ok(), Vec::with_capacity(count));
        for number in 0..count {
            let due = started + between * u32::try_from(number).expect("few");
            while let Some(left) = due.checked_duration_since(now()).filter(|left| !left.is_zero()) {
                park_timeout(left);
            }
            let sent = due.saturating_duration_since(began).as_nanos();
            let event = github("/hooks/github", SECRET, &format!("{sent}-{round}-{sender}-{number}"), &[b'x'; 1024]);
            let answer = connection.as_mut().and_then(|connection| connection.exchange(&event).ok());
            if answer.is_none() {
                connection = Connection::plain(door).ok();
            }
            rung.push((due.elapsed(), answer.map_or(0, |answer| answer.status)));
        }
        rung
    };
    let senders: Vec<_> = (0..SENDERS).map(|number| thread::spawn(move || sender(number))).collect();
    senders.into_iter().flat_map(|thread| thread.join().expect("a sender")).collect()
}

/// What the store says of its claims, and how much of the time they were under way.
fn claims(gateway: &Gateway) -> String {
    let metrics = gateway.metrics();
    let of_claims = ("operation", "claim");
    let count = metrics.count("store_operation_seconds_count", &[of_claims]);
    let took = metrics.sum("store_operation_seconds_sum", &[of_claims]).unwrap_or(0.0);
    let within = |le| format!("{} within {le} s", metrics.count("store_operation_seconds_bucket", &[of_claims, ("le", le)]));
    let within = ["0.0005", "0.001", "0.0025", "0.005"].map(within).join(", ");
    let writer_s = thread_ms(gateway.pid(), "store-writer") as f64 / 1000.0;
    format!("{count} claims ({within}) took {took:.3} s, waiting and commits included; the writer computed for {writer_s:.2} s")
}

/// Time that the process's threads of this name have computed, in milliseconds, to the tick of 10.
fn thread_ms(pid: u32, name: &str) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("a process of ours");
    let stats = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let of_name = stats.filter(|stat| stat.contains(&format!("({name})")));
    of_name.map(|stat| ticks(&stat)).sum::<u64>() * 10
}

/// User and system time: the 12th and 13th field behind the name, which may hold anything.
fn ticks(stat: &str) -> u64 {
    let behind_name = stat.rsplit_once(')').expect("a name").1;
    behind_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().expect("ticks")).sum()
}

impl Rounds {
    fn add(&mut self, rung: Vec<(Duration, u16)>) {
        let (taken, refused): (Vec<_>, Vec<_>) = rung.into_iter().partition(|(_, status)| *status == 200);
        self.refused += refused.len();
        self.acks.extend(taken.into_iter().map(|(took, _)| took));
        self.acks.sort_unstable();
    }
}

impl Lags {
    fn sorted(&self) -> Vec<Duration> {
        let mut lags = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        lags.sort_unstable();
        lags
    }
}

fn part_ms(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
}

fn shares(sorted: &[Duration]) -> String {
    let [half, most, last] = [50, 99, 100].map(|percent| part_ms(sorted, percent));
    format!("p50 {half:.1} ms, p99 {most:.1} ms, longest {last:.1} ms of {}", sorted.len())
}
