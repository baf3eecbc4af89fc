//! Connections of our own command line to a gateway: no egress guard, and trust for the certificates that its configuration names,
//! as they are, whatever name they bear and whoever signed them. Every other server must convince the system's roots.

use std::{io, path::Path, sync::Arc, time::Duration};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::{
    client::Connector,
    resolve::Resolver,
    tls::{certificates, invalid, private_key, system_roots},
};
use crate::{clock::Clock, plan::Egress};

/// Believes these certificates, and what the system believes.
#[derive(Debug)]
struct Pinned {
    known: Vec<CertificateDer<'static>>,
    system: Option<Arc<WebPkiServerVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Connector {
    /// For the command line: it may connect to anywhere within `timeout`, and over `https` believes the first certificate of each of these
    /// files besides what the system believes. `shown` is the certificate and the key to show to whoever asks for one, as PEM files.
    ///
    /// # Errors
    /// A file that holds no certificate or no key, or a key of another certificate.
    pub fn unguarded(clock: &Clock, timeout: Duration, believed: &[&Path], shown: Option<(&Path, &Path)>) -> io::Result<Self> {
        let egress = Arc::new(Egress { deny_classes: vec![], deny_nets: vec![], allow: vec![] });
        Ok(Self { resolver: Resolver::new(clock.clone()), egress, tls: Some(believing(believed, shown)?), timeout })
    }
}

fn believing(files: &[&Path], shown: Option<(&Path, &Path)>) -> io::Result<Arc<ClientConfig>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut known = Vec::with_capacity(files.len());
    for file in files {
        known.extend(certificates(file)?.into_iter().next());
    }
    // A machine without roots can still ring its own gateway.
    let system = system_roots().ok().and_then(|roots| {
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        builder.build().ok()
    });
    let verifier = Arc::new(Pinned { known, system, algorithms: provider.signature_verification_algorithms });
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(io::Error::other)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let config = match shown {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => builder
            .with_client_auth_cert(certificates(cert)?, private_key(key)?)
            .map_err(|error| invalid(format!("{} and {} do not work together: {error}", cert.display(), key.display())))?,
    };
    Ok(Arc::new(config))
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The very certificate that is configured: that it holds the key is proved by the handshake's signature.
        if self.known.iter().any(|known| known == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        let system = self.system.as_ref().ok_or(CertificateError::UnknownIssuer)?;
        system.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
