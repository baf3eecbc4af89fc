//! What guards a source: URL tokens, networks and names in certificates taken over, and a source that nothing guards refused.

use std::{collections::HashMap, path::PathBuf};

use super::source::paths_of;
use crate::{
    clock::UnixMs,
    config::{Config, Credential, DedupBy, Placed, Source, Tls},
    limits::{ACTIVE_SECRETS_MAX, ALLOWED_NETWORKS_MAX, CLIENT_NAMES_MAX, OBSERVED_MAX},
    plan::{Guard, UrlToken, with_token},
    provider::{Atom, Provider},
    yaml::{At, Problems},
};

/// The guard of a source.
pub(super) fn guard(config: &Config, name: &str, source: &Source, provider: &Provider, problems: &mut Problems) -> Guard {
    let active: Vec<&Credential> = source.active_url_tokens(config.read_at).collect();
    if let Some(written) = &source.url_token {
        let over = written.iter().filter_map(|token| token.until.as_ref()).filter(|until| until.0 <= config.read_at);
        over.for_each(|until| problems.warning(&until.at, format!("a `url_token` of `{name}` is past its `until` and no longer taken")));
        if active.is_empty() && !written.is_empty() {
            // Without a token in force the source would be open, or shut for good; neither can be meant.
            problems.error(&written.at, format!("no `url_token` of `{name}` is good any more"));
        }
        if active.len() > ACTIVE_SECRETS_MAX {
            problems.error(&written.at, format!("`url_token` has {} active values, and {ACTIVE_SECRETS_MAX} is the most", active.len()));
        }
        if provider.needs_public_url && active.len() > 1 {
            let said = format!("`{}` signs its URL, and `url_token` is part of it, so it has one value", provider.slug);
            problems.error(&written.at, said);
        }
        // Compared while loading, where nobody measures.
        let ends_with = |path: &str| active.iter().any(|token| path.ends_with(&with_token("", token.value.text())));
        if let Some(link) = source.public_url.as_ref().filter(|link| ends_with(link.url.path())) {
            problems.error(&link.at, "`public_url` is written without the `url_token`, which is put behind it");
        }
        if provider.event.atoms().any(|atom| matches!(atom, Atom::Path | Atom::Url | Atom::Endpoint)) {
            let said = format!("`{}` takes what an event is from its URL, where a `url_token` would be seen", provider.slug);
            problems.error(&written.at, said);
        }
    }
    if let Some(networks) = &source.allow_ips {
        if networks.len() > ALLOWED_NETWORKS_MAX {
            problems.error(&networks.at, format!("`allow_ips` has {} networks, and {ALLOWED_NETWORKS_MAX} is the most", networks.len()));
        }
        if matches!(*config.server.tls, Tls::Upstream) && config.server.trusted_proxies.is_empty() {
            let said = "`allow_ips` sees the proxy's address only: `tls` is `upstream`, and no `trusted_proxies` are named";
            problems.warning(&networks.at, said);
        }
    }
    if let Some(asked) = &source.client_cert {
        let names = &asked.san;
        if names.len() > CLIENT_NAMES_MAX {
            problems.error(&names.at, format!("`san` has {} names, and {CLIENT_NAMES_MAX} is the most", names.len()));
        }
        if client_ca(config).is_none() {
            let said = format!("`{name}` asks for a client certificate, and `server.tls` names nobody who signs them");
            problems.error_hint(&asked.at, said, "add `client_ca: ca.pem` to `server.tls`, beside certificates of our own");
        }
    }
    Guard {
        url_tokens: active.iter().map(|token| UrlToken::new(&token.value.0, token.until.as_ref().map(|until| until.0))).collect(),
        allow_ips: source.allow_ips.as_ref().map(|networks| networks.iter().map(|network| network.value.0).collect()),
        client_names: source.client_cert.as_ref().map(|asked| asked.san.iter().map(|name| name.value.0.clone()).collect()),
    }
}

