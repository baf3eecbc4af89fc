//! Suspects, one at a time.
//!
//! A delivery that was leased when the process ended, or whose lease ran out, twice in a row is a suspect: it may be what ended it. Once is
//! a restart, and everybody goes on together. Of all suspects of a process one runs at a time, so that the next crash says which. Whoever
//! has the turn writes first that its trial begins; if the process ends before that comes back, it counts against this delivery alone.
//! After [`TRIALS_MAX`] such crashes it is put away. The crashes that made it a suspect, among all others, are not among them; and whatever
//! comes back, well or not, is no suspect any more.
//!
//! Whoever was on trial at a crash is tried again only when the process has gone on for [`TRIAL_AGAIN_AFTER`] without it: a process that
//! is ended for other reasons, again and again, then finds nobody twice in the same place, and between two crashes of a real one the others
//! have their time.
//!
//! ```text
//!   nobody's --ask--> asked --granted--> waiting for a place --> writing --written--> on trial --its own write is down--> nobody's
//! ```
//!
//! The turn belongs to the process and not to a shard: the shell passes it on, in the order it was asked for.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use crate::{
    clock::{Mono, Now},
    delivery::DeliveryId,
    faults::{Fault, planted},
    lease::{Fate, Fenced, Lease, LeaseRef, Why},
    limits::{SUSPECTS_PER_PLACE, TRIAL_AGAIN_AFTER, TRIALS_MAX},
    name::TargetName,
    plan::Target,
};

use super::Lanes;
use crate::queue::{Action, lane::Lane};

/// How long the turn is kept for a lane without a free place; then it is another's.
const PLACE_WAIT: Duration = Duration::from_secs(10);

/// Who is on trial, and who may be next.
#[derive(Debug, Default)]
pub(super) struct Trials {
    turn: Turn,
    /// Lanes that hold suspects.
    lanes: BTreeSet<TargetName>,
    /// The lane whose turn it last was.
    last: Option<TargetName>,
    /// Whether the process has gone on for long enough to try those again that were on trial before.
    calm: Calm,
}

/// How long the process has gone on.
#[derive(Debug, Default)]
enum Calm {
    /// It begins.
    #[default]
    Begins,
    /// Not yet, until then.
    From(Mono),
    /// Long enough.
    Yes,
}

/// Whose turn it is.
#[derive(Debug, Default)]
enum Turn {
    #[default]
    Nobodys,
    /// We asked for it.
    Asked,
    /// Ours: this lane's next free place is for a suspect, until then.
    Waiting(TargetName, Mono),
    /// That this one's trial begins is being written down. Its place is taken.
    Writing(Lease),
    /// Under way, or what it came to is being written down.
    On(DeliveryId),
}

impl Trials {
    /// Whether the next attempt of this target is a suspect's: the next free place is for it; or it has one, and with a rate limit whoever
    /// started before it does would take its time.
    pub(super) fn goes_first(&self, target: &Target) -> bool {
        match &self.turn {
            Turn::Waiting(waiting, _) => *waiting == target.name,
            Turn::Writing(writing) => writing.target == target.name && target.rate_limit.is_some(),
            Turn::Nobodys | Turn::Asked | Turn::On(_) => false,
        }
    }

    /// Attempts that have a place and are not under way yet.
    pub(super) fn about_to_start(&self) -> usize {
        usize::from(matches!(self.turn, Turn::Writing(_)))
    }

    /// When the turn is given back or somebody may be tried again, if nothing happens before.
    pub(super) fn wake(&self) -> Option<Mono> {
        let turn = if let Turn::Waiting(_, until) = self.turn { Some(until) } else { None };
        let calm = if let Calm::From(at) = self.calm { Some(at).filter(|_| !self.lanes.is_empty()) } else { None };
        turn.into_iter().chain(calm).min()
    }

    /// Time passes.
    fn pass_time(&mut self, now: Mono) {
        self.calm = match self.calm {
            Calm::Begins => Calm::From(now + TRIAL_AGAIN_AFTER),
            Calm::From(at) if now < at => Calm::From(at),
            Calm::From(_) | Calm::Yes => Calm::Yes,
        };
    }

    /// Who of these is tried next.
    fn next_of(&self, suspects: &VecDeque<Lease>) -> Option<usize> {
        suspects.iter().position(|lease| lease.trials == 0 || matches!(self.calm, Calm::Yes))
    }
}

impl Lanes {
    /// A lease waits in its lane, as a suspect or not; or it is not for us to keep.
    pub(super) fn enqueue(&mut self, lease: Lease) {
        let Some(lane) = self.lanes.get_mut(&lease.target) else { return };
        let target = lease.target.clone();
        if !lease.is_suspect() || planted(Fault::SuspectsTogether) {
            lane.ready.push_back(lease);
        } else if lease.trials >= TRIALS_MAX {
            self.write(&target, Fenced::Quarantined(lease.reference(), target.clone()));
        } else if lane.suspects.len() >= lane.cap().saturating_mul(SUSPECTS_PER_PLACE) {
            self.write(&target, Fenced::Released(lease.reference(), Why::Suspect));
        } else {
            lane.suspects.push_back(lease);
            self.trials.lanes.insert(target);
        }
    }

    /// The turn is ours.
    pub(super) fn trial_granted(&mut self, now: Now, out: &mut Vec<Action>) {
        self.pass_turn(now, out);
    }

