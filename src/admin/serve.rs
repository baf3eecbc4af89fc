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
    http::{Method, StatusCode},
    web,
};
use futures_util::future;

use super::{
    Gateway,
    answer::{self, Problem},
    call::{self, Call},
    endpoints,
    find::{self, Found},
    gate, gauges, probe,
    rejected::Desk,
    table::{Endpoint, Response},
    token::{TokenError, Tokens},
};
use crate::plan::Plan;

/// Connections each of the two listeners holds.
const CONNECTIONS_MAX: usize = 256;
/// How long a request's head may take.
const HEAD_TIME: Duration = Duration::from_secs(5);

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
    table: Vec<Endpoint>,
    desk: Arc<Desk>,
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
            let inner = web::Data::new(Inner { gateway, tokens: self.tokens, table: endpoints::table(), desk: Arc::default() });
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
        let answered = move |request: HttpRequest, mut payload: web::Payload, inner: web::Data<Inner>| async move {
            if is_admin { admin(&request, &mut payload, &inner).await } else { monitor(&request, &inner) }
        };
        App::new().app_data(inner.clone()).default_service(web::to(answered))
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
    let elsewhere = || Problem::missing("this listener serves /livez, /readyz and /metrics").answer();
    open_page(request, &inner.gateway).unwrap_or_else(elsewhere)
}

/// The whole admin side.
async fn admin(request: &HttpRequest, payload: &mut web::Payload, inner: &Inner) -> HttpResponse {
    if let Err(problem) = gate::host(request, &inner.gateway.plan.admin.hosts) {
        return problem.answer();
    }
    match open_page(request, &inner.gateway) {
        Some(page) => page,
        None => api(request, payload, inner).await.unwrap_or_else(|problem| problem.answer()),
    }
}

/// What stands behind the token: the endpoint that is meant, if whoever asks may have it.
async fn api(request: &HttpRequest, payload: &mut web::Payload, inner: &Inner) -> Result<HttpResponse, Problem> {
    gate::own_site(request)?;
    let holder = gate::bearer(request).and_then(|token| inner.tokens.holder(token)).ok_or_else(|| {
        Problem::new(StatusCode::UNAUTHORIZED, "a bearer token is needed: one of `admin.tokens`, or {data_dir}/admin.token")
    })?;
    let (endpoint, path) = match find::find(&inner.table, request.path(), request.method()) {
        Found::Endpoint(endpoint, path) => (endpoint, path),
        Found::OtherMethod(allow) => return Err(Problem::method(allow)),
        Found::Nothing => return Err(Problem::missing("there is nothing here")),
    };
    if holder.role < endpoint.role {
        return Err(Problem::new(StatusCode::FORBIDDEN, endpoint.role_needed()));
    }
    let query = endpoint.query(request.query_string())?;
    let body = call::body(request, payload).await?;
    match (endpoint.request, &endpoint.response) {
        // Whatever is asked of it: it is not there.
        (_, Response::Planned) => {}
        (Some(_), _) => call::is_json(request, &body)?,
        (None, _) if !body.is_empty() => return Err(Problem::bad("this takes no body")),
        (None, _) => {}
    }
    let key = if endpoint.takes_key { call::key(request)? } else { None };
    let (gateway, desk, by) = (Arc::clone(&inner.gateway), Arc::clone(&inner.desk), Arc::clone(&holder.name));
    endpoint.run(Call { gateway, desk, path, query, key, operation: endpoint.name, by, body }).await
}

/// What needs no token; `None` for every other path.
fn open_page(request: &HttpRequest, gateway: &Gateway) -> Option<HttpResponse> {
    let page: fn(&Gateway) -> HttpResponse = match request.path() {
        "/livez" => |gateway| verdict(&probe::stuck(gateway)),
        "/readyz" => |gateway| verdict(&probe::unready(gateway)),
        "/metrics" => metrics,
        _ => return None,
    };
    let is_look = [Method::GET, Method::HEAD].contains(request.method());
    Some(if is_look { page(gateway) } else { Problem::method("GET, HEAD".to_owned()).answer() })
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
        Err(_) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written").answer(),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, HashMap},
        io::{Read as _, Write as _},
        net::TcpStream,
        sync::atomic::{AtomicBool, Ordering},
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
        let retention = plan::Retention { delivered: day, unrouted: day, cancelled: day, dead: day, payload: None, rejected: None };
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
            alerts: None,
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
        /// Whether its delivery workers are there.
        delivers: Arc<AtomicBool>,
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
        let delivers = Arc::new(AtomicBool::new(true));
        let alive = Arc::clone(&delivers);
        let gateway = Arc::new(Gateway {
            store,
            plan,
            ingest: Arc::new(ingest),
            metrics,
            phase: Arc::new(Phase::starting(now)),
            workers: Box::new(move || Workers { last_turn: Clock::System.mono(), alive: alive.load(Ordering::Acquire) }),
            log_dropped: Box::new(|| 3),
            started: now,
            clock,
        });
        // The threads end with the test's process.
        drop(bound.serve(Arc::clone(&gateway)).expect("served"));
        Served { admin, monitor, gateway, delivers, _dir: dir }
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
    fn without_delivery_workers_it_is_not_ready_and_says_why() {
        let served = served();
        served.gateway.phase.set(Step::Running);
        assert_eq!(look(served.admin, "/readyz").0, 200);
        served.delivers.store(false, Ordering::Release);
        let (status, answer) = look(served.admin, "/readyz");
        assert!(status == 503 && answer.contains("the delivery workers are gone"), "{answer}");
        assert!(look(served.admin, "/metrics").1.contains("hookgate_workers{kind=\"shard\",state=\"gone\"} 1"));
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
        assert_eq!(look_with_token(served.admin, "/api/v1/tail", TOKEN).0, 501);
        let (status, answer) = look_with_token(served.admin, "/api/v1/rejected", TOKEN);
        assert!(status == 404 && answer.contains("retention.rejected"), "what is switched off says so: {answer}");
        assert_eq!(look_with_token(served.admin, "/api/v1/events/evt_0000000000001", TOKEN).0, 404);
        assert_eq!(look_with_token(served.admin, "/api/v1/events/1", TOKEN).0, 400);
        assert_eq!(look_with_token(served.admin, "/", TOKEN).0, 501);
        assert_eq!(look_with_token(served.admin, "/index.html", TOKEN).0, 404);
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
}
