//! `observe_until`: what a source takes that nothing proves, what it refuses all the same, how the two are kept apart from what is proved,
//! and that it ends by itself.

use hookgate::clock::UnixMs;

use crate::{
    secrecy::{assert_clean, every_file},
    support::{
        gateway::Gateway,
        patience::{SOON, holds_within, unix_seconds},
        recorder::Recorder,
        sender::{SECRET, github, stripe},
        wire::{Answer, Ring},
    },
};

const WRONG: &str = "canary-wrong-secret-5be0cd19137e2179";
const TOKEN: &str = "canary-url-token-1f83d9abfb41bd6b";
const INSIDE: &str = "192.0.2.7";
const OUTSIDE: &str = "198.51.100.7";

/// So many seconds from now, as a configuration writes it.
fn ahead(seconds: i64) -> String {
    UnixMs((unix_seconds() + seconds) * 1000).to_string()
}

fn observing(target: &Recorder) -> Gateway {
    Gateway::written(&format!(
        r#"
server:
  listen: "127.0.0.1:@DOOR@"
  trusted_proxies: [127.0.0.0/8]
  public_url: https://hooks.example.com
log: {{ requests: rejected }}
defaults: {{ source: {{ observe_until: "{}" }} }}
sources:
  git: {{ provider: github, secret: "{SECRET}", body_limit: 1KiB }}
  pay: {{ provider: stripe, secret: "{SECRET}-2" }}
  lab: {{ provider: gitlab, secret: "{SECRET}-3" }}
  hub: {{ provider: docker-hub, url_token: "{TOKEN}" }}
  fenced: {{ provider: github, secret: "{SECRET}-4", allow_ips: 192.0.2.0/24 }}
  meta: {{ provider: meta, secret: "{SECRET}-5", credentials: {{ verify_token: "{SECRET}-6" }}, allow_ips: {INSIDE} }}
  slack: {{ provider: slack, secret: "{SECRET}-7" }}
  strict: {{ provider: github, secret: "{SECRET}-8", observe_until: none }}
targets:
  app: {{ url: "{}" }}
routes:
  - {{ to: app }}
"#,
        ahead(3600),
        target.url()
    ))
}

fn git(secret: &str, id: &str) -> Ring {
    github("/hooks/git", secret, id, b"{}")
}

fn json(path: &str, body: &str) -> Ring {
    Ring::post(path, vec![("Content-Type".to_owned(), "application/json".to_owned())], body.as_bytes())
}

