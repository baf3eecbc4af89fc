//! `server` and `monitor`: the public door as it is written.

use std::{net::SocketAddr, path::PathBuf};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    placed::{Link, OneOrMany, Period, Placed, Share, Size, Text},
    section::Section,
    values,
};
use crate::yaml::{Node, Problems, Value, as_list, off};

/// The public door.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Server {
    /// Where it listens: an IP address and a port. Off loopback, `tls` must be written out.
    pub listen: Placed<Text<SocketAddr>>,
    /// The base URL under which providers reach it. Needed where a provider signs its URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-off" = true))]
    pub public_url: Option<Placed<Link>>,
    /// Who ends TLS: certificates of our own, or `upstream` when a proxy in front does.
    #[schemars(with = "TlsForm")]
    pub tls: Placed<Tls>,
    /// Networks of proxies whose `X-Forwarded-For` is believed, for the client address only, never for URLs.
    #[schemars(extend("x-off" = true))]
    pub trusted_proxies: Placed<OneOrMany<Placed<Text<IpNet>>>>,
    /// What a client may cost.
    pub limits: Limits,
    /// How the gateway stops.
    pub shutdown: Shutdown,
}

/// Keys of `server`, and of its `tls`, that are not built yet.
pub(super) const PLANNED: [&str; 1] = ["proxy_protocol"];
pub(super) const TLS_PLANNED: [&str; 1] = ["acme"];

/// Who ends TLS.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// Nobody: loopback only.
    None,
    /// A proxy in front.
    Upstream,
    /// We do.
    #[serde(untagged)]
    Own {
        /// Certificates, chosen by server name; the first is the default.
        certs: Vec<Certificate>,
        /// Who signs the certificates that clients are asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        client_ca: Option<Placed<PathBuf>>,
        /// The least version spoken.
        min_version: Placed<TlsVersion>,
    },
}

/// What may stand under `tls`, for editors.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes what is written, and is never made")]
enum TlsForm {
    Word(TlsWord),
    Own {
        /// A PEM file with the chain, leaf first. With `key`, short for one entry of `certs`.
        cert: PathBuf,
        /// The PEM file of its private key.
        key: PathBuf,
        /// Certificates, chosen by server name; the first is the default.
        certs: Vec<Certificate>,
        /// A PEM file with the authorities that sign client certificates. A client is asked for one and need not have any: what a source
        /// demands stands in its `client_cert`.
        #[schemars(extend("x-off" = true))]
        client_ca: PathBuf,
        /// The least version spoken.
        min_version: TlsVersion,
    },
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(dead_code, reason = "it describes what is written, and is never made")]
enum TlsWord {
    None,
    Upstream,
}

/// A certificate chain and its key.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(extend("x-required" = ["cert", "key"]))]
pub struct Certificate {
    /// A PEM file with the chain, leaf first.
    pub cert: Placed<PathBuf>,
    /// The PEM file of its private key.
    pub key: Placed<PathBuf>,
}

/// A TLS version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[serde(rename = "1.2")]
    V12,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    V13,
}

/// What a client may cost.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Limits {
    /// Bytes of a body, unless the source or its provider says otherwise.
    pub body: Placed<Size>,
    /// Bytes of a body above which no source may go.
    pub body_max: Placed<Size>,
    /// Bytes received and not yet answered, over all requests.
    pub in_flight: Placed<Size>,
    /// The share of `in_flight` one source may hold.
    pub in_flight_per_source: Placed<Share>,
    /// Unverified requests one client address may have under way.
    pub in_flight_per_ip: Placed<u32>,
    /// How long a body may take to arrive, and 1 s more for each started MiB.
    pub body_time: Placed<Period>,
    /// Connections in all.
    pub connections: Placed<u32>,
    /// From the last byte of the body to the answer. A provider file may ask for less.
    pub answer_within: Placed<Period>,
}

/// How the gateway stops.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Shutdown {
    /// How long it goes on accepting after /readyz said no.
    #[schemars(extend("x-off" = true))]
    pub delay: Placed<Period>,
    /// When it is over, whatever is still running.
    pub deadline: Placed<Period>,
}

/// /livez, /readyz and /metrics on a listener of their own: no payloads, no token.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Monitor {
    /// Where it listens, or `none`.
    pub listen: Placed<Listen>,
}

/// A listener that may be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Listen {
    /// There is none.
    None,
    /// Where it listens.
    #[serde(untagged)]
    At(Text<SocketAddr>),
}

impl Server {
    pub(super) fn read(node: &Node, problems: &mut Problems) -> Self {
        let mut section = Section::of(node, "`server`", problems);
        let read = Self {
            listen: section.value("listen", Text(SocketAddr::from(([127, 0, 0, 1], 8080))), values::address),
            public_url: section.unless_off("public_url", base),
            tls: section.value("tls", Tls::None, tls),
            trusted_proxies: section.many_or("trusted_proxies", [], values::network),
            limits: Limits::read(&section.part("limits"), section.problems),
            shutdown: Shutdown::read(&section.part("shutdown"), section.problems),
        };
        section.planned(&PLANNED);
        section.finish();
        read
    }
}

