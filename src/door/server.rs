//! The server, put together from the parts `actix_web::HttpServer` is made of.
//!
//! `HttpServer` throws away what a connection came to, and with it every failed handshake and every request that could not be parsed. Here
//! those are counted. The rest is as there: an accepting thread, workers with a runtime each, one `App` with one service.

use std::{
    future::{Future as _, poll_fn, ready},
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::SyncSender,
    },
    task::Poll,
    thread,
};

use actix_http::{
    HttpService, KeepAlive, Request,
    error::{DispatchError, ParseError},
};
use actix_server::{GracefulShutdownSignal, Server, ServerBuilder, ServerHandle};
use actix_service::{IntoServiceFactory, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config};
use actix_tls::accept::{
    TlsError,
    rustls_0_23::{Acceptor, TlsStream},
};
use actix_web::{
    App,
    body::MessageBody,
    dev::{AppConfig, Extensions},
    rt::net::TcpStream,
    web,
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Patience, clients, connections::Connections, handle, sips::Sips};
use crate::{
    ingest::Ingest,
    limits,
    metrics::{HttpError, Metrics},
};

/// What every worker has at hand.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    pub(super) ingest: Arc<Ingest>,
    pub(super) connections: Arc<Connections>,
    pub(super) patience: Patience,
    /// Whether clients reach us over TLS, ours or a proxy's.
    pub(super) is_secured: bool,
}

/// Runs the server to its end, and the watchdog beside it. Sends the handle once the workers are up.
pub(super) fn run(
    desk: &Desk,
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    connections_max: usize,
    started: &SyncSender<ServerHandle>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut server = std::pin::pin!(build(desk, listener, tls, connections_max)?);
        // The first poll starts the workers; only then is there somebody to answer.
        let first_poll = poll_fn(|context| Poll::Ready(server.as_mut().poll(context)));
        if let Poll::Ready(ended) = first_poll.await {
            return ended;
        }
        // The caller waits for this message: there is nobody to miss it.
        let _ = started.send(server.handle());
        let mut watch = tokio::time::interval(limits::WATCH_EVERY);
        loop {
            tokio::select! {
                ended = &mut server => return ended,
                _ = watch.tick() => desk.connections.cut_overdue(),
            }
        }
    })
}

fn build(desk: &Desk, listener: TcpListener, tls: Option<Arc<rustls::ServerConfig>>, connections_max: usize) -> io::Result<Server> {
    let workers = thread::available_parallelism().map_or(1, usize::from).min(limits::DOOR_WORKERS_MAX);
    let connections_per_worker = (connections_max / workers).max(1);
    // A full house of handshakes makes a worker deaf, so strangers who stall theirs must not fill it sooner than connections would.
    actix_tls::accept::max_concurrent_tls_connect(connections_per_worker);
    let builder = Server::build().workers(workers).max_concurrent_connections(connections_per_worker).disable_signals();
    desk.ingest.metrics().workers.with_label_values(&["door", "running"]).set(i64::try_from(workers).unwrap_or(i64::MAX));
    let builder = match tls {
        None => listen_plain(builder, desk.clone(), listener)?,
        Some(config) => listen_tls(builder, desk.clone(), listener, config)?,
    };
    Ok(builder.run())
}

fn listen_plain(builder: ServerBuilder, desk: Desk, listener: TcpListener) -> io::Result<ServerBuilder> {
    let stop = builder.graceful_shutdown_signal();
    let names = Names::default();
    builder.listen("door", listener, move || {
        names.name_this_thread();
        let metrics = Arc::clone(desk.ingest.metrics());
        let sips = |socket: TcpStream| ready(Ok::<_, DispatchError>(in_sips(socket, |socket| socket)));
        let http = http(desk.clone(), stop.clone(), |socket: &TcpStream| socket, |_, _| ());
        fn_service(sips).and_then(http).map_err(move |error| count(&metrics, &error))
    })
}

