//! Asking a running gateway's admin side: where it is, who we are to it, and one call over plain HTTP with a deadline.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4},
    path::PathBuf,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;

use super::file::ConfigFile;
use crate::{
    admin::TOKEN_FILE_NAME,
    app::Exit,
    config::{self, Config, Surroundings},
    secret::Secret,
    yaml::Problems,
};

/// Where the admin side listens when nobody says otherwise.
const DEFAULT_ADMIN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9480));
/// From the connection to the last byte of the answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// The same for what has to count first, or does many things at once.
const LONG_DEADLINE: Duration = Duration::from_secs(45);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How a command finds the gateway and shows who it is.
#[derive(Debug, clap::Args)]
pub(super) struct Access {
    /// The admin address of the gateway [default: `admin.listen` of the configuration, else http://127.0.0.1:9480]
    #[arg(long, value_name = "URL", env = "HOOKGATE_ADMIN_URL")]
    admin: Option<url::Url>,
    /// The token; without it the one in {data_dir}/admin.token
    #[arg(long, value_name = "TOKEN", env = "HOOKGATE_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
    #[command(flatten)]
    config: ConfigFile,
}

/// An admin side: where it is, and the name it is asked by.
#[derive(Debug)]
pub(super) struct Admin {
    url: url::Url,
    /// One of its `admin.hosts`, which need not have its address among them; `None` for that of the URL.
    host: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The URL is not one that can be asked.
    #[error("{0} is no http:// URL with a host: the admin side speaks plain HTTP on a private address")]
    Url(url::Url),
    /// A listener that no URL can name.
    #[error("{0} cannot be asked: {1}")]
    Address(SocketAddr, url::ParseError),
    /// Nobody answers there.
    #[error("cannot reach {0}: {1}")]
    Unreachable(url::Url, String),
    /// There is no token to show.
    #[error("no admin token: {0} cannot be read ({1}); set HOOKGATE_ADMIN_TOKEN or --token")]
    NoToken(PathBuf, std::io::Error),
    /// The token was not taken.
    #[error("{0} refuses the token; set HOOKGATE_ADMIN_TOKEN or --token")]
    Refused(url::Url),
    /// The token may not do that.
    #[error("{0} says: {1}")]
    Forbidden(url::Url, String),
}

/// What is sent besides who asks.
#[derive(Clone, Copy, Debug, Default)]
struct Sent<'a> {
    body: Option<&'a Value>,
    key: Option<&'a str>,
}

impl CallError {
    /// How a command ends with it.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Url(_) | Self::Address(..) => Exit::Usage,
            Self::Unreachable(..) | Self::NoToken(..) | Self::Refused(_) | Self::Forbidden(..) => Exit::Unreachable,
        }
    }
}

impl Answer {
    /// The answer as JSON, when it is the one that was asked for.
    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok().filter(|_| self.status == StatusCode::OK)
    }

    /// The answer, when it is the one that was asked for.
    ///
    /// # Errors
    /// How a command ends with what it is instead.
    pub(super) fn expected(self) -> Result<Self, (Exit, String)> {
        if self.status.is_success() {
            return Ok(self);
        }
        let problem: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        // What was asked for is not to be had here, such as a source that there is not.
        let is_misspelt = self.status == StatusCode::BAD_REQUEST || problem["reason"] == "unknown_name";
        Err((if is_misspelt { Exit::Usage } else { Exit::No }, self.problem()))
    }

    fn json_body(&self) -> Result<Value, (Exit, String)> {
        serde_json::from_slice(&self.body).map_err(|error| (Exit::Internal, format!("the gateway's answer is not understood: {error}")))
    }

    /// What the gateway says instead, for people.
    pub(super) fn problem(&self) -> String {
        let problem: Option<Value> = serde_json::from_slice(&self.body).ok();
        match problem.as_ref().and_then(|problem| problem["detail"].as_str()) {
            Some(detail) => detail.to_owned(),
            None => format!("the gateway answers {}", self.status),
        }
    }
}

impl Access {
    /// GETs a path of the API.
    pub(super) fn get(&self, path: &str) -> Result<Answer, CallError> {
        self.call(Method::GET, path, Sent::default())
    }

    /// POSTs to a path of the API, without a body.
    pub(super) fn post(&self, path: &str) -> Result<Answer, CallError> {
        self.call(Method::POST, path, Sent::default())
    }

    /// GETs what must be there, as JSON.
    ///
    /// # Errors
    /// Nobody answers, or it is not there.
    pub(super) fn fetch(&self, path: &str) -> Result<Value, (Exit, String)> {
        self.get(path).map_err(|error| told(&error))?.expected()?.json_body()
    }

    /// POSTs a JSON body; with a key the same again is the same job.
    ///
    /// # Errors
    /// Nobody answers, or it is refused.
    pub(super) fn send(&self, path: &str, body: &Value, key: Option<&str>) -> Result<Value, (Exit, String)> {
        self.call(Method::POST, path, Sent { body: Some(body), key }).map_err(|error| told(&error))?.expected()?.json_body()
    }

