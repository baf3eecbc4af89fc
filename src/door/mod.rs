//! The public door: sockets, TLS, HTTP/1.1, and what a client may cost. What a request is worth is decided in `ingest`.
//!
//! Traps of the HTTP stack that are closed here, each with a test in `tests/suite/door` or `tests/suite/conformance`:
//! - actix times only the first head of a connection and no body at all: [`connections`] watches every connection, and `ingest` times the
//!   body.
//! - HTTP/2 is not offered and not compiled in: actix-http builds on h2 0.3, which has an unpatched flood (RUSTSEC-2026-0258).
//! - Bodies are never inflated: no `compress-*` feature is on, and the payload is read as it came.
//! - Failed handshakes and broken requests never reach a handler, so the server is put together in [`server`], where they can be counted.
//! - A request that cannot be parsed is answered 400 or 431 and its connection closed: no byte after it is interpreted.
//! - actix fills 128 KiB for each connection before it looks at them, and panics at a name of 64 KiB: sockets are read in [`sips`].
//! - What actix lets through and HTTP/1.1 does not (a Host that is none, a body without an end) is refused by [`strict`].
//! - actix goes on with pipelined requests behind an answer that closes the connection; [`handle`] does not.
//!
//! [`bind`] does everything that can fail, so that `check` refuses what `run` would; [`Bound::serve`] starts the threads.

mod certificates;
mod clients;
mod connections;
mod course;
mod descriptors;
mod framing;
mod handle;
mod server;
mod sips;
mod strict;

#[doc(hidden)]
pub use framing::followed;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use actix_server::ServerHandle;

use crate::{
    clock::{Clock, UnixMs},
    ingest::Ingest,
    limits,
    plan::{Certificate, PemFile, Plan, Tls},
};
use connections::Connections;

/// How long the door waits for a client, besides the times of the plan.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From the connection to the end of the TLS handshake.
    pub handshake: Duration,
    /// From there to the end of the first head.
    pub head: Duration,
    /// Between two requests.
    pub keep_alive: Duration,
    /// Beyond that, to the end of a later head.
    pub later_head: Duration,
    /// From an answer that closes the connection to its end.
    pub linger: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            handshake: limits::HANDSHAKE_TIME,
            head: limits::HEAD_TIME,
            keep_alive: limits::KEEP_ALIVE,
            later_head: limits::LATER_HEAD_TIME,
            linger: limits::LINGER_TIME,
        }
    }
}

/// Why the door cannot open.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The address is taken, or not ours.
    #[error("server.listen: cannot listen on {at}: {cause}; is another process there?")]
    Listen {
        /// The address.
        at: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// A certificate or a key cannot be read.
    #[error("{}server.tls: cannot read {file}: {cause}", file.place())]
    Unreadable {
        /// The file.
        file: PemFile,
        /// What is wrong with it.
        cause: String,
    },
    /// A key that belongs to another certificate, or one that cannot be used.
    #[error("{}server.tls: {} and {} do not work together: {cause}", files.key.place(), files.cert, files.key)]
    Mismatch {
        /// The certificate's file and the key's.
        files: Box<Certificate>,
        /// What is wrong with them.
        cause: String,
    },
    /// TLS could not be set up.
    #[error("server.tls: {0}")]
    Tls(String),
    /// The threads could not be started.
    #[error("the door's threads do not start: {0}")]
    Threads(io::Error),
}

/// A door that listens and does not answer yet: clients wait in the kernel's queue.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    addr: SocketAddr,
    tls: Option<Arc<rustls::ServerConfig>>,
    expiries: Vec<certificates::Expiry>,
    connections_max: usize,
    patience: Patience,
    is_secured: bool,
}

/// A door that answers.
#[derive(Debug)]
pub struct Door {
    addr: SocketAddr,
    connections: Arc<Connections>,
    server: ServerHandle,
    thread: thread::JoinHandle<io::Result<()>>,
}

/// Loads the certificates and throws them away: what can be known of a door without opening it, while another process may stand in it.
///
/// # Errors
/// A certificate or key is unreadable, or they do not belong together.
pub fn check(plan: &Plan) -> Result<(), DoorError> {
    load(&plan.server.tls).map(|_| ())
}

