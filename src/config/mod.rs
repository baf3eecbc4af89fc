//! What was written: the configuration file, its included files, what they take from the environment, and every mistake in them at once.
//!
//! Reading goes in steps, each a function of the one before: [`load`] finds the file and builds one tree (parse, insert `${...}`, include,
//! environment over file, defaults), and [`Config::read`] takes the tree apart into values that know their places. Nothing is resolved
//! here: whether a name, a provider or an address makes sense is for `plan` to judge. Promises: no message and no listing shows a
//! credential or anything that came from the environment; the schema, the listing and the reader know the same keys.

mod admin;
mod credential;
mod interpolate;
mod load;
mod overrides;
mod placed;
mod route;
mod schema;
mod section;
mod server;
mod source;
mod store;
mod surroundings;
mod target;
#[cfg(test)]
mod tests;
mod values;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

pub use admin::{Admin, Role, Token};
pub use credential::Credential;
pub use load::{Located, load, locate};
pub use placed::{Guarded, Link, Named, OneOrMany, Period, Placed, Share, Size, Text};
pub use route::Route;
pub use schema::schema;
pub use server::{Certificate, Limits, Listen, Monitor, Server, Shutdown, Tls, TlsVersion};
pub use source::{BodyLimit, Dedup, DedupBy, OnRepeat, Source, Tolerance, Unrouted, Window};
pub use store::{Denied, Durability, Egress, Log, LogAttempts, LogFormat, LogLevel, LogRequests, PayloadAge, Retention, Store, StoreUrl};
pub use surroundings::{Asked, Contents, Surroundings};
pub use target::{Attempts, Auth, GiveUp, HeaderText, Jitter, Kind, Method, Retry, Status, Target, TargetTls};

use crate::{
    clock::UnixMs,
    yaml::{self, At, Node, Problems, Value, as_list},
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
    pub include: OneOrMany<String>,
    /// Where the gateway writes. Left out: HOOKGATE_DATA_DIR, else systemd's STATE_DIRECTORY, else ./hookgate-data.
    pub data_dir: Placed<PathBuf>,
    /// The public door.
    pub server: Server,
    /// /livez, /readyz and /metrics on a listener of their own: no payloads, no token.
    pub monitor: Monitor,
    /// Dashboard, API, and the three of `monitor`.
    pub admin: Admin,
    /// Where events and deliveries are kept.
    pub store: Store,
    /// What is logged and how.
    pub log: Log,
    /// Where deliveries may not go, judged on the connected address.
    pub egress: Egress,
    /// What every source or target has that does not say otherwise, key by key.
    #[serde(skip_serializing)]
    #[schemars(schema_with = "schema::defaults")]
    pub defaults: (),
    /// Configured intakes by name.
    pub sources: Named<Source>,
    /// Configured receivers of events by name.
    pub targets: Named<Target>,
    /// Who gets what. Every rule that matches applies, in this order.
    pub routes: Vec<Route>,
}

impl Config {
    /// Takes a whole tree apart. What is wrong is noted, and replaced by its default, so that everything else can still be judged.
    fn read(root: &Node, data_dir: PathBuf, read_at: UnixMs, problems: &mut Problems) -> Self {
        let mut section = Section::of(root, "the configuration", problems);
        let version = section.value("version", 1, |node, what, problems| values::count(node, what, 1, 1, problems));
        let include = section.many("include", values::string).map(|found| OneOrMany(found.iter().map(|one| one.value.clone()).collect()));
        let data_dir = section.value("data_dir", data_dir, values::path);
        let server = Server::read(&section.part("server"), section.problems);
        let monitor = Monitor::read(&section.part("monitor"), section.problems);
        let admin = Admin::read(&section.part("admin"), section.problems);
        let store = Store::read(&section.part("store"), section.problems);
        let log = Log::read(&section.part("log"), section.problems);
        let egress = Egress::read(&section.part("egress"), section.problems);
        defaults(&section.part("defaults"), section.problems);
        let sources = named(&section.part("sources"), "sources", Source::read, section.problems);
        let targets = named(&section.part("targets"), "targets", Target::read, section.problems);
        let routes = routes(&section.part("routes"), section.problems);
        section.planned(&["providers_dir", "reload", "alerts"]);
        section.finish();
        let include = include.unwrap_or_default();
        Self {
            at: root.at.clone(),
            read_at,
            version,
            include,
            data_dir,
            server,
            monitor,
            admin,
            store,
            log,
            egress,
            defaults: (),
            sources,
            targets,
            routes,
        }
    }

    /// The whole configuration as it is in force, as YAML: includes and defaults worked in, credentials as fingerprints.
    #[must_use]
    pub fn listing(&self) -> String {
        // JSON text keeps the order of the fields, which a JSON tree does not; and JSON is YAML.
        let json = serde_json::to_string(self).unwrap_or_default();
        let tree = yaml::parse(&"listing".into(), &json, &mut Problems::new());
        tree.map(|tree| yaml::write(&tree)).unwrap_or_default()
    }
}

/// Things by name. A name that cannot be one is reported, and stays, so that whoever names it is not told that it is unknown.
fn named<T>(node: &Node, what: &str, read: fn(&Node, &mut Problems) -> T, problems: &mut Problems) -> Named<T> {
    let entries = match &node.value {
        Value::Map(entries) => entries,
        Value::Null => return Named::default(),
        Value::Scalar { .. } | Value::List(_) => {
            problems.error(&node.at, format!("`{what}` is a mapping of names, and this is {}", node.kind()));
            return Named::default();
        }
    };
    let mut found = Named::default();
    for (key, node) in entries {
        // The kind of name does not matter here: all have one rule.
        if crate::name::TargetName::parse(&key.text).is_none() {
            let hint = "a name begins with a-z, goes on with a-z, 0-9 and `-`, and has at most 63 characters";
            problems.error_hint(&key.at, format!("`{}` cannot be a name", key.text.escape_debug()), hint);
        }
        if found.get(&key.text).is_none() {
            found.0.push((key.clone(), read(node, problems)));
        }
    }
    found
}

/// Rules, in order.
fn routes(node: &Node, problems: &mut Problems) -> Vec<Route> {
    match &node.value {
        Value::List(_) | Value::Null => as_list(node).iter().map(|item| Route::read(item, problems)).collect(),
        Value::Scalar { .. } | Value::Map(_) => {
            let said = format!("`routes` is a list, and this is {}", node.kind());
            problems.error_hint(&node.at, said, "write each as `- { from: source, to: target }`");
            Vec::new()
        }
    }
}

/// Reports what is wrong with the defaults themselves, even when nothing takes them.
fn defaults(node: &Node, problems: &mut Problems) {
    let mut section = Section::of(node, "`defaults`", problems);
    let (source, target) = (section.part("source"), section.part("target"));
    Source::read_part(&source, section.problems);
    Target::read_part(&target, section.problems);
    section.finish();
}
