//! A certificate authority of the tests' own, so that TLS is proved with real verification and no file is kept.

use std::{fs, path::Path, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, SupportedProtocolVersion,
    client::WantsClientCert,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

/// An authority that lives as long as its test.
pub struct Authority {
    root: CertificateDer<'static>,
    root_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes a new one.
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "hookgate test authority");
        let root = params.self_signed(&key).expect("a root");
        Self { root: root.der().clone(), root_pem: root.pem(), issuer: Issuer::new(params, key) }
    }

    /// Writes `<name>.pem` and `<name>.key` for `host` into `folder`.
    pub fn issue(&self, host: &str, folder: &Path, name: &str) {
        self.issue_as(&CertificateParams::new(vec![host.to_owned()]).expect("parameters"), folder, name);
    }

    /// The same, of a certificate that says all this.
    pub fn issue_as(&self, params: &CertificateParams, folder: &Path, name: &str) {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        fs::write(folder.join(format!("{name}.pem")), certificate.pem()).expect("written");
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).expect("written");
    }

    /// The certificate of a key that is somebody else's, in PEM.
    pub fn certify(&self, params: &CertificateParams, key: &KeyPair) -> String {
        params.signed_by(key, &self.issuer).expect("signed").pem()
    }

    /// Writes its own certificate, for those who are to trust it.
    pub fn write_root(&self, file: &Path) {
        fs::write(file, &self.root_pem).expect("written");
    }

    /// A client that trusts this authority alone, and offers what browsers and SDKs offer.
    pub fn client(&self, versions: &[&'static SupportedProtocolVersion], protocols: &[&str]) -> Arc<ClientConfig> {
        let mut config = self.trusted(versions).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// A client that trusts this authority alone, and shows the certificate of this name in `folder` when it is asked for one.
    pub fn client_showing(&self, versions: &[&'static SupportedProtocolVersion], folder: &Path, name: &str) -> Arc<ClientConfig> {
        let chain = vec![CertificateDer::from_pem_file(folder.join(format!("{name}.pem"))).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_file(folder.join(format!("{name}.key"))).expect("a key");
        Arc::new(self.trusted(versions).with_client_auth_cert(chain, key).expect("a pair"))
    }

    fn trusted(&self, versions: &[&'static SupportedProtocolVersion]) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).expect("our own root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).expect("versions we know");
        builder.with_root_certificates(roots)
    }
}
