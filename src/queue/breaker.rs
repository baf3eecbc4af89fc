//! When a target is left alone: after so many failures in a row, or when too many of its attempts in a window fail.
//!
//! ```text
//!   closed --too many failures--> open --time--> half-open --the probe ends well--> closed
//!                                   ^                 |
//!                                   +--the probe fails, and the next time is twice as long
//! ```
//!
//! What counts is whether the target can work at all: no connection, no answer in time, 5xx, 429. A status such as 400 or 410 is about one
//! event, so it never opens a breaker, and a probe that is answered so has found somebody there. What the target asks for itself
//! (`Retry-After`) counts neither way, and opens none; but a probe that is asked to come later has found nobody who works, and the next one
//! comes as much later as after one that failed, or a target that asks for a second each time would be asked each second for ever. Attempts
//! that were under way when it opened have no say in when it closes, nor in whether it then opens again.

use std::time::Duration;

use crate::{
    clock::Mono,
    delivery::{AttemptResult, DeliveryId},
    plan::BreakerPolicy,
};

use super::Dice;

/// How a breaker stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Attempts start.
    #[default]
    Closed,
    /// One attempt at a time finds out whether the target is back.
    HalfOpen,
    /// Nothing starts.
    Open,
}

/// What an attempt says about its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// It took the delivery.
    Well,
    /// Somebody is there, and did not want this one.
    Answered,
    /// It cannot work.
    Ill,
    /// It asked for time.
    Asked,
    /// Nothing: the attempt ended on our side.
    None,
}

impl Sign {
    /// What this result says; `asked` when the target asked for time.
    pub(super) fn of(result: AttemptResult, asked: bool) -> Self {
        match result {
            _ if asked => Self::Asked,
            AttemptResult::Delivered => Self::Well,
            AttemptResult::Http3xx | AttemptResult::Http4xx => Self::Answered,
            AttemptResult::Http429
            | AttemptResult::Http5xx
            | AttemptResult::Timeout
            | AttemptResult::Connect
            | AttemptResult::Dns
            | AttemptResult::Tls
            | AttemptResult::EgressDenied => Self::Ill,
            AttemptResult::Body | AttemptResult::LeaseLost => Self::None,
        }
    }
}

/// The breaker of one target.
#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    in_a_row: u32,
    window: Window,
    /// How often it opened since the target was last well for a whole window: each time it stays open longer.
    openings: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed { since: Mono },
    Open { until: Mono },
    HalfOpen { probe: Option<DeliveryId> },
}

/// Attempts of the time under way; it starts over when it is full.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    since: Mono,
    attempts: u32,
    failures: u32,
}

impl Breaker {
    /// Closed, until something is known.
    pub(super) fn closed(now: Mono) -> Self {
        Self { state: State::Closed { since: now }, in_a_row: 0, window: Window::default(), openings: 0 }
    }

    /// How it stands.
    pub(super) fn phase(&self) -> Phase {
        match self.state {
            State::Closed { .. } => Phase::Closed,
            State::HalfOpen { .. } => Phase::HalfOpen,
            State::Open { .. } => Phase::Open,
        }
    }

    /// Attempts that it lets start now.
    pub(super) fn room(&self) -> usize {
        match self.state {
            State::Closed { .. } => usize::MAX,
            State::HalfOpen { probe } => usize::from(probe.is_none()),
            State::Open { .. } => 0,
        }
    }

