//! Handshakes: a request that is one is answered out of the request and the credentials, or refused, and is never an event.
//!
//! Whoever asks for it gets an answer with what he sent in it, so an answer is small, is plain text or JSON, and cannot end a header line.

use std::borrow::Cow;

use sha2::{Digest, Sha256};
use url::Url;

use super::{
    Credential, Proof, Verifier,
    challenge::is_challenge,
    condition, confirm,
    document::Document,
    in_force, keys,
    mac::Mac,
    spelling,
    value::{Lack, Scope},
};
use crate::{
    clock::UnixMs,
    limits::{ECHOED_BYTES_MAX, HANDED_BYTES_MAX, HANDED_BYTES_MIN, REPLY_BYTES_MAX},
    provider::{After, Computation, Effect, Encoding, Handshake, Provider, ReplyBody, Scheme, Template},
    request::RawRequest,
    secret::{Fingerprint, Secret},
};

/// A handshake that was recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeted {
    /// The handshake's name.
    pub handshake: Box<str>,
    /// The answer; the status of the refusal when its guard does not hold or its answer cannot be made.
    pub reply: Result<Reply, u16>,
    /// What has to be called, with a GET that is answered 200, before it is answered.
    pub call: Option<Url>,
    /// A secret that was handed over, and has to be kept for the operator before it is answered.
    pub secret: Option<Secret>,
}

/// The answer to a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// A 2xx status.
    pub status: u16,
    /// Its content type.
    pub content_type: Cow<'static, str>,
    /// Further headers; the values are visible ASCII.
    pub headers: Vec<(Box<str>, String)>,
    /// Its body, at most [`REPLY_BYTES_MAX`].
    pub body: Vec<u8>,
}

/// A handshake with its keys.
#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) rule: Handshake,
    methods: Vec<String>,
    keys: Vec<Seal>,
    /// Whether it is answered: a secret is taken from nobody where there is one.
    is_open: bool,
}

/// A key of the first check, ready to compute with.
struct Seal {
    mac: Mac,
    fingerprint: Fingerprint,
    until: Option<UnixMs>,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seal({})", self.fingerprint)
    }
}

impl Greeting {
    /// Takes a handshake up. Credentials that cannot be keys were reported with the check they belong to.
    pub(super) fn compile(rule: &Handshake, provider: &Provider, credentials: &[Credential], unset: &[&str]) -> Self {
        let mut rule = rule.clone();
        rule.when = rule.when.without(unset);
        rule.guard = rule.guard.without(unset);
        let scheme = match rule.compute.as_ref().map(|compute| compute.by) {
            Some(Computation::HmacSha1) => Some(Scheme::HmacSha1),
            Some(Computation::HmacSha256) => Some(Scheme::HmacSha256),
            Some(Computation::Sha256) | None => None,
        };
        let seal = |credential: &Credential| {
            let check = provider.checks.first().filter(|check| check.key.from.contains(&credential.name))?;
            let bytes = keys::bytes(&check.key, &credential.value).ok()?;
            let mac = Mac::new(scheme?, &bytes)?;
            Some(Seal { mac, fingerprint: credential.value.fingerprint(), until: credential.until })
        };
        let first = provider.checks.first();
        let is_keyed = credentials.iter().any(|own| first.is_some_and(|check| check.key.from.contains(&own.name)));
        let is_open = !is_keyed || !matches!(rule.effect, Some(Effect::ShowSecret { .. }));
        Self { methods: rule.methods(), rule, keys: credentials.iter().filter_map(seal).collect(), is_open }
    }

    /// What has to be done before it is answered: a call, or a secret to keep.
    ///
    /// # Errors
    /// It cannot be done with what the request says.
    fn effect(&self, scope: &Scope<'_>, proof: Option<Proof>) -> Result<(Option<Url>, Option<Secret>), Lack> {
        match &self.rule.effect {
            None => Ok((None, None)),
            Some(effect @ Effect::SnsConfirm { .. }) => {
                let call = proof.and_then(|_| confirm::call(effect, scope)).ok_or(Lack::Unusable)?;
                Ok((Some(call), None))
            }
            Some(Effect::ShowSecret { at }) => {
                let secret = scope.atom(at)?;
                let fits = (HANDED_BYTES_MIN..=HANDED_BYTES_MAX).contains(&secret.len()) && secret.iter().all(u8::is_ascii_graphic);
                if fits { Ok((None, Some(Secret::new(secret.into_owned())))) } else { Err(Lack::Unusable) }
            }
        }
    }

