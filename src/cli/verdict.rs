//! What the gateway would make of a request, and why: for one that was read from a file, or from anywhere else.

use serde::Serialize;

use super::file::{told, unknown_source};
use crate::{
    app::Exit,
    clock::UnixMs,
    config::Config,
    plan::{self, Source},
    provider::{Catalogue, Family, Provider},
    rejection::Rejection,
    request::RawRequest,
    verify::{Case, Explanation, Greeted, Neighbour, Setting, Unproved, Verifier, explain},
    yaml::Problems,
};

/// What requests are held against.
pub(super) struct Known<'a> {
    setting: Setting<'a>,
    /// Where a configuration says it: the source that is rung.
    source: Option<Source>,
    neighbours: Vec<Neighbour<'a>>,
    catalogue: &'a Catalogue,
}

/// The answer, as `--json` writes it. What is not known is empty.
#[derive(Debug, Serialize)]
pub(super) struct Answer<'a> {
    verdict: &'static str,
    reason: &'static str,
    provider: &'a str,
    event_id: String,
    event_type: String,
    explanation: String,
}

impl<'a> Known<'a> {
    /// A provider and what its requests are verified with.
    pub(super) fn of_provider(setting: Setting<'a>, catalogue: &'a Catalogue) -> Self {
        Self { setting, source: None, neighbours: Vec::new(), catalogue }
    }

    /// A source of a configuration, and the others beside it.
    ///
    /// # Errors
    /// The exit code, and what is wrong with the source, or that there is none.
    pub(super) fn of_source(name: &str, config: &Config, catalogue: &'a Catalogue) -> Result<Self, (Exit, String)> {
        if config.sources.get(name).is_none() {
            return Err((Exit::Usage, unknown_source(name, config)));
        }
        let mut problems = Problems::new();
        let known = plan::intake(config, name, catalogue, &mut problems);
        let Some((source, setting)) = known.filter(|_| !problems.has_errors()) else {
            return Err((Exit::Config, told(problems)));
        };
        let neighbour = |other: &str| {
            // What is wrong with another source is no reason to say nothing of this one.
            let (_, setting) = plan::intake(config, other, catalogue, &mut Problems::new())?;
            Some(Neighbour { name: other.into(), setting })
        };
        let neighbours = config.sources.names().filter(|other| *other != name).filter_map(neighbour).collect();
        Ok(Self { setting, source: Some(source), neighbours, catalogue })
    }

