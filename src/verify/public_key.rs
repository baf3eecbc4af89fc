//! Public keys: read once when a source is compiled, in the forms that vendors publish them in, and only when they are of the kind and the
//! strength that the scheme demands.

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    signature::{
        ECDSA_P256_SHA1_ASN1, ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey,
        RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512, VerificationAlgorithm,
    },
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde::Deserialize;
use x509_parser::{pem::Pem, prelude::FromDer, public_key::PublicKey, x509::SubjectPublicKeyInfo};

use crate::provider::{Family, Scheme};

/// Bits of the smallest RSA key that is believed.
const RSA_BITS_MIN: usize = 2048;
/// Keys of a published set that are looked at.
const PUBLISHED_MAX: usize = 32;

/// A key of a set, with the name that a signature calls it by.
pub(super) struct Named<K> {
    /// Its `kid`.
    pub(super) kid: Option<Box<str>>,
    /// The key.
    pub(super) key: K,
}

/// A JSON Web Key, as far as it is looked at.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// A published set, of keys that may be of any kind.
#[derive(Deserialize)]
struct Published {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Jwks {
    Several { keys: Vec<Jwk> },
    One(Box<Jwk>),
}

/// Takes up a key that is written as SubjectPublicKeyInfo (RFC 5280), or in the scheme's own raw form: 32 bytes for Ed25519, a point for
/// ECDSA.
///
/// # Errors
/// What is wrong with it, to follow the credential's name.
pub(super) fn of_der(scheme: Scheme, bytes: &[u8]) -> Result<ParsedPublicKey, String> {
    let key = algorithm(scheme).and_then(|algorithm| ParsedPublicKey::new(algorithm, bytes).ok());
    let key = key.ok_or_else(|| format!("is not a public key for {}", scheme.word()))?;
    if !matches!(scheme, Scheme::RsaSha1 | Scheme::RsaSha256 | Scheme::RsaSha512 | Scheme::JwsRs256 | Scheme::JwsRs512) {
        return Ok(key);
    }
    let der: Option<PublicKeyX509Der<'_>> = key.as_der().ok();
    let bits = der.as_ref().and_then(|der| SubjectPublicKeyInfo::from_der(der.as_ref()).ok()).and_then(|(_, info)| match info.parsed() {
        Ok(PublicKey::RSA(rsa)) => Some(rsa.key_size()),
        _ => None,
    });
    match bits {
        Some(bits) if bits >= RSA_BITS_MIN => Ok(key),
        Some(bits) => Err(format!("is an RSA key of {bits} bits, and fewer than {RSA_BITS_MIN} can be forged")),
        None => Err(format!("is not a public key for {}", scheme.word())),
    }
}

/// Takes up a PEM: a public key, or a certificate for its key alone (who issued it and until when is not looked at).
///
/// # Errors
/// What is wrong with it.
pub(super) fn of_pem(scheme: Scheme, text: &[u8]) -> Result<ParsedPublicKey, String> {
    let mut blocks = Pem::iter_from_buffer(text);
    let (Some(Ok(block)), None) = (blocks.next(), blocks.next()) else {
        let bytes = on_one_line(text).ok_or("is not one block of PEM (`-----BEGIN PUBLIC KEY-----`)")?;
        return of_der(scheme, &bytes);
    };
    match block.label.as_str() {
        "PUBLIC KEY" | "RSA PUBLIC KEY" => of_der(scheme, &block.contents),
        "CERTIFICATE" => {
            let certificate = block.parse_x509().map_err(|_| "is not a certificate that can be read".to_owned())?;
            of_der(scheme, certificate.public_key().raw)
        }
        label if label.contains("PRIVATE") => Err("is a private key: this needs the public one, and the other belongs nowhere else".into()),
        _ => Err("is neither a public key nor a certificate".into()),
    }
}

/// The bytes of a PEM without its line ends, as eBay gives keys out.
fn on_one_line(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let inner = text.strip_prefix("-----BEGIN PUBLIC KEY-----")?.strip_suffix("-----END PUBLIC KEY-----")?;
    STANDARD.decode(inner.trim()).ok()
}

/// Takes up the keys of a JSON Web Key Set (RFC 7517) that are for this scheme.
///
/// # Errors
/// It is none, or has no such key.
pub(super) fn of_jwks(scheme: Scheme, text: &[u8]) -> Result<Vec<Named<ParsedPublicKey>>, String> {
    let set = serde_json::from_slice(text).map_err(|_| "is not a JSON Web Key or a set of them".to_owned())?;
    let keys = match set {
        Jwks::Several { keys } => keys,
        Jwks::One(key) => vec![*key],
    };
    let mut named = Vec::new();
    for key in keys.into_iter().filter(|key| key.is_for(scheme)) {
        let bytes = key.bytes().ok_or_else(|| format!("has a key that is not whole, for {}", scheme.word()))?;
        named.push(Named { kid: key.kid.map(Box::from), key: of_der(scheme, &bytes)? });
    }
    if named.is_empty() { Err(format!("has no key for {}", scheme.word())) } else { Ok(named) }
}

/// Takes up the keys of a published set that are for this scheme and have a name. What else is in it is passed over: a vendor may publish
/// keys of kinds that are still to come.
///
/// # Errors
/// It is no set, is too large, or has no such key.
pub(super) fn of_published(scheme: Scheme, text: &[u8]) -> Result<Vec<Named<ParsedPublicKey>>, String> {
    let set: Published = serde_json::from_slice(text).map_err(|_| "it is not a set of JSON Web Keys".to_owned())?;
    if set.keys.len() > PUBLISHED_MAX {
        return Err(format!("it has {} keys, and {PUBLISHED_MAX} is the most", set.keys.len()));
    }
    let mut named: Vec<Named<ParsedPublicKey>> = Vec::new();
    for key in set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok()).filter(|key| key.is_for(scheme)) {
        let public = key.bytes().and_then(|bytes| of_der(scheme, &bytes).ok());
        if let (Some(key), Some(kid)) = (public, key.kid) {
            named.push(Named { kid: Some(kid.into()), key });
        }
    }
    if named.is_empty() { Err(format!("it has no key with a name for {}", scheme.word())) } else { Ok(named) }
}

