//! Planted bugs and injected faults: how the tests prove that they would notice.
//!
//! A crash campaign that finds nothing proves nothing, so each promise has a bug that breaks it, and the campaign or the simulator must
//! catch every one. They exist only in a binary built with the feature `faults`, and act only when `HOOKGATE_FAULT` names them (several
//! with commas; `commit_fails:0.05` sets a rate). In every other build the checks are constants and vanish.

/// A bug or a fault that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The provider gets its 2xx before the commit.
    AckBeforeCommit,
    /// What a rolled-back batch staged in memory is kept: "duplicate" of an event that does not exist.
    StagedMemoryKept,
    /// A delivery is born leased although no lane has a slot for it.
    LeaseWithoutSlot,
    /// A settle does not look at the fence.
    SettleWithoutFence,
    /// A start leaves the leases of the process before as they are.
    BootWithoutVoiding,
    /// An attempt that failed lets the next delivery of its key go, before its own is settled.
    NextBeforeSettled,
    /// An admit does not see that an earlier delivery of the key is open.
    OpenRowUnseen,
    /// Suspects of a crash run together, as any other delivery.
    SuspectsTogether,
    /// Every crash counts against whoever was under way, suspect or not.
    EveryCrashCounts,
    /// Time in which a target was left alone counts to the age of its deliveries.
    HeldTimeCounts,
    /// An attempt panics, at random.
    AttemptPanics,
    /// An attempt of a body with the word `poison` ends the process.
    Poison,
    /// A start forgets which targets are held.
    PauseForgotten,
    /// The cursor of a job is not moved by the step that first did something.
    CursorLeftBehind,
    /// A replay opens the old delivery again, in place of making a new one.
    ReplayReopens,
    /// A COMMIT fails at random, before or after it took effect.
    CommitFails,
}

impl Fault {
    /// The name `HOOKGATE_FAULT` uses.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::AckBeforeCommit => "ack_before_commit",
            Self::StagedMemoryKept => "staged_memory_kept",
            Self::LeaseWithoutSlot => "lease_without_slot",
            Self::SettleWithoutFence => "settle_without_fence",
            Self::BootWithoutVoiding => "boot_without_voiding",
            Self::NextBeforeSettled => "next_before_settled",
            Self::OpenRowUnseen => "open_row_unseen",
            Self::SuspectsTogether => "suspects_together",
            Self::EveryCrashCounts => "every_crash_counts",
            Self::HeldTimeCounts => "held_time_counts",
            Self::AttemptPanics => "attempt_panics",
            Self::Poison => "poison",
            Self::PauseForgotten => "pause_forgotten",
            Self::CursorLeftBehind => "cursor_left_behind",
            Self::ReplayReopens => "replay_reopens",
            Self::CommitFails => "commit_fails",
        }
    }
}

/// Whether the fault is planted in this process.
#[cfg(not(feature = "faults"))]
#[must_use]
pub const fn planted(_fault: Fault) -> bool {
    false
}

/// How often the fault strikes, 0 to 1.
#[cfg(not(feature = "faults"))]
#[must_use]
pub const fn rate(_fault: Fault) -> f64 {
    0.0
}

/// Whether the fault is planted in this process.
#[cfg(feature = "faults")]
#[must_use]
pub fn planted(fault: Fault) -> bool {
    rate(fault) > 0.0
}

/// How often the fault strikes, 0 to 1.
#[cfg(feature = "faults")]
#[must_use]
pub fn rate(fault: Fault) -> f64 {
    static CHOSEN: std::sync::OnceLock<Vec<(String, f64)>> = std::sync::OnceLock::new();
    let chosen = CHOSEN.get_or_init(read_environment);
    chosen.iter().find(|(code, _)| code == fault.code()).map_or(0.0, |(_, rate)| *rate)
}

/// Who stands in for every vendor that is asked for a key or called, and listens there.
#[cfg(not(feature = "faults"))]
#[must_use]
pub const fn stand_in() -> Option<std::net::SocketAddr> {
    None
}

/// Who stands in for every vendor that is asked for a key or called, and listens there: `HOOKGATE_STAND_IN=127.0.0.1:8443`. Where names
/// lead is all it changes: certificates and the egress guard are as they would be.
#[cfg(feature = "faults")]
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a test-only switch that must not be part of the configuration")]
pub fn stand_in() -> Option<std::net::SocketAddr> {
    static CHOSEN: std::sync::OnceLock<Option<std::net::SocketAddr>> = std::sync::OnceLock::new();
    *CHOSEN.get_or_init(|| std::env::var("HOOKGATE_STAND_IN").ok()?.parse().ok())
}

#[cfg(feature = "faults")]
#[expect(clippy::disallowed_methods, reason = "a test-only switch that must not be part of the configuration")]
fn read_environment() -> Vec<(String, f64)> {
    let chosen = std::env::var("HOOKGATE_FAULT").unwrap_or_default();
    let parse = |one: &str| match one.split_once(':') {
        Some((code, rate)) => (code.to_owned(), rate.parse().unwrap_or(1.0)),
        None => (one.to_owned(), 1.0),
    };
    chosen.split(',').filter(|one| !one.is_empty()).map(parse).collect()
}
