//! The judge: compares the sender's ledger with what the targets wrote down. It knows the contract and nothing of the gateway.
//!
//! - No loss: every acknowledged event reached every target, byte for byte.
//! - No invention: nothing arrived that was not sent, and nothing forged.
//! - Repeats carry one delivery id per event and target, one event id, and rising attempt numbers.
//! - No 2xx for a forgery; one event id per event, whatever was answered how often.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use super::{
    ledger::Entry,
    listener::Received,
    sender::{github_signature, sha256_hex},
};

/// One request at one target, as far as the judge needs it.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The provider's id, by which the ledger knows it.
    pub id: String,
    /// SHA-256 of the body, in hex.
    pub sha256: String,
    /// Whether the provider's signature still holds at the target.
    pub signed: bool,
    /// The gateway's ids.
    pub event_id: String,
    /// The delivery's id.
    pub delivery_id: String,
    /// The attempt's number.
    pub attempt: u32,
    /// Whether the target then said 2xx.
    pub taken: bool,
}

/// What one target wrote down.
#[derive(Debug, Default)]
pub struct Book {
    arrivals: Mutex<Vec<Arrival>>,
    taken: Mutex<BTreeSet<String>>,
}

impl Book {
    /// Notes a request before it is answered.
    pub fn note(&self, received: &Received, secret: &str, taken: bool) {
        let arrival = Arrival {
            id: received.header("x-github-delivery").to_owned(),
            sha256: sha256_hex(&received.body),
            signed: received.header("x-hub-signature-256") == github_signature(secret, &received.body),
            event_id: received.header("hookgate-event-id").to_owned(),
            delivery_id: received.header("hookgate-delivery-id").to_owned(),
            attempt: received.attempt(),
            taken,
        };
        if taken {
            self.taken.lock().unwrap_or_else(PoisonError::into_inner).insert(arrival.id.clone());
        }
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).push(arrival);
    }

    /// Whether the event was taken here.
    pub fn has_taken(&self, id: &str) -> bool {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    /// Everything so far, in the order of arrival.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What the judge found.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Events acknowledged.
    pub acked: usize,
    /// Events acknowledged and missing at a target.
    pub lost: usize,
    /// Requests at targets that had the event already.
    pub repeats: usize,
    /// The slowest answer, in milliseconds.
    pub slowest_answer_ms: u64,
    /// Everything that breaks the contract, for people; at most a few of each kind.
    pub violations: Vec<String>,
}

impl Verdict {
    fn breach(&mut self, what: String) {
        // The first of them tell the story; the rest would bury it.
        if self.violations.len() < 40 {
            self.violations.push(what);
        }
    }
}

/// Judges a whole run.
pub fn judge(ledger: &BTreeMap<String, Entry>, targets: &[(&str, &Book)]) -> Verdict {
    let mut verdict = Verdict::default();
    for (id, entry) in ledger {
        judge_answers(id, entry, &mut verdict);
    }
    for (target, book) in targets {
        judge_target(target, ledger, book, &mut verdict);
    }
    verdict
}

fn judge_answers(id: &str, entry: &Entry, verdict: &mut Verdict) {
    let slowest = entry.answers.iter().map(|answer| answer.took_ms).max().unwrap_or(0);
    verdict.slowest_answer_ms = verdict.slowest_answer_ms.max(slowest);
    let Some(first) = entry.acknowledged() else { return };
    verdict.acked += 1;
    if !entry.genuine {
        verdict.breach(format!("{id} is forged and was acknowledged: {first:?}"));
    }
    if first.event_id == "-" {
        verdict.breach(format!("{id} was acknowledged without an event id"));
    }
    for other in entry.answers.iter().filter(|other| (200..300).contains(&other.status)) {
        if other.event_id != first.event_id {
            verdict.breach(format!("{id} has two event ids: {} and {}", first.event_id, other.event_id));
        }
    }
    for again in entry.answers.iter().skip_while(|answer| *answer != first).skip(1) {
        if (200..300).contains(&again.status) && again.result != "duplicate" {
            verdict.breach(format!("{id} was acknowledged, then rung again and answered `{}`", again.result));
        }
    }
}

