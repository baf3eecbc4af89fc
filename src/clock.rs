//! Two clocks, never mixed: wall time for signatures and stored times, monotonic time for leases, timers and deadlines.
//!
//! Pure code takes a [`Now`]; only the edges own a [`Clock`]. The simulator drives the same code with [`Clock::Sim`].

use std::{
    fmt,
    ops::Add,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Wall-clock time: milliseconds since 1970-01-01 UTC. It may jump, so it is only compared with slack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMs(pub i64);

impl UnixMs {
    /// Milliseconds from `earlier` to this, 0 when the clock went back between them.
    #[must_use]
    pub fn ms_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// This time and `delay`, saturating.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for UnixMs {
    /// RFC 3339 in UTC with milliseconds, as every log line and header writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

/// A stretch of wall-clock time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// When it began.
    pub from: UnixMs,
    /// When it ended; `None` while it goes on.
    pub to: Option<UnixMs>,
}

/// Monotonic time: nanoseconds since an arbitrary start of this process. It never jumps and means nothing elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

impl Mono {
    /// A time that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// How long after `earlier` this is; zero when it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Self;

    fn add(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For signatures and for times that are stored.
    pub wall: UnixMs,
    /// For leases, timers and deadlines.
    pub mono: Mono,
}

/// Where the time comes from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clocks.
    System,
    /// A clock the simulator moves.
    Sim(Arc<SimClock>),
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug, Default)]
pub struct SimClock {
    wall_ms: AtomicI64,
    mono_ns: AtomicU64,
}

impl SimClock {
    /// Moves both clocks to `now`.
    pub fn set(&self, now: Now) {
        self.wall_ms.store(now.wall.0, Ordering::Release);
        self.mono_ns.store(now.mono.0, Ordering::Release);
    }
}

impl Clock {
    /// Both clocks at this moment.
    #[must_use]
    pub fn now(&self) -> Now {
        match self {
            Self::System => Now { wall: system_wall(), mono: system_mono() },
            Self::Sim(sim) => Now { wall: UnixMs(sim.wall_ms.load(Ordering::Acquire)), mono: Mono(sim.mono_ns.load(Ordering::Acquire)) },
        }
    }

    /// The wall clock at this moment.
    #[must_use]
    pub fn wall(&self) -> UnixMs {
        self.now().wall
    }

    /// The monotonic clock at this moment.
    #[must_use]
    pub fn mono(&self) -> Mono {
        self.now().mono
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's wall clock")]
fn system_wall() -> UnixMs {
    let ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    UnixMs(i64::try_from(ms).unwrap_or(i64::MAX))
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's monotonic clock")]
fn system_mono() -> Mono {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let start = *START.get_or_init(Instant::now);
    // One second of room below, so that "a moment ago" can be subtracted at the very start.
    Mono(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX).saturating_add(1_000_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_prints_as_rfc_3339_with_milliseconds() {
        assert_eq!(UnixMs(1_760_000_000_007).to_string(), "2025-10-09T08:53:20.007Z");
    }

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        assert_eq!(UnixMs(5).ms_since(UnixMs(9)), 0);
        assert_eq!(Mono(5).since(Mono(9)), Duration::ZERO);
        assert_eq!(Mono::NEVER + Duration::from_secs(1), Mono::NEVER);
        assert_eq!(UnixMs(i64::MAX).after(Duration::from_secs(1)), UnixMs(i64::MAX));
    }
}
