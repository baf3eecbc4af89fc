//! The listeners of the admin side, and the way of a request through them.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
    time::Duration,
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::{Server, ServerHandle},
    http::{Method, StatusCode, header},
    web,
};
use futures_util::future;

use super::{
    Gateway, answer, gauges, handed, probe, rejected, status,
    token::{TokenError, Tokens},
    view,
};
use crate::{event::EventId, plan::Plan};

/// Connections each of the two listeners holds.
const CONNECTIONS_MAX: usize = 256;
/// How long a request's head may take.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// How long the store may take to read an event for us.
pub(super) const READ_TIME: Duration = Duration::from_secs(5);

/// A listener of the admin side cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address} (`{key}`): {source}")]
    Listen {
        /// Which setting.
        key: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The token file cannot be used.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// Listening, not yet answering.
#[derive(Debug)]
pub struct Bound {
    admin: TcpListener,
    monitor: Option<TcpListener>,
    tokens: Tokens,
}

/// The running admin side.
#[derive(Debug)]
pub struct Admin {
    handles: Vec<ServerHandle>,
    thread: thread::JoinHandle<()>,
}

/// What a handler needs.
struct Inner {
    gateway: Arc<Gateway>,
    tokens: Tokens,
    rejected: rejected::Desk,
}

/// Opens the listeners and reads (or makes) the token.
///
/// # Errors
/// An address that is taken, a token file that cannot be used.
pub fn bind(plan: &Plan) -> Result<Bound, AdminError> {
    let listen = |key, address: SocketAddr| TcpListener::bind(address).map_err(|source| AdminError::Listen { key, address, source });
    Ok(Bound {
        admin: listen("admin.listen", plan.admin.listen)?,
        monitor: plan.monitor.map(|address| listen("monitor.listen", address)).transpose()?,
        tokens: Tokens::of(&plan.admin.tokens, &plan.store.data_dir)?,
    })
}

impl Bound {
    /// Starts answering, on a thread of its own.
    ///
    /// # Errors
    /// The system gives no thread or no runtime.
    pub fn serve(self, gateway: Arc<Gateway>) -> io::Result<Admin> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let servers = {
            let _inside = runtime.enter();
            let inner = web::Data::new(Inner { gateway, tokens: self.tokens, rejected: rejected::Desk::default() });
            let mut servers = vec![server(self.admin, inner.clone(), true)?];
            if let Some(monitor) = self.monitor {
                servers.push(server(monitor, inner, false)?);
            }
            servers
        };
        let handles = servers.iter().map(Server::handle).collect();
        let thread = thread::Builder::new().name("admin-0".into()).spawn(move || {
            for ended in runtime.block_on(future::join_all(servers)) {
                if let Err(error) = ended {
                    tracing::error!(event = "stop", reason = %error, "the admin listener ended");
                }
            }
        })?;
        Ok(Admin { handles, thread })
    }
}

impl Admin {
    /// Stops answering; last of all, so that the probes can say "stopping" to the end.
    pub async fn stop(self) {
        future::join_all(self.handles.iter().map(|handle| handle.stop(false))).await;
        if self.thread.join().is_err() {
            tracing::error!(event = "stop", "the admin thread panicked");
        }
    }
}

fn server(listener: TcpListener, inner: web::Data<Inner>, is_admin: bool) -> io::Result<Server> {
    let app = move || {
        App::new().app_data(inner.clone()).default_service(web::to(move |request: HttpRequest, inner: web::Data<Inner>| async move {
            if is_admin { admin(&request, &inner).await } else { monitor(&request, &inner) }
        }))
    };
    let server = HttpServer::new(app)
        .workers(1)
        .max_connections(CONNECTIONS_MAX)
        .client_request_timeout(HEAD_TIME)
        .shutdown_timeout(1)
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}

/// The probes and the metrics, for whoever can reach the listener.
fn monitor(request: &HttpRequest, inner: &Inner) -> HttpResponse {
    open_page(request, &inner.gateway)
        .unwrap_or_else(|| answer::problem(StatusCode::NOT_FOUND, "this listener serves /livez, /readyz and /metrics"))
}