    /// Whether this attempt, which was about to start, still may: while it is half open only the one that finds out.
    pub(super) fn lets(&self, id: DeliveryId) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { .. } => false,
            State::HalfOpen { probe } => probe == Some(id),
        }
    }

    /// Time passes: when it has been open long enough, a probe may start.
    pub(super) fn turn(&mut self, now: Mono) {
        if matches!(self.state, State::Open { until } if until <= now) {
            self.state = State::HalfOpen { probe: None };
        }
    }

    /// When that is.
    pub(super) fn wake(&self) -> Option<Mono> {
        if let State::Open { until } = self.state { Some(until) } else { None }
    }

    /// An attempt starts.
    pub(super) fn started(&mut self, id: DeliveryId) {
        if let State::HalfOpen { probe } = &mut self.state {
            *probe = Some(id);
        }
    }

    /// An attempt was cut: it says nothing.
    pub(super) fn cut(&mut self, id: DeliveryId) {
        if let State::HalfOpen { probe } = &mut self.state {
            probe.take_if(|probe| *probe == id);
        }
    }

    /// An attempt ended that took so long.
    pub(super) fn ended(&mut self, policy: &BreakerPolicy, (id, took): (DeliveryId, Duration), sign: Sign, now: Mono, dice: &mut Dice) {
        match self.state {
            // It began before the target was back.
            State::Closed { since } if now.since(since) < took => {}
            State::Closed { since } => {
                self.count(policy, sign, now);
                if self.is_too_much(policy) {
                    self.open(policy, now, dice);
                } else if sign == Sign::Well && now.since(since) >= policy.window {
                    self.openings = 0;
                }
            }
            State::HalfOpen { probe } if probe == Some(id) => match sign {
                Sign::Well | Sign::Answered => {
                    self.state = State::Closed { since: now };
                    (self.in_a_row, self.window) = (0, Window { since: now, ..Window::default() });
                }
                Sign::Ill | Sign::Asked => self.open(policy, now, dice),
                Sign::None => self.state = State::HalfOpen { probe: None },
            },
            State::HalfOpen { .. } | State::Open { .. } => {}
        }
    }

    fn count(&mut self, policy: &BreakerPolicy, sign: Sign, now: Mono) {
        if now.since(self.window.since) >= policy.window {
            self.window = Window { since: now, ..Window::default() };
        }
        match sign {
            Sign::Well => {
                self.in_a_row = 0;
                self.window.attempts = self.window.attempts.saturating_add(1);
            }
            Sign::Ill => {
                self.in_a_row = self.in_a_row.saturating_add(1);
                self.window.attempts = self.window.attempts.saturating_add(1);
                self.window.failures = self.window.failures.saturating_add(1);
            }
            Sign::Answered | Sign::Asked | Sign::None => {}
        }
    }

    fn is_too_much(&self, policy: &BreakerPolicy) -> bool {
        let Window { attempts, failures, .. } = self.window;
        let rate = u64::from(failures) * 100 >= u64::from(attempts) * u64::from(policy.failure_percent);
        self.in_a_row >= policy.consecutive || attempts >= policy.min_attempts && failures > 0 && rate
    }

    fn open(&mut self, policy: &BreakerPolicy, now: Mono, dice: &mut Dice) {
        let doubled = policy.open_for.saturating_mul(1 << self.openings.min(20)).min(policy.open_for_max);
        self.openings = self.openings.saturating_add(1);
        self.in_a_row = 0;
        self.state = State::Open { until: now + dice.jitter(doubled).max(SHORTEST) };
    }
}