/// Until when the source takes what nothing proves. Whoever runs it is told each time, because it should not be forgotten.
pub(super) fn observe_until(config: &Config, name: &str, source: &Source, problems: &mut Problems) -> Option<UnixMs> {
    let written = source.observe_until.as_ref()?;
    let until = written.0;
    if until > config.read_at.after(OBSERVED_MAX) {
        let days = OBSERVED_MAX.as_secs() / (24 * 60 * 60);
        problems.error(&written.at, format!("`observe_until` is at most {days} days ahead, and this is {until}"));
    } else if until <= config.read_at {
        problems.warning(&written.at, format!("`observe_until` of `{name}` is past, and it enforces: leave it out"));
    } else {
        let said = format!("`{name}` ONLY OBSERVES until {until}: it accepts and delivers what nothing proves, and only counts it");
        problems.warning(&written.at, said);
    }
    Some(until)
}

/// Who signs the certificates that clients are asked for.
fn client_ca(config: &Config) -> Option<&Placed<PathBuf>> {
    match &config.server.tls.value {
        Tls::Own { client_ca, .. } => client_ca.as_ref(),
        Tls::None | Tls::Upstream => None,
    }
}

/// Warns of clients that are asked for a certificate which no source looks at: who wrote that may believe that it is demanded.
pub(super) fn asked_in_vain(config: &Config, problems: &mut Problems) {
    let unused = client_ca(config).filter(|_| !config.sources.0.iter().any(|(_, source)| source.client_cert.is_some()));
    if let Some(authorities) = unused {
        problems.warning(&authorities.at, "`client_ca` asks clients for a certificate and demands none, and no source has a `client_cert`");
    }
}

/// Refuses a source that anybody could ring, unless that is said. `proved` is whether its provider's checks prove anything.
pub(super) fn guarded(config: &Config, (name, source): (&str, &Source), provider: &Provider, proved: bool, problems: &mut Problems) {
    let allowed = &source.allow_unsigned;
    if proved {
        // Allowed for all sources, it is for those that need it.
        if **allowed && !config.is_inherited(&allowed.at) {
            let said = format!("`allow_unsigned` changes nothing: `{}` proves who rings, and `{name}` asks for that", provider.slug);
            problems.warning(&allowed.at, said);
        }
        return;
    }
    if source.url_token.is_some() || source.allow_ips.is_some() || source.client_cert.is_some() {
        return;
    }
    if **allowed {
        problems.warning(&allowed.at, format!("whoever knows its URL can ring at `{name}`: `{}` proves nothing", provider.slug));
        return;
    }
    problems.error_hint(
        source.provider_at(),
        format!("whoever knows its URL could ring at `{name}`: `{}` proves nothing", provider.slug),
        "guard it by `url_token`, `allow_ips` or `client_cert`, or write `allow_unsigned: true`",
    );
}

/// Methods besides `POST` that are taken as events. Where nothing but the body tells events apart, those without one are all the same, and
/// whoever allows such methods should know.
pub(super) fn methods(source: &Source, provider: &Provider, problems: &mut Problems) -> Box<[&'static str]> {
    let Some(allowed) = &source.allow_methods else { return Box::default() };
    let by_body = match &*source.dedup.by {
        DedupBy::Provider => provider.event.id.is_empty() && !provider.event.once && !provider.event.always_new,
        DedupBy::Body => true,
        DedupBy::None | DedupBy::Template(_) => false,
    };
    if let Some(bare) = allowed.iter().find(|method| by_body && method.is_bare()) {
        let said = "has usually no body, which is all that tells its events apart: the second would be a duplicate of the first";
        problems.warning(&bare.at, format!("a {} {said}; `dedup: none` takes each as new", bare.word()));
    }
    allowed.iter().map(|method| method.word()).collect()
}

/// Refuses a token that would make the path of another source, which would be found first.
pub(super) fn shadowed(config: &Config, taken: &HashMap<&str, (&str, &At)>, problems: &mut Problems) {
    for (key, source) in &config.sources.0 {
        for path in paths_of(&key.text, source) {
            for token in source.active_url_tokens(config.read_at) {
                // Both are paths that a request may come with.
                let Some((other, _)) = taken.get(&*with_token(&path, token.value.text())) else { continue };
                let said = format!("a `url_token` of `{}` behind its path makes the path of `{other}`, which goes first", key.text);
                problems.error_hint(&token.value.at, said, "take one that nobody guesses: `openssl rand -hex 32`");
            }
        }
    }
}
