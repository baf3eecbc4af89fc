//! What guards a source's door, and how it answers: URL tokens, networks, sources that nothing proves, answers of the source's own.

use crate::{
    refusals::durable,
    secrecy::{assert_clean, every_file},
    spine::all_to,
    support::{
        gateway::Gateway,
        recorder::Recorder,
        sender::{SECRET, github, stripe},
        wire::{Answer, Ring},
    },
};

const TOKEN: &str = "canary-url-token-5be0cd19137e2179";
const OLD: &str = "canary-url-token-1f83d9abfb41bd6b";
const PAST: &str = "canary-url-token-a54ff53a5f1d36f1";
const INSIDE: &str = "192.0.2.7";
const OUTSIDE: &str = "198.51.100.7";
const PUSH: &[u8] = br#"{"push_data":{"pushed_at":1760000000,"tag":"1.2"},"repository":{"repo_name":"example/app"}}"#;

fn gateway(target: &Recorder) -> Gateway {
    let sections = format!(
        r#"
server:
  listen: "127.0.0.1:@DOOR@"
  public_url: https://hooks.example.com
  trusted_proxies: [127.0.0.0/8]
log: {{ level: trace, requests: all, attempts: all }}
sources:
  hub:
    provider: docker-hub
    url_token: ["{TOKEN}", {{ value: "${{OLD}}", until: 2099-12-01 }}, {{ value: {PAST}, until: 2001-01-01 }}]
  signed: {{ provider: github, secret: "{SECRET}", url_token: {TOKEN}, path: [/in/signed, /in/also/] }}
  square: {{ provider: square, secret: "{SECRET}", url_token: {TOKEN} }}
  fenced: {{ provider: docker-hub, allow_ips: [192.0.2.0/24, "2001:db8::/32"] }}
  fenced-too: {{ provider: github, secret: "{SECRET}", allow_ips: {INSIDE}, on_reject: 403 }}
  open: {{ provider: docker-hub, allow_unsigned: true, respond: {{ status: 202, json: {{ taken: true, by: "${{NOBODY}}" }} }} }}
  shy: {{ provider: stripe, secret: "{SECRET}", on_reject: 503, respond: {{ text: <ok/>, type: application/xml }} }}
"#
    );
    Gateway::written(&all_to(target, &sections)).with_variable("OLD", OLD).with_variable("NOBODY", "us")
}

fn push(path: &str, tag: &str) -> Ring {
    let body = String::from_utf8_lossy(PUSH).replace("1.2", tag);
    Ring::post(path, vec![("Content-Type".to_owned(), "application/json".to_owned())], body.as_bytes())
}

fn from(client: &str, ring: Ring) -> Ring {
    ring.with("X-Forwarded-For", client)
}

/// All that a stranger could tell two answers apart by, but the time.
fn told(answer: &Answer) -> (u16, String, Vec<(String, String)>) {
    let fields = answer.headers.iter().filter(|(name, _)| name != "date").cloned().collect();
    (answer.status, answer.text(), fields)
}

fn accepted() -> Vec<(&'static str, Ring, u16)> {
    vec![
        ("the token", push(&format!("/hooks/hub/{TOKEN}"), "1"), 200),
        (
            "the token that is on its way out",
            push(&format!("/hooks/hub/{OLD}"), "2").with("X-Original-URI", &format!("/hooks/hub/{OLD}")),
            200,
        ),
        ("a token and a signature", github(&format!("/in/signed/{TOKEN}?a=1"), SECRET, "d-1", b"{}"), 200),
        ("behind a slash", github(&format!("/in/also/{TOKEN}"), SECRET, "d-2", b"{}"), 200),
        ("from a network", from(INSIDE, push("/hooks/fenced", "3")), 200),
        ("from the other network", from("2001:db8::9", push("/hooks/fenced", "4")), 200),
        ("from an address", from(INSIDE, github("/hooks/fenced-too", SECRET, "d-3", b"{}")), 200),
        ("unsigned", push("/hooks/open", "5"), 202),
        ("signed, and answered in the source's words", stripe("/hooks/shy", SECRET, 0, b"{\"id\":\"evt_1\"}"), 200),
    ]
}

