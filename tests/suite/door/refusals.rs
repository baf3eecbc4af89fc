//! What is refused, how, and that it leaves nothing behind.

use super::{
    client::{Client, Reply, request, ring, signed},
    setting::{PATH, SECRET, Setting, signature},
};

fn with(field: &str) -> Vec<u8> {
    signed(b"{}", "d-1", &[field])
}

#[test]
fn each_refusal_has_its_status_and_its_reason_and_changes_nothing() {
    let setting = Setting::start();
    let via = "Via: 1.1 hookgate/a, 1.1 hookgate/b, 1.1 hookgate/c, 1.1 hookgate/d, 1.1 hookgate/e";
    let long = format!("X-Long: {}", "x".repeat(13_000));
    let cases: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("get", request("GET", PATH, &[], b""), 405, "method"),
        ("head", request("HEAD", PATH, &[], b""), 405, "method"),
        ("options", request("OPTIONS", PATH, &[], b""), 405, "method"),
        ("put", request("PUT", PATH, &[], b"{}"), 405, "method"),
        ("gzip", with("Content-Encoding: gzip"), 415, "encoding"),
        ("two encodings", signed(b"{}", "d-1", &["Content-Encoding: identity", "Content-Encoding: br"]), 415, "encoding"),
        ("two types", with("Content-Type: text/plain"), 401, "duplicate_header"),
        ("a loop", with(via), 400, "loop"),
        ("a long head", with(&long), 431, "too_large"),
        ("no signature", request("POST", PATH, &[], b"{}"), 401, "missing_signature"),
        (
            "a wrong signature",
            request("POST", PATH, &[&format!("X-Hub-Signature-256: {}", signature("another", b"{}"))], b"{}"),
            401,
            "bad_signature",
        ),
        (
            "another body's",
            request("POST", PATH, &[&format!("X-Hub-Signature-256: {}", signature(SECRET, b"{}"))], b"{ }"),
            401,
            "bad_signature",
        ),
        ("two signatures", with(&format!("X-Hub-Signature-256: {}", signature(SECRET, b"{}"))), 401, "duplicate_header"),
    ];
    for (what, request, status, reason) in cases {
        let before = setting.rejected(reason);
        let reply = ring(&setting, &request);
        assert_eq!(reply.status, status, "{what}");
        assert_eq!(setting.rejected(reason), before + 1.0, "{what}");
        assert_eq!(reply.header("hookgate-event-id"), None, "{what}");
    }
    assert_eq!(setting.requests("rejected"), 13.0);
    assert_eq!(setting.store.admits(), 0);
    assert_eq!(setting.series("hookgate_inflight_bytes"), Some(0.0));
}

#[test]
fn identity_is_no_encoding() {
    let setting = Setting::start();
    assert_eq!(ring(&setting, &with("Content-Encoding: Identity")).status, 200);
}

#[test]
fn four_visits_are_no_loop() {
    let setting = Setting::start();
    assert_eq!(ring(&setting, &with("Via: 1.1 hookgate/a, 1.1 hookgate/b, 1.1 hookgate/c, 1.1 hookgate/d")).status, 200);
}

#[test]
fn a_forger_learns_nothing_from_the_answer() {
    let setting = Setting::start();
    let bodiless = |reply: &Reply| (reply.status, reply.body.clone(), reply.header("content-type").map(str::to_owned));
    let wrong = |value: &str| request("POST", PATH, &[&format!("X-Hub-Signature-256: {value}")], b"{}");
    let replies = [
        ring(&setting, &wrong(&signature("another", b"{}"))),
        ring(&setting, &wrong("sha256=zz")),
        ring(&setting, &wrong("sha256=")),
        ring(&setting, &wrong(&signature(SECRET, b"{ }"))),
        ring(&setting, &request("POST", PATH, &[], b"{}")),
        ring(&setting, &with("Content-Type: text/plain")),
    ];
    for reply in &replies {
        assert_eq!(bodiless(reply), bodiless(&replies[0]));
    }
    // Those that got as far as the comparison are the same to the byte.
    assert_eq!(replies[0].timeless(), replies[3].timeless());
}

