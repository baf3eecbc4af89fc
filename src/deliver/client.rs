//! The HTTP client of a target, around one connector: literal or resolved address, egress guard, connection, TLS.
//!
//! It follows no redirect, reads no proxy from the environment, and speaks HTTP/1.1. It sends a request a second time only when not a byte
//! of it had reached the wire: the target had closed a pooled connection between two requests.

use std::{
    fmt,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use http::Uri;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::ClientConfig;
use tokio::{net::TcpStream, time};
use tower_service::Service;

use crate::{
    deliver::{acks::PromptAcks, resolve::Resolver},
    delivery::AttemptResult,
    limits::ANSWER_BYTES_MAX,
    plan::Egress,
};

/// A pooled client.
pub type Client = legacy::Client<Connector, Full<Bytes>>;

/// A pooled connection that lay idle this long is closed by us: most servers close theirs after 60 s or more, some after 5.
const IDLE_FOR: Duration = Duration::from_secs(20);
/// How long an address may take alone before the next one is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// A client that keeps at most `idle_max` idle connections.
#[must_use]
pub fn client(connector: Connector, idle_max: usize) -> Client {
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_FOR)
        .pool_max_idle_per_host(idle_max)
        .retry_canceled_requests(true)
        // The head of an answer is bounded as its body is.
        .http1_max_buf_size(ANSWER_BYTES_MAX)
        .build(connector)
}

/// Makes connections. Cloning it copies pointers.
#[derive(Clone)]
pub struct Connector {
    /// Names to addresses.
    pub(super) resolver: Resolver,
    /// What may not be connected to.
    pub(super) egress: Arc<Egress>,
    /// For `https`; `None` where there is none.
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// Until the connection stands: name, connection and handshake together.
    pub(super) timeout: Duration,
}

/// Why there is no connection: how an attempt ends that needed one, and the cause, for people.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct ConnectError {
    /// `dns`, `egress_denied`, `connect` or `tls`.
    pub result: AttemptResult,
    /// The cause; names addresses, never a secret.
    pub cause: String,
}

/// A connection, with TLS or without.
pub(super) type Connection = MaybeHttpsStream<TokioIo<PromptAcks>>;

type Connecting = Pin<Box<dyn Future<Output = Result<Connection, ConnectError>> + Send>>;

impl Connector {
    /// The way to a connection, top-down: addresses, guard, connection, TLS. One deadline for all of it.
    async fn connect(self, to: Uri) -> Result<Connection, ConnectError> {
        let deadline = time::Instant::now() + self.timeout;
        let host = to.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = to.port_u16().unwrap_or(if to.scheme_str() == Some("https") { 443 } else { 80 });

        let addresses = self.within(deadline, AttemptResult::Dns, "name", self.addresses(host)).await?;
        let allowed = self.allowed(&addresses, port)?;
        let tcp = PromptAcks(self.within(deadline, AttemptResult::Connect, "connection", connect_any(&allowed)).await?);
        if to.scheme_str() == Some("http") {
            return Ok(MaybeHttpsStream::Http(TokioIo::new(tcp)));
        }
        self.within(deadline, AttemptResult::Tls, "TLS handshake", self.encrypted(to, tcp)).await
    }

    async fn addresses(&self, host: &str) -> Result<Arc<[IpAddr]>, ConnectError> {
        if let Ok(literal) = host.parse::<IpAddr>() {
            return Ok(Arc::from([literal]));
        }
        self.resolver.resolve(host).await.map_err(|cause| ConnectError::new(AttemptResult::Dns, cause.as_ref()))
    }

    fn allowed(&self, addresses: &[IpAddr], port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
        let mut refused = None;
        let mut allowed = Vec::with_capacity(addresses.len());
        for address in addresses {
            match self.egress.refusal(*address) {
                None => allowed.push(SocketAddr::new(*address, port)),
                Some(cause) => refused = refused.or(Some(cause)),
            }
        }
        match refused {
            Some(cause) if allowed.is_empty() => Err(ConnectError::new(AttemptResult::EgressDenied, cause)),
            _ => Ok(allowed),
        }
    }

    async fn encrypted(&self, to: Uri, tcp: PromptAcks) -> Result<Connection, ConnectError> {
        let failed = |cause: String| ConnectError::new(AttemptResult::Tls, cause);
        let config = self.tls.clone().ok_or_else(|| failed("no TLS is prepared for it".into()))?;
        let over = Connected(Some(tcp));
        HttpsConnector::from((over, config)).call(to).await.map_err(|error| failed(format!("TLS: {error}")))
    }

    async fn within<T>(
        &self,
        deadline: time::Instant,
        stage: AttemptResult,
        what: &str,
        work: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        let late = |_| ConnectError::new(stage, format!("no {what} within {:?} (connect_timeout)", self.timeout));
        time::timeout_at(deadline, work).await.map_err(late)?
    }
}

/// The first address that answers: each next one is tried when one before it failed, or had its head start.
async fn connect_any(addresses: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
    let mut untried = addresses.iter();
    let mut trying = FuturesUnordered::new();
    let mut last = String::from("there is no address to connect to");
    loop {
        if let Some(next) = untried.next() {
            trying.push(async move { (*next, TcpStream::connect(*next).await) });
        }
        let more = untried.len() > 0;
        tokio::select! {
            tried = trying.next() => match tried {
                None => return Err(ConnectError::new(AttemptResult::Connect, last)),
                Some((_, Ok(tcp))) => {
                    // Small requests go out at once; without it nothing breaks but the latency.
                    let _ = tcp.set_nodelay(true);
                    return Ok(tcp);
                }
                Some((address, Err(error))) => last = format!("{address}: {error}"),
            },
            () = time::sleep(HEAD_START), if more => {}
        }
    }
}

impl ConnectError {
    fn new(result: AttemptResult, cause: impl Into<String>) -> Self {
        Self { result, cause: cause.into() }
    }
}

impl Service<Uri> for Connector {
    type Response = Connection;
    type Error = ConnectError;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Connecting {
        Box::pin(self.clone().connect(to))
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// A connection that stands already, as hyper-rustls wants to be given one.
struct Connected(Option<PromptAcks>);

impl Service<Uri> for Connected {
    type Response = TokioIo<PromptAcks>;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<TokioIo<PromptAcks>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        std::future::ready(self.0.take().map(TokioIo::new).ok_or_else(|| io::Error::other("the connection was taken")))
    }
}
