//! What the stories about stores are told with: a clock that stands still, an embedded store in a directory of its own, lanes that only
//! listen, and events by the dozen.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use hookgate::{
    clock::{Clock, Mono, Now, SimClock, UnixMs},
    event::{DedupKey, EventId, EventIds, EventTypes, Payload},
    handoff::{Handoff, LaneGate},
    lease::Lease,
    metrics::Metrics,
    name::{SourceName, TargetName},
    plan::{Retention, StoreSettings},
    store::{NewEvent, Owed, Reply, SqliteStore, Start, Store, StoreError},
};
use smallvec::{SmallVec, smallvec};
use tempfile::TempDir;
use tokio::sync::{Semaphore, mpsc};

use crate::support::proof;

/// The longest lease of these stories.
pub(super) const LEASE_MAX: Duration = Duration::from_secs(320);
/// Where the simulated clocks start.
const START: Now = Now { wall: UnixMs(1_760_000_000_000), mono: Mono(1_000_000_000) };

/// A clock that is told the time.
#[derive(Debug)]
pub(super) struct Time {
    sim: Arc<SimClock>,
    now: Now,
}

/// A directory with a store in it.
#[derive(Debug)]
pub(super) struct Rig {
    pub(super) time: Time,
    pub(super) ids: EventIds,
    pub(super) settings: StoreSettings,
    merge_at: usize,
    _directory: TempDir,
}

/// A lane that only listens.
#[derive(Debug)]
pub(super) struct Lane {
    target: TargetName,
    pub(super) gate: Arc<LaneGate>,
    heard: mpsc::UnboundedReceiver<Handoff>,
}

/// What an event is to be.
#[derive(Clone, Debug)]
pub(super) struct Ring {
    pub(super) id: EventId,
    pub(super) key: u8,
    pub(super) window: Duration,
    pub(super) revive: bool,
}

impl Time {
    pub(super) fn start() -> Self {
        let sim = Arc::new(SimClock::default());
        sim.set(START);
        Self { sim, now: START }
    }

    pub(super) fn clock(&self) -> Clock {
        Clock::Sim(Arc::clone(&self.sim))
    }

    pub(super) fn now(&self) -> Now {
        self.now
    }

    pub(super) fn pass(&mut self, by: Duration) {
        self.now = Now { wall: self.now.wall.after(by), mono: self.now.mono + by };
        self.sim.set(self.now);
    }

    /// Moves the wall clock only, as an operator or NTP would.
    pub(super) fn step_wall(&mut self, by_ms: i64) {
        self.now.wall = UnixMs(self.now.wall.0 + by_ms);
        self.sim.set(self.now);
    }
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::merging_at(1 << 17)
    }

    /// With merges of the dedup index from so many keys on.
    pub(super) fn merging_at(merge_at: usize) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = StoreSettings {
            path: directory.path().join("data/hookgate.db"),
            data_dir: directory.path().join("data"),
            durability: None,
            retention: retention(),
            max_bytes: 1 << 40,
            min_free_bytes: 0,
            lock_wait: Duration::ZERO,
        };
        Self { time: Time::start(), ids: EventIds::above(0, 0), settings, merge_at, _directory: directory }
    }

    pub(super) fn open(&self) -> Arc<SqliteStore> {
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let opened = SqliteStore::open_with(&self.settings, LEASE_MAX, self.time.clock(), metrics, self.merge_at);
        opened.expect("the store opens")
    }

    pub(super) fn next_id(&self) -> EventId {
        self.ids.next(self.time.now().wall)
    }

    /// A ring of its own key with a day's window.
    pub(super) fn ring(&self, key: u8) -> Ring {
        Ring { id: self.next_id(), key, window: Duration::from_secs(86_400), revive: true }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.settings.path.clone()
    }
}

impl Lane {
    /// A lane with room for everything, and for the bytes of everything.
    pub(super) fn open(target: &str) -> Self {
        let (to, heard) = mpsc::unbounded_channel();
        let gate = LaneGate::new(name(target), to, Arc::new(Semaphore::new(1 << 30)));
        gate.publish(1 << 20);
        Self { target: name(target), gate, heard }
    }

    /// What came through the gate since the last look.
    pub(super) fn hear(&mut self) -> Vec<Handoff> {
        let mut all = Vec::new();
        while let Ok(one) = self.heard.try_recv() {
            self.gate.heard();
            all.push(one);
        }
        all
    }

    /// The leases that came through the gate since the last look.
    pub(super) fn leases(&mut self) -> Vec<Lease> {
        let leased = |one| if let Handoff::Leased(lease) = one { Some(lease) } else { None };
        self.hear().into_iter().filter_map(leased).collect()
    }

    /// Owed to this lane, and handed over as soon as it is durable.
    pub(super) fn owed_now(&self) -> Owed {
        let slot = self.gate.take().expect("there is room");
        self.owed(Start::Leased(slot, Duration::from_secs(30)))
    }

    pub(super) fn owed(&self, start: Start) -> Owed {
        Owed { target: self.target.clone(), variant: 0, start, gate: Some(Arc::clone(&self.gate)) }
    }
}

impl Ring {
    /// The event, owed to these.
    pub(super) fn event(&self, now: UnixMs, owed: SmallVec<[Owed; 4]>) -> NewEvent {
        let body = Bytes::from(format!("body of {} under key {}", self.id, self.key));
        NewEvent {
            id: self.id,
            source: SourceName::parse("github").expect("a name"),
            types: EventTypes::new(["push".into(), "a \"type\", with commas".into()]),
            provider_event_id: (!self.key.is_multiple_of(3)).then(|| format!("provider-{}", self.key).into()),
            received_at: now,
            key: DedupKey([self.key; 16]),
            window: self.window,
            revive: self.revive,
            payloads: smallvec![Payload { head: Bytes::from_static(b"x-id: 1\r\n"), body }],
            owed,
            proof: proof::of_a_request(),
        }
    }
}

pub(super) fn retention() -> Retention {
    let seconds = Duration::from_secs;
    Retention {
        delivered: seconds(40),
        unrouted: seconds(30),
        cancelled: seconds(50),
        dead: seconds(90),
        payload: Some(seconds(15)),
        rejected: None,
    }
}

pub(super) fn name(target: &str) -> TargetName {
    TargetName::parse(target).expect("a name")
}

/// Waits for an answer, for half a minute at most.
pub(super) fn wait<T>(reply: Reply<T>) -> Result<T, StoreError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let answer = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), reply).await });
    answer.expect("the store answers")
}

pub(super) fn close(store: &SqliteStore) {
    wait(store.close(Mono::NEVER)).expect("the store closes");
}
