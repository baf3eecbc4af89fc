//! Secrets that must never be seen again: not in a log, not in a metric, not in the API, not in a file.

use std::{fs, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::support::{
    gateway::Gateway,
    recorder::Recorder,
    sender::{github, standard_webhooks},
};

const WRITTEN: &str = "canary-written-9f3b1c77d2e84a10";
const FROM_ENVIRONMENT: &str = "canary-environment-52a7e1904bd3c6f8";
const FROM_FILE: &str = "canary-file-c01dfeedbead1234";
const BEARER: &str = "canary-bearer-77aa10bb22cc33dd";
const ADMIN: &str = "canary-admin-31415926535897932";
const QUERY: &str = "canary-query-2718281828459045";

/// The ways a secret could be spelled.
fn spellings(secret: &str) -> Vec<(String, Vec<u8>)> {
    let hex = hex::encode(secret);
    [secret.to_owned(), STANDARD.encode(secret).trim_end_matches('=').to_owned(), hex.to_uppercase(), hex]
        .map(|spelling| (format!("{secret} as {spelling}"), spelling.into_bytes()))
        .to_vec()
}

pub(crate) fn assert_clean(place: &str, content: &[u8], secrets: &[&str]) {
    for (what, needle) in secrets.iter().flat_map(|secret| spellings(secret)) {
        assert!(!content.windows(needle.len()).any(|window| window == needle), "{what} is in {place}");
    }
}

pub(crate) fn every_file(folder: &Path, look: &mut dyn FnMut(&Path, &[u8])) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            every_file(&path, look);
        } else {
            look(&path, &fs::read(&path).expect("a file"));
        }
    }
}

#[test]
fn no_secret_is_ever_seen_again() {
    let target = Recorder::start();
    let standard_secret = format!("whsec_{}", STANDARD.encode(FROM_FILE));
    let mut gateway = Gateway::written(&format!(
        r#"
admin: {{ listen: "127.0.0.1:@ADMIN@", tokens: [{{ name: ops, role: admin, token: "{ADMIN}" }}] }}
log: {{ level: trace, requests: all, attempts: all }}
sources:
  written: {{ provider: github, secret: "{WRITTEN}" }}
  environment: {{ provider: github, secret: "${{CANARY}}" }}
  file: {{ provider: standard-webhooks, secret: "${{file:@DIR@/secret}}" }}
targets:
  app: {{ url: "{}", auth: {{ bearer: "{BEARER}" }} }}
routes:
  - {{ to: app }}
"#,
        target.url()
    ))
    .with_variable("CANARY", FROM_ENVIRONMENT);
    fs::write(gateway.folder().join("secret"), format!("{standard_secret}\n")).expect("written");
    gateway.boot();

    assert_eq!(gateway.ring(&github(&format!("/hooks/written?token={QUERY}"), WRITTEN, "d-1", b"{}")).status, 200);
    assert_eq!(gateway.ring(&github("/hooks/environment", FROM_ENVIRONMENT, "d-2", b"{}")).status, 200);
    assert_eq!(gateway.ring(&standard_webhooks("/hooks/file", &standard_secret, "d-3", 0, b"{}")).status, 200);
    assert_eq!(gateway.ring(&github(&format!("/hooks/written?token={QUERY}"), "wrong-secret-wrong-secret", "d-4", b"{}")).status, 401);
    let seen = target.wait_for(3);
    assert!(seen.iter().all(|received| received.header("authorization") == format!("Bearer {BEARER}")), "the target is shown who we are");
    gateway.wait_until_drained();

    let configured = [WRITTEN, FROM_ENVIRONMENT, FROM_FILE, BEARER, ADMIN];
    let everything = [&configured[..], &[QUERY]].concat();
    assert_clean("/metrics", &gateway.look("/metrics").expect("metrics").body, &everything);
    assert_clean("/api/v1/status", &gateway.look("/api/v1/status").expect("status").body, &everything);
    let printed = gateway.command(&["check", "--print", "-c", "hookgate.yaml"]);
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    assert_clean("check --print", &[printed.stdout, printed.stderr].concat(), &everything);
    // Killed, not stopped: what lies in the journal counts too.
    gateway.kill();
    assert_clean("the log", gateway.log().as_bytes(), &everything);
    let mut files = 0;
    every_file(&gateway.data_dir(), &mut |path, content| {
        files += 1;
        assert_clean(&path.to_string_lossy(), content, &configured);
    });
    assert!(files > 0, "there was something to look at");
}
