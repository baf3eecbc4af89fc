//! The queue's decisions, pure: one step function over a plain value. No runtime, no socket, no clock but the one passed.
//!
//! The shell (`deliver`) turns what happens into [`Input`]s, calls [`Lanes::step`] and carries the [`Action`]s out; it decides nothing. The
//! simulator drives this very code.
//!
//! ```text
//!   lanes    all lanes of a shard: takes the input, lets the lanes it touched have their turn, then claims, settles and sleeps;
//!            `trials` has suspects of a crash go one at a time
//!   lane     one target's lane: room, gate, what to ask the store for
//!   backlog  what a lane knows of deliveries in the store that it does not hold
//!   held     every lease from hand-over or claim until its fate is known, and the writes that are due
//!   brakes   what holds a lane's attempts back besides its places: the breaker, the ramp after it, the rate limit, `Retry-After`
//!   holds    when a lane was held: that time does not count to a delivery's age
//!   share    how lanes share the places of a shard
//!   retry    judge: from an attempt to delivered, retry or dead
//! ```
//!
//! What the shell owes: every `Claim` is answered once by `Claimed` or `ClaimFailed`, every `Settle` once by `Fates` or `SettleFailed`,
//! every `AskTrial` once by `TrialGranted`, every `Start` once by `Finished` unless it was `Cut`. A slot of a gate is
//! counted only after the step that took its lease.
//! A gate lives as long as the process, also while its target is out of the plan: its slots and announcements may come later than the plan.

mod backlog;
mod brakes;
mod breaker;
mod dice;
mod held;
mod holds;
mod lane;
mod lanes;
mod pace;
mod ramp;
mod retry;
mod share;

use crate::{
    clock::{Mono, Span, UnixMs},
    delivery::Attempt,
    lease::{Claimed, Fate, Fenced, Lease, LeaseRef, Want},
    name::TargetName,
    pause::Pauses,
    plan::Plan,
};

pub use breaker::Phase;
pub use dice::Dice;
pub use lane::LaneNumbers;
pub use lanes::{Lanes, LeaseCounts};
pub use retry::judge;

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A freshly admitted delivery came through a slot of its lane's gate.
    Handed(Lease),
    /// The store answered a claim; wants it could not answer are absent.
    Claimed(Vec<Claimed>),
    /// A claim failed: these targets may want again.
    ClaimFailed(Vec<TargetName>),
    /// An attempt ended.
    Finished(LeaseRef, Attempt),
    /// The store answered a settle.
    Fates(Vec<(LeaseRef, Fate)>),
    /// A settle failed: its outcome is unknown, and it must be run again.
    SettleFailed(Vec<Fenced>),
    /// There is a plan, or a new one: lanes are matched by target name.
    Plan(&'a Plan),
    /// A delivery of this target was born waiting: there is a backlog, due now.
    Waiting(TargetName),
    /// The turn to try a suspect is ours, until `EndTrial`.
    TrialGranted,
    /// The gateway stops: no claim, no start; at the given time running attempts are cut.
    Stop(Mono),
    /// The targets that operators hold, all of them: others are held no longer. What runs may finish.
    Pauses(Pauses),
    /// Nothing but the passing of time.
    Tick,
}

/// What is to be done.
#[derive(Debug)]
pub enum Action {
    /// Start an attempt.
    Start(Lease),
    /// Ask the store for leases.
    Claim(Vec<Want>),
    /// Write these down.
    Settle(Vec<Fenced>),
    /// Publish how many slots of this lane may be out at once.
    Gate(TargetName, u32),
    /// A breaker stands so from now on.
    Breaker(TargetName, Phase),
    /// A target asked to be left alone until then, and is.
    LeftAlone(TargetName, UnixMs),
    /// A lane was held so: worth keeping over a restart, and no harm when it is not.
    Held(TargetName, Vec<Span>),
    /// Ask for the turn to try a suspect: of all shards of a process one has it, in the order they asked.
    AskTrial,
    /// Give that turn on.
    EndTrial,
    /// Cut this running attempt: no `Finished` will be heard for it.
    Cut(LeaseRef),
    /// Call again at this time at the latest. The last one counts.
    Sleep(Mono),
}