    /// POSTs without a body what must succeed.
    ///
    /// # Errors
    /// Nobody answers, or it is refused.
    pub(super) fn act(&self, path: &str) -> Result<Value, (Exit, String)> {
        self.post(path).map_err(|error| told(&error))?.expected()?.json_body()
    }

    /// The configuration that was named, if one was.
    pub(super) fn config(&self) -> &ConfigFile {
        &self.config
    }

    fn call(&self, method: Method, path: &str, sent: Sent<'_>) -> Result<Answer, CallError> {
        // The configuration only says where things are; what is wrong with it is for `check` to say.
        let written = config::load(self.config.named(), &Surroundings::system(), &mut Problems::new());
        let admin = Admin::of(self.admin.as_ref(), written.as_ref())?;
        let token = match &self.token {
            Some(token) => Secret::new(token.trim()),
            None => {
                let data_dir = written.map_or_else(|| PathBuf::from("hookgate-data"), |written| written.data_dir.value);
                let file = data_dir.join(TOKEN_FILE_NAME);
                let text = fs::read(&file).map_err(|error| CallError::NoToken(file, error))?;
                Secret::new(text.trim_ascii())
            }
        };
        let answer = call(&admin, method, path, Some(&token), sent)?;
        match answer.status {
            StatusCode::UNAUTHORIZED => Err(CallError::Refused(admin.url)),
            StatusCode::FORBIDDEN => Err(CallError::Forbidden(admin.url, answer.problem())),
            _ => Ok(answer),
        }
    }
}

impl Admin {
    /// At this URL.
    pub(super) fn at(url: url::Url) -> Self {
        Self { url, host: None }
    }

    /// The admin side of a gateway: as it was named, as its configuration has it, or where it listens when nobody says.
    ///
    /// # Errors
    /// It listens where no URL leads.
    pub(super) fn of(named: Option<&url::Url>, written: Option<&Config>) -> Result<Self, CallError> {
        match (named, written) {
            (Some(named), _) => Ok(Self::at(named.clone())),
            (None, Some(written)) => {
                let host =
                    written.admin.hosts.first().map(|host| if is_bare_v6(host) { format!("[{}]", **host) } else { (**host).clone() });
                Ok(Self { url: url_of(written.admin.listen.value.0)?, host })
            }
            (None, None) => url_of(DEFAULT_ADMIN).map(Self::at),
        }
    }

    /// GETs `path`, as whoever the token stands for.
    pub(super) fn get(&self, path: &str, token: Option<&Secret>) -> Result<Answer, CallError> {
        call(self, Method::GET, path, token, Sent::default())
    }
}

fn is_bare_v6(host: &str) -> bool {
    host.parse::<std::net::Ipv6Addr>().is_ok()
}

/// The URL of a listener, from this machine.
fn url_of(listen: SocketAddr) -> Result<url::Url, CallError> {
    let ip = if listen.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { listen.ip() };
    url::Url::parse(&format!("http://{}", SocketAddr::new(ip, listen.port()))).map_err(|error| CallError::Address(listen, error))
}

/// How a command ends when nobody answers.
pub(super) fn told(error: &CallError) -> (Exit, String) {
    (error.exit(), error.to_string())
}

fn call(admin: &Admin, method: Method, path: &str, token: Option<&Secret>, sent: Sent<'_>) -> Result<Answer, CallError> {
    let Admin { url, host: name } = admin;
    let unreachable = |what: String| CallError::Unreachable(url.clone(), what);
    let (Some(host), "http") = (url.host(), url.scheme()) else { return Err(CallError::Url(url.clone())) };
    let port = url.port_or_known_default().unwrap_or(80);
    let authority = format!("{host}:{port}");
    let known_as = name.as_ref().map_or_else(|| authority.clone(), |name| format!("{name}:{port}"));
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, known_as);
    if let Some(token) = token {
        let shown = [b"Bearer ", token.reveal()].concat();
        let mut shown = HeaderValue::from_bytes(&shown).map_err(|error| unreachable(format!("the token: {error}")))?;
        shown.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, shown);
    }
    if let Some(key) = sent.key {
        request = request.header("idempotency-key", key);
    }
    let body = match sent.body {
        None => Bytes::new(),
        Some(body) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            body.to_string().into()
        }
    };
    let deadline = if sent.body.is_some() { LONG_DEADLINE } else { DEADLINE };
    let request = request.body(Full::new(body)).map_err(|error| unreachable(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| unreachable(error.to_string()))?;
    runtime.block_on(async {
        match tokio::time::timeout(deadline, exchange(&authority, request)).await {
            Ok(answered) => answered.map_err(|error| unreachable(error.to_string())),
            Err(_) => Err(unreachable(format!("no answer within {} s", deadline.as_secs()))),
        }
    })
}

async fn exchange(authority: &str, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
    // A bracketed address of IPv6 resolves like a name.
    let stream = tokio::net::TcpStream::connect(authority).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let asked = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(Answer { status, body: body.to_bytes() })
    };
    tokio::pin!(asked);
    tokio::select! {
        answer = &mut asked => answer,
        // The connection ends when the answer is complete, or when it broke: the answer knows which.
        _ = connection => asked.await,
    }
}