fn judge_target(target: &str, ledger: &BTreeMap<String, Entry>, book: &Book, verdict: &mut Verdict) {
    let mut by_event: BTreeMap<String, Vec<Arrival>> = BTreeMap::new();
    for arrival in book.arrivals() {
        by_event.entry(arrival.id.clone()).or_default().push(arrival);
    }
    for (id, entry) in ledger.iter().filter(|(_, entry)| entry.acknowledged().is_some() && entry.genuine) {
        let arrivals = by_event.get(id).map_or(&[][..], Vec::as_slice);
        if !arrivals.iter().any(|arrival| arrival.taken && arrival.sha256 == entry.sha256) {
            verdict.lost += 1;
            verdict.breach(format!("{id} was acknowledged ({:?}) and never taken by {target}: {arrivals:?}", entry.answers));
        }
    }
    for (id, arrivals) in &by_event {
        judge_arrivals(target, id, ledger.get(id), arrivals, verdict);
    }
}

fn judge_arrivals(target: &str, id: &str, entry: Option<&Entry>, arrivals: &[Arrival], verdict: &mut Verdict) {
    let first = &arrivals[0];
    match entry {
        None => verdict.breach(format!("{target} received {id:?}, which nobody sent")),
        Some(entry) if !entry.genuine => verdict.breach(format!("{target} received {id}, which is forged")),
        Some(entry) => {
            if arrivals.iter().any(|arrival| arrival.sha256 != entry.sha256 || !arrival.signed) {
                verdict.breach(format!("{target} received {id} with other bytes than were sent"));
            }
            if entry.acknowledged().is_some_and(|answer| answer.event_id != first.event_id) {
                verdict.breach(format!("{target} received {id} under an event id that was not the one answered"));
            }
        }
    }
    if arrivals.iter().any(|arrival| arrival.delivery_id != first.delivery_id || arrival.event_id != first.event_id) {
        verdict.breach(format!("{target} received {id} under several ids: {arrivals:?}"));
    }
    if first.attempt < 1 || arrivals.windows(2).any(|pair| pair[1].attempt <= pair[0].attempt) {
        let attempts: Vec<u32> = arrivals.iter().map(|arrival| arrival.attempt).collect();
        verdict.breach(format!("{target} received {id} with attempts {attempts:?}, which do not rise"));
    }
    let taken_at = arrivals.iter().position(|arrival| arrival.taken).unwrap_or(arrivals.len());
    verdict.repeats += arrivals.len().saturating_sub(taken_at + 1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::ledger::Answered;

    fn entry(status: u16, event_id: &str) -> Entry {
        let answer = Answered { status, result: "accepted".into(), event_id: event_id.into(), took_ms: 1 };
        Entry { sha256: "s".into(), genuine: true, sent: 1, answers: vec![answer] }
    }

    fn arrival(attempt: u32, delivery_id: &str, sha256: &str) -> Arrival {
        let (delivery_id, sha256) = (delivery_id.to_owned(), sha256.to_owned());
        Arrival { id: "e".into(), sha256, signed: true, event_id: "evt_1".into(), delivery_id, attempt, taken: true }
    }

    fn judged(entry: Entry, arrivals: Vec<Arrival>) -> Verdict {
        let book = Book { arrivals: Mutex::new(arrivals), taken: Mutex::default() };
        judge(&BTreeMap::from([("e".to_owned(), entry)]), &[("app", &book)])
    }

    #[test]
    fn the_judge_accepts_what_is_promised_and_nothing_else() {
        let fine = judged(entry(200, "evt_1"), vec![arrival(1, "d", "s"), arrival(3, "d", "s")]);
        assert!(fine.violations.is_empty() && fine.repeats == 1 && fine.acked == 1, "{fine:?}");
        let broken: [(&str, Entry, Vec<Arrival>); 7] = [
            ("lost", entry(200, "evt_1"), vec![]),
            ("other bytes", entry(200, "evt_1"), vec![arrival(1, "d", "x")]),
            ("two delivery ids", entry(200, "evt_1"), vec![arrival(1, "d", "s"), arrival(2, "e", "s")]),
            ("attempts that stand still", entry(200, "evt_1"), vec![arrival(1, "d", "s"), arrival(1, "d", "s")]),
            ("another event id", entry(200, "evt_2"), vec![arrival(1, "d", "s")]),
            ("a forgery acknowledged", Entry { genuine: false, ..entry(200, "evt_1") }, vec![]),
            ("a forgery delivered", Entry { genuine: false, ..entry(401, "-") }, vec![arrival(1, "d", "s")]),
        ];
        for (what, entry, arrivals) in broken {
            assert!(!judged(entry, arrivals).violations.is_empty(), "{what} went unnoticed");
        }
        assert!(judged(entry(503, "-"), vec![]).violations.is_empty(), "what was not acknowledged may be missing");
    }
}
