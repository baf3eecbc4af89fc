//! Every lease from hand-over or claim until its fate is known, and the writes that are due.
//!
//! The store leases by wall time and may lease a delivery again that we still hold: its lease ran out because the clock jumped, or because
//! its write could not be put down in time. Then the new lease replaces the old one and the work goes on: an attempt that runs is not
//! started twice, and what a target answered is written down under the new token instead of being sent again.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crate::{
    clock::{Mono, UnixMs},
    delivery::DeliveryId,
    lease::{Fate, Fenced, Lease, LeaseRef, Token},
    limits::SETTLE_MAX,
    name::TargetName,
};

use super::Dice;

/// The first pause after a store call failed; it doubles with each further failure.
const STORE_RETRY_FIRST: Duration = Duration::from_millis(50);
/// The longest pause after a failed store call.
const STORE_RETRY_MAX: Duration = Duration::from_secs(2);

/// A lease we hold, or whose write is not yet known to be down.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) target: TargetName,
    pub(super) token: Token,
    pub(super) failures: u32,
    pub(super) first_at: UnixMs,
    crashes: u32,
    pub(super) stage: Stage,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Stage {
    /// In its lane's queue.
    Ready,
    /// An attempt is under way, started under this token.
    Running(Token),
    /// This is to be written down; whether it still waits to be sent.
    Settling(Fenced, bool),
}

/// What taking a lease came to.
#[derive(Debug)]
pub(super) enum Taken {
    /// It is new: it waits in its lane's queue.
    New(Lease),
    /// It replaces a lease that waited in the queue and ran out.
    Renewed(Lease),
    /// It was merged into what we hold: nothing to start.
    Kept,
    /// The write of the lease before it was down already, and this is the next one.
    Next(Lease),
}

/// When a failed call to the store may be made again.
#[derive(Debug)]
pub(super) struct Pause {
    /// Not before this.
    pub(super) until: Mono,
    next: Duration,
}

/// All leases we hold, and the writes among them.
#[derive(Debug, Default)]
pub(super) struct Leases {
    held: BTreeMap<DeliveryId, Held>,
    unsent: VecDeque<DeliveryId>,
    /// Whether a settle is out: one at a time, so that what ends meanwhile goes with the next one.
    is_settling: bool,
    pause: Pause,
}

impl Default for Pause {
    fn default() -> Self {
        Self { until: Mono::default(), next: STORE_RETRY_FIRST }
    }
}

impl Pause {
    /// A call failed.
    pub(super) fn lengthen(&mut self, now: Mono, dice: &mut Dice) {
        self.until = now + dice.jitter(self.next);
        self.next = (self.next * 2).min(STORE_RETRY_MAX);
    }

    /// A call succeeded.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }
}

impl Leases {
    /// Takes a lease in.
    pub(super) fn take(&mut self, lease: Lease) -> Taken {
        let Some(held) = self.held.get_mut(&lease.id) else {
            self.hold(&lease);
            return Taken::New(lease);
        };
        // Tokens rise: what came by a gate may arrive behind the claim that leased it anew.
        if lease.token <= held.token {
            return Taken::Kept;
        }
        // The store counts a crash when it leases what was still leased: otherwise the old lease was given up by a write of ours.
        let ran_out = lease.crashes > held.crashes;
        match &mut held.stage {
            Stage::Ready => {
                self.hold(&lease);
                Taken::Renewed(lease)
            }
            // A trial that was only about to begin is not begun with another lease.
            Stage::Settling(write, _) if !ran_out || matches!(write, Fenced::Trial(_)) => {
                self.unsent.retain(|id| *id != lease.id);
                self.hold(&lease);
                Taken::Next(lease)
            }
            Stage::Running(_) => {
                (held.token, held.crashes) = (lease.token, lease.crashes);
                Taken::Kept
            }
            Stage::Settling(write, is_unsent) => {
                *write = under(write, lease.token);
                if !std::mem::replace(is_unsent, true) {
                    self.unsent.push_back(lease.id);
                }
                (held.token, held.crashes) = (lease.token, lease.crashes);
                Taken::Kept
            }
        }
    }

    /// An attempt starts with this lease.
    pub(super) fn start(&mut self, lease: LeaseRef) {
        if let Some(held) = self.held.get_mut(&lease.id) {
            held.stage = Stage::Running(lease.token);
        }
    }

    /// The lease of the attempt that was started so, as it is now; `None` when it is no longer ours.
    pub(super) fn running(&self, started: LeaseRef) -> Option<&Held> {
        self.held.get(&started.id).filter(|held| matches!(held.stage, Stage::Running(token) if token == started.token))
    }

