//! What makes two requests the same event.
//!
//! The key is SHA-256 over the source, a namespace and the identity, cut to 128 bits: as long as ever, whatever a provider sends. Each part
//! goes in with its length before it, so that no two different triples give the same bytes, and the namespace keeps a provider's id apart
//! from a body's hash that happens to read the same.

use sha2::{Digest, Sha256};

use crate::{
    event::{DedupKey, EventId},
    name::{SourceName, TargetName},
    plan::DedupBy,
    verify::KnownBy,
};

/// Identities by what they are made of. The numbers are part of every stored key: never renumber.
#[derive(Clone, Copy)]
enum Namespace {
    ProviderId = 1,
    BodyHash = 2,
    EventId = 3,
    SignedText = 4,
    Observed = 5,
    SourceKey = 6,
}

/// The key of an event. One without an id (or with an empty one) is known by its body, or, where the provider says so, by nothing:
/// `KnownBy::Nothing` and `DedupBy::None` make every event its own.
#[must_use]
pub(super) fn key(source: &SourceName, by: DedupBy, known_by: KnownBy<'_>, body: &[u8], event: EventId) -> DedupKey {
    match (by, known_by) {
        (DedupBy::Provider | DedupBy::Template, KnownBy::Key(key)) => hash(source, Namespace::SourceKey, key),
        (DedupBy::Provider | DedupBy::Template, KnownBy::Id(id)) => hash(source, Namespace::ProviderId, id),
        (DedupBy::Provider | DedupBy::Template, KnownBy::Signed(digest)) => hash(source, Namespace::SignedText, digest),
        (DedupBy::Provider | DedupBy::Template, KnownBy::Body) | (DedupBy::Body, _) => {
            hash(source, Namespace::BodyHash, &Sha256::digest(body))
        }
        (DedupBy::None, _) | (_, KnownBy::Nothing) => hash(source, Namespace::EventId, &event.to_i64().to_be_bytes()),
    }
}

/// The key of what nothing proves, and says that it is the event of this key. It is another, so that a stranger who names an event's id
/// takes nothing from the event.
#[must_use]
pub(super) fn observed(source: &SourceName, claimed: DedupKey) -> DedupKey {
    hash(source, Namespace::Observed, &claimed.0)
}

/// What orders a delivery: a number for its target and the value it is ordered by. It is stored, so it stays as it is. Two values of one
/// number would go one after the other, which is no harm.
#[must_use]
pub(super) fn order(target: &TargetName, value: &[u8]) -> u64 {
    let mut hasher = Sha256::new_with_prefix(b"hookgate order 1\0");
    for part in [target.as_str().as_bytes(), value] {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    let mut number = [0; 8];
    number.copy_from_slice(&hasher.finalize()[..8]);
    u64::from_be_bytes(number)
}

fn hash(source: &SourceName, namespace: Namespace, identity: &[u8]) -> DedupKey {
    let mut hasher = Sha256::new_with_prefix(b"hookgate dedup 1\0");
    for part in [source.as_str().as_bytes(), &[namespace as u8], identity] {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    let digest = hasher.finalize();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    DedupKey(key)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::clock::UnixMs;

    fn name(text: &str) -> SourceName {
        SourceName::parse(text).expect("a name")
    }

    #[test]
    fn whatever_differs_differs_in_the_key() {
        let event = EventId::first_at(UnixMs(1));
        let other = EventId::first_at(UnixMs(2));
        let body_hash = Sha256::digest(b"body");
        let keys = [
            key(&name("a"), DedupBy::Provider, KnownBy::Id(b"id"), b"body", event),
            key(&name("a"), DedupBy::Provider, KnownBy::Id(b"id2"), b"body", event),
            key(&name("ai"), DedupBy::Provider, KnownBy::Id(b"d"), b"body", event),
            key(&name("b"), DedupBy::Provider, KnownBy::Id(b"id"), b"body", event),
            key(&name("a"), DedupBy::Provider, KnownBy::Id(&body_hash), b"body", event),
            key(&name("a"), DedupBy::Provider, KnownBy::Body, b"body", event),
            key(&name("a"), DedupBy::Provider, KnownBy::Body, b"bodY", event),
            key(&name("a"), DedupBy::Provider, KnownBy::Id(&event.to_i64().to_be_bytes()), b"body", event),
            key(&name("a"), DedupBy::Template, KnownBy::Key(b"id"), b"body", event),
            key(&name("a"), DedupBy::None, KnownBy::Body, b"body", event),
            key(&name("a"), DedupBy::None, KnownBy::Body, b"body", other),
            key(&name("b"), DedupBy::Provider, KnownBy::Nothing, b"body", event),
            key(&name("b"), DedupBy::Provider, KnownBy::Nothing, b"body", other),
        ];
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
    }

    #[test]
    fn only_what_the_rule_names_counts() {
        let event = EventId::first_at(UnixMs(1));
        let other = EventId::first_at(UnixMs(2));
        let a = name("a");
        assert_eq!(
            key(&a, DedupBy::Provider, KnownBy::Id(b"id"), b"x", event),
            key(&a, DedupBy::Provider, KnownBy::Id(b"id"), b"y", other)
        );
        assert_eq!(key(&a, DedupBy::Body, KnownBy::Id(b"id"), b"x", event), key(&a, DedupBy::Body, KnownBy::Id(b"id2"), b"x", other));
        assert_eq!(
            key(&a, DedupBy::Provider, KnownBy::Signed(&[7; 32]), b"x", event),
            key(&a, DedupBy::Provider, KnownBy::Signed(&[7; 32]), b"y", other)
        );
        assert_ne!(
            key(&a, DedupBy::Provider, KnownBy::Signed(&[7; 32]), b"x", event),
            key(&a, DedupBy::Provider, KnownBy::Id(&[7; 32]), b"x", event)
        );
        assert_eq!(key(&a, DedupBy::Provider, KnownBy::Body, b"x", event), key(&a, DedupBy::Body, KnownBy::Body, b"x", other));
    }

    #[test]
    fn what_nothing_proves_has_a_key_of_its_own() {
        let event = EventId::first_at(UnixMs(1));
        let proved = |id: &[u8]| key(&name("a"), DedupBy::Provider, KnownBy::Id(id), b"", event);
        let unproved = |id: &[u8]| observed(&name("a"), proved(id));
        assert_eq!(unproved(b"id"), unproved(b"id"));
        // Whatever an id says, even the key itself.
        let keys = [proved(b"id"), proved(b"id2"), unproved(b"id"), unproved(b"id2"), proved(&proved(b"id").0), unproved(&proved(b"id").0)];
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
    }

    #[test]
    fn a_stored_key_stays_what_it_was() {
        // A change here makes every repeat of what is stored a new event: it needs a migration.
        let stored = key(&name("stripe"), DedupBy::Provider, KnownBy::Id(b"evt_1"), b"", EventId::first_at(UnixMs(0)));
        assert_eq!(format!("{stored:?}"), "b7c0a1f8097c467f7053c18775aea226");
        assert_eq!(format!("{:?}", observed(&name("stripe"), stored)), "25749869008e957775e2f0c193c272e0");
    }
}
