//! Schemes: how a signature is made. The file names it, or gives a closed map from which the request can only pick one of the same family.

use std::ops::RangeInclusive;

use super::{
    atom::Atom,
    words::{atom_of, choice},
};
use crate::yaml::{Node, Problems, Value, as_text};

/// How a signature is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HMAC (RFC 2104) with SHA-1.
    HmacSha1,
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-512.
    HmacSha512,
    /// SHA-256 over a message with the key in it.
    HashSha256,
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// ECDSA over P-256 with SHA-1, in DER.
    EcdsaP256Sha1,
    /// ECDSA over P-256 with SHA-256, in DER.
    EcdsaP256Sha256,
    /// RSA, PKCS #1 v1.5 (RFC 8017), with SHA-1.
    RsaSha1,
    /// RSA, PKCS #1 v1.5, with SHA-256.
    RsaSha256,
    /// RSA, PKCS #1 v1.5, with SHA-512.
    RsaSha512,
    /// A JSON Web Signature (RFC 7515) with HMAC and SHA-256.
    JwsHs256,
    /// A JSON Web Signature with RSA and SHA-256.
    JwsRs256,
    /// A JSON Web Signature with RSA and SHA-512.
    JwsRs512,
    /// A JSON Web Signature with ECDSA over P-256 and SHA-256.
    JwsEs256,
    /// A secret that is sent as it is.
    Token,
    /// User and password (RFC 7617).
    Basic,
    /// Nothing.
    None,
}

/// What kind of proof a scheme is; those of one family take the same keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// A code made with the secret.
    Hmac,
    /// A hash with the secret in it.
    Hash,
    /// Ed25519.
    Ed25519,
    /// ECDSA over P-256.
    Ecdsa,
    /// RSA.
    Rsa,
    /// A JSON Web Signature.
    Jws,
    /// The secret itself.
    Token,
    /// User and password.
    Basic,
    /// Nothing.
    None,
}

/// Which scheme a check demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemeRule {
    /// This one.
    One(Scheme),
    /// The one that the value at a place stands for; any other value is refused.
    By {
        /// The place.
        at: Atom,
        /// Values and their schemes, all of one family.
        schemes: Vec<(Box<str>, Scheme)>,
    },
}

const SCHEMES: [(&str, Scheme); 17] = [
    ("hmac-sha1", Scheme::HmacSha1),
    ("hmac-sha256", Scheme::HmacSha256),
    ("hmac-sha512", Scheme::HmacSha512),
    ("hash-sha256", Scheme::HashSha256),
    ("ed25519", Scheme::Ed25519),
    ("ecdsa-p256-sha1", Scheme::EcdsaP256Sha1),
    ("ecdsa-p256-sha256", Scheme::EcdsaP256Sha256),
    ("rsa-sha1", Scheme::RsaSha1),
    ("rsa-sha256", Scheme::RsaSha256),
    ("rsa-sha512", Scheme::RsaSha512),
    ("jws-hs256", Scheme::JwsHs256),
    ("jws-rs256", Scheme::JwsRs256),
    ("jws-rs512", Scheme::JwsRs512),
    ("jws-es256", Scheme::JwsEs256),
    ("token", Scheme::Token),
    ("basic", Scheme::Basic),
    ("none", Scheme::None),
];

