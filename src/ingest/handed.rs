//! Secrets that vendors hand over in a handshake, kept for the operator: in memory, for an hour, a few of each source, and shown once.
//!
//! They prove nothing here. Whoever knows the URL of a source that has no secret yet can hand one over, so the operator is told when each
//! came and from where, and it is he who writes one into the configuration; with it the source takes no further one. What waits is pushed
//! out by nobody: when there is no room the next one is refused.

use std::{
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{Ingest, refusal::Refusal};
use crate::{
    clock::UnixMs,
    limits::{HANDED_FOR, HANDED_PER_SOURCE_MAX},
    name::SourceName,
    plan::Source,
    request::RawRequest,
    secret::Secret,
    verify::Greeted,
};

/// A secret that was handed over.
#[derive(Clone, Debug)]
pub struct Handed {
    /// To whom.
    pub source: SourceName,
    /// In which handshake.
    pub handshake: Box<str>,
    /// When.
    pub at: UnixMs,
    /// By whom.
    pub client_ip: IpAddr,
    /// The secret.
    pub secret: Secret,
}

/// Those that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Vec<Handed>>);

impl Waiting {
    /// Keeps a secret; says whether it did. One that is here already is not kept twice.
    fn keep(&self, handed: Handed) -> bool {
        let mut waiting = self.current(handed.at);
        let same = |other: &&Handed| other.source == handed.source;
        if waiting.iter().filter(same).any(|other| other.secret == handed.secret) {
            return true;
        }
        let fits = waiting.iter().filter(same).count() < HANDED_PER_SOURCE_MAX;
        if fits {
            waiting.push(handed);
        }
        fits
    }

    fn take(&self, source: &SourceName, now: UnixMs) -> Vec<Handed> {
        let mut waiting = self.current(now);
        let (taken, left) = waiting.drain(..).partition(|handed| handed.source == *source);
        *waiting = left;
        taken
    }

    /// Those that have not waited too long.
    fn current(&self, now: UnixMs) -> MutexGuard<'_, Vec<Handed>> {
        // Nothing panics while it is held.
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|handed| now < handed.at.after(HANDED_FOR));
        waiting
    }
}

impl Ingest {
    /// Keeps what a handshake hands over, before it is answered.
    pub(super) fn hold_secret(&self, source: &Source, request: &RawRequest, greeted: &Greeted) -> Result<(), Refusal> {
        let Some(secret) = &greeted.secret else {
            return Ok(());
        };
        let handed = Handed {
            source: source.name.clone(),
            handshake: greeted.handshake.clone(),
            at: request.received_at,
            client_ip: request.client_ip,
            secret: secret.clone(),
        };
        let (source, handshake, fingerprint) = (source.name.as_str(), &*greeted.handshake, secret.fingerprint());
        if self.handed.keep(handed) {
            tracing::warn!(
                event = "handshake",
                source,
                handshake,
                secret = %fingerprint,
                client_ip = %request.client_ip,
                "a secret was handed over and waits an hour for you: `hookgate secrets {source}` shows it once"
            );
            return Ok(());
        }
        tracing::warn!(event = "handshake", source, handshake, "a secret was refused: {HANDED_PER_SOURCE_MAX} wait already to be shown");
        Err(Refusal::Unconfirmed { name: greeted.handshake.clone() })
    }

    /// The secrets that were handed over to a source, oldest first. They are shown this once and gone then.
    #[must_use]
    pub fn take_handed(&self, source: &SourceName) -> Vec<Handed> {
        self.handed.take(source, self.clock.wall())
    }

    /// How many secrets wait to be shown, of a source.
    #[must_use]
    pub fn handed_waiting(&self, source: &SourceName) -> usize {
        self.handed.current(self.clock.wall()).iter().filter(|handed| handed.source == *source).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_760_000_000_000);

    fn handed(source: &str, secret: &str, at: UnixMs) -> Handed {
        let source = SourceName::parse(source).expect("a name");
        Handed { source, handshake: "h".into(), at, client_ip: [127, 0, 0, 1].into(), secret: Secret::new(secret) }
    }

    fn shown(waiting: &Waiting, source: &str, at: UnixMs) -> Vec<String> {
        let taken = waiting.take(&SourceName::parse(source).expect("a name"), at);
        taken.iter().map(|handed| String::from_utf8_lossy(handed.secret.reveal()).into_owned()).collect()
    }

    #[test]
    fn what_waits_is_shown_once_to_who_asks_for_its_source() {
        let waiting = Waiting::default();
        for (source, secret) in [("a", "one"), ("b", "two"), ("a", "three"), ("a", "one")] {
            assert!(waiting.keep(handed(source, secret, NOW)));
        }
        assert_eq!(shown(&waiting, "a", NOW), ["one", "three"]);
        assert_eq!(shown(&waiting, "a", NOW), [""; 0]);
        assert_eq!(shown(&waiting, "b", NOW), ["two"]);
        assert!(!format!("{:?}", handed("a", "hushhush", NOW)).contains("hush"));
    }

    #[test]
    fn strangers_push_nothing_out_and_nothing_waits_for_ever() {
        let waiting = Waiting::default();
        let kept = (0..100).filter(|number| waiting.keep(handed("a", &number.to_string(), NOW))).count();
        assert_eq!(kept, HANDED_PER_SOURCE_MAX);
        assert!(waiting.keep(handed("a", "0", NOW)), "one that is here is not refused");
        assert!(waiting.keep(handed("b", "0", NOW)), "one source does not pay for another");
        let later = NOW.after(HANDED_FOR);
        assert!(waiting.keep(handed("a", "later", later)));
        assert_eq!(shown(&waiting, "a", later), ["later"]);
        assert_eq!(shown(&waiting, "b", later), [""; 0]);
    }
}
