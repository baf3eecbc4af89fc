//! Keys that a vendor gives out one by one, by the name a signature calls them, against credentials of the operator's own: what is asked,
//! and what is believed of the answer.
//!
//! * eBay: `GET /commerce/notification/v1/public_key/{kid}` of its Notification API, with a token for an application. Its OAuth
//!   server gives one for client id and secret, good for some two hours. The key is a PEM on one line.
//! * Plaid: `POST /webhook_verification_key/get` with client id, secret and the key's name. The key is a JSON Web Key, which says until
//!   when it is good.
//!
//! A stranger writes the name. It is one of letters, digits, `-` and `_`, so it can neither lead elsewhere nor say more than a name.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::signature::ParsedPublicKey;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use url::Url;

use super::{Credential, desk::ms, public_key};
use crate::{
    clock::UnixMs,
    errand::Ask,
    provider::{CLIENT_ID, CLIENT_SECRET, KeyVendor, Scheme},
    secret::Secret,
};

/// Bytes of the longest name of a key.
const NAME_BYTES_MAX: usize = 64;
/// Bytes of the longest token; eBay's have some 2,000.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// A token is not used in the last of its time: it is to last until it has arrived.
const TOKEN_MARGIN: Duration = Duration::from_secs(60);
/// How long a token is used at least, and at most, whatever its vendor says.
const TOKEN_USED_MIN: Duration = Duration::from_secs(60);
const TOKEN_USED_MAX: Duration = Duration::from_secs(2 * 60 * 60);
/// Where eBay gives tokens out.
const TOKEN_PATH: &str = "/identity/v1/oauth2/token";
/// What it is asked for, which is the same for its sandbox.
const TOKEN_FORM: &str = "grant_type=client_credentials&scope=https%3A%2F%2Fapi.ebay.com%2Foauth%2Fapi_scope";

/// Who asks a vendor for keys: whose credentials, and the token they were last given for.
#[derive(Debug)]
pub(super) struct Asker {
    id: Secret,
    secret: Secret,
    pass: Mutex<Option<Pass>>,
}

#[derive(Debug)]
struct Pass {
    token: Secret,
    since: UnixMs,
    until: UnixMs,
}

/// A key as it was given out.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) key: ParsedPublicKey,
    /// After this it is no longer good.
    pub(super) until: Option<UnixMs>,
}

#[derive(Deserialize)]
struct EbayToken {
    access_token: String,
    expires_in: u64,
}

#[derive(Deserialize)]
struct EbayKey {
    key: String,
    algorithm: String,
    digest: String,
}

#[derive(Deserialize)]
struct PlaidAnswer<'a> {
    #[serde(borrow)]
    key: &'a serde_json::value::RawValue,
}

#[derive(Deserialize)]
struct PlaidKey {
    kid: String,
    expired_at: Option<i64>,
}

impl Asker {
    /// With the credentials that a vendor of keys takes; `None` when they are not all there.
    pub(super) fn of(credentials: &[Credential]) -> Option<Self> {
        let find = |name: &str| credentials.iter().find(|credential| *credential.name == *name).map(|found| found.value.clone());
        Some(Self { id: find(CLIENT_ID)?, secret: find(CLIENT_SECRET)?, pass: Mutex::default() })
    }

    /// What to ask for next to get a key of this name, which is kept under `place`: the key, or first a token.
    pub(super) fn ask(&self, vendor: KeyVendor, place: &Url, now: UnixMs) -> Option<(Url, Ask)> {
        match vendor {
            KeyVendor::Ebay => {
                let token = self.pass.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(|pass| pass.token_at(now));
                Some(match token {
                    Some(token) => {
                        let value = [b"Bearer ", token.reveal()].concat(); // on its way to who gave it
                        (place.clone(), Ask { authorization: Some(Secret::new(value)), ..Ask::get(place) })
                    }
                    None => (token_place(place), self.ask_for_token(place)),
                })
            }
            KeyVendor::Plaid => {
                let name = place.fragment()?;
                let text = |secret: &Secret| String::from_utf8_lossy(secret.reveal()).into_owned(); // on its way to whose it is
                let body = serde_json::json!({ "client_id": text(&self.id), "secret": text(&self.secret), "key_id": name });
                let mut url = place.clone();
                url.set_fragment(None);
                let post = Some(("application/json", Secret::new(body.to_string())));
                Some((place.clone(), Ask { post, ..Ask::get(&url) }))
            }
        }
    }

