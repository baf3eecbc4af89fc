//! The store's thread: what waits for it, the batch under way, and how its commit ends. The store itself is the model.

use std::{collections::VecDeque, sync::Arc};

use hookgate::{
    clock::{Mono, UnixMs},
    delivery::{DeadReason, DeliveryId, State},
    event::EventId,
    faults::Fault,
    lease::{Claimed, Fate, Fenced, LeaseRef, Token, Want},
    limits::BATCH_ADMITS_MAX,
    name::TargetName,
    store::{Act, Admission, Model, NewEvent, Standing, Start, Step},
};

use tokio::sync::watch;

use super::{
    made,
    operators::Operated,
    rules::{Kind, Rule},
    script::{MS, SECOND},
    world::{Happening, World},
};

/// The store and its queue.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) model: Model,
    pub(crate) calls: VecDeque<Call>,
    pub(crate) admits: VecDeque<(usize, NewEvent, Mono)>,
    batch: Option<Batch>,
    is_turn_due: bool,
    /// What stands, as whoever listens hears it.
    pub(crate) standing: watch::Receiver<Arc<Standing>>,
    /// A step of a job is to come, or under way.
    pub(crate) is_stepping: bool,
}

/// What goes before admits.
#[derive(Debug)]
pub(crate) enum Call {
    Claim(Vec<Want>),
    Settle(Vec<Fenced>),
    Operate(Box<Act>),
    Sweep,
}

/// What the shell hears.
#[derive(Debug)]
pub(crate) enum Answer {
    Claimed(Vec<Claimed>),
    ClaimFailed(Vec<TargetName>),
    Fates(Vec<(LeaseRef, Fate)>),
    SettleFailed(Vec<Fenced>),
}

/// A batch whose commit is under way.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    answers: Vec<Pending>,
    /// Leases that go through slots with the commit.
    through_slots: Vec<Token>,
    accepted: Vec<(usize, EventId)>,
    pub(crate) operated: Vec<Operated>,
}

/// An answer that waits for the commit, with what is needed to say that it failed.
#[derive(Debug)]
enum Pending {
    Admit(usize, EventId, Admission),
    Claim(Vec<Claimed>),
    Settle(Vec<Fenced>, Vec<Fate>),
    Operate(Box<(Act, Step)>),
}

impl Batch {
    /// An operator will be answered so.
    pub(crate) fn operate(&mut self, act: Act, step: Step) {
        self.answers.push(Pending::Operate(Box::new((act, step))));
    }
}

impl Desk {
    pub(crate) fn new(fault: Option<Fault>) -> Self {
        let model = Model::new(made::retention()).with_fault(fault);
        let standing = model.hear_standing();
        Self { model, calls: VecDeque::new(), admits: VecDeque::new(), batch: None, is_turn_due: false, standing, is_stepping: false }
    }

    /// A new process opens the store.
    pub(crate) fn boot(&mut self, now: UnixMs) {
        self.forget();
        self.model.boot(now);
    }

    /// The process is gone: nothing waits any more, and what was not committed never was.
    pub(crate) fn forget(&mut self) {
        self.model.crash();
        self.calls.clear();
        self.admits.clear();
        self.batch = None;
        self.is_turn_due = false;
        self.is_stepping = false;
    }

    /// Whether nothing waits and nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.calls.is_empty() && self.admits.is_empty() && self.batch.is_none()
    }
}

impl World {
    /// There is something for the store.
    pub(crate) fn wake_store(&mut self) {
        if self.desk.batch.is_none() && !std::mem::replace(&mut self.desk.is_turn_due, true) {
            let pause = self.pause(0, MS);
            self.soon(pause, Happening::StoreTurn);
        }
    }

    /// The store purges.
    pub(crate) fn sweep(&mut self) {
        self.desk.calls.push_back(Call::Sweep);
        self.wake_store();
    }

    /// The store takes what waits, fenced writes first, and begins its commit.
    pub(crate) fn store_turn(&mut self) {
        self.desk.is_turn_due = false;
        let mut batch = Batch::default();
        for call in std::mem::take(&mut self.desk.calls) {
            self.call(call, &mut batch);
        }
        let count = self.desk.admits.len().min(BATCH_ADMITS_MAX);
        for (index, event, by) in self.desk.admits.drain(..count).collect::<Vec<_>>() {
            self.admit_one(index, event, by, &mut batch);
        }
        self.desk.batch = Some(batch);
        let slow = self.strikes(self.script.rates.slow_commit, Kind::SlowCommit);
        let takes = if slow { self.pause(50 * MS, 4 * SECOND) } else { self.pause(MS / 5, 5 * MS) };
        self.soon(takes, Happening::CommitEnds);
    }

