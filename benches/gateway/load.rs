//! The load: a process of its own that rings over TLS, signed once, with an id of its own for each request.
//!
//! The closed loop finds the most a server takes. The open loop keeps to a schedule and counts latency from when a request was due, not
//! from when it got its turn, so a stall counts for every request it delayed.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit, Mac};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{BODY_BYTES, SECRET, process::now};

/// How requests follow one another.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Pace {
    /// Each connection rings again as soon as it is answered; after so many requests (0: never) it connects anew.
    Closed { connections: usize, requests_per_connection: usize },
    /// So many a second over all connections, whatever the answers do.
    Open { connections: usize, per_second: f64 },
}

/// One load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) tls: PathBuf,
    pub(crate) pace: Pace,
    pub(crate) seconds: f64,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) seconds: f64,
    pub(crate) latencies_us: Vec<u32>,
    #[serde(default)]
    pub(crate) server_cpu_s: f64,
    #[serde(default)]
    pub(crate) server_rss_bytes: u64,
}

impl Measured {
    /// Answered 200 a second.
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    /// CPU of the server for each, in microseconds.
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    pub(crate) fn cpu_us(&self) -> f64 {
        self.server_cpu_s * 1e6 / self.requests.max(1) as f64
    }

    /// The latency that `share` of the requests stayed under, in milliseconds.
    pub(crate) fn latency_ms(&self, share: f64) -> f64 {
        crate::report::quantile(&self.latencies_us, share) / 1000.0
    }
}

impl Load {
    /// Runs it in a process of its own.
    pub(crate) fn run_in_child(&self) -> Measured {
        let spec = serde_json::to_string(self).expect("plain values");
        let bench = std::env::current_exe().expect("this binary");
        let output = Command::new(bench).args(["load", &spec]).output().expect("this binary starts");
        assert!(output.status.success(), "the load failed: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("what the load prints")
    }
}

/// The child's side.
#[expect(clippy::print_stdout, reason = "its answer to the parent")]
pub(crate) fn run(spec: &str) {
    let load: Load = serde_json::from_str(spec).expect("what the parent wrote");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let local = tokio::task::LocalSet::new();
    let measured = local.block_on(&runtime, ring(&load));
    println!("{}", serde_json::to_string(&measured).expect("plain values"));
}

async fn ring(load: &Load) -> Measured {
    let (connections, per_second) = match load.pace {
        Pace::Closed { connections, .. } => (connections, None),
        Pace::Open { connections, per_second } => (connections, Some(per_second)),
    };
    let started = now();
    let plan = Rc::new(Schedule {
        ringer: Ringer::new(load),
        started,
        end: started + Duration::from_secs_f64(load.seconds),
        interval: per_second.map(|rate| Duration::from_secs_f64(1.0 / rate)),
        next: std::cell::Cell::new(0),
        renew_after: match load.pace {
            Pace::Closed { requests_per_connection, .. } if requests_per_connection > 0 => requests_per_connection,
            Pace::Closed { .. } | Pace::Open { .. } => usize::MAX,
        },
    });
    let tasks: Vec<_> = (0..connections).map(|_| tokio::task::spawn_local(Rc::clone(&plan).one_connection())).collect();
    let mut all = Measured::default();
    for task in tasks {
        let one = task.await.expect("a connection does not panic");
        all.requests += one.requests;
        all.failed += one.failed;
        all.latencies_us.extend(one.latencies_us);
    }
    all.seconds = (now() - started).as_secs_f64();
    all
}

/// When requests are due, shared by all connections.
struct Schedule {
    ringer: Ringer,
    started: Instant,
    end: Instant,
    interval: Option<Duration>,
    next: std::cell::Cell<u32>,
    renew_after: usize,
}

impl Schedule {
    async fn one_connection(self: Rc<Self>) -> Measured {
        let mut measured = Measured::default();
        let mut answer = Vec::with_capacity(4096);
        let mut stream = None;
        let mut rung = 0;
        while let Some(due) = self.next_due().await {
            if rung >= self.renew_after {
                stream = None;
                rung = 0;
            }
            if stream.is_none() {
                stream = self.ringer.connect().await;
            }
            let answered = match &mut stream {
                Some(open) => self.ringer.ring(open, &mut answer).await,
                None => None,
            };
            rung += 1;
            if answered.is_none_or(|answered| answered.last) {
                stream = None;
            }
            if answered.is_some_and(|answered| answered.status == 200) {
                measured.requests += 1;
                measured.latencies_us.push(u32::try_from((now() - due).as_micros()).unwrap_or(u32::MAX));
            } else {
                measured.failed += 1;
            }
        }
        measured
    }