    fn ask_for_token(&self, place: &Url) -> Ask {
        // On their way to who gave them.
        let both = zeroize::Zeroizing::new([self.id.reveal(), b":", self.secret.reveal()].concat());
        let authorization = Some(Secret::new(format!("Basic {}", STANDARD.encode(&*both))));
        let post = Some(("application/x-www-form-urlencoded", Secret::new(TOKEN_FORM)));
        Ask { authorization, post, ..Ask::get(&token_place(place)) }
    }

    /// Takes a token up.
    ///
    /// # Errors
    /// There is none in it.
    pub(super) fn take_token(&self, answer: &[u8], now: UnixMs) -> Result<(), String> {
        let told: EbayToken = serde_json::from_slice(answer).map_err(|_| "it gave no token".to_owned())?;
        let fits =
            (1..=TOKEN_BYTES_MAX).contains(&told.access_token.len()) && told.access_token.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits {
            return Err("what it gave is no token".into());
        }
        let used = Duration::from_secs(told.expires_in).saturating_sub(TOKEN_MARGIN).clamp(TOKEN_USED_MIN, TOKEN_USED_MAX);
        let pass = Pass { token: Secret::new(told.access_token), since: now, until: now.after(used) };
        *self.pass.lock().unwrap_or_else(PoisonError::into_inner) = Some(pass);
        Ok(())
    }

    /// A key was not given: that may be the token's fault, if it is not quite new.
    pub(super) fn note_refused(&self, now: UnixMs) {
        let mut pass = self.pass.lock().unwrap_or_else(PoisonError::into_inner);
        if pass.as_ref().is_some_and(|pass| now.0.abs_diff(pass.since.0) >= ms(TOKEN_USED_MIN)) {
            *pass = None;
        }
    }
}

impl Pass {
    fn token_at(&self, now: UnixMs) -> Option<Secret> {
        // It may be younger than the request that it is for.
        (now < self.until).then(|| self.token.clone())
    }
}

/// Where a key of this name is kept; `None` for what cannot be a name.
pub(super) fn place(vendor: KeyVendor, url: &Url, name: &[u8]) -> Option<Url> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let name =
        std::str::from_utf8(name).ok().filter(|name| (1..=NAME_BYTES_MAX).contains(&name.len()) && name.as_bytes().iter().all(plain))?;
    let mut place = url.clone();
    match vendor {
        KeyVendor::Ebay => {
            place.path_segments_mut().ok()?.push(name);
        }
        // One URL for all of them: the name stands behind it for us alone.
        KeyVendor::Plaid => place.set_fragment(Some(name)),
    }
    Some(place)
}

/// The name of the key that is kept under a place.
pub(super) fn name(vendor: KeyVendor, place: &Url) -> Option<&str> {
    match vendor {
        KeyVendor::Ebay => place.path_segments()?.next_back(),
        KeyVendor::Plaid => place.fragment(),
    }
}

/// Where a token for this place is given out: at the same host.
pub(super) fn token_place(place: &Url) -> Url {
    let mut url = place.clone();
    url.set_path(TOKEN_PATH);
    url
}

/// The key in an answer.
///
/// # Errors
/// There is none for this scheme, or it is another than was asked for, or is no longer good.
pub(super) fn given(vendor: KeyVendor, scheme: Scheme, name: &str, answer: &[u8], now: UnixMs) -> Result<Given, String> {
    match vendor {
        KeyVendor::Ebay => {
            let told: EbayKey = serde_json::from_slice(answer).map_err(|_| "it gave no key".to_owned())?;
            if !told.algorithm.eq_ignore_ascii_case("ECDSA") || !told.digest.eq_ignore_ascii_case("SHA1") {
                return Err("the key is for other signatures than these".into());
            }
            Ok(Given { key: public_key::of_pem(scheme, told.key.as_bytes()).map_err(|why| format!("the key {why}"))?, until: None })
        }
        KeyVendor::Plaid => {
            let answer: PlaidAnswer<'_> = serde_json::from_slice(answer).map_err(|_| "it gave no key".to_owned())?;
            let text = answer.key.get().as_bytes();
            let told: PlaidKey = serde_json::from_slice(text).map_err(|_| "what it gave is no key".to_owned())?;
            if told.kid != name {
                return Err("it gave another key than was asked for".into());
            }
            let until = told.expired_at.map(|seconds| UnixMs(seconds.saturating_mul(1000)));
            if until.is_some_and(|until| until <= now) {
                return Err("the key is no longer good".into());
            }
            let named = public_key::of_jwks(scheme, text).map_err(|why| format!("the key {why}"))?.into_iter().next();
            Ok(Given { key: named.ok_or("it gave no key")?.key, until })
        }
    }
}
