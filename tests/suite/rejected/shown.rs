//! What is shown of kept requests, and to whom: no secret to anybody, no body to who may only look.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::Value;

use super::{BODY, URL_TOKEN, WRONG, admit, ask, command, id, json, listed};
use crate::{
    secrecy::{assert_clean, every_file},
    spine::all_to,
    support::{
        gateway::{ADMIN_TOKEN, Gateway},
        recorder::Recorder,
        sender::{SECRET, github},
        wire::Ring,
    },
};

const TOKEN: &str = "canary-token-5be0cd19137e217900ff";
const OTHER_TOKEN: &str = "canary-other-token-1f83d9abfb41bd";
const COOKIE: &str = "canary-cookie-2718281828459045235";
const BEARER: &str = "canary-bearer-3141592653589793238";

#[test]
fn a_source_that_there_is_not_is_told_from_one_without_rejections() {
    let target = Recorder::start();
    let gateway = Gateway::start(&all_to(&target, &format!("sources:\n  hub: {{ provider: github, secret: \"{SECRET}\" }}\n")));
    let (code, said) = command(&gateway, &["rejected", "--source", "hub"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = command(&gateway, &["rejected", "--source", "hbu"]);
    assert_eq!((code, said.trim_end()), (Some(2), "there is no source `hbu`; did you mean `hub`?"));
    let (code, said) = command(&gateway, &["rejected", "--source", "nosuch"]);
    assert_eq!((code, said.trim_end()), (Some(2), "there is no source `nosuch`; the configuration has hub"));
    let (code, said) = command(&gateway, &["rejected", "--since", "yesterday"]);
    assert!(code == Some(2) && said.contains("`since` is a time"), "{said}");
}

#[test]
fn no_secret_goes_into_the_ring() {
    let target = Recorder::start();
    let sections = format!(
        r#"
log: {{ level: trace, requests: all }}
sources:
  lab: {{ provider: gitlab, secret: "{TOKEN}" }}
  hub: {{ provider: github, secret: "{SECRET}", url_token: "{URL_TOKEN}" }}
  teams: {{ provider: ms-teams, secret: "c2VjcmV0LW9mLXRoZS10ZXN0cy0wMTIzNDU2Nzg5" }}
"#
    );
    let mut gateway = Gateway::written(&all_to(&target, &sections));
    gateway.boot();
    let lab = Ring::post("/hooks/lab", vec![("X-Gitlab-Event".into(), "Push Hook".into())], b"{\"object_kind\":\"push\"}");
    assert_eq!(gateway.ring(&lab.with("X-Gitlab-Token", OTHER_TOKEN)).status, 401);
    let hub = github(&format!("/hooks/hub/{URL_TOKEN}?tenant=7"), WRONG, "d-1", BODY)
        .with("X-Original-Url", &format!("https://hooks.example.com/hooks/hub/{URL_TOKEN}"))
        .with("Cookie", &format!("session={COOKIE}"))
        .with("Authorization", &format!("Bearer {BEARER}"))
        .with("X-Gitlab-Token", OTHER_TOKEN);
    assert_eq!(gateway.ring(&hub).status, 401);
    let teams =
        Ring::post("/hooks/teams", vec![("Authorization".into(), "HMAC AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".into())], BODY);
    assert_eq!(gateway.ring(&teams).status, 401);
    assert_eq!(gateway.ring(&Ring::post("/hooks/hub", Vec::new(), BODY)).status, 404, "without its token nobody rang");

    let items = listed(&gateway, 3);
    assert_eq!((&items[1]["path"], &items[2]["body_bytes"]), (&"/hooks/hub".into(), &Value::Null), "{items:?}");
    let secrets = [TOKEN, OTHER_TOKEN, URL_TOKEN, COOKIE, BEARER];
    let mut seen = Vec::new();
    for item in &items {
        for part in ["", "/request"] {
            let answer = gateway.look(&format!("/api/v1/rejected/{}{part}", id(item))).expect("shown");
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_clean("what is shown", &answer.body, &secrets);
            seen.push(answer.text());
        }
    }
    assert!(seen[0].contains("HMAC AAAA"), "a signature is no secret, wherever it stands: {}", seen[0]);
    assert!(
        seen[3].starts_with("POST /hooks/hub?tenant=7 HTTP/1.1\r\n") && seen[3].to_lowercase().contains("x-hub-signature-256: sha256="),
        "{}",
        seen[3]
    );
    let names = ["cookie: <removed>", "authorization: <removed>", "x-original-url: <removed>", "x-gitlab-token: <removed>"];
    assert!(names.iter().all(|name| seen[3].to_lowercase().contains(name)), "{}", seen[3]);
    let list = gateway.look("/api/v1/rejected").expect("a list").text();
    assert!(
        !list.contains("tenant") && !list.contains("sha256=") && !list.contains("refs/heads"),
        "a list shows nothing of what was sent: {list}"
    );
    let refused = json(&admit(&gateway, id(&items[2])));
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("before its body was read")), "{refused}");

    let file = gateway.data_dir().join("rejected.db");
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    gateway.kill();
    assert_clean("the log", gateway.log().as_bytes(), &secrets);
    let mut files = 0;
    every_file(&gateway.data_dir(), &mut |path, content| {
        files += 1;
        assert_clean(&path.to_string_lossy(), content, &secrets);
    });
    assert!(files > 0);
}

