//! `store`, `log` and `egress` as they are written.

use std::path::PathBuf;

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use super::{
    placed::{OneOrMany, Period, Placed, Size, Text},
    section::Section,
    values,
};
use crate::yaml::{Node, Problems, Value, off};

/// Keys of `store` that are not built yet.
pub(super) const PLANNED: [&str; 3] = ["prefix", "partitions", "spool"];

/// Where events and deliveries are kept.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Store {
    /// `sqlite` for hookgate.db under the data directory, or `sqlite:/abs/path.db`.
    pub url: Placed<StoreUrl>,
    /// The least durability to start with; `any` takes what there is.
    pub durability: Placed<Durability>,
    /// How long things are kept.
    pub retention: Retention,
    /// Bytes it may take: delivered events go early, oldest first; pending and dead ones never; when that is not enough, 503.
    pub max_size: Placed<Size>,
    /// Bytes of the file system that stay free.
    #[schemars(extend("x-off" = true))]
    pub min_free: Placed<Size>,
    /// How long a second process waits for the file before it gives up.
    pub lock_wait: Placed<Period>,
}

/// Which store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// SQLite under the data directory.
    Sqlite,
    /// SQLite in this file.
    SqliteAt(PathBuf),
}

impl Serialize for StoreUrl {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Sqlite => to.serialize_str("sqlite"),
            Self::SqliteAt(path) => to.collect_str(&format_args!("sqlite:{}", path.display())),
        }
    }
}

impl JsonSchema for StoreUrl {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StoreUrl".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^sqlite(:/.+)?$|\$\{" })
    }
}

/// What an acknowledged event survives, at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// Whatever the store gives.
    Any,
    /// A process crash, on a file system that is thrown away.
    Ephemeral,
    /// A process crash, and a power loss if the disk honours flush.
    Embedded,
}

/// How long things are kept after they are settled.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Retention {
    /// Events whose deliveries all arrived.
    pub delivered: Placed<Period>,
    /// Events no route wanted.
    pub unrouted: Placed<Period>,
    /// Events with a delivery that was cancelled.
    pub cancelled: Placed<Period>,
    /// Events with a dead letter.
    pub dead: Placed<Period>,
    /// The bytes of delivered events: `as delivered`, or less.
    pub payload: Placed<PayloadAge>,
    /// Requests that were not proved, in a file of their own; `none` keeps none.
    pub rejected: Placed<RejectedAge>,
}

/// How long a rejected request is kept, to be looked at and admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RejectedAge {
    /// Not at all.
    None,
    /// For so long, or until newer ones need the room.
    #[serde(untagged)]
    For(Period),
}

/// How long the bytes of a delivered event are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum PayloadAge {
    /// As long as the event.
    #[serde(rename = "as delivered")]
    AsDelivered,
    /// For so long.
    #[serde(untagged)]
    For(Period),
}

/// What is logged and how.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Log {
    /// `auto`: text on a terminal, else JSON lines.
    pub format: Placed<LogFormat>,
    /// The least level.
    pub level: Placed<LogLevel>,
    /// Which requests.
    pub requests: Placed<LogRequests>,
    /// Which attempts.
    pub attempts: Placed<LogAttempts>,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// The least level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// What went wrong.
    Error,
    /// And what may.
    Warn,
    /// And what happens.
    Info,
    /// And how.
    Debug,
    /// And everything else.
    Trace,
}

/// Which requests are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogRequests {
    /// Each.
    All,
    /// Those that were not accepted.
    Rejected,
    /// None.
    None,
}

/// Which attempts are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogAttempts {
    /// Each.
    All,
    /// Those that did not deliver.
    Failed,
    /// None.
    None,
}

/// Where deliveries may not go, judged on the connected address.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Egress {
    /// Kinds of addresses, and networks, that are refused.
    #[schemars(extend("x-off" = true))]
    pub deny: Placed<OneOrMany<Placed<Denied>>>,
    /// Networks that are let through all the same.
    #[schemars(extend("x-off" = true))]
    pub allow: Placed<OneOrMany<Placed<Text<IpNet>>>>,
}

/// What is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Denied {
    /// 169.254.0.0/16, fe80::/10.
    LinkLocal,
    /// Addresses clouds serve credentials on.
    Metadata,
    /// 0.0.0.0, ::.
    Unspecified,
    /// 127.0.0.0/8, ::1.
    Loopback,
    /// 10/8, 172.16/12, 192.168/16, 100.64/10, fc00::/7.
    Private,
    /// 224/4, ff00::/8, 255.255.255.255.
    Multicast,
    /// A network.
    #[serde(untagged)]
    Network(Text<IpNet>),
}

const DAY: u64 = 24 * 60 * 60;

impl Store {
    pub(super) fn read(node: &Node, problems: &mut Problems) -> Self {
        let mut section = Section::of(node, "`store`", problems);
        let read =
            Self {
                url: section.value("url", StoreUrl::Sqlite, store_url),
                durability: section.value("durability", Durability::Any, durability),
                retention: Retention::read(&section.part("retention"), section.problems),
                max_size: section.value("max_size", Size::gib(10), max_size),
                min_free: section.value("min_free", Size::gib(1), |node, what, problems| {
                    if off(node) { Some(Size(0)) } else { values::size(node, what, problems) }
                }),
                lock_wait: section.value("lock_wait", Period::secs(30), values::period),
            };
        section.planned(&PLANNED);
        section.finish();
        read
    }
}

