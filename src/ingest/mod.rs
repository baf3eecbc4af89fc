//! The front half: the way of a webhook from its head to its answer. Read [`Ingest::answer`] and the function under it, top-down.
//!
//! ```text
//!  head -> checks that cost nothing -> body -> Verified -> NewEvent -> admit -> answer
//!             |                          |  |     |  |                   |
//!             |                          |  +-----+--+ a handshake: answered, and nothing of it is kept
//!             +--- Refusal: nothing of it reaches the store -------------+ 503: the provider tries again
//!                  (what is not proved goes to the rejected ring, a file of its own, if that has room)
//! ```
//!
//! What it promises: no byte of an unverified request gets further than `verify`, unless its source only observes, and then the event says
//! so; a 2xx follows the durable commit; every request is answered within its deadline, counted once and logged once; a request sees one
//! plan from its head to its answer. It knows no HTTP server: `door` gives it a head and a stream of bytes, and writes the answer out.

mod account;
mod address;
mod answer;
mod body;
mod budget;
mod checks;
mod handed;
mod head;
mod identity;
mod keys;
mod outside;
mod own;
mod refusal;
mod rejected;
mod slots;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::Stream;
use smallvec::smallvec;

#[doc(hidden)]
pub use address::address;
pub use answer::Answer;
pub use body::BrokenBody;
pub use handed::Handed;
pub use head::Head;
pub use rejected::{NotReadmitted, Readmitted};

use crate::{
    clock::{Clock, Mono, Now},
    errand::Errands,
    event::{EventId, EventIds, Payload},
    handoff::Gates,
    limits,
    metrics::{Metrics, RequestResult},
    plan::{Plan, Source, Unrouted},
    rejection::Rejection,
    store::{Admission, NewEvent, Store, StoreError, rejected::RejectedRing},
    verify::Identified,
};
use account::Account;
use address::Client;
use answer::{Acknowledged, Taken};
use budget::Budget;
use checks::Rung;
use outside::Outside;
use refusal::Refusal;
use rejected::Proven;

/// The front half, shared by all who answer at the door.
#[derive(Debug)]
pub struct Ingest {
    plan: ArcSwap<Plan>,
    store: Arc<dyn Store>,
    gates: Arc<Gates>,
    ids: Arc<EventIds>,
    clock: Clock,
    metrics: Arc<Metrics>,
    budget: Budget,
    /// Where requests go that are not proved.
    ring: Arc<RejectedRing>,
    /// Who goes out for it.
    outside: Outside,
    /// Secrets that vendors handed over.
    handed: handed::Waiting,
    /// Who we are in a `Via`.
    via: Box<str>,
}

impl Ingest {
    /// The way of a webhook: what came in is taken in or refused, and either way answered, counted and logged.
    pub async fn answer(&self, head: Head, body: impl Stream<Item = Result<Bytes, BrokenBody>> + Unpin) -> Answer {
        let plan = self.plan.load_full();
        let client = Client::of(&head, &plan.server);
        let mut account = Account::open(self.clock.mono(), client.ip);
        let end = self.take_in(&plan, client, head, body, &mut account).await;
        let answer = match &end {
            Ok(taken) => taken.answer(),
            Err(refusal) => refusal.answer(account.body_is_read(), account.source()),
        };
        account.close(&self.metrics, plan.log.requests, self.clock.now(), &end, answer.status);
        answer
    }

    /// Each step takes what only the step before it can give; the first that refuses ends the way.
    async fn take_in(
        &self,
        plan: &Plan,
        client: Client,
        head: Head,
        body: impl Stream<Item = Result<Bytes, BrokenBody>> + Unpin,
        account: &mut Account,
    ) -> Result<Taken, Refusal> {
        let came_at = self.clock.wall();
        let rung = checks::rung(plan, &head, came_at)?;
        let source = rung.source;
        account.belongs_to(source);
        let rung = checks::pass(rung, client.ip, &head, came_at)?;
        checks::check(source, &head)?;
        let announced = head.content_length();
        let mut request = head.into_request(client.ip, came_at);
        let early = source.verifier.precheck(&request);
        if let Err(reason) = early
            && !(reason.is_of_time() && self.ring.is_on())
            && !(reason.is_of_proof() && source.verifier.observes(came_at))
        {
            return Err(self.refused(&rung, client, &request, false, reason));
        }

        let mut share = self.budget.enter(source, client, &plan.server.limits)?;
        request.body = body::read(body, announced, source.body_limit, plan.server.limits.body_time, &self.clock, &mut share).await?;
        let now = self.clock.now();
        account.body_read(request.body.len());
        request.received_at = now.wall;

        if early.is_ok()
            && rung.let_by.is_none()
            && let Some(greeted) = source.verifier.greet(&request, now.wall)
        {
            self.hold_secret(source, &request, &greeted)?;
            return greeted.into();
        }
        if early.is_ok() && rung.let_by.is_none() {
            let brought = self.bring_keys(source, &request, now.mono).await;
            // Who only observes takes what cannot be proved, whatever it is for want of.
            if !source.verifier.observes(now.wall) {
                brought?;
            }
        }
        let identified = match self.prove(&rung, client, request, early)? {
            Proven::Verified(verified) => {
                share.is_verified();
                if let Some(greeted) = source.verifier.greet_verified(&verified) {
                    if let Some(url) = &greeted.call {
                        self.confirm(source, &greeted.handshake, url, now.mono).await?;
                    }
                    return greeted.into();
                }
                source.verifier.identified(verified)
            }
            Proven::Observed(identified) => identified,
        };
        // A method that only handshakes come with, and this was none.
        if !source.takes(&identified.request().method) {
            return Err(Rejection::Method.into());
        }
        account.proved(identified.proof());
        let event = self.compose(plan, rung, identified, now)?;
        account.identified(&event);
        self.admit(source, event, now.mono).await.map(Taken::Event)
    }