#[test]
fn a_path_is_the_path_or_it_is_not() {
    let setting = Setting::start();
    let targets = [
        "/",
        "/hooks",
        "/hooks/github/",
        "//hooks/github",
        "/hooks//github",
        "/hooks/%67ithub",
        "/hooks%2Fgithub",
        "/Hooks/github",
        "/hooks/GitHub",
        "/hooks/../hooks/github",
        "/./hooks/github",
        "/hooks/github;a",
        "/hooks/github%00",
        "/hooks/github%20",
        "/hooks/githubb",
        "*",
    ];
    for target in targets {
        assert_eq!(ring(&setting, &request("POST", target, &[], b"{}")).status, 404, "{target}");
    }
    let series = "hookgate_rejected_total{reason=\"unknown_path\",source=\"_unmatched\"}";
    assert_eq!(setting.series(series), Some(f64::from(u32::try_from(targets.len()).expect("few"))));
    assert_eq!(setting.store.admits(), 0);
}

#[test]
fn what_is_announced_too_large_is_refused_before_it_is_sent() {
    let setting = Setting::start();
    let mut client = Client::connect(&setting);
    let head = format!("POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Length: 262145\r\n\r\n");
    let reply = client.send(head.as_bytes()).reply().expect("an answer before the body");
    assert_eq!((reply.status, reply.header("connection")), (413, Some("close")));
    assert!(client.is_cut());
    assert_eq!(setting.rejected("too_large"), 1.0);
}

#[test]
fn what_turns_out_too_large_is_refused_when_it_does() {
    let setting = Setting::start();
    let mut client = Client::connect(&setting);
    let signature = signature(SECRET, b"");
    client.send(
        format!("POST {PATH} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX-Hub-Signature-256: {signature}\r\n\r\n").as_bytes(),
    );
    let chunk = [b"10000\r\n".to_vec(), vec![b'x'; 0x10000], b"\r\n".to_vec()].concat();
    // The door may have hung up before the last of them.
    let sent = (0..64).take_while(|_| client.try_send(&chunk).is_ok()).count();
    assert!(sent >= 4);
    let reply = client.reply();
    assert!(reply.is_none_or(|reply| reply.status == 413));
    setting.wait("the refusal", |setting| setting.rejected("too_large") == 1.0);
    assert!(client.is_cut());
    setting.wait("the bytes back", |setting| setting.series("hookgate_inflight_bytes") == Some(0.0));
}

#[test]
fn a_body_at_its_limit_is_taken() {
    let setting = Setting::start();
    assert_eq!(ring(&setting, &signed(&vec![b'x'; 256 * 1024], "d-1", &[])).status, 200);
}

#[test]
fn method_not_allowed_says_which_is() {
    let setting = Setting::start();
    assert_eq!(ring(&setting, &request("GET", PATH, &[], b"")).header("allow"), Some("POST"));
}

#[test]
fn ten_thousand_strangers_leave_no_label() {
    let setting = Setting::start();
    let names = |setting: &Setting| -> Vec<String> {
        let text = setting.metrics.render().expect("rendered");
        text.lines()
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(name, _)| name.to_owned())
            .filter(|name| name.starts_with("hookgate_"))
            .collect()
    };
    let before = names(&setting);
    let mut client = Client::connect(&setting);
    for number in 0..10_000 {
        let path = if number % 2 == 0 { PATH.to_owned() } else { format!("/hooks/stranger-{number}") };
        let wrong = format!("X-Hub-Signature-256: sha256={number:064x}");
        let delivery = format!("X-GitHub-Delivery: {number}");
        let bytes = request("POST", &path, &[&wrong, &delivery, "X-GitHub-Event: made-up"], b"{}");
        let reply = client.try_send(&bytes).ok().and_then(|()| client.reply());
        let Some(reply) = reply.filter(|reply| reply.header("connection") != Some("close")) else {
            client = Client::connect(&setting);
            continue;
        };
        assert!(matches!(reply.status, 401 | 404), "{}", reply.status);
    }
    assert_eq!(names(&setting), before);
    assert_eq!(setting.store.admits(), 0);
}
