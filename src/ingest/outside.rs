//! What has to be brought from outside before a request can be judged or answered: a key that its vendor publishes, or the confirmation of
//! a subscription.
//!
//! Whoever comes while the same is under way waits for it with the others: one goes, and all hear of it. Nobody waits beyond the time when
//! the answer is due. What could not be brought is nobody's forgery: the sender hears 503 and comes again, and nothing of the request is
//! kept meanwhile.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;
use url::Url;

use super::{Ingest, before, refusal::Refusal};
use crate::{
    clock::{Clock, Mono},
    errand::{Ask, Errands},
    limits::{ANSWER_MARGIN, ERRAND_TIME, ERRANDS_PER_REQUEST_MAX},
    name::SourceName,
    plan::Source,
    request::RawRequest,
    verify::Wanted,
};

/// Whether it was brought, once that is known.
type Coming = watch::Receiver<Option<bool>>;
/// By the address of the source, which lives as long as its entry: a source of the next plan has keys of its own.
type UnderWay = Mutex<HashMap<(usize, Url), Coming>>;

/// Who goes out, and what is under way. It holds no more than the sources let out in a minute.
#[derive(Debug, Default)]
pub(super) struct Outside {
    errands: Option<Arc<dyn Errands>>,
    under_way: Arc<UnderWay>,
}

impl Outside {
    /// With somebody who goes.
    pub(super) fn by(errands: Arc<dyn Errands>) -> Self {
        Self { errands: Some(errands), under_way: Arc::default() }
    }

    /// Has keys fetched, or hears of those who do already.
    fn fetch(&self, source: &Arc<Source>, wanted: &Wanted, clock: &Clock) -> Result<Coming, Refusal> {
        let now = clock.wall();
        let errands = self.errands.as_ref().ok_or(Refusal::KeyAway)?;
        let named = (Arc::as_ptr(source).addr(), wanted.url.clone());
        let mut under_way = lock(&self.under_way);
        // One whose sender is gone will never be heard of.
        if let Some(coming) = under_way.get(&named).filter(|coming| coming.has_changed().is_ok()) {
            return Ok(coming.clone());
        }
        if !source.verifier.lets_out(wanted, now) {
            return Err(Refusal::KeyBusy);
        }
        let (told, coming) = watch::channel(None);
        under_way.insert(named.clone(), coming.clone());
        drop(under_way);
        let (source, here, who, clock) = (Arc::clone(source), Arc::clone(&self.under_way), Arc::clone(errands), clock.clone());
        let then = move |got: Result<bytes::Bytes, String>| {
            let (found, why_not) = match &got {
                Ok(bytes) => (Some(&**bytes), None),
                Err(why) => (None, Some(why.clone())),
            };
            let taken = source.verifier.fetched(&named.1, found, who.roots(), clock.wall());
            log_key(&source.name, &named.1, why_not.map_or_else(|| taken.clone(), Err).err());
            lock(&here).remove(&named);
            told.send_replace(Some(taken.is_ok()));
        };
        errands.ask(&wanted.ask, Box::new(then));
        Ok(coming)
    }
}

fn log_key(source: &SourceName, url: &Url, why_not: Option<String>) {
    let (source, host) = (source.as_str(), url.host_str().unwrap_or_default());
    match why_not {
        None => tracing::info!(event = "key", source, host, "keys were fetched"),
        Some(reason) => {
            tracing::warn!(event = "key", source, host, reason, "keys could not be fetched: what they would prove is answered 503");
        }
    }
}

fn lock(under_way: &UnderWay) -> MutexGuard<'_, HashMap<(usize, Url), Coming>> {
    // Nothing panics while it is held, and a map is whole between two of its calls anyway.
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ingest {
    /// Has everything brought that the proof of this request needs. `last_byte` is when the time for its answer began to run.
    pub(super) async fn bring_keys(&self, source: &Arc<Source>, request: &RawRequest, last_byte: Mono) -> Result<(), Refusal> {
        for _ in 0..ERRANDS_PER_REQUEST_MAX {
            let Some(wanted) = source.verifier.wanted(request, request.received_at) else {
                return Ok(());
            };
            let coming = self.outside.fetch(source, &wanted, &self.clock);
            if !wanted.is_needed {
                // Those that are here will do; the next request may find newer ones.
                return Ok(());
            }
            if !self.heard(source, coming?, last_byte).await {
                return Err(Refusal::KeyAway);
            }
        }
        Ok(())
    }

    /// Makes the call of a handshake: it is answered only when that was answered well, so that its vendor asks again when it was not.
    pub(super) async fn confirm(&self, source: &Arc<Source>, name: &str, url: &Url, last_byte: Mono) -> Result<(), Refusal> {
        let unconfirmed = || Refusal::Unconfirmed { name: name.into() };
        let errands = self.outside.errands.as_ref().ok_or_else(unconfirmed)?;
        if !source.verifier.lets_call(self.clock.wall()) {
            return Err(unconfirmed());
        }
        let (told, coming) = watch::channel(None);
        let (source_name, handshake, host) = (source.name.clone(), name.to_owned(), url.host_str().unwrap_or_default().to_owned());
        let then = move |got: Result<bytes::Bytes, String>| {
            let (source, confirmed) = (source_name.as_str(), got.is_ok());
            match got {
                Ok(_) => tracing::info!(event = "handshake", source, handshake, host, "the subscription was confirmed"),
                Err(reason) => {
                    tracing::warn!(
                        event = "handshake",
                        source,
                        handshake,
                        host,
                        reason,
                        "the subscription could not be confirmed: answered 503"
                    );
                }
            }
            told.send_replace(Some(confirmed));
        };
        errands.ask(&Ask::get(url), Box::new(then));
        self.heard(source, coming, last_byte).await.then_some(()).ok_or_else(unconfirmed)
    }

    /// Waits for what is coming, until the answer is due and no longer.
    async fn heard(&self, source: &Source, mut coming: Coming, last_byte: Mono) -> bool {
        let due = last_byte + before(source.answer_within, ANSWER_MARGIN);
        let patience = due.since(self.clock.mono()).min(ERRAND_TIME);
        match tokio::time::timeout(patience, coming.wait_for(Option::is_some)).await {
            Ok(Ok(told)) => *told == Some(true),
            Ok(Err(_)) | Err(_) => false,
        }
    }
}