fn refused() -> Vec<(&'static str, &'static str, &'static str, Ring, u16)> {
    let hub = |path: &str| push(path, "9");
    vec![
        ("no token", "hub", "url_token", hub("/hooks/hub"), 404),
        ("an empty token", "hub", "url_token", hub("/hooks/hub/"), 404),
        ("another token", "hub", "url_token", hub("/hooks/hub/canary-url-token-0000000000000000"), 404),
        ("a token past its date", "hub", "url_token", hub(&format!("/hooks/hub/{PAST}")), 404),
        ("a token cut short", "hub", "url_token", hub(&format!("/hooks/hub/{}", &TOKEN[1..])), 404),
        ("a token in capitals", "hub", "url_token", hub(&format!("/hooks/hub/{}", TOKEN.to_uppercase())), 404),
        ("an encoded token", "hub", "url_token", hub(&format!("/hooks/hub/%63{}", &TOKEN[1..])), 404),
        ("a token in the query", "hub", "url_token", hub(&format!("/hooks/hub?{TOKEN}")), 404),
        ("a token and more", "_unmatched", "unknown_path", hub(&format!("/hooks/hub/{TOKEN}/")), 404),
        ("a token of nobody's", "_unmatched", "unknown_path", hub(&format!("/hooks/open/{TOKEN}")), 404),
        ("a signature without its token", "signed", "url_token", github("/in/signed", SECRET, "d-9", b"{}"), 404),
        ("a token without its signature", "signed", "bad_signature", github(&format!("/in/signed/{TOKEN}"), OLD, "d-9", b"{}"), 401),
        ("another method without the token", "hub", "url_token", Ring { method: "PUT".into(), ..hub("/hooks/hub") }, 404),
        ("from elsewhere", "fenced", "ip", from(OUTSIDE, hub("/hooks/fenced")), 401),
        ("from the proxy itself", "fenced", "ip", hub("/hooks/fenced"), 401),
        ("from elsewhere, they say, by way of a network", "fenced", "ip", from(&format!("{INSIDE}, {OUTSIDE}"), hub("/hooks/fenced")), 401),
        ("signed, from elsewhere", "fenced-too", "ip", from(OUTSIDE, github("/hooks/fenced-too", SECRET, "d-9", b"{}")), 403),
        ("no push", "open", "requirement", Ring { body: b"{}".to_vec(), ..hub("/hooks/open") }, 401),
        ("forged, where the provider shall come again", "shy", "bad_signature", stripe("/hooks/shy", OLD, 0, b"{}"), 503),
    ]
}

