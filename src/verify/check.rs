//! One check, with its keys: whether it holds, and what it then says of the request.

use std::{borrow::Cow, time::Duration};

use sha2::{Digest, Sha256};
use smallvec::SmallVec;
use subtle::{Choice, ConstantTimeEq};

use super::{
    asked::Asker,
    candidates::{self, Group, Unpacked},
    challenge, condition,
    document::Document,
    fetched::Ring,
    in_force, jws,
    keys::{Key, Lock},
    mac::{Mac, Tag},
    moment,
    value::{Lack, Scope},
};
use crate::{
    provider::{Check, Family, KeySource, Pointer, Scheme, UrlSpelling},
    rejection::Rejection,
    secret::{Fingerprint, Secret},
};

/// A check with its keys.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The check, without the demands that name a credential nobody set.
    pub(super) rule: Check,
    /// How far the timestamp may lie from now.
    pub(super) tolerance: Option<Duration>,
    /// The scheme and its keys; several where the request picks one.
    pub(super) variants: Vec<Variant>,
    /// Whether every signature stands in the head.
    pub(super) in_head: bool,
    /// What is looked up in each element.
    pub(super) item_pointers: Vec<Pointer>,
    /// What is looked up in the claims.
    pub(super) claim_pointers: Vec<Pointer>,
    /// What is looked up in an unpacked candidate.
    pub(super) unpacked: Unpacked,
    /// Whether the digest of what was signed is wanted.
    pub(super) once: bool,
    /// Whether these keys sign challenges for who has proved nothing.
    pub(super) signs_challenges: bool,
    /// Its keys that are fetched; none where one is pinned.
    pub(super) ring: Ring,
    /// Who asks for them, where they are given out against credentials.
    pub(super) asker: Option<Asker>,
}

/// A scheme that a check may come to.
#[derive(Debug)]
pub(super) struct Variant {
    /// The value that picks it; empty where there is no choice.
    pub(super) value: Box<str>,
    pub(super) scheme: Scheme,
    pub(super) keys: Vec<Key>,
}

/// What a check that holds says.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// The secret that matched.
    pub(super) secret: Option<Fingerprint>,
    /// How far the signed time lay behind our clock, in milliseconds.
    pub(super) skew_ms: Option<i64>,
    /// The payload of the token.
    pub(super) claims: Option<Vec<u8>>,
    /// SHA-256 of what was signed, where it is wanted.
    pub(super) signed: Option<[u8; 32]>,
}

/// A candidate that a key proves: which secret, which candidate, which spelling of the URL.
type Proved<'g, 't> = (Option<Fingerprint>, &'g Group<'t>, UrlSpelling);

impl Prepared {
    /// What the head alone shows to be wrong.
    pub(super) fn precheck(&self, scope: &Scope<'_>) -> Result<(), Rejection> {
        let variant = self.variant(scope)?;
        if variant.scheme.family() == Family::None {
            return Ok(());
        }
        let texts = candidates::places(&self.rule.signature, scope)?;
        let groups = candidates::groups(self, variant.scheme, &texts, scope)?;
        if matches!(variant.scheme.family(), Family::Token | Family::Basic) && self.proved(&variant.keys, &groups, scope)?.is_empty() {
            return Err(Rejection::BadSignature);
        }
        if self.rule.timestamp.as_ref().is_some_and(|timestamp| timestamp.at.in_head()) {
            self.first_good(groups.iter().map(|group| self.judged_time(group, scope)))?;
        }
        Ok(())
    }

    /// Whether the check holds, and by which secret; with `each`, for every element of the array.
    pub(super) fn hold(&self, scope: &Scope<'_>) -> Result<Held, Rejection> {
        let Some(each) = &self.rule.each else {
            return self.hold_once(scope);
        };
        let elements = scope.document.elements(each).ok_or(Rejection::MissingSignature)?;
        let mut first = None;
        for element in elements {
            let item = Document::read(element.get().as_bytes(), &self.item_pointers);
            let held = self.hold_once(&Scope { item: &item, ..*scope })?;
            first.get_or_insert(held);
        }
        first.ok_or(Rejection::MissingSignature)
    }

    fn hold_once(&self, scope: &Scope<'_>) -> Result<Held, Rejection> {
        let variant = self.variant(scope)?;
        if variant.scheme.family() == Family::None {
            return if condition::holds(&self.rule.require, scope) { Ok(Held::default()) } else { Err(Rejection::Requirement) };
        }
        let texts = candidates::places(&self.rule.signature, scope)?;
        let groups = candidates::groups(self, variant.scheme, &texts, scope)?;
        // The place of a key that is fetched is looked at even when another is pinned: a request with a stranger's is a forgery.
        let set = self
            .place(scope, || groups.iter().find_map(|group| self.key_name(group, scope)))?
            .and_then(|url| self.ring.find(&url, scope.now));
        let keys = set.as_ref().map_or(variant.keys.as_slice(), |set| set.keys(variant.scheme));
        let proved = self.proved(keys, &groups, scope)?;
        if proved.is_empty() {
            return Err(Rejection::BadSignature);
        }
        if let Some(set) = &set {
            set.has_proved();
        }
        self.first_good(proved.into_iter().map(|proved| self.judged(&proved, scope)))
    }

