//! Logs that strangers write into: whatever they put where it might be logged, each line is one JSON object, without a sign that a terminal
//! or an editor would act on.

use super::written;
use crate::support::{
    gateway::Gateway,
    patience::wait_until,
    sender::{SECRET, github, stripe},
    wire::Connection,
};

/// Texts that would like to be more than text.
const ODD: [&str; 10] = [
    "\\u001b[31mred\\u001b[0m",
    "\\r\\n{\\\"level\\\":\\\"error\\\",\\\"msg\\\":\\\"forged\\\"}",
    "\\\",\\\"level\\\":\\\"forged",
    "\\u0000\\u0001\\u007f\\u0085\\u009b31m",
    "\u{202e}gnorw\u{202c}",
    "\\u202e\\u2066hidden\\u2069",
    "\\u2028\\u2029",
    "\\ud800",
    "\u{feff}%s%n${jndi:ldap://a}",
    "</script><script>alert(1)</script>",
];

fn gateway() -> Gateway {
    let mut gateway = written("");
    gateway.boot();
    gateway
}

#[test]
fn every_line_of_the_log_is_one_object_whatever_strangers_write() {
    let gateway = Gateway::start(&format!(
        r#"
log: {{ level: trace, requests: all, attempts: all }}
sources:
  github: {{ provider: github, secret: "{SECRET}", unrouted: keep }}
  stripe: {{ provider: stripe, secret: "{SECRET}", unrouted: keep }}
"#
    ));
    let long = "x".repeat(500_000);
    for odd in ODD.iter().copied().chain([long.as_str()]) {
        let body = format!("{{\"id\":\"{odd}\",\"type\":\"{odd}\",\"object\":\"event\"}}");
        let taken = gateway.ring(&stripe("/hooks/stripe", SECRET, 0, body.as_bytes()));
        assert!([200, 401].contains(&taken.status), "{odd}: {}", taken.status);
        assert_eq!(gateway.ring(&stripe("/hooks/stripe", "another", 0, body.as_bytes())).status, 401, "{odd}");
        // As far as a field may hold it.
        let field: String = odd.chars().take(2000).collect();
        let ring = github("/hooks/github", SECRET, &field, body.as_bytes()).with("User-Agent", &field).with("X-Forwarded-For", &field);
        // What is no ASCII is no id.
        assert_eq!(gateway.ring(&ring).status, if field.is_ascii() { 200 } else { 401 }, "{odd}");
        let mut wrong = github("/hooks/github", "another", &field, body.as_bytes());
        wrong.headers.iter_mut().filter(|(name, _)| name == "X-GitHub-Event").for_each(|(_, value)| value.clone_from(&field));
        assert_eq!(gateway.ring(&wrong).status, 401, "{odd}");
    }
    let log = gateway.log();
    let requests = log.lines().filter(|line| line.contains("\"event\":\"request\"")).count();
    assert!(requests >= ODD.len() * 4, "they were logged");
    for line in log.lines() {
        let object: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_str(line);
        assert!(object.is_ok(), "no object: {line}");
        let acts = |sign: char| {
            sign.is_control() || matches!(sign, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
        };
        assert!(!line.contains(acts), "a sign that acts: {line:?}");
        assert!(object.is_ok_and(|object| object.get("msg").is_none_or(|said| said != "forged")), "forged: {line}");
        assert!(line.len() < 16 * 1024, "a line of {} bytes", line.len());
    }
}

#[test]
fn what_is_no_request_is_counted_and_not_logged() {
    const EACH: usize = 40;
    let gateway = gateway();
    let before = gateway.log().lines().count();
    let long = "x".repeat(140_000);
    let garbage: [&str; 5] = [
        "this is no request at all\r\n\r\n",
        "POST /hooks/github HTTP/1.1\r\n\r\n",
        "POST /hooks/github HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        &format!("POST /{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
        &format!("POST / HTTP/1.1\r\n{long}: a\r\n\r\n"),
    ];
    for bytes in garbage.iter().flat_map(|bytes| std::iter::repeat_n(*bytes, EACH)) {
        let mut connection = Connection::plain(gateway.door()).expect("a connection");
        // The door may hang up while the rest is on its way.
        let _ = connection.send(bytes.as_bytes());
        let refused = connection.answer().expect("an answer").status;
        assert!([400, 414, 431].contains(&refused), "{refused}: {}", &bytes[..60.min(bytes.len())]);
    }
    let all = (EACH * garbage.len()) as u64;
    let counted = |reason: &str| gateway.metrics().count("http_errors_total", &[("reason", reason)]);
    wait_until("all were counted", || counted("parse") + counted("head_too_large") >= all);
    let log = gateway.log();
    assert!(log.lines().count() <= before + 2, "{} lines for {all} requests that were none:\n{log}", log.lines().count() - before);
}

#[test]
fn no_more_than_asked_for_is_logged() {
    let gateway = gateway();
    assert_eq!(gateway.ring(&github("/hooks/github", "another", "d-1", b"{}")).status, 401);
    assert!(!gateway.log().contains("\"event\":\"request\""), "{}", gateway.log());
}