fn push(path: &str, tag: &str) -> Ring {
    json(path, &format!(r#"{{"push_data":{{"pushed_at":1760000000,"tag":"{tag}"}},"repository":{{"repo_name":"example/app"}}}}"#))
}

fn without(field: &str, mut ring: Ring) -> Ring {
    ring.headers.retain(|(name, _)| name != field);
    ring
}

fn gitlab(token: &str) -> Ring {
    json("/hooks/lab", "{}").with("X-Gitlab-Event", "Push Hook").with("X-Gitlab-Token", token)
}

fn challenge(client: &str) -> Ring {
    let path = format!("/hooks/meta?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={SECRET}-6");
    Ring { method: "GET".into(), path, ..Ring::default() }.with("X-Forwarded-For", client)
}

/// What would be rejected, the source, and what for.
fn unproved() -> Vec<(&'static str, &'static str, Ring)> {
    let pay = |id: &str, ago| stripe("/hooks/pay", &format!("{SECRET}-2"), ago, format!(r#"{{"id":"{id}"}}"#).as_bytes());
    let timeless = json("/hooks/pay", r#"{"id":"evt_3"}"#).with("Stripe-Signature", &format!("v1={}", "0".repeat(64)));
    let signed = github("/hooks/fenced", &format!("{SECRET}-4"), "d-1", b"{}").with("X-Forwarded-For", OUTSIDE);
    vec![
        ("git", "missing_signature", without("X-Hub-Signature-256", git(SECRET, "d-1"))),
        ("git", "bad_signature", git(WRONG, "d-2")),
        ("pay", "stale", pay("evt_1", 1000)),
        ("pay", "future", pay("evt_2", -1000)),
        ("pay", "malformed", timeless),
        ("lab", "bad_signature", gitlab(WRONG)),
        ("hub", "requirement", json(&format!("/hooks/hub/{TOKEN}"), "{}")),
        ("hub", "url_token", push(&format!("/hooks/hub?token={TOKEN}"), "1")),
        ("fenced", "ip", signed),
    ]
}

/// What is refused of everybody, the source, what for, and the answer.
fn refused() -> Vec<(&'static str, &'static str, Ring, u16)> {
    let vias = (0..5).fold(git(WRONG, "d-9"), |ring, _| ring.with("Via", "1.1 hookgate/0"));
    vec![
        ("_unmatched", "unknown_path", json("/hooks/nobody", "{}"), 404),
        ("hub", "url_token", push("/hooks/hub/canary-url-token-0000000000000000", "9"), 404),
        ("git", "method", Ring { method: "PUT".into(), ..git(WRONG, "d-9") }, 405),
        ("git", "too_large", github("/hooks/git", WRONG, "d-9", &[b' '; 1025]), 413),
        ("git", "encoding", git(WRONG, "d-9").with("Content-Encoding", "gzip"), 415),
        ("git", "duplicate_header", git(WRONG, "d-9").with("X-GitHub-Delivery", "d-10"), 401),
        ("git", "loop", vias, 400),
        ("strict", "bad_signature", github("/hooks/strict", WRONG, "d-9", b"{}"), 401),
        // Handshakes keep their own guards, and are never events.
        ("meta", "ip", challenge(OUTSIDE), 401),
        ("slack", "missing_signature", json("/hooks/slack", r#"{"type":"url_verification","challenge":"canary-challenge"}"#), 401),
    ]
}

fn rejected(gateway: &Gateway, source: &str, reason: &str) -> u64 {
    gateway.metrics().count("rejected_total", &[("source", source), ("reason", reason)])
}

fn requests(gateway: &Gateway, source: &str, result: &str) -> u64 {
    gateway.metrics().count("requests_total", &[("source", source), ("result", result)])
}

#[test]
fn what_nothing_proves_is_taken_counted_and_told_apart() {
    let target = Recorder::start();
    let mut gateway = observing(&target);
    gateway.boot();
    for (source, reason, ring) in unproved() {
        let before = (rejected(&gateway, source, reason), requests(&gateway, source, "accepted"));
        let answer = gateway.ring(&ring);
        assert_eq!((answer.status, answer.result()), (200, Some("accepted")), "{source}, {reason}: {}", answer.text());
        let after = (rejected(&gateway, source, reason), requests(&gateway, source, "accepted"));
        assert_eq!(after, (before.0 + 1, before.1 + 1), "{source}, {reason}");
        assert_eq!(requests(&gateway, source, "rejected"), 0, "{source}, {reason}");
    }
    let count = unproved().len();
    for received in target.wait_for(count) {
        assert_eq!(received.header("hookgate-verified"), "false", "{}", received.header("hookgate-source"));
        assert_clean("what a target got", format!("{:?}", received.headers).as_bytes(), &[WRONG, TOKEN]);
    }
    assert_eq!(gateway.ring(&git(SECRET, "d-3")).status, 200);
    let proved = &target.wait_for(count + 1)[count];
    assert_eq!(proved.header("hookgate-verified"), "true", "what is proved is proved");
    assert_eq!(gateway.ring(&challenge(INSIDE)).text(), "1158201444", "who is let in is answered");

    for (source, reason, ring, status) in refused() {
        let before = rejected(&gateway, source, reason);
        let answer = gateway.ring(&ring);
        assert_eq!((answer.status, answer.result()), (status, None), "{source}, {reason}: {}", answer.text());
        assert_eq!(rejected(&gateway, source, reason), before + 1, "{source}, {reason}");
        assert!(!answer.text().contains("canary") && !answer.text().contains("1158201444"), "{source}: {}", answer.text());
    }
    gateway.wait_until_drained();
    assert_eq!(target.count(), count + 1);
    for (source, verification) in [("git", "unproved"), ("hub", "unproved"), ("strict", "signed")] {
        assert_eq!(gateway.metrics().count("source_info", &[("source", source), ("verification", verification)]), 1, "{source}");
    }
    let status = gateway.look("/api/v1/status").expect("a status").text();
    assert!(status.contains("`git` only observes") && !status.contains("`strict` only observes"), "{status}");
    assert!(gateway.terminate().success());
    let log = gateway.log();
    assert!(log.contains("`git` ONLY OBSERVES until") && !log.contains("`strict` ONLY OBSERVES"), "{log}");
    // `requests: rejected` shows what would have been, too.
    let line = log.lines().find(|line| line.contains("bad_signature")).expect("a line");
    assert!(line.contains("accepted") && line.contains("git"), "{line}");
    every_file(&gateway.data_dir(), &mut |path, content| assert_clean(&path.to_string_lossy(), content, &[WRONG, TOKEN]));
}

#[test]
fn an_unproved_request_takes_nothing_from_the_event_it_says_it_is() {
    let target = Recorder::start();
    let mut gateway = observing(&target);
    gateway.boot();
    let ring = |secret: &str| gateway.ring(&git(secret, "d-1"));
    let told = |answer: &Answer| (answer.result().map(str::to_owned), answer.event_id().map(str::to_owned));
    let (wrong, right) = (ring(WRONG), ring(SECRET));
    assert_eq!([wrong.result(), right.result()], [Some("accepted"); 2], "{} {}", wrong.text(), right.text());
    assert_ne!(wrong.event_id(), right.event_id());
    for (again, first) in [(ring(WRONG), wrong), (ring(SECRET), right)] {
        assert_eq!(told(&again), (Some("duplicate".to_owned()), told(&first).1));
    }
    assert_eq!((rejected(&gateway, "git", "bad_signature"), requests(&gateway, "git", "duplicate")), (2, 2));
    let mut verified: Vec<String> = target.wait_for(2).iter().map(|received| received.header("hookgate-verified").to_owned()).collect();
    verified.sort_unstable();
    assert_eq!(verified, ["false", "true"]);
    gateway.wait_until_drained();
    assert_eq!(target.count(), 2);
}

#[test]
fn it_ends_by_itself() {
    let target = Recorder::start();
    let until = unix_seconds() + 12;
    let gateway = Gateway::start(&format!(
        "sources:\n  git: {{ provider: github, secret: \"{SECRET}\", observe_until: \"{}\" }}\ntargets:\n  app: {{ url: \"{}\" }}\n\
         routes: [{{ to: app }}]\n",
        UnixMs(until * 1000),
        target.url()
    ));
    let info = |verification| gateway.metrics().sum("source_info", &[("source", "git"), ("verification", verification)]);
    assert_eq!((info("unproved"), info("signed")), (Some(1.0), None));
    let first = gateway.ring(&git(WRONG, "d-0")).status;
    assert!(unix_seconds() < until, "the gateway took too long to start for this test to tell anything");
    assert_eq!(first, 200);
    let mut rings = 0;
    let ended = holds_within(SOON * 2, || {
        rings += 1;
        let (before, status) = (unix_seconds(), gateway.ring(&git(WRONG, &format!("d-{rings}"))).status);
        let after = unix_seconds();
        assert!(if status == 200 { before < until } else { status == 401 && after >= until }, "{status} between {before} and {after}");
        status == 401
    });
    assert!(ended, "it went on for longer than it was to");
    assert_eq!((info("unproved"), info("signed")), (None, Some(1.0)));
    assert_eq!(requests(&gateway, "git", "rejected"), 1);
    assert_eq!(gateway.ring(&git(SECRET, "d-0")).result(), Some("accepted"));
}

#[test]
fn who_checks_a_configuration_or_a_request_is_told() {
    let target = Recorder::start();
    let gateway = observing(&target);
    let said = |output: &std::process::Output| String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
    for (arguments, code) in [(&["check", "-c", "hookgate.yaml"][..], 0), (&["check", "--strict", "-c", "hookgate.yaml"], 1)] {
        let checked = gateway.command(arguments);
        assert_eq!(checked.status.code(), Some(code), "{}", said(&checked));
        assert!(said(&checked).contains("warning: `git` ONLY OBSERVES until "), "{}", said(&checked));
    }
    for (secret, code, wanted) in [(WRONG, 1, true), (SECRET, 0, false)] {
        std::fs::write(gateway.folder().join("request.http"), git(secret, "d-1").bytes()).expect("written");
        let verified = gateway.command(&["verify", "--source", "git", "-c", "hookgate.yaml", "request.http"]);
        assert_eq!(verified.status.code(), Some(code), "{}", said(&verified));
        assert_eq!(said(&verified).contains("The source only observes until "), wanted, "{}", said(&verified));
    }
    let text = gateway.configuration().replace("observe_until: none", &format!("observe_until: \"{}\"", ahead(31 * 24 * 3600)));
    std::fs::write(gateway.folder().join("far.yaml"), text).expect("written");
    let checked = gateway.command(&["check", "-c", "far.yaml"]);
    assert_eq!(checked.status.code(), Some(1), "{}", said(&checked));
    assert!(
        said(&checked).contains("far.yaml:16:") && said(&checked).contains("`observe_until` is at most 30 days ahead"),
        "{}",
        said(&checked)
    );
}
