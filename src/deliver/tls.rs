//! TLS towards targets: one configuration shared by all, and one of its own for a target that names a CA or a client certificate.

use std::{collections::HashMap, fmt, io, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};

use crate::{
    limits::PEM_BYTES_MAX,
    name::TargetName,
    plan::{ClientTls, PemFile, Plan},
    regular,
};

/// The TLS configuration of each `https` target.
#[derive(Clone, Default)]
pub struct TlsByTarget(HashMap<TargetName, Arc<ClientConfig>>);

impl TlsByTarget {
    /// Reads what the plan's enabled targets name: roots, CAs, client certificates. Part of what `check` refuses, too.
    ///
    /// # Errors
    /// A file that cannot be read or is not what it should be, or no roots at all; the text names the target, the file, and the place that
    /// names it.
    pub fn prepare(plan: &Plan) -> io::Result<Self> {
        let mut prepared = HashMap::new();
        let mut shared: Option<Arc<ClientConfig>> = None;
        for target in plan.targets.values().filter(|target| target.url.scheme() == "https" && !target.disabled) {
            let config = match &shared {
                Some(config) if target.tls == ClientTls::default() => Arc::clone(config),
                _ => client_config(&target.tls).map_err(|fault| fault.of(&target.name))?,
            };
            if target.tls == ClientTls::default() {
                shared = Some(Arc::clone(&config));
            }
            prepared.insert(target.name.clone(), config);
        }
        Ok(Self(prepared))
    }

    /// The configuration of a target; `None` when it has no TLS.
    #[must_use]
    pub fn of(&self, target: &TargetName) -> Option<Arc<ClientConfig>> {
        self.0.get(target).cloned()
    }
}

impl fmt::Debug for TlsByTarget {
    /// Names only: a configuration holds a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What is wrong with a target's TLS, and the file that is to blame for it.
struct Fault {
    file: Option<PemFile>,
    error: io::Error,
}

impl Fault {
    /// The whole text: the place in the configuration, the target, the file and what is wrong with it.
    fn of(self, target: &TargetName) -> io::Error {
        let place = self.file.as_ref().map(PemFile::place).unwrap_or_default();
        io::Error::new(self.error.kind(), format!("{place}targets.{target}.tls: {}", self.error))
    }
}

fn client_config(tls: &ClientTls) -> Result<Arc<ClientConfig>, Fault> {
    let nowhere = |error| Fault { file: None, error };
    let blame = |file: &PemFile, error| Fault { file: Some(file.clone()), error };
    let roots = match &tls.ca {
        Some(ca) => trusting(&ca.path).map_err(|error| blame(ca, error))?,
        None => system_roots().map_err(nowhere)?,
    };
    let builder = builder().map_err(nowhere)?.with_root_certificates(roots);
    let config = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => {
            let chain = certificates(&cert.path).map_err(|error| blame(cert, error))?;
            let key_der = private_key(&key.path).map_err(|error| blame(key, error))?;
            let unfit = |error: rustls::Error| blame(key, invalid(format!("{cert} and {key} do not work together: {error}")));
            builder.with_client_auth_cert(chain, key_der).map_err(unfit)?
        }
        (None, None) => builder.with_no_client_auth(),
        _ => return Err(nowhere(invalid("`cert` and `key` belong together".into()))),
    };
    Ok(Arc::new(config))
}

pub(super) fn builder() -> io::Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>> {
    // Named, not the process default: whatever else is linked in, this is the one that is used.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(|error| invalid(error.to_string()))
}

/// The roots this system trusts.
///
/// # Errors
/// There are none; the text says what to do.
pub(super) fn system_roots() -> io::Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Systems carry a few roots no library can read; the rest is what counts.
    let (usable, _unusable) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        let cause = found.errors.first().map_or_else(String::new, |error| format!(" ({error})"));
        let advice = "install the system's CA certificates (package ca-certificates), or name the target's own in tls.ca";
        return Err(invalid(format!("no trusted root certificates were found on this system{cause}: {advice}")));
    }
    Ok(roots)
}

fn trusting(file: &Path) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| invalid(format!("{}: {error}", file.display())))?;
    }
    Ok(roots)
}

/// The certificates of a PEM file, at least one, in its order.
///
/// # Errors
/// It cannot be read, or there is none in it; the text names the file.
pub(super) fn certificates(file: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes(file)?).collect();
    match read {
        Ok(certificates) if certificates.is_empty() => Err(invalid(format!("{}: there is no certificate in it", file.display()))),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(invalid(format!("{}: {error}", file.display()))),
    }
}

/// The first private key of a PEM file.
///
/// # Errors
/// It cannot be read, or there is none in it; the text names the file.
pub(super) fn private_key(file: &Path) -> io::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(&bytes(file)?).map_err(|error| match error {
        pem::Error::NoItemsFound => invalid(format!("{}: there is no private key in it", file.display())),
        error => invalid(format!("{}: {error}", file.display())),
    })
}

fn bytes(file: &Path) -> io::Result<Vec<u8>> {
    regular::read(file, PEM_BYTES_MAX).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))
}

pub(super) fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
