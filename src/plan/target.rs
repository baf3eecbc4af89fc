//! A configured receiver of events.

use std::time::Duration;

use super::{BreakerPolicy, PemFile, Rate};
use crate::{limits, name::TargetName, secret::Secret};

/// A configured receiver of events: an internal HTTP service.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name.
    pub name: TargetName,
    /// Where it listens.
    pub url: url::Url,
    /// How it is asked.
    pub method: http::Method,
    /// Headers every delivery carries besides.
    pub headers: Vec<(http::HeaderName, http::HeaderValue)>,
    /// How we show who we are.
    pub auth: Option<Auth>,
    /// TLS of its own.
    pub tls: ClientTls,
    /// A whole attempt, name resolution to the last byte of the answer.
    pub timeout: Duration,
    /// Until the connection stands.
    pub connect_timeout: Duration,
    /// Attempts under way at once.
    pub concurrency: u32,
    /// Attempts that may start in a time; `None` as many as there are.
    pub rate_limit: Option<Rate>,
    /// When to try again, and when no more.
    pub retry: RetryPolicy,
    /// When it is left alone; `None` never.
    pub breaker: Option<BreakerPolicy>,
    /// Switched off: its deliveries wait.
    pub disabled: bool,
    /// Names it had before: what waits for one of them is carried over at the start.
    pub formerly: Vec<TargetName>,
}

impl Target {
    /// How long a lease of one of its deliveries lasts.
    #[must_use]
    pub fn lease(&self) -> Duration {
        limits::lease_for(self.timeout)
    }
}

/// How we show who we are to a target.
#[derive(Clone, Debug)]
pub enum Auth {
    /// `Authorization: Bearer ...`.
    Bearer(Secret),
    /// `Authorization: Basic ...`, `user:password`.
    Basic(Secret),
}

/// TLS of a target's own, as PEM files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// Whom to trust instead of the system's roots.
    pub ca: Option<PemFile>,
    /// Our certificate chain.
    pub cert: Option<PemFile>,
    /// Its key.
    pub key: Option<PemFile>,
}

/// When to try again, and when no more.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// The first delay.
    pub first: Duration,
    /// What each further one is multiplied by, at least 1.
    pub factor: f64,
    /// The longest delay.
    pub max: Duration,
    /// The age after which a failed attempt is the last; `None` never.
    pub give_up_after: Option<Duration>,
    /// Failures after which it is dead; `None` leaves it to the age.
    pub attempts: Option<u32>,
    /// The most a `Retry-After` is heeded.
    pub retry_after_max: Duration,
    /// Statuses that are final.
    pub dead_on: Vec<StatusPattern>,
}

/// A status, or all of a class (`4xx`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusPattern {
    /// One status.
    Exact(u16),
    /// A class by its first digit.
    Class(u16),
}

impl StatusPattern {
    /// Whether `status` is meant.
    #[must_use]
    pub fn matches(self, status: u16) -> bool {
        match self {
            Self::Exact(exact) => exact == status,
            Self::Class(digit) => status / 100 == digit,
        }
    }
}
