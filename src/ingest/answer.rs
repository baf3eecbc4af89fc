//! What the provider hears: a status, few headers, a constant body. Never a redirect, never a 406 or 410 (they make providers give up), and
//! no 2xx that is not an [`Acknowledged`].

use std::borrow::Cow;

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use super::refusal::Refusal;
use crate::{
    event::EventId,
    metrics::RequestResult,
    plan::Accepted,
    verify::{Greeted, Reply},
};

/// An answer, to be written out by the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers besides those of the body and the connection.
    pub headers: SmallVec<[(Cow<'static, str>, String); 2]>,
    /// The type of the body.
    pub content_type: Cow<'static, str>,
    /// The body.
    pub body: Bytes,
    /// Whether the connection ends with it.
    pub close: bool,
}

impl Answer {
    /// A refusal with this status: its body is the same whatever the reason, so that it tells a forger nothing.
    #[must_use]
    pub fn plain(status: u16) -> Self {
        let body = match status {
            400 => "bad request\n",
            401 => "unauthorized\n",
            403 => "forbidden\n",
            404 => "not found\n",
            405 => "method not allowed\n",
            408 => "request timeout\n",
            413 => "content too large\n",
            414 => "uri too long\n",
            415 => "unsupported content encoding\n",
            421 => "misdirected request\n",
            431 => "request header fields too large\n",
            500.. => "try again later\n",
            _ => "refused\n",
        };
        let body = Bytes::from_static(body.as_bytes());
        Self { status, headers: SmallVec::new(), content_type: "text/plain; charset=utf-8".into(), body, close: false }
    }
}

/// A request that was not refused.
#[derive(Debug)]
pub(super) enum Taken {
    /// An event, durable or known.
    Event(Acknowledged),
    /// A handshake, answered: nothing of it is kept.
    Handshake(Box<str>, Reply),
}

impl Taken {
    pub(super) fn answer(&self) -> Answer {
        match self {
            Self::Event(acknowledged) => acknowledged.answer(),
            Self::Handshake(_, reply) => {
                let own = |(name, value): &(Box<str>, String)| (Cow::Owned(name.to_string()), value.clone());
                let mut headers: SmallVec<[(Cow<'static, str>, String); 2]> = reply.headers.iter().map(own).collect();
                // What a stranger sent comes back in it: nothing may guess that it is a page or a script.
                headers.push(("X-Content-Type-Options".into(), "nosniff".to_owned()));
                let body = Bytes::copy_from_slice(&reply.body);
                Answer { status: reply.status, headers, content_type: reply.content_type.clone(), body, close: false }
            }
        }
    }

    pub(super) fn result(&self) -> RequestResult {
        match self {
            Self::Event(acknowledged) => acknowledged.result,
            Self::Handshake(..) => RequestResult::Handshake,
        }
    }
}

impl From<Greeted> for Result<Taken, Refusal> {
    fn from(greeted: Greeted) -> Self {
        match greeted.reply {
            Ok(reply) => Ok(Taken::Handshake(greeted.handshake, reply)),
            Err(status) => Err(Refusal::Handshake { name: greeted.handshake, status }),
        }
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
        let own = |(name, value): &(Box<str>, Box<str>)| (Cow::Owned(name.to_string()), value.to_string());
        let mut headers: SmallVec<[(Cow<'static, str>, String); 2]> =
            smallvec![("Hookgate-Event-Id".into(), self.event.to_string()), ("Hookgate-Result".into(), result.to_owned())];
        headers.extend(self.reply.headers.iter().map(own));
        Answer {
            status: self.reply.status,
            headers,
            content_type: self.reply.content_type.clone(),
            body: self.reply.body.clone(),
            close: false,
        }
    }
}
