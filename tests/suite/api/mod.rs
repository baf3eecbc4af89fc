//! The admin API of the real binary, as operators and programs use it: who may do what, lists that are walked, acts and their jobs, and
//! the same through the command line.

mod acts;
mod commands;
mod interrupted;
mod lists;
mod may;
mod standing;

use serde_json::Value;

use crate::{
    spine::all_to,
    support::{
        gateway::{ADMIN_TOKEN, Gateway},
        patience::wait_until,
        recorder::Recorder,
        sender::{SECRET, github},
        wire::{Answer, Connection, Ring},
    },
};

const READ_TOKEN: &str = "a-token-that-may-look-0123456789abcdef";
const OPERATE_TOKEN: &str = "a-token-that-may-act-0123456789abcdef0";

/// Two sources that ring at one target, `app`, and tokens of every role.
fn gateway(target: &Recorder, target_keys: &str) -> Gateway {
    Gateway::start(&configuration(target, target_keys))
}

fn configuration(target: &Recorder, target_keys: &str) -> String {
    let sections = format!(
        r#"
sources:
  hub: {{ provider: github, secret: "{SECRET}" }}
  other: {{ provider: github, secret: "{SECRET}" }}
{}"#,
        admin()
    );
    all_to(target, &sections).replace("app: { ", &format!("app: {{ {target_keys}"))
}

/// The section with a token of every role.
fn admin() -> String {
    format!(
        r#"admin:
  listen: "127.0.0.1:@ADMIN@"
  tokens:
    - {{ name: eye, role: read, token: "{READ_TOKEN}" }}
    - {{ name: hand, role: operate, token: "{OPERATE_TOKEN}" }}
    - {{ name: tests, role: admin, token: "{ADMIN_TOKEN}" }}
"#
    )
}

/// A request as a program would send it; `fields` come besides the token.
fn ask(gateway: &Gateway, method: &str, path: &str, token: &str, fields: &[(&str, &str)], body: &str) -> Answer {
    let mut headers = vec![("Authorization".to_owned(), format!("Bearer {token}"))];
    headers.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    if !body.is_empty() && !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    }
    let ring = Ring { method: method.to_owned(), ..Ring::post(path, headers, body.as_bytes()) };
    Connection::plain(gateway.admin()).and_then(|mut connection| connection.exchange(&ring)).expect("an answer")
}

fn get(gateway: &Gateway, path: &str) -> Value {
    let answer = ask(gateway, "GET", path, READ_TOKEN, &[], "");
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    json(&answer)
}

fn post(gateway: &Gateway, path: &str, body: &str) -> Value {
    let answer = ask(gateway, "POST", path, OPERATE_TOKEN, &[], body);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    json(&answer)
}

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

fn items(listed: &Value) -> &[Value] {
    listed["items"].as_array().map(Vec::as_slice).expect("a list")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no text `{key}` in {value}"))
}

/// Rings once; the event's id.
fn ring(gateway: &Gateway, source: &str, id: &str) -> String {
    let answer = gateway.ring(&github(&format!("/hooks/{source}"), SECRET, id, format!("{{\"n\":\"{id}\"}}").as_bytes()));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.event_id().expect("an id").to_owned()
}

/// Waits until a job has ended, and gives it.
fn ended(gateway: &Gateway, job: &Value) -> Value {
    let path = format!("/api/v1/jobs/{}", text(job, "id"));
    let mut now = Value::Null;
    wait_until("the job ended", || {
        now = get(gateway, &path);
        now["state"] != "running"
    });
    now
}

/// Waits until a list has so many items.
fn listed(gateway: &Gateway, path: &str, count: usize) -> Vec<Value> {
    let mut found = Vec::new();
    wait_until(&format!("{path} had {count} items"), || {
        found = items(&get(gateway, path)).to_vec();
        found.len() == count
    });
    found
}