fn max_size(node: &Node, what: &str, problems: &mut Problems) -> Option<Size> {
    let instead = "pending and dead deliveries would fill the disk: write a size it has room for, such as `100GiB`";
    if values::stays_on(node, what, instead, problems) { None } else { values::size(node, what, problems) }
}

fn store_url(node: &Node, what: &str, problems: &mut Problems) -> Option<StoreUrl> {
    let text = values::text(node, what, problems)?;
    if text == "sqlite" {
        return Some(StoreUrl::Sqlite);
    }
    if let Some(path) = text.strip_prefix("sqlite:") {
        if path.starts_with('/') {
            return Some(StoreUrl::SqliteAt(PathBuf::from(path)));
        }
        let hint = "write `sqlite:/abs/path.db`, or `sqlite` for hookgate.db under the data directory";
        problems.error_hint(&node.at, format!("{what} needs an absolute path"), hint);
        return None;
    }
    // The rest of a Redis URL may hold a password, so only the kind is named.
    if text.starts_with("redis") {
        problems.error_hint(&node.at, "a Redis store is planned and not built yet", "write `sqlite`");
    } else {
        problems.error(&node.at, format!("{what} is `sqlite` or `sqlite:/abs/path.db`"));
    }
    None
}

fn durability(node: &Node, what: &str, problems: &mut Problems) -> Option<Durability> {
    const LEVELS: [Durability; 3] = [Durability::Any, Durability::Ephemeral, Durability::Embedded];
    if let Value::Scalar { text, .. } = &node.value
        && text.starts_with("redis")
    {
        problems.error(&node.at, "the levels of a Redis store are planned and not built yet");
        return None;
    }
    values::choice(&LEVELS, node, what, problems)
}

impl Retention {
    fn read(node: &Node, problems: &mut Problems) -> Self {
        let mut section = Section::of(node, "`retention`", problems);
        let read = Self {
            delivered: section.value("delivered", Period::secs(3 * DAY), values::lasting),
            unrouted: section.value("unrouted", Period::secs(30 * DAY), values::lasting),
            cancelled: section.value("cancelled", Period::secs(3 * DAY), values::lasting),
            dead: section.value("dead", Period::secs(90 * DAY), values::lasting),
            payload: section.value("payload", PayloadAge::AsDelivered, |node, what, problems| match &node.value {
                Value::Scalar { text, .. } if text == "as delivered" => Some(PayloadAge::AsDelivered),
                _ => values::period(node, what, problems).map(PayloadAge::For),
            }),
            rejected: section.value("rejected", RejectedAge::For(Period::secs(DAY)), |node, what, problems| {
                if off(node) { Some(RejectedAge::None) } else { values::lasting(node, what, problems).map(RejectedAge::For) }
            }),
        };
        if let PayloadAge::For(age) = *read.payload
            && age > *read.delivered
        {
            let said = format!("`payload` ({age}) outlives `delivered` ({}), the events it belongs to", *read.delivered);
            section.problems.error_hint(&read.payload.at, said, "raise `delivered`, or leave `payload` out");
        }
        section.finish();
        read
    }
}

impl Log {
    pub(super) fn read(node: &Node, problems: &mut Problems) -> Self {
        const LEVELS: [LogLevel; 5] = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
        let mut section = Section::of(node, "`log`", problems);
        let read = Self {
            format: section.value("format", LogFormat::Auto, |node, what, problems| {
                values::choice(&[LogFormat::Auto, LogFormat::Json, LogFormat::Text], node, what, problems)
            }),
            level: section.value("level", LogLevel::Info, |node, what, problems| values::choice(&LEVELS, node, what, problems)),
            requests: section.value("requests", LogRequests::All, |node, what, problems| {
                values::choice(&[LogRequests::All, LogRequests::Rejected, LogRequests::None], node, what, problems)
            }),
            attempts: section.value("attempts", LogAttempts::Failed, |node, what, problems| {
                values::choice(&[LogAttempts::All, LogAttempts::Failed, LogAttempts::None], node, what, problems)
            }),
        };
        section.finish();
        read
    }
}

impl Egress {
    pub(super) fn read(node: &Node, problems: &mut Problems) -> Self {
        let instead = "write `deny: none` to let deliveries go everywhere, or leave it out";
        let nothing = Node::new(node.at.clone(), Value::Nothing);
        let node = if values::stays_on(node, "`egress`", instead, problems) { &nothing } else { node };
        let mut section = Section::of(node, "`egress`", problems);
        let read = Self {
            deny: section.many_or("deny", [Denied::LinkLocal, Denied::Metadata, Denied::Unspecified], denied),
            allow: section.many_or("allow", [], values::network),
        };
        section.finish();
        read
    }
}

fn denied(node: &Node, what: &str, problems: &mut Problems) -> Option<Denied> {
    use Denied::{LinkLocal, Loopback, Metadata, Multicast, Private, Unspecified};
    let text = values::text(node, what, problems)?;
    if text.contains(['/', ':']) || text.starts_with(|c: char| c.is_ascii_digit()) {
        return values::network(node, what, problems).map(Denied::Network);
    }
    values::choice(&[LinkLocal, Metadata, Unspecified, Loopback, Private, Multicast], node, what, problems)
}