/// Opens the socket and loads the certificates. A certificate that has run out, or has not begun, is loaded with a warning: with it some
/// clients may still come, without it none would.
///
/// # Errors
/// The address cannot be listened on; a certificate or key is unreadable, or they do not belong together.
pub fn bind(plan: &Plan) -> Result<Bound, DoorError> {
    let server = &plan.server;
    let (tls, expiries) = load(&server.tls)?;
    warn_of_expiries(&expiries, Clock::System.wall());
    let at = server.listen;
    let listening = || -> io::Result<(TcpListener, SocketAddr)> {
        let listener = TcpListener::bind(at)?;
        // The standard library asks for a queue of 128, which a burst of new connections overflows.
        rustix::net::listen(&listener, limits::LISTEN_BACKLOG)?;
        let addr = listener.local_addr()?;
        Ok((listener, addr))
    };
    let (listener, addr) = listening().map_err(|cause| DoorError::Listen { at, cause })?;
    let connections_max = descriptors::connections_that_fit(server.limits.connections);
    Ok(Bound {
        listener,
        addr,
        tls,
        expiries,
        connections_max,
        patience: Patience::default(),
        is_secured: !matches!(server.tls, Tls::None),
    })
}

impl Bound {
    /// Where it listens: with port 0 in the plan, the port that was given.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The same door with another patience.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// Starts the threads: the workers, which answer, and one that keeps watch. They need no runtime of the caller's.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn serve(self, ingest: Arc<Ingest>) -> Result<Door, DoorError> {
        let metrics = Arc::clone(ingest.metrics());
        for expiry in &self.expiries {
            metrics.tls_cert_expiry.with_label_values(&[&expiry.name]).set(expiry.seconds());
        }
        let connections = Arc::new(Connections::new(ingest.clock().clone(), Arc::clone(&metrics), self.patience));
        let desk = server::Desk { ingest, connections: Arc::clone(&connections), patience: self.patience, is_secured: self.is_secured };
        let addr = self.addr;
        let (started, starting) = mpsc::sync_channel(1);
        let run = move || server::run(&desk, self.listener, self.tls, self.connections_max, &started);
        let thread = thread::Builder::new().name("door-watch".into()).spawn(run).map_err(DoorError::Threads)?;
        match starting.recv() {
            Ok(server) => Ok(Door { addr, connections, server, thread }),
            // The thread is gone without having started the server; what it returned says why.
            Err(_) => Err(DoorError::Threads(match thread.join() {
                Ok(Err(cause)) => cause,
                Ok(Ok(())) | Err(_) => io::Error::other("the server ended at once"),
            })),
        }
    }
}

impl Door {
    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Whether the workers are still there.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Stops accepting, closes idle connections, and waits at most `grace` for requests under way; then cuts what is left. Says how many
    /// connections that were.
    pub async fn stop(self, grace: Duration) -> usize {
        // The command is on its way with the call. Its future also waits for the workers' own look-round, once a second, by which nothing
        // is won.
        let stopped = self.server.stop(true);
        // Out of time is no error: what is left is cut.
        let _ = tokio::time::timeout(grace, self.connections.all_gone()).await;
        let cut = self.connections.cut_all();
        let _ = tokio::time::timeout(limits::STOP_SLACK, stopped).await;
        cut
    }
}

fn load(tls: &Tls) -> Result<(Option<Arc<rustls::ServerConfig>>, Vec<certificates::Expiry>), DoorError> {
    match tls {
        Tls::None | Tls::Upstream => Ok((None, Vec::new())),
        Tls::Own { certificates, client_ca, min_version } => {
            let (config, expiries) = certificates::load(certificates, client_ca.as_ref(), *min_version)?;
            Ok((Some(Arc::new(config)), expiries))
        }
    }
}

fn warn_of_expiries(expiries: &[certificates::Expiry], now: UnixMs) {
    for expiry in expiries {
        if let Some(complaint) = expiry.complaint(now) {
            tracing::warn!(event = "start", "server.tls: the certificate of {} {complaint}", expiry.name);
        }
    }
}
