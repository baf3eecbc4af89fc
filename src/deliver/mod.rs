//! The back half: from the store to the targets. [`deliver`] tells it top-down: a lease becomes a request, the request an attempt, the
//! attempt is judged, and the judgement is written down under the lease's fence.
//!
//! Targets are shared out over a few shards by their names; each shard is one thread with its own runtime, and owns the lanes of its
//! targets whole. All decisions are `queue::Lanes`'s; what is here carries them out.

mod acks;
mod answer;
mod client;
mod errands;
mod jobs;
mod ledger;
mod pin;
mod request;
mod resolve;
mod send;
mod shard;
mod tls;

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use tokio::{
    runtime,
    sync::{Semaphore, mpsc, watch},
    task::LocalSet,
};

use self::{
    ledger::Ledger,
    resolve::Resolver,
    send::Courier,
    shard::{Inner, Shard},
};
use crate::{
    alert::Notes,
    clock::{Clock, Mono},
    handoff::{Gates, Handoff, LaneGate},
    limits::DELIVERY_BYTES_MAX,
    metrics::Metrics,
    name::TargetName,
    plan::Plan,
    queue::{Action, Dice, Input, Lanes},
    route::Routes,
    store::Store,
};

#[doc(hidden)]
pub use self::answer::delay_asked_for;
pub use self::{
    client::{Client, ConnectError, Connector, client},
    errands::Runner,
    jobs::Jobs,
    tls::TlsByTarget,
};

/// The way of every delivery of a shard, until the shard has stopped.
async fn deliver(mut shard: Shard, plan: &Plan) -> Stopped {
    let mut actions = Vec::new();
    // Before there is a lane, so that none starts what an operator holds.
    let pauses = shard.pauses();
    shard.step(pauses, &mut actions);
    let mut happened = Some(Input::Plan(plan));
    // A lease was handed over or claimed, an attempt ended, the store answered, time passed.
    while let Some(input) = happened {
        // The lanes judge it: which lease is used now, what an attempt came to, when it is due again, what is asked of the store.
        shard.step(input, &mut actions);
        for action in actions.drain(..) {
            match action {
                // Lease -> request -> attempt: in a task of its own, which ends as `Input::Finished`.
                Action::Start(lease) => shard.start(lease),
                Action::Cut(lease) => shard.cut(lease),
                // Judged -> settled: one atomic write each, which ends as `Input::Fates`.
                Action::Settle(fenced) => shard.settle(fenced),
                // Room for more -> leases, which come as `Input::Claimed`, or through the gate as `Input::Handed`.
                Action::Claim(wants) => shard.claim(wants),
                Action::Gate(target, limit) => shard.open_gate(&target, limit),
                Action::Breaker(target, phase) => shard.ledger.breaker(&target, phase),
                Action::LeftAlone(target, until) => shard.ledger.left_alone(&target, until),
                // Suspects of a crash go one at a time, whichever shard has them.
                Action::AskTrial => shard.ask_trial(),
                Action::EndTrial => shard.end_trial(),
                Action::Held(target, spans) => shard.keep_holds(target, spans),
                Action::Sleep(until) => shard.wake_at(until),
            }
        }
        shard.end_turn();
        happened = shard.next().await;
    }
    shard.left_behind()
}

/// The threads that deliver.
#[derive(Debug)]
pub struct Shards {
    shards: Vec<Running>,
    stop: watch::Sender<Option<Mono>>,
    gates: Arc<Gates>,
}

#[derive(Debug)]
struct Running {
    thread: thread::JoinHandle<()>,
    last_turn: Arc<AtomicU64>,
    stopped: watch::Receiver<Option<Stopped>>,
}

/// Where what the shards see is counted, and noted for alerts.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Counted.
    pub metrics: Arc<Metrics>,
    /// Noted.
    pub notes: Arc<Notes>,
}

/// What the shards left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Attempts that were cut at the deadline: their targets may have the delivery, and will see it again.
    pub cut: usize,
    /// Leases whose result could not be written down in time: they are void at the next start.
    pub unsettled: usize,
}

impl Shards {
    /// Prepares everything the targets need, opens their gates, and starts the shards.
    ///
    /// # Errors
    /// What `check` would refuse too: TLS files, URLs, credentials; or a thread that cannot be had.
    pub fn start(plan: &Arc<Plan>, store: Arc<dyn Store>, gates: Arc<Gates>, clock: Clock, seen: Seen) -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let of = (cores / 4).max(1);
        seen.metrics.workers.with_label_values(&["shard", "running"]).set(i64::try_from(of).unwrap_or(i64::MAX));
        let tls = TlsByTarget::prepare(plan)?;
        let common = Arc::new(Common { store, clock, seen, tls, trials: Arc::new(Semaphore::new(1)) });
        let budget = Arc::new(Semaphore::new(DELIVERY_BYTES_MAX));
        let (stop, told) = watch::channel(None);
        let mut all_gates = HashMap::new();
        let mut shards = Vec::with_capacity(of);
        for index in 0..of {
            let (to, handed) = mpsc::unbounded_channel();
            let share = share(plan, index, of);
            let shard_gates: HashMap<_, _> = share.targets.keys().map(|name| gate(name, &to, &budget)).collect();
            all_gates.extend(shard_gates.clone());
            let start = Start { common: Arc::clone(&common), share, gates: shard_gates, handed, stop: told.clone() };
            shards.push(start.run(index)?);
        }
        gates.replace(all_gates);
        Ok(Self { shards, stop, gates })
    }

    /// Stops: the gates close, nothing is claimed or started; what runs is cut at `by`, and what it came to is written down. Answers when
    /// that is done, at the latest a second after `by`.
    pub async fn stop(&self, by: Mono) -> Stopped {
        self.gates.close_all();
        self.stop.send_replace(Some(by));
        let mut all = Stopped::default();
        for shard in &self.shards {
            let mut stopped = shard.stopped.clone();
            // A shard that is gone without a word has aborted the process.
            if let Ok(one) = stopped.wait_for(Option::is_some).await {
                let one = one.unwrap_or_default();
                all = Stopped { cut: all.cut + one.cut, unsettled: all.unsettled + one.unsettled };
            }
        }
        all
    }

    /// When the slowest shard last took a turn; each takes one at least every second.
    #[must_use]
    pub fn last_turn(&self) -> Mono {
        let turns = self.shards.iter().map(|shard| Mono(shard.last_turn.load(Ordering::Acquire)));
        turns.min().unwrap_or_default()
    }

    /// Whether every shard is there.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.shards.iter().all(|shard| !shard.thread.is_finished())
    }
}