    /// Whether all is as it must be but for the key: a signature stands there, it is in time, and what is demanded besides holds.
    pub(super) fn lacks_only_its_key(&self, variant: &Variant, scope: &Scope<'_>) -> Result<(), Rejection> {
        let texts = candidates::places(&self.rule.signature, scope)?;
        let groups = candidates::groups(self, variant.scheme, &texts, scope)?;
        let spelled = groups.iter().flat_map(|group| self.rule.urls.iter().map(move |spelling| (None, group, *spelling)));
        self.first_good(spelled.map(|unproved| self.judged(&unproved, scope))).map(|_| ())
    }

    /// The scheme that the request picks from the closed map, or the one there is.
    pub(super) fn variant(&self, scope: &Scope<'_>) -> Result<&Variant, Rejection> {
        let Some(at) = self.rule.scheme.chosen_at() else {
            return self.variants.first().ok_or(Rejection::BadSignature);
        };
        let value = scope.atom(at).map_err(|_| Rejection::Malformed)?;
        self.variants.iter().find(|variant| *variant.value.as_bytes() == *value).ok_or(Rejection::Malformed)
    }

    /// Every candidate that some key proves. All candidates are tried with all keys, whichever holds.
    fn proved<'g, 't>(&self, keys: &[Key], groups: &'g [Group<'t>], scope: &Scope<'_>) -> Result<SmallVec<[Proved<'g, 't>; 1]>, Rejection> {
        let mut proved = SmallVec::new();
        let mut tried = keys.is_empty();
        for group in groups {
            let asked = self.key_name(group, scope);
            for spelling in &self.rule.urls {
                for key in keys.iter().filter(|key| named(key, asked.as_deref())) {
                    let scope = Scope { fields: &group.fields, spelling: *spelling, ..*scope };
                    let Ok(holds) = self.opens(&key.lock, group, &scope) else {
                        // What was signed is not all there: no code could be of it.
                        continue;
                    };
                    tried = true;
                    let good = Choice::from(u8::from(in_force(key.until, scope.now)));
                    if bool::from(holds & good) {
                        proved.push((key.fingerprint, group, *spelling));
                    }
                }
            }
        }
        let of_no_key = groups.iter().all(|group| {
            let asked = self.key_name(group, scope);
            !keys.iter().any(|key| named(key, asked.as_deref()))
        });
        if tried || of_no_key { Ok(proved) } else { Err(Rejection::Malformed) }
    }

    /// The name of the key that a candidate claims to be made with.
    fn key_name(&self, group: &Group<'_>, scope: &Scope<'_>) -> Option<Vec<u8>> {
        if let Some(jws) = &group.jws {
            return jws.kid.as_ref().map(|kid| kid.as_bytes().to_vec());
        }
        let kid = self.rule.key.source.as_ref().and_then(KeySource::kid)?;
        let scope = Scope { fields: &group.fields, ..*scope };
        scope.atom(kid).ok().map(Cow::into_owned)
    }

    /// The same, of every candidate.
    pub(super) fn key_names(&self, variant: &Variant, scope: &Scope<'_>) -> Result<Vec<Option<Vec<u8>>>, Rejection> {
        let texts = candidates::places(&self.rule.signature, scope)?;
        let groups = candidates::groups(self, variant.scheme, &texts, scope)?;
        Ok(groups.iter().map(|group| self.key_name(group, scope)).collect())
    }

    /// Whether a key proves one of the signatures of a group.
    fn opens(&self, lock: &Lock, group: &Group<'_>, scope: &Scope<'_>) -> Result<Choice, Lack> {
        match lock {
            Lock::Mac(mac) => {
                let mut mac = Mac::clone(mac);
                self.sealed(group, scope, &mut |piece| mac.update(piece))?;
                Ok(group.any_is(&mac.finish()))
            }
            Lock::Hash(key) => {
                let mut hash = Sha256::new();
                self.hashed(key, scope, &mut hash)?;
                Ok(group.any_is(&Tag::of(&hash.finalize())))
            }
            Lock::Token(wanted) => {
                let is = |token: &[u8]| Sha256::digest(token)[..].ct_eq(wanted);
                Ok(group.signatures.iter().fold(Choice::from(0), |any, token| any | is(token)))
            }
            Lock::Public(key) => {
                let mut message = Vec::new();
                self.sealed(group, scope, &mut |piece| message.extend_from_slice(piece))?;
                let any = group.signatures.iter().fold(false, |any, signature| any | key.verify_sig(&message, signature).is_ok());
                Ok(Choice::from(u8::from(any)))
            }
        }
    }

    fn hashed(&self, key: &Secret, scope: &Scope<'_>, hash: &mut Sha256) -> Result<(), Lack> {
        // A plain hash has its key in the message; what comes of it is compared and shown to nobody.
        let scope = Scope { key: Some(key.reveal()), ..*scope };
        scope.feed(&self.rule.message, &mut |piece| hash.update(piece))
    }

    /// Feeds what the signature is over: what was signed, or its hash.
    fn sealed(&self, group: &Group<'_>, scope: &Scope<'_>, out: &mut dyn FnMut(&[u8])) -> Result<(), Lack> {
        if !self.rule.digested {
            return self.signed(group, scope, out);
        }
        let mut hash = Sha256::new();
        self.signed(group, scope, &mut |piece| hash.update(piece))?;
        out(&hash.finalize());
        Ok(())
    }

    /// Feeds what was signed, piece by piece.
    fn signed(&self, group: &Group<'_>, scope: &Scope<'_>, out: &mut dyn FnMut(&[u8])) -> Result<(), Lack> {
        match &group.jws {
            None => scope.feed(&self.rule.message, out),
            Some(jws) => {
                let message = scope.bytes(&self.rule.message)?;
                out(&jws.signed(&message));
                Ok(())
            }
        }
    }

    /// A proved candidate's time and demands, and what it then says.
    fn judged(&self, proved: &Proved<'_, '_>, scope: &Scope<'_>) -> Result<Held, Rejection> {
        let (secret, group, spelling) = proved;
        let scope = Scope { spelling: *spelling, ..*scope };
        let skew_ms = self.judged_time(group, &scope)?;
        let claims = group.jws.as_ref().map(|jws| &jws.claims);
        let document = claims.map(|claims| Document::read(claims, &self.claim_pointers));
        let of_claims = document.as_ref().unwrap_or(Document::none());
        let scope = Scope { fields: &group.fields, claims: of_claims, ..scope };
        if !condition::holds(&self.rule.require, &scope) {
            return Err(Rejection::Requirement);
        }
        if self.signs_challenges {
            let mut shape = challenge::Shape::default();
            self.signed(group, &scope, &mut |piece| shape.update(piece)).map_err(|_| Rejection::Malformed)?;
            if shape.is_challenge() {
                return Err(Rejection::Malformed);
            }
        }
        let mut held = Held { secret: *secret, skew_ms, claims: claims.cloned(), signed: None };
        if self.once {
            let mut hash = Sha256::new();
            self.signed(group, &scope, &mut |piece| hash.update(piece)).map_err(|_| Rejection::Malformed)?;
            held.signed = Some(hash.finalize().into());
        }
        Ok(held)
    }

    /// Whether a candidate is in time: by its timestamp, and by what its claims say.
    fn judged_time(&self, group: &Group<'_>, scope: &Scope<'_>) -> Result<Option<i64>, Rejection> {
        let claims = group.jws.as_ref().map(|jws| Document::read(&jws.claims, &self.claim_pointers));
        if let Some(jws) = group.jws.as_ref().filter(|_| !self.rule.signature.detached) {
            jws::in_time(&jws.claims, scope.now)?;
        }
        let Some(rule) = &self.rule.timestamp else {
            return Ok(None);
        };
        let of_claims = claims.as_ref().unwrap_or(Document::none());
        let scope = Scope { fields: &group.fields, claims: of_claims, ..*scope };
        let text = scope.atom(&rule.at).map_err(|_| Rejection::Malformed)?;
        let signed_at = moment::read(&text, rule.unit).ok_or(Rejection::Malformed)?;
        moment::skew(rule, self.tolerance, signed_at, scope.now).map(Some)
    }

    /// The first candidate that is good; without one, why the first is not.
    fn first_good<T>(&self, judged: impl Iterator<Item = Result<T, Rejection>>) -> Result<T, Rejection> {
        let mut first = None;
        for one in judged {
            match one {
                Ok(good) => return Ok(good),
                Err(why) => first = first.or(Some(why)),
            }
        }
        Err(first.unwrap_or(Rejection::Malformed))
    }
}

/// Whether a candidate that names this key, or none, may be of this one. Of a published set only the key that is named is tried.
fn named(key: &Key, asked: Option<&[u8]>) -> bool {
    let is_fetched = key.fingerprint.is_none();
    match (&key.kid, asked) {
        (Some(own), Some(asked)) => own.as_bytes() == asked,
        (Some(_), None) => !is_fetched,
        (None, _) => true,
    }
}
