//! What happens to the process at its appointed time: it dies, stops, stands still, is given another plan; and clocks are set.

use std::cmp::Reverse;

use super::{
    rules::Kind,
    script::{Act, MS, SECOND},
    world::{Happening, World},
};

impl World {
    pub(crate) fn act(&mut self, act: Act) {
        if matches!(act, Act::StepWall(_)) || self.gateway.is_some() {
            self.say(|| format!("{act:?}"));
        }
        match act {
            Act::StepWall(ms) => {
                self.count(Kind::ClockStep);
                self.wall_ahead_ms += ms;
                self.stepped_back_ms += u64::try_from(-ms).unwrap_or(0);
                self.clock_doubtful_until = self.at + 70 * SECOND;
            }
            _ if self.gateway.is_none() => {}
            Act::Crash(pause) => {
                self.count(Kind::Crash);
                self.end_process();
                self.later(self.at + pause, Happening::Start);
            }
            Act::Stop(..) | Act::Swap(_) | Act::Sweep if self.is_frozen() => self.later(self.frozen_until, Happening::Act(act)),
            Act::Stop(cut_after, pause) => {
                self.count(Kind::Stop);
                self.stop(cut_after);
                self.soon(50 * MS, Happening::MayExit(self.at + cut_after + 2 * SECOND + pause));
            }
            Act::Freeze(length) => {
                self.count(Kind::Freeze);
                self.frozen += length;
                self.frozen_until = self.frozen_until.max(self.at + length);
                self.freeze(length);
            }
            Act::Swap(targets) if !self.is_calm => {
                self.count(Kind::PlanSwap);
                self.swap(&targets);
            }
            Act::Swap(_) => {}
            Act::Sweep => self.sweep(),
        }
    }

    /// The process stands still; the clocks, the providers and the targets go on.
    fn freeze(&mut self, length: u64) {
        let (life, thaw) = (self.life, self.at + length);
        let shifted = std::mem::take(&mut self.heap).into_iter().map(|Reverse(mut due)| {
            if due.life == Some(life) {
                due.at = due.at.max(thaw);
            }
            Reverse(due)
        });
        self.heap = shifted.collect();
    }
}
