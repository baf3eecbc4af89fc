//! A vendor as the internet has it: hosts with certificates, on which keys are published and calls are answered. It keeps a book of who
//! asked for what.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use crate::support::certificate::Authority;

/// The hosts it has a certificate for.
const HOSTS: [&str; 4] = ["keys.example.com", "sns.us-west-2.amazonaws.com", "api.ebay.com", "production.plaid.com"];

/// What it does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    /// Answers 200 with this body.
    Gives(Vec<u8>),
    /// Answers this head, with nothing behind it.
    Says(&'static str),
    /// Says nothing.
    Waits,
}

#[derive(Debug, Default)]
struct Book {
    does: HashMap<String, Does>,
    asked: Vec<String>,
    told: Vec<Told>,
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) line: String,
    pub(crate) authorization: String,
    pub(crate) body: String,
}

/// The vendor, while its test runs.
pub(crate) struct Vendor {
    /// Where all its hosts are.
    pub(crate) address: SocketAddr,
    book: Arc<Mutex<Book>>,
    connections: Arc<AtomicUsize>,
}

impl Vendor {
    /// Opens for business, with certificates of this authority.
    pub(crate) fn open(authority: &Authority, folder: &Path) -> Self {
        let params = CertificateParams::new(HOSTS.map(str::to_owned).to_vec()).expect("parameters");
        authority.issue_as(&params, folder, "vendor");
        let chain = vec![CertificateDer::from_pem_file(folder.join("vendor.pem")).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_file(folder.join("vendor.key")).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
        let config = Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).expect("a certificate with its key"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let (book, connections): (Arc<Mutex<Book>>, Arc<AtomicUsize>) = (Arc::default(), Arc::default());
        let (own_book, own_connections) = (Arc::clone(&book), Arc::clone(&connections));
        thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                own_connections.fetch_add(1, Ordering::SeqCst);
                let Ok(tls) = ServerConnection::new(Arc::clone(&config)) else { continue };
                let book = Arc::clone(&own_book);
                thread::spawn(move || serve(StreamOwned::new(tls, tcp), &book));
            }
        });
        Self { address, book, connections }
    }

    /// From now on does this at a path.
    pub(crate) fn at(&self, path: &str, does: Does) {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).does.insert(path.to_owned(), does);
    }

    /// What it was asked for, in order: host and path with its query.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).asked.clone()
    }

    /// What it was told, in order.
    pub(crate) fn told(&self) -> Vec<Told> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).told.clone()
    }

    /// Connections that anybody made to it.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// The value of a field in a head, or nothing.
fn field(head: &str, name: &str) -> String {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.into_iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

/// Answers one request after the other.
fn serve(mut stream: StreamOwned<ServerConnection, TcpStream>, book: &Mutex<Book>) {
    let mut got = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        got.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&got).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        if body.len() < field(head, "content-length").parse().unwrap_or(0) {
            continue;
        }
        got.clear();
        let line = head.lines().next().unwrap_or_default().to_owned();
        let told = Told { line, authorization: field(head, "authorization"), body: body.to_owned() };
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let host = stream.conn.server_name().unwrap_or_default().to_owned();
        let does = {
            let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
            book.asked.push(format!("{host}{target}"));
            book.told.push(told);
            let path = target.split('?').next().unwrap_or_default();
            book.does.get(path).cloned().unwrap_or(Does::Says("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
        };
        let answer = match does {
            Does::Gives(body) => [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes(), body].concat(),
            Does::Says(head) => head.as_bytes().to_vec(),
            Does::Waits => {
                thread::sleep(Duration::from_secs(20));
                return;
            }
        };
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

/// A key of a vendor's on P-256.
pub(crate) struct Signer(KeyPair);

impl Signer {
    pub(crate) fn new() -> Self {
        Self(KeyPair::generate().expect("a key"))
    }

    /// A JSON Web Signature over these claims.
    pub(crate) fn token(&self, kid: &str, claims: &str) -> String {
        let head = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#));
        let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims));
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &self.0.serialize_der()).expect("the same key");
        let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).expect("signed");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    /// A signature in DER.
    pub(crate) fn seal(&self, message: &[u8]) -> Vec<u8> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &self.0.serialize_der()).expect("the same key");
        key.sign(&SystemRandom::new(), message).expect("signed").as_ref().to_vec()
    }

    /// Its public key as Plaid gives one out.
    pub(crate) fn given_as_jwk(&self, kid: &str, expired_at: &str) -> Does {
        let (x, y) = self.point();
        let key = format!(
            r#""alg":"ES256","created_at":1560466150,"crv":"P-256","expired_at":{expired_at},"kid":"{kid}","kty":"EC","use":"sig""#
        );
        Does::Gives(format!(r#"{{"key":{{{key},"x":"{x}","y":"{y}"}},"request_id":"1"}}"#).into_bytes())
    }

    fn point(&self) -> (String, String) {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &self.0.serialize_der()).expect("the same key");
        let point = key.public_key().as_ref();
        (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]))
    }

    /// The set that this key is published in.
    pub(crate) fn published(&self, kid: &str) -> Does {
        let (x, y) = self.point();
        let set = format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","use":"sig","kid":"{kid}","x":"{x}","y":"{y}"}}]}}"#);
        Does::Gives(set.into_bytes())
    }

    /// Its certificate, by this authority and for this name.
    pub(crate) fn certificate(&self, params: &CertificateParams, authority: &Authority) -> Does {
        Does::Gives(authority.certify(params, &self.0).into_bytes())
    }
}

/// A key of Amazon's, as it were: RSA, and its certificate by nobody that anybody knows.
pub(crate) struct Amazon {
    key: RsaKeyPair,
    certificate: String,
}

impl Amazon {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key");
        let params = CertificateParams::new(vec!["sns.amazonaws.com".to_owned()]).expect("parameters");
        let certificate = params.self_signed(&key).expect("signed").pem();
        Self { key: RsaKeyPair::from_pkcs8(&key.serialize_der()).expect("the same key"), certificate }
    }

    /// The certificate, as SNS serves it.
    pub(crate) fn published(&self) -> Does {
        Does::Gives(self.certificate.clone().into_bytes())
    }

    /// PKCS #1 v1.5 with SHA-256.
    pub(crate) fn sign(&self, text: &str) -> Vec<u8> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).expect("signed");
        signature
    }
}
