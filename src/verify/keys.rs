//! Keys, taken up once when a source is compiled: decoded, derived, and made ready for the scheme. Every message is for the operator and
//! shows no value.

use aws_lc_rs::signature::ParsedPublicKey;
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use icu_normalizer::DecomposingNormalizerBorrowed;
use sha1::{Digest, Sha1};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Credential, mac::Mac, public_key};
use crate::{
    clock::UnixMs,
    limits::ACTIVE_SECRETS_MAX,
    provider::{Check, Derivation, Family, KeyForm, KeyRule, Scheme},
    secret::{Fingerprint, Secret},
};

/// A key, taken up.
pub(super) struct Key {
    pub(super) lock: Lock,
    /// Of the credential that holds it; `None` when it was fetched.
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) until: Option<UnixMs>,
    /// The name that a set of keys gives it.
    pub(super) kid: Option<Box<str>>,
}

/// What a key is to a scheme.
pub(super) enum Lock {
    /// A keyed code.
    Mac(Box<Mac>),
    /// The bytes that a hash has in it.
    Hash(Secret),
    /// A public key.
    Public(Box<ParsedPublicKey>),
    /// The SHA-256 of a token: of one size, whatever the token's.
    Token([u8; 32]),
}

/// A key's bytes.
type Bytes = Zeroizing<Vec<u8>>;

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.fingerprint {
            Some(fingerprint) => write!(f, "Key({fingerprint})"),
            None => f.write_str("Key(fetched)"),
        }
    }
}

/// All keys of a check for one scheme; what is wrong goes to `problems`.
pub(super) fn keys(rule: &Check, scheme: Scheme, credentials: &[Credential], problems: &mut Vec<String>) -> Vec<Key> {
    let mut keys = Vec::new();
    if scheme.family() == Family::None {
        return keys;
    }
    for name in &rule.key.from {
        for credential in credentials.iter().filter(|credential| credential.name == *name) {
            match of_credential(rule, scheme, credential) {
                Ok(own) => keys.extend(own),
                Err(problem) => problems.push(problem),
            }
        }
    }
    if keys.len() > ACTIVE_SECRETS_MAX {
        problems.push(format!("there are {} keys for one signature, and {ACTIVE_SECRETS_MAX} is the most", keys.len()));
    }
    keys
}

/// The keys that one credential holds: one, or those of a set.
pub(super) fn of_credential(rule: &Check, scheme: Scheme, credential: &Credential) -> Result<Vec<Key>, String> {
    let told = |wrong: String| format!("`{}` {wrong}", credential.name);
    let key = |lock, kid| Key { lock, fingerprint: Some(credential.value.fingerprint()), until: credential.until, kid };
    // Revealed to be read as a public key, which is no secret.
    let published = || strip(&rule.key, credential.value.reveal());
    if rule.key.form == KeyForm::Jwks {
        let set = public_key::of_jwks(scheme, published()).map_err(told)?;
        return Ok(set.into_iter().map(|named| key(Lock::Public(Box::new(named.key)), named.kid)).collect());
    }
    if rule.key.form == KeyForm::Pem {
        let public = public_key::of_pem(scheme, published()).map_err(told)?;
        return Ok(vec![key(Lock::Public(Box::new(public)), None)]);
    }
    let bytes = bytes(&rule.key, &credential.value).map_err(told)?;
    if bytes.is_empty() {
        return Err(format!("`{}` is empty: anyone could sign with it", credential.name));
    }
    let lock = match scheme.family() {
        _ if scheme.is_asymmetric() => Lock::Public(Box::new(public_key::of_der(scheme, &bytes).map_err(told)?)),
        Family::Hash => Lock::Hash(Secret::new(bytes.to_vec())),
        Family::Token => Lock::Token(Sha256::digest(&*bytes).into()),
        Family::Basic => {
            if !bytes.contains(&b':') {
                return Err(told("is written `user:password`, and has no colon".into()));
            }
            Lock::Token(Sha256::digest(&*bytes).into())
        }
        _ => Lock::Mac(Box::new(Mac::new(scheme, &bytes).ok_or_else(|| told(format!("cannot be a key for {}", scheme.word())))?)),
    };
    Ok(vec![key(lock, None)])
}

fn strip<'a>(rule: &KeyRule, whole: &'a [u8]) -> &'a [u8] {
    rule.strip.as_deref().and_then(|prefix| whole.strip_prefix(prefix.as_bytes())).unwrap_or(whole)
}

/// The key's bytes. People paste keys with and without padding, and its spelling proves nothing, so base64 is read leniently here.
pub(super) fn bytes(rule: &KeyRule, value: &Secret) -> Result<Bytes, String> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true);
    // Revealed to be decoded into the key that the checks hold; it goes nowhere else.
    let text = strip(rule, value.reveal());
    let after = rule.strip.as_deref().map(|prefix| format!(" after its `{prefix}`")).unwrap_or_default();
    let bytes = match rule.form {
        KeyForm::Text | KeyForm::Pem | KeyForm::Jwks => Some(text.to_vec()),
        KeyForm::Hex => hex::decode(text).ok(),
        KeyForm::Base64 => GeneralPurpose::new(&alphabet::STANDARD, LENIENT).decode(text).ok(),
        KeyForm::Base64Url => GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT).decode(text).ok(),
        // Often pasted with the line ends of the PEM it was cut out of.
        KeyForm::Spki => {
            let joined: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
            GeneralPurpose::new(&alphabet::STANDARD, LENIENT).decode(joined).ok()
        }
    };
    let bytes = bytes.map(Zeroizing::new);
    let bytes = bytes.ok_or_else(|| format!("is not {}{after}; copy it again, whole and without blanks", rule.form.words()))?;
    match rule.derive {
        None => Ok(bytes),
        Some(Derivation::Sha1) => Ok(Zeroizing::new(Sha1::digest(&*bytes).to_vec())),
        Some(Derivation::Nfkd) => {
            let text = std::str::from_utf8(&bytes).map_err(|_| "is not UTF-8".to_owned())?;
            Ok(Zeroizing::new(DecomposingNormalizerBorrowed::new_nfkd().normalize(text).into_owned().into_bytes()))
        }
    }
}