fn listen_tls(builder: ServerBuilder, desk: Desk, listener: TcpListener, config: Arc<rustls::ServerConfig>) -> io::Result<ServerBuilder> {
    let stop = builder.graceful_shutdown_signal();
    let names = Names::default();
    let mut config = Arc::unwrap_or_clone(config);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    builder.listen("door", listener, move || {
        names.name_this_thread();
        let metrics = Arc::clone(desk.ingest.metrics());
        let mut acceptor = Acceptor::new(config.clone());
        acceptor.set_handshake_timeout(desk.patience.handshake);
        let note = |socket: &TlsStream<TcpStream>, connection: &mut Extensions| {
            clients::note(socket.get_ref().1.peer_certificates(), connection);
        };
        let http = http(desk.clone(), stop.clone(), |socket: &TlsStream<TcpStream>| socket.get_ref().0, note);
        acceptor
            .map_init_err(|_| ())
            .map_err(TlsError::into_service_error)
            .map(|socket| in_sips(socket, |socket: &TlsStream<TcpStream>| socket.get_ref().0))
            .and_then(http.map_err(TlsError::Service))
            .map_err(move |error| match error {
                TlsError::Timeout | TlsError::Tls(_) => metrics.tls_handshake_failures.inc(),
                TlsError::Service(error) => count(&metrics, &error),
            })
    })
}

/// What is read in pieces, and who is at the other end.
fn in_sips<T>(socket: T, tcp: impl Fn(&T) -> &TcpStream) -> (Sips<T>, Option<SocketAddr>) {
    let peer = tcp(&socket).peer_addr().ok();
    // An answer that waits for an acknowledgement is late, not wrong.
    let _ = tcp(&socket).set_nodelay(true);
    (Sips::new(socket), peer)
}

/// HTTP/1.1 over any socket; `tcp` finds what the watchdog may cut, `note` keeps what is to be known of the client.
fn http<T: AsyncRead + AsyncWrite + Unpin + 'static>(
    desk: Desk,
    stop: GracefulShutdownSignal,
    tcp: impl Fn(&T) -> &TcpStream + 'static,
    note: impl Fn(&T, &mut Extensions) + 'static,
) -> impl ServiceFactory<(Sips<T>, Option<SocketAddr>), Config = (), Response = (), Error = DispatchError, InitError = ()> {
    let (connections, patience) = (Arc::clone(&desk.connections), desk.patience);
    HttpService::<Sips<T>, _, _>::build()
        .graceful_shutdown_signal(move || stopping(stop.clone()))
        .keep_alive(KeepAlive::Timeout(patience.keep_alive))
        .client_request_timeout(patience.head)
        .client_disconnect_timeout(patience.linger)
        .on_connect_ext(move |socket: &Sips<T>, data: &mut Extensions| {
            data.insert(connections.open(tcp(socket.io()), socket.course()));
            note(socket.io(), data);
        })
        .h1(app(desk))
}

/// One service for everything: which path is whose is looked up in the plan, as received, and not by actix's router, which decodes.
fn app(
    desk: Desk,
) -> impl ServiceFactory<
    Request,
    Config = (),
    Response = actix_web::dev::ServiceResponse<impl MessageBody + 'static>,
    Error = actix_web::Error,
    InitError = (),
    Service: 'static,
    Future: 'static,
> {
    let answer = move |request, payload| {
        let desk = desk.clone();
        async move { handle::handle(&desk, request, payload).await }
    };
    map_config(App::new().default_service(web::to(answer)).into_factory(), |()| AppConfig::default())
}

async fn stopping(signal: GracefulShutdownSignal) {
    signal.notified().await;
}

fn count(metrics: &Metrics, error: &DispatchError) {
    let what = match error {
        DispatchError::Parse(ParseError::TooLarge) => HttpError::HeadTooLarge,
        DispatchError::Parse(_) => HttpError::Parse,
        DispatchError::DisconnectTimeout => HttpError::CloseTimeout,
        _ => HttpError::Io,
    };
    metrics.http_error(what);
}

/// Gives the workers' threads names of ours, for those who look at a process from outside.
#[derive(Clone, Debug, Default)]
struct Names(Arc<AtomicUsize>);

impl Names {
    fn name_this_thread(&self) {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        #[cfg(target_os = "linux")]
        if let Ok(name) = std::ffi::CString::new(format!("door-{number}")) {
            // A thread without a name works as well.
            let _ = rustix::thread::set_name(&name);
        }
    }
}
