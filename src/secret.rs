//! A value that must never be seen: no `Display`, no `Serialize`, a `Debug` that shows its fingerprint only, zeroed when dropped.

use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// A credential, a token, a key.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes themselves. Name the reason at each call: this is where a secret may leak.
    #[must_use]
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes it has.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.0.len()
    }

    /// Four hex digits that tell secrets apart in logs and metrics without giving anything away.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let digest = Sha256::new().chain_update(b"hookgate fingerprint\0").chain_update(&*self.0).finalize();
        Fingerprint([digest[0], digest[1]])
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.fingerprint())
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(&**self.0, &**other.0).into()
    }
}

impl Eq for Secret {}

/// Sixteen bits of a hash of a secret: the same for the same secret, independent of the order secrets are listed in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 2]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}{:02x}", self.0[0], self.0[1])
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_fingerprint_and_nothing_else() {
        let secret = Secret::new("whsec_very_secret");
        assert_eq!(format!("{secret:?}"), format!("Secret({})", secret.fingerprint()));
        assert_eq!(secret.fingerprint().to_string().len(), 4);
    }
}
