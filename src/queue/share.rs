//! How the lanes of a shard share its places: each lane is sure of a few, the rest goes to whoever comes first.
//!
//! So many slow targets cannot take the last place from a healthy one, and few busy targets may have all there is.

use std::collections::VecDeque;

use crate::{
    limits::{IN_FLIGHT_MAX, LANE_SHARE_MIN},
    name::TargetName,
};

/// Free places below which gates promise only what is sure.
const SCARCE_BELOW: usize = 64;

/// The places of a shard.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// Places in use or kept free for lanes that are sure of them.
    reserved: usize,
    /// Lanes with work that got no place, in the order they asked.
    asking: VecDeque<TargetName>,
}

impl Share {
    /// What a lane with so many running takes out of the shard, whether it uses it or not.
    fn reserve_of(running: usize, cap: usize) -> usize {
        running.max(cap.min(LANE_SHARE_MIN))
    }

    /// Counts all lanes anew, as (running, cap) each.
    pub(super) fn recount(&mut self, lanes: impl Iterator<Item = (usize, usize)>) {
        self.reserved = lanes.map(|(running, cap)| Self::reserve_of(running, cap)).sum();
    }

    /// A lane's running attempts went from one number to another.
    pub(super) fn moved(&mut self, from: usize, to: usize, cap: usize) {
        self.reserved = self.reserved.saturating_sub(Self::reserve_of(from, cap)) + Self::reserve_of(to, cap);
    }

    /// Places a lane may still take: the sure ones it does not use, and what is free, within its own cap.
    pub(super) fn room(&self, running: usize, cap: usize) -> usize {
        let free = IN_FLIGHT_MAX.saturating_sub(self.reserved);
        cap.saturating_sub(running).min(Self::sure(running) + free)
    }

    /// Places that the lane's gate may promise besides `used`, leases it holds already.
    pub(super) fn promise(&self, used: usize, cap: usize) -> usize {
        let left = cap.saturating_sub(used);
        if self.is_scarce() { left.min(Self::sure(used)) } else { left }
    }

    /// Whether so few places are free that gates must not promise them.
    pub(super) fn is_scarce(&self) -> bool {
        IN_FLIGHT_MAX.saturating_sub(self.reserved) < SCARCE_BELOW
    }

    /// A lane has work and got no place: it has its turn again when one is free.
    pub(super) fn ask(&mut self, lane: TargetName) {
        self.asking.push_back(lane);
    }

    /// The lane that has waited longest, when a place is free.
    pub(super) fn next_asking(&mut self) -> Option<TargetName> {
        if self.reserved >= IN_FLIGHT_MAX {
            return None;
        }
        self.asking.pop_front()
    }

    fn sure(running: usize) -> usize {
        LANE_SHARE_MIN.saturating_sub(running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_lanes_never_take_the_last_places_of_the_others() {
        let mut share = Share::default();
        let caps = 300_usize;
        share.recount([(0, caps), (0, caps), (0, 1)].into_iter());
        let mut running = [0_usize; 2];
        for (lane, count) in running.iter_mut().enumerate() {
            while share.room(*count, caps) > 0 {
                share.moved(*count, *count + 1, caps);
                *count += 1;
            }
            assert!(*count >= LANE_SHARE_MIN, "lane {lane} got {count}");
        }
        assert_eq!(running.iter().sum::<usize>(), IN_FLIGHT_MAX - 1, "all but the place the third lane is sure of");
        assert_eq!(share.room(0, 1), 1);
        assert!(share.is_scarce());
        assert_eq!(share.promise(0, 16), LANE_SHARE_MIN);
    }

    #[test]
    fn more_lanes_than_places_still_have_their_sure_ones() {
        let mut share = Share::default();
        share.recount(std::iter::repeat_n((0, 16), IN_FLIGHT_MAX));
        assert_eq!(share.room(0, 16), LANE_SHARE_MIN);
        assert_eq!(share.room(LANE_SHARE_MIN, 16), 0);
    }
}
