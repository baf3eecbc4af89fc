//! A target behind TLS with a certificate of its own making.

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::PathBuf,
    sync::Arc,
    thread,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

/// Answers every request 200, over TLS.
pub(crate) struct TlsTarget {
    /// On 127.0.0.1.
    pub(crate) port: u16,
    /// Its certificate, for `localhost`, as a PEM file.
    pub(crate) certificate: PathBuf,
    /// A certificate of somebody else, who has signed nothing.
    pub(crate) stranger: PathBuf,
    _files: tempfile::TempDir,
}

impl TlsTarget {
    /// Listens.
    pub(crate) fn start() -> Self {
        let files = tempfile::tempdir().expect("a directory");
        let write = |name: &str, pem: String| {
            let path = files.path().join(name);
            std::fs::write(&path, pem).expect("written");
            path
        };
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
        let config = builder.with_no_client_auth().with_single_cert(vec![own.cert.der().clone()], key).expect("a certificate with its key");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let config = Arc::new(config);
        thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                let Ok(tls) = ServerConnection::new(Arc::clone(&config)) else { continue };
                thread::spawn(move || serve(StreamOwned::new(tls, tcp)));
            }
        });
        let certificate = write("own.pem", own.cert.pem());
        let stranger = write("other.pem", other.cert.pem());
        Self { port, certificate, stranger, _files: files }
    }
}

/// The test's requests have short bodies, so each arrives whole within a read or two; their end is what a body's first bytes tell.
fn serve(mut stream: StreamOwned<ServerConnection, std::net::TcpStream>) {
    let mut got = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        got.extend_from_slice(&piece[..read]);
        if got.ends_with(b"over TLS") {
            got.clear();
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
                return;
            }
        }
    }
}
