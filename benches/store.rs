//! What the store costs, apart from everything around it: admit and settle at few and at many dedup keys, and a claim behind a backlog.
//!
//! `cargo bench --bench store -- [KEYS...]`; the figures are of this machine and this disk, so compare runs, not numbers.
#![expect(clippy::print_stdout, reason = "the figures are the result")]

use std::{
    collections::VecDeque,
    io::{Seek as _, SeekFrom, Write as _},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use hookgate::{
    clock::{Clock, Mono},
    delivery::{Attempt, AttemptResult},
    event::{DedupKey, EventIds, EventTypes, Payload},
    handoff::{Handoff, LaneGate},
    lease::{Fenced, Want},
    metrics::Metrics,
    name::{SourceName, TargetName},
    plan::{Retention, StoreSettings},
    store::{Admission, NewEvent, Owed, Reply, SqliteStore, Start, Store, StoreError},
    verify::Proof,
};
use smallvec::smallvec;
use tokio::sync::{Semaphore, mpsc};

#[path = "../tests/suite/support/proof.rs"]
mod proof;

/// Admits under way at once: one batch.
const UNDER_WAY: usize = 32;
/// Events of one measurement.
const EVENTS: u64 = 100_000;
/// Deliveries that wait for a dead target.
const BACKLOG: u64 = 2_000_000;
/// Turns of claims, and claims in each.
const CLAIM_TURNS: usize = 10;
const CLAIMS_A_TURN: usize = 100;
/// Bytes that the commit of a claim of 16 writes: five pages.
const CLAIM_BYTES: usize = 5 * 8192;

struct Bench {
    clock: Clock,
    metrics: Arc<Metrics>,
    ids: EventIds,
    /// Made once: what it costs to verify a request is not the store's.
    proof: Proof,
    store: Arc<SqliteStore>,
    gate: Arc<LaneGate>,
    heard: mpsc::UnboundedReceiver<Handoff>,
    runtime: tokio::runtime::Runtime,
    _directory: tempfile::TempDir,
}

fn main() {
    let asked: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let keys = if asked.is_empty() { vec![1_000, 1_000_000] } else { asked };
    for keys in keys {
        let mut bench = Bench::new();
        bench.admit_waiting("nobody", keys, 0, false);
        let (began, cpu) = (bench.clock.mono(), cpu_ms());
        bench.admit_and_settle(keys, EVENTS);
        let took = bench.clock.mono().since(began);
        let rate = EVENTS as f64 / took.as_secs_f64();
        let cpu_us = (cpu_ms() - cpu) as f64 * 1000.0 / EVENTS as f64;
        println!("admit + settle at {keys} keys: {rate:.0} events/s, {cpu_us:.0} us CPU each, batches of {UNDER_WAY}");
    }
    claims_behind_backlogs();
}

/// Claims with nothing else waiting and behind the backlog, and the flush of as many bytes as a claim's commit writes, all in turn: what
/// the disk does meanwhile it does to all three, so the backlog's share can be told from the disk's.
fn claims_behind_backlogs() {
    let mut stores = [0, BACKLOG].map(|backlog| {
        let bench = Bench::new();
        bench.admit_waiting("dead", backlog, 0, true);
        bench.admit_waiting("healthy", 20_000, backlog, true);
        (backlog, bench, Claims::default())
    });
    let mut flushes = Vec::with_capacity(CLAIM_TURNS * CLAIMS_A_TURN);
    let mut file = tempfile::tempfile().expect("a file");
    for _ in 0..CLAIM_TURNS {
        for (_, bench, claims) in &mut stores {
            bench.claim("healthy", CLAIMS_A_TURN, claims);
        }
        flush(&mut file, CLAIMS_A_TURN, &mut flushes);
    }
    for (backlog, _, Claims { whole, alone }) in stores {
        print_share(&format!("claim of 16 behind {backlog} of a dead target, until its rows stand"), alone);
        print_share(&format!("claim of 16 behind {backlog} of a dead target, with commit and flush"), whole);
    }
    print_share(&format!("fdatasync of {CLAIM_BYTES} bytes by itself"), flushes);
}

/// What claims took, each of them.
#[derive(Default)]
struct Claims {
    whole: Vec<Duration>,
    /// The same without the commit, which is the disk's and is shared with whatever else is written in it.
    alone: Vec<Duration>,
}

/// Writes over the same bytes and flushes them, as a log that started over does.
fn flush(file: &mut std::fs::File, times: usize, took: &mut Vec<Duration>) {
    let bytes = vec![1; CLAIM_BYTES];
    for _ in 0..times {
        let began = Clock::System.mono();
        file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&bytes)).and_then(|()| file.sync_data()).expect("flushed");
        took.push(Clock::System.mono().since(began));
    }
}

