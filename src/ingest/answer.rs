//! What the provider hears: a status, few headers, a constant body. Never a redirect, never a 406 or 410 (they make providers give up), and
//! no 2xx that is not an [`Acknowledged`].

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use crate::{event::EventId, metrics::RequestResult, plan::Accepted};

/// An answer, to be written out by the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers besides those of the body and the connection.
    pub headers: SmallVec<[(&'static str, String); 2]>,
    /// The type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
    /// Whether the connection ends with it.
    pub close: bool,
}

impl Answer {
    /// A refusal with this status: its body is the same whatever the reason, so that it tells a forger nothing.
    pub(super) fn plain(status: u16) -> Self {
        let body = match status {
            400 => "bad request\n",
            401 => "unauthorized\n",
            404 => "not found\n",
            405 => "method not allowed\n",
            408 => "request timeout\n",
            413 => "content too large\n",
            415 => "unsupported content encoding\n",
            431 => "request header fields too large\n",
            _ => "try again later\n",
        };
        let body = Bytes::from_static(body.as_bytes());
        Self { status, headers: SmallVec::new(), content_type: "text/plain; charset=utf-8", body, close: false }
    }
}

/// A request that was taken in: its event is durable, or is nobody's by configuration. Only `ingest` makes one, after the store's `Ok`.
#[derive(Debug)]
pub(super) struct Acknowledged {
    /// The event; for a duplicate, the first one.
    pub(super) event: EventId,
    /// Accepted, duplicate or unrouted.
    pub(super) result: RequestResult,
    /// What the provider wants to hear.
    pub(super) reply: Accepted,
}

impl Acknowledged {
    /// The provider's own reply, with what we make of the event. That no route wants it is not the provider's concern.
    pub(super) fn answer(&self) -> Answer {
        let result = if self.result == RequestResult::Duplicate { "duplicate" } else { "accepted" };
        Answer {
            status: self.reply.status,
            headers: smallvec![("Hookgate-Event-Id", self.event.to_string()), ("Hookgate-Result", result.to_owned())],
            content_type: self.reply.content_type,
            body: self.reply.body.clone(),
            close: false,
        }
    }
}