    /// Says what becomes of a request that was received at `at`, as it stands or as if it had been sent to `url`.
    ///
    /// # Errors
    /// What is wrong with the credentials, so that nothing can be verified with them.
    pub(super) fn judge(&self, mut request: RawRequest, at: UnixMs, url: Option<&url::Url>) -> Result<Answer<'a>, String> {
        let line_query = request.query.clone();
        let mut setting = self.setting.clone();
        if let Some(url) = url {
            request.path = url.path().into();
            request.query = url.query().map(Box::from);
            let mut endpoint = url.clone();
            endpoint.set_query(None);
            setting.endpoint = Some(endpoint);
        }
        if let Some((rejection, why)) = self.source.as_ref().and_then(|source| at_the_door(source, &request, at)) {
            return Ok(refused(setting.provider, rejection, why));
        }
        let mut answer = self.verified(&setting, &request, line_query.as_deref(), at)?;
        if let Some(aside) = self.source.as_ref().and_then(|source| elsewhere(source, &request)).filter(|_| answer.is_accepted()) {
            answer.explanation.push_str(&aside);
        }
        if let Some(aside) = self.source.as_ref().and_then(|source| let_by(source, &request, answer.reason, at)) {
            answer.explanation.push_str(&aside);
        }
        Ok(answer)
    }

    /// Says what becomes of a request that the gateway rejected at `at` and kept. The door had let it by: what it asks for, such as a URL
    /// token, is not asked again and was not kept. `None` when only a body that was never read could say more.
    ///
    /// # Errors
    /// What is wrong with the credentials, so that nothing can be verified with them.
    pub(super) fn judge_kept(&self, request: &RawRequest, has_body: bool, at: UnixMs) -> Result<Option<Answer<'a>>, String> {
        let setting = &self.setting;
        if !has_body {
            let verifier = setting.compile().map_err(|faults| faults.join("\n"))?;
            let refused = |rejection| refused(setting.provider, rejection, self.explained(setting, request, None, at, rejection).text);
            return Ok(verifier.precheck(request).err().map(refused));
        }
        let mut answer = self.verified(setting, request, request.query.as_deref(), at)?;
        let sends_secret = self.source.as_ref().is_some_and(|source| !source.verifier.credential_places().is_empty());
        if !answer.is_accepted() && sends_secret {
            answer
                .explanation
                .push_str(" The provider sends a secret as it is, and that is never kept: this request cannot be proved again.");
        }
        Ok(Some(answer))
    }

    /// What the verifier of a setting says, explained when it refuses.
    fn verified(&self, setting: &Setting<'a>, request: &RawRequest, line_query: Option<&str>, at: UnixMs) -> Result<Answer<'a>, String> {
        let explained = |rejection| self.explained(setting, request, line_query, at, rejection);
        let verifier = match setting.compile() {
            Ok(verifier) => verifier,
            Err(faults) => {
                // A secret that cannot be a key proves nothing; the same secret without a stray blank may.
                let explanation = explained(Rejection::BadSignature);
                let refused = refused(setting.provider, Rejection::BadSignature, explanation.text);
                return if explanation.found { Ok(refused) } else { Err(faults.join("\n")) };
            }
        };
        let takes = |method: &str| self.source.as_ref().map_or(method == "POST", |source| source.takes(method));
        let outcome = outcome(&verifier, setting.provider, request, at, &takes);
        Ok(outcome.unwrap_or_else(|rejection| {
            let text = unfetched(&verifier, setting.provider, request, at).filter(|_| rejection == Rejection::BadSignature);
            refused(setting.provider, rejection, text.unwrap_or_else(|| explained(rejection).text))
        }))
    }

    fn explained(
        &self,
        setting: &Setting<'a>,
        request: &RawRequest,
        line_query: Option<&str>,
        now: UnixMs,
        rejection: Rejection,
    ) -> Explanation {
        explain(&Case { request, line_query, now, rejection, setting, neighbours: &self.neighbours, catalogue: self.catalogue })
    }
}

/// What its verifier makes of a request, as the door and the front half ask it. `takes` is whether events come with a method.
fn outcome<'a>(
    verifier: &Verifier,
    provider: &'a Provider,
    request: &RawRequest,
    at: UnixMs,
    takes: &dyn Fn(&str) -> bool,
) -> Result<Answer<'a>, Rejection> {
    if let Some(greeted) = verifier.greet(request, at) {
        return Ok(handshake(provider, &greeted));
    }
    let head = RawRequest { body: bytes::Bytes::new(), ..request.clone() };
    // The whole is asked first: its reason is the more precise one.
    let verified = verifier.verify(request.clone(), at)?;
    verifier.precheck(&head)?;
    if let Some(greeted) = verifier.greet_verified(&verified) {
        return Ok(handshake(provider, &greeted));
    }
    if !takes(&verified.request().method) {
        return Err(Rejection::Method);
    }
    let identity = verifier.identify(&verified);
    Ok(Answer {
        verdict: "accepted",
        reason: if verifier.verification() == "none" { "unsigned" } else { "signed" },
        provider: &provider.slug,
        event_id: identity.id.map(|id| String::from_utf8_lossy(&id).into_owned()).unwrap_or_default(),
        event_type: identity.types.to_string(),
        explanation: accepted(provider, verified.proof().skew_ms()),
    })
}

/// That there is no key to verify with: the gateway would fetch it, and whoever looks at a request after the fact may be nowhere near.
fn unfetched(verifier: &Verifier, provider: &Provider, request: &RawRequest, at: UnixMs) -> Option<String> {
    let wanted = verifier.wanted(request, at)?;
    let url = wanted.place.as_str().escape_debug().to_string();
    let names = provider.checks.iter().filter(|check| check.key.source.is_some()).flat_map(|check| &check.key.from);
    let pin = names.map(|name| format!("`{name}`")).next().unwrap_or_default();
    Some(format!("The key is at {url}, where the gateway fetches it and this command does not: fetch it and give it as {pin}."))
}

