//! Everything that may hold a lane's attempts back besides its places: the breaker, the ramp after it, the rate limit, and what the target
//! asked for itself.

use std::time::Duration;

use crate::{
    clock::Mono,
    delivery::{Attempt, DeliveryId},
    lease::{LeaseRef, Token},
    plan::{RampPolicy, Target},
};

use super::{
    Dice,
    breaker::{Breaker, Phase, Sign},
    pace::{self, Pace},
    ramp::Ramp,
    retry::asked_for,
};

/// The least pause a target that asks for time gets: "Retry-After: 0" must not become a loop without one.
const ASKED_MIN: Duration = Duration::from_secs(1);

/// A lane's brakes.
#[derive(Debug)]
pub(super) struct Brakes {
    breaker: Breaker,
    pace: Pace,
    /// The backlog comes back after an outage.
    ramp: Option<Ramp>,
    /// The target asked to be left alone until then (`Retry-After`).
    asked_until: Mono,
    /// The target is back since this lease: what waits for a later try and had none after it need not wait.
    pulls: Option<Token>,
}

impl Brakes {
    /// All off.
    pub(super) fn off() -> Self {
        Self { breaker: Breaker::closed(Mono::default()), pace: Pace::default(), ramp: None, asked_until: Mono::default(), pulls: None }
    }

    /// How the breaker stands.
    pub(super) fn phase(&self) -> Phase {
        self.breaker.phase()
    }

    /// Until when the target last asked to be left alone.
    pub(super) fn asked_until(&self) -> Mono {
        self.asked_until
    }

    /// Whether nothing may start now, and what is held ready only grows old.
    pub(super) fn is_shut(&self, now: Mono) -> bool {
        now < self.asked_until || self.breaker.phase() == Phase::Open
    }

    /// Whether new deliveries may come straight to the lane. While half-open they may not: the one probe is the oldest that waits, and what
    /// the outage left goes before them.
    pub(super) fn is_off(&self, now: Mono) -> bool {
        now >= self.asked_until && self.breaker.phase() == Phase::Closed && self.ramp.is_none() && self.pulls.is_none()
    }

    /// Whether deliveries that are not due yet are wanted too: those without a lease after this one.
    pub(super) fn pulls(&self) -> Option<Token> {
        self.pulls
    }

    /// There is nothing more to pull forward.
    pub(super) fn pulled_all(&mut self) {
        self.pulls = None;
    }

    /// Attempts that may start now.
    pub(super) fn room(&self, target: &Target, now: Mono) -> usize {
        if now < self.asked_until {
            return 0;
        }
        let ramped = self.ramping(target).map_or(usize::MAX, |(ramp, policy)| ramp.room(policy, now));
        let paced = target.rate_limit.map_or(usize::MAX, |rate| self.pace.room(rate, now));
        self.breaker.room().min(ramped).min(paced)
    }

    /// Leases worth holding beyond that for so long: more would only wait, and lapse.
    pub(super) fn ahead(&self, target: &Target, window: Duration) -> usize {
        match (self.breaker.phase(), target.rate_limit) {
            (Phase::Closed, None) => usize::MAX,
            (Phase::Closed, Some(rate)) => pace::within(rate, window),
            (Phase::HalfOpen | Phase::Open, _) => 0,
        }
    }

    /// An attempt is about to start: where one finds out whether the target is back, it is this one.
    pub(super) fn reserve(&mut self, id: DeliveryId) {
        self.breaker.started(id);
    }

    /// Whether it still may: the breaker may have opened meanwhile, and another one may be finding out.
    pub(super) fn lets(&self, id: DeliveryId, now: Mono) -> bool {
        !self.is_shut(now) && self.breaker.lets(id)
    }

    /// It starts.
    pub(super) fn started(&mut self, target: &Target, now: Mono) {
        if let Some(rate) = target.rate_limit {
            self.pace.started(rate, now);
        }
        if let Some(ramp) = &mut self.ramp {
            ramp.started();
        }
    }

    /// An attempt was cut.
    pub(super) fn cut(&mut self, id: DeliveryId) {
        self.breaker.cut(id);
    }

    /// An attempt ended.
    pub(super) fn ended(&mut self, target: &Target, lease: LeaseRef, attempt: &Attempt, now: Mono, dice: &mut Dice) {
        let asked = asked_for(&target.retry, attempt);
        if let Some(asked) = asked {
            self.asked_until = self.asked_until.max(now + asked.max(ASKED_MIN));
        }
        let Some(policy) = &target.breaker else { return };
        let before = self.breaker.phase();
        let sign = Sign::of(attempt.result, asked.is_some());
        self.breaker.ended(policy, (lease.id, attempt.took), sign, now, dice);
        match (before, self.breaker.phase()) {
            (Phase::HalfOpen, Phase::Closed) => {
                self.ramp = policy.ramp.map(|_| Ramp::begin(now));
                self.pulls = Some(lease.token);
            }
            (_, Phase::Open) => (self.ramp, self.pulls) = (None, None),
            _ => {}
        }
    }

    /// Time passes; `caught_up` when nothing waits that could start.
    pub(super) fn turn(&mut self, target: &Target, caught_up: bool, now: Mono) {
        self.breaker.turn(now);
        let is_over = self.ramping(target).is_none_or(|(ramp, policy)| ramp.is_over(policy, now));
        if is_over || caught_up && self.pulls.is_none() {
            self.ramp = None;
        }
    }

    /// When they let more start, if nothing happens before; without work only what keeps the gate shut has a time.
    pub(super) fn wake(&self, target: &Target, has_work: bool, now: Mono) -> Option<Mono> {
        let asked = Some(self.asked_until).filter(|until| now < *until);
        let ramp = self.ramping(target).filter(|(ramp, policy)| has_work && ramp.room(*policy, now) == 0);
        let pace = target.rate_limit.filter(|rate| has_work && self.pace.room(*rate, now) == 0);
        // All of them must let go, so only the last of these moments is worth a turn.
        let moments = [self.breaker.wake(), asked, ramp.map(|(ramp, policy)| ramp.wake(policy)), pace.map(|_| self.pace.wake())];
        moments.into_iter().flatten().max()
    }

    /// There is another rate limit: what the old one had put off no longer counts.
    pub(super) fn forget_pace(&mut self) {
        self.pace = Pace::default();
    }

    /// The breaker was switched off.
    pub(super) fn close_breaker(&mut self) {
        *self = Self { pace: self.pace, asked_until: self.asked_until, ..Self::off() };
    }

    fn ramping(&self, target: &Target) -> Option<(&Ramp, RampPolicy)> {
        self.ramp.as_ref().zip(target.breaker.and_then(|breaker| breaker.ramp))
    }
}
