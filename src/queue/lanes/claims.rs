//! The claim that is out for all lanes of a shard, and what becomes of its answer.

use std::collections::BTreeSet;

use crate::{clock::Now, lease::Claimed, limits::CLAIM_MAX, name::TargetName};

use super::Lanes;
use crate::queue::{Action, Dice, held::Pause};

/// The claim that is out, and who wants the next one.
#[derive(Debug, Default)]
pub(super) struct Claims {
    pub(super) asked: Vec<TargetName>,
    pub(super) wanting: BTreeSet<TargetName>,
    /// The last lane of the last claim: the next one starts behind it, so that a full claim passes nobody over twice.
    last: Option<TargetName>,
    pub(super) pause: Pause,
}

impl Lanes {
    pub(super) fn claimed(&mut self, claimed: Vec<Claimed>) {
        self.claims.pause.end();
        let mut asked = std::mem::take(&mut self.claims.asked);
        for answer in claimed {
            asked.retain(|target| *target != answer.target);
            self.touch(&answer.target, |lane| {
                lane.backlog.claim_answered(Some(answer.next_due));
                lane.claimed(answer.leases.len());
            });
            answer.leases.into_iter().for_each(|lease| self.take(lease));
        }
        for target in asked {
            self.touch(&target, |lane| lane.backlog.claim_answered(None));
        }
    }

    pub(super) fn claim_failed(&mut self, targets: &[TargetName], now: Now, dice: &mut Dice) {
        self.claims.asked.clear();
        self.claims.pause.lengthen(now.mono, dice);
        for target in targets {
            self.touch(target, |lane| lane.backlog.claim_failed());
        }
    }

    /// One claim for all lanes that want, starting behind the last one of the claim before.
    pub(super) fn claim(&mut self, now: Now, out: &mut Vec<Action>) {
        if !self.claims.asked.is_empty() || self.claims.wanting.is_empty() || now.mono < self.claims.pause.until {
            return;
        }
        let behind_last = |target: &&TargetName| self.claims.last.as_ref().is_some_and(|last| *target > last);
        let (behind, before): (Vec<_>, Vec<_>) = self.claims.wanting.iter().partition(behind_last);
        let in_turn = behind.into_iter().chain(before).cloned().collect::<Vec<_>>();
        let mut left = CLAIM_MAX;
        let mut wants = Vec::new();
        for target in in_turn {
            let Some(lane) = self.lanes.get_mut(&target) else { continue };
            let Some(count) = lane.want(&self.share, now) else {
                // It wanted while the wall clock stood later: it sees anew when its time comes.
                self.turn(&target, now, out);
                continue;
            };
            if left == 0 {
                break;
            }
            wants.push(lane.claim(count.min(left), now));
            left -= count.min(left);
            self.claims.wanting.remove(&target);
            self.claims.asked.push(target.clone());
            self.claims.last = Some(target);
        }
        if !wants.is_empty() {
            out.push(Action::Claim(wants));
        }
    }
}