/// What a source refuses before anything is verified.
fn at_the_door(source: &Source, request: &RawRequest, at: UnixMs) -> Option<(Rejection, String)> {
    let bytes = request.body.len() as u64;
    if bytes > source.body_limit {
        let why = format!("The body has {bytes} bytes, and the source takes {} at most: raise its `body_limit`.", source.body_limit);
        return Some((Rejection::TooLarge, why));
    }
    let token = request.path.rsplit('/').next().unwrap_or_default();
    if !source.guard.url_tokens.is_empty() && !source.guard.knows(token, at) {
        let why = "The last segment of its path is no `url_token` of the source that is good at that time: give the provider the source's \
                   URL with its token behind it.";
        return Some((Rejection::UrlToken, why.to_owned()));
    }
    None
}

/// Why the gateway would answer 404 to what is genuine.
fn elsewhere(source: &Source, request: &RawRequest) -> Option<String> {
    if source.disabled {
        return Some(" The source is disabled, and its paths answer 404.".into());
    }
    let bare = match (source.guard.url_tokens.as_slice(), request.path.rsplit_once('/')) {
        ([_, ..], Some((bare, _))) => bare,
        _ => &request.path,
    };
    let known = source.paths.iter().any(|path| **path == *bare || path.strip_suffix('/') == Some(bare));
    let paths = || source.paths.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>().join(" and ");
    (!known).then(|| format!(" Its path is none of the source's, which is rung at {}.", paths()))
}

/// That the gateway takes it nevertheless: its source only observes.
fn let_by(source: &Source, request: &RawRequest, reason: &str, at: UnixMs) -> Option<String> {
    let reason = Rejection::ALL.into_iter().find(|one| one.code() == reason)?;
    source.verifier.observe(Box::new(Unproved { request: request.clone(), reason }), at).ok()?;
    let until = source.verifier.observe_until()?;
    Some(format!(" The source only observes until {until}: the gateway accepts this as not verified, and counts it."))
}

fn refused(provider: &Provider, rejection: Rejection, explanation: String) -> Answer<'_> {
    Answer {
        verdict: "rejected",
        reason: rejection.code(),
        provider: &provider.slug,
        event_id: String::new(),
        event_type: String::new(),
        explanation,
    }
}

/// A handshake is no event: it is answered, or refused.
fn handshake<'a>(provider: &'a Provider, greeted: &Greeted) -> Answer<'a> {
    let name = &greeted.handshake;
    let (verdict, reason, explanation) = match &greeted.reply {
        Ok(reply) => ("accepted", "handshake", format!("It is the handshake `{name}`, answered {} and never stored.", reply.status)),
        Err(status) => {
            let what = format!("It is the handshake `{name}`, refused with {status}: what guards it does not hold, or a value is missing.");
            ("rejected", Rejection::Requirement.code(), what)
        }
    };
    Answer { verdict, reason, provider: &provider.slug, event_id: String::new(), event_type: String::new(), explanation }
}

fn accepted(provider: &Provider, skew_ms: Option<i64>) -> String {
    let timed = match skew_ms {
        Some(skew_ms) if skew_ms < 0 => format!(", {} s ahead of the time it is verified at", -skew_ms / 1000),
        Some(skew_ms) => format!(", {} s before the time it is verified at", skew_ms / 1000),
        None => String::new(),
    };
    match provider.scheme().as_str() {
        "none" => "Nothing is signed: anyone who knows the URL can send this.".into(),
        scheme if provider.checks.iter().all(|check| matches!(check.scheme.family(), Family::Token | Family::Basic | Family::None)) => {
            format!("Proved by {scheme}; nothing is signed.")
        }
        scheme => format!("Signed with {scheme}{timed}."),
    }
}

impl Answer<'_> {
    /// Whether the gateway would take it.
    pub(super) fn is_accepted(&self) -> bool {
        self.verdict == "accepted"
    }

    /// Adds a sentence to the explanation, with the blank before it.
    pub(super) fn add(&mut self, said: &str) {
        self.explanation.push_str(said);
    }

    /// The answer for people.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{}: {} ({})\n", self.verdict, self.provider, self.reason);
        if !self.event_id.is_empty() {
            text.push_str(&format!("event id: {}\n", self.event_id.escape_debug()));
        }
        if !self.event_type.is_empty() {
            text.push_str(&format!("event type: {}\n", self.event_type.escape_debug()));
        }
        text.push_str(&self.explanation);
        text
    }
}
