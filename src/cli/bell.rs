//! Ringing a gateway as a provider would: samples signed by the provider's own file, and a book of how they were answered.

use std::{collections::BTreeMap, fmt, io, path::Path, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use http::{HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt, Collected, Full, Limited};

use crate::{
    clock::{Clock, Mono},
    deliver::{Client, Connector, client},
    limits::ANSWER_BYTES_MAX,
    provider::{Atom, Provider},
    verify::{Credential, Sample, sign},
};

/// Requests under way at once.
const AT_ONCE: usize = 16;
/// From the connection to the last byte of the answer: longer than any gateway may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Different reasons of refusal that are told apart.
const REASONS_MAX: usize = 16;

/// What is believed and shown over `https`.
#[derive(Debug, Default)]
pub(super) struct Papers<'a> {
    /// Files whose first certificate is believed.
    pub(super) believed: Vec<&'a Path>,
    /// Our own certificate and its key.
    pub(super) shown: Option<(&'a Path, &'a Path)>,
}

/// Where to ring, and as whom.
pub(super) struct Bell<'a> {
    client: Client,
    to: Uri,
    provider: &'a Provider,
    credentials: Vec<Credential>,
    clock: Clock,
    /// Begins the ids of this bell's events, so that no two rings of it, ever, are the same event.
    ids: String,
}

/// What a ring came to.
#[derive(Clone, Debug)]
pub(super) enum Rung {
    /// A new event, under this id.
    Accepted(String),
    /// Seen before, as this event.
    Duplicate(String),
    /// Not taken, and why.
    Refused(String),
}

/// How all rings were answered.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) accepted: usize,
    pub(super) duplicate: usize,
    pub(super) refused: usize,
    /// Why, and how often.
    pub(super) reasons: BTreeMap<String, usize>,
    took: Vec<Duration>,
}

impl<'a> Bell<'a> {
    /// A bell at this URL, rung as this provider.
    ///
    /// # Errors
    /// A file that does not hold what it should.
    pub(super) fn new(
        to: Uri,
        provider: &'a Provider,
        credentials: Vec<Credential>,
        papers: &Papers<'_>,
        clock: Clock,
    ) -> io::Result<Self> {
        let client = client(Connector::unguarded(&clock, PATIENCE, &papers.believed, papers.shown)?, AT_ONCE);
        let ids = format!("sample-{:08x}", rand::random::<u32>());
        Ok(Self { client, to, provider, credentials, clock, ids })
    }

    /// Rings once with the sample, under a fresh id of this number. A body of the user's own that carries its id is left as it is when
    /// it is rung once: he may want a repeat.
    fn request(&self, sample: &Sample, number: usize, keep_id: bool) -> Result<Request<Full<Bytes>>, String> {
        let kept = keep_id && sample.body.is_some() && self.id_is_in_body();
        let id = (!kept).then(|| format!("{}-{number}", self.ids).into());
        let sample = Sample { id, path: Some(self.to.path().into()), ..sample.clone() };
        let signed = sign(self.provider, &self.credentials, &sample, self.clock.wall())?;
        let mut request = Request::builder().method(&*signed.method).uri(self.with_query(signed.query.as_deref())?);
        for (name, value) in &signed.headers {
            request = request.header(name, HeaderValue::from_bytes(value).map_err(|_| format!("{name} cannot be sent"))?);
        }
        request = request.header(header::CONTENT_LENGTH, signed.body.len());
        request.body(Full::new(signed.body)).map_err(|error| error.to_string())
    }

    /// Where to ring, with the query that is part of what was signed.
    fn with_query(&self, query: Option<&str>) -> Result<Uri, String> {
        let Some(query) = query else {
            return Ok(self.to.clone());
        };
        let mut parts = self.to.clone().into_parts();
        let told = |_| format!("the query of {} cannot be sent", self.provider.slug);
        parts.path_and_query = Some(format!("{}?{query}", self.to.path()).parse().map_err(told)?);
        Uri::from_parts(parts).map_err(|error| error.to_string())
    }

