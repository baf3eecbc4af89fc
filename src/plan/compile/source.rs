//! Sources: each provider compiled with its credentials, each limit settled, each path given to one of them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use super::{answers, guard, provider, secrets};
use crate::{
    clock::UnixMs,
    config::{self, BodyLimit, Config, OnRepeat, OneOrMany, Size, Window},
    limits::{ACTIVE_SECRETS_MAX, UNVERIFIED_SHARE_PERCENT, percent_of},
    name::SourceName,
    plan::{Dedup, DedupBy, Source, Unrouted, with_token},
    provider::{Catalogue, Provider, Retries, dedup_key},
    verify::{Credential, Setting, Tolerance, Verifier},
    yaml::{At, Problems, nearest},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The least an automatic window lasts.
const WINDOW_MIN: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// What an automatic window lasts beyond the provider's last retry.
const WINDOW_MARGIN: Duration = DAY;
/// The longest window: each event's key is kept for that long.
const WINDOW_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// The credential that a source's `secret:` fills.
const SECRET: &str = "secret";

/// One source by its name, and what its verifier is made of, whatever the rest of the configuration is like. `None` when there is none of
/// this name, or it does not compile, which is noted.
pub fn intake<'c>(config: &Config, name: &str, catalogue: &'c Catalogue, problems: &mut Problems) -> Option<(Source, Setting<'c>)> {
    let written = Written { config, name, source: config.sources.get(name)? };
    let source = written.compile(catalogue, problems)?;
    // What is wrong was noted by now, so it is not said twice.
    let mut told = Problems::new();
    let provider = provider::find(name, written.source, catalogue, &mut told)?;
    let setting = written.setting(provider, source.endpoint.as_ref(), &mut told)?;
    Some((source, setting))
}

/// All sources that could be compiled.
pub(super) fn sources(config: &Config, catalogue: &Catalogue, problems: &mut Problems) -> BTreeMap<SourceName, Arc<Source>> {
    if config.sources.0.is_empty() {
        problems.warning(&config.at, "there are no sources: nothing will be received");
    }
    let mut taken: HashMap<&str, (&str, &At)> = HashMap::new();
    for (key, written) in &config.sources.0 {
        for path in written.path.iter().flat_map(|paths| paths.iter()) {
            claim(&mut taken, (&path.value, path.shown()), &key.text, &path.at, problems);
        }
    }
    let defaults: Vec<(String, &str, &At)> = (config.sources.0.iter())
        .filter(|(_, written)| written.path.is_none())
        .map(|(key, _)| (default_path(&key.text), key.text.as_str(), &key.at))
        .collect();
    for (path, name, at) in &defaults {
        claim(&mut taken, (path, format!("`{path}`")), name, at, problems);
    }
    guard::shadowed(config, &taken, problems);
    guard::asked_in_vain(config, problems);
    secrets::look_over(config, catalogue, problems);
    let compiled = config.sources.0.iter().filter_map(|(key, written)| {
        let source = Written { config, name: &key.text, source: written }.compile(catalogue, problems)?;
        Some((source.name.clone(), Arc::new(source)))
    });
    compiled.collect()
}

/// The paths of a source.
pub(super) fn paths_of(name: &str, source: &config::Source) -> Vec<String> {
    match &source.path {
        Some(paths) => paths.iter().map(|path| path.value.clone()).collect(),
        None => vec![default_path(name)],
    }
}

fn default_path(name: &str) -> String {
    format!("/hooks/{name}")
}

/// Gives a path, which a message shows so, to a source, unless it is another's.
fn claim<'a>(
    taken: &mut HashMap<&'a str, (&'a str, &'a At)>,
    (path, shown): (&'a str, String),
    name: &'a str,
    at: &'a At,
    problems: &mut Problems,
) {
    if let Some((other, first)) = taken.get(path) {
        problems.error(at, format!("the path {shown} of `{name}` is taken by `{other}` at {first}"));
    } else {
        taken.insert(path, (name, at));
    }
}

/// A source as written, and all around it.
#[derive(Clone, Copy)]
struct Written<'a> {
    config: &'a Config,
    name: &'a str,
    source: &'a config::Source,
}