    fn call(&mut self, call: Call, batch: &mut Batch) {
        let refused = !matches!(call, Call::Sweep) && self.strikes(self.script.rates.busy, Kind::Busy);
        let now = self.now();
        match call {
            Call::Claim(wants) if refused => {
                self.answer_later(Answer::ClaimFailed(wants.into_iter().map(|want| want.target).collect()));
            }
            Call::Operate(act) if refused => self.operate_failed(*act),
            Call::Settle(fenced) if refused => self.answer_later(Answer::SettleFailed(fenced)),
            Call::Claim(wants) => {
                self.counts.claims += 1;
                let claimed = self.desk.model.claim(&wants, now);
                self.say(|| format!("claim {wants:?} -> {claimed:?}"));
                batch.answers.push(Pending::Claim(claimed));
            }
            Call::Settle(fenced) => {
                let fates = fenced.iter().map(|write| self.settle_one(write, now.wall)).collect();
                batch.answers.push(Pending::Settle(fenced, fates));
            }
            Call::Operate(act) => self.operate_now(*act, batch),
            Call::Sweep => self.sweep_now(now.wall),
        }
    }

    fn settle_one(&mut self, write: &Fenced, now: UnixMs) -> Fate {
        let LeaseRef { id, token } = write.lease();
        self.counts.settles += 1;
        let before = self.desk.model.delivery(id).cloned();
        let fate = self.desk.model.settle(std::slice::from_ref(write), now).first().copied().unwrap_or(Fate::Stale);
        self.say(|| format!("settle {write:?} -> {fate:?}"));
        let mine = before.as_ref().is_some_and(|row| row.token == Some(token) && row.state == State::InFlight);
        let is_changed = self.desk.model.delivery(id) != before.as_ref();
        if mine != fate.is_written() || !mine && is_changed {
            self.broke(Rule::StaleChangesNothing, format!("{write:?} on {before:?} came to {fate:?}"));
        }
        self.counts.unblocked += u64::from(fate == Fate::Unblocked);
        if let (Fenced::Quarantined(..), true) = (write, fate.is_written()) {
            self.check_quarantine(id);
        }
        if let (Fenced::Dead(_, _, DeadReason::Age), Some(row), true) = (write, &before, fate.is_written()) {
            self.check_age(id, row);
        }
        if let (Fenced::Dead(_, attempt, reason), Some(row), true) = (write, &before, fate.is_written()) {
            self.counts.dead += 1;
            let scripted = self.script.targets.iter().find(|scripted| scripted.target.name == row.target);
            let policy = &scripted.expect("a target of the script").target.retry;
            let has_reason = match reason {
                DeadReason::Attempts => policy.attempts.is_some_and(|attempts| row.failures + 1 >= attempts),
                DeadReason::Age => policy.give_up_after.is_some(),
                DeadReason::Status => attempt.status.is_some_and(|status| policy.dead_on.iter().any(|dead| dead.matches(status))),
                DeadReason::PayloadLost | DeadReason::Quarantined => false,
            };
            if !has_reason {
                self.broke(Rule::DeadHasReason, format!("{write:?} on {row:?}"));
            }
        }
        fate
    }

    fn sweep_now(&mut self, now: UnixMs) {
        let open = self.desk.model.deliveries().filter(|(_, row)| row.state.is_open()).map(|(id, _)| id.event).collect::<Vec<_>>();
        let swept = self.desk.model.sweep(now);
        self.say(|| format!("sweep {swept:?}"));
        if let Some(event) = open.into_iter().find(|event| !self.desk.model.knows(*event)) {
            self.broke(Rule::OpenIsNeverPurged, format!("{event} is gone"));
        }
        let made = self.books.accepted.values().flatten().copied();
        let gone = made.filter(|id| !self.desk.model.knows(*id)).collect::<Vec<_>>();
        self.books.purged.extend(gone);
    }

    fn admit_one(&mut self, index: usize, event: NewEvent, by: Mono, batch: &mut Batch) {
        let id = event.id;
        if self.now().mono > by || self.strikes(self.script.rates.busy, Kind::Busy) {
            self.say(|| format!("busy {index}"));
            self.acknowledge_later(index, id, None);
            return;
        }
        let through_slot = event.owed.iter().map(|owed| matches!(owed.start, Start::Leased(..))).collect::<Vec<_>>();
        let now = self.now();
        let admission = self.desk.model.admit(event, now);
        self.say(|| format!("admit {index} as {id}: {admission:?}, through slots {through_slot:?}"));
        match admission {
            Admission::Accepted => {
                let born =
                    (0..=u8::MAX).take(through_slot.len()).filter_map(|slot| self.desk.model.delivery(DeliveryId { event: id, slot }));
                self.counts.blocked += born.filter(|row| row.state == State::Blocked).map(|_| 1).sum::<u64>();
                for (slot, _) in (0..=u8::MAX).zip(&through_slot).filter(|(_, through)| **through) {
                    let delivery = DeliveryId { event: id, slot };
                    batch.through_slots.extend(self.desk.model.delivery(delivery).and_then(|row| row.token));
                    let order = u64::try_from(self.books.order.len()).unwrap_or(u64::MAX);
                    self.books.order.insert(delivery, order);
                }
                batch.accepted.push((index, id));
            }
            Admission::Duplicate { revived, .. } => self.counts.revived += u64::from(revived),
        }
        if self.fault == Some(Fault::AckBeforeCommit) {
            self.acknowledge_later(index, id, Some(admission));
        }
        batch.answers.push(Pending::Admit(index, id, admission));
    }

