//! `client_cert`: who shows which certificate, and what comes of it. The door asks everybody and demands nothing; sources do.

use std::{io, sync::Arc};

use rcgen::{CertificateParams, SanType, date_time_ymd};
use rustls::{
    ClientConfig,
    version::{TLS12, TLS13},
};

use crate::support::{
    certificate::Authority,
    gateway::{ADMIN_TOKEN, Gateway},
    patience::wait_until,
    recorder::Recorder,
    sender::{SECRET, github},
    wire::{Answer, Connection, Ring},
};

const HOST: &str = "sender.example";
const URI: &str = "spiffe://example/sender";
const WRONG: &str = "the-wrong-secret-for-the-tests-000000";

/// The gateway, and who signs for it and its senders.
struct Scene {
    gateway: Gateway,
    authority: Authority,
}

fn params(names: Vec<SanType>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names;
    params
}

fn scene(target: &Recorder, secret: &str) -> Scene {
    let gateway = Gateway::written(&format!(
        r#"
server:
  listen: "127.0.0.1:@DOOR@"
  tls: {{ cert: "@DIR@/door.pem", key: "@DIR@/door.key", client_ca: "@DIR@/client-ca.pem" }}
sources:
  hub: {{ provider: docker-hub, client_cert: {{ san: {HOST} }} }}
  signed: {{ provider: github, secret: "${{file:@DIR@/secret}}", client_cert: {{ san: ["{URI}", 192.0.2.7, a@sender.example] }} }}
  open: {{ provider: github, secret: "{SECRET}-2" }}
targets:
  app: {{ url: "{}" }}
routes:
  - {{ to: app }}
"#,
        target.url()
    ));
    let authority = Authority::new();
    let folder = gateway.folder();
    std::fs::write(folder.join("secret"), secret).expect("written");
    authority.issue("localhost", folder, "door");
    authority.write_root(&folder.join("client-ca.pem"));
    authority.issue(HOST, folder, "host");
    authority.issue("other.example", folder, "other");
    authority.issue("*.example", folder, "wildcard");
    let text = |text: &str| text.to_owned().try_into().expect("ASCII");
    authority.issue_as(&params(vec![SanType::DnsName(text("x.example")), SanType::URI(text(URI))]), folder, "uri");
    authority.issue_as(&params(vec![SanType::IpAddress([192, 0, 2, 7].into())]), folder, "address");
    authority.issue_as(&params(vec![SanType::DnsName(text("192.0.2.7"))]), folder, "looks-like-an-address");
    authority.issue_as(&params(vec![SanType::Rfc822Name(text("a@sender.example"))]), folder, "mail");
    authority.issue_as(&params(Vec::new()), folder, "nameless");
    let mut old = params(vec![SanType::DnsName(text(HOST))]);
    (old.not_before, old.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    authority.issue_as(&old, folder, "old");
    Authority::new().issue(HOST, folder, "strangers");
    Scene { gateway, authority }
}

impl Scene {
    fn showing(&self, name: &str) -> Arc<ClientConfig> {
        self.authority.client_showing(&[&TLS13, &TLS12], self.gateway.folder(), name)
    }

    fn without(&self) -> Arc<ClientConfig> {
        self.authority.client(&[&TLS13, &TLS12], &["http/1.1"])
    }

    fn ring(&self, client: Arc<ClientConfig>, ring: &Ring) -> io::Result<Answer> {
        Connection::tls(self.gateway.door(), client)?.exchange(ring)
    }

    fn refused(&self, source: &str) -> u64 {
        self.gateway.metrics().count("rejected_total", &[("source", source), ("reason", "client_cert")])
    }
}

fn push(tag: &str) -> Ring {
    let body = format!(r#"{{"push_data":{{"pushed_at":1760000000,"tag":"{tag}"}},"repository":{{"repo_name":"example/app"}}}}"#);
    Ring::post("/hooks/hub", vec![("Content-Type".to_owned(), "application/json".to_owned())], body.as_bytes())
}

#[test]
fn a_source_takes_those_whose_certificate_has_its_name() {
    let target = Recorder::start();
    let mut scene = scene(&target, SECRET);
    scene.gateway.boot();
    let signed = |id: &str| github("/hooks/signed", SECRET, id, b"{}");
    let open = |id: &str| github("/hooks/open", &format!("{SECRET}-2"), id, b"{}");
    let taken = [
        ("its name", scene.showing("host"), push("1")),
        ("one name of several, of one certificate's several", scene.showing("uri"), signed("d-1")),
        ("an address", scene.showing("address"), signed("d-2")),
        ("an e-mail address", scene.showing("mail"), signed("d-3")),
        ("nothing, where nothing is asked", scene.without(), open("d-4")),
        ("something, where nothing is asked", scene.showing("other"), open("d-5")),
        ("its name, over TLS 1.2", scene.authority.client_showing(&[&TLS12], scene.gateway.folder(), "host"), push("2")),
    ];
    let count = taken.len();
    for (what, client, ring) in taken {
        let answer = scene.ring(client, &ring).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!((answer.status, answer.result()), (200, Some("accepted")), "{what}: {}", answer.text());
    }
    for received in target.wait_for(count) {
        // Who opened the connection is known; of the body nothing is.
        let verified = if received.header("hookgate-source") == "hub" { "false" } else { "true" };
        assert_eq!(received.header("hookgate-verified"), verified, "{}", received.header("hookgate-source"));
    }
    let refused = [
        ("no certificate", "hub", scene.without(), push("9")),
        ("another name", "hub", scene.showing("other"), push("9")),
        ("a wildcard that would cover it", "hub", scene.showing("wildcard"), push("9")),
        ("no name", "hub", scene.showing("nameless"), push("9")),
        ("another source's name", "hub", scene.showing("uri"), push("9")),
        ("a host name that looks like the address", "signed", scene.showing("looks-like-an-address"), signed("d-9")),
        ("a signature alone", "signed", scene.without(), signed("d-9")),
    ];
    for (what, source, client, ring) in refused {
        let so_far = scene.refused(source);
        let answer = scene.ring(client, &ring).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!((answer.status, answer.text().as_str(), scene.refused(source)), (401, "unauthorized\n", so_far + 1), "{what}");
    }
    // The body is not waited for.
    let mut connection = Connection::tls(scene.gateway.door(), scene.without()).expect("hands are shaken");
    connection.send(&push("9").head(1000)).expect("sent");
    assert_eq!((connection.answer().expect("an answer").status, connection.is_closed()), (401, true));
    assert_eq!(target.count(), count);
}

#[test]
fn a_sample_is_sent_with_a_certificate() {
    let target = Recorder::start();
    let mut scene = scene(&target, SECRET);
    scene.gateway.boot();
    let send = |more: &[&str]| {
        let output = scene.gateway.command(&[&["send", "signed"], more].concat());
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, said) = send(&["--cert", "uri.pem", "--key", "uri.key"]);
    assert!(code == Some(0) && said.starts_with("accepted evt_"), "{said}");
    target.wait_for(1);
    let (code, said) = send(&[]);
    assert!(code == Some(1) && said.starts_with("refused: 401"), "{said}");
    let (code, said) = send(&["--cert", "uri.pem", "--key", "mail.key"]);
    assert!(code == Some(78) && said.contains("uri.pem and mail.key do not work together"), "{said}");
    let (code, said) = send(&["--cert", "uri.pem", "--key", "uri.pem"]);
    assert!(code == Some(78) && said.contains("uri.pem: there is no private key in it"), "{said}");
    assert_eq!(send(&["--cert", "uri.pem"]).0, Some(2), "one without the other");
    let (code, said) = send(&["--cert", "uri.pem", "--key", "uri.key", "--url", "http://127.0.0.1:1/"]);
    assert!(code == Some(2) && said.contains("say nothing to an http URL"), "{said}");
    assert_eq!(target.count(), 1);
}

#[test]
fn a_certificate_that_does_not_hold_ends_the_handshake() {
    let target = Recorder::start();
    let mut scene = scene(&target, SECRET);
    scene.gateway.boot();
    let failures = || scene.gateway.metrics().count("tls_handshake_failures_total", &[]);
    for name in ["strangers", "old"] {
        for version in [&TLS12, &TLS13] {
            let so_far = failures();
            let client = scene.authority.client_showing(&[version], scene.gateway.folder(), name);
            assert!(scene.ring(client, &push("1")).is_err(), "{name} over {version:?}");
            wait_until("the failure was counted", || failures() == so_far + 1);
        }
    }
    assert_eq!((scene.refused("hub"), target.count()), (0, 0), "no request came of them");
}

#[test]
fn what_had_its_certificate_and_not_its_signature_can_be_admitted_later() {
    let target = Recorder::start();
    let mut scene = scene(&target, WRONG);
    scene.gateway.boot();
    let answer = scene.ring(scene.showing("uri"), &github("/hooks/signed", SECRET, "d-1", b"{}")).expect("an answer");
    assert_eq!(answer.status, 401);
    let list = || serde_json::from_slice::<serde_json::Value>(&scene.gateway.look("/api/v1/rejected").expect("a list").body).expect("JSON");
    wait_until("it was kept", || list()["items"].as_array().is_some_and(|items| items.len() == 1));
    let id = list()["items"][0]["id"].as_str().expect("an id").to_owned();
    assert!(scene.gateway.terminate().success());
    std::fs::write(scene.gateway.folder().join("secret"), SECRET).expect("written");
    scene.gateway.boot();
    let admit = Ring::post(&format!("/api/v1/rejected/{id}/admit"), vec![("Authorization".into(), format!("Bearer {ADMIN_TOKEN}"))], b"");
    let admitted = Connection::plain(scene.gateway.admin()).and_then(|mut admin| admin.exchange(&admit)).expect("an answer");
    assert_eq!(admitted.status, 200, "{}", admitted.text());
    assert_eq!(target.wait_for(1)[0].header("hookgate-verified"), "true");
}

#[test]
fn a_certificate_that_nobody_asks_for_does_not_start() {
    let written = |server: &str| {
        format!(
            "server: {server}\nsources:\n  hub: {{ provider: docker-hub, client_cert: {{ san: {HOST} }} }}\ntargets:\n  \
             app: {{ url: http://127.0.0.1:1/ }}\nroutes: [{{ to: app }}]\n"
        )
    };
    let own = |more: &str| format!("{{ tls: {{ cert: door.pem, key: door.key{more} }} }}");
    let asks = "hookgate.yaml:3:45: `hub` asks for a client certificate, and `server.tls` names nobody who signs them; add \
                `client_ca: ca.pem` to `server.tls`, beside certificates of our own";
    for (server, wanted) in [
        ("{ listen: 127.0.0.1:8080 }".to_owned(), asks),
        ("{ tls: upstream }".to_owned(), asks),
        (own(""), asks),
        (own(", client_ca: missing.pem"), "server.tls: cannot read missing.pem: "),
        (own(", client_ca: door.key"), "server.tls: cannot read door.key: there is no certificate in it"),
    ] {
        let gateway = Gateway::written(&written(&server));
        Authority::new().issue("localhost", gateway.folder(), "door");
        let checked = gateway.command(&["check", "-c", "hookgate.yaml"]);
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert_eq!(checked.status.code(), Some(1), "{server}: {said}");
        assert!(said.contains(wanted), "{server}: {said}");
    }
}