    /// The answer, or why there is none.
    fn reply(&self, scope: &Scope<'_>, proof: Option<Proof>) -> Result<Reply, Lack> {
        let computed = match &self.rule.compute {
            None => None,
            Some(compute) => {
                let bytes = self.computed(compute.by, &scope.bytes(&compute.of)?, scope.now, proof)?;
                let encoding = if compute.hex { Encoding::Hex } else { Encoding::Base64 };
                Some(spelling::encode(&bytes, encoding).into_bytes())
            }
        };
        let scope = Scope { computed: computed.as_deref(), ..*scope };
        let rule = &self.rule.reply;
        let mut text = |template: &Template| {
            // The values are the asker's; the text around them is the file's.
            let bytes = scope.bytes(template)?;
            if bytes.len() > ECHOED_BYTES_MAX + template.text().len() {
                return Err(Lack::Unusable);
            }
            String::from_utf8(bytes).map_err(|_| Lack::Unusable)
        };
        let body = match &rule.body {
            ReplyBody::Text(template) => text(template)?,
            ReplyBody::Json(json) => {
                let mut out = String::new();
                json.write(&mut out, &mut text)?;
                out
            }
        };
        let mut headers = Vec::with_capacity(rule.headers.len());
        for (name, template) in &rule.headers {
            let value = text(template)?;
            if !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
                return Err(Lack::Unusable);
            }
            headers.push((name.clone(), value));
        }
        if body.len() > REPLY_BYTES_MAX {
            return Err(Lack::Unusable);
        }
        Ok(Reply { status: rule.status, content_type: rule.content_type.clone(), headers, body: body.into_bytes() })
    }

    /// A code is made with the secret that proved the request, else with the first that is good.
    fn computed(&self, by: Computation, message: &[u8], now: UnixMs, proof: Option<Proof>) -> Result<Vec<u8>, Lack> {
        if by == Computation::Sha256 {
            return Ok(Sha256::digest(message).to_vec());
        }
        // Nobody has a message of his own signed: see `challenge`.
        if proof.is_none() && !is_challenge(message) {
            return Err(Lack::Unusable);
        }
        let proved = proof.and_then(|proof| proof.secret());
        let good = || self.keys.iter().filter(|key| in_force(key.until, now));
        let key = good().find(|key| Some(key.fingerprint) == proved).or_else(|| good().next()).ok_or(Lack::Absent)?;
        let mut mac = key.mac.clone();
        mac.update(message);
        Ok(mac.finish().bytes().to_vec())
    }
}

impl Verifier {
    /// The handshake that this request is, when it is one, among those that stand before the checks (`proof` is `None`) or behind them.
    pub(super) fn greeted(&self, request: &RawRequest, now: UnixMs, proof: Option<Proof>) -> Option<Greeted> {
        let after = if proof.is_some() { After::Verify } else { After::None };
        self.recognised(request, now, after, &|greeting| greeting.is_open, |greeting, scope| {
            let guarded = if condition::holds(&greeting.rule.guard, scope) { Ok(()) } else { Err(Lack::Unusable) };
            let made = guarded.and_then(|()| Ok((greeting.effect(scope, proof)?, greeting.reply(scope, proof)?)));
            let handshake = greeting.rule.name.clone();
            match made {
                Ok(((call, secret), reply)) => Greeted { handshake, reply: Ok(reply), call, secret },
                Err(_) => Greeted { handshake, reply: Err(greeting.rule.refuse), call: None, secret: None },
            }
        })
    }

    /// Whether a request brings a secret as it is, which its vendor hands over: nothing of it is to lie on a disk, also where it is not
    /// taken.
    #[must_use]
    pub fn hands_over(&self, request: &RawRequest, now: UnixMs) -> bool {
        let is_such = |greeting: &Greeting| matches!(greeting.rule.effect, Some(Effect::ShowSecret { .. }));
        self.recognised(request, now, After::None, &is_such, |_, _| ()).is_some()
    }

    /// Whether a handshake's call may be made now: who replays one has it made so many times in a minute and not more. It is counted.
    #[must_use]
    pub fn lets_call(&self, now: UnixMs) -> bool {
        self.desk.lets_call(now)
    }

    /// Whether this request is a handshake, one that stands before the checks or one behind them.
    pub(super) fn is_handshake(&self, request: &RawRequest, now: UnixMs) -> bool {
        [After::None, After::Verify].into_iter().any(|after| self.recognised(request, now, after, &|_| true, |_, _| ()).is_some())
    }

    /// What `then` makes of the handshake that this request is, and of what that looks at, among those that `are_meant`.
    fn recognised<T>(
        &self,
        request: &RawRequest,
        now: UnixMs,
        after: After,
        are_meant: &dyn Fn(&Greeting) -> bool,
        then: impl FnOnce(&Greeting, &Scope<'_>) -> T,
    ) -> Option<T> {
        let is_due = |greeting: &&Greeting| greeting.rule.after == after && are_meant(greeting);
        if !self.greetings.iter().any(|greeting| is_due(&greeting)) {
            return None;
        }
        let form = self.form(request);
        let pointers = if after == After::Verify { &self.after_pointers } else { &self.before_pointers };
        let text = self.document_text(request, &form);
        let document = Document::read(text, pointers);
        let scope = Scope { document: &document, addresses: self.addresses.as_ref(), ..Scope::of(request, &form, &self.named, now) };
        let due = self.greetings.iter().filter(is_due);
        let of_method = |greeting: &&Greeting| greeting.methods.iter().any(|method| **method == *request.method);
        let greeting = due.filter(of_method).find(|greeting| condition::holds(&greeting.rule.when, &scope))?;
        Some(then(greeting, &scope))
    }

    /// Whether the head of a request could be that of a handshake which comes unproved.
    pub(super) fn may_greet(&self, head: &Scope<'_>) -> bool {
        let unproved = self.greetings.iter().filter(|greeting| greeting.rule.after == After::None && greeting.is_open);
        unproved.into_iter().any(|greeting| {
            let of_method = greeting.methods.iter().any(|method| **method == *head.request.method);
            of_method && condition::may_hold(&greeting.rule.when, head)
        })
    }
}
