//! What was written: the configuration file, its included files, what they take from the environment, and every mistake in them at once.
//!
//! Reading goes in steps, each a function of the one before: [`load`] finds the file and builds one tree (parse, insert `${...}`, include,
//! environment over file, defaults), and [`Config::read`] takes the tree apart into values that know their places. Nothing is resolved
//! here: whether a name, a provider or an address makes sense is for `plan` to judge. Promises: no message and no listing shows a
//! credential or free text that came from the environment; the schema, the listing and the reader know the same keys.

mod admin;
mod alerts;
mod answers;
mod breaker;
mod credential;
mod dedup;
mod header;
mod inline;
mod interpolate;
mod load;
mod method;
mod overrides;
mod placed;
mod providers;
mod rate;
mod retry;
mod route;
mod schema;
mod section;
mod server;
mod source;
mod store;
mod surroundings;
mod switch;
mod target;
mod values;

use std::{collections::HashSet, path::PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

pub use admin::{Admin, Role, Token};
pub use alerts::Alerts;
pub use answers::{Body, OnReject, Respond};
pub use breaker::{Breaker, Ramp};
pub use credential::Credential;
pub(crate) use credential::warn_if_short;
pub use dedup::{Dedup, DedupBy, OnRepeat, Window};
pub use header::HeaderText;
pub use inline::Inline;
pub use load::{Located, load, locate};
pub use method::EventMethod;
pub use placed::{Guarded, Link, Named, OneOrMany, Period, Placed, Share, Size, Text};
pub use providers::catalogue;
pub use rate::{Rate, RateLimit};
pub use retry::{Attempts, GiveUp, Jitter, Retry, Status};
pub use route::Route;
pub use schema::schema;
pub use server::{Certificate, Limits, Listen, Monitor, Server, Shutdown, Tls, TlsVersion};
pub use source::{BodyLimit, ClientCert, Expected, Source, Tolerance, Unrouted};
pub use store::{
    Denied, Durability, Egress, Log, LogAttempts, LogFormat, LogLevel, LogRequests, PayloadAge, RejectedAge, Retention, Store, StoreUrl,
};
pub use surroundings::{Asked, Contents, Surroundings};
pub use switch::OrNone;
pub use target::{Auth, Kind, Method, Target, TargetTls};

use crate::{
    clock::UnixMs,
    yaml::{self, At, Node, Problems, Value, as_list, off},
};
use section::Section;

/// The configuration as written, with its defaults.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Config {
    /// Where it begins.
    #[serde(skip)]
    #[schemars(skip)]
    pub at: At,
    /// When it was read, for what is good until a date.
    #[serde(skip)]
    #[schemars(skip)]
    pub read_at: UnixMs,
    /// The version of this format.
    pub version: Placed<u32>,
    /// Further files, as globs relative to this one: sources, targets, routes and defaults only.
    #[serde(skip_serializing)]
    #[schemars(extend("x-off" = true))]
    pub include: OneOrMany<String>,
    /// Where the gateway writes. Left out: HOOKGATE_DATA_DIR, else systemd's STATE_DIRECTORY, else ./hookgate-data.
    pub data_dir: Placed<PathBuf>,
    /// A directory of provider files of the user's own, `<provider>.yaml` each: read at the start, beside those that come with hookgate.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-off" = true))]
    pub providers_dir: Option<Placed<PathBuf>>,
    /// The public door.
    pub server: Server,
    /// /livez, /readyz and /metrics on a listener of their own: no payloads, no token.
    #[schemars(extend("x-off" = true))]
    pub monitor: Monitor,
    /// The API, and the three of `monitor`.
    pub admin: Admin,
    /// Where events and deliveries are kept.
    pub store: Store,
    /// What is logged and how.
    pub log: Log,
    /// Where deliveries may not go, judged on the connected address.
    pub egress: Egress,
    /// Who is told of what, without having asked. Left out, or `none`: nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-off" = true))]
    pub alerts: Option<Alerts>,
    /// What every source or target has that does not say otherwise, key by key.
    #[serde(skip_serializing)]
    #[schemars(schema_with = "schema::defaults")]
    pub defaults: Defaults,
    /// Configured intakes by name.
    #[schemars(extend("x-off" = true))]
    pub sources: Named<Source>,
    /// Configured receivers of events by name.
    #[schemars(extend("x-off" = true))]
    pub targets: Named<Target>,
    /// Who gets what. Every rule that matches applies, in this order.
    #[schemars(extend("x-off" = true))]
    pub routes: Vec<Route>,
}

/// Where the values stand that sources and targets have from `defaults`.
#[derive(Debug, Default)]
pub struct Defaults(HashSet<At>);

impl Config {
    /// Takes a whole tree apart. What is wrong is noted, and replaced by its default, so that everything else can still be judged.
    fn read(root: &Node, data_dir: PathBuf, read_at: UnixMs, problems: &mut Problems) -> Self {
        let mut section = Section::of(root, "the configuration", problems);
        let version = section.value("version", 1, |node, what, problems| values::count(node, what, 1, 1, problems));
        let include = section.many("include", values::string).map(|found| OneOrMany(found.iter().map(|one| one.value.clone()).collect()));
        let mut data_dir = section.value("data_dir", data_dir, values::path);
        // Where the gateway writes is no secret, and is wanted in a listing most when something else decided it.
        data_dir.hidden = false;
        let providers_dir = section.unless_off("providers_dir", values::path);
        let server = Server::read(&section.part("server"), section.problems);
        let monitor = Monitor::read(&section.part("monitor"), section.problems);
        let admin = Admin::read(&section.part("admin"), section.problems);
        let store = Store::read(&section.part("store"), section.problems);
        let log = Log::read(&section.part("log"), section.problems);
        let egress = Egress::read(&section.part("egress"), section.problems);
        let alerts = section.node("alerts").filter(|node| !off(node)).map(|node| Alerts::read(node, section.problems));
        let inherited = Defaults::read(&section.part_unless_off("defaults"), section.problems);
        let sources = named(&section.part("sources"), "sources", Source::read, section.problems);
        let targets = named(&section.part("targets"), "targets", Target::read, section.problems);
        let routes = routes(&section.part("routes"), section.problems);
        section.planned(&["reload"]);
        section.finish();
        let include = include.unwrap_or_default();
        Self {
            at: root.at.clone(),
            read_at,
            version,
            include,
            data_dir,
            providers_dir,
            server,
            monitor,
            admin,
            store,
            log,
            egress,
            alerts,
            defaults: inherited,
            sources,
            targets,
            routes,
        }
    }

    /// Whether what was written there came from `defaults`: what does not fit a source or a target is then no mistake of its own.
    #[must_use]
    pub fn is_inherited(&self, at: &At) -> bool {
        self.defaults.0.contains(at)
    }

    /// The whole configuration as it is in force, as YAML: includes and defaults worked in, credentials as fingerprints.
    #[must_use]
    pub fn listing(&self) -> String {
        // JSON text keeps the order of the fields, which a JSON tree does not; and JSON is YAML.
        let json = serde_json::to_string(self).unwrap_or_default();
        let tree = yaml::parse_own(&"listing".into(), &json, &mut Problems::new());
        tree.map(|tree| yaml::write(&tree)).unwrap_or_default()
    }
}

