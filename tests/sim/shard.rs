//! The lanes of one shard, fed by hand, and what is read out of their actions.

use std::{collections::BTreeMap, time::Duration};

use hookgate::{
    clock::{Mono, Now, UnixMs},
    delivery::{Attempt, AttemptResult, DeliveryId},
    event::EventId,
    lease::{Claimed, Fate, Fenced, Lease, LeaseRef, PayloadRef, Token, Want},
    plan::Target,
    queue::{Action, Dice, Input, Lanes},
};

use super::made;

/// The lanes of one shard, and a clock that is moved by hand.
pub(crate) struct Shard {
    pub(crate) lanes: Lanes,
    dice: Dice,
    pub(crate) now: Now,
    tokens: i64,
}

impl Shard {
    /// Lanes that have looked and found nothing.
    pub(crate) fn at_rest(targets: impl IntoIterator<Item = Target>) -> Self {
        let now = Now { wall: UnixMs(1_760_000_000_000), mono: Mono(1_000_000_000) };
        let mut shard = Self { lanes: Lanes::new(BTreeMap::new()), dice: Dice::seeded(1), now, tokens: 0 };
        let mut wants = claims(&shard.feed(Input::Plan(&made::plan_of(targets))));
        while !wants.is_empty() {
            wants = claims(&shard.feed(Input::Claimed(wants.iter().map(nothing).collect())));
        }
        shard
    }

    pub(crate) fn feed(&mut self, input: Input<'_>) -> Vec<Action> {
        let mut out = Vec::new();
        self.lanes.step(self.now, input, &mut self.dice, &mut out);
        assert!(matches!(out.last(), Some(Action::Sleep(_))), "the last word is when to come back");
        out
    }

    pub(crate) fn pass(&mut self, time: Duration) -> Vec<Action> {
        self.now = Now { wall: self.now.wall.after(time), mono: self.now.mono + time };
        self.feed(Input::Tick)
    }

    pub(crate) fn lease(&mut self, target: &str, event: i64) -> Lease {
        self.tokens += 1;
        Lease {
            id: DeliveryId { event: EventId::from_i64(event).expect("not negative"), slot: 0 },
            target: made::name(target),
            token: Token(self.tokens),
            attempt: 1,
            failures: 0,
            crashes: 0,
            trials: 0,
            first_at: self.now.wall,
            replay_of: None,
            until: self.now.mono + Duration::from_secs(28),
            payload: PayloadRef::InStore(0),
        }
    }

    /// How many slots the lane's gate may have out.
    pub(crate) fn gate(&self, target: &str) -> u32 {
        self.lanes.numbers().find(|(name, _)| name.as_str() == target).map_or(0, |(_, numbers)| numbers.gate)
    }

    /// Hands over so many deliveries; what starts is answered.
    pub(crate) fn hand(&mut self, target: &str, events: std::ops::Range<i64>) -> Vec<LeaseRef> {
        let mut started_all = Vec::new();
        for event in events {
            let lease = self.lease(target, event);
            started_all.extend(started(&self.feed(Input::Handed(lease))));
        }
        started_all
    }
}

pub(crate) fn nothing(want: &Want) -> Claimed {
    Claimed { target: want.target.clone(), leases: Vec::new(), next_due: None }
}

pub(crate) fn claims(actions: &[Action]) -> Vec<Want> {
    actions.iter().filter_map(|action| if let Action::Claim(wants) = action { Some(wants.clone()) } else { None }).flatten().collect()
}

pub(crate) fn settles(actions: &[Action]) -> Vec<Fenced> {
    actions.iter().filter_map(|action| if let Action::Settle(fenced) = action { Some(fenced.clone()) } else { None }).flatten().collect()
}

pub(crate) fn started(actions: &[Action]) -> Vec<LeaseRef> {
    actions.iter().filter_map(|action| if let Action::Start(lease) = action { Some(lease.reference()) } else { None }).collect()
}

pub(crate) fn gates(actions: &[Action]) -> Vec<u32> {
    actions.iter().filter_map(|action| if let Action::Gate(_, limit) = action { Some(*limit) } else { None }).collect()
}

pub(crate) fn sleep(actions: &[Action]) -> Mono {
    actions.iter().rev().find_map(|action| if let Action::Sleep(until) = action { Some(*until) } else { None }).expect("always there")
}

pub(crate) fn ended(result: AttemptResult) -> Attempt {
    Attempt { at: UnixMs(0), took: Duration::from_millis(10), result, status: None, retry_after: None, excerpt: None }
}

pub(crate) fn done(settled: &[Fenced]) -> Vec<(LeaseRef, Fate)> {
    settled.iter().map(|write| (write.lease(), Fate::Done)).collect()
}