fn print_share(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let (p50, p99) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    println!("{what}: p50 {p50:?}, p99 {p99:?}");
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let days = |days: u64| Duration::from_secs(days * 86_400);
        let settings = StoreSettings {
            path: directory.path().join("hookgate.db"),
            data_dir: directory.path().to_owned(),
            durability: None,
            retention: Retention {
                delivered: days(3),
                unrouted: days(30),
                cancelled: days(3),
                dead: days(90),
                payload: None,
                rejected: None,
            },
            max_bytes: u64::MAX,
            min_free_bytes: 0,
            lock_wait: Duration::ZERO,
        };
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let store = SqliteStore::open(&settings, Duration::from_secs(320), Clock::System, Arc::clone(&metrics)).expect("the store opens");
        let (to, heard) = mpsc::unbounded_channel();
        let gate = LaneGate::new(TargetName::parse("app").expect("a name"), to, Arc::new(Semaphore::new(1 << 30)));
        gate.publish(1 << 20);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Self {
            clock: Clock::System,
            metrics,
            ids: EventIds::above(0, 0),
            proof: proof::of_a_request(),
            store,
            gate,
            heard,
            runtime,
            _directory: directory,
        }
    }

    fn event(&self, key: u64, body: usize, owed: smallvec::SmallVec<[Owed; 4]>) -> NewEvent {
        // Keys must lie as hashes do: anywhere.
        let spread = (u128::from(key) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        let now = self.clock.wall();
        NewEvent {
            id: self.ids.next(now),
            source: SourceName::parse("github").expect("a name"),
            types: EventTypes::new(["push".into()]),
            provider_event_id: Some(format!("{key}").into()),
            received_at: now,
            key: DedupKey(spread.to_be_bytes()),
            window: Duration::from_secs(7 * 86_400),
            revive: true,
            payloads: smallvec![Payload { head: Bytes::from(vec![b'h'; body * 3 / 10]), body: Bytes::from(vec![b'b'; body]) }],
            owed,
            proof: self.proof,
        }
    }

    /// Fills the store: the dedup index with keys, and with `owed` a backlog of this target.
    fn admit_waiting(&self, target: &str, events: u64, first_key: u64, owed: bool) {
        let target = TargetName::parse(target).expect("a name");
        let mut under_way: VecDeque<Reply<Admission>> = VecDeque::new();
        for key in first_key..first_key + events {
            let owed = owed.then(|| Owed { target: target.clone(), variant: 0, start: Start::Waiting, gate: None });
            let event = self.event(key, 8, owed.into_iter().collect());
            under_way.push_back(self.store.admit(event, Mono::NEVER));
            if under_way.len() >= 512 {
                under_way.drain(..256).for_each(|reply| self.accepted(reply));
            }
        }
        under_way.into_iter().for_each(|reply| self.accepted(reply));
    }

    fn admit_and_settle(&mut self, first_key: u64, events: u64) {
        let mut under_way: VecDeque<Reply<Admission>> = VecDeque::new();
        let mut settles: VecDeque<Reply<Vec<hookgate::lease::Fate>>> = VecDeque::new();
        for key in first_key..first_key + events {
            let slot = self.gate.take().expect("there is room");
            let start = Start::Leased(slot, Duration::from_secs(30));
            let owed = Owed { target: TargetName::parse("app").expect("a name"), variant: 0, start, gate: None };
            under_way.push_back(self.store.admit(self.event(key, 2048, smallvec![owed]), Mono::NEVER));
            if under_way.len() == UNDER_WAY {
                under_way.drain(..).for_each(|reply| self.accepted(reply));
                settles.extend(self.settle());
                if settles.len() > 1 {
                    settles.pop_front().map(|reply| self.runtime.block_on(reply).expect("settled"));
                }
            }
        }
        settles.into_iter().for_each(|reply| drop(self.runtime.block_on(reply).expect("settled")));
    }

    fn settle(&mut self) -> Option<Reply<Vec<hookgate::lease::Fate>>> {
        let mut fenced = Vec::with_capacity(UNDER_WAY);
        while let Ok(Handoff::Leased(lease)) = self.heard.try_recv() {
            let attempt = Attempt {
                at: self.clock.wall(),
                took: Duration::from_millis(1),
                result: AttemptResult::Delivered,
                status: Some(200),
                retry_after: None,
                excerpt: None,
            };
            self.gate.counted();
            fenced.push(Fenced::Delivered(lease.reference(), attempt));
        }
        (!fenced.is_empty()).then(|| self.store.settle(fenced))
    }

    fn claim(&mut self, target: &str, times: usize, claims: &mut Claims) {
        let target = TargetName::parse(target).expect("a name");
        let want = Want { target, oldest: 16, fresh: 0, ahead: None, lease: Duration::from_secs(30) };
        for _ in 0..times {
            let commits = self.commit_seconds();
            let asked = self.clock.mono();
            let claimed = self.runtime.block_on(self.store.claim(vec![want.clone()])).expect("claimed");
            let took = self.clock.mono().since(asked);
            claims.whole.push(took);
            claims.alone.push(took.saturating_sub(Duration::from_secs_f64(self.commit_seconds() - commits)));
            assert_eq!(claimed.first().map(|claimed| claimed.leases.len()), Some(16));
        }
    }

    /// What all commits so far took, in seconds. A claim here is alone in its transaction.
    fn commit_seconds(&self) -> f64 {
        let metrics = self.metrics.render().expect("metrics");
        let sum = metrics.lines().find_map(|line| line.strip_prefix("hookgate_store_operation_seconds_sum{operation=\"commit\"} "));
        sum.expect("a sum").parse().expect("a number")
    }

    fn accepted(&self, reply: Reply<Admission>) {
        match self.runtime.block_on(reply) {
            Ok(_) => {}
            Err(error @ StoreError::Busy) => panic!("{error}: too many under way"),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Processor time this process has used, in milliseconds.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // Fields 14 and 15 of proc(5), counted after the name; a tick is 10 ms on Linux.
    [11, 12].iter().filter_map(|field| fields.get(*field)?.parse::<u64>().ok()).sum::<u64>() * 10
}