/// A URL that others are built on: nothing may follow its path.
fn base(node: &Node, what: &str, problems: &mut Problems) -> Option<Link> {
    let link = values::link(node, what, problems)?;
    if link.url.query().is_some() {
        problems.error(&node.at, format!("{what} has a query, and the paths of sources are put behind it"));
        return None;
    }
    Some(link)
}

fn tls(node: &Node, what: &str, problems: &mut Problems) -> Option<Tls> {
    if off(node) {
        return Some(Tls::None);
    }
    if let Value::Scalar { text, .. } = &node.value {
        if text == "upstream" {
            return Some(Tls::Upstream);
        }
        let said = format!("{what} is `upstream`, `none` or a mapping, and this is {}", values::shown(node, text));
        problems.error_hint(&node.at, said, "certificates of our own are written `{ cert: chain.pem, key: key.pem }`");
        return None;
    }
    let mut section = Section::of(node, what, problems);
    let cert = section.optional("cert", values::path);
    let key = section.optional("key", values::path);
    let listed = section.node("certs");
    let min_version = section.value("min_version", TlsVersion::V12, |node, what, problems| {
        values::choice(&[TlsVersion::V12, TlsVersion::V13], node, what, problems)
    });
    let client_ca = section.unless_off("client_ca", values::path);
    section.planned(&TLS_PLANNED);
    let problems = &mut *section.problems;
    let mut certs = Vec::new();
    match (cert, key) {
        (Some(cert), Some(key)) => certs.push(Certificate { cert, key }),
        (None, None) => {}
        (Some(_), None) => problems.error(&node.at, "a `cert` needs its `key`"),
        (None, Some(_)) => problems.error(&node.at, "a `key` needs its `cert`"),
    }
    certs.extend(listed.map(as_list).unwrap_or_default().iter().filter_map(|item| certificate(item, problems)));
    // With `acme` there would be one; that is refused as planned.
    if certs.is_empty() && node.get("acme").is_none() && !problems.blames(&node.at) {
        problems.error_hint(&node.at, format!("{what} names no certificate"), "write `{ cert: chain.pem, key: key.pem }`, or `upstream`");
    }
    section.finish();
    Some(Tls::Own { certs, client_ca, min_version })
}

fn certificate(node: &Node, problems: &mut Problems) -> Option<Certificate> {
    let mut section = Section::of(node, "a certificate", problems);
    let cert = section.needed("cert", values::path);
    let key = section.needed("key", values::path);
    section.finish();
    Some(Certificate { cert: cert?, key: key? })
}

impl Limits {
    fn read(node: &Node, problems: &mut Problems) -> Self {
        /// Connections whose two descriptors each a process can be given.
        const CONNECTIONS_MAX: u32 = 500_000;
        let mut section = Section::of(node, "`limits`", problems);
        let read = Self {
            body: section.value("body", Size::mib(1), values::size),
            body_max: section.value("body_max", Size::mib(32), values::size),
            in_flight: section.value("in_flight", Size::mib(256), values::size),
            in_flight_per_source: section.value("in_flight_per_source", Share(25), values::share),
            in_flight_per_ip: section.value("in_flight_per_ip", 16, |node, what, problems| values::count(node, what, 1, 100_000, problems)),
            body_time: section.value("body_time", Period::secs(10), values::lasting),
            connections: section
                .value("connections", 10_000, |node, what, problems| values::count(node, what, 1, CONNECTIONS_MAX, problems)),
            answer_within: section.value("answer_within", Period(std::time::Duration::from_millis(2500)), values::lasting),
        };
        section.finish();
        read
    }
}

impl Shutdown {
    fn read(node: &Node, problems: &mut Problems) -> Self {
        let mut section = Section::of(node, "`shutdown`", problems);
        let read = Self {
            delay: section.value("delay", Period::secs(0), |node, what, problems| {
                if off(node) { Some(Period::secs(0)) } else { values::period(node, what, problems) }
            }),
            deadline: section.value("deadline", Period::secs(10), values::lasting),
        };
        section.finish();
        read
    }
}

impl Monitor {
    pub(super) fn read(node: &Node, problems: &mut Problems) -> Self {
        // `monitor: none` is the mapping with nothing in it.
        let empty = Node::new(node.at.clone(), Value::Nothing);
        let mut section = Section::of(if off(node) { &empty } else { node }, "`monitor`", problems);
        let listen = section.value("listen", Listen::None, |node, what, problems| {
            if off(node) { Some(Listen::None) } else { values::address(node, what, problems).map(Listen::At) }
        });
        section.finish();
        Self { listen }
    }
}
