//! The processes under measurement: started on free loopback ports, ended by pid.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use hookgate::{
    clock::{Clock, UnixMs},
    event::{DedupKey, EventIds, EventTypes, Payload},
    limits,
    metrics::Metrics,
    name::SourceName,
    plan::{Retention, StoreSettings},
    store::{NewEvent, SqliteStore, Store},
    verify::Proof,
};

use crate::{SECRET, load::tls_files, process, proof};

/// How long a process may take to listen.
const START: Duration = Duration::from_secs(60);
/// Admits under way while preloading.
const PRELOAD_WINDOW: usize = 512;

/// A process that listens.
pub(crate) struct Running {
    child: Child,
    address: SocketAddr,
    admin: Option<SocketAddr>,
}

impl Running {
    /// The bare handler.
    pub(crate) fn bare(tls: &Path) -> Self {
        let address = free_address();
        let tls = tls.to_str().expect("a plain path");
        Self::start(Command::new(this_binary()).args(["serve-bare", &address.to_string(), tls]), address, None)
    }

    /// The target.
    pub(crate) fn sink() -> Self {
        let address = free_address();
        Self::start(Command::new(this_binary()).args(["serve-sink", &address.to_string()]), address, None)
    }

    /// The gateway on the embedded store in `dir`, delivering to `sink`, or to nobody.
    pub(crate) fn gateway(dir: &Path, tls: &Path, sink: Option<SocketAddr>) -> Self {
        std::fs::create_dir_all(dir).expect("a directory");
        let (address, admin) = (free_address(), free_address());
        let [_, cert, key] = tls_files(tls);
        let (keep, routes) = match sink {
            Some(sink) => ("", format!("targets: {{ sink: {{ url: \"http://{sink}/in\" }} }}\nroutes: [ {{ from: github, to: sink }} ]\n")),
            None => (", unrouted: keep", String::new()),
        };
        let config = format!(
            "data_dir: {dir}\nserver: {{ listen: \"{address}\", public_url: \"https://localhost\", tls: {{ cert: {cert}, key: {key} }} }}\n\
             admin: {{ listen: \"{admin}\" }}\nlog: {{ requests: none, attempts: none }}\n\
             sources: {{ github: {{ provider: github, secret: {SECRET}{keep} }} }}\n{routes}",
            dir = dir.display(),
            cert = cert.display(),
            key = key.display(),
        );
        let file = dir.join("hookgate.yaml");
        std::fs::write(&file, config).expect("a file");
        Self::start(Command::new(env!("CARGO_BIN_EXE_hookgate")).args(["run", "-c"]).arg(file), address, Some(admin))
    }

    fn start(command: &mut Command, address: SocketAddr, admin: Option<SocketAddr>) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
        let mut running = Self { child, address, admin };
        wait_until(START, || {
            assert!(running.child.try_wait().expect("our child").is_none(), "it ended at start");
            TcpStream::connect(running.admin.unwrap_or(address)).is_ok() && TcpStream::connect(address).is_ok()
        });
        running
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn cpu(&self) -> Duration {
        process::cpu(self.child.id())
    }

    pub(crate) fn rss_bytes(&self) -> u64 {
        process::rss_bytes(self.child.id())
    }

    /// Waits until so many deliveries have arrived; whether they have.
    pub(crate) fn wait_drained(&self, deliveries: u64, time: Duration) -> bool {
        let mut arrived = 0;
        let end = process::now() + time;
        while arrived < deliveries && process::now() < end {
            arrived = self.metric("hookgate_deliveries_total{outcome=\"delivered\",target=\"sink\"}");
            std::thread::sleep(Duration::from_millis(50));
        }
        arrived >= deliveries
    }

    fn metric(&self, series: &str) -> u64 {
        let text = self.admin.map(|admin| http_get(admin, "/metrics")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(series)).unwrap_or_default();
        line.trim().parse().unwrap_or(0)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Our own child, by its pid; it may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A certificate authority and a certificate for `localhost`, as PEM files.
pub(crate) fn write_certificate(room: &Path) -> PathBuf {
    let authority_key = rcgen::KeyPair::generate().expect("a key");
    let mut authority = rcgen::CertificateParams::new(Vec::<String>::new()).expect("no names");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_cert = authority.self_signed(&authority_key).expect("signed");
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("names");
    let cert = leaf.signed_by(&key, &issuer).expect("signed");
    let [ca_file, cert_file, key_file] = tls_files(room);
    std::fs::write(ca_file, authority_cert.pem()).expect("a file");
    std::fs::write(cert_file, cert.pem()).expect("a file");
    std::fs::write(key_file, key.serialize_pem()).expect("a file");
    room.to_path_buf()
}

/// Fills a store with so many events, each with a dedup key, through the store's own front.
pub(crate) fn preload(dir: &Path, keys: u64) {
    let clock = Clock::System;
    let metrics = Arc::new(Metrics::new().expect("declared once"));
    std::fs::create_dir_all(dir).expect("a directory");
    let store = SqliteStore::open(&settings(dir), limits::LEASE_MIN, clock.clone(), metrics).expect("a fresh store");
    let ids = EventIds::above(store.highest_event_id(), 0);
    let proof = proof::of_a_request();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut under_way = futures_util::stream::FuturesUnordered::new();
        for number in 0..keys {
            if under_way.len() >= PRELOAD_WINDOW {
                settle_one(&mut under_way).await;
            }
            under_way.push(store.admit(event(&ids, clock.wall(), number, proof), hookgate::clock::Mono::NEVER));
        }
        while !under_way.is_empty() {
            settle_one(&mut under_way).await;
        }
        store.close(clock.mono() + START).await.expect("closed");
    });
}

async fn settle_one(under_way: &mut futures_util::stream::FuturesUnordered<hookgate::store::Reply<hookgate::store::Admission>>) {
    use futures_util::StreamExt;
    if let Some(admission) = under_way.next().await {
        admission.expect("admitted");
    }
}

fn event(ids: &EventIds, now: UnixMs, number: u64, proof: Proof) -> NewEvent {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(number.to_le_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    NewEvent {
        id: ids.next(now),
        source: SourceName::parse("github").expect("a name"),
        types: EventTypes::new([Box::from("push")]),
        provider_event_id: None,
        received_at: now,
        key: DedupKey(key),
        window: Duration::from_secs(7 * 24 * 60 * 60),
        revive: false,
        payloads: [Payload { head: bytes::Bytes::new(), body: bytes::Bytes::from_static(b"{}") }].into_iter().collect(),
        owed: smallvec::SmallVec::new(),
        proof,
    }
}

/// What the gateway itself would run with.
fn settings(dir: &Path) -> StoreSettings {
    const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);
    StoreSettings {
        path: dir.join("hookgate.db"),
        data_dir: dir.to_path_buf(),
        durability: None,
        retention: Retention { delivered: MONTH, unrouted: MONTH, cancelled: MONTH, dead: MONTH, payload: None, rejected: None },
        max_bytes: 64 << 30,
        min_free_bytes: 1 << 30,
        lock_wait: Duration::ZERO,
    }
}

fn http_get(address: SocketAddr, path: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("sent");
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    text
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound")
}

fn this_binary() -> PathBuf {
    std::env::current_exe().expect("this binary")
}

fn wait_until(time: Duration, mut condition: impl FnMut() -> bool) {
    let end = process::now() + time;
    while !condition() {
        assert!(process::now() < end, "it did not come up within {time:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