/// The least time between two probes, whatever the dice say.
const SHORTEST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventId;

    const POLICY: BreakerPolicy = BreakerPolicy {
        consecutive: 3,
        failure_percent: 50,
        window: Duration::from_secs(30),
        min_attempts: 8,
        open_for: Duration::from_secs(4),
        open_for_max: Duration::from_secs(20),
        ramp: None,
    };

    struct Rig {
        breaker: Breaker,
        now: Mono,
        dice: Dice,
    }

    fn id(event: i64) -> DeliveryId {
        DeliveryId { event: EventId::from_i64(event).expect("an id"), slot: 0 }
    }

    impl Rig {
        fn new() -> Self {
            let now = Mono(1_000_000_000_000);
            Self { breaker: Breaker::closed(now), now, dice: Dice::seeded(3) }
        }

        fn end(&mut self, event: i64, sign: Sign) -> Phase {
            self.now = self.now + Duration::from_millis(10);
            self.end_after(event, Duration::from_millis(10), sign)
        }

        fn end_after(&mut self, event: i64, took: Duration, sign: Sign) -> Phase {
            self.breaker.ended(&POLICY, (id(event), took), sign, self.now, &mut self.dice);
            self.breaker.phase()
        }

        /// Waits out the open time; says how long it was.
        fn wait(&mut self) -> Duration {
            let until = self.breaker.wake().expect("it is open");
            let took = until.since(self.now);
            self.breaker.turn(Mono(until.0 - 1));
            assert_eq!(self.breaker.phase(), Phase::Open, "not a moment earlier");
            self.now = until;
            self.breaker.turn(until);
            assert_eq!((self.breaker.phase(), self.breaker.room()), (Phase::HalfOpen, 1));
            took
        }
    }

    #[test]
    fn so_many_failures_in_a_row_open_it_and_anything_taken_starts_the_count_over() {
        let mut rig = Rig::new();
        for sign in [Sign::Ill, Sign::Ill, Sign::Well, Sign::Ill, Sign::Ill] {
            assert_eq!(rig.end(1, sign), Phase::Closed);
        }
        assert_eq!(rig.end(1, Sign::Answered), Phase::Closed, "what is about one event says nothing");
        assert_eq!([Sign::None, Sign::Asked].map(|sign| rig.end(1, sign)), [Phase::Closed; 2]);
        assert_eq!(rig.end(1, Sign::Ill), Phase::Open);
        assert_eq!(rig.breaker.room(), 0);
    }

    #[test]
    fn too_large_a_share_of_a_window_opens_it_only_when_there_were_enough() {
        let mut rig = Rig::new();
        for _ in 0..3 {
            assert_eq!(rig.end(1, Sign::Ill), Phase::Closed);
            assert_eq!(rig.end(1, Sign::Well), Phase::Closed);
        }
        assert_eq!(rig.end(1, Sign::Ill), Phase::Closed, "seven attempts");
        rig.now = rig.now + POLICY.window;
        assert_eq!(rig.end(1, Sign::Well), Phase::Closed, "a new window");
        for _ in 0..3 {
            assert_eq!(rig.end(1, Sign::Ill), Phase::Closed);
            assert_eq!(rig.end(1, Sign::Well), Phase::Closed);
        }
        assert_eq!(rig.end(1, Sign::Ill), Phase::Open, "four of eight");
    }

    #[test]
    fn one_probe_at_a_time_decides_and_what_was_under_way_before_does_not() {
        let mut rig = Rig::new();
        for event in 0..3 {
            rig.end(event, Sign::Ill);
        }
        assert_eq!(rig.end(7, Sign::Well), Phase::Open, "started before");
        rig.wait();
        rig.breaker.started(id(9));
        assert_eq!(rig.breaker.room(), 0);
        assert_eq!(rig.end(7, Sign::Well), Phase::HalfOpen, "not the probe");
        assert_eq!(rig.end(9, Sign::None), Phase::HalfOpen, "it ended on our side: another probe then");
        assert_eq!(rig.breaker.room(), 1);
        rig.breaker.started(id(10));
        rig.breaker.cut(id(10));
        assert_eq!(rig.breaker.room(), 1);
        rig.breaker.started(id(11));
        assert_eq!(rig.end(11, Sign::Answered), Phase::Closed);
    }

    #[test]
    fn a_probe_that_is_asked_to_come_later_puts_the_next_one_off_longer_each_time() {
        let mut rig = Rig::new();
        for event in 0..3 {
            rig.end(event, Sign::Ill);
        }
        for most in [4, 8, 16, 20, 20, 20] {
            let took = rig.wait();
            assert!(took >= Duration::from_secs(most) / 2 && took <= Duration::from_secs(most), "{took:?} of {most}s");
            rig.breaker.started(id(1));
            assert_eq!(rig.end(1, Sign::Asked), Phase::Open);
        }
    }

    #[test]
    fn what_began_before_the_target_was_back_does_not_open_it_again() {
        let mut rig = Rig::new();
        for event in 0..3 {
            rig.end(event, Sign::Ill);
        }
        rig.wait();
        rig.breaker.started(id(9));
        assert_eq!(rig.end(9, Sign::Well), Phase::Closed);
        for event in 10..20 {
            assert_eq!(rig.end_after(event, Duration::from_secs(10), Sign::Ill), Phase::Closed);
        }
        for event in 20..22 {
            assert_eq!(rig.end(event, Sign::Ill), Phase::Closed);
        }
        assert_eq!(rig.end(22, Sign::Ill), Phase::Open, "these began after");
    }

    #[test]
    fn it_stays_open_longer_each_time_until_the_target_was_well_for_a_window() {
        let mut rig = Rig::new();
        for event in 0..3 {
            rig.end(event, Sign::Ill);
        }
        for most in [4, 8, 16, 20, 20] {
            let took = rig.wait();
            assert!(took >= Duration::from_secs(most) / 2 && took <= Duration::from_secs(most), "{took:?} of {most}s");
            rig.breaker.started(id(1));
            assert_eq!(rig.end(1, Sign::Ill), Phase::Open);
        }
        rig.wait();
        rig.breaker.started(id(1));
        assert_eq!(rig.end(1, Sign::Well), Phase::Closed);
        for event in 0..3 {
            rig.end(event, Sign::Ill);
        }
        assert!(rig.wait() >= Duration::from_secs(10), "it was not well for long");
        rig.breaker.started(id(1));
        rig.end(1, Sign::Well);
        rig.now = rig.now + POLICY.window;
        rig.end(1, Sign::Well);
        for event in 0..3 {
            rig.end(event, Sign::Ill);
        }
        assert!(rig.wait() <= Duration::from_secs(4));
    }
}
