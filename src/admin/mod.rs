//! The inner side: probes, metrics and the API, on a listener of its own, and the probes and metrics once more on `monitor`.
//!
//! ```text
//!  admin:    Host on the list? (421) -> probe or metrics? -> our own site? (403) -> token? (401) -> endpoint? (404, 405) -> role? (403)
//!                -> query and body (400, 413, 415) -> its handler: JSON, or a problem (RFC 9457)
//!  monitor:  probe or metrics, nothing else
//! ```
//!
//! The API is one table ([`endpoints`]): what it says of an endpoint is what is dispatched, checked and written into /api/openapi.json.
//!
//! Promises: /livez, /readyz and /metrics cost no token and show no payload; everything else always costs one; nothing here waits for the
//! store for longer than a few seconds, or half a minute where there is something to count first; every answer carries `nosniff`, a closed
//! content security policy and `no-store`.

mod answer;
mod call;
mod endpoints;
mod events;
mod find;
mod gate;
mod gauges;
mod handed;
mod jobs;
mod lists;
mod once;
mod openapi;
mod parameter;
mod probe;
mod rejected;
mod serve;
mod status;
mod table;
mod targets;
mod token;
mod which;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
};

pub use serve::{Admin, AdminError, Bound, bind};
pub use token::{FILE_NAME as TOKEN_FILE_NAME, TokenError, Tokens};

use crate::{
    clock::{Clock, Mono},
    ingest::Ingest,
    metrics::Metrics,
    plan::Plan,
    store::Store,
};

/// What the admin side looks at. It is made once, at start, and shared by its listeners.
pub struct Gateway {
    /// What runs.
    pub plan: Arc<Plan>,
    /// Where events and deliveries are.
    pub store: Arc<dyn Store>,
    /// The front half, which admits what had been rejected.
    pub ingest: Arc<Ingest>,
    /// What was counted.
    pub metrics: Arc<Metrics>,
    /// What time it is.
    pub clock: Clock,
    /// Where the process is in its life.
    pub phase: Arc<Phase>,
    /// How the delivery workers are.
    pub workers: Box<dyn Fn() -> Workers + Send + Sync>,
    /// Log lines dropped so far.
    pub log_dropped: Box<dyn Fn() -> usize + Send + Sync>,
    /// When the process started, for the uptime.
    pub started: Mono,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("phase", &self.phase).field("store", &self.store).finish_non_exhaustive()
    }
}

/// How the delivery workers are.
#[derive(Clone, Copy, Debug)]
pub struct Workers {
    /// When the slowest of them last finished a turn.
    pub last_turn: Mono,
    /// Whether all their threads run.
    pub alive: bool,
}

/// Where the process is in its life, and when its main loop last turned. Written by `app`, read by the probes.
#[derive(Debug)]
pub struct Phase {
    step: AtomicU8,
    main_turn: AtomicU64,
}

/// A step of a process's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Before the first plan runs and its listeners accept.
    Starting = 0,
    /// Open.
    Running = 1,
    /// After SIGTERM.
    Stopping = 2,
}

impl Phase {
    /// Starting, with the main loop seen at `now`.
    #[must_use]
    pub fn starting(now: Mono) -> Self {
        Self { step: AtomicU8::new(Step::Starting as u8), main_turn: AtomicU64::new(now.0) }
    }

    /// Moves on.
    pub fn set(&self, step: Step) {
        self.step.store(step as u8, Ordering::Release);
    }

    /// Where it is.
    #[must_use]
    pub fn step(&self) -> Step {
        match self.step.load(Ordering::Acquire) {
            0 => Step::Starting,
            1 => Step::Running,
            _ => Step::Stopping,
        }
    }

    /// The main loop turned.
    pub fn turned(&self, now: Mono) {
        self.main_turn.store(now.0, Ordering::Release);
    }

    /// When the main loop last turned.
    #[must_use]
    pub fn main_turn(&self) -> Mono {
        Mono(self.main_turn.load(Ordering::Acquire))
    }
}