/// What all shards use.
struct Common {
    store: Arc<dyn Store>,
    clock: Clock,
    seen: Seen,
    tls: TlsByTarget,
    /// Whose turn it is to try a suspect.
    trials: Arc<Semaphore>,
}

/// What a shard's thread is given.
struct Start {
    common: Arc<Common>,
    share: Plan,
    gates: HashMap<TargetName, Arc<LaneGate>>,
    handed: mpsc::UnboundedReceiver<Handoff>,
    stop: watch::Receiver<Option<Mono>>,
}

impl Start {
    fn run(self, index: usize) -> io::Result<Running> {
        // Made here, used there: what cannot be had is an error of the start, not of a thread.
        let couriers = self.couriers()?;
        let runtime = runtime::Builder::new_current_thread().enable_all().max_blocking_threads(resolve::LOOKUP_THREADS_MAX).build()?;
        let last_turn = Arc::new(AtomicU64::new(self.common.clock.mono().0));
        let (left, stopped) = watch::channel(None);
        let beat = Arc::clone(&last_turn);
        let work = move || {
            let work = AssertUnwindSafe(|| LocalSet::new().block_on(&runtime, self.deliver(couriers, beat)));
            let Ok(behind) = catch_unwind(work) else {
                tracing::error!(event = "stop", "a delivery thread panicked: a bug in hookgate; the process ends, and nothing is lost");
                std::process::abort();
            };
            left.send_replace(Some(behind));
            // A lookup that hangs must not hold up the stop.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name(format!("shard-{index}")).spawn(work)?;
        Ok(Running { thread, last_turn, stopped })
    }

    fn couriers(&self) -> io::Result<HashMap<TargetName, Courier>> {
        let Common { clock, tls, .. } = &*self.common;
        let resolver = Resolver::new(clock.clone());
        let egress = Arc::new(self.share.egress.clone());
        let enabled = self.share.targets.values().filter(|target| !target.disabled);
        let courier = |target: &Arc<_>| Courier::to(target, &egress, tls, &resolver, clock);
        enabled.map(|target| Ok((target.name.clone(), courier(target)?))).collect()
    }

    async fn deliver(self, couriers: HashMap<TargetName, Courier>, last_turn: Arc<AtomicU64>) -> Stopped {
        let Common { store, clock, seen, .. } = &*self.common;
        let shard = Shard {
            clock: clock.clone(),
            store: Arc::clone(store),
            lanes: Lanes::new(store.holds()),
            dice: Dice::seeded(rand::random()),
            gates: self.gates,
            couriers: couriers.into_iter().map(|(name, courier)| (name, Rc::new(courier))).collect(),
            ledger: Ledger::new(seen.clone(), self.share.log.attempts),
            handed: self.handed,
            standing: store.standing(),
            stop: self.stop,
            last_turn,
            inner: Inner::new(Arc::clone(&self.common.trials)),
        };
        deliver(shard, &self.share).await
    }
}

fn gate(target: &TargetName, to: &mpsc::UnboundedSender<Handoff>, budget: &Arc<Semaphore>) -> (TargetName, Arc<LaneGate>) {
    (target.clone(), LaneGate::new(target.clone(), to.clone(), Arc::clone(budget)))
}

/// The plan as one of `of` shards sees it: with its own targets only, and without what belongs to the front half.
fn share(plan: &Plan, index: usize, of: usize) -> Plan {
    let is_mine = |name: &TargetName| {
        let mut hasher = DefaultHasher::new();
        name.as_str().hash(&mut hasher);
        hasher.finish() % of as u64 == index as u64
    };
    let mine = plan.targets.iter().filter(|(name, _)| is_mine(name));
    Plan {
        generation: plan.generation,
        server: plan.server.clone(),
        monitor: plan.monitor,
        admin: plan.admin.clone(),
        store: plan.store.clone(),
        log: plan.log.clone(),
        egress: plan.egress.clone(),
        alerts: None,
        sources: BTreeMap::new(),
        paths: HashMap::new(),
        targets: mine.map(|(name, target)| (name.clone(), Arc::clone(target))).collect(),
        routes: Routes::default(),
    }
}
