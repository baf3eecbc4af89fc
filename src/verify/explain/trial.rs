//! Tries: a setting and a request with one thing changed, verified by the code that verifies every request, as often as the bounds allow.

use super::Setting;
use crate::{
    clock::UnixMs,
    rejection::Rejection,
    request::RawRequest,
    secret::Fingerprint,
    verify::{Tolerance, Verifier},
};

/// Ways that are tried to explain one refusal.
pub const TRIES_MAX: usize = 512;
/// Bytes of requests that are read while they are tried.
pub const TRIED_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// The tries made for one refusal.
#[derive(Debug)]
pub(super) struct Trial {
    now: UnixMs,
    tries: usize,
    bytes: usize,
    cut_short: bool,
}

/// A try that verifies.
#[derive(Debug)]
pub(super) struct Match {
    /// The secret that matched.
    pub(super) secret: Option<Fingerprint>,
    /// A sentence with a blank before it, where the signature is too old or too new besides; else nothing.
    pub(super) aside: String,
}

impl Trial {
    pub(super) fn at(now: UnixMs) -> Self {
        Self { now, tries: 0, bytes: 0, cut_short: false }
    }

    /// How many ways were tried.
    pub(super) fn tries(&self) -> usize {
        self.tries
    }

    /// Whether something was left untried.
    pub(super) fn cut_short(&self) -> bool {
        self.cut_short
    }

    /// Whether the request verifies so, however old it is: many are looked at long after they came. What nothing signs proves nothing.
    pub(super) fn proves(&mut self, setting: &Setting<'_>, request: &RawRequest) -> Option<Match> {
        let bytes = self.bytes.saturating_add(request.body.len());
        if self.tries == TRIES_MAX || bytes > TRIED_BYTES_MAX {
            self.cut_short = true;
            return None;
        }
        (self.tries, self.bytes) = (self.tries + 1, bytes);
        let ageless = Setting { tolerance: setting.has_time().then_some(Tolerance::None), ..setting.clone() };
        let verifier = ageless.compile().ok().filter(|verifier| verifier.verification() != "none")?;
        let proof = verifier.verify(request.clone(), self.now).ok()?.proof();
        Some(Match { secret: proof.secret(), aside: self.aside(setting, request, proof.skew_ms()) })
    }

    fn aside(&self, setting: &Setting<'_>, request: &RawRequest, skew_ms: Option<i64>) -> String {
        let refused = setting.compile().ok().and_then(|verifier: Verifier| verifier.verify(request.clone(), self.now).err());
        match (refused, skew_ms) {
            (Some(Rejection::Stale | Rejection::Future), Some(skew_ms)) => {
                let signed_s = self.now.0.saturating_sub(skew_ms).div_euclid(1000);
                format!(" Its time is too far off besides: `--at {signed_s}` verifies it as of when it was signed.")
            }
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Catalogue;

    #[test]
    fn large_bodies_end_the_tries_by_their_bytes() {
        let catalogue = Catalogue::embedded();
        let provider = catalogue.find("github").expect("an embedded provider");
        let setting = Setting { provider, credentials: Vec::new(), retired: Vec::new(), endpoint: None, tolerance: None };
        let request = RawRequest {
            method: "POST".into(),
            path: "/".into(),
            query: None,
            headers: crate::request::Headers::default(),
            body: bytes::Bytes::from_static(b"12345678"),
            client_ip: std::net::IpAddr::from([127, 0, 0, 1]),
            received_at: UnixMs(0),
        };
        let mut trial = Trial { bytes: TRIED_BYTES_MAX - 8, ..Trial::at(UnixMs(0)) };
        assert!(trial.proves(&setting, &request).is_none() && !trial.cut_short(), "just within");
        assert!(trial.proves(&setting, &request).is_none() && trial.cut_short(), "no more");
        assert_eq!((trial.tries(), trial.bytes), (1, TRIED_BYTES_MAX));
    }
}
