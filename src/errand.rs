//! What the front half has somebody else do: ask at a URL and say what is there. Who asks ([`crate::ingest`]) has no connector of its own,
//! and who goes ([`crate::deliver`]) does not know what for.

use std::fmt;

use bytes::Bytes;
use rustls::RootCertStore;
use url::Url;

use crate::secret::Secret;

/// What is done with what was found, or with why nothing was. It is called once, and must not block.
pub type Then = Box<dyn FnOnce(Result<Bytes, String>) + Send>;

/// What is asked for, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Where.
    pub url: Url,
    /// Who asks, as the field `Authorization` has it.
    pub authorization: Option<Secret>,
    /// What is sent along, by POST, and its type.
    pub post: Option<(&'static str, Secret)>,
}

impl Ask {
    /// For what stands at a URL.
    #[must_use]
    pub fn get(url: &Url) -> Self {
        Self { url: url.clone(), authorization: None, post: None }
    }
}

/// Who goes out.
pub trait Errands: fmt::Debug + Send + Sync {
    /// Asks at a URL that was checked, over TLS, and hands on the body of a 200. It takes [`crate::limits::ERRAND_TIME`] at most, is not
    /// waited for, and goes on when nobody wants it any more. The error is for the operator.
    fn ask(&self, ask: &Ask, then: Then);

    /// The roots that are trusted on the way.
    fn roots(&self) -> &RootCertStore;
}
