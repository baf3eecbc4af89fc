//! Targets: what can be asked, how, and how often.

use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use http::{HeaderName, HeaderValue};

use super::server::pem;
use crate::{
    config::{self, Attempts, Config, GiveUp, Named, Placed, RateLimit, Status},
    limits,
    name::TargetName,
    plan::{Auth, BreakerPolicy, ClientTls, Egress, RampPolicy, Rate, RetryPolicy, StatusPattern, Target},
    provider,
    verify::OrderBy,
    yaml::Problems,
};

/// Headers that belong to one connection or to the message's framing (RFC 9110, 7.6.1 and 7.8), and those the client itself writes.
const NOT_OURS_TO_GIVE: [&str; 13] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "expect",
    "host",
    "via",
];
/// What our own headers begin with.
const OURS: &str = "hookgate-";

/// All targets that could be read.
pub(super) fn targets(config: &Config, egress: &Egress, problems: &mut Problems) -> BTreeMap<TargetName, Arc<Target>> {
    let mut old_names = HashSet::new();
    let compiled = config.targets.0.iter().filter_map(|(key, written)| {
        let formerly = formerly(config, written, &mut old_names, problems);
        let target = target(config, (TargetName::parse(&key.text), written), egress, problems)?;
        Some((target.name.clone(), Arc::new(Target { formerly, ..target })))
    });
    compiled.collect()
}

/// The names a target had before. Each is one target's only, and none that a target has now.
fn formerly(config: &Config, written: &config::Target, taken: &mut HashSet<TargetName>, problems: &mut Problems) -> Vec<TargetName> {
    let mut names = Vec::new();
    for old in &written.formerly.0 {
        let fault = match TargetName::parse(old) {
            None => "cannot be a target's name",
            Some(_) if config.targets.names().any(|name| name == old.as_str()) => "is a target of its own: what waits for it is its own",
            Some(name) if taken.insert(name.clone()) => {
                names.push(name);
                continue;
            }
            Some(_) => "is an old name already: what waits for it can be carried over once",
        };
        problems.error(&old.at, format!("{} in `formerly` {fault}", old.shown()));
    }
    names
}

/// One target. Everything is judged before anything is missed, so that all of its mistakes are told.
fn target(
    config: &Config,
    (name, written): (Option<TargetName>, &config::Target),
    egress: &Egress,
    problems: &mut Problems,
) -> Option<Target> {
    let url = url(written, egress, problems);
    let headers = headers(&written.headers, written.auth.is_some(), problems);
    let auth = written.auth.as_ref().and_then(|auth| show_who(auth, problems));
    let tls = tls(config, written, problems);
    let retry = retry(&written.retry, problems);
    let order_by = written.order_by.as_ref().and_then(|by| order_by(by, problems));
    let rate = |rate: &config::Rate| Rate { count: rate.count, per: rate.per() };
    let rate_limit = match &*written.rate_limit {
        RateLimit::None => None,
        RateLimit::AtMost(limit) => Some(rate(limit)),
    };
    if written.timeout.0 > limits::TIMEOUT_MAX {
        problems.error(&written.timeout.at, format!("`timeout` is at most {}s", limits::TIMEOUT_MAX.as_secs()));
    }
    let is_own = |at| !config.is_inherited(at);
    if written.connect_timeout.0 > written.timeout.0 && is_own(&written.connect_timeout.at) {
        let said = format!("`connect_timeout` ({}) is longer than `timeout` ({})", *written.connect_timeout, *written.timeout);
        problems.error(&written.connect_timeout.at, said);
    }
    Some(Target {
        name: name?,
        url: url?,
        method: match *written.method {
            config::Method::Post => http::Method::POST,
            config::Method::Put => http::Method::PUT,
            config::Method::Patch => http::Method::PATCH,
        },
        headers,
        auth,
        tls,
        timeout: written.timeout.0,
        connect_timeout: written.connect_timeout.0.min(written.timeout.0),
        concurrency: *written.concurrency,
        rate_limit,
        retry,
        breaker: written.breaker.as_ref().map(breaker),
        order_by,
        disabled: *written.disabled,
        formerly: Vec::new(),
    })
}

/// Where it listens; an address that stands there is held against the egress rules now, a name when it is resolved.
fn url(written: &config::Target, egress: &Egress, problems: &mut Problems) -> Option<url::Url> {
    let link = written.url.as_ref()?;
    let address: Option<IpAddr> = match link.url.host() {
        Some(url::Host::Ipv4(address)) => Some(address.into()),
        Some(url::Host::Ipv6(address)) => Some(address.into()),
        Some(url::Host::Domain(_)) | None => None,
    };
    if let Some(refusal) = address.and_then(|address| egress.refusal(address)) {
        problems.error(&link.at, format!("no delivery may go there: {refusal}"));
    }
    Some(link.url.clone())
}