/// Things by name. A name that cannot be one is reported, and stays, so that whoever names it is not told that it is unknown.
fn named<T>(node: &Node, what: &str, read: fn(&Node, &mut Problems) -> T, problems: &mut Problems) -> Named<T> {
    let entries = match &node.value {
        Value::Map(entries) => entries,
        _ if off(node) => return Named::default(),
        Value::Nothing => return Named::default(),
        Value::Null | Value::Scalar { .. } | Value::List(_) => {
            problems.error(&node.at, format!("`{what}` is a mapping of names, and this is {}", node.kind()));
            return Named::default();
        }
    };
    let (mut found, mut seen) = (Named::default(), HashSet::new());
    for (key, node) in entries {
        // The kind of name does not matter here: all have one rule.
        if crate::name::TargetName::parse(&key.text).is_none() {
            let hint = "a name begins with a-z, goes on with a-z, 0-9 and `-`, and has at most 63 characters";
            problems.error_hint(&key.at, format!("`{}` cannot be a name", key.text.escape_debug()), hint);
        }
        if seen.insert(key.text.as_str()) {
            found.0.push((key.clone(), read(node, problems)));
        }
    }
    found
}

/// Rules, in order.
fn routes(node: &Node, problems: &mut Problems) -> Vec<Route> {
    match &node.value {
        _ if off(node) => Vec::new(),
        Value::List(_) | Value::Nothing => as_list(node).iter().map(|item| Route::read(item, problems)).collect(),
        Value::Null | Value::Scalar { .. } | Value::Map(_) => {
            let said = format!("`routes` is a list, and this is {}", node.kind());
            problems.error_hint(&node.at, said, "write each as `- { from: source, to: target }`");
            Vec::new()
        }
    }
}

impl Defaults {
    /// Reports what is wrong with the defaults themselves, even when nothing takes them.
    fn read(node: &Node, problems: &mut Problems) -> Self {
        let mut section = Section::of(node, "`defaults`", problems);
        let (source, target) = (section.part_unless_off("source"), section.part_unless_off("target"));
        Source::read_part(&source, section.problems);
        Target::read_part(&target, section.problems);
        section.finish();
        let mut places = HashSet::new();
        for half in [source, target] {
            if let Value::Map(entries) = &half.value {
                places.extend(entries.iter().map(|(_, value)| value.at.clone()));
            }
        }
        Self(places)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        path::Path,
    };

    use proptest::prelude::*;

    use super::*;
    use crate::clock::Clock;

    const GOOD: &str = "sources: { git: { provider: github, secret: 0123456789abcdef } }\n\
                        targets: { app: { url: http://127.0.0.1:3000/ } }\nroutes: [{ to: app }]\n";

    /// Variables of the environment by name.
    type Variables<'a> = &'a [(&'a str, &'a str)];

