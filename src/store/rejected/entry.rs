//! What is kept of a rejected request, and how it is asked for.

use std::{fmt, net::IpAddr, sync::Arc};

use bytes::Bytes;

use crate::{clock::UnixMs, event::EventId, name::SourceName, rejection::Rejection, request::Headers};

/// The identity of a kept request. Printed as `rej_` and the 13 digits an event id has; later ones are higher.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RejectedId(EventId);

impl RejectedId {
    /// The number as it is stored.
    #[must_use]
    pub fn to_i64(self) -> i64 {
        self.0.to_i64()
    }

    /// A stored number; negative ones are none.
    #[must_use]
    pub fn from_i64(stored: i64) -> Option<Self> {
        EventId::from_i64(stored).map(Self)
    }

    /// Reads `rej_...`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("rej_")?;
        EventId::parse(&format!("evt_{digits}")).map(Self)
    }
}

impl fmt::Display for RejectedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = self.0.to_string();
        write!(f, "rej_{}", event.strip_prefix("evt_").unwrap_or(&event))
    }
}

impl fmt::Debug for RejectedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A rejected request on its way into the ring, less what must not lie on a disk: whoever makes one has taken the secrets out.
#[derive(Debug)]
pub struct NewRejected {
    /// When it came.
    pub at: UnixMs,
    /// Whose door it rang at.
    pub source: SourceName,
    /// The provider of that source, by its slug.
    pub provider: Arc<str>,
    /// Why it was refused.
    pub reason: Rejection,
    /// Who rang.
    pub client_ip: IpAddr,
    /// What the client is counted under; `None` where its address tells clients not apart.
    pub client: Option<IpAddr>,
    /// The method.
    pub method: Box<str>,
    /// The path as configured, without a URL token.
    pub path: Box<str>,
    /// The query.
    pub query: Option<Box<str>>,
    /// The header fields, as a block.
    pub headers: Bytes,
    /// The body; `None` when the request was refused before it was read.
    pub body: Option<Bytes>,
}

impl NewRejected {
    /// Bytes it holds in memory and brings to the file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let text = self.path.len() + self.method.len() + self.query.as_ref().map_or(0, |query| query.len());
        let bytes = text + self.headers.len() + self.body.as_ref().map_or(0, Bytes::len);
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// A kept request as a list shows it: no header, no query, no body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedSummary {
    /// Its identity.
    pub id: RejectedId,
    /// When it came.
    pub at: UnixMs,
    /// Whose door it rang at.
    pub source: SourceName,
    /// The provider of that source at the time, by its slug.
    pub provider: Box<str>,
    /// Why it was refused, as a code of [`Rejection`].
    pub reason: Box<str>,
    /// Who rang.
    pub client_ip: Box<str>,
    /// The method.
    pub method: Box<str>,
    /// The path, without a URL token.
    pub path: Box<str>,
    /// Bytes of its body; `None` when the request was refused before it was read.
    pub body_bytes: Option<u64>,
    /// The event it was admitted as.
    pub admitted: Option<EventId>,
}

/// A kept request, whole.
#[derive(Clone, Debug)]
pub struct RejectedRequest {
    /// What a list shows of it.
    pub summary: RejectedSummary,
    /// What followed the `?`, less parameters that are secrets.
    pub query: Option<Box<str>>,
    /// The header fields; where a secret stood, [`REMOVED`] does.
    pub headers: Headers,
    /// The body.
    pub body: Option<Bytes>,
}

/// What stands in a kept header where a secret stood.
pub const REMOVED: &str = "<removed>";

/// Which kept requests are asked for.
#[derive(Clone, Debug, Default)]
pub struct RejectedFilter {
    /// Those of one source.
    pub source: Option<SourceName>,
    /// Those that came at this time or later.
    pub since: Option<UnixMs>,
    /// Those that were not admitted yet.
    pub left: bool,
    /// The oldest first, and not the newest.
    pub rising: bool,
    /// Those beyond this one: where the last answer ended.
    pub beyond: Option<RejectedId>,
    /// So many at most.
    pub limit: usize,
}

/// Some of the kept requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RejectedPage {
    /// In the order that was asked for.
    pub items: Vec<RejectedSummary>,
    /// Where to go on; `None` at the end.
    pub next: Option<RejectedId>,
}
