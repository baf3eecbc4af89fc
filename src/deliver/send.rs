//! One attempt: the request goes out, the answer comes in, all of it within one time limit.

use std::{fmt, io, sync::Arc, time::Duration};

use tokio::time;

use crate::{
    clock::{Clock, Now},
    deliver::{
        answer::{Ending, read_answer},
        client::{Client, Connector, client},
        request::{Envelope, Facts},
        resolve::Resolver,
        tls::TlsByTarget,
    },
    delivery::{Attempt, AttemptResult},
    event::Payload,
    faults::{self, Fault, planted},
    plan::{Egress, Target},
};

/// Carries deliveries to one target: its client, and what all requests to it have in common.
pub(super) struct Courier {
    envelope: Envelope,
    client: Client,
    timeout: Duration,
    clock: Clock,
}

impl Courier {
    /// For this target.
    ///
    /// # Errors
    /// A URL or a credential that cannot stand in a request; the text names the target.
    pub(super) fn to(target: &Target, egress: &Arc<Egress>, tls: &TlsByTarget, resolver: &Resolver, clock: &Clock) -> io::Result<Self> {
        let unfit = || {
            let text = format!("targets.{}: the url or the credential cannot be sent in a request", target.name);
            io::Error::new(io::ErrorKind::InvalidInput, text)
        };
        let connector = Connector {
            resolver: resolver.clone(),
            egress: Arc::clone(egress),
            tls: tls.of(&target.name),
            timeout: target.connect_timeout,
        };
        let idle_max = usize::try_from(target.concurrency).unwrap_or(usize::MAX);
        Ok(Self {
            envelope: Envelope::to(target).ok_or_else(unfit)?,
            client: client(connector, idle_max),
            timeout: target.timeout,
            clock: clock.clone(),
        })
    }

    /// One try of a delivery. It never outlasts the target's timeout nor the lease.
    pub(super) async fn attempt(&self, facts: &Facts, payload: Payload) -> Attempt {
        suffer(&payload);
        let started = self.clock.now();
        let limit = self.timeout.min(facts.left);
        let deadline = time::Instant::now() + limit;
        let ending = match self.envelope.request(facts, payload) {
            Err(damaged) => Ending::without_answer(AttemptResult::Body, &damaged.to_string()),
            Ok(request) => match time::timeout_at(deadline, self.client.request(request)).await {
                Err(_) => Ending::without_answer(AttemptResult::Timeout, &format!("no answer within {limit:?}")),
                Ok(Err(error)) => Ending::of_error(&error),
                Ok(Ok(answer)) => {
                    let ending = Ending::answered(answer.status(), answer.headers(), self.clock.wall());
                    let mut kept = Vec::new();
                    // A body that dawdles or breaks off changes nothing: the target has said what it says.
                    let _ = time::timeout_at(deadline, read_answer(answer.into_body(), &mut kept)).await;
                    ending.quoting(&kept)
                }
            },
        };
        ended(started, self.clock.now(), ending)
    }
}

/// What is planted to happen to attempts, for the tests that the rest is none the worse for it.
fn suffer(payload: &Payload) {
    if planted(Fault::Poison) && payload.body.windows(6).any(|word| word == b"poison") {
        std::process::abort();
    }
    assert!(!planted(Fault::AttemptPanics) || rand::random::<f64>() >= faults::rate(Fault::AttemptPanics), "planted");
}

/// The attempt that started then, ended now, and so.
pub(super) fn ended(started: Now, now: Now, ending: Ending) -> Attempt {
    Attempt {
        at: started.wall,
        took: now.mono.since(started.mono),
        result: ending.result,
        status: ending.status,
        retry_after: ending.retry_after,
        excerpt: ending.excerpt,
    }
}

impl fmt::Debug for Courier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Courier").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