fn headers(written: &Named<config::HeaderText>, authorized: bool, problems: &mut Problems) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (key, text) in &written.0 {
        let Ok(name) = HeaderName::from_bytes(key.text.as_bytes()) else {
            problems.error(&key.at, format!("`{}` cannot be a header's name", key.text.escape_debug()));
            continue;
        };
        let fault = if name.as_str().starts_with(OURS) {
            Some("is one of those we write ourselves")
        } else if NOT_OURS_TO_GIVE.contains(&name.as_str()) {
            Some("belongs to the connection, and is written by the client")
        } else if name == http::header::AUTHORIZATION && authorized {
            Some("is what `auth` writes already")
        } else if headers.iter().any(|(other, _)| *other == name) {
            Some("is written twice: case makes no difference")
        } else {
            None
        };
        if let Some(fault) = fault {
            problems.error(&key.at, format!("the header `{name}` {fault}"));
            continue;
        }
        // The bytes go into the value and nowhere else; its `Debug` is told to stay silent.
        match HeaderValue::from_bytes(text.value.reveal()) {
            Ok(mut value) => {
                value.set_sensitive(!text.open);
                headers.push((name, value));
            }
            Err(_) => problems.error(&text.at, format!("the header `{name}` holds a character no header may, such as a line break")),
        }
    }
    headers
}

fn show_who(written: &config::Auth, problems: &mut Problems) -> Option<Auth> {
    let (auth, at, what) = match (&written.bearer, &written.basic) {
        (Some(bearer), None) => (Auth::Bearer(bearer.0.clone()), &bearer.at, "`bearer`"),
        (None, Some(basic)) => (Auth::Basic(basic.0.clone()), &basic.at, "`basic`"),
        // Both, or neither, were reported where they were read.
        (Some(_), Some(_)) | (None, None) => return None,
    };
    let (Auth::Bearer(secret) | Auth::Basic(secret)) = &auth;
    // Only the shape is looked at; the bytes stay where they are.
    let bytes = secret.reveal();
    let fault = match &auth {
        Auth::Bearer(_) if bytes.iter().any(|byte| !byte.is_ascii_graphic()) => {
            "holds a character no token may, such as a blank or a line break"
        }
        Auth::Basic(_) if bytes.iter().any(u8::is_ascii_control) => "holds a control character, such as a line break",
        Auth::Basic(_) if !bytes.contains(&b':') => "is written `user:password`",
        Auth::Bearer(_) | Auth::Basic(_) => return Some(auth),
    };
    problems.error(at, format!("{what} {fault}"));
    None
}

fn tls(config: &Config, written: &config::Target, problems: &mut Problems) -> ClientTls {
    let Some(tls) = &written.tls else { return ClientTls::default() };
    if tls.cert.is_some() != tls.key.is_some() {
        problems.error(&tls.at, "`cert` and `key` go together");
    }
    if let Some(link) = &written.url
        && link.url.scheme() == "http"
    {
        if config.is_inherited(&tls.at) {
            return ClientTls::default();
        }
        problems.error_hint(&tls.at, "`tls` says nothing about an http URL", "write https, or leave `tls` out");
    }
    ClientTls { ca: tls.ca.as_ref().map(pem), cert: tls.cert.as_ref().map(pem), key: tls.key.as_ref().map(pem) }
}

fn order_by(written: &Placed<Box<str>>, problems: &mut Problems) -> Option<OrderBy> {
    // What was to be inserted into it has been told.
    if problems.blames(&written.at) {
        return None;
    }
    let read = provider::order(&written.value);
    read.map(OrderBy::compile).map_err(|wrong| problems.error(&written.at, format!("`order_by` {wrong}"))).ok()
}

fn breaker(written: &config::Breaker) -> BreakerPolicy {
    BreakerPolicy {
        consecutive: *written.consecutive,
        failure_percent: written.failure_rate.0,
        window: written.window.0,
        min_attempts: *written.min_attempts,
        open_for: written.open_for.0,
        open_for_max: written.open_for_max.0,
        ramp: written.ramp.as_ref().map(|ramp| RampPolicy { per_second: ramp.from.count, double_every: ramp.double_every.0 }),
    }
}

fn retry(written: &config::Retry, problems: &mut Problems) -> RetryPolicy {
    let day = limits::BACKOFF_MAX;
    if written.max.0 > day {
        problems.error(&written.max.at, "`max` is at most 24h: a longer delay is taken for a clock that ran ahead");
    }
    if written.retry_after_max.0 > day {
        problems.error(&written.retry_after_max.at, "`retry_after_max` is at most 24h");
    }
    if written.first.0 > written.max.0 {
        let said = format!("`first` ({}) is longer than `max` ({})", *written.first, *written.max);
        problems.error(&written.first.at, said);
    }
    RetryPolicy {
        first: written.first.0,
        factor: *written.factor,
        max: written.max.0,
        give_up_after: match *written.give_up_after {
            GiveUp::None => None,
            GiveUp::After(age) => Some(age.0).filter(|age| *age > Duration::ZERO),
        },
        attempts: match *written.attempts {
            Attempts::Unlimited => None,
            Attempts::AtMost(count) => Some(count),
        },
        retry_after_max: written.retry_after_max.0,
        dead_on: written
            .dead_on
            .iter()
            .map(|status| match status.value {
                Status::Exact(status) => StatusPattern::Exact(status),
                Status::Class(digit) => StatusPattern::Class(digit),
            })
            .collect(),
    }
}
