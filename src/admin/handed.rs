//! /api/v1/secrets/{source}/take: the secrets that a vendor handed over to a source, shown once to who has the role `admin`.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    answer::Problem,
    call::Call,
    lists::{Listed, unknown},
};
use crate::{ingest::Handed, name::SourceName};

/// A secret that was handed over.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct HandedSecret {
    source: String,
    /// The handshake that brought it.
    handshake: String,
    received_at: String,
    client_ip: String,
    /// Four hexadecimal digits of a hash; the same as in the metrics.
    fingerprint: String,
    /// The secret itself: this is the one place that shows it.
    secret: String,
}

/// Shows what was handed over to a source, and forgets it.
pub(super) async fn take(call: Call) -> Result<Listed<HandedSecret>, Problem> {
    let (name, gateway) = (call.named(), &call.gateway);
    let known = SourceName::parse(name).filter(|name| gateway.plan.sources.contains_key(name));
    let source = known.ok_or_else(|| unknown("source", name, gateway.plan.sources.keys().map(ToString::to_string)))?;
    let items: Vec<HandedSecret> = gateway.ingest.take_handed(&source).iter().map(HandedSecret::of).collect();
    if !items.is_empty() {
        tracing::warn!(event = "handshake", %source, by = %call.by, count = items.len(), "secrets that were handed over have been shown");
    }
    Ok(Listed::all(items))
}

impl HandedSecret {
    fn of(handed: &Handed) -> Self {
        Self {
            source: handed.source.to_string(),
            handshake: handed.handshake.to_string(),
            received_at: handed.at.to_string(),
            client_ip: handed.client_ip.to_string(),
            fingerprint: handed.secret.fingerprint().to_string(),
            secret: String::from_utf8_lossy(handed.secret.reveal()).into_owned(),
        }
    }
}
