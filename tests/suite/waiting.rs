//! A start with very many deliveries waiting: ready at once, small in memory, and of use to those who do not wait. Twenty thousand in every
//! run of the tests; `make crash` makes it a million and holds the start to its promise.

use std::{fs, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use hookgate::{
    clock::{Clock, Mono},
    config::{self, Surroundings},
    event::{DedupKey, EventIds, EventTypes, Payload},
    limits,
    metrics::Metrics,
    name::{SourceName, TargetName},
    plan::{self, Plan},
    provider::Catalogue,
    request::{HeadersBuilder, RawRequest},
    store::{Admission, NewEvent, Owed, SqliteStore, Start, Store},
    verify::Proof,
    yaml::Problems,
};

use crate::{
    crash::setting,
    support::{
        campaign::one_at_a_time,
        gateway::Gateway,
        patience::now,
        recorder::Recorder,
        sender::{SECRET, github},
    },
};

/// The promise: ready in 5 s and 200 MiB with a million waiting.
const MANY: usize = 1_000_000;
const READY_WITHIN: Duration = Duration::from_secs(5);
const RESIDENT_MIB_MAX: u64 = 200;
/// Admits under way at once.
const AT_ONCE: usize = 512;

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what this is for")]
fn a_start_does_not_care_how_much_is_waiting() {
    let _turn = one_at_a_time();
    let waiting = setting("WAITING", 20_000);
    let (well, gone) = (Recorder::start(), Recorder::start());
    // Nobody listens there any more: every attempt fails, and everything goes on waiting.
    let dead_url = gone.url();
    drop(gone);
    let mut gateway = Gateway::written(&format!(
        r#"
sources:
  github: {{ provider: github, secret: "{SECRET}" }}
targets:
  dead: {{ url: "{dead_url}", retry: {{ first: 10m, max: 1h }} }}
  well: {{ url: "{}" }}
routes:
  - {{ from: github, to: well }}
"#,
        well.url()
    ));
    fs::write(gateway.configuration_file(), gateway.configuration()).expect("written");
    let began = now();
    fill(&gateway.configuration_file(), waiting);
    let filled = began.elapsed();

    let ready = gateway.boot();
    let began = now();
    assert_eq!(gateway.ring(&github("/hooks/github", SECRET, "d-1", b"{}")).status, 200);
    well.wait_for(1);
    let delivered = began.elapsed();
    let metrics = gateway.metrics();
    let count = |state| metrics.count("queue_deliveries", &[("target", "dead"), ("state", state)]);
    let open = count("pending") + count("in_flight");
    let (resident, peak) = (mib(gateway.pid(), "VmRSS:"), mib(gateway.pid(), "VmHWM:"));
    println!(
        "waiting: {open} deliveries (filled in {:.0} s): ready in {:.2} s, resident {resident} MiB, peak {peak} MiB, \
         an event for another target delivered in {:.0} ms",
        filled.as_secs_f64(),
        ready.as_secs_f64(),
        delivered.as_secs_f64() * 1000.0
    );
    assert_eq!(open, waiting as u64, "all of them are still owed");
    assert!(resident <= RESIDENT_MIB_MAX, "{resident} MiB with {open} deliveries waiting");
    assert!(waiting < MANY || ready < READY_WITHIN, "ready after {ready:?}");
    gateway.kill();
    let after_a_kill = gateway.boot();
    println!("waiting: ready in {:.2} s after a kill", after_a_kill.as_secs_f64());
    assert!(waiting < MANY || after_a_kill < READY_WITHIN, "ready after {after_a_kill:?}");
}

/// A line of `/proc/<pid>/status`, in MiB.
pub(crate) fn mib(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process of ours");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux says it");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

/// Admits that many events for the target `dead`, through the store's own interface: the way the gateway itself would, and faster than
/// ringing a million times.
pub(crate) fn fill(configuration: &Path, events: usize) {
    let mut problems = Problems::new();
    let config = config::load(Some(configuration), &Surroundings::system(), &mut problems).expect("our own file");
    let plan = plan::compile(&config, &Catalogue::embedded(), &mut problems).expect("a plan");
    let (clock, metrics) = (Clock::System, Arc::new(Metrics::new().expect("declared once")));
    let store = SqliteStore::open(&plan.store, limits::lease_for(limits::TIMEOUT_MAX), clock.clone(), metrics).expect("a new store");
    let (proof, ids) = (proof(&plan, &clock), EventIds::above(store.highest_event_id(), 0));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    for first in (0..events).step_by(AT_ONCE) {
        let admits = (first..events.min(first + AT_ONCE)).map(|number| store.admit(event(number, proof, &ids, &clock), Mono::NEVER));
        for admitted in runtime.block_on(join_all(admits)) {
            assert_eq!(admitted, Ok(Admission::Accepted));
        }
    }
    runtime.block_on(store.close(Mono::NEVER)).expect("closed");
}

/// Only a verified request has one, so a request is signed and verified.
fn proof(plan: &Plan, clock: &Clock) -> Proof {
    let ring = github("/hooks/github", SECRET, "d-0", b"{}");
    let mut headers = HeadersBuilder::new();
    ring.headers.iter().for_each(|(name, value)| assert!(headers.push(name, value.as_bytes())));
    let request = RawRequest {
        method: "POST".into(),
        path: "/hooks/github".into(),
        query: None,
        headers: headers.build(),
        body: Bytes::from_static(b"{}"),
        client_ip: std::net::IpAddr::from([127, 0, 0, 1]),
        received_at: clock.wall(),
    };
    let source = plan.sources.values().next().expect("one source");
    source.verifier.verify(request, clock.wall()).expect("well signed").proof()
}

fn event(number: usize, proof: Proof, ids: &EventIds, clock: &Clock) -> NewEvent {
    let mut key = [0_u8; 16];
    // Spread like the hashes that keys really are.
    key[..8].copy_from_slice(&(number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    let mut head = HeadersBuilder::new();
    head.push("Content-Type", b"application/json");
    let body = format!("{{\"number\":{number},\"pad\":\"{}\"}}", "x".repeat(500));
    let payload = Payload { head: head.build().block().clone(), body: Bytes::from(body) };
    let target = TargetName::parse("dead").expect("a name");
    NewEvent {
        id: ids.next(clock.wall()),
        source: SourceName::parse("github").expect("a name"),
        types: EventTypes::new(["push".into()]),
        provider_event_id: Some(format!("waiting-{number}").into()),
        received_at: clock.wall(),
        key: DedupKey(key),
        window: Duration::from_secs(7 * 24 * 60 * 60),
        revive: true,
        payloads: [payload].into_iter().collect(),
        owed: [Owed { target, variant: 0, start: Start::Waiting, order: None, gate: None }].into_iter().collect(),
        proof,
    }
}