    fn id_is_in_body(&self) -> bool {
        let first = self.provider.event.id.first();
        first.is_none_or(|template| template.values().any(|value| matches!(value.atom, Atom::Json(_))))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> (Rung, Duration) {
        let begun = self.clock.mono();
        let rung = match tokio::time::timeout(PATIENCE, self.answered(request)).await {
            Ok(Ok(rung)) => rung,
            Ok(Err(cause)) => Rung::Refused(cause),
            Err(_) => Rung::Refused(format!("no answer within {} s", PATIENCE.as_secs())),
        };
        (rung, self.clock.mono().since(begun))
    }

    async fn answered(&self, request: Request<Full<Bytes>>) -> Result<Rung, String> {
        let answer = self.client.request(request).await.map_err(|error| format!("no answer: {}", innermost(&error)))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map(Collected::to_bytes).unwrap_or_default();
        let told = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let event = told("hookgate-event-id");
        Ok(match (head.status.is_success(), told("hookgate-result").as_str()) {
            (true, "duplicate") => Rung::Duplicate(event),
            (true, _) => Rung::Accepted(event),
            (false, _) => {
                let said: String = String::from_utf8_lossy(&body).chars().filter(|one| !one.is_control()).take(80).collect();
                Rung::Refused(format!("{} {said}", head.status).trim_end().to_owned())
            }
        })
    }

    /// Rings `count` times with these samples in turn, `rate` times a second or as fast as it is answered; `heard` is told of each answer.
    ///
    /// # Errors
    /// A sample cannot be signed.
    pub(super) async fn ring(
        &self,
        samples: &[Sample],
        count: usize,
        rate: Option<f64>,
        mut heard: impl FnMut(&Rung),
    ) -> Result<Tally, String> {
        let begun_at = self.clock.mono();
        let due = |number: usize| begun_at + pause(rate, number);
        let mut tally = Tally::default();
        let mut ringing = FuturesUnordered::new();
        let mut begun = 0;
        let mut next = samples.iter().cycle();
        while begun < count || !ringing.is_empty() {
            let may_begin = begun < count && ringing.len() < AT_ONCE;
            tokio::select! {
                biased;
                () = until(due(begun), &self.clock), if may_begin => {
                    let sample = next.next().ok_or("there is nothing to ring with")?;
                    ringing.push(self.exchange(self.request(sample, begun, count == 1)?));
                    begun += 1;
                }
                Some((rung, took)) = ringing.next(), if !ringing.is_empty() => {
                    heard(&rung);
                    tally.add(rung, took);
                }
            }
        }
        Ok(tally)
    }
}

impl Tally {
    fn add(&mut self, rung: Rung, took: Duration) {
        match rung {
            Rung::Accepted(_) => self.accepted += 1,
            Rung::Duplicate(_) => self.duplicate += 1,
            Rung::Refused(reason) => {
                self.refused += 1;
                let is_known = self.reasons.contains_key(&reason) || self.reasons.len() < REASONS_MAX;
                *self.reasons.entry(if is_known { reason } else { "for other reasons".into() }).or_default() += 1;
            }
        }
        self.took.push(took);
    }

    /// Adds what another bell heard.
    pub(super) fn join(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.duplicate += other.duplicate;
        self.refused += other.refused;
        self.took.extend(other.took);
        for (reason, times) in other.reasons {
            *self.reasons.entry(reason).or_default() += times;
        }
    }

    /// How long all but the slowest answers took: `share` of them took no longer. In milliseconds.
    pub(super) fn percentile_ms(&self, share: f64) -> f64 {
        percentile_ms(&self.took, share)
    }
}

/// The least of these that `share` of them do not exceed, in milliseconds; 0 of none.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a rank among a few million")]
pub(super) fn percentile_ms(took: &[Duration], share: f64) -> f64 {
    let mut sorted = took.to_vec();
    sorted.sort_unstable();
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "accepted {}, duplicate {}, refused {}", self.accepted, self.duplicate, self.refused)?;
        write!(f, "; answered in p50 {:.1} ms, p99 {:.1} ms", self.percentile_ms(0.5), self.percentile_ms(0.99))
    }
}

/// When the ring of this number is due, from the first.
#[expect(clippy::cast_precision_loss, reason = "a count of rings")]
fn pause(rate: Option<f64>, number: usize) -> Duration {
    let seconds = rate.map_or(0.0, |rate| number as f64 / rate);
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

async fn until(due: Mono, clock: &Clock) {
    let rest = due.since(clock.mono());
    if !rest.is_zero() {
        tokio::time::sleep(rest).await;
    }
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_answers() {
        let ms = |ms: &[u64]| ms.iter().map(|ms| Duration::from_millis(*ms)).collect::<Vec<_>>();
        let close = |found: f64, wanted: f64| (found - wanted).abs() < 1e-9;
        assert!(close(percentile_ms(&[], 0.5), 0.0));
        assert!(close(percentile_ms(&ms(&[7]), 0.99), 7.0));
        let hundred: Vec<u64> = (1..=100).rev().collect();
        assert!(close(percentile_ms(&ms(&hundred), 0.5), 50.0));
        assert!(close(percentile_ms(&ms(&hundred), 0.99), 99.0));
    }

    #[test]
    fn a_rate_spaces_the_rings_and_none_does_not() {
        assert_eq!(pause(None, 1000), Duration::ZERO);
        assert_eq!(pause(Some(50.0), 100), Duration::from_secs(2));
        assert_eq!(pause(Some(f64::MIN_POSITIVE), 100), Duration::MAX);
    }

    #[test]
    fn refusals_are_counted_by_reason_and_bounded() {
        let mut tally = Tally::default();
        for number in 0..40 {
            tally.add(Rung::Refused(format!("reason {number}")), Duration::ZERO);
        }
        assert_eq!((tally.refused, tally.reasons.len()), (40, REASONS_MAX + 1));
        assert_eq!(tally.reasons.values().sum::<usize>(), 40);
    }
}
