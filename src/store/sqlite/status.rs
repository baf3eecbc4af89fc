//! How the store is, for whoever asks, without asking the writer.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{clock::Mono, event::EventId, plan::Level, store::Health};

use super::room::Measure;

/// Written by the store's thread, read by anybody.
#[derive(Debug)]
pub(super) struct Status {
    level: Level,
    accepting: AtomicBool,
    writable: AtomicBool,
    last_turn: AtomicU64,
    bytes: AtomicU64,
    free_bytes: AtomicU64,
    highest_event_id: AtomicI64,
    last_error: Mutex<Option<Arc<str>>>,
}

impl Status {
    pub(super) fn new(level: Level, highest_event_id: i64, now: Mono) -> Self {
        Self {
            level,
            accepting: AtomicBool::new(true),
            writable: AtomicBool::new(true),
            last_turn: AtomicU64::new(now.0),
            bytes: AtomicU64::new(0),
            free_bytes: AtomicU64::new(u64::MAX),
            highest_event_id: AtomicI64::new(highest_event_id),
            last_error: Mutex::new(None),
        }
    }

    /// A turn has ended.
    pub(super) fn beat(&self, now: Mono) {
        self.last_turn.store(now.0, Ordering::Release);
    }

    /// Whether admits are taken, and whether the file can be written at all.
    pub(super) fn accept(&self, accepting: bool, writable: bool) {
        self.accepting.store(accepting, Ordering::Release);
        self.writable.store(writable, Ordering::Release);
    }

    /// Whether admits are taken.
    pub(super) fn is_accepting(&self) -> bool {
        self.accepting.load(Ordering::Acquire)
    }

    /// An event is durable.
    pub(super) fn saw(&self, event: EventId) {
        self.highest_event_id.fetch_max(event.to_i64(), Ordering::AcqRel);
    }

    /// The highest event id there is.
    pub(super) fn highest_event_id(&self) -> i64 {
        self.highest_event_id.load(Ordering::Acquire)
    }

    /// Room was measured.
    pub(super) fn measured(&self, measure: Measure) {
        self.bytes.store(measure.files, Ordering::Release);
        self.free_bytes.store(measure.free, Ordering::Release);
    }

    /// Something went wrong.
    pub(super) fn note(&self, error: &dyn std::fmt::Display) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string().into());
    }

    /// All of it.
    pub(super) fn health(&self, queue_age: Duration) -> Health {
        Health {
            level: self.level,
            accepting: self.is_accepting(),
            writable: self.writable.load(Ordering::Acquire),
            last_turn: Mono(self.last_turn.load(Ordering::Acquire)),
            queue_age,
            bytes: self.bytes.load(Ordering::Acquire),
            free_bytes: self.free_bytes.load(Ordering::Acquire),
            last_error: self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
