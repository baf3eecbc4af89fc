//! Where a connection stands between its requests, as those who answer tell those who read and those who watch it.

use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, Ordering};

/// Where a connection stands, as those who answer on it tell.
#[derive(Debug, Default)]
pub(super) struct Course {
    stage: AtomicU8,
    /// Answers made.
    answers: AtomicU32,
    /// The status that a head which was ended before its end is refused with; 0 when none was.
    refusal: AtomicU16,
}

/// The next head is read, or waited for.
const HEAD: u8 = 0;
/// A request is being answered.
const ANSWERING: u8 = 1;
/// The last answer is made: what comes now is read so that the client gets to it, and no further than that takes.
const ENDED: u8 = 2;

impl Course {
    /// A request begins to be answered.
    pub(super) fn begin(&self) {
        self.stage.store(ANSWERING, Ordering::Release);
    }

    /// Its answer is made, with all of its body read if the connection `goes_on`.
    pub(super) fn finish(&self, goes_on: bool) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        self.stage.store(if goes_on { HEAD } else { ENDED }, Ordering::Release);
    }

    /// How many answers were made.
    pub(super) fn answers(&self) -> u32 {
        self.answers.load(Ordering::Relaxed)
    }

    /// Whether the next head is read, or waited for.
    pub(super) fn is_at_head(&self) -> bool {
        self.stage.load(Ordering::Acquire) == HEAD
    }

    /// Whether the last answer is made.
    pub(super) fn has_ended(&self) -> bool {
        self.stage.load(Ordering::Acquire) == ENDED
    }

    /// The head that is read is too long, and to be refused with this status.
    pub(super) fn refuse(&self, status: u16) {
        self.refusal.store(status, Ordering::Release);
    }

    /// The status to refuse this request with, if its head was too long and is not all its client's.
    pub(super) fn refusal(&self) -> Option<u16> {
        Some(self.refusal.load(Ordering::Acquire)).filter(|status| *status != 0)
    }
}
