//! Asking a running gateway's admin side: one GET over plain HTTP, with a deadline.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;

/// From the connection to the last byte of the answer.
const DEADLINE: Duration = Duration::from_secs(5);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

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
    /// Nobody answers there.
    #[error("cannot reach {0}: {1}")]
    Unreachable(url::Url, String),
}

/// GETs `path` from the admin side at `admin`.
pub(super) fn get(admin: &url::Url, path: &str) -> Result<Answer, CallError> {
    let unreachable = |what: String| CallError::Unreachable(admin.clone(), what);
    let (Some(host), "http") = (admin.host(), admin.scheme()) else { return Err(CallError::Url(admin.clone())) };
    let port = admin.port_or_known_default().unwrap_or(80);
    let authority = format!("{host}:{port}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| unreachable(error.to_string()))?;
    runtime.block_on(async {
        match tokio::time::timeout(DEADLINE, exchange(&authority, path)).await {
            Ok(answered) => answered.map_err(|error| unreachable(error.to_string())),
            Err(_) => Err(unreachable(format!("no answer within {} s", DEADLINE.as_secs()))),
        }
    })
}

async fn exchange(authority: &str, path: &str) -> anyhow::Result<Answer> {
    // A bracketed address of IPv6 resolves like a name.
    let stream = tokio::net::TcpStream::connect(authority).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path).header(header::HOST, HeaderValue::from_str(authority)?).body(Empty::<Bytes>::new())?;
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