    /// When the next request is due: at once in a closed loop, by the schedule in an open one.
    async fn next_due(&self) -> Option<Instant> {
        let due = match self.interval {
            None => now(),
            Some(interval) => {
                let index = self.next.get();
                self.next.set(index + 1);
                self.started + interval * index
            }
        };
        if due >= self.end {
            return None;
        }
        tokio::time::sleep_until(due.into()).await;
        Some(due)
    }
}

/// What every request has in common.
struct Ringer {
    address: SocketAddr,
    connector: TlsConnector,
    head: String,
    body: Vec<u8>,
    count: std::cell::Cell<u64>,
    run: u32,
}

impl Ringer {
    fn new(load: &Load) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(load.tls.join("ca.pem")).expect("PEM")).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("TLS");
        let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
        let mut body = br#"{"ref":"refs/heads/main","pad":""#.to_vec();
        body.resize(BODY_BYTES - 2, b'x');
        body.extend_from_slice(b"\"}");
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length");
        mac.update(&body);
        let signature = hex::encode(mac.finalize().into_bytes());
        let head = format!(
            "POST /hooks/github HTTP/1.1\r\nHost: localhost\r\nUser-Agent: GitHub-Hookshot/bench\r\nAccept: */*\r\n\
             Content-Type: application/json\r\nX-GitHub-Event: push\r\nX-GitHub-Hook-ID: 292430182\r\n\
             X-GitHub-Hook-Installation-Target-ID: 79929171\r\nX-GitHub-Hook-Installation-Target-Type: repository\r\n\
             X-Hub-Signature-256: sha256={signature}\r\nContent-Length: {BODY_BYTES}\r\n",
        );
        Self { address: load.address, connector, head, body, count: std::cell::Cell::new(0), run: rand::random() }
    }

    async fn connect(&self) -> Option<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let name = ServerName::try_from("localhost").ok()?;
        self.connector.connect(name, stream).await.ok()
    }

    /// Rings once; `None` when no answer came.
    async fn ring(&self, stream: &mut TlsStream<TcpStream>, answer: &mut Vec<u8>) -> Option<Answered> {
        let number = self.count.get();
        self.count.set(number + 1);
        let mut request = Vec::with_capacity(self.head.len() + 80 + self.body.len());
        request.extend_from_slice(self.head.as_bytes());
        request.extend_from_slice(format!("X-GitHub-Delivery: {:08x}-{number:012x}\r\n\r\n", self.run).as_bytes());
        request.extend_from_slice(&self.body);
        stream.write_all(&request).await.ok()?;
        answer.clear();
        loop {
            if let Some(answered) = whole_answer(answer) {
                return Some(answered);
            }
            if stream.read_buf(answer).await.ok()? == 0 {
                return None;
            }
        }
    }
}

/// What an answer says.
#[derive(Clone, Copy)]
struct Answered {
    status: u16,
    /// The server closes the connection behind it, as it may at any time.
    last: bool,
}

/// An answer, once all of it is here.
fn whole_answer(held: &[u8]) -> Option<Answered> {
    let head_bytes = held.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&held[..head_bytes]).ok()?;
    let field = |wanted: &str| {
        head.lines()
            .find_map(|line| line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim()))
    };
    let length = field("content-length").and_then(|value| value.parse::<usize>().ok()).unwrap_or(0);
    let last = field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    (held.len() >= head_bytes + length).then(|| head.get(9..12)?.parse().ok())?.map(|status| Answered { status, last })
}

/// Where the certificate files are.
pub(crate) fn tls_files(room: &Path) -> [PathBuf; 3] {
    ["ca.pem", "cert.pem", "key.pem"].map(|name| room.join(name))
}