    fn around(files: &[(&str, &str)], variables: Variables<'_>) -> Surroundings {
        let files = files.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())).collect();
        let variables: BTreeMap<_, _> = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Surroundings::held(files, variables, Clock::System)
    }

    fn said(problems: Problems) -> Vec<String> {
        problems.into_sorted().iter().map(ToString::to_string).collect()
    }

    fn read(text: &str, variables: &[(&str, &str)]) -> (Option<Config>, Vec<String>) {
        let mut problems = Problems::new();
        let config = load(Some(Path::new("f.yaml")), &around(&[("f.yaml", text)], variables), &mut problems);
        (config, said(problems))
    }

    fn good(text: &str, variables: &[(&str, &str)]) -> Config {
        let (config, problems) = read(text, variables);
        assert_eq!(problems, Vec::<String>::new(), "{text}");
        config.expect("read")
    }

    /// A file with one mistake, and what is said of it.
    const MISTAKES: &[(&str, &str)] = &[
        ("server: { lisen: 1 }", "f.yaml:1:11: `server` has no `lisen`; did you mean `listen`?"),
        ("servers: {}", "f.yaml:1:1: the configuration has no `servers`; did you mean `server`?"),
        ("server: []", "f.yaml:1:9: `server` is a mapping, and this is a list"),
        ("version: 2", "f.yaml:1:10: `version` is a whole number from 1 to 1, and this is `2`"),
        (
            "log: { level: inof }",
            "f.yaml:1:15: `level` is one of error, warn, info, debug, trace, and this is `inof`; did you mean `info`?",
        ),
        (
            "store: { lock_wait: 30 }",
            "f.yaml:1:21: `lock_wait` is a duration and needs its unit, such as `10s`, `5m` or `3d`; did you mean `30s` or `30ms`?",
        ),
        ("store: { lock_wait: 3x }", "f.yaml:1:21: `lock_wait` is a duration such as `10s`, `5m` or `3d`, and this is `3x`"),
        (
            "store: { max_size: 10 }",
            "f.yaml:1:20: `max_size` is a size and needs its unit, such as `256KiB` or `10GiB`; did you mean `10MiB` or `10B`?",
        ),
        ("store: { max_size: 10XB }", "f.yaml:1:20: `max_size` is a size such as `256KiB`, `1MiB` or `10GiB`, and this is `10XB`"),
        (
            "store: { max_size: 9999999999TiB }",
            "f.yaml:1:20: `max_size` is a size such as `256KiB`, `1MiB` or `10GiB`, and this is `9999999999TiB`",
        ),
        (
            "store: { retention: { payload: 9d } }",
            "f.yaml:1:32: `payload` (9d) outlives `delivered` (3d), the events it belongs to; raise `delivered`, or leave `payload` out",
        ),
        ("store: { retention: { dead: 0s } }", "f.yaml:1:29: `dead` is longer than nothing"),
        ("store: { retention: { dead: 1ns } }", "f.yaml:1:29: `dead` is counted in whole milliseconds, and this is `1ns`"),
        ("store: { retention: { rejected: 0s } }", "f.yaml:1:33: `rejected` is longer than nothing"),
        (
            "store: { url: \"sqlite:x.db\" }",
            "f.yaml:1:15: `url` needs an absolute path; write `sqlite:/abs/path.db`, or `sqlite` for hookgate.db under the data \
             directory",
        ),
        ("store: { url: \"redis://:canary@h/0\" }", "f.yaml:1:15: a Redis store is planned and not built yet; write `sqlite`"),
        ("store: { spool: {} }", "f.yaml:1:10: `spool` is planned and not built yet"),
        ("reload: {}", "f.yaml:1:1: `reload` is planned and not built yet"),
        ("alerts: {}", "f.yaml:1:9: `alerts` needs `to`; name one target, or a list of them"),
        ("alerts: app", "f.yaml:1:9: `alerts` is a mapping, and this is a value"),
        ("alerts: { to: [] }", "f.yaml:1:15: `to` is an empty list; name one, or leave it out"),
        ("alerts: { to: app, events: [] }", "f.yaml:1:28: `events` is an empty list; name one, or leave it out"),
        ("alerts: { to: app, event: dead_letter }", "f.yaml:1:20: `alerts` has no `event`; did you mean `events`?"),
        (
            "alerts: { to: app, events: [dead_letters] }",
            "f.yaml:1:29: `events` is one of dead_letter, breaker_open, source_silent, rejected_spike, and this is `dead_letters`; did you \
             mean `dead_letter`?",
        ),
        ("alerts: { to: app, events: [reload_failed] }", "f.yaml:1:29: the alert `reload_failed` is planned and not built yet"),
        (
            "sources: { a: { provider: p, expect_every: 5 } }",
            "f.yaml:1:44: `expect_every` is a duration and needs its unit, such as `10s`, `5m` or `3d`; did you mean `5s` or `5ms`?",
        ),
        ("sources: { a: { provider: p, expect_every: 0s } }", "f.yaml:1:44: `expect_every` is longer than nothing"),
        (
            "server: { listen: localhost }",
            "f.yaml:1:19: `listen` is an IP address and a port, such as `127.0.0.1:8080`, `0.0.0.0:8443` or `[::]:8443`, and this \
             is `localhost`",
        ),
        (
            "server: { limits: { in_flight_per_source: 0% } }",
            "f.yaml:1:43: `in_flight_per_source` is a share from `1%` to `100%`, and this is `0%`",
        ),
        (
            "server: { trusted_proxies: [10.0.0.0/33] }",
            "f.yaml:1:29: `trusted_proxies` is a network such as `10.0.0.0/8`, or one address, and this is `10.0.0.0/33`",
        ),
        ("server: { tls: { cert: a.pem } }", "f.yaml:1:16: a `cert` needs its `key`"),
        ("server: { tls: { acme: {} } }", "f.yaml:1:18: `acme` is planned and not built yet"),
        (
            "server: { tls: upstreem }",
            "f.yaml:1:16: `tls` is `upstream`, `none` or a mapping, and this is `upstreem`; certificates of our own are written `{ \
             cert: chain.pem, key: key.pem }`",
        ),
        (
            "admin: { tokens: [{ name: a, role: boss, token: 0123456789abcdef }] }",
            "f.yaml:1:36: `role` is one of read, operate, admin, and this is `boss`",
        ),
        (
            "admin: { hosts: [\"http://x\"] }",
            "f.yaml:1:18: `hosts` are names or addresses, and this is `http://x`; write them without scheme and port, such as \
             `hooks.internal`",
        ),
        (
            "admin: { hosts: off }",
            "f.yaml:1:17: `hosts` cannot be switched off; it is what keeps web pages out: name the hosts, or leave it out",
        ),
        ("admin: { hosts: [] }", "f.yaml:1:17: `hosts` is an empty list; name one, or leave it out"),
        (
            "store: { max_size: none }",
            "f.yaml:1:20: `max_size` cannot be switched off; pending and dead deliveries would fill the disk: write a size it has room \
             for, such as `100GiB`",
        ),
        ("egress: ~", "f.yaml:1:9: `egress` cannot be switched off; write `deny: none` to let deliveries go everywhere, or leave it out"),
        ("data_dir: none", "f.yaml:1:11: `data_dir` cannot be switched off; leave it out, or put `./` before the name of a file"),
        (
            "routes: [{ to: t, types: none }]",
            "f.yaml:1:26: `types` cannot be switched off; leave it out for every event; a type of this name is written in quotes",
        ),
        ("sources: { a: { provider: p, path: none } }", "f.yaml:1:36: `path` begins with `/`, and this is `none`"),
        (
            "egress: { deny: [privat] }",
            "f.yaml:1:18: `deny` is one of link-local, metadata, unspecified, loopback, private, multicast, and this is `privat`; \
             did you mean `private`?",
        ),
        (
            "sources: { Git: { provider: github } }",
            "f.yaml:1:12: `Git` cannot be a name; a name begins with a-z, goes on with a-z, 0-9 and `-`, and has at most 63 characters",
        ),
        ("sources: { a: {} }", "f.yaml:1:15: a source needs `provider` or `verify`; `hookgate providers` lists the providers"),
        (
            "sources: { a: { provider: p, tolerance: 5 } }",
            "f.yaml:1:41: `tolerance` is a duration and needs its unit, such as `10s`, `5m` or `3d`; did you mean `5s` or `5ms`?",
        ),
        ("sources: { a: { provider: p, path: hooks } }", "f.yaml:1:36: `path` begins with `/`, and this is `hooks`"),
        ("sources: { a: { provider: p, path: [] } }", "f.yaml:1:36: `path` is an empty list; name one, or leave it out"),
        (
            "sources: { a: { provider: p, client_cert: {} } }",
            "f.yaml:1:43: `client_cert` needs `san`; write the name in the client's certificate",
        ),
        ("sources: { a: { provider: p, client_cert: { san: [] } } }", "f.yaml:1:50: `san` is an empty list; name one, or leave it out"),
        (
            "sources: { a: { provider: p, client_cert: { san: [a.example, \"*.example\"] } } }",
            "f.yaml:1:62: `san` is one name in a certificate, without wildcards, such as `hooks.example.com`, `spiffe://example/a` or \
             `192.0.2.7`, and this is `*.example`",
        ),
        (
            "sources: { a: { provider: p, observe_until: tomorrow } }",
            "f.yaml:1:45: `observe_until` is a date such as `2026-12-01`, or a time such as `2026-12-01T08:00:00Z`, and this is `tomorrow`",
        ),
        ("sources: { a: { provider: p, observe_until: } }", "f.yaml:1:43: `observe_until` is one value, and this is nothing"),
        (
            "sources: { a: { provider: p, verify: {} } }",
            "f.yaml:1:38: `verify` says what `provider` at f.yaml:1:27 names; a source has one of the two",
        ),
        (
            "sources: { a: { verify: } }",
            "f.yaml:1:23: `verify` needs a check; write the keys of one, such as `{ scheme: hmac-sha256, signature: { at: \
             header:X-Signature, encoding: hex }, message: \"{body}\" }`, or a list of them",
        ),
        ("sources: { a: { verify: yes } }", "f.yaml:1:25: `verify` is a mapping, and this is a value"),
        ("sources: { a: { verify: { shceme: none, scheme: none } } }", "f.yaml:1:27: `verify` has no `shceme`; did you mean `scheme`?"),
        (
            "sources: { a: { verify: { scheme: none, verify: [] } } }",
            "f.yaml:1:41: `verify` has the keys of one check, or its checks as a list under a `verify` of its own, and this has both",
        ),
        (
            "sources: { a: { verify: { scheme: token, signature: { at: header:X, strip: \"${CANARY} \" } } } }",
            "f.yaml:1:76: nothing is inserted under `verify`, whose braces are templates; give `${CANARY}` as `secret` or under the \
             source's `credentials`, and name it: `{credential:NAME}`",
        ),
        (
            "sources: { a: { provider: p, url_token: canary/0123456789 } }",
            "f.yaml:1:41: `url_token` is a segment of a path: letters, digits, `-`, `_`, `~` and `.` only; make one with `openssl rand \
             -hex 32`",
        ),
        ("sources: { a: { provider: p, url_token: [] } }", "f.yaml:1:41: `url_token` is empty"),
        (
            "sources: { a: { provider: p, url_token: short } }",
            "f.yaml:1:41: warning: `url_token` is shorter than 16 bytes and may be guessed",
        ),
        ("sources: { a: { provider: p, allow_ips: [] } }", "f.yaml:1:41: `allow_ips` is an empty list; name one, or leave it out"),
        ("sources: { a: { provider: p, allow_ips: } }", "f.yaml:1:39: `allow_ips` is an empty list; name one, or leave it out"),
        (
            "sources: { a: { provider: p, allow_ips: 10.0.0.300 } }",
            "f.yaml:1:41: `allow_ips` is a network such as `10.0.0.0/8`, or one address, and this is `10.0.0.300`",
        ),
        ("sources: { a: { provider: p, allow_methods: [] } }", "f.yaml:1:45: `allow_methods` is an empty list; name one, or leave it out"),
        (
            "sources: { a: { provider: p, allow_methods: [GET, POST] } }",
            "f.yaml:1:51: `allow_methods` are those besides `POST`, which is always taken; leave it out",
        ),
        ("sources: { a: { provider: p, allow_methods: [PUT, GET, PUT] } }", "f.yaml:1:56: `allow_methods` names `PUT` twice"),
        (
            "sources: { a: { provider: p, allow_methods: TRACE } }",
            "f.yaml:1:45: `allow_methods` is one of GET, HEAD, OPTIONS, PUT, PATCH, DELETE, and this is `TRACE`",
        ),
        (
            "sources: { a: { provider: p, allow_methods: [PATHC] } }",
            "f.yaml:1:46: `allow_methods` is one of GET, HEAD, OPTIONS, PUT, PATCH, DELETE, and this is `PATHC`; did you mean `PATCH`?",
        ),
        ("sources: { a: { provider: p, on_reject: 410 } }", "f.yaml:1:41: `on_reject` is one of provider, 403, 503, and this is `410`"),
        (
            "sources: { a: { provider: p, secret: \"\" } }",
            "f.yaml:1:38: `secret` is empty; write it as `\"${NAME}\"` or `\"${file:PATH}\"` and set that",
        ),
        (
            "sources: { a: { provider: p, secret: \"  \" } }",
            "f.yaml:1:38: `secret` is blank; write it as `\"${NAME}\"` or `\"${file:PATH}\"` and set that",
        ),
        (
            "sources: { a: { provider: p, secret: changeme } }",
            "f.yaml:1:38: `secret` is a placeholder, not a credential; write it as `\"${NAME}\"` or `\"${file:PATH}\"` and set that",
        ),
        (
            "sources: { a: { provider: p, secret: \"$${X}\" } }",
            "f.yaml:1:38: `secret` still contains `${`; write it as `\"${NAME}\"` or `\"${file:PATH}\"` and set that",
        ),
        (
            "sources: { a: { provider: p, secret: off } }",
            "f.yaml:1:38: `secret` is a placeholder, not a credential; write it as `\"${NAME}\"` or `\"${file:PATH}\"` and set that",
        ),
        ("sources: { a: { provider: p, secret: }}", "f.yaml:1:36: `secret` is empty"),
        (
            "sources: { a: { provider: p, secret: { value: 0123456789abcdef, until: soon } } }",
            "f.yaml:1:72: `until` is a date such as `2026-12-01`, or a time such as `2026-12-01T08:00:00Z`, and this is `soon`",
        ),
        ("sources: { a: { provider: p, secret: short } }", "f.yaml:1:38: warning: `secret` is shorter than 16 bytes and may be guessed"),
        (
            "sources: { a: { provider: p, secret: \"${NOPE}\" } }",
            "f.yaml:1:38: the environment variable NOPE is not set; set it, or give a default: `${NOPE:-...}`",
        ),
        (
            "sources: { a: { provider: p, dedup: } }",
            "f.yaml:1:35: `dedup` has nothing behind it; write `none` to switch it off, or leave it out for the default",
        ),
        (
            "sources: { a: { provider: p, respond: } }",
            "f.yaml:1:37: `respond` has nothing behind it; write `none` to switch it off, or leave it out for the default",
        ),
        ("sources: { a: { provider: p, expect_every: } }", "f.yaml:1:42: `expect_every` is one value, and this is nothing"),
        ("server: null", "f.yaml:1:9: `server` is a mapping, and this is null"),
        ("sources: [a]", "f.yaml:1:10: `sources` is a mapping of names, and this is a list"),
        ("targets: { t: {} }", "f.yaml:1:15: a target needs `url`; write where it listens, such as `http://127.0.0.1:3000/webhooks`"),
        (
            "targets: { t: { url: ftp://x/ } }",
            "f.yaml:1:22: `url` is neither http nor https; write it whole, such as `http://127.0.0.1:3000/webhooks`",
        ),
        (
            "targets: { t: { url: \"http://u:canary@x/\" } }",
            "f.yaml:1:22: `url` carries a user name or password; say it under `auth: { basic: \"user:password\" }`",
        ),
        ("targets: { t: { url: \"http://x/#f\" } }", "f.yaml:1:22: `url` has a fragment; leave `#...` out: it is never sent"),
        ("targets: { t: { url: x } }", "f.yaml:1:22: `url` is not a URL; write it whole, such as `http://127.0.0.1:3000/webhooks`"),
        ("targets: { t: { kind: slack } }", "f.yaml:1:23: a target of kind `slack` is planned and not built yet"),
        ("targets: { t: { url: http://x/, sign: {} } }", "f.yaml:1:33: `sign` is planned and not built yet"),
        (
            "targets: { t: { url: http://x/, concurrency: 0 } }",
            "f.yaml:1:46: `concurrency` is a whole number from 1 to 512, and this is `0`",
        ),
        (
            "targets: { t: { url: http://x/, retry: { factor: 0.5 } } }",
            "f.yaml:1:50: `factor` is a number from 1 to 100, and this is `0.5`",
        ),
        (
            "targets: { t: { url: http://x/, retry: { factor: nan } } }",
            "f.yaml:1:50: `factor` is a number from 1 to 100, and this is `nan`",
        ),
        (
            "targets: { t: { url: http://x/, retry: { dead_on: [200] } } }",
            "f.yaml:1:52: `dead_on` are statuses other than 2xx, such as `410` or `4xx`, and this is `200`",
        ),
        (
            "targets: { t: { url: http://x/, rate_limit: fast } }",
            "f.yaml:1:45: `rate_limit` is a number of attempts in a time, such as `100/s`, `600/m` or `1000/h`, and this is `fast`",
        ),
        (
            "targets: { t: { url: http://x/, rate_limit: 0/s } }",
            "f.yaml:1:45: `rate_limit` is a number of attempts in a time, such as `100/s`, `600/m` or `1000/h`, and this is `0/s`",
        ),
        (
            "targets: { t: { url: http://x/, rate_limit: 100 } }",
            "f.yaml:1:45: `rate_limit` is a number of attempts in a time, such as `100/s`, `600/m` or `1000/h`, and this is `100`",
        ),
        (
            "targets: { t: { url: http://x/, breaker: { open_for: 2m } } }",
            "f.yaml:1:54: `open_for` (2m) is longer than `open_for_max` (1m)",
        ),
        (
            "targets: { t: { url: http://x/, breaker: { ramp: { from: 100/m } } } }",
            "f.yaml:1:58: `from` is a number of attempts a second, such as `10/s`",
        ),
        (
            "targets: { t: { url: http://x/, breaker: } }",
            "f.yaml:1:40: `breaker` has nothing behind it; write `none` to switch it off, or leave it out for the default",
        ),
        (
            "targets: { t: { url: http://x/, breaker: { ramp: } } }",
            "f.yaml:1:48: `ramp` has nothing behind it; write `none` to switch it off, or leave it out for the default",
        ),
        (
            "defaults: { target: { retry: } }",
            "f.yaml:1:28: `retry` has nothing behind it; write `none` to switch it off, or leave it out for the default",
        ),
        (
            "targets: { t: { url: http://x/, retry: { dead_on: } } }",
            "f.yaml:1:49: `dead_on` has nothing behind it; write `none` to switch it off, or leave it out for the default",
        ),
        ("targets: { t: { url: http://x/, disabled: } }", "f.yaml:1:41: `disabled` is true or false"),
        ("targets: { t: { url: http://x/, breaker: 5 } }", "f.yaml:1:42: `breaker` is a mapping, and this is a value"),
        ("targets: { t: { url: http://x/, auth: {} } }", "f.yaml:1:39: `auth` needs `bearer` or `basic`"),
        ("targets: { t: { url: http://x/, method: GET } }", "f.yaml:1:41: `method` is one of POST, PUT, PATCH, and this is `GET`"),
        ("routes: {}", "f.yaml:1:9: `routes` is a list, and this is a mapping; write each as `- { from: source, to: target }`"),
        ("routes: [{}]", "f.yaml:1:10: a route needs `to`; name one target, or a list of them"),
        ("routes: [{ to: [] }]", "f.yaml:1:16: `to` is an empty list; name one, or leave it out"),
        ("routes: [{ to: t, when: x }]", "f.yaml:1:19: `when` is planned and not built yet"),
        ("defaults: { target: { timeot: 1s } }", "f.yaml:1:23: a target has no `timeot`; did you mean `timeout`?"),
        ("include: gone.yaml", "f.yaml:1:10: `include` names a file that is not there"),
    ];

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let wrong: Vec<String> = MISTAKES
            .iter()
            .map(|(text, expected)| (text, expected, read(text, &[]).1))
            .filter(|(_, expected, got)| got != &[**expected])
            .map(|(text, expected, got)| format!("{text}\n  wanted {expected}\n  got    {}", got.join("\n         ")))
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn all_mistakes_are_told_at_once_and_the_rest_is_still_read() {
        let text = "sources:\n  a: { provider: githbu, secret: x }\n  b: { provider: github, secret: \"${NOPE}\" }\n\
                    routes:\n  - { from: a, to: nowhere }\nserver: { lisen: 1 }\n";
        let (config, problems) = read(text, &[]);
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(
            problems[0].starts_with("f.yaml:2:34: warning")
                && problems[1].starts_with("f.yaml:3:34: ")
                && problems[2].starts_with("f.yaml:6:11: ")
        );
        let config = config.expect("read");
        assert_eq!(config.sources.names().collect::<Vec<_>>(), ["a", "b"]);
        assert!(config.sources.get("b").is_some_and(|source| source.secret.as_ref().is_some_and(|secret| secret.is_empty())));
    }

    #[test]
    fn hostile_yaml_is_refused_and_hostile_values_stay_values() {
        let deep = format!("a: {}", "[".repeat(200));
        let large = format!("# {}\n", "x".repeat(1024 * 1024));
        let cases: [(&str, &str); 9] = [
            ("a: &x [1]\nb: [*x, *x]\n", "anchors"),
            ("a: &a [x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", "aliases"),
            ("server: {}\nserver: {}\n", "f.yaml:2:1: `server` is written twice, first at line 1"),
            ("a: !!binary x\n", "tags"),
            ("a: 1\n---\nb: 1\n", "second document"),
            ("? [a]\n: b\n", "a key is a plain word"),
            ("a: \"\n", "not YAML"),
            (&deep, "nested deeper than 64"),
            (&large, "larger than 1 MiB"),
        ];
        for (text, expected) in cases {
            let problems = read(text, &[]).1;
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected}: {problems:?}");
        }
        good("\u{feff}server: {}\r\n", &[]);
        let hostile = "x\"\n    provider: other\n  evil: { provider: github }\n#";
        let config = good("sources: { a: { provider: github, secret: \"${S}\" } }", &[("S", hostile)]);
        assert_eq!(config.sources.names().collect::<Vec<_>>(), ["a"]);
        let source = config.sources.get("a").expect("a");
        let secret = &source.secret.as_ref().expect("a secret")[0].value.0;
        assert_eq!(secret.reveal(), hostile.as_bytes());
    }

    #[test]
    fn what_came_from_the_environment_is_never_shown() {
        let places = [
            "server: { listen: \"${C}\", public_url: \"${C}\", tls: \"${C}\", trusted_proxies: \"${C}\", limits: { body: \"${C}\", \
             connections: \"${C}\", in_flight_per_source: \"${C}\" } }",
            "store: { url: \"${C}\", durability: \"${C}\", retention: { dead: \"${C}\" } }\nlog: { level: \"${C}\" }\negress: { \
             deny: \"${C}\", allow: \"${C}\" }",
            "admin: { listen: \"${C}\", token: \"${C}\", hosts: \"${C}/\", tokens: [{ name: a, role: \"${C}\", token: \"${C}\" }] \
             }\nversion: \"${C}\"",
            "sources: { a: { provider: p, path: \"${C}\", tolerance: \"${C}\", secret: [\"${C}\", { value: \"${C}\", until: \
             \"${C}\" }], disabled: \"${C}\", dedup: { by: \"${C}\" } } }",
            "targets: { t: { kind: \"${C}\", url: \"${C}\", method: \"${C}\", timeout: \"${C}\", headers: { a: \"${C}\" }, retry: { \
             factor: \"${C}\", dead_on: \"${C}\" }, auth: { basic: \"${C}\" } } }",
            "providers_dir: \"${C}\"\nserver: { tls: { cert: \"${C}\", key: \"${C}\" } }\nadmin: { hosts: \"${C}\" }\n\
             sources: { a: { provider: \"${C}\", path: \"/x/${C}\" } }\ntargets: { t: { tls: { ca: \"${C}\", cert: \"${C}\", key: \
             \"${C}\" } } }\nroutes: [{ name: \"${C}\", from: \"${C}\", types: \"${C}\", to: [\"${C}\"] }]",
            "targets: { t: { url: \"http://x/${C}?${C}\", headers: { a: \"${C}\", Authorization: canary }, auth: { bearer: \"${C}\" \
             } } }",
        ];
        for canary in ["canary", "canary with blanks", "-----BEGIN PRIVATE KEY-----\ncanary\n"] {
            for text in places {
                let (config, problems) = read(text, &[("C", canary)]);
                assert!(!problems.join("\n").contains("canary"), "{problems:?}");
                let config = config.expect("read");
                assert!(!format!("{config:?}").contains("canary"), "{config:?}");
                assert!(!config.listing().contains("canary"), "{}", config.listing());
            }
        }
    }

    #[test]
    fn included_files_join_and_a_name_is_defined_once() {
        let main =
            "include: [conf.d/*.yaml]\nsources: { a: { provider: p } }\ndefaults: { target: { timeout: 5s } }\nroutes: [{ to: t }]\n";
        let files = [
            ("etc/f.yaml", main),
            (
                "etc/conf.d/1.yaml",
                "sources: { b: { provider: p } }\ntargets: { t: { url: http://x/ } }\nroutes: [{ to: t, name: later }]\n",
            ),
            ("etc/conf.d/2.yaml", "targets: { u: { url: http://x/, timeout: 7s } }\ndefaults: { target: { concurrency: 3 } }\n"),
        ];
        let mut problems = Problems::new();
        let config = load(Some(Path::new("etc/f.yaml")), &around(&files, &[]), &mut problems).expect("read");
        assert_eq!(said(problems), Vec::<String>::new());
        assert_eq!(config.sources.names().collect::<Vec<_>>(), ["a", "b"]);
        let timeouts: Vec<u64> = config.targets.0.iter().map(|(_, target)| target.timeout.0.as_secs()).collect();
        assert_eq!(timeouts, [5, 7]);
        assert!(config.targets.0.iter().all(|(_, target)| *target.concurrency == 3));
        assert_eq!(config.routes.len(), 2);

        let files = [("etc/f.yaml", main), ("etc/conf.d/1.yaml", "sources:\n  a: { provider: q }\nserver: {}\n")];
        let mut problems = Problems::new();
        load(Some(Path::new("etc/f.yaml")), &around(&files, &[]), &mut problems);
        let problems = said(problems);
        assert_eq!(problems[0], "etc/conf.d/1.yaml:2:3: `a` is defined twice, first at etc/f.yaml:2:12");
        assert!(problems[1].starts_with("etc/conf.d/1.yaml:3:1: `server` is not taken from an included file"), "{problems:?}");
    }

    #[test]
    fn a_source_says_itself_what_its_provider_is() {
        let text = "defaults: { source: { provider: p, secret: 0123456789abcdef } }\n\
                    sources: { a: {}, b: { verify: { scheme: none } } }\n";
        let config = good(text, &[]);
        let [(_, a), (_, b)] = &*config.sources.0 else { panic!("two sources") };
        assert!(a.provider.is_some() && a.verify.is_none() && b.provider.is_none() && b.verify.is_some());
        assert!(b.secret.as_ref().is_some_and(|secret| config.is_inherited(&secret.at)));
    }

    #[test]
    fn the_environment_goes_over_the_file_and_a_stray_variable_is_an_error() {
        let variables = [
            ("HOOKGATE__SERVER__LISTEN", "127.0.0.1:0123"),
            ("HOOKGATE__SERVER__TLS", "upstream"),
            ("HOOKGATE__SERVER__LIMITS__BODY", "2MiB"),
            ("HOOKGATE__MONITOR__LISTEN", "none"),
            ("HOOKGATE__ADMIN__TOKEN", "0x1F0x1F0x1F0x1F0x1F"),
            ("HOOKGATE__DATA_DIR", "/d"),
            ("HOOKGATE__LOG__LEVEL", "debug"),
            ("HOOKGATE_CONFIG", "elsewhere"),
            ("HOOKGATE_PORT", "tcp://10.0.0.1:80"),
        ];
        let text = "server: { listen: 127.0.0.1:1, tls: { cert: a, key: b } }\nmonitor: { listen: 127.0.0.1:2 }\ndata_dir: /f\n";
        let config = good(text, &variables);
        assert_eq!(config.server.listen.port(), 123);
        assert!(matches!(*config.server.tls, Tls::Upstream));
        assert_eq!(config.server.limits.body.0, 2 << 20);
        assert_eq!(*config.monitor.listen, Listen::None);
        assert_eq!(config.admin.token.as_ref().expect("a token").0.reveal(), b"0x1F0x1F0x1F0x1F0x1F");
        assert_eq!(*config.data_dir, PathBuf::from("/d"));
        assert_eq!(*config.log.level, LogLevel::Debug);

        let cases = [
            (
                "HOOKGATE__SERVER__LISEN",
                "x",
                "the environment variable HOOKGATE__SERVER__LISEN overrides nothing; did you mean HOOKGATE__SERVER__LISTEN?",
            ),
            (
                "HOOKGATE__SOURCES__A__SECRET",
                "canary",
                "the environment variable HOOKGATE__SOURCES__A__SECRET overrides nothing; variables override the scalars of server, \
                 monitor, admin, store, log, data_dir",
            ),
            (
                "HOOKGATE__SERVER__PROXY_PROTOCOL",
                "true",
                "the environment variable HOOKGATE__SERVER__PROXY_PROTOCOL overrides `server.proxy_protocol`, which is planned and not \
                 built yet",
            ),
            (
                "HOOKGATE__STORE__SPOOL__MAX_AGE",
                "canary",
                "the environment variable HOOKGATE__STORE__SPOOL__MAX_AGE overrides `store.spool`, which is planned and not built yet",
            ),
            (
                "HOOKGATE__STORE__PREFIXES",
                "x",
                "the environment variable HOOKGATE__STORE__PREFIXES overrides nothing; variables override the scalars of server, monitor, \
                 admin, store, log, data_dir",
            ),
            ("HOOKGATE__LOG__LEVEL", "", "HOOKGATE__LOG__LEVEL: the variable is set to nothing"),
            (
                "HOOKGATE__LOG__LEVEL",
                "canary",
                "HOOKGATE__LOG__LEVEL: `level` is one of error, warn, info, debug, trace, and this is what was inserted here",
            ),
            (
                "HOOKGATE__STORE__LOCK_WAIT",
                "30",
                "HOOKGATE__STORE__LOCK_WAIT: `lock_wait` is a duration and needs its unit, such as `10s`, `5m` or `3d`",
            ),
        ];
        for (name, value, expected) in cases {
            assert_eq!(read(GOOD, &[(name, value)]).1, [expected]);
        }
    }

    #[test]
    fn the_file_is_looked_for_in_order() {
        let here = around(&[("./hookgate.yaml", ""), ("/etc/hookgate/hookgate.yaml", "")], &[]);
        let path = |located: Option<Located>| located.map(|located| (located.path.display().to_string(), located.named));
        assert_eq!(path(locate(Some(Path::new("x.yaml")), &here)), Some(("x.yaml".into(), true)));
        assert_eq!(path(locate(None, &here)), Some(("./hookgate.yaml".into(), false)));
        let etc = around(&[("/etc/hookgate/hookgate.yaml", "")], &[]);
        assert_eq!(path(locate(None, &etc)), Some(("/etc/hookgate/hookgate.yaml".into(), false)));
        let told = around(&[("./hookgate.yaml", "")], &[("HOOKGATE_CONFIG", "/told.yaml")]);
        assert_eq!(path(locate(None, &told)), Some(("/told.yaml".into(), true)));
        let mut problems = Problems::new();
        assert!(load(None, &told, &mut problems).is_none());
        assert_eq!(said(problems), ["/told.yaml:1:1: the file cannot be read: entity not found"]);
        let mut problems = Problems::new();
        assert!(load(None, &around(&[], &[]), &mut problems).is_none());
        assert!(said(problems)[0].starts_with("no configuration file:"));
    }

    #[test]
    fn the_data_directory_is_the_files_else_the_environments() {
        let cases: [(&str, Variables<'_>, &str); 5] = [
            ("", &[], "./hookgate-data"),
            ("", &[("STATE_DIRECTORY", "/var/lib/a:/var/lib/b")], "/var/lib/a"),
            ("", &[("STATE_DIRECTORY", "/s"), ("HOOKGATE_DATA_DIR", "/d")], "/d"),
            ("data_dir: /f", &[("HOOKGATE_DATA_DIR", "/d")], "/f"),
            ("data_dir: /f", &[("HOOKGATE__DATA_DIR", "/o")], "/o"),
        ];
        for (text, variables, expected) in cases {
            assert_eq!(*good(text, variables).data_dir, PathBuf::from(expected), "{text} {variables:?}");
        }
    }

    /// All that can be switched off, with `OFF` for the word, which does not end up as what it is when nothing is said.
    const SWITCHES: &str = "include: OFF\ndefaults: OFF\n\
        server: { tls: OFF, public_url: OFF, trusted_proxies: OFF, shutdown: { delay: OFF } }\nadmin: { token: OFF, tokens: OFF }\n\
        monitor: OFF\nproviders_dir: OFF\nalerts: OFF\negress: { deny: OFF, allow: OFF }\nstore: { min_free: OFF, \
        retention: { rejected: OFF } }\nlog: { requests: OFF, attempts: OFF }\n\
        sources: { s: { provider: p, public_url: OFF, url_token: OFF, credentials: OFF, allow_ips: OFF, client_cert: OFF, \
        allow_methods: OFF, tolerance: OFF, dedup: OFF, observe_until: OFF, respond: OFF, expect_every: OFF, \
        allow_unsigned: OFF, disabled: OFF } }\n\
        targets: { t: { url: http://x/, rate_limit: OFF, retry: OFF, breaker: OFF, order_by: OFF, auth: OFF, tls: OFF, headers: OFF, \
        disabled: OFF, formerly: OFF }, u: { url: http://x/, breaker: { ramp: OFF }, \
        retry: { give_up_after: OFF, attempts: OFF, dead_on: OFF }, tls: { ca: OFF } } }\n\
        routes: [{ to: t, disabled: OFF }]\n";

    #[test]
    fn every_word_for_off_switches_off_alike() {
        let listing = good(&SWITCHES.replace("OFF", "none"), &[]).listing();
        for word in ["off", "false", "null", "~"] {
            assert_eq!(good(&SWITCHES.replace("OFF", word), &[]).listing(), listing, "{word}");
        }
        assert!(!listing.contains("null"), "{listing}");
        for off in ["breaker: none\n", "ramp: none\n", "attempts: 1\n", "by: none\n", "tolerance: none\n", "requests: none\n", "deny: []\n"]
        {
            assert!(listing.contains(off), "{off} {listing}");
        }
        assert_eq!(good(&listing, &[]).listing(), listing);
        let nothing = good("sources: OFF\ntargets: OFF\nroutes: OFF\n".replace("OFF", "null").as_str(), &[]).listing();
        assert_eq!(nothing, good("", &[]).listing());
    }

    #[test]
    fn an_included_file_adds_to_what_is_switched_off() {
        let main = "include: more.yaml\nsources: none\ntargets: off\nroutes: null\ndefaults: { target: false }\n";
        let more = "sources: { a: { provider: p } }\ntargets: { t: { url: http://x/ } }\nroutes: [{ to: t }]\n\
                    defaults: { source: ~, target: { timeout: 7s } }\n";
        let mut problems = Problems::new();
        let config = load(Some(Path::new("f.yaml")), &around(&[("f.yaml", main), ("more.yaml", more)], &[]), &mut problems).expect("read");
        assert_eq!(said(problems), Vec::<String>::new());
        assert_eq!((config.sources.0.len(), config.routes.len()), (1, 1));
        assert_eq!(config.targets.get("t").expect("a target").timeout.0.as_secs(), 7);
    }

    #[test]
    fn what_the_defaults_switch_off_is_off() {
        for word in ["none", "off", "false", "null", "~"] {
            let text = format!(
                "defaults: {{ source: {{ dedup: {word} }}, target: {{ breaker: {word}, retry: {word} }} }}\n\
                 sources: {{ a: {{ provider: p }}, b: {{ provider: p, dedup: {{}} }} }}\n\
                 targets: {{ t: {{ url: http://x/ }}, u: {{ url: http://x/, breaker: {{}}, retry: {{}} }} }}\n"
            );
            let config = good(&text, &[]);
            let [(_, a), (_, b)] = &*config.sources.0 else { panic!("two sources") };
            assert!(*a.dedup.by == DedupBy::None && *b.dedup.by == DedupBy::Provider, "{word}");
            let [(_, t), (_, u)] = &*config.targets.0 else { panic!("two targets") };
            assert!(t.breaker.is_none() && u.breaker.is_some(), "{word}");
            assert!(*t.retry.attempts == Attempts::AtMost(1) && *u.retry.attempts == Attempts::Unlimited, "{word}");
        }
    }

    #[test]
    fn a_listing_reads_back_as_itself() {
        let text = "server: { listen: 127.0.0.1:1, limits: { answer_within: 1500ms, body: 1000KiB } }\n\
                    targets: { t: { url: \"http://x/a b\", headers: { X-A: \"true: #\" }, retry: { dead_on: [410, 5xx], \
                     give_up_after: none } } }\nstore: { retention: { rejected: none } }\n\
                    sources: { s: { provider: p, tolerance: none, dedup: none }, i: { verify: { scheme: token, message: \"$${a}{b}\", \
                    require: { a: true, b: \"true\", c: [\"false\", null, 01, 1.50, \"1.50\"] } } } }\n\
                    routes: [{ to: t, types: [\"*\", \"a.*\"] }]\n";
        let listing = good(text, &[]).listing();
        assert_eq!(good(&listing, &[]).listing(), listing);
        assert!(listing.contains("answer_within: 1500ms") && listing.contains("body: 1000KiB"), "{listing}");
        for kept in ["a: true\n", "b: \"true\"\n", "- 1.50\n", "- \"1.50\"\n", "$${a}{b}"] {
            assert!(listing.contains(kept), "{kept} {listing}");
        }
    }

    /// All keys a schema offers, by the path of the mapping they stand in. `*` stands for any name, `#` for an item of a list.
    fn keys(schema: &serde_json::Value, path: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
        for choice in ["anyOf", "oneOf"].iter().filter_map(|key| schema.get(key)?.as_array()).flatten() {
            keys(choice, path, found);
        }
        for (key, property) in schema.get("properties").and_then(serde_json::Value::as_object).into_iter().flatten() {
            found.entry(path.to_owned()).or_default().insert(key.clone());
            keys(property, &format!("{path}/{key}"), found);
        }
        if let Some(item) = schema.get("items") {
            keys(item, &format!("{path}/#"), found);
        }
        if let Some(one) = schema.get("additionalProperties").filter(|one| one.is_object()) {
            keys(one, &format!("{path}/*"), found);
        }
    }

    fn offered() -> BTreeMap<String, BTreeSet<String>> {
        let mut found = BTreeMap::new();
        keys(&schema(), "", &mut found);
        found
    }

    #[test]
    fn the_schema_offers_exactly_what_the_reader_takes() {
        for (path, offered) in offered() {
            let open: String = path
                .split('/')
                .skip(1)
                .map(|step| if step == "#" { "[".into() } else { format!("{{ {step}: ", step = step.replace('*', "a")) })
                .collect();
            let close: String =
                path.split('/').skip(1).map(|step| if step == "#" { "]" } else { " }" }).collect::<Vec<_>>().into_iter().rev().collect();
            let probe = if path.is_empty() { "qqqqqqqqqqqq: 1".to_owned() } else { format!("{open}{{ qqqqqqqqqqqq: 1 }}{close}") };
            let problems = read(&probe, &[]).1;
            let known = problems.iter().find_map(|problem| problem.split_once("has no `qqqqqqqqqqqq`; known here: "));
            let (_, known) = known.unwrap_or_else(|| panic!("{probe}: {problems:?}"));
            assert_eq!(known.split(", ").map(str::to_owned).collect::<BTreeSet<_>>(), offered, "{path}");
        }
    }

    #[test]
    fn the_schema_says_what_is_required_and_what_the_defaults_are() {
        let schema = schema();
        let source = &schema["properties"]["sources"]["additionalProperties"];
        assert_eq!(source["oneOf"], serde_json::json!([{ "required": ["provider"] }, { "required": ["verify"] }]));
        assert!(schema["properties"]["defaults"]["properties"]["source"].get("oneOf").is_none());
        assert_eq!(source["additionalProperties"], false);
        assert!(schema.get("required").is_none());
        assert_eq!(schema["properties"]["server"]["properties"]["listen"]["default"], "127.0.0.1:8080");
        assert_eq!(schema["properties"]["targets"]["additionalProperties"]["properties"]["retry"]["properties"]["max"]["default"], "1h");
        assert!(!schema.to_string().contains("\"reload\""), "what is planned is not in it");
    }

    /// The schema of a key of a mapping.
    fn under<'s>(schema: &'s serde_json::Value, key: &str) -> Option<&'s serde_json::Value> {
        let choices = ["anyOf", "oneOf"].iter().filter_map(|word| schema.get(word)?.as_array()).flatten();
        let own = schema.get("properties").and_then(|all| all.get(key));
        let named = || schema.get("additionalProperties").filter(|one| one.is_object());
        own.or_else(named).or_else(|| choices.into_iter().find_map(|choice| under(choice, key)))
    }

    /// Whether one of the forms of a schema is this.
    fn has_form(schema: &serde_json::Value, form: &serde_json::Value) -> bool {
        schema == form || schema.get("anyOf").and_then(|all| all.as_array()).into_iter().flatten().any(|choice| has_form(choice, form))
    }

    /// The paths of what is switched off in a tree, and their schemas.
    fn switched_off<'s>(node: &Node, schema: &'s serde_json::Value, path: &str, found: &mut Vec<(String, &'s serde_json::Value)>) {
        match &node.value {
            Value::Map(entries) => {
                for (key, node) in entries {
                    let path = format!("{path}.{}", key.text);
                    let below = under(schema, &key.text).unwrap_or_else(|| panic!("{path} is not in the schema"));
                    switched_off(node, below, &path, found);
                }
            }
            Value::List(items) => items.iter().for_each(|item| switched_off(item, &schema["items"], path, found)),
            _ if off(node) => found.push((path.to_owned(), schema)),
            Value::Nothing | Value::Null | Value::Scalar { .. } => {}
        }
    }

    #[test]
    fn the_schema_takes_every_word_for_off_where_the_reader_does() {
        let words = schema::off_words();
        let (whole, mut found) = (schema(), Vec::new());
        for text in [SWITCHES, "sources: OFF\ntargets: OFF\nroutes: OFF\n", "defaults: { source: { dedup: OFF }, target: { retry: OFF } }"]
        {
            let text = text.replace("OFF", "none");
            let tree = yaml::parse(&"f.yaml".into(), &text, &mut Problems::new()).expect("YAML");
            switched_off(&tree, &whole, "", &mut found);
        }
        let wrong: Vec<&str> = found.iter().filter(|(_, schema)| !has_form(schema, &words)).map(|(path, _)| path.as_str()).collect();
        assert!(found.len() > 40 && wrong.is_empty(), "{} {wrong:?}", found.len());
        for on in ["server", "admin", "log", "egress"] {
            assert!(!has_form(&whole["properties"][on], &words), "{on}");
        }
        assert!(!whole.to_string().contains("x-off"));
        let format = &whole["properties"]["log"]["properties"]["format"];
        assert!(format.get("oneOf").is_none(), "what is inserted is any of them: {format}");
    }

    fn items(node: &'static Node) -> Vec<&'static Node> {
        match &node.value {
            Value::List(items) => items.iter().collect(),
            _ => vec![node],
        }
    }

    #[test]
    fn the_reference_has_every_key() {
        let text = include_str!("../../config/hookgate.yaml");
        let tree: &'static Node = Box::leak(Box::new(yaml::parse(&"hookgate.yaml".into(), text, &mut Problems::new()).expect("YAML")));
        let mut missing = Vec::new();
        for (path, keys) in offered().into_iter().filter(|(path, _)| !path.starts_with("/defaults")) {
            // A list stands for its items, since what may be one or many is written either way.
            let mut nodes = items(tree);
            for step in path.split('/').skip(1).filter(|step| *step != "#") {
                let below = |node: &'static Node| match (&node.value, step) {
                    (Value::Map(entries), "*") => entries.iter().flat_map(|(_, node)| items(node)).collect(),
                    (_, key) => node.get(key).into_iter().flat_map(items).collect::<Vec<_>>(),
                };
                nodes = nodes.into_iter().flat_map(below).collect();
            }
            missing.extend(keys.iter().filter(|key| !nodes.iter().any(|node| node.get(key).is_some())).map(|key| format!("{path}/{key}")));
        }
        assert_eq!(missing, Vec::<String>::new());
    }

    /// A good file with one mistake in it.
    fn one_mistake() -> impl Strategy<Value = String> {
        let lines = include_str!("../../config/hookgate.yaml").lines().count();
        (0..lines, "[ -~]{0,24}").prop_map(|(at, junk)| {
            let text = include_str!("../../config/hookgate.yaml");
            text.lines()
                .enumerate()
                .map(|(index, line)| if index == at { junk.clone() } else { line.to_owned() })
                .collect::<Vec<_>>()
                .join("\n")
        })
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_every_problem_has_a_place(text in prop_oneof![one_mistake(), "\\PC{0,200}", "[a-z:{}\\[\\],\"$ \
         \n-]{0,200}"]) {
            let mut problems = Problems::new();
            let config = load(Some(Path::new("f.yaml")), &around(&[("f.yaml", &text)], &[]), &mut problems);
            prop_assert!(config.is_some() || problems.has_errors());
            for problem in problems.into_sorted() {
                prop_assert!(problem.at.as_ref().is_some_and(|at| at.line >= 1 && at.column >= 1), "{problem}");
            }
            if let Some(config) = config {
                prop_assert!(!config.listing().is_empty());
            }
        }
    }
}