    /// The leases of all attempts under way, as they were started.
    pub(super) fn all_running(&self) -> Vec<LeaseRef> {
        let started = |(id, held): (&DeliveryId, &Held)| match held.stage {
            Stage::Running(token) => Some(LeaseRef { id: *id, token }),
            Stage::Ready | Stage::Settling(..) => None,
        };
        self.held.iter().filter_map(started).collect()
    }

    /// The current token of a lease we hold.
    pub(super) fn current(&self, id: DeliveryId) -> Option<LeaseRef> {
        self.held.get(&id).map(|held| LeaseRef { id, token: held.token })
    }

    /// Whether an attempt of this delivery is under way, or what it came to is not known to be down.
    pub(super) fn is_busy(&self, id: DeliveryId) -> bool {
        self.held.get(&id).is_some_and(|held| !matches!(held.stage, Stage::Ready))
    }

    /// Puts a write of a lease we hold on the list.
    pub(super) fn write(&mut self, write: Fenced) {
        let id = write.lease().id;
        if let Some(held) = self.held.get_mut(&id) {
            held.stage = Stage::Settling(write, true);
            self.unsent.push_back(id);
        }
    }

    /// The next writes to send, when there are any and none are out.
    pub(super) fn batch(&mut self, now: Mono) -> Option<Vec<Fenced>> {
        if self.is_settling || self.unsent.is_empty() || now < self.pause.until {
            return None;
        }
        let count = self.unsent.len().min(SETTLE_MAX);
        let mut writes = Vec::with_capacity(count);
        for id in self.unsent.drain(..count) {
            if let Some(Held { stage: Stage::Settling(write, is_unsent), .. }) = self.held.get_mut(&id) {
                *is_unsent = false;
                writes.push(write.clone());
            }
        }
        self.is_settling = true;
        Some(writes)
    }

    /// When writes that wait may be sent again; `None` when nothing waits for that.
    pub(super) fn wake(&self) -> Option<Mono> {
        (!self.is_settling && !self.unsent.is_empty()).then_some(self.pause.until)
    }

    /// A settle was answered.
    pub(super) fn answered(&mut self) {
        self.is_settling = false;
        self.pause.end();
    }

    /// This write has its fate: the lease is gone. `None` when the lease was replaced meanwhile.
    pub(super) fn close(&mut self, lease: LeaseRef) -> Option<(TargetName, Fenced)> {
        let held = self.held.get(&lease.id)?;
        if held.token != lease.token || !matches!(held.stage, Stage::Settling(..)) {
            return None;
        }
        match self.held.remove(&lease.id)? {
            Held { target, stage: Stage::Settling(write, _), .. } => Some((target, write)),
            Held { .. } => None,
        }
    }

    /// A settle failed: those of its writes that are still right go again, first.
    pub(super) fn failed(&mut self, writes: &[Fenced], now: Mono, dice: &mut Dice) {
        self.is_settling = false;
        self.pause.lengthen(now, dice);
        for write in writes.iter().rev() {
            let LeaseRef { id, token } = write.lease();
            let Some(held) = self.held.get_mut(&id).filter(|held| held.token == token) else { continue };
            if let Stage::Settling(_, is_unsent) = &mut held.stage
                && !std::mem::replace(is_unsent, true)
            {
                self.unsent.push_front(id);
            }
        }
    }

    /// Whether nothing is held and nothing is out.
    pub(super) fn is_idle(&self) -> bool {
        self.held.is_empty() && !self.is_settling
    }

    /// Leases we hold.
    pub(super) fn count(&self) -> usize {
        self.held.len()
    }

    fn hold(&mut self, lease: &Lease) {
        let held = Held {
            target: lease.target.clone(),
            token: lease.token,
            failures: lease.failures,
            first_at: lease.first_at,
            crashes: lease.crashes,
            stage: Stage::Ready,
        };
        self.held.insert(lease.id, held);
    }
}

/// When a delivery is due after this write: itself again, or the next of its key. `None` when there is none, or its lease goes on.
pub(super) fn due_after(write: &Fenced, fate: Fate, now: UnixMs) -> Option<UnixMs> {
    match write {
        Fenced::Retry { due, .. } if fate != Fate::Stale => Some(*due),
        Fenced::Released(_, why) if fate != Fate::Stale => Some(now.after(why.pause())),
        _ if fate == Fate::Unblocked => Some(now),
        _ => None,
    }
}

/// The same write under another token.
fn under(write: &Fenced, token: Token) -> Fenced {
    let mut write = write.clone();
    match &mut write {
        Fenced::Delivered(lease, _)
        | Fenced::Retry { lease, .. }
        | Fenced::Dead(lease, ..)
        | Fenced::Trial(lease)
        | Fenced::Quarantined(lease, _)
        | Fenced::Released(lease, _) => lease.token = token,
    }
    write
}
