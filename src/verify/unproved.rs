//! A request that was refused, given back whole: for whoever keeps it, to look at it or to try it again.

use super::{Held, Proof, Verified, Verifier};
use crate::{
    clock::UnixMs,
    provider::Atom,
    rejection::Rejection,
    request::{RawRequest, name_begins},
};

/// A request that was refused.
#[derive(Debug)]
pub struct Unproved {
    /// The request, as received.
    pub request: RawRequest,
    /// Why.
    pub reason: Rejection,
}

impl Verifier {
    /// As [`Self::verify`], and a request that is refused comes back with the reason.
    ///
    /// # Errors
    /// The reason and the request, of which nothing is proved.
    pub fn verify_or_return(&self, request: RawRequest, now: UnixMs) -> Result<Verified, Box<Unproved>> {
        match self.held(&request, now) {
            Ok(Held { secret, skew_ms, claims, signed }) => {
                Ok(Verified { request, proof: Proof::verified(secret, skew_ms), claims, signed })
            }
            Err(reason) => Err(Box::new(Unproved { request, reason })),
        }
    }

    /// Whether a header of this name has a part in proving a request.
    #[must_use]
    pub fn proves_by_header(&self, name: &str) -> bool {
        self.checks.iter().flat_map(|check| check.rule.atoms()).any(|atom| match atom {
            Atom::Header(own) => own.eq_ignore_ascii_case(name),
            Atom::Headers(start) => name_begins(name, start),
            _ => false,
        })
    }
}
