//! Alerts as events: of a source that nobody can configure, owed to the targets that the configuration names, and from there on delivered,
//! retried, held and listed as any other event is.

use std::time::Duration;

use bytes::Bytes;
use smallvec::smallvec;

use super::{Ingest, head, keys};
use crate::{
    alert::Alert,
    event::{EventId, EventTypes, Payload},
    name::{SourceName, TargetName},
    plan::DedupBy,
    store::{NewEvent, Owed, Start, StoreError},
    verify::{KnownBy, Proof},
};

/// How long the store may take to begin with an alert. It is tried again, so this only bounds how much waits.
const ADMIT_WITHIN: Duration = Duration::from_secs(2);
/// How long an alert's id is remembered: only its own further tries bring it again.
const KNOWN_FOR: Duration = Duration::from_secs(60 * 60);

impl Ingest {
    /// Writes an alert down for whom it is owed to. With the same id it may be run again, and is there once.
    ///
    /// # Errors
    /// The store did not do it, or could not confirm that it did.
    pub async fn admit_alert<'t>(&self, alert: &Alert, id: EventId, to: impl Iterator<Item = &'t TargetName>) -> Result<(), StoreError> {
        let (source, types) = (SourceName::alerts(), EventTypes::new([alert.about().kind().code().into()]));
        let head = head::compose_own(id, (&source, &types), alert.at(), &self.via);
        // Born waiting, and announced to the lane: an alert is seldom and in no hurry, so it takes nobody's slot.
        let owed = |target: &TargetName| Owed {
            target: target.clone(),
            variant: 0,
            order: None,
            start: Start::Waiting,
            gate: self.gates.get(target),
        };
        let event = NewEvent {
            id,
            key: keys::key(&source, DedupBy::None, KnownBy::Body, b"", id),
            source,
            types,
            provider_event_id: None,
            received_at: alert.at(),
            window: KNOWN_FOR,
            revive: false,
            payloads: smallvec![Payload { head, body: Bytes::from(alert.json()) }],
            owed: to.map(owed).collect(),
            proof: Proof::of_own(alert),
        };
        self.store.admit(event, self.clock.mono() + ADMIT_WITHIN).await.map(drop)
    }
}