    /// The commit ends well, or takes everything back, or succeeds without anybody being told.
    pub(crate) fn commit_ends(&mut self) {
        let Some(batch) = self.desk.batch.take() else { return };
        if self.strikes(self.script.rates.commit_lost, Kind::CommitLost) {
            self.desk.model.roll_back();
            batch.answers.into_iter().for_each(|pending| self.fail(pending));
            self.check_promises();
        } else if self.strikes(self.script.rates.commit_unseen, Kind::CommitUnseen) {
            self.desk.model.commit_unseen();
            self.accept(batch.accepted);
            self.note_operated(batch.operated);
            self.books.lost.extend(batch.through_slots);
            batch.answers.into_iter().for_each(|pending| self.fail(pending));
        } else {
            self.desk.model.commit();
            self.accept(batch.accepted);
            self.note_operated(batch.operated);
            self.books.holders.extend(&batch.through_slots);
            self.books.handed.extend(batch.through_slots);
            batch.answers.into_iter().for_each(|pending| self.reply(pending));
        }
        self.check_rows();
        self.pump_later();
        if !self.desk.is_idle() {
            self.wake_store();
        }
    }

    fn accept(&mut self, accepted: Vec<(usize, EventId)>) {
        for (index, id) in accepted {
            let ids = self.books.accepted.entry(index).or_default();
            ids.insert(id);
            let standing = ids.iter().filter(|id| self.desk.model.knows(**id)).count();
            if standing > 1 {
                self.broke(Rule::OneFanOut, format!("event {index} is there {standing} times"));
            }
            self.check_promise(id);
        }
    }

    fn reply(&mut self, pending: Pending) {
        match pending {
            Pending::Admit(index, id, admission) => {
                let lost = self.strikes(self.script.rates.ack_lost, Kind::AckLost);
                if self.fault != Some(Fault::AckBeforeCommit) {
                    self.acknowledge_later(index, id, (!lost).then_some(admission));
                }
            }
            Pending::Operate(asked) if self.strikes(self.script.rates.ack_lost, Kind::AckLost) => self.operate_failed(asked.0),
            Pending::Operate(asked) => self.operated(&asked.0, &asked.1),
            Pending::Claim(claimed) if self.strikes(self.script.rates.claim_lost, Kind::ClaimLost) => self.fail(Pending::Claim(claimed)),
            Pending::Claim(claimed) => {
                self.books.holders.extend(claimed.iter().flat_map(|one| &one.leases).map(|lease| lease.token));
                self.answer_later(Answer::Claimed(claimed));
            }
            Pending::Settle(fenced, fates) => {
                if self.strikes(self.script.rates.settle_lost, Kind::SettleLost) {
                    self.fail(Pending::Settle(fenced, fates));
                } else {
                    self.answer_later(Answer::Fates(fenced.iter().map(Fenced::lease).zip(fates).collect()));
                }
            }
        }
    }

    fn fail(&mut self, pending: Pending) {
        match pending {
            Pending::Admit(index, id, _) => self.acknowledge_later(index, id, None),
            Pending::Claim(claimed) => {
                self.books.lost.extend(claimed.iter().flat_map(|one| &one.leases).map(|lease| lease.token));
                self.answer_later(Answer::ClaimFailed(claimed.into_iter().map(|one| one.target).collect()));
            }
            Pending::Operate(asked) => self.operate_failed(asked.0),
            Pending::Settle(fenced, _) => self.answer_later(Answer::SettleFailed(fenced)),
        }
    }

    fn answer_later(&mut self, answer: Answer) {
        let pause = self.pause(0, 3 * MS);
        self.soon(pause, Happening::Answered(answer));
    }

    fn acknowledge_later(&mut self, index: usize, id: EventId, admission: Option<Admission>) {
        let pause = self.pause(0, 3 * MS);
        self.soon(pause, Happening::Acknowledge(index, id, admission));
    }
}
