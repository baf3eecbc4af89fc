//! The world outside the gateway: providers that ring until they are answered, targets that answer as the script says.

use std::time::Duration;

use bytes::Bytes;
use hookgate::{
    clock::{Mono, UnixMs},
    delivery::{Attempt, AttemptResult},
    event::{DedupKey, EventId, EventTypes, Payload},
    handoff::LaneGate,
    name::SourceName,
    store::{Admission, NewEvent, Owed, Start},
};
use rand::RngExt;

use super::{
    made,
    rules::Rule,
    script::{MS, SECOND, Way},
    world::{Happening, World},
};

/// From the last byte of the body to the answer.
const ANSWER_WITHIN: Duration = Duration::from_millis(2500);

impl World {
    /// A provider rings; the door takes slots and hands the event to the store.
    pub(crate) fn ring(&mut self, index: usize) {
        let now = self.now();
        let Some(gateway) = self.gateway.as_ref().filter(|gateway| !gateway.is_stopping && !self.is_frozen()) else {
            self.ring_again(index);
            return;
        };
        let id = self.ids.next(now.wall);
        let rung = &self.script.events[index];
        let targets = rung.owed.iter().map(|target| &self.script.targets[*target]).collect::<Vec<_>>();
        let owed = targets.iter().map(|scripted| {
            let target = &scripted.target;
            let gate = gateway.gate(&target.name);
            let slot = gate.as_ref().and_then(LaneGate::take);
            let start = slot.map_or(Start::Waiting, |slot| Start::Leased(slot, target.lease()));
            Owed { target: target.name.clone(), variant: 0, start, order: rung.key.filter(|_| scripted.is_ordered), gate }
        });
        let owed = owed.collect();
        self.books.made.insert(id, (index, targets.iter().map(|scripted| scripted.target.name.clone()).collect()));
        let mut key = [0; 16];
        key[..8].copy_from_slice(&index.to_le_bytes());
        let event = NewEvent {
            id,
            source: SourceName::parse("sim").expect("a name"),
            types: EventTypes::default(),
            provider_event_id: None,
            received_at: now.wall,
            key: DedupKey(key),
            window: Duration::from_secs(7 * 86_400),
            revive: self.script.revive,
            payloads: [Payload { head: Bytes::new(), body: Bytes::from_static(b"sixteen bytes...") }].into_iter().collect(),
            owed,
            proof: made::proof(),
        };
        self.say(|| format!("ring {index} as {id}"));
        let on_its_way = self.pause(0, 3 * MS);
        self.soon(on_its_way, Happening::Admit(index, Box::new(event), now.mono + ANSWER_WITHIN));
    }

    /// The provider rings again in a while, unless it is about to.
    pub(crate) fn ring_again(&mut self, index: usize) {
        if self.retrying.insert(index) {
            let wait = self.pause(SECOND / 2, 8 * SECOND);
            self.later(self.at + wait, Happening::RingAgain(index));
        }
    }

    /// The provider hears the answer; 2xx is a promise.
    pub(crate) fn acknowledge(&mut self, index: usize, id: EventId, admission: Option<Admission>) {
        let Some(admission) = admission else {
            if !self.books.promised.contains_key(&index) {
                self.ring_again(index);
            }
            return;
        };
        let promised = match admission {
            Admission::Accepted => id,
            Admission::Duplicate { first, .. } => first,
        };
        self.say(|| format!("2xx {index}: {promised} {admission:?}"));
        let before = *self.books.promised.entry(index).or_insert(promised);
        if before != promised {
            self.broke(Rule::OneFanOut, format!("event {index} was promised as {before} and as {promised}"));
        }
        self.check_promise(promised);
    }

    /// What a target answers to an attempt that starts now, and when.
    pub(crate) fn target_answers(&mut self, index: usize, at: UnixMs) -> Attempt {
        let scripted = &self.script.targets[index];
        let (way, latency, timeout) = (scripted.way, scripted.latency_ms.clone(), scripted.target.timeout);
        let took = Duration::from_millis(self.chance.random_range(latency));
        let mut attempt = Attempt { at, took, result: AttemptResult::Delivered, status: Some(200), retry_after: None, excerpt: None };
        let status = match way {
            Way::Refusing(often) if self.chance.random_bool(often) => Some(410),
            _ if self.is_calm => Some(200),
            Way::Unwilling(often) if self.chance.random_bool(often) => Some(404),
            Way::Flaky(often) if self.chance.random_bool(often) => Some(500),
            Way::Slow(often) if self.chance.random_bool(often) => {
                attempt.took = timeout;
                attempt.result = AttemptResult::Timeout;
                None
            }
            Way::DownUntil(until) if self.at < until => {
                attempt.result = AttemptResult::Connect;
                None
            }
            Way::Limiting(often, most) if self.chance.random_bool(often) => {
                let asked = self.chance.random_range(0..=most);
                attempt.retry_after = (asked > 0).then(|| Duration::from_secs(asked));
                Some(if self.chance.random_bool(0.5) { 429 } else { 503 })
            }
            _ => Some(200),
        };
        attempt.status = status;
        if let Some(status) = status {
            attempt.result = AttemptResult::of_status(status);
        }
        attempt
    }

    /// An event the door hands to the store.
    pub(crate) fn admit(&mut self, index: usize, event: NewEvent, by: Mono) {
        self.desk.admits.push_back((index, event, by));
        self.wake_store();
    }
}
