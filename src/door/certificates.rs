//! Certificates and keys, and which of them a client is shown: by the name it asks for, exactly or by a wildcard, else the first.

use std::{collections::HashMap, sync::Arc};

use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

use super::{DoorError, clients};
use crate::{
    clock::UnixMs,
    limits::PEM_BYTES_MAX,
    plan::{Certificate, PemFile, TlsVersion},
    regular,
};

/// When a certificate is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expiry {
    /// Its first name, or its file's when it has none.
    pub(super) name: String,
    not_before_s: i64,
    not_after_s: i64,
}

/// The certificates by the names they are for.
#[derive(Debug)]
struct ByName {
    /// By whole name in lower case.
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what follows the `*.`; a wildcard stands for one label (RFC 6125, 6.4.3).
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    first: Arc<CertifiedKey>,
}

/// Loads every pair, and the authorities whose client certificates are asked for.
///
/// # Errors
/// A file that cannot be read, or a key that is not the certificate's.
pub(super) fn load(
    certificates: &[Certificate],
    client_ca: Option<&PemFile>,
    min_version: TlsVersion,
) -> Result<(ServerConfig, Vec<Expiry>), DoorError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut exact = HashMap::new();
    let mut wildcard = HashMap::new();
    let mut first = None;
    let mut expiries = Vec::new();
    for pair in certificates {
        let chain = read(&pair.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&bytes(&pair.key)?).map_err(|cause| unreadable(&pair.key, said(&cause)))?;
        let (names, expiry) = facts(pair, &chain)?;
        let certified = CertifiedKey::from_der(chain, key, &provider)
            .map_err(|cause| DoorError::Mismatch { files: Box::new(pair.clone()), cause: cause.to_string() })?;
        let certified = Arc::new(certified);
        for name in names {
            // The first certificate for a name is the one that is shown.
            match name.strip_prefix("*.") {
                Some(rest) => wildcard.entry(rest.to_owned()).or_insert_with(|| Arc::clone(&certified)),
                None => exact.entry(name).or_insert_with(|| Arc::clone(&certified)),
            };
        }
        first.get_or_insert(certified);
        expiries.push(expiry);
    }
    let first = first.ok_or_else(|| DoorError::Tls("no certificate is configured".into()))?;
    let versions: &[&SupportedProtocolVersion] = match min_version {
        TlsVersion::V12 => &[&TLS13, &TLS12],
        TlsVersion::V13 => &[&TLS13],
    };
    let clients = match client_ca {
        Some(authorities) => clients::asking(authorities)?,
        None => WebPkiClientVerifier::no_client_auth(),
    };
    let broken = |cause: rustls::Error| DoorError::Tls(cause.to_string());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(broken)?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::new(ByName { exact, wildcard, first }));
    if client_ca.is_some() {
        // A session that is resumed brings a client's certificate with it unexamined, and it may have run out meanwhile.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    } else {
        // Tickets cost no memory here, so every provider that rings again soon saves the handshake's asymmetric part. Early data stays off:
        // it can be replayed.
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(broken)?;
        config.send_tls13_tickets = 1;
    }
    Ok((config, expiries))
}

/// The certificates in a PEM file, at least one, in its order.
///
/// # Errors
/// It cannot be read, or there is none in it.
pub(super) fn read(file: &PemFile) -> Result<Vec<CertificateDer<'static>>, DoorError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes(file)?).collect();
    match chain {
        Ok(chain) if chain.is_empty() => {
            Err(unreadable(file, "there is no certificate in it (PEM, \"-----BEGIN CERTIFICATE-----\")".into()))
        }
        Ok(chain) => Ok(chain),
        Err(cause) => Err(unreadable(file, said(&cause))),
    }
}

fn bytes(file: &PemFile) -> Result<Vec<u8>, DoorError> {
    regular::read(&file.path, PEM_BYTES_MAX).map_err(|cause| unreadable(file, cause.to_string()))
}

fn unreadable(file: &PemFile, cause: String) -> DoorError {
    DoorError::Unreadable { file: file.clone(), cause }
}

fn said(cause: &rustls::pki_types::pem::Error) -> String {
    use rustls::pki_types::pem::Error;
    match cause {
        Error::Io(cause) => cause.to_string(),
        Error::NoItemsFound => "there is nothing of the kind in it (PEM is expected)".into(),
        other => other.to_string(),
    }
}

/// The names a certificate is for, and when it is good.
fn facts(pair: &Certificate, chain: &[CertificateDer<'static>]) -> Result<(Vec<String>, Expiry), DoorError> {
    let leaf = chain.first().ok_or_else(|| unreadable(&pair.cert, "the chain is empty".into()))?;
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|cause| unreadable(&pair.cert, cause.to_string()))?;
    let alternatives = leaf.subject_alternative_name().ok().flatten();
    let names: Vec<String> = alternatives
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    let expiry = Expiry {
        name: names.first().cloned().unwrap_or_else(|| pair.cert.to_string()),
        not_before_s: leaf.validity().not_before.timestamp(),
        not_after_s: leaf.validity().not_after.timestamp(),
    };
    Ok((names, expiry))
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(hello.server_name().map_or(&self.first, |name| self.named(name))))
    }
}

impl ByName {
    fn named(&self, name: &str) -> &Arc<CertifiedKey> {
        let name = name.to_ascii_lowercase();
        let by_wildcard = || name.split_once('.').and_then(|(_, rest)| self.wildcard.get(rest));
        self.exact.get(&name).or_else(by_wildcard).unwrap_or(&self.first)
    }
}

impl Expiry {
    /// The end, as metrics show it.
    #[expect(clippy::cast_precision_loss, reason = "a timestamp in seconds fits a double exactly")]
    pub(super) fn seconds(&self) -> f64 {
        self.not_after_s as f64
    }

    /// What is wrong with it at `now`.
    pub(super) fn complaint(&self, now: UnixMs) -> Option<String> {
        let at = |seconds: i64| UnixMs(seconds.saturating_mul(1000));
        if now >= at(self.not_after_s) {
            Some(format!("ran out at {}: clients will refuse it", at(self.not_after_s)))
        } else if now < at(self.not_before_s) {
            Some(format!("is not good before {}: clients will refuse it, or this machine's clock is slow", at(self.not_before_s)))
        } else {
            None
        }
    }
}