impl Jwk {
    fn is_for(&self, scheme: Scheme) -> bool {
        let (kty, crv) = match scheme {
            Scheme::Ed25519 => ("OKP", Some("Ed25519")),
            Scheme::EcdsaP256Sha1 | Scheme::EcdsaP256Sha256 | Scheme::JwsEs256 => ("EC", Some("P-256")),
            _ => ("RSA", None),
        };
        let alg = super::jws::algorithm(scheme);
        let alg_fits = scheme.family() != Family::Jws || self.alg.as_deref().is_none_or(|own| alg == Some(own));
        self.kty == kty
            && (crv.is_none() || self.crv.as_deref() == crv)
            && self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && alg_fits
    }

    /// The key as [`of_der`] takes it.
    fn bytes(&self) -> Option<Vec<u8>> {
        let part = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        match self.kty.as_str() {
            "OKP" => part(&self.x),
            "EC" => {
                let (x, y) = (part(&self.x)?, part(&self.y)?);
                (x.len() == 32 && y.len() == 32).then(|| [&[4], x.as_slice(), &y].concat())
            }
            _ => {
                let numbers = [integer(&part(&self.n)?), integer(&part(&self.e)?)].concat();
                Some(tagged(0x30, &numbers))
            }
        }
    }
}

/// An unsigned number in DER.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let bare = bytes.get(zeros..).unwrap_or_default();
    let sign: &[u8] = if bare.first().is_none_or(|first| *first >= 0x80) { &[0] } else { &[] };
    tagged(0x02, &[sign, bare].concat())
}

/// A value in DER: its tag, its length, and itself.
fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len().to_be_bytes();
    let zeros = length.iter().take_while(|byte| **byte == 0).count();
    let bare = length.get(zeros..).unwrap_or_default();
    let short = u8::try_from(value.len()).ok().filter(|length| *length < 0x80);
    let head = match (short, u8::try_from(bare.len())) {
        (Some(length), _) => vec![tag, length],
        (None, Ok(count)) => [&[tag, 0x80 | count], bare].concat(),
        // No length has more than eight bytes.
        (None, Err(_)) => Vec::new(),
    };
    [head.as_slice(), value].concat()
}

fn algorithm(scheme: Scheme) -> Option<&'static dyn VerificationAlgorithm> {
    match scheme {
        Scheme::Ed25519 => Some(&ED25519),
        Scheme::EcdsaP256Sha1 => Some(&ECDSA_P256_SHA1_ASN1),
        Scheme::EcdsaP256Sha256 => Some(&ECDSA_P256_SHA256_ASN1),
        Scheme::JwsEs256 => Some(&ECDSA_P256_SHA256_FIXED),
        Scheme::RsaSha1 => Some(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY),
        Scheme::RsaSha256 | Scheme::JwsRs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        Scheme::RsaSha512 | Scheme::JwsRs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
        Scheme::HmacSha1
        | Scheme::HmacSha256
        | Scheme::HmacSha512
        | Scheme::HashSha256
        | Scheme::JwsHs256
        | Scheme::Token
        | Scheme::Basic
        | Scheme::None => None,
    }
}