/// The whole admin side.
async fn admin(request: &HttpRequest, inner: &Inner) -> HttpResponse {
    if !is_host_known(request, &inner.gateway.plan.admin.hosts) {
        return answer::problem(StatusCode::MISDIRECTED_REQUEST, "this Host is not in `admin.hosts`");
    }
    if let Some(page) = open_page(request, &inner.gateway) {
        return page;
    }
    let Some(role) = bearer(request).and_then(|token| inner.tokens.role(token)) else {
        return answer::problem(StatusCode::UNAUTHORIZED, "a bearer token is needed: one of `admin.tokens`, or {data_dir}/admin.token");
    };
    let path = request.path();
    if let Some(asked) = rejected::Asked::of(path) {
        return inner.rejected.answer(asked, role, request, &inner.gateway).await;
    }
    if let Some(source) = handed::asked(path) {
        return handed::answer(source, role, request, &inner.gateway);
    }
    let page = match path {
        "/api/v1/status" => Page::Status,
        _ if is_planned(path) => Page::Planned,
        _ => match path.strip_prefix("/api/v1/events/") {
            Some(id) => Page::Event(EventId::parse(id)),
            None => Page::Unknown,
        },
    };
    match page {
        Page::Status | Page::Event(_) if !is_look(request) => only_looks(),
        Page::Status => answer::json(StatusCode::OK, &status::of(&inner.gateway)),
        Page::Event(None) => answer::problem(StatusCode::BAD_REQUEST, "an event id is `evt_` and 13 digits"),
        Page::Event(Some(id)) => event(&inner.gateway, id).await,
        Page::Planned => answer::problem(StatusCode::NOT_IMPLEMENTED, "planned: this version does not have it yet"),
        Page::Unknown => answer::problem(StatusCode::NOT_FOUND, "there is nothing here"),
    }
}

/// What stands behind a token.
enum Page {
    Status,
    Event(Option<EventId>),
    Planned,
    Unknown,
}

/// Paths the contract has and this version has not.
fn is_planned(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("/api/v1/") else { return path == "/api/openapi.json" };
    match *rest.split('/').collect::<Vec<_>>() {
        [one] => matches!(one, "sources" | "targets" | "events" | "deliveries" | "replay" | "cancel" | "secrets" | "reload" | "tail"),
        [of, _, act] => matches!((of, act), ("deliveries", "replay") | ("targets", "pause" | "resume")),
        _ => false,
    }
}

/// What needs no token; `None` for every other path.
fn open_page(request: &HttpRequest, gateway: &Gateway) -> Option<HttpResponse> {
    let page: fn(&Gateway) -> HttpResponse = match request.path() {
        "/livez" => |gateway| verdict(&probe::stuck(gateway)),
        "/readyz" => |gateway| verdict(&probe::unready(gateway)),
        "/metrics" => metrics,
        _ => return None,
    };
    Some(if is_look(request) { page(gateway) } else { only_looks() })
}

fn verdict(why_not: &[&str]) -> HttpResponse {
    if why_not.is_empty() {
        answer::text(StatusCode::OK, "ok\n".into())
    } else {
        answer::text(StatusCode::SERVICE_UNAVAILABLE, why_not.join("\n") + "\n")
    }
}

