//! Headers that must not occur twice: a request with two of them has two readings, and a sender could mean the one while we take the other.

use super::Verifier;
use crate::{
    rejection::Rejection,
    request::{RawRequest, Single, name_begins},
};

impl Verifier {
    /// Every header that is verified, or names the event, occurs at most once and is plain ASCII: there are no two readings of it.
    pub(super) fn single_headers(&self, request: &RawRequest) -> Result<(), Rejection> {
        for name in &self.singles {
            match request.headers.single(name) {
                Single::Repeated => return Err(Rejection::DuplicateHeader),
                Single::One(value) if !value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) => return Err(Rejection::Malformed),
                Single::One(_) | Single::Absent => {}
            }
        }
        if self.families.is_empty() {
            return Ok(());
        }
        let of_family = |name: &str| self.families.iter().any(|start| name_begins(name, start));
        for (name, _) in request.headers.iter().filter(|(name, _)| of_family(name)) {
            if request.headers.single(name) == Single::Repeated {
                return Err(Rejection::DuplicateHeader);
            }
        }
        Ok(())
    }
}