#[test]
fn who_may_look_may_not_admit() {
    let target = Recorder::start();
    let sections = format!(
        r#"
admin:
  listen: "127.0.0.1:@ADMIN@"
  tokens:
    - {{ name: tests, role: admin, token: {ADMIN_TOKEN} }}
    - {{ name: eye, role: read, token: look-0123456789abcdef }}
    - {{ name: ops, role: operate, token: act-0123456789abcdef }}
sources:
  hub: {{ provider: github, secret: "{SECRET}" }}
"#
    );
    let mut gateway = Gateway::written(&all_to(&target, &sections));
    gateway.boot();
    gateway.ring(&github("/hooks/hub", WRONG, "d-1", BODY));
    let item = listed(&gateway, 1).remove(0);
    let path = format!("/api/v1/rejected/{}", id(&item));
    let (eye, ops) = ("look-0123456789abcdef", "act-0123456789abcdef");
    for (method, path, token, status) in [
        ("GET", "/api/v1/rejected", "nobody", 401),
        ("GET", "/api/v1/rejected", eye, 200),
        ("GET", &path, eye, 200),
        ("GET", &format!("{path}/request"), eye, 403),
        ("POST", &format!("{path}/admit"), eye, 403),
        ("GET", &format!("{path}/request"), ops, 200),
        ("POST", &format!("{path}/admit"), ops, 409),
        ("GET", &format!("{path}/admit"), ops, 405),
        ("POST", "/api/v1/rejected", ops, 405),
        ("GET", "/api/v1/rejected?state=dead", ops, 400),
        ("GET", "/api/v1/rejected/1", ops, 400),
        ("GET", "/api/v1/rejected/rej_0000000000001", ops, 404),
    ] {
        let answer = ask(&gateway, method, path, token);
        assert_eq!(answer.status, status, "{method} {path} with {token}: {}", answer.text());
        if status >= 400 {
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{method} {path}");
        }
    }
}

#[test]
fn the_command_line_lists_shows_and_admits() {
    let target = Recorder::start();
    let sections = format!(
        r#"
sources:
  hub: {{ provider: github, secret: "{SECRET}" }}
"#
    );
    let gateway = Gateway::start(&all_to(&target, &sections));
    gateway.ring(&github("/hooks/hub", WRONG, "d-1", BODY));
    gateway.ring(&Ring::post("/hooks/hub", vec![("X-GitHub-Event".into(), "push".into())], BODY));
    let items = listed(&gateway, 2);
    let (code, said) = command(&gateway, &["rejected", "--source", "hub", "--since", "1h"]);
    assert!(code == Some(0) && items.iter().all(|item| said.contains(id(item))), "{said}");
    assert!(said.contains("missing_signature") && said.contains("bad_signature"), "{said}");
    let (code, said) = command(&gateway, &["rejected", "--limit", "1", "--json"]);
    assert!(code == Some(0) && said.contains(id(&items[0])) && !said.contains(id(&items[1])), "{said}");
    let (code, said) = command(&gateway, &["rejected", id(&items[1])]);
    assert!(code == Some(0) && said.to_lowercase().contains("x-hub-signature-256: sha256="), "{said}");
    assert!(!said.contains("refs/heads"), "the body is not printed unasked: {said}");

    let raw = gateway.command(&["rejected", id(&items[1]), "--raw", "-c", "hookgate.yaml", "--token", ADMIN_TOKEN]);
    fs::write(gateway.folder().join("request"), &raw.stdout).expect("written");
    let verified = gateway.command(&["verify", "github", "--secret", WRONG, "request"]);
    assert_eq!(verified.status.code(), Some(0), "what comes out is the request: {}", String::from_utf8_lossy(&verified.stdout));
    let (code, said) = command(&gateway, &["verify", "--rejected", id(&items[0]), "--json"]);
    assert!(code == Some(1) && said.contains("\"reason\":\"missing_signature\""), "{said}");
    let (code, said) = command(&gateway, &["rejected", "admit", id(&items[0]), id(&items[1])]);
    assert!(code == Some(1) && said.contains("before its body was read") && said.contains("still rejected: bad_signature"), "{said}");
    assert_eq!(command(&gateway, &["rejected", "../status"]).0, Some(2));
    assert_eq!(command(&gateway, &["rejected", "rej_0000000000001"]).0, Some(1));
    assert_eq!(target.count(), 0);
}
