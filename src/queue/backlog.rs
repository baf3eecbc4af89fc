//! What a lane knows of its deliveries in the store that it does not hold.
//!
//! The store's answer to a claim is as old as the claim. What the lane hears while one is out (a delivery born waiting, a retry written
//! down) may or may not be in the answer, so it is kept and counted on top: a wake-up is never lost, at worst a claim finds nothing.

use crate::clock::UnixMs;

/// A lane's view of the store.
#[derive(Debug)]
pub(super) struct Backlog {
    known: Known,
    /// What was heard since the claim that is out was sent; `None` when none is out.
    since_claim: Option<Heard>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Nothing waits.
    Empty,
    /// The first one is due then.
    From(UnixMs),
    /// Only a claim can tell.
    Unknown,
}

#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    due: Option<UnixMs>,
    doubt: bool,
}

impl Backlog {
    /// Nothing is known yet.
    pub(super) fn unknown() -> Self {
        Self { known: Known::Unknown, since_claim: None }
    }

    /// A delivery waits, and is due then.
    pub(super) fn learn(&mut self, due: UnixMs) {
        self.known = self.known.and(Some(due));
        if let Some(heard) = &mut self.since_claim {
            heard.due = Some(heard.due.map_or(due, |other| other.min(due)));
        }
    }

    /// Something may be there that nobody has told us of.
    pub(super) fn doubt(&mut self) {
        self.known = Known::Unknown;
        if let Some(heard) = &mut self.since_claim {
            heard.doubt = true;
        }
    }

    /// A claim was sent.
    pub(super) fn claim_sent(&mut self) {
        self.since_claim = Some(Heard::default());
    }

    /// The claim was answered: the store's first one is due then. Without an answer for this lane, what was known still holds.
    pub(super) fn claim_answered(&mut self, answer: Option<Option<UnixMs>>) {
        let heard = self.since_claim.take().unwrap_or_default();
        let Some(next_due) = answer else { return };
        self.known = if heard.doubt { Known::Unknown } else { Known::Empty.and(next_due).and(heard.due) };
    }

    /// The claim failed: it may have leased deliveries that nobody holds.
    pub(super) fn claim_failed(&mut self) {
        self.since_claim = None;
        self.known = Known::Unknown;
    }

    /// Whether a claim is out.
    pub(super) fn is_claiming(&self) -> bool {
        self.since_claim.is_some()
    }

    /// Whether something is, or may be, due.
    pub(super) fn is_due(&self, now: UnixMs) -> bool {
        match self.known {
            Known::Empty => false,
            Known::From(due) => due <= now,
            Known::Unknown => true,
        }
    }

    /// Whether it is known that nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.known == Known::Empty
    }

    /// When the first one is due, if that is known.
    pub(super) fn due(&self) -> Option<UnixMs> {
        match self.known {
            Known::From(due) => Some(due),
            Known::Empty | Known::Unknown => None,
        }
    }
}

impl Known {
    fn and(self, due: Option<UnixMs>) -> Self {
        match (self, due) {
            (known, None) => known,
            (Self::Empty, Some(due)) => Self::From(due),
            (Self::From(one), Some(other)) => Self::From(one.min(other)),
            (Self::Unknown, Some(_)) => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_000);

    #[test]
    fn what_is_heard_while_a_claim_is_out_survives_its_answer() {
        let mut backlog = Backlog::unknown();
        backlog.claim_sent();
        backlog.learn(NOW);
        backlog.claim_answered(Some(None));
        assert!(backlog.is_due(NOW), "the answer may be older than the delivery");
        backlog.claim_sent();
        backlog.claim_answered(Some(None));
        assert!(!backlog.is_due(NOW), "this claim was sent after it was heard");
    }

    #[test]
    fn a_doubt_is_settled_only_by_a_later_claim() {
        let mut backlog = Backlog::unknown();
        backlog.claim_sent();
        backlog.claim_answered(Some(None));
        backlog.claim_sent();
        backlog.doubt();
        backlog.claim_answered(Some(Some(UnixMs(9_000))));
        assert!(backlog.is_due(NOW));
        backlog.claim_sent();
        backlog.claim_answered(Some(Some(UnixMs(9_000))));
        assert_eq!((backlog.is_due(NOW), backlog.due()), (false, Some(UnixMs(9_000))));
    }

    #[test]
    fn no_answer_changes_nothing_and_a_failed_claim_leaves_a_doubt() {
        let mut backlog = Backlog::unknown();
        backlog.claim_sent();
        backlog.claim_answered(Some(Some(UnixMs(500))));
        backlog.claim_sent();
        backlog.claim_answered(None);
        assert_eq!(backlog.due(), Some(UnixMs(500)));
        backlog.claim_sent();
        backlog.claim_failed();
        assert!(backlog.is_due(UnixMs(0)) && !backlog.is_claiming());
    }
}
