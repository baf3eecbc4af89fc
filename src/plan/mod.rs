//! What runs: the configuration with every name resolved, every default filled in, every provider compiled. Values only, immutable; a
//! request and a delivery see one plan from beginning to end.
//!
//! `config` is what was written, `Plan` is what runs; they are two types, so the engine can never meet an unresolved name.

mod alerts;
mod breaker;
mod compile;
mod egress;
mod guard;
mod pem;
mod server;
mod source;
mod target;
#[cfg(test)]
pub(crate) mod testing;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

pub use crate::provider::{Accepted, Rejected};
pub use alerts::Alerts;
pub use breaker::{BreakerPolicy, RampPolicy, Rate};
pub use compile::{compile, intake};
pub use guard::{Guard, UrlToken, with_token};
pub use pem::PemFile;
pub use server::{
    Admin, AdminToken, Certificate, Egress, EgressClass, Level, Limits, Log, LogFormat, LogWhat, Outcomes, Retention, Role, Server,
    Shutdown, StoreSettings, Tls, TlsVersion,
};
pub use source::{Dedup, DedupBy, Source, Unrouted};
pub use target::{Auth, ClientTls, RetryPolicy, StatusPattern, Target};

use crate::{
    name::{SourceName, TargetName},
    route::Routes,
};

/// The compiled configuration.
#[derive(Debug)]
pub struct Plan {
    /// Counts plans of this process, from 1.
    pub generation: u64,
    /// The public door.
    pub server: Server,
    /// Where /livez, /readyz and /metrics are served without a token, besides `admin`.
    pub monitor: Option<std::net::SocketAddr>,
    /// The API and the probes.
    pub admin: Admin,
    /// The store.
    pub store: StoreSettings,
    /// Logs.
    pub log: Log,
    /// Where deliveries may not go.
    pub egress: Egress,
    /// Who is told of what; `None` nobody.
    pub alerts: Option<Alerts>,
    /// Sources by name, the disabled ones too.
    pub sources: BTreeMap<SourceName, Arc<Source>>,
    /// Enabled sources by exact path.
    pub paths: HashMap<Box<str>, Arc<Source>>,
    /// Targets by name, the disabled ones too.
    pub targets: BTreeMap<TargetName, Arc<Target>>,
    /// Who gets what.
    pub routes: Routes,
}
