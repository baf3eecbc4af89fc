//! TLS: who is shown which certificate, what is spoken, and who is turned away.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::Duration,
};

use hookgate::{
    door,
    plan::{Certificate, Plan, Tls, TlsVersion},
};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned, SupportedProtocolVersion,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    version::{TLS12, TLS13},
};
use tempfile::TempDir;

use super::{
    client::{Client, signed},
    setting::{IMPATIENT, Setting},
};

/// A self-signed pair for these names, in files.
fn pair(dir: &Path, file: &str, names: &[&str], years: std::ops::Range<i32>) -> Certificate {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = rcgen::CertificateParams::new(names).expect("names");
    params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
    params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
    let key = rcgen::KeyPair::generate().expect("a key");
    let cert = params.self_signed(&key).expect("a certificate");
    let paths = Certificate { cert: dir.join(format!("{file}.pem")).into(), key: dir.join(format!("{file}.key")).into() };
    std::fs::write(&paths.cert.path, cert.pem()).expect("written");
    std::fs::write(&paths.key.path, key.serialize_pem()).expect("written");
    paths
}

fn own(certificates: Vec<Certificate>) -> impl FnOnce(&mut Plan, &mut hookgate::plan::Source) {
    |plan, _| plan.server.tls = Tls::Own { certificates, client_ca: None, min_version: TlsVersion::V12 }
}

fn client_config(trusted: &[&Certificate]) -> ClientConfig {
    client_config_of(&[&TLS13, &TLS12], trusted)
}

fn client_config_of(versions: &[&'static SupportedProtocolVersion], trusted: &[&Certificate]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for pair in trusted {
        roots.add(CertificateDer::from_pem_file(&pair.cert.path).expect("a certificate")).expect("a root");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).expect("versions");
    builder.with_root_certificates(roots).with_no_client_auth()
}

fn connect(setting: &Setting, config: ClientConfig, name: &str) -> StreamOwned<ClientConnection, TcpStream> {
    let socket = TcpStream::connect(setting.addr).expect("the door listens");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).expect("a connection"), socket)
}

/// Rings over TLS and says how hands were shaken. With the answer the client has whatever it may come back with.
fn handshake(setting: &Setting, config: ClientConfig) -> HandshakeKind {
    let mut client = Client::over(connect(setting, config, "hooks.example"));
    client.send(&signed(b"{}", "d-1", &[]));
    assert_eq!(client.reply().expect("an answer").status, 200);
    client.into_stream().conn.handshake_kind().expect("hands were shaken")
}

/// Rings over TLS and says which certificate was shown.
fn shown(setting: &Setting, config: ClientConfig, name: &str) -> CertificateDer<'static> {
    let mut client = Client::over(connect(setting, config, name));
    client.send(&signed(b"{}", "d-1", &[]));
    assert_eq!(client.reply().expect("an answer").status, 200);
    client.into_stream().conn.peer_certificates().expect("certificates")[0].clone().into_owned()
}

fn leaf(pair: &Certificate) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(&pair.cert.path).expect("a certificate")
}

#[test]
fn each_name_gets_its_certificate_and_strangers_the_first() {
    let dir = TempDir::new().expect("a directory");
    let first = pair(dir.path(), "first", &["first.example", "fallback.example"], 2020..2099);
    let exact = pair(dir.path(), "exact", &["Hooks.example"], 2020..2099);
    let wild = pair(dir.path(), "wild", &["*.wild.example"], 2020..2099);
    let setting = Setting::start_with(IMPATIENT, own(vec![first.clone(), exact.clone(), wild.clone()]));
    let all = [&first, &exact, &wild];
    assert_eq!(shown(&setting, client_config(&all), "hooks.example"), leaf(&exact));
    assert_eq!(shown(&setting, client_config(&all), "a.wild.example"), leaf(&wild));
    assert_eq!(shown(&setting, client_config(&all), "fallback.example"), leaf(&first));
    let mut nameless = client_config(&all);
    nameless.enable_sni = false;
    assert_eq!(shown(&setting, nameless, "first.example"), leaf(&first));
    let mut stranger = connect(&setting, client_config(&all), "deep.a.wild.example");
    assert!(stranger.write_all(b"x").is_err(), "a wildcard stands for one label: the first certificate is shown, and is not for this name");
    assert!(setting.series("hookgate_tls_cert_expiry_timestamp_seconds{name=\"hooks.example\"}").is_some_and(|at| at > 4e9));
}

