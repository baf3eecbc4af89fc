//! Every way a request can end without an event, and the answer to each: whose fault it is decides the status, and nothing else shows.

use super::answer::Answer;
use crate::{
    limits::RETRY_AFTER_S,
    metrics::{RequestResult, SourceMetrics},
    plan::Source,
    rejection::Rejection,
    store::StoreError,
};

/// A request that was not taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// For what it is: the same again would be refused again.
    Rejected(Rejection),
    /// A handshake whose guard does not hold, or that cannot be answered.
    Handshake {
        /// Which.
        name: Box<str>,
        /// What its provider wants to hear then.
        status: u16,
    },
    /// Its fields are more than is stored.
    HeadTooLarge,
    /// Its body ended before its end.
    BrokenBody,
    /// A key that it may be proved with could not be fetched.
    KeyAway,
    /// A key that it may be proved with is not fetched now: that failed a moment ago, or has been asked for too often.
    KeyBusy,
    /// A handshake that is proved, and whose call was not made or not answered well.
    Unconfirmed {
        /// Which.
        name: Box<str>,
    },
    /// There is no room for its bytes.
    BytesBusy,
    /// Its source has no room for its bytes.
    SourceBytesBusy,
    /// Its address has too many unproved requests under way.
    AddressBusy,
    /// The store did not take it.
    Store(StoreError),
    /// The store did not answer in time: it may have taken it, and then the next try is a duplicate.
    Late,
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl Refusal {
    /// Counts it, under the closed list of reasons.
    pub(super) fn count(&self, metrics: &SourceMetrics) {
        match self {
            Self::Rejected(rejection) => metrics.reject(*rejection),
            Self::Handshake { name, .. } => {
                metrics.handshake(name, false);
                metrics.reject(Rejection::Requirement);
            }
            Self::HeadTooLarge => metrics.reject(Rejection::TooLarge),
            Self::BrokenBody => metrics.reject(Rejection::Malformed),
            Self::Unconfirmed { name } => {
                metrics.handshake(name, false);
                metrics.request(self.result());
            }
            Self::KeyAway | Self::KeyBusy | Self::BytesBusy | Self::SourceBytesBusy | Self::AddressBusy | Self::Store(_) | Self::Late => {
                metrics.request(self.result());
            }
        }
    }

    /// What metrics and logs call it.
    pub(super) fn result(&self) -> RequestResult {
        match self {
            Self::Rejected(_) | Self::Handshake { .. } | Self::HeadTooLarge | Self::BrokenBody => RequestResult::Rejected,
            Self::KeyBusy | Self::BytesBusy | Self::SourceBytesBusy | Self::AddressBusy => RequestResult::Throttled,
            Self::KeyAway | Self::Unconfirmed { .. } | Self::Store(_) | Self::Late => RequestResult::Unavailable,
        }
    }

    /// Why, for the log.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Rejected(rejection) => rejection.code(),
            Self::Handshake { .. } => Rejection::Requirement.code(),
            Self::HeadTooLarge => "head_too_large",
            Self::BrokenBody => "broken_body",
            Self::KeyAway => "key_unavailable",
            Self::KeyBusy => "key_throttled",
            Self::Unconfirmed { .. } => "unconfirmed",
            Self::BytesBusy => "in_flight",
            Self::SourceBytesBusy => "in_flight_per_source",
            Self::AddressBusy => "in_flight_per_ip",
            Self::Store(StoreError::Busy) => "store_busy",
            Self::Store(StoreError::Away) => "store_away",
            Self::Store(StoreError::Full) => "store_full",
            Self::Store(StoreError::Unknown) => "store_unknown",
            Self::Store(StoreError::Broken(_)) => "store_broken",
            Self::Late => "deadline",
        }
    }

    /// The answer. What is not proved is answered as the provider expects it. A body that was not read to its end makes the rest of the
    /// connection meaningless, so it is closed.
    pub(super) fn answer(&self, body_is_read: bool, source: Option<&Source>) -> Answer {
        let mut answer = match self {
            Self::Rejected(rejection) => match source.filter(|_| rejection.status() == 401) {
                Some(source) => {
                    let mut answer = Answer::plain(source.rejected.status);
                    answer.headers.extend(source.rejected.headers.iter().map(|(name, value)| (name.to_string().into(), value.to_string())));
                    answer
                }
                None => Answer::plain(rejection.status()),
            },
            Self::Handshake { status, .. } => Answer::plain(*status),
            Self::HeadTooLarge => Answer::plain(431),
            Self::BrokenBody => Answer::plain(400),
            Self::KeyAway
            | Self::KeyBusy
            | Self::Unconfirmed { .. }
            | Self::BytesBusy
            | Self::SourceBytesBusy
            | Self::AddressBusy
            | Self::Store(_)
            | Self::Late => Answer::plain(503),
        };
        if *self == Self::Rejected(Rejection::Method) {
            let methods = source.map_or_else(|| vec!["POST"], Source::allowed);
            answer.headers.push(("Allow".into(), methods.join(", ")));
        }
        // RFC 9110, 11.6.1: a 401 names a way to do better. Which signature it is, the vendor knows.
        if answer.status == 401 && !answer.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("WWW-Authenticate")) {
            answer.headers.push(("WWW-Authenticate".into(), "Signature".into()));
        }
        if answer.status == 503 {
            answer.headers.push(("Retry-After".into(), rand::random_range(RETRY_AFTER_S).to_string()));
        }
        answer.close = !body_is_read;
        answer
    }
}