impl Written<'_> {
    fn compile(self, catalogue: &Catalogue, problems: &mut Problems) -> Option<Source> {
        let written = self.source;
        let paths: Vec<Box<str>> = paths_of(self.name, written).into_iter().map(String::into_boxed_str).collect();
        let provider = provider::find(self.name, written, catalogue, problems)?;
        let endpoint = self.public_url();
        let guard = guard::guard(self.config, self.name, written, provider, problems);
        let observe_until = guard::observe_until(self.config, self.name, written, problems);
        let verifier = self.verifier(provider, endpoint.as_ref(), problems);
        if let Some(verifier) = &verifier {
            guard::guarded(self.config, (self.name, written), provider, verifier.verification() != "none", problems);
        }
        provider::known_answers(self.name, written, provider, catalogue, problems);
        let body_limit = self.body_limit(provider, problems);
        let dedup = self.dedup(provider, problems);
        let answer_within = self.config.server.limits.answer_within.0;
        Some(Source {
            name: SourceName::parse(self.name)?,
            provider: Arc::from(&*provider.slug),
            paths,
            endpoint,
            guard,
            methods: guard::methods(written, provider, problems),
            unproved: provider.vectors.is_empty(),
            verifier: verifier?.observing_until(observe_until),
            body_limit,
            answer_within: provider.answer_timeout.map_or(answer_within, |theirs| theirs.min(answer_within)),
            dedup,
            unrouted: match *written.unrouted {
                config::Unrouted::Keep => Unrouted::Keep,
                config::Unrouted::Drop => Unrouted::Drop,
            },
            accepted: answers::accepted(written, provider, problems),
            rejected: answers::rejected(written, provider),
            expect_every: match *written.expect_every {
                config::Expected::None => None,
                config::Expected::Every(period) => Some(period.0),
            },
            disabled: *written.disabled,
        })
    }

    /// The public URL of the first path, as the provider was given it.
    fn public_url(self) -> Option<url::Url> {
        if let Some(link) = &self.source.public_url {
            return Some(link.url.clone());
        }
        let paths = paths_of(self.name, self.source);
        let mut url = self.config.server.public_url.as_ref()?.url.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}{}", paths.first()?));
        Some(url)
    }

    fn verifier(self, provider: &Provider, endpoint: Option<&url::Url>, problems: &mut Problems) -> Option<Verifier> {
        let setting = self.setting(provider, endpoint, problems)?;
        match setting.compile() {
            Ok(verifier) => {
                self.doubts(provider, &setting.credentials, problems);
                self.knowing(verifier, provider, endpoint, problems)
            }
            Err(faults) => {
                faults.into_iter().for_each(|fault| problems.error(&self.source.at, fault));
                None
            }
        }
    }

    /// The same, which knows events by the template of the source, if that has one.
    fn knowing(self, verifier: Verifier, provider: &Provider, endpoint: Option<&url::Url>, problems: &mut Problems) -> Option<Verifier> {
        let by = &self.source.dedup.by;
        let config::DedupBy::Template(text) = &**by else {
            return Some(verifier);
        };
        match dedup_key(text, provider) {
            Err(wrong) => {
                problems.error(&by.at, format!("`by`: {wrong}"));
                None
            }
            Ok(key) if key.needs_public_url && endpoint.is_none() => {
                problems.error_hint(&by.at, "`by` has the public URL in it, and none is known", "write `server.public_url`");
                None
            }
            Ok(key) => {
                if !key.is_signed && verifier.verification() == "signed" {
                    let said = "`by` has a value in it that no signature covers: who has seen an event can make new ones of it";
                    problems.warning(&by.at, said);
                }
                Some(verifier.knowing_by(key.template))
            }
        }
    }

    /// What its requests are verified with.
    fn setting<'p>(self, provider: &'p Provider, endpoint: Option<&url::Url>, problems: &mut Problems) -> Option<Setting<'p>> {
        let credentials = self.credentials(provider, problems)?;
        let is_timed = provider.checks.iter().any(|check| check.timestamp.is_some());
        let tolerance = match *self.source.tolerance {
            // What is said for all sources is for those that it fits.
            _ if !is_timed && self.config.is_inherited(&self.source.tolerance.at) => None,
            config::Tolerance::Provider => None,
            config::Tolerance::None => Some(Tolerance::None),
            config::Tolerance::Within(period) => Some(Tolerance::Within(period.0)),
        };
        if provider.needs_public_url && endpoint.is_none() {
            let said = format!("`{}` signs its URL, and no public URL of `{}` is known", provider.slug, self.name);
            problems.error_hint(&self.source.at, said, "write `server.public_url`, or the source's own `public_url`");
            return None;
        }
        // What the provider was given, and signs, has the token in it.
        let token = self.source.active_url_tokens(self.config.read_at).next();
        let given = endpoint.cloned().map(|mut url| {
            if let Some(token) = token {
                url.set_path(&with_token(url.path(), token.value.text()));
            }
            url
        });
        Some(Setting { provider, credentials, retired: self.retired(), endpoint: given, tolerance })
    }

    /// What the operator should know of the credentials he left out.
    fn doubts(self, provider: &Provider, credentials: &[Credential], problems: &mut Problems) {
        for rule in provider.credentials.iter().filter(|rule| !rule.required) {
            let unset = !credentials.iter().any(|credential| credential.name == rule.name);
            if let Some(warn) = rule.warn.as_deref().filter(|_| unset) {
                problems.warning(&self.source.at, format!("`{}` has no `{}`: {warn}", self.name, rule.name));
            }
        }
    }

    /// All credentials that are good today. `None` when one of them could not be read, which was reported there: that others are missing
    /// would only be noise.
    fn credentials(self, provider: &Provider, problems: &mut Problems) -> Option<Vec<Credential>> {
        let mut all = Vec::new();
        let mut whole = true;
        for (name, at, values) in self.written_credentials() {
            if all.iter().any(|known: &Credential| &*known.name == name) {
                problems.error(at, format!("`{name}` is written twice, as `secret` and among the `credentials`"));
                continue;
            }
            let Some(rule) = provider.credential(name) else {
                unknown_credential(provider, name, at, problems);
                whole = false;
                continue;
            };
            whole &= !values.is_empty();
            let active: Vec<&config::Credential> = values.iter().filter(|value| self.is_active(value, problems)).collect();
            if active.len() > ACTIVE_SECRETS_MAX {
                problems.error(at, format!("`{name}` has {} active values, and {ACTIVE_SECRETS_MAX} is the most", active.len()));
                whole = false;
            }
            for value in active {
                let bytes = value.value.0.reveal(); // only its beginning is compared
                if rule.prefix.as_deref().is_some_and(|prefix| !bytes.starts_with(prefix.as_bytes())) {
                    let prefix = rule.prefix.as_deref().unwrap_or_default();
                    problems.warning(&value.value.at, format!("`{name}` does not begin with `{prefix}`, as {} writes it", provider.title));
                }
                all.push(credential(name, value));
            }
        }
        whole.then_some(all)
    }

    /// The credentials of the source as they are written: `secret` first, each with its name and place.
    fn written_credentials(&self) -> impl Iterator<Item = (&str, &At, &OneOrMany<config::Credential>)> {
        let further = self.source.credentials.0.iter().map(|(key, values)| (key.text.as_str(), &key.at, values));
        let own = self.source.secret.iter().map(|values| (SECRET, &values.at, &values.value));
        own.chain(further)
    }

    /// The credentials that are past their `until`.
    fn retired(self) -> Vec<Credential> {
        let over = |value: &config::Credential| value.until.as_ref().is_some_and(|until| until.0 <= self.config.read_at);
        let named = |(name, _, values): (&str, &At, &OneOrMany<config::Credential>)| {
            values.iter().filter(|value| over(value)).map(|value| credential(name, value)).collect::<Vec<_>>()
        };
        self.written_credentials().flat_map(named).collect()
    }

    fn is_active(self, credential: &config::Credential, problems: &mut Problems) -> bool {
        let over = |until: UnixMs| until <= self.config.read_at;
        match &credential.until {
            Some(until) if over(until.0) => {
                problems.warning(&until.at, format!("a secret of `{}` is past its `until` and no longer taken", self.name));
                false
            }
            _ => true,
        }
    }

    /// Bytes of a body: as the source says, else its provider, else all sources.
    fn body_limit(self, provider: &Provider, problems: &mut Problems) -> u64 {
        let limits = &self.config.server.limits;
        let most = limits.body_max.0;
        let limit = match *self.source.body_limit {
            BodyLimit::Bytes(size) => {
                if size.0 > most || size.0 == 0 {
                    let said = format!("`body_limit` is at least 1B and at most `server.limits.body_max` ({})", *limits.body_max);
                    problems.error(&self.source.body_limit.at, said);
                }
                size.0
            }
            BodyLimit::Provider => provider.body_limit.unwrap_or(limits.body.0).min(most),
        };
        let share = percent_of(limits.in_flight.0, u64::from(limits.in_flight_per_source.0));
        // A body is unverified until its last byte is there.
        let unverified = percent_of(limits.in_flight.0, UNVERIFIED_SHARE_PERCENT);
        let (who, held, at) = if share <= unverified {
            ("a source", share, &limits.in_flight_per_source.at)
        } else {
            ("what is not verified yet", unverified, &limits.in_flight.at)
        };
        // A total that is too small for any body was reported where it is written.
        if limits.in_flight.0 >= most && held < limit.min(most) {
            let said = format!("{who} may hold {} in flight, which is less than one body of `{}` ({})", Size(held), self.name, Size(limit));
            problems.error_hint(at, said, "raise `server.limits.in_flight` or its share");
        }
        limit
    }

    /// How far the timestamp of a request may lie from now; `None` where it has none, or may have any.
    fn tolerance(self, provider: &Provider) -> Option<Duration> {
        let timestamps = provider.checks.iter().filter_map(|check| check.timestamp.as_ref());
        let own = timestamps.map(|timestamp| timestamp.tolerance).max()?;
        match *self.source.tolerance {
            config::Tolerance::Provider => own,
            config::Tolerance::None => None,
            config::Tolerance::Within(period) => Some(period.0),
        }
    }

    fn dedup(self, provider: &Provider, problems: &mut Problems) -> Dedup {
        let written = &self.source.dedup;
        let retries = match provider.retries {
            Retries::For(retries) => Some(retries),
            Retries::None | Retries::Unknown => None,
        };
        let window = match *written.window {
            Window::Auto => retries.map_or(WINDOW_MIN, |retries| WINDOW_MIN.max(retries + WINDOW_MARGIN)),
            Window::For(period) => {
                if let Some(retries) = retries.filter(|retries| period.0 < *retries) {
                    let retries = config::Period(retries);
                    let said = format!("`{}` repeats for {retries}, and repeats after {period} will count as new", provider.slug);
                    problems.warning(&written.window.at, said);
                }
                if period.0 > WINDOW_MAX {
                    problems.error(&written.window.at, "`window` is at most 366d: each event's key is kept for that long");
                }
                period.0
            }
        };
        // Whoever has caught a request can send it again for so long.
        if let Some(tolerance) = self.tolerance(provider).filter(|tolerance| window < *tolerance) {
            let at = if matches!(*written.window, Window::Auto) { &self.source.tolerance.at } else { &written.window.at };
            let (tolerance, window) = (config::Period(tolerance), config::Period(window));
            problems
                .warning(at, format!("a request is taken for {tolerance} after its timestamp, and after {window} it will count as new"));
        }
        Dedup {
            window,
            by: match &*written.by {
                config::DedupBy::Provider => DedupBy::Provider,
                config::DedupBy::Body => DedupBy::Body,
                config::DedupBy::None => DedupBy::None,
                config::DedupBy::Template(_) => DedupBy::Template,
            },
            revive: *written.on_repeat == OnRepeat::Revive,
        }
    }
}

fn credential(name: &str, written: &config::Credential) -> Credential {
    Credential { name: name.into(), value: written.value.0.clone(), until: written.until.as_ref().map(|until| until.0) }
}

fn unknown_credential(provider: &Provider, name: &str, at: &At, problems: &mut Problems) {
    let known: Vec<&str> = provider.credentials.iter().map(|rule| &*rule.name).collect();
    let said = format!("`{}` has no credential `{}`", provider.slug, name.escape_debug());
    match nearest(name, known.iter().copied()) {
        Some(meant) => problems.error_hint(at, said, format!("did you mean `{meant}`?")),
        None => problems.error_hint(at, said, format!("it has: {}", known.join(", "))),
    }
}
