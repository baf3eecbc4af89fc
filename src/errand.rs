//! What the front half has somebody else do: go to a URL and say what is there. Who asks ([`crate::ingest`]) has no connector of its own,
//! and who goes ([`crate::deliver`]) does not know what for.

use std::fmt;

use bytes::Bytes;
use rustls::RootCertStore;
use url::Url;

/// What is done with what was found, or with why nothing was. It is called once, and must not block.
pub type Then = Box<dyn FnOnce(Result<Bytes, String>) + Send>;

/// Who goes out.
pub trait Errands: fmt::Debug + Send + Sync {
    /// Asks for a URL that was checked, by GET over TLS, and hands on the body of a 200. It takes [`crate::limits::ERRAND_TIME`] at most,
    /// is not waited for, and goes on when nobody wants it any more. The error is for the operator.
    fn get(&self, url: &Url, then: Then);

    /// The roots that are trusted on the way.
    fn roots(&self) -> &RootCertStore;
}