#[test]
fn a_session_is_resumed_unless_clients_are_asked_for_certificates() {
    let dir = TempDir::new().expect("a directory");
    let pair = pair(dir.path(), "a", &["hooks.example"], 2020..2099);
    for (client_ca, second) in [(None, HandshakeKind::Resumed), (Some(pair.cert.clone()), HandshakeKind::Full)] {
        let asks = client_ca.is_some();
        let setting = Setting::start_with(IMPATIENT, |plan, _| {
            plan.server.tls = Tls::Own { certificates: vec![pair.clone()], client_ca, min_version: TlsVersion::V12 };
        });
        for version in [&TLS12, &TLS13] {
            let config = client_config_of(&[version], &[&pair]);
            let kinds: Vec<_> = (0..2).map(|_| handshake(&setting, config.clone())).collect();
            assert_eq!(kinds, [HandshakeKind::Full, second], "{version:?}, asked: {asks}");
        }
    }
}

#[test]
fn only_http_1_1_is_offered() {
    let dir = TempDir::new().expect("a directory");
    let pair = pair(dir.path(), "a", &["hooks.example"], 2020..2099);
    let setting = Setting::start_with(IMPATIENT, own(vec![pair.clone()]));
    let mut both = client_config(&[&pair]);
    both.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut client = connect(&setting, both, "hooks.example");
    client.write_all(&signed(b"{}", "d-1", &[])).expect("a handshake");
    assert_eq!(client.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    let mut only = client_config(&[&pair]);
    only.alpn_protocols = vec![b"h2".to_vec()];
    let mut client = connect(&setting, only, "hooks.example");
    assert!(client.write_all(b"x").and_then(|()| client.read(&mut [0])).is_err(), "nothing in common");
    setting.wait("the failure", |setting| setting.series("hookgate_tls_handshake_failures_total") == Some(1.0));
}

#[test]
fn a_stalled_or_foreign_handshake_is_cut() {
    let dir = TempDir::new().expect("a directory");
    let setting = Setting::start_with(IMPATIENT, own(vec![pair(dir.path(), "a", &["hooks.example"], 2020..2099)]));
    assert!(Client::connect(&setting).is_cut(), "silence");
    let mut half = Client::connect(&setting);
    half.send(b"\x16\x03\x01\x02\x00\x01");
    assert!(half.is_cut(), "half a hello");
    let mut plain = Client::connect(&setting);
    plain.send(&signed(b"{}", "d-1", &[]));
    assert!(plain.is_cut(), "plain HTTP");
    setting.wait("the failures", |setting| setting.series("hookgate_tls_handshake_failures_total") == Some(3.0));
    assert_eq!(setting.store.admits(), 0);
}

#[test]
fn a_slow_client_is_cut_behind_tls_too() {
    let dir = TempDir::new().expect("a directory");
    let pair = pair(dir.path(), "a", &["hooks.example"], 2020..2099);
    let setting = Setting::start_with(IMPATIENT, own(vec![pair.clone()]));
    let mut client = Client::over(connect(&setting, client_config(&[&pair]), "hooks.example"));
    client.send(&signed(b"{}", "d-1", &[]));
    client.reply().expect("an answer");
    client.send(b"POST /hooks/github HTTP/1.1\r\nHost:");
    assert!(client.is_cut());
}

#[test]
fn what_does_not_fit_together_does_not_start() {
    let dir = TempDir::new().expect("a directory");
    let one = pair(dir.path(), "one", &["a.example"], 2020..2099);
    let other = pair(dir.path(), "other", &["a.example"], 2020..2099);
    let bind = |certificate: Certificate| {
        let mut refused = None;
        let plan = Setting::plan(|plan, source| {
            own(vec![certificate])(plan, source);
        });
        if let Err(error) = door::bind(&plan) {
            refused = Some(error.to_string());
        }
        refused.expect("refused")
    };
    let mixed = bind(Certificate { cert: one.cert.clone(), key: other.key });
    assert!(mixed.contains("one.pem") && mixed.contains("other.key"), "{mixed}");
    let missing = bind(Certificate { cert: dir.path().join("missing.pem").into(), key: one.key.clone() });
    assert!(missing.contains("missing.pem"), "{missing}");
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").expect("written");
    let empty = bind(Certificate { cert: empty.into(), key: one.key.clone() });
    assert!(empty.contains("empty.pem"), "{empty}");
    let swapped = bind(Certificate { cert: one.key.clone(), key: one.cert.clone() });
    assert!(swapped.contains("one.key"), "{swapped}");
}

#[test]
fn an_expired_certificate_is_shown_all_the_same() {
    let dir = TempDir::new().expect("a directory");
    let old = pair(dir.path(), "old", &["hooks.example"], 2001..2002);
    let setting = Setting::start_with(IMPATIENT, own(vec![old]));
    assert!(setting.series("hookgate_tls_cert_expiry_timestamp_seconds{name=\"hooks.example\"}").is_some_and(|at| at < 1.1e9));
}
