//! Message authentication codes: keyed once when a source is compiled, cloned for each request, compared in constant time.

use hmac::{Hmac, KeyInit, Mac as _};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::{Choice, ConstantTimeEq};

use crate::provider::Scheme;

/// Bytes of the longest code.
pub(super) const TAG_BYTES_MAX: usize = 64;

/// A keyed code, before or while it is fed.
#[derive(Clone)]
pub(super) enum Mac {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha512(Hmac<Sha512>),
}

/// A code: bytes of a fixed size. It has no `Debug` on purpose: what we computed is what a forger wants.
#[derive(Clone)]
pub(super) struct Tag {
    bytes: [u8; TAG_BYTES_MAX],
    len: usize,
}

impl Mac {
    /// Takes the key up. HMAC takes keys of any length, so this fails for no scheme that is one.
    pub(super) fn new(scheme: Scheme, key: &[u8]) -> Option<Self> {
        match scheme {
            Scheme::HmacSha1 => Hmac::new_from_slice(key).ok().map(Self::Sha1),
            Scheme::HmacSha256 | Scheme::JwsHs256 => Hmac::new_from_slice(key).ok().map(Self::Sha256),
            Scheme::HmacSha512 => Hmac::new_from_slice(key).ok().map(Self::Sha512),
            _ => None,
        }
    }

    /// Takes in the next bytes of the message.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(mac) => mac.update(bytes),
            Self::Sha256(mac) => mac.update(bytes),
            Self::Sha512(mac) => mac.update(bytes),
        }
    }

    /// The code of all that was taken in.
    pub(super) fn finish(self) -> Tag {
        match self {
            Self::Sha1(mac) => Tag::of(&mac.finalize().into_bytes()),
            Self::Sha256(mac) => Tag::of(&mac.finalize().into_bytes()),
            Self::Sha512(mac) => Tag::of(&mac.finalize().into_bytes()),
        }
    }
}

impl Tag {
    /// Takes the bytes over; more than the longest code has are cut, and no caller has more.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let len = bytes.len().min(TAG_BYTES_MAX);
        let mut tag = Self { bytes: [0; TAG_BYTES_MAX], len };
        tag.bytes[..len].copy_from_slice(&bytes[..len]);
        tag
    }

    /// The bytes, for signing.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Whether this is what was claimed, in time that does not depend on where they differ. Lengths are no secret: the scheme fixes them.
    pub(super) fn is(&self, claimed: &[u8]) -> Choice {
        self.bytes().ct_eq(claimed)
    }
}