fn metrics(gateway: &Gateway) -> HttpResponse {
    gauges::refresh(gateway);
    match gateway.metrics.render() {
        Ok(text) => answer::metrics(text),
        Err(_) => answer::problem(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written"),
    }
}

fn is_look(request: &HttpRequest) -> bool {
    [Method::GET, Method::HEAD].contains(request.method())
}

fn only_looks() -> HttpResponse {
    let mut refusal = answer::problem(StatusCode::METHOD_NOT_ALLOWED, "this can only be read");
    refusal.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
    refusal
}

async fn event(gateway: &Gateway, id: EventId) -> HttpResponse {
    match tokio::time::timeout(READ_TIME, gateway.store.event(id)).await {
        Ok(Ok(Some(event))) => answer::json(StatusCode::OK, &view::event(&event, &gateway.plan)),
        Ok(Ok(None)) => answer::problem(StatusCode::NOT_FOUND, "no such event: it was never here, or its retention is over"),
        Ok(Err(error)) => answer::problem(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
        Err(_) => answer::problem(StatusCode::SERVICE_UNAVAILABLE, "the store did not answer in time"),
    }
}

/// The token of `Authorization: Bearer ...`; `None` when there is no such header, or more than one.
fn bearer(request: &HttpRequest) -> Option<&[u8]> {
    let mut shown = request.headers().get_all(header::AUTHORIZATION);
    let (first, None) = (shown.next()?.as_bytes(), shown.next()) else { return None };
    let (scheme, token) = first.split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Whether `Host` (without its port) is on the list: a page of another site that resolves to us shows its own name here.
fn is_host_known(request: &HttpRequest, known: &[String]) -> bool {
    let mut hosts = request.headers().get_all(header::HOST);
    let (Some(host), None) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) else { return false };
    let name = name_of(host);
    known.iter().any(|one| name_of(one).eq_ignore_ascii_case(name))
}

/// A `Host` without its port and without the brackets of IPv6.
fn name_of(host: &str) -> &str {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    match host.split_once(':') {
        // More than one colon is an address of IPv6 without brackets, as a list may write it.
        Some((name, port)) if !port.contains(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, HashMap},
        io::{Read as _, Write as _},
        net::TcpStream,
    };

    use super::*;
    use crate::{
        admin::{Phase, Step, Workers},
        clock::{Clock, UnixMs},
        delivery::State,
        event::EventIds,
        ingest::Ingest,
        metrics::Metrics,
        name::TargetName,
        plan,
        route::Routes,
        secret::Secret,
        store::{ModelStore, Store},
    };

    const TOKEN: &str = "a-token-of-the-tests";

    fn any_port() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    fn plan(dir: &std::path::Path) -> Plan {
        let day = Duration::from_secs(86_400);
        let limits = plan::Limits {
            body: 1,
            body_max: 1,
            in_flight: 1,
            in_flight_per_source: 25,
            in_flight_per_ip: 16,
            body_time: day,
            connections: 1,
            answer_within: day,
        };
        let retention = plan::Retention { delivered: day, unrouted: day, dead: day, payload: None, rejected: None };
        Plan {
            generation: 7,
            server: plan::Server {
                listen: any_port(),
                public_url: None,
                tls: plan::Tls::None,
                trusted_proxies: vec![],
                limits,
                shutdown: plan::Shutdown { delay: Duration::ZERO, deadline: day },
            },
            monitor: Some(any_port()),
            admin: plan::Admin {
                listen: any_port(),
                tokens: vec![plan::AdminToken { name: "eye".into(), role: plan::Role::Read, token: Secret::new(TOKEN) }],
                hosts: vec!["localhost".into(), "127.0.0.1".into()],
            },
            store: plan::StoreSettings {
                path: dir.join("hookgate.db"),
                data_dir: dir.to_owned(),
                durability: None,
                retention,
                max_bytes: 1 << 30,
                min_free_bytes: 0,
                lock_wait: Duration::ZERO,
            },
            log: plan::Log {
                format: plan::LogFormat::Json,
                level: tracing::Level::INFO,
                requests: plan::LogWhat::All,
                attempts: plan::LogWhat::All,
            },
            egress: plan::Egress { deny_classes: vec![], deny_nets: vec![], allow: vec![] },
            sources: BTreeMap::new(),
            paths: HashMap::new(),
            targets: BTreeMap::new(),
            routes: Routes::default(),
        }
    }

    /// A running admin side over an empty store.
    struct Served {
        admin: SocketAddr,
        monitor: SocketAddr,
        gateway: Arc<Gateway>,
        _dir: tempfile::TempDir,
    }

    fn served() -> Served {
        let dir = tempfile::tempdir().expect("a directory");
        let plan = plan(dir.path());
        let bound = bind(&plan).expect("bound");
        let address = |listener: &TcpListener| listener.local_addr().expect("an address");
        let (admin, monitor) = (address(&bound.admin), address(bound.monitor.as_ref().expect("asked for")));
        let clock = Clock::System;
        let now = clock.mono();
        let store: Arc<dyn Store> = Arc::new(ModelStore::new(clock.clone(), plan.store.retention.clone()));
        let (plan, metrics) = (Arc::new(plan), Arc::new(Metrics::new().expect("declared once")));
        let ids = Arc::new(EventIds::above(0, 0));
        let ingest = Ingest::new(Arc::clone(&plan), Arc::clone(&store), Arc::default(), ids, clock.clone(), Arc::clone(&metrics));
        let gateway = Arc::new(Gateway {
            store,
            plan,
            ingest: Arc::new(ingest),
            metrics,
            phase: Arc::new(Phase::starting(now)),
            workers: Box::new(move || Workers { last_turn: Clock::System.mono(), alive: true }),
            log_dropped: Box::new(|| 3),
            started: now,
            clock,
        });
        // The threads end with the test's process.
        drop(bound.serve(Arc::clone(&gateway)).expect("served"));
        Served { admin, monitor, gateway, _dir: dir }
    }

    fn ask(address: SocketAddr, head: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(address).expect("connected");
        stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, answer)
    }

    fn look(address: SocketAddr, path: &str) -> (u16, String) {
        ask(address, &format!("GET {path} HTTP/1.1\r\nHost: localhost"))
    }

    fn look_with_token(address: SocketAddr, path: &str, token: &str) -> (u16, String) {
        ask(address, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}"))
    }

    #[test]
    fn probes_and_metrics_are_open_on_both_listeners_and_nothing_else_is() {
        let served = served();
        served.gateway.phase.set(Step::Running);
        for address in [served.admin, served.monitor] {
            for path in ["/livez", "/readyz", "/metrics"] {
                assert_eq!(look(address, path).0, 200, "{path}");
            }
            assert_eq!(ask(address, "POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0").0, 405);
        }
        for path in ["/", "/api/v1/status", "/api/v1/events/evt_0000000000001", "/api/v1/reload", "/nothing"] {
            let (status, answer) = look(served.admin, path);
            assert_eq!(status, 401, "{path}");
            let answer = answer.to_lowercase();
            assert!(answer.contains("www-authenticate: bearer") && answer.contains("application/problem+json"), "{answer}");
            assert_eq!(look_with_token(served.admin, path, "another").0, 401, "{path}");
            assert_eq!(look_with_token(served.monitor, path, TOKEN).0, 404, "{path}");
        }
    }

    #[test]
    fn a_foreign_host_is_misdirected_even_with_the_token() {
        let served = served();
        let head = format!("GET /api/v1/status HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer {TOKEN}");
        assert_eq!(ask(served.admin, &head).0, 421);
        assert_eq!(ask(served.monitor, "GET /livez HTTP/1.1\r\nHost: 10.0.0.7:9481").0, 200);
    }

    #[test]
    fn ready_follows_the_life_of_the_process_and_alive_does_not() {
        let served = served();
        for (step, ready) in [(Step::Starting, 503), (Step::Running, 200), (Step::Stopping, 503)] {
            served.gateway.phase.set(step);
            assert_eq!(look(served.admin, "/readyz").0, ready, "{step:?}");
            assert_eq!(look(served.admin, "/livez").0, 200, "{step:?}");
        }
    }

    #[test]
    fn a_main_loop_that_does_not_turn_is_not_alive() {
        let served = served();
        served.gateway.phase.set(Step::Running);
        served.gateway.phase.turned(crate::clock::Mono(0));
        // The process's clock starts at one second, so this waits until five have passed since then.
        let deadline = Clock::System.mono() + Duration::from_secs(20);
        while look(served.admin, "/livez").0 == 200 {
            assert!(Clock::System.mono() < deadline, "never noticed");
            std::thread::yield_now();
        }
    }

    #[test]
    fn status_and_planned_pages_stand_behind_the_token() {
        let served = served();
        let (status, answer) = look_with_token(served.admin, "/api/v1/status", TOKEN);
        assert_eq!(status, 200);
        let body: serde_json::Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).expect("a body")).expect("JSON");
        assert_eq!(body["generation"], 7);
        assert_eq!(body["store"]["durability"], "ephemeral");
        assert_eq!(body["log_lines_dropped"], 3);
        let lower = answer.to_lowercase();
        for header in ["x-content-type-options: nosniff", "content-security-policy: default-src 'none'", "cache-control: no-store"] {
            assert!(lower.contains(header), "{header}: {answer}");
        }
        assert_eq!(look_with_token(served.admin, "/api/v1/deliveries", TOKEN).0, 501);
        let (status, answer) = look_with_token(served.admin, "/api/v1/rejected", TOKEN);
        assert!(status == 404 && answer.contains("retention.rejected"), "what is switched off says so: {answer}");
        assert_eq!(look_with_token(served.admin, "/api/v1/events/evt_0000000000001", TOKEN).0, 404);
        assert_eq!(look_with_token(served.admin, "/api/v1/events/1", TOKEN).0, 400);
        assert_eq!(look_with_token(served.admin, "/", TOKEN).0, 404);
    }

    #[test]
    fn deliveries_of_targets_that_are_gone_are_parked_under_removed() {
        let served = served();
        let gone = TargetName::parse("gone").expect("a name");
        served.gateway.store.tallies().add(&gone, State::Pending, UnixMs(0), 2);
        served.gateway.store.tallies().add(&gone, State::Dead, UnixMs(0), 1);
        let (_, text) = look(served.monitor, "/metrics");
        for (state, count) in [("parked", 2), ("pending", 0), ("dead", 1), ("paused", 0), ("in_flight", 0)] {
            let line = format!("hookgate_queue_deliveries{{state=\"{state}\",target=\"_removed\"}} {count}");
            assert!(text.contains(&line), "{line}: {text}");
        }
        assert!(!text.contains("target=\"gone\""), "a name that is not in the plan is no label");
    }

    #[test]
    fn a_host_is_compared_without_port_and_brackets() {
        for (host, name) in [("localhost:9480", "localhost"), ("127.0.0.1", "127.0.0.1"), ("[::1]:9480", "::1"), ("::1", "::1"), ("", "")] {
            assert_eq!(name_of(host), name, "{host}");
        }
    }

    #[test]
    fn the_contract_s_other_paths_are_planned_and_nothing_else_is() {
        for path in ["/api/v1/events", "/api/v1/deliveries/dlv_1/replay", "/api/v1/targets/app/pause", "/api/openapi.json"] {
            assert!(is_planned(path), "{path}");
        }
        for path in ["/", "/api/v1/", "/api/v1/status", "/api/v1/nothing", "/api/v1/targets/app/delete", "/api/v2/events"] {
            assert!(!is_planned(path), "{path}");
        }
    }
}
