//! The listeners and what a client may cost.

use std::{net::SocketAddr, path::PathBuf};

use crate::{
    config::{self, Config, Listen, Placed},
    plan::{Admin, AdminToken, Certificate, Limits, PemFile, Role, Server, Shutdown, Tls, TlsVersion},
    yaml::{At, Problems},
};

/// The longest a provider may be kept waiting: beyond it every one of them has hung up.
const ANSWER_WITHIN_MAX_SECS: u64 = 30;
/// The largest body a configuration may allow, in bytes: it is held in memory whole.
const BODY_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The public door.
pub(super) fn server(written: &config::Server, problems: &mut Problems) -> Server {
    let tls = match &written.tls.value {
        config::Tls::None => Tls::None,
        config::Tls::Upstream => Tls::Upstream,
        config::Tls::Own { certs, client_ca, min_version } => Tls::Own {
            certificates: certs.iter().map(|one| Certificate { cert: pem(&one.cert), key: pem(&one.key) }).collect(),
            client_ca: client_ca.as_ref().map(pem),
            min_version: match **min_version {
                config::TlsVersion::V12 => TlsVersion::V12,
                config::TlsVersion::V13 => TlsVersion::V13,
            },
        },
    };
    if !written.listen.ip().is_loopback() && matches!(tls, Tls::None) {
        let place = if written.tls.written { &written.tls.at } else { &written.listen.at };
        let said = format!("`listen` is {}, which is not loopback, and nobody ends TLS there", **written.listen);
        problems.error_hint(place, said, "write `tls: { cert: chain.pem, key: key.pem }`, or `tls: upstream` behind a proxy that does");
    }
    Server {
        listen: **written.listen,
        public_url: written.public_url.as_ref().map(|link| without_slash(&link.url)),
        tls,
        trusted_proxies: written.trusted_proxies.iter().map(|network| *network.value).collect(),
        limits: limits(&written.limits, problems),
        shutdown: Shutdown { delay: written.shutdown.delay.0, deadline: written.shutdown.deadline.0 },
    }
}

/// A file with its place, so that what is wrong with it is told with that.
pub(super) fn pem(written: &Placed<PathBuf>) -> PemFile {
    PemFile { path: written.value.clone(), at: Some(written.at.clone()) }
}

/// A base URL without slashes at its end, as far as a URL can be.
fn without_slash(url: &url::Url) -> url::Url {
    let mut url = url.clone();
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    url
}

fn limits(written: &config::Limits, problems: &mut Problems) -> Limits {
    let (body, body_max, in_flight) = (written.body.0, written.body_max.0, written.in_flight.0);
    if body_max > BODY_BYTES_MAX || body_max == 0 {
        problems.error(&written.body_max.at, "`body_max` is at least 1B and at most 256MiB: a body is held in memory whole");
    }
    if body > body_max {
        let said = format!("`body` ({}) is more than `body_max` ({})", *written.body, *written.body_max);
        problems.error_hint(&written.body.at, said, "raise `body_max` with it");
    }
    if body == 0 {
        problems.error(&written.body.at, "`body` is longer than nothing");
    }
    if in_flight < body_max {
        let said = format!("`in_flight` ({}) has no room for one body of `body_max` ({})", *written.in_flight, *written.body_max);
        problems.error(&written.in_flight.at, said);
    }
    if written.answer_within.0.as_secs() > ANSWER_WITHIN_MAX_SECS {
        problems
            .error(&written.answer_within.at, format!("`answer_within` is at most {ANSWER_WITHIN_MAX_SECS}s: no provider waits longer"));
    }
    Limits {
        body,
        body_max,
        in_flight,
        in_flight_per_source: written.in_flight_per_source.0,
        in_flight_per_ip: *written.in_flight_per_ip,
        body_time: written.body_time.0,
        connections: usize::try_from(*written.connections).unwrap_or(usize::MAX),
        answer_within: written.answer_within.0,
    }
}

/// Where the probes are served without a token.
pub(super) fn monitor(written: &config::Monitor) -> Option<SocketAddr> {
    match *written.listen {
        Listen::None => None,
        Listen::At(address) => Some(*address),
    }
}

/// The admin listener.
pub(super) fn admin(written: &config::Admin, problems: &mut Problems) -> Admin {
    let mut tokens: Vec<AdminToken> = Vec::new();
    let mut add = |at: &At, token: AdminToken| {
        if tokens.iter().any(|other| other.name == token.name) {
            problems.error(at, format!("there are two tokens of the name `{}`", token.name.escape_debug()));
        } else if let Some(other) = tokens.iter().find(|other| other.token == token.token) {
            problems.error(at, format!("the tokens `{}` and `{}` are the same", other.name.escape_debug(), token.name.escape_debug()));
        } else {
            tokens.push(token);
        }
    };
    if let Some(short) = &written.token {
        add(&short.at, AdminToken { name: "admin".to_owned(), role: Role::Admin, token: short.0.clone() });
    }
    for one in &written.tokens {
        let role = match *one.role {
            config::Role::Read => Role::Read,
            config::Role::Operate => Role::Operate,
            config::Role::Admin => Role::Admin,
        };
        add(&one.name.at, AdminToken { name: one.name.value.clone(), role, token: one.token.0.clone() });
    }
    Admin { listen: **written.listen, tokens, hosts: written.hosts.iter().map(|host| host.value.clone()).collect() }
}

/// Refuses two listeners on one address: the second could not be opened, which is better said before the first is.
pub(super) fn listeners(config: &Config, problems: &mut Problems) {
    let mut listeners = vec![("server", &config.server.listen.at, **config.server.listen)];
    if let Listen::At(address) = *config.monitor.listen {
        listeners.push(("monitor", &config.monitor.listen.at, *address));
    }
    listeners.push(("admin", &config.admin.listen.at, **config.admin.listen));
    for (index, (name, at, address)) in listeners.iter().enumerate() {
        let same = |other: &SocketAddr| other.port() == address.port() && other.port() != 0 && overlap(*other, *address);
        if let Some((first, _, _)) = listeners.iter().take(index).find(|(_, _, other)| same(other)) {
            problems.error(at, format!("`{name}.listen` is {address}, where `{first}` listens already"));
        }
    }
}

/// Whether two addresses of one port are the same, or one of them is all addresses of the other's kind.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    one.ip() == other.ip() || (one.is_ipv4() == other.is_ipv4() && (one.ip().is_unspecified() || other.ip().is_unspecified()))
}
