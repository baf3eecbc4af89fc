//! What must hold, and the books that are kept to tell.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
};

use hookgate::{clock::UnixMs, delivery::DeliveryId, event::EventId, lease::Token, name::TargetName, pause::Pauses};

use super::operators::Replayed;

/// A rule of the house; each has a name that a failing run says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// What was answered 2xx is there, with every delivery it owes.
    AcknowledgedIsDurable,
    /// One key, one event.
    OneFanOut,
    /// A write under another's token changes nothing.
    StaleChangesNothing,
    /// An attempt starts only under the row's own live lease, with time enough.
    AttemptHasLease,
    /// Never two attempts of one delivery at once in a process.
    OneAttemptAtOnce,
    /// Attempt numbers rise.
    AttemptsRise,
    /// What a target answered 2xx is not sent again by the same process.
    AnsweredIsNotSentAgain,
    /// Handed-over deliveries start in the order they were accepted.
    HandedInOrder,
    /// Index and tallies say what the rows say.
    TalliesEqualRows,
    /// Every lease is somebody's, or was lost to a fault we know of.
    LeasesHaveHolders,
    /// Attempts, slots and held leases stay within their caps.
    WithinCaps,
    /// A target that keeps failing, or asked for time, is left alone.
    LeftAlone,
    /// No more attempts start in a time than a target's rate allows.
    WithinRate,
    /// Of a key only the first open delivery may go, and none starts before the one before it is settled for good.
    OrderPerKey,
    /// Of all suspects of a process one runs at a time.
    OneSuspectAtOnce,
    /// Put away is only what was the one suspect under way in so many crashes; and what ends the process each time is put away.
    QuarantineIsDeserved,
    /// Nobody dies of age before his time, and the time in which his target was left alone is not part of it.
    HeldTimeIsFree,
    /// What is open is never purged.
    OpenIsNeverPurged,
    /// Dead only for a reason the policy has.
    DeadHasReason,
    /// A target that is held, as far as its lane has heard, starts nothing, whatever was started again since.
    PausedStartsNothing,
    /// What was cancelled is not attempted.
    CancelledIsNotAttempted,
    /// A replay leaves what was there as it was; a cancel and a move touch nothing but what waits.
    ActsTouchOnlyTheirOwn,
    /// A job makes one delivery of what it selected, however often it was cut off.
    ReplayedOnce,
    /// A stop that ran to its end leaves no lease behind.
    CleanStop,
    /// No lane with room sleeps past work that is due.
    NobodyOversleeps,
    /// After the faults, everything settles in time.
    EverythingSettles,
    /// In the end nothing is held, every gate is open, no timer is set.
    AtRestInTheEnd,
}

/// A rule that did not hold.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

/// What the world outside knows: providers, targets, and who holds which lease.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// By event of the script: the id the provider was given.
    pub(crate) promised: BTreeMap<usize, EventId>,
    /// Every id that was made, with its event of the script and what it owed.
    pub(crate) made: BTreeMap<EventId, (usize, Vec<TargetName>)>,
    /// By event of the script: the ids whose admission said accepted.
    pub(crate) accepted: BTreeMap<usize, BTreeSet<EventId>>,
    /// Events that were purged when nothing of them was open.
    pub(crate) purged: BTreeSet<EventId>,
    /// The last attempt number that was started.
    pub(crate) numbers: BTreeMap<DeliveryId, u32>,
    /// Deliveries a target answered 2xx in this life of the process.
    pub(crate) answered: BTreeSet<DeliveryId>,
    /// Tokens on their way to the lanes of this life, or with them.
    pub(crate) holders: BTreeSet<Token>,
    /// Tokens that a fault of ours lost.
    pub(crate) lost: BTreeSet<Token>,
    /// By delivery: its place in the order of acceptance.
    pub(crate) order: BTreeMap<DeliveryId, u64>,
    /// By target: the place of the last handed delivery that started in this life.
    pub(crate) last_started: BTreeMap<TargetName, u64>,
    /// Leases that came through a slot.
    pub(crate) handed: BTreeSet<Token>,
    /// By target: how it went lately, in this life.
    pub(crate) health: BTreeMap<TargetName, Health>,
    /// By delivery: crashes in which it was the one suspect under way.
    pub(crate) trials: BTreeMap<DeliveryId, u32>,
    /// By delivery: when the lanes heard that its last attempt had ended.
    pub(crate) ended: BTreeMap<DeliveryId, UnixMs>,
    /// By target: when it was left alone, by the wall clock; the last time may go on.
    pub(crate) left_alone: BTreeMap<TargetName, Vec<(UnixMs, Option<UnixMs>)>>,
    /// What is held by the books, and what of that the lanes of this life have heard.
    pub(crate) held: Pauses,
    pub(crate) heard: Pauses,
    /// What was born of what a job selected.
    pub(crate) replayed: BTreeMap<Replayed, DeliveryId>,
    /// Deliveries that are another target's than they were born for.
    pub(crate) moved: BTreeSet<DeliveryId>,
    /// By delivery: milliseconds from its birth to the 2xx of its target, and when that was.
    pub(crate) delivered: BTreeMap<DeliveryId, (u64, UnixMs)>,
}

