//! What the simulator needs of the outer house, made in one place: plans, targets, and the proof that a request was verified.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use hookgate::{
    name::TargetName,
    plan::{
        Admin, ClientTls, Egress, Limits, Log, LogFormat, LogWhat, Plan, Retention, RetryPolicy, Server, Shutdown, StoreSettings, Target,
        Tls,
    },
    route::Routes,
    verify::Proof,
};

/// A proof: only `verify` can make one, so one request is signed and verified for all of them.
pub(crate) fn proof() -> Proof {
    static PROOF: OnceLock<Proof> = OnceLock::new();
    *PROOF.get_or_init(crate::proof::of_a_request)
}

/// A target's name.
pub(crate) fn name(text: &str) -> TargetName {
    TargetName::parse(text).expect("a name")
}

/// A target with the contract's defaults.
pub(crate) fn target(text: &str) -> Target {
    Target {
        name: name(text),
        url: url::Url::parse("http://127.0.0.1:1/").expect("a URL"),
        method: http::Method::POST,
        headers: Vec::new(),
        auth: None,
        tls: ClientTls::default(),
        timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(3),
        concurrency: 16,
        retry: RetryPolicy {
            first: Duration::from_secs(1),
            factor: 2.0,
            max: Duration::from_secs(3600),
            give_up_after: Some(Duration::from_secs(3 * 86_400)),
            attempts: None,
            retry_after_max: Duration::from_secs(3600),
            dead_on: Vec::new(),
        },
        rate_limit: None,
        breaker: None,
        formerly: Vec::new(),
        disabled: false,
    }
}

/// How long things are kept, as the contract's defaults have it.
pub(crate) fn retention() -> Retention {
    let days = |days: u64| Duration::from_secs(days * 86_400);
    Retention { delivered: days(3), unrouted: days(30), cancelled: days(3), dead: days(90), payload: None, rejected: None }
}

/// A plan with these targets; nothing else of it matters to the queue.
pub(crate) fn plan_of(targets: impl IntoIterator<Item = Target>) -> Plan {
    let listen = ([127, 0, 0, 1], 0).into();
    Plan {
        generation: 1,
        server: Server {
            listen,
            public_url: None,
            tls: Tls::None,
            trusted_proxies: Vec::new(),
            limits: Limits {
                body: 1 << 20,
                body_max: 32 << 20,
                in_flight: 256 << 20,
                in_flight_per_source: 25,
                in_flight_per_ip: 16,
                body_time: Duration::from_secs(10),
                connections: 10_000,
                answer_within: Duration::from_millis(2500),
            },
            shutdown: Shutdown { delay: Duration::ZERO, deadline: Duration::from_secs(10) },
        },
        monitor: None,
        admin: Admin { listen, tokens: Vec::new(), hosts: Vec::new() },
        store: StoreSettings {
            path: PathBuf::new(),
            data_dir: PathBuf::new(),
            durability: None,
            retention: retention(),
            max_bytes: 10 << 30,
            min_free_bytes: 1 << 30,
            lock_wait: Duration::from_secs(30),
        },
        log: Log { format: LogFormat::Auto, level: tracing::Level::INFO, requests: LogWhat::All, attempts: LogWhat::Failed },
        egress: Egress { deny_classes: Vec::new(), deny_nets: Vec::new(), allow: Vec::new() },
        sources: BTreeMap::new(),
        paths: std::collections::HashMap::new(),
        targets: targets.into_iter().map(|target| (target.name.clone(), Arc::new(target))).collect(),
        routes: Routes::default(),
    }
}