    /// Has the turn asked for, used, or given back, as things stand now.
    pub(super) fn hold_trials(&mut self, now: Now, out: &mut Vec<Action>) {
        self.trials.pass_time(now.mono);
        match &self.trials.turn {
            Turn::On(id) if !self.leases.is_busy(*id) => self.end_turn(out),
            Turn::Waiting(target, until) => {
                let target = target.clone();
                if now.mono >= *until || !self.may_try(&target, now) {
                    self.end_turn(out);
                } else if self.lanes.get(&target).is_some_and(|lane| lane.room(&self.share, now.mono) > 0) {
                    self.begin_trial(&target);
                }
            }
            _ => {}
        }
        if matches!(self.trials.turn, Turn::Nobodys) && self.next_to_try(now).is_some() {
            self.trials.turn = Turn::Asked;
            out.push(Action::AskTrial);
        }
    }

    /// What was written of a trial: it starts now, or is not to be. `false` when it is no trial that is being written.
    pub(super) fn trial_written(&mut self, lease: LeaseRef, fate: Fate, now: Now, out: &mut Vec<Action>) -> bool {
        if !matches!(&self.trials.turn, Turn::Writing(writing) if writing.reference() == lease) {
            return false;
        }
        let Turn::Writing(writing) = std::mem::replace(&mut self.trials.turn, Turn::On(lease.id)) else { return false };
        let target = writing.target.clone();
        self.touch(&target, |lane| lane.unsettled = lane.unsettled.saturating_sub(1));
        let stopping = self.cut_at.is_some();
        let lane = self.lanes.get(&target);
        // Its place may be gone with a new plan, and its target may be left alone by now.
        let is_let = |lane: &Lane| lane.running <= lane.cap() && lane.brakes.lets(lease.id, now.mono);
        let left_alone = |lane: &Lane| (!is_let(lane)).then_some(Why::LeftAlone);
        let late = |lane: &Lane| (!lane.can_start(&writing, now.mono)).then_some(Why::NoTime);
        let refused = lane.and_then(|lane| lane.closed_by(stopping, now.mono).or_else(|| left_alone(lane)).or_else(|| late(lane)));
        match (fate, refused) {
            (Fate::Stale, _) => {
                self.give_place_back(&target, lease.id);
                self.leases.close(lease);
                self.touch(&target, |lane| lane.backlog.doubt());
            }
            (_, Some(why)) => {
                self.give_place_back(&target, lease.id);
                self.write(&target, Fenced::Released(lease, why));
            }
            (_, None) => {
                self.leases.start(lease);
                self.touch(&target, |lane| lane.brakes.started(&lane.target, now.mono));
                out.push(Action::Start(writing));
            }
        }
        true
    }

    /// This delivery's lease is another one now: a trial that was only being written does not come to be.
    pub(super) fn withdraw_trial(&mut self, id: DeliveryId) {
        if let Turn::Writing(writing) = &self.trials.turn
            && writing.id == id
        {
            let target = writing.target.clone();
            self.trials.turn = Turn::On(id);
            self.give_place_back(&target, id);
        }
    }

    /// The turn is used for the next lane, or given back.
    fn pass_turn(&mut self, now: Now, out: &mut Vec<Action>) {
        let Some(target) = self.next_to_try(now) else { return self.end_turn(out) };
        self.trials.last = Some(target.clone());
        self.touched.insert(target.clone());
        self.trials.turn = Turn::Waiting(target, now.mono + PLACE_WAIT);
    }

    fn end_turn(&mut self, out: &mut Vec<Action>) {
        self.trials.turn = Turn::Nobodys;
        out.push(Action::EndTrial);
    }

    /// The lane behind the last one that has a suspect to try.
    fn next_to_try(&mut self, now: Now) -> Option<TargetName> {
        self.trials.lanes.retain(|target| self.lanes.get(target).is_some_and(|lane| !lane.suspects.is_empty()));
        let is_behind = |target: &&TargetName| self.trials.last.as_ref().is_none_or(|last| *target > last);
        let (behind, before): (Vec<_>, Vec<_>) = self.trials.lanes.iter().partition(is_behind);
        behind.into_iter().chain(before).find(|target| self.may_try(target, now)).cloned()
    }

    /// Whether a lane has a suspect that could be tried, but for a place.
    fn may_try(&self, target: &TargetName, now: Now) -> bool {
        self.lanes.get(target).is_some_and(|lane| {
            let is_let = lane.closed_by(self.cut_at.is_some(), now.mono).is_none();
            is_let && self.trials.next_of(&lane.suspects).is_some() && !lane.is_behind()
        })
    }

    fn begin_trial(&mut self, target: &TargetName) {
        let Some(lane) = self.lanes.get_mut(target) else { return };
        let Some(lease) = self.trials.next_of(&lane.suspects).and_then(|place| lane.suspects.remove(place)) else { return };
        lane.brakes.reserve(lease.id);
        self.share.moved(lane.running, lane.running + 1, lane.cap());
        lane.running += 1;
        self.write(target, Fenced::Trial(lease.reference()));
        self.trials.turn = Turn::Writing(lease);
    }

    fn give_place_back(&mut self, target: &TargetName, id: DeliveryId) {
        self.ended(target);
        self.touch(target, |lane| lane.brakes.cut(id));
    }
}