impl Books {
    /// The process ended: what it held is nobody's.
    pub(crate) fn end_life(&mut self, now: UnixMs) {
        self.left_alone.values_mut().flatten().for_each(|(_, to)| *to = Some(to.unwrap_or(now)));
        self.answered.clear();
        self.holders.clear();
        self.lost.clear();
        self.last_started.clear();
        self.handed.clear();
        self.health.clear();
    }
}

/// How a target's attempts went lately, as its neighbour across the street sees it.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Attempts that ended with the target unable to work, in a row, of those that began after it last took something.
    pub(crate) ill: u32,
    pub(crate) well_at: u64,
    /// Attempts that started since the row was too long, and when one of them last ended so too.
    pub(crate) probing: BTreeSet<DeliveryId>,
    pub(crate) probe_failed: Option<u64>,
    /// How many of them in a row, since it last took something: each puts the next off longer.
    pub(crate) probes_failed: u32,
    /// It asked to be left alone until then.
    pub(crate) asked_until: u64,
    /// When the latest attempts started.
    pub(crate) starts: VecDeque<u64>,
}

/// What happened in a run, for the report.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) steps: u64,
    pub(crate) events: u64,
    pub(crate) attempts: u64,
    pub(crate) repeats: u64,
    pub(crate) claims: u64,
    pub(crate) settles: u64,
    pub(crate) handed: u64,
    pub(crate) revived: u64,
    pub(crate) orders: u64,
    pub(crate) replayed: u64,
    pub(crate) cancelled: u64,
    pub(crate) moved: u64,
    pub(crate) dead: u64,
    pub(crate) stale: u64,
    pub(crate) lost: u64,
    pub(crate) unused: u64,
    /// Breakers that opened.
    pub(crate) opened: u64,
    /// Deliveries that were born behind another of their key, and were let go.
    pub(crate) blocked: u64,
    pub(crate) unblocked: u64,
    /// Attempts of suspects, crashes that an attempt made, and deliveries put away.
    pub(crate) suspects: u64,
    pub(crate) poisoned: u64,
    pub(crate) quarantined: u64,
    pub(crate) faults: [u64; FAULTS.len()],
}

/// The kinds of faults, in the order they are counted.
pub(crate) const FAULTS: [&str; 13] = [
    "crash",
    "stop",
    "freeze",
    "clock step",
    "plan swap",
    "slow commit",
    "commit lost",
    "commit unseen",
    "busy",
    "ack lost",
    "claim lost",
    "settle lost",
    "cut",
];

/// Where a kind of fault is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Crash,
    Stop,
    Freeze,
    ClockStep,
    PlanSwap,
    SlowCommit,
    CommitLost,
    CommitUnseen,
    Busy,
    AckLost,
    ClaimLost,
    SettleLost,
    Cut,
}

impl Counts {
    /// Adds another run's.
    pub(crate) fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.events += other.events;
        self.attempts += other.attempts;
        self.repeats += other.repeats;
        self.claims += other.claims;
        self.settles += other.settles;
        self.handed += other.handed;
        self.revived += other.revived;
        self.orders += other.orders;
        self.replayed += other.replayed;
        self.cancelled += other.cancelled;
        self.moved += other.moved;
        self.dead += other.dead;
        self.stale += other.stale;
        self.lost += other.lost;
        self.unused += other.unused;
        self.opened += other.opened;
        self.blocked += other.blocked;
        self.unblocked += other.unblocked;
        self.suspects += other.suspects;
        self.poisoned += other.poisoned;
        self.quarantined += other.quarantined;
        for (sum, more) in self.faults.iter_mut().zip(other.faults) {
            *sum += more;
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "steps {}, events {}, attempts {}, repeats after 2xx {}", self.steps, self.events, self.attempts, self.repeats)?;
        writeln!(
            f,
            "handed {}, claims {}, settles {}, revived {}, dead {}",
            self.handed, self.claims, self.settles, self.revived, self.dead
        )?;
        writeln!(
            f,
            "stale writes {}, leases lost {}, leases unused {}, breakers opened {}",
            self.stale, self.lost, self.unused, self.opened
        )?;
        writeln!(
            f,
            "blocked {}, released {}, attempts of suspects {}, crashes by poison {}, quarantined {}",
            self.blocked, self.unblocked, self.suspects, self.poisoned, self.quarantined
        )?;
        writeln!(f, "orders {}, replayed {}, cancelled {}, moved {}", self.orders, self.replayed, self.cancelled, self.moved)?;
        let faults = FAULTS.iter().zip(self.faults).map(|(name, count)| format!("{name} {count}"));
        write!(f, "faults: {}", faults.collect::<Vec<_>>().join(", "))
    }
}
