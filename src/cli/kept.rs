//! A request that a running gateway rejected and kept, fetched through its API.

use super::call::{Access, Answer, told};
use crate::{app::Exit, clock::UnixMs};

/// A kept request.
#[derive(Debug)]
pub(super) struct Kept {
    /// The source it came to.
    pub(super) source: String,
    /// When it came.
    pub(super) at: UnixMs,
    /// Whether its body is there: what its head alone spoke against has none.
    pub(super) has_body: bool,
    /// The request as an HTTP/1.1 message, less its secrets.
    pub(super) message: Vec<u8>,
}

/// Fetches the request of this id.
///
/// # Errors
/// How the command ends, and why.
pub(super) fn fetch(access: &Access, id: &str) -> Result<Kept, (Exit, String)> {
    let path = path_of(id)?;
    let shown = get(access, &path)?;
    let strange = || (Exit::Internal, format!("{id}: the gateway's answer is not understood"));
    let shown = shown.json().ok_or_else(strange)?;
    let at = shown["received_at"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok()).ok_or_else(strange)?;
    Ok(Kept {
        source: shown["source"].as_str().unwrap_or_default().to_owned(),
        at: UnixMs(at.as_millisecond()),
        has_body: shown["body_bytes"].is_u64(),
        message: get(access, &format!("{path}/request"))?.body.to_vec(),
    })
}

/// Where the API has the request of this id. What is no id is not sent: it could be a path of its own.
///
/// # Errors
/// That it is none.
pub(super) fn path_of(id: &str) -> Result<String, (Exit, String)> {
    if id.starts_with("rej_") && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Ok(format!("/api/v1/rejected/{id}"));
    }
    Err((Exit::Usage, format!("`{}` is no id of a rejected request; `hookgate rejected` lists them", id.escape_debug())))
}

/// GETs what must be there.
///
/// # Errors
/// Nobody answers, or it is not there.
pub(super) fn get(access: &Access, path: &str) -> Result<Answer, (Exit, String)> {
    access.get(path).map_err(|error| told(&error))?.expected()
}