#[test]
fn guards_let_in_whom_they_should_and_what_they_refuse_leaves_no_trace() {
    let target = Recorder::start();
    let mut gateway = gateway(&target);
    gateway.boot();
    for (what, ring, status) in accepted() {
        let answer = gateway.ring(&ring);
        assert_eq!((answer.status, answer.result()), (status, Some("accepted")), "{what}: {}", answer.text());
        assert_eq!(
            answer.text(),
            match what {
                "unsigned" => r#"{"taken":true,"by":"us"}"#,
                "signed, and answered in the source's words" => "<ok/>",
                _ => "",
            }
        );
    }
    let again = gateway.ring(&push("/hooks/open", "5"));
    let (status, result, kind) = (again.status, again.result(), again.header("content-type"));
    assert_eq!((status, result, kind), (202, Some("duplicate"), Some("application/json")), "a repeat hears the same");
    let seen = target.wait_for(accepted().len());
    let one = |source: &str| seen.iter().find(|received| received.header("hookgate-source") == source).expect("delivered");
    for (source, verified) in [("hub", "true"), ("signed", "true"), ("fenced", "false"), ("fenced-too", "true"), ("open", "false")] {
        assert_eq!(one(source).header("hookgate-verified"), verified, "{source}");
    }
    let urls: Vec<&str> = seen.iter().map(|received| received.header("hookgate-original-url")).collect();
    for url in ["https://hooks.example.com/hooks/hub", "https://hooks.example.com/in/signed?a=1", "https://hooks.example.com/in/also/"] {
        assert!(urls.contains(&url), "{url} is not among {urls:?}");
    }
    for received in &seen {
        assert_clean("what a target got", format!("{:?}", received.headers).as_bytes(), &[TOKEN, OLD]);
    }
    gateway.wait_until_drained();
    assert!(gateway.terminate().success());
    let before = durable(&gateway);

    gateway.boot();
    let series_before = gateway.metrics().series();
    let nobodys = told(&gateway.ring(&push("/hooks/nobody", "9")));
    for (what, source, reason, ring, status) in refused() {
        let counted = || gateway.metrics().count("rejected_total", &[("source", source), ("reason", reason)]);
        let so_far = counted();
        let answer = gateway.ring(&ring);
        assert_eq!((answer.status, answer.result()), (status, None), "{what}: {}", answer.text());
        assert_eq!(counted(), so_far + 1, "{what} is counted as {reason} of {source}");
        assert_eq!(answer.header("retry-after").is_some(), status == 503, "{what}");
        if status == 404 {
            assert_eq!(told(&answer), nobodys, "{what} is answered like a path that is nobody's");
        }
    }
    assert_eq!(gateway.metrics().series(), series_before, "no request makes a series");
    for (source, verification) in [("hub", "url_token"), ("signed", "signed"), ("fenced", "none"), ("open", "none")] {
        let info = gateway.metrics().count("source_info", &[("source", source), ("verification", verification)]);
        assert_eq!(info, 1, "{source} is shown as {verification}");
    }
    assert_clean("/metrics", &gateway.look("/metrics").expect("metrics").body, &[TOKEN, OLD, PAST]);
    assert_clean("/api/v1/status", &gateway.look("/api/v1/status").expect("status").body, &[TOKEN, OLD, PAST]);
    let printed = gateway.command(&["check", "--print", "-c", "hookgate.yaml"]);
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    assert_clean("check --print", &[printed.stdout, printed.stderr].concat(), &[TOKEN, OLD, PAST]);
    assert!(gateway.terminate().success());
    assert_eq!(durable(&gateway), before, "nothing durable was changed");
    assert_eq!(target.count(), accepted().len());
    assert_clean("the log", gateway.log().as_bytes(), &[TOKEN, OLD, PAST]);
    every_file(&gateway.data_dir(), &mut |path, content| assert_clean(&path.to_string_lossy(), content, &[TOKEN, OLD, PAST]));
}

#[test]
fn send_rings_with_the_token_that_is_good() {
    let target = Recorder::start();
    let mut gateway = gateway(&target);
    gateway.boot();
    // The last signs its URL, and the token is part of what it was given.
    for source in ["hub", "signed", "square"] {
        let sent = gateway.command(&["send", source, "-c", "hookgate.yaml"]);
        assert!(sent.status.success(), "{source}: {}", String::from_utf8_lossy(&sent.stderr));
    }
    target.wait_for(3);
    assert_clean("the log", gateway.log().as_bytes(), &[TOKEN, OLD, PAST]);
}

#[test]
fn a_source_that_nothing_proves_and_nothing_guards_does_not_start() {
    let source = |more: &str| {
        format!(
            "sources:\n  hub: {{ provider: docker-hub{more} }}\ntargets:\n  app: {{ url: http://127.0.0.1:1/ }}\nroutes: [{{ to: app }}]\n"
        )
    };
    let mut gateway = Gateway::written(&source(""));
    gateway.spawn();
    assert_eq!(gateway.wait().code(), Some(78), "{}", gateway.log());
    let wanted = "hookgate.yaml:2:20: whoever knows its URL could ring at `hub`: `docker-hub` proves nothing; guard it by `url_token`, \
                  `allow_ips` or `client_cert`, or write `allow_unsigned: true`";
    assert!(gateway.log().contains(wanted), "{}", gateway.log());
    for more in [format!(", url_token: {TOKEN}"), ", allow_ips: 192.0.2.1".to_owned(), ", allow_unsigned: true".to_owned()] {
        let checked = Gateway::written(&source(&more)).command(&["check", "-c", "hookgate.yaml"]);
        assert!(checked.status.success(), "{more}: {}", String::from_utf8_lossy(&checked.stderr));
    }
}
