//! One event owed to one target, its life, and what its attempts came to.
//!
//! ```text
//!  born: pending | in_flight (against a lane slot) | dead (its shape failed)
//!
//!  pending ---- claim -----> in_flight ---- settle -----> delivered
//!     ^                          |-------- settle -----> dead
//!     |                          |
//!     |-- settle: retry at t ----+   retry at t, released, lease expired, gateway restarted
//!     +-- an operator -> cancelled
//!
//!  settled -- a repeat of the event (dead only), a replay ----> a NEW delivery (the next slot); the old row is never changed
//! ```
//!
//! Delivery is at least once: a lease only makes repeats rare. Every attempt carries the same ids and bytes and a rising number, so a
//! target can tell a repeat from a new event by the delivery id.

use std::{fmt, time::Duration};

use crate::{clock::UnixMs, event::EventId};

/// The identity of a delivery: the event and a slot counted from 0. Printed as `dlv_<event>-<slot>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId {
    /// The event that is owed.
    pub event: EventId,
    /// Which of the event's deliveries it is; replays and revivals count on.
    pub slot: u8,
}

impl DeliveryId {
    /// Reads `dlv_<event>-<slot>` as it is printed; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (event, slot) = text.strip_prefix("dlv_")?.rsplit_once('-')?;
        let id = Self { event: EventId::parse(&format!("evt_{event}"))?, slot: slot.parse().ok()? };
        // `+2` and `02` are numbers too, and no id.
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = self.event.to_string();
        write!(f, "dlv_{}-{}", event.strip_prefix("evt_").unwrap_or(&event), self.slot)
    }
}

impl fmt::Debug for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a delivery stands. The numbers are stored: never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Waiting until it is due.
    Pending = 0,
    /// Leased for an attempt.
    InFlight = 1,
    /// The target answered 2xx.
    Delivered = 2,
    /// An operator withdrew it before the target had it; it can be replayed.
    Cancelled = 3,
    /// It will not be retried by itself; it can be replayed.
    Dead = 4,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Pending, Self::InFlight, Self::Delivered, Self::Cancelled, Self::Dead];

    /// The state as metrics and lists show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InFlight => "in_flight",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
            Self::Dead => "dead",
        }
    }

    /// Reads a stored number.
    #[must_use]
    pub fn from_i64(stored: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as i64 == stored)
    }

    /// Whether attempts are still owed.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::InFlight)
    }

    /// Whether the store keeps count of such deliveries: those that are owed, and those that somebody should look at.
    #[must_use]
    pub fn is_counted(self) -> bool {
        self.is_open() || self == Self::Dead
    }
}

/// Why a delivery is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeadReason {
    /// Its attempts are used up.
    Attempts,
    /// It is older than `retry.give_up_after`.
    Age,
    /// The target answered a status listed in `retry.dead_on`.
    Status,
    /// Its stored bytes are gone or damaged: wrong bytes are never sent.
    PayloadLost,
}

impl DeadReason {
    /// The reason as logs and lists show it, and as it is stored.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Attempts => "attempts",
            Self::Age => "age",
            Self::Status => "status",
            Self::PayloadLost => "payload_lost",
        }
    }
}

/// How an attempt ended; a closed list, one metric series each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttemptResult {
    /// 2xx.
    Delivered,
    /// A redirect: never followed.
    Http3xx,
    /// 4xx other than 429.
    Http4xx,
    /// 429.
    Http429,
    /// 5xx, a status outside 200..=499 (101 among them: nobody asked to change the protocol), or an answer that is not HTTP.
    Http5xx,
    /// The whole attempt took longer than the target's timeout.
    Timeout,
    /// No connection, or it broke before there was an answer.
    Connect,
    /// The name did not resolve.
    Dns,
    /// The TLS handshake failed.
    Tls,
    /// The address is one the egress guard refuses.
    EgressDenied,
    /// The stored bytes could not be read.
    Body,
    /// The lease ran out before the result could be written down.
    LeaseLost,
}

impl AttemptResult {
    /// Every result, so that each has its series from the start.
    pub const ALL: [Self; 12] = [
        Self::Delivered,
        Self::Http3xx,
        Self::Http4xx,
        Self::Http429,
        Self::Http5xx,
        Self::Timeout,
        Self::Connect,
        Self::Dns,
        Self::Tls,
        Self::EgressDenied,
        Self::Body,
        Self::LeaseLost,
    ];

    /// The result as metrics, logs and lists show it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Http3xx => "http_3xx",
            Self::Http4xx => "http_4xx",
            Self::Http429 => "http_429",
            Self::Http5xx => "http_5xx",
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::EgressDenied => "egress_denied",
            Self::Body => "body",
            Self::LeaseLost => "lease_lost",
        }
    }

    /// What an HTTP status means. Only 2xx is success.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Delivered,
            300..=399 => Self::Http3xx,
            429 => Self::Http429,
            400..=499 => Self::Http4xx,
            _ => Self::Http5xx,
        }
    }
}

/// One try of a delivery, and what came back: data, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When it started.
    pub at: UnixMs,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub result: AttemptResult,
    /// The status, when there was one.
    pub status: Option<u16>,
    /// What the target asked for in `Retry-After`, from the end of the attempt; heeded on 429 and 503.
    pub retry_after: Option<Duration>,
    /// What went wrong, for people: a cause, or the first bytes of the answer. At most [`crate::limits::EXCERPT_BYTES_MAX`].
    pub excerpt: Option<Box<str>>,
}

/// The judgement of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target has it.
    Delivered,
    /// Again at this time; `failures` is the budget spent so far.
    Retry {
        /// When it is due.
        due: UnixMs,
        /// Failures judged against the target, this one included if it counts.
        failures: u32,
    },
    /// Not again by itself.
    Dead(DeadReason),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_numbers_read_back() {
        for state in State::ALL {
            assert_eq!(State::from_i64(state as i64), Some(state));
        }
        assert_eq!(State::from_i64(-1), None);
    }

    #[test]
    fn a_delivery_id_names_its_event() {
        let id = DeliveryId { event: EventId::from_i64(1).expect("valid"), slot: 2 };
        assert_eq!(id.to_string(), "dlv_0000000000001-2");
        assert_eq!(DeliveryId::parse("dlv_0000000000001-2"), Some(id));
        for wrong in ["dlv_0000000000001", "dlv_0000000000001-", "dlv_0000000000001-02", "dlv_0000000000001-+2", "evt_0000000000001-2"] {
            assert_eq!(DeliveryId::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_2xx_is_success() {
        for status in 100..=599 {
            assert_eq!(AttemptResult::of_status(status) == AttemptResult::Delivered, (200..300).contains(&status), "{status}");
        }
    }
}
