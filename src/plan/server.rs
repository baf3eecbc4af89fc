//! The listeners, their limits, the store's settings, logs and egress.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;

use super::PemFile;
use crate::secret::Secret;

/// The public door.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The base under which providers reach it, without a trailing slash; `None` when nothing needs it.
    pub public_url: Option<url::Url>,
    /// Who ends TLS.
    pub tls: Tls,
    /// Peers whose `X-Forwarded-For` is believed, for the client address only.
    pub trusted_proxies: Vec<IpNet>,
    /// What a client may cost.
    pub limits: Limits,
    /// How it stops.
    pub shutdown: Shutdown,
}

/// Who ends TLS.
#[derive(Clone, Debug)]
pub enum Tls {
    /// Nobody: loopback only.
    None,
    /// A proxy in front.
    Upstream,
    /// We do.
    Own {
        /// The certificates, chosen by server name; the first is the default.
        certificates: Vec<Certificate>,
        /// A PEM file with the authorities whose client certificates are asked for; `None` asks nobody.
        client_ca: Option<PemFile>,
        /// The least version spoken.
        min_version: TlsVersion,
    },
}

/// A certificate chain and its key, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The chain, leaf first.
    pub cert: PemFile,
    /// The private key.
    pub key: PemFile,
}

/// A TLS version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V12,
    /// TLS 1.3.
    V13,
}

/// What a client may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a body, unless the source or its provider says otherwise.
    pub body: u64,
    /// Bytes of a body above which no source may go.
    pub body_max: u64,
    /// Bytes received and not yet answered, in all.
    pub in_flight: u64,
    /// The share of them one source may hold, in percent.
    pub in_flight_per_source: u32,
    /// Unverified requests one address may have under way.
    pub in_flight_per_ip: u32,
    /// How long a body may take, and 1 s more for each started MiB.
    pub body_time: Duration,
    /// Connections in all.
    pub connections: usize,
    /// From the last byte of the body to the answer.
    pub answer_within: Duration,
}

/// How the gateway stops.
#[derive(Clone, Debug)]
pub struct Shutdown {
    /// How long it goes on accepting after /readyz said no.
    pub delay: Duration,
    /// When it is over, whatever is still running.
    pub deadline: Duration,
}

/// The admin listener.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Who may; empty means one token is made at the first start.
    pub tokens: Vec<AdminToken>,
    /// `Host` values that are answered.
    pub hosts: Vec<String>,
}

/// One who may use the API.
#[derive(Clone, Debug)]
pub struct AdminToken {
    /// For the audit.
    pub name: String,
    /// What he may do.
    pub role: Role,
    /// What he shows.
    pub token: Secret,
}

/// What a token may do; each role may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Read,
    /// Act on deliveries.
    Operate,
    /// Everything.
    Admin,
}

/// The embedded store's settings.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// The database file.
    pub path: PathBuf,
    /// The directory of everything the gateway writes.
    pub data_dir: PathBuf,
    /// The least durability to start with; `None` takes any.
    pub durability: Option<Level>,
    /// How long things are kept.
    pub retention: Retention,
    /// Bytes the store may take: delivered events go early, then admits are refused.
    pub max_bytes: u64,
    /// Bytes of the file system that stay free.
    pub min_free_bytes: u64,
    /// How long to wait for another process to let go of the file.
    pub lock_wait: Duration,
}

/// How long things are kept after they are settled.
#[derive(Clone, Debug)]
pub struct Retention {
    /// Events whose deliveries all arrived.
    pub delivered: Duration,
    /// Events no route wanted.
    pub unrouted: Duration,
    /// Events with a delivery that an operator cancelled.
    pub cancelled: Duration,
    /// Events with a dead letter.
    pub dead: Duration,
    /// The bytes of delivered events, when shorter than the event itself.
    pub payload: Option<Duration>,
    /// Requests that were not proved; `None` keeps none.
    pub rejected: Option<Duration>,
}

/// What became of the deliveries of an event of which nothing is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// At least one arrived.
    pub delivered: bool,
    /// At least one was cancelled.
    pub cancelled: bool,
    /// At least one is a dead letter.
    pub dead: bool,
}

impl Outcomes {
    /// Whether all there were arrived.
    #[must_use]
    pub fn all_delivered(self) -> bool {
        self.delivered && !self.cancelled && !self.dead
    }
}

impl Retention {
    /// How long an event is kept from its last settlement on, or from its receipt when it had no delivery. A dead letter decides alone.
    #[must_use]
    pub fn kept(&self, outcomes: Outcomes) -> Duration {
        match outcomes {
            Outcomes { dead: true, .. } => self.dead,
            Outcomes { cancelled: true, delivered: true, .. } => self.cancelled.max(self.delivered),
            Outcomes { cancelled: true, .. } => self.cancelled,
            Outcomes { delivered: true, .. } => self.delivered,
            Outcomes { .. } => self.unrouted,
        }
    }

    /// The shortest time after which anything goes.
    #[must_use]
    pub fn shortest(&self) -> Duration {
        let events = self.delivered.min(self.unrouted).min(self.cancelled).min(self.dead);
        self.payload.map_or(events, |payload| payload.min(events))
    }
}

/// What is logged and how.
#[derive(Clone, Debug)]
pub struct Log {
    /// JSON or text.
    pub format: LogFormat,
    /// The least level.
    pub level: tracing::Level,
    /// Which requests.
    pub requests: LogWhat,
    /// Which attempts.
    pub attempts: LogWhat,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Which of a kind are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogWhat {
    /// Each.
    All,
    /// Those that went wrong: rejected requests, failed attempts.
    Failed,
    /// None.
    None,
}

/// Where deliveries may not go, judged on the connected address.
#[derive(Clone, Debug)]
pub struct Egress {
    /// Kinds of addresses that are refused.
    pub deny_classes: Vec<EgressClass>,
    /// Networks that are refused.
    pub deny_nets: Vec<IpNet>,
    /// Networks that are let through all the same.
    pub allow: Vec<IpNet>,
}

/// A kind of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EgressClass {
    /// 169.254.0.0/16, fe80::/10.
    LinkLocal,
    /// Addresses clouds serve credentials on: 169.254.169.254, fd00:ec2::254, 100.100.100.200, 168.63.129.16.
    Metadata,
    /// 0.0.0.0, ::.
    Unspecified,
    /// 127.0.0.0/8, ::1.
    Loopback,
    /// 10/8, 172.16/12, 192.168/16, 100.64/10, fc00::/7.
    Private,
    /// 224/4, ff00::/8, 255.255.255.255.
    Multicast,
}

/// What a 2xx survives. Named at start, in status and in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A process crash, on a file system that is thrown away.
    Ephemeral,
    /// A process crash, and a power loss if the disk honours flush.
    Embedded,
}

impl Level {
    /// The level as status and metrics show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ephemeral => "ephemeral",
            Self::Embedded => "embedded",
        }
    }
}
