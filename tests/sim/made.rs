//! What the simulator needs of the outer house, made in one place: plans, targets, and the proof that a request was verified.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, LazyLock},
    time::Duration,
};

use hookgate::{
    clock::UnixMs,
    name::TargetName,
    plan::{
        Admin, ClientTls, Egress, Limits, Log, LogFormat, LogWhat, Plan, Retention, RetryPolicy, Server, Shutdown, StoreSettings, Target,
        Tls,
    },
    provider::Catalogue,
    request::{HeadersBuilder, RawRequest},
    route::Routes,
    secret::Secret,
    verify::{Credential, Proof, Sample, Verifier, sign},
};

/// A proof: only `verify` can make one, so a really signed request is verified for it, once.
pub(crate) fn proof() -> Proof {
    static PROOF: LazyLock<Proof> = LazyLock::new(|| {
        let catalogue = Catalogue::embedded();
        let provider = catalogue.find("github").expect("part of the binary");
        let credentials = [Credential { name: "secret".into(), value: Secret::new("of no consequence at all"), until: None }];
        let now = UnixMs(1_760_000_000_000);
        let signed = sign(provider, &credentials, &Sample::default(), now).expect("a sample");
        let mut headers = HeadersBuilder::new();
        for (name, value) in &signed.headers {
            assert!(headers.push(name, value), "{name}");
        }
        let request = RawRequest {
            method: signed.method,
            path: "/hooks/sim".into(),
            query: None,
            headers: headers.build(),
            body: signed.body,
            client_ip: IpAddr::from([127, 0, 0, 1]),
            received_at: now,
        };
        let verifier = Verifier::compile(provider, &credentials, None, None).expect("one good credential");
        verifier.verify(request, now).expect("signed by its own rules").proof()
    });
    *PROOF
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
        disabled: false,
    }
}

/// How long things are kept, as the contract's defaults have it.
pub(crate) fn retention() -> Retention {
    let days = |days: u64| Duration::from_secs(days * 86_400);
    Retention { delivered: days(3), unrouted: days(30), dead: days(90), payload: None }
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
