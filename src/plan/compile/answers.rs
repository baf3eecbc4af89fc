//! How a source answers: as its provider file says, unless it says so itself.

use std::borrow::Cow;

use bytes::Bytes;

use crate::{
    config::{OnReject, Source},
    provider::{Accepted, Provider, Rejected, Success},
    yaml::Problems,
};

/// What JSON is sent as.
const JSON: &str = "application/json";

/// The answer to accepted and repeated events.
pub(super) fn accepted(source: &Source, provider: &Provider, problems: &mut Problems) -> Accepted {
    let Some(respond) = &source.respond else { return provider.accepted.clone() };
    let status = *respond.status;
    if let Success::Exactly(wanted) = provider.success
        && wanted != status
    {
        let said = format!("`{}` takes {wanted} alone for a good answer, and will repeat what is answered with {status}", provider.slug);
        problems.warning(&respond.status.at, said);
    }
    let empty = Accepted::default();
    let content_type = match &respond.media_type {
        Some(written) => Cow::Owned(written.value.clone()),
        None if respond.json.is_some() => Cow::Borrowed(JSON),
        None => empty.content_type,
    };
    let body = respond.body().map_or_else(Bytes::new, |body| Bytes::from(body.text.clone()));
    Accepted { status, content_type, headers: provider.accepted.headers.clone(), body }
}

/// The answer to requests that are not proved. A status of the source's own goes without the provider's headers, which explain another.
pub(super) fn rejected(source: &Source, provider: &Provider) -> Rejected {
    let own = |status| Rejected { status, headers: Vec::new() };
    match *source.on_reject {
        OnReject::Provider => provider.rejected.clone(),
        OnReject::Forbidden => own(403),
        OnReject::Unavailable => own(503),
    }
}