impl Scheme {
    /// Every scheme that a file can name, in the order of the grammar.
    pub fn all() -> impl Iterator<Item = Self> {
        SCHEMES.into_iter().map(|(_, scheme)| scheme)
    }

    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        SCHEMES.iter().find(|(_, scheme)| *scheme == self).map(|(word, _)| *word).unwrap_or_default()
    }

    /// What kind of proof it is.
    #[must_use]
    pub fn family(self) -> Family {
        match self {
            Self::HmacSha1 | Self::HmacSha256 | Self::HmacSha512 => Family::Hmac,
            Self::HashSha256 => Family::Hash,
            Self::Ed25519 => Family::Ed25519,
            Self::EcdsaP256Sha1 | Self::EcdsaP256Sha256 => Family::Ecdsa,
            Self::RsaSha1 | Self::RsaSha256 | Self::RsaSha512 => Family::Rsa,
            Self::JwsHs256 | Self::JwsRs256 | Self::JwsRs512 | Self::JwsEs256 => Family::Jws,
            Self::Token => Family::Token,
            Self::Basic => Family::Basic,
            Self::None => Family::None,
        }
    }

    /// Bytes of a signature: a fixed number, but for DER and RSA keys of different sizes. A token may have any up to 4 KiB.
    #[must_use]
    pub fn signature_bytes(self) -> RangeInclusive<usize> {
        match self {
            Self::HmacSha1 => 20..=20,
            Self::HmacSha256 | Self::HashSha256 | Self::JwsHs256 => 32..=32,
            Self::HmacSha512 | Self::Ed25519 | Self::JwsEs256 => 64..=64,
            Self::EcdsaP256Sha1 | Self::EcdsaP256Sha256 => 8..=72,
            Self::RsaSha1 | Self::RsaSha256 | Self::RsaSha512 | Self::JwsRs256 | Self::JwsRs512 => 256..=1024,
            Self::Token | Self::Basic | Self::None => 1..=4096,
        }
    }

    /// Whether its key is public: whoever has it can verify and not sign.
    #[must_use]
    pub fn is_asymmetric(self) -> bool {
        match self.family() {
            Family::Ed25519 | Family::Ecdsa | Family::Rsa => true,
            Family::Jws => self != Self::JwsHs256,
            Family::Hmac | Family::Hash | Family::Token | Family::Basic | Family::None => false,
        }
    }
}

impl SchemeRule {
    /// Every scheme it can come to, with the value that stands for it; the empty value is no choice.
    pub fn all(&self) -> impl Iterator<Item = (&str, Scheme)> {
        let (one, several) = match self {
            Self::One(scheme) => (Some(("", *scheme)), &[][..]),
            Self::By { schemes, .. } => (None, schemes.as_slice()),
        };
        one.into_iter().chain(several.iter().map(|(value, scheme)| (&**value, *scheme)))
    }

    /// The first scheme; there always is one.
    #[must_use]
    pub fn first(&self) -> Scheme {
        self.all().next().map_or(Scheme::None, |(_, scheme)| scheme)
    }

    /// The family of them all.
    #[must_use]
    pub fn family(&self) -> Family {
        self.first().family()
    }

    /// As they are written, joined with `/`.
    #[must_use]
    pub fn words(&self) -> String {
        self.all().map(|(_, scheme)| scheme.word()).collect::<Vec<_>>().join("/")
    }

    /// The place whose value chooses.
    #[must_use]
    pub fn chosen_at(&self) -> Option<&Atom> {
        match self {
            Self::One(_) => None,
            Self::By { at, .. } => Some(at),
        }
    }
}

/// Reads `scheme`.
pub(super) fn scheme(node: &Node, problems: &mut Problems) -> Option<SchemeRule> {
    let Value::Map(entries) = &node.value else {
        return choice(node, "the scheme", &SCHEMES, problems).map(SchemeRule::One);
    };
    let mut at = None;
    let mut schemes: Vec<(Box<str>, Scheme)> = Vec::new();
    for (key, node) in entries {
        if key.text == "by" {
            at = atom_of(as_text(node, "`by`", problems)?, node, problems);
        } else {
            schemes.push((key.text.as_str().into(), choice(node, "the scheme", &SCHEMES, problems)?));
        }
    }
    let Some(at) = at else {
        problems.error(&node.at, "a scheme that the request picks needs `by`: the place whose value picks it");
        return None;
    };
    let Some((_, first)) = schemes.first() else {
        problems.error(&node.at, "a scheme that the request picks needs at least one value and its scheme");
        return None;
    };
    let family = first.family();
    let keyed = matches!(family, Family::Hmac | Family::Ecdsa | Family::Rsa);
    if !keyed || schemes.iter().any(|(_, scheme)| scheme.family() != family) {
        problems.error(&node.at, "the schemes that a request may pick from are all HMACs, all RSA, or all ECDSA: they share their keys");
        return None;
    }
    if matches!(at, Atom::Field(_) | Atom::Claim(_) | Atom::Item(_) | Atom::Headers(_) | Atom::Key | Atom::Computed) || at.many() {
        problems.error(&node.at, format!("{at} cannot pick the scheme: it is picked before any candidate is looked at"));
        return None;
    }
    Some(SchemeRule::By { at, schemes })
}