    /// Waits for the store until the answer is due and no longer. The store finishes what it has begun even when nobody waits any more.
    async fn admit(&self, source: &Source, event: NewEvent, last_byte: Mono) -> Result<Acknowledged, Refusal> {
        let id = event.id;
        let result = if event.owed.is_empty() { RequestResult::Unrouted } else { RequestResult::Accepted };
        let acknowledged = |event, result| Acknowledged { event, result, reply: source.accepted.clone() };
        if result == RequestResult::Unrouted && source.unrouted == Unrouted::Drop {
            return Ok(acknowledged(id, result));
        }
        let reply = self.store.admit(event, last_byte + before(source.answer_within, limits::ADMIT_MARGIN));
        let due = last_byte + before(source.answer_within, limits::ANSWER_MARGIN);
        let admission = tokio::time::timeout(due.since(self.clock.mono()), reply).await.map_err(|_| Refusal::Late)??;
        match admission {
            Admission::Accepted => Ok(acknowledged(id, result)),
            Admission::Duplicate { first, .. } => Ok(acknowledged(first, RequestResult::Duplicate)),
        }
    }

    /// Everything that is decided before the store sees the event: who it is, what makes a repeat of it, its bytes, to whom it is owed.
    fn compose(&self, plan: &Plan, rung: Rung<'_>, identified: Identified, now: Now) -> Result<NewEvent, Refusal> {
        let source = rung.source;
        let id: EventId = self.ids.next(now.wall);
        let (request, identity, proof) = identified.into_parts();
        let provider_event_id = identity.id.as_deref().map(identity::stored_id);
        let claimed = keys::key(&source.name, source.dedup.by, identity.known_by(), &request.body, id);
        let key = if proof.observed().is_some() { keys::observed(&source.name, claimed) } else { claimed };
        let public_url = plan.server.public_url.as_ref();
        let facts = head::Facts { id, source, path: rung.path, identity: &identity, proof, public_url, via: &self.via };
        let head = head::compose(&request, &facts);
        let hits = plan.routes.fan_out(&source.name, &identity.types);
        let owed = slots::owed(hits, &plan.targets, &self.gates, |by| source.verifier.order(&request, by));
        Ok(NewEvent {
            id,
            source: source.name.clone(),
            types: identity.types,
            provider_event_id,
            received_at: request.received_at,
            key,
            window: source.dedup.window,
            revive: source.dedup.revive,
            payloads: smallvec![Payload { head, body: request.body }],
            owed,
            proof,
        })
    }
}

impl Ingest {
    /// A front half that runs `plan`. The series of the plan's sources and targets should be configured in `metrics` before the first
    /// request.
    #[must_use]
    pub fn new(plan: Arc<Plan>, store: Arc<dyn Store>, gates: Arc<Gates>, ids: Arc<EventIds>, clock: Clock, metrics: Arc<Metrics>) -> Self {
        let budget = Budget::new(metrics.inflight_bytes.clone());
        let via = head::via(rand::random());
        let ring = Arc::new(RejectedRing::off());
        let outside = Outside::default();
        let handed = handed::Waiting::default();
        Self { plan: ArcSwap::new(plan), store, gates, ids, clock, metrics, budget, ring, outside, handed, via }
    }

    /// The same, which keeps what it rejects in this ring.
    #[must_use]
    pub fn keeping(self, ring: Arc<RejectedRing>) -> Self {
        Self { ring, ..self }
    }

    /// The same, with somebody who goes out for it. Without one no key is fetched and no subscription confirmed.
    #[must_use]
    pub fn sending(self, errands: Option<Arc<dyn Errands>>) -> Self {
        Self { outside: errands.map(Outside::by).unwrap_or_default(), ..self }
    }

    /// Where requests are that were not proved.
    #[must_use]
    pub fn rejected(&self) -> &Arc<RejectedRing> {
        &self.ring
    }

    /// Runs another plan from the next request on; those under way end with the one they began with.
    pub fn replace_plan(&self, plan: Arc<Plan>) {
        self.plan.store(plan);
    }

    /// The metrics everything here is counted in.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The clock everything here is timed by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// `margin` less than `within`, but never less than half of it: a short deadline is not eaten up by its margin.
fn before(within: Duration, margin: Duration) -> Duration {
    within.saturating_sub(margin).max(within / 2)
}
