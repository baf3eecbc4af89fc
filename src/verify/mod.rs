//! Proving who rang. PLACEHOLDER: the public names below are fixed, their owner writes the rest.

use std::time::Duration;

use crate::{
    clock::UnixMs,
    provider::Provider,
    rejection::Rejection,
    request::RawRequest,
    secret::{Fingerprint, Secret},
};

/// A provider compiled with the credentials of one source.
#[derive(Debug)]
pub struct Verifier {}

/// A credential as configured: its value, and until when it is good.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The provider file's name for it (`secret`).
    pub name: Box<str>,
    /// The value.
    pub value: Secret,
    /// After this it no longer matches.
    pub until: Option<UnixMs>,
}

/// That a request was verified. Only this module can make one.
#[derive(Clone, Copy, Debug)]
pub struct Proof {
    secret: Option<Fingerprint>,
    skew_ms: Option<i64>,
}

/// A request whose signature holds. Only this module can make one.
#[derive(Debug)]
pub struct Verified {
    request: RawRequest,
    proof: Proof,
}

/// What a verified request is, in the provider's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The provider's event id; `None` when the request has none (the body then stands for it).
    pub id: Option<Vec<u8>>,
    /// Its types, each at most [`crate::limits::EVENT_TYPE_BYTES_MAX`] bytes, at most [`crate::limits::EVENT_TYPES_MAX`].
    pub types: crate::event::EventTypes,
}

/// How far a signed timestamp may lie from now, where a source says it itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tolerance {
    /// So far, in both directions.
    Within(Duration),
    /// Any distance.
    None,
}

impl Verifier {
    /// Compiles a provider with the credentials of one source.
    ///
    /// # Errors
    /// Everything that is wrong with the credentials, without a value of one.
    pub fn compile(
        _provider: &Provider,
        _credentials: &[Credential],
        _endpoint: Option<&url::Url>,
        _tolerance: Option<Tolerance>,
    ) -> Result<Self, Vec<String>> {
        Ok(Self {})
    }

    /// Everything that can be refused from the head alone, before a byte of the body is read: presence and shape of the signature,
    /// repeated headers, the timestamp's age. `head.body` is empty.
    ///
    /// # Errors
    /// The reason to refuse.
    pub fn precheck(&self, _head: &RawRequest) -> Result<(), Rejection> {
        Ok(())
    }

    /// Proves the request or refuses it, in time that does not depend on how close a forgery came.
    ///
    /// # Errors
    /// The reason, for our logs and metrics only.
    pub fn verify(&self, request: RawRequest, _now: UnixMs) -> Result<Verified, Rejection> {
        Ok(Verified { request, proof: Proof { secret: None, skew_ms: None } })
    }

    /// What the verified request is.
    #[must_use]
    pub fn identify(&self, _verified: &Verified) -> Identity {
        Identity { id: None, types: crate::event::EventTypes::default() }
    }

    /// The fingerprints of the secrets that may match, for metrics; sorted.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        Vec::new()
    }
}

impl Verified {
    /// The request, as received.
    #[must_use]
    pub fn request(&self) -> &RawRequest {
        &self.request
    }

    /// The request, given up.
    #[must_use]
    pub fn into_request(self) -> RawRequest {
        self.request
    }

    /// That it was verified, and by what.
    #[must_use]
    pub fn proof(&self) -> Proof {
        self.proof
    }
}

impl Proof {
    /// The secret that matched; `None` for a scheme without one.
    #[must_use]
    pub fn secret(&self) -> Option<Fingerprint> {
        self.secret
    }

    /// How far the signed timestamp lay behind our clock, in milliseconds; negative when ahead.
    #[must_use]
    pub fn skew_ms(&self) -> Option<i64> {
        self.skew_ms
    }
}
