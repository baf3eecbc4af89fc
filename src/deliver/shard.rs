//! The shell around `queue::Lanes`: it turns what happens into inputs and actions into calls, and decides nothing.
//!
//! Everything of a shard lives on one thread: its lanes, its timer, its connections, and each attempt as a task of its own.

use std::{
    collections::HashMap,
    mem,
    panic::AssertUnwindSafe,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{
    FutureExt, StreamExt,
    future::{Future, LocalBoxFuture},
    stream::FuturesUnordered,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    time::sleep,
};

use crate::{
    clock::{Clock, Mono, Span},
    deliver::{
        Stopped,
        answer::Ending,
        ledger::Ledger,
        request::Facts,
        send::{Courier, ended},
    },
    delivery::{Attempt, AttemptResult},
    event::Payload,
    handoff::{Handoff, LaneGate},
    lease::{Fate, Fenced, Lease, LeaseRef, PayloadRef, Want},
    name::TargetName,
    queue::{Action, Dice, Input, Lanes},
    store::{Standing, Store, StoreError, Stored},
};

/// A shard takes a turn at least this often, so that one that hangs is seen.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long after the cut of the last attempts their settles are waited for.
const LAST_SETTLES: Duration = Duration::from_secs(1);

/// The lanes of some targets and everything around them.
pub(super) struct Shard {
    pub(super) clock: Clock,
    pub(super) store: Arc<dyn Store>,
    pub(super) lanes: Lanes,
    pub(super) dice: Dice,
    pub(super) gates: HashMap<TargetName, Arc<LaneGate>>,
    pub(super) couriers: HashMap<TargetName, Rc<Courier>>,
    pub(super) ledger: Ledger,
    /// What comes through the gates.
    pub(super) handed: mpsc::UnboundedReceiver<Handoff>,
    /// What operators have said, and word of each change.
    pub(super) standing: watch::Receiver<Arc<Standing>>,
    /// When to stop, once that is known.
    pub(super) stop: watch::Receiver<Option<Mono>>,
    /// When the last turn was taken, for whoever watches.
    pub(super) last_turn: Arc<AtomicU64>,
    pub(super) inner: Inner,
}

/// What a shard keeps between two turns.
pub(super) struct Inner {
    attempts: (mpsc::UnboundedSender<Finished>, mpsc::UnboundedReceiver<Finished>),
    answers: FuturesUnordered<LocalBoxFuture<'static, Answer>>,
    /// Started in this turn, and their bytes are in the store.
    unread: Vec<Lease>,
    /// Whose place at the gate is free again at the end of this turn.
    counting: Option<Arc<LaneGate>>,
    wake: Mono,
    stopping: Option<Mono>,
    cut: usize,
    /// The turn to try a suspect, which all shards share; theirs who hold its one permit.
    trials: Arc<Semaphore>,
    trial: Option<OwnedSemaphorePermit>,
}

type Finished = (LeaseRef, Attempt);

/// What the store said.
enum Answer {
    Input(Input<'static>),
    Settled(Vec<(Fenced, Fate)>),
    Trial(Option<OwnedSemaphorePermit>),
    Read(Vec<Lease>, Result<Vec<Stored>, StoreError>),
}

impl Inner {
    /// Nothing yet; suspects take their turns by these.
    pub(super) fn new(trials: Arc<Semaphore>) -> Self {
        Self {
            attempts: mpsc::unbounded_channel(),
            answers: FuturesUnordered::new(),
            unread: Vec::new(),
            counting: None,
            wake: Mono::NEVER,
            stopping: None,
            cut: 0,
            trials,
            trial: None,
        }
    }
}

impl Shard {
    /// What happens next; `None` when the shard has stopped and everything is written down, or it is too late for that.
    pub(super) async fn next(&mut self) -> Option<Input<'static>> {
        while !self.is_done() {
            self.last_turn.store(self.clock.mono().0, Ordering::Release);
            if let Some(input) = self.happening().await {
                return Some(input);
            }
        }
        None
    }

    /// Waits for one thing to happen; `None` when it concerns nobody but the shard.
    async fn happening(&mut self) -> Option<Input<'static>> {
        let rest = self.inner.wake.since(self.clock.mono()).min(HEARTBEAT);
        tokio::select! {
            biased;
            told = self.stop.changed(), if self.inner.stopping.is_none() => Some(self.stop_told(told.is_ok())),
            // The sending half is our own, so this never ends.
            Some((lease, attempt)) = self.inner.attempts.1.recv() => {
                self.ledger.ended(lease, &attempt).then_some(Input::Finished(lease, attempt))
            }
            Ok(()) = self.standing.changed() => Some(self.pauses()),
            Some(answer) = self.inner.answers.next(), if !self.inner.answers.is_empty() => self.answered(answer),
            Some(handoff) = self.handed.recv() => Some(self.handed_over(handoff)),
            () = sleep(rest) => {
                if self.inner.wake <= self.clock.mono() {
                    self.inner.wake = Mono::NEVER;
                }
                Some(Input::Tick)
            }
        }
    }

    /// Lets the lanes decide.
    pub(super) fn step(&mut self, input: Input<'_>, actions: &mut Vec<Action>) {
        self.lanes.step(self.clock.now(), input, &mut self.dice, actions);
    }

    /// Everything the lanes wanted is under way. Only now may the door take the place of what came through a gate again: the lane has
    /// lowered its limit by what it holds.
    pub(super) fn end_turn(&mut self) {
        if let Some(gate) = self.inner.counting.take() {
            gate.counted();
        }
        let leases = mem::take(&mut self.inner.unread);
        if !leases.is_empty() {
            self.read(leases);
        }
    }

    /// Starts an attempt, now or as soon as its bytes are read.
    pub(super) fn start(&mut self, lease: Lease) {
        let facts = Facts::of(&lease, lease.until.since(self.clock.mono()));
        let reference = lease.reference();
        self.ledger.open(reference, lease.target.clone(), facts);
        match lease.payload {
            PayloadRef::InStore(_) => self.inner.unread.push(lease),
            PayloadRef::Here(payload, permit) => self.send(reference, &lease.target, facts, payload, permit),
        }
    }

    /// Sends an attempt on its way, in a task of its own: what goes wrong there ends that attempt only.
    fn send(&mut self, lease: LeaseRef, target: &TargetName, facts: Facts, payload: Payload, permit: Option<OwnedSemaphorePermit>) {
        let Some(courier) = self.couriers.get(target).cloned() else {
            return self.unsent(lease, AttemptResult::Connect, "the target is not in the plan");
        };
        let (clock, over) = (self.clock.clone(), self.inner.attempts.0.clone());
        let task = tokio::task::spawn_local(async move {
            let attempt = guarded(&clock, courier.attempt(&facts, payload)).await;
            drop(permit);
            // The shard outlives its attempts, or has no use for them.
            let _ = over.send((lease, attempt));
        });
        self.ledger.sent(lease, task.abort_handle());
    }

    /// An attempt that ends before anything was sent.
    fn unsent(&self, lease: LeaseRef, result: AttemptResult, cause: &str) {
        let now = self.clock.now();
        let _ = self.inner.attempts.0.send((lease, ended(now, now, Ending::without_answer(result, cause))));
    }

    /// Cuts a running attempt short.
    pub(super) fn cut(&mut self, lease: LeaseRef) {
        self.inner.cut += usize::from(self.ledger.cut(lease));
    }

    /// Publishes how many slots of a lane may be out at once.
    pub(super) fn open_gate(&self, target: &TargetName, limit: u32) {
        if let Some(gate) = self.gates.get(target) {
            gate.publish(limit);
        }
    }

    /// Asks for the turn to try a suspect.
    pub(super) fn ask_trial(&self) {
        let turn = Arc::clone(&self.inner.trials).acquire_owned();
        // Nobody closes it.
        self.inner.answers.push(Box::pin(async move { Answer::Trial(turn.await.ok()) }));
    }

    /// Gives the turn on.
    pub(super) fn end_trial(&mut self) {
        self.inner.trial = None;
    }

    /// Has it kept when a lane was held. Nobody waits for that: what is lost of it is written with the next hold.
    pub(super) fn keep_holds(&self, target: TargetName, spans: Vec<Span>) {
        drop(self.store.keep_holds(target, spans));
    }

    /// Asks the store for leases.
    pub(super) fn claim(&self, wants: Vec<Want>) {
        let targets: Vec<TargetName> = wants.iter().map(|want| want.target.clone()).collect();
        let reply = self.store.claim(wants);
        self.inner.answers.push(Box::pin(async move {
            match reply.await {
                Ok(claimed) => Answer::Input(Input::Claimed(claimed)),
                Err(error) => {
                    tracing::warn!(event = "store", reason = %error, "waiting deliveries could not be claimed: asked again soon");
                    Answer::Input(Input::ClaimFailed(targets))
                }
            }
        }));
    }

    /// Has these written down.
    pub(super) fn settle(&self, fenced: Vec<Fenced>) {
        let reply = self.store.settle(fenced.clone());
        self.inner.answers.push(Box::pin(async move {
            match reply.await {
                Ok(fates) => Answer::Settled(fenced.into_iter().zip(fates).collect()),
                Err(error) => {
                    tracing::warn!(event = "store", reason = %error, "results of attempts are not written down yet: asked again soon");
                    Answer::Input(Input::SettleFailed(fenced))
                }
            }
        }));
    }

    /// Wakes the lanes at this time at the latest.
    pub(super) fn wake_at(&mut self, at: Mono) {
        self.inner.wake = at;
    }

    /// What the shard leaves behind.
    pub(super) fn left_behind(&self) -> Stopped {
        Stopped { cut: self.inner.cut, unsettled: self.ledger.open_count() }
    }

    fn stop_told(&mut self, is_told: bool) -> Input<'static> {
        // Whoever would tell us is gone: there is nobody to work for.
        let by = is_told.then(|| *self.stop.borrow()).flatten().unwrap_or_else(|| self.clock.mono());
        self.inner.stopping = Some(by);
        Input::Stop(by)
    }

    /// The targets that operators hold now.
    pub(super) fn pauses(&mut self) -> Input<'static> {
        Input::Pauses(self.standing.borrow_and_update().pauses.clone())
    }

    fn handed_over(&mut self, handoff: Handoff) -> Input<'static> {
        match handoff {
            Handoff::Leased(lease) => {
                self.inner.counting = self.gates.get(&lease.target).cloned();
                Input::Handed(lease)
            }
            Handoff::Waiting(target) => {
                // Heard before the lane claims: what is committed after this is announced again.
                if let Some(gate) = self.gates.get(&target) {
                    gate.heard();
                }
                Input::Waiting(target)
            }
        }
    }

    fn answered(&mut self, answer: Answer) -> Option<Input<'static>> {
        match answer {
            Answer::Input(input) => Some(input),
            Answer::Settled(settled) => {
                let now = self.clock.wall();
                settled.iter().for_each(|(fenced, fate)| self.ledger.settled(fenced, *fate, now));
                Some(Input::Fates(settled.into_iter().map(|(fenced, fate)| (fenced.lease(), fate)).collect()))
            }
            Answer::Trial(turn) => {
                self.inner.trial = turn;
                Some(Input::TrialGranted)
            }
            Answer::Read(leases, read) => {
                self.bytes_read(leases, read);
                None
            }
        }
    }

    fn bytes_read(&mut self, leases: Vec<Lease>, read: Result<Vec<Stored>, StoreError>) {
        let awaited: Vec<bool> = leases.iter().map(|lease| self.ledger.awaits_bytes(lease.reference())).collect();
        let stored = read.unwrap_or_else(|error| vec![Err(error); leases.len()]);
        for ((lease, stored), _) in leases.into_iter().zip(stored).zip(awaited).filter(|(_, awaited)| *awaited) {
            let facts = Facts::of(&lease, lease.until.since(self.clock.mono()));
            match stored {
                Ok(Some(payload)) => self.send(lease.reference(), &lease.target, facts, payload, None),
                Ok(None) => self.unsent(lease.reference(), AttemptResult::Body, "its stored bytes are gone or damaged"),
                // Not the target's fault and no loss: the lease is given up, the delivery comes again.
                Err(error) => {
                    let cause = format!("its bytes could not be read in time: {error}");
                    self.unsent(lease.reference(), AttemptResult::LeaseLost, &cause);
                }
            }
        }
    }

    fn read(&self, leases: Vec<Lease>) {
        let variant = |lease: &Lease| match lease.payload {
            PayloadRef::InStore(variant) => variant,
            PayloadRef::Here(..) => 0,
        };
        let reply = self.store.payloads(leases.iter().map(|lease| (lease.id.event, variant(lease))).collect());
        self.inner.answers.push(Box::pin(async move {
            let read = reply.await;
            Answer::Read(leases, read)
        }));
    }

    fn is_done(&self) -> bool {
        let Some(by) = self.inner.stopping else { return false };
        (self.lanes.is_idle() && self.handed.is_empty()) || self.clock.mono() > by + LAST_SETTLES
    }
}

/// An attempt that cannot take more down than itself.
async fn guarded(clock: &Clock, attempt: impl Future<Output = Attempt>) -> Attempt {
    let started = clock.now();
    let outcome = AssertUnwindSafe(attempt).catch_unwind().await;
    outcome.unwrap_or_else(|_| {
        tracing::error!(event = "attempt", "an attempt panicked: a bug in hookgate, please report it; the delivery is tried again");
        ended(started, clock.now(), Ending::without_answer(AttemptResult::Connect, "the attempt failed inside hookgate (a bug)"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_its_attempt_and_nothing_else() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let attempt = runtime.block_on(guarded(&Clock::System, async { panic!("planted") }));
        assert_eq!(attempt.result, AttemptResult::Connect);
        assert!(attempt.excerpt.is_some_and(|cause| cause.contains("inside hookgate")));
    }
}
