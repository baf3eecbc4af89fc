//! What was proved once, said again in other words; what nobody proved, said first; and where a request says it comes from. None of it
//! makes a second event of one, keeps an honest one out, or lets a stranger in.

use super::started;
use crate::support::{
    gateway::Gateway,
    sender::{SECRET, github, standard_webhooks},
    wire::{Connection, Ring},
};

const BODY: &[u8] = b"{\"ref\":\"refs/heads/main\"}";

/// Another spelling of a signature.
type Change<'a> = &'a dyn Fn(&str) -> String;

/// A request as it was captured, and every way to say it that proves the same bytes.
fn respelled(captured: &Ring) -> Vec<(&'static str, Vec<u8>)> {
    let text = String::from_utf8(captured.bytes()).expect("text");
    let with = |field: &str| text.replacen("\r\n", &format!("\r\n{field}\r\n"), 1).into_bytes();
    let chunked = |sizes: &[usize]| {
        let mut rest = &captured.body[..];
        let mut bytes = text.replace(&format!("Content-Length: {}", rest.len()), "Transfer-Encoding: chunked").into_bytes();
        bytes.truncate(bytes.len() - rest.len());
        for size in sizes {
            let (chunk, after) = rest.split_at((*size).min(rest.len()));
            bytes.extend_from_slice(&[format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
            rest = after;
        }
        bytes.extend_from_slice(&[format!("{:x}\r\n", rest.len()).as_bytes(), rest, b"\r\n0\r\n\r\n"].concat());
        bytes
    };
    let mut turned = captured.clone();
    turned.headers.reverse();
    let mut shouted = captured.clone();
    shouted.headers.iter_mut().for_each(|(name, _)| *name = name.to_uppercase());
    vec![
        ("as it was", captured.bytes()),
        ("its fields turned round", turned.bytes()),
        ("its names in capitals", shouted.bytes()),
        ("with a query", text.replacen(" HTTP/1.1", "?again=1 HTTP/1.1", 1).into_bytes()),
        ("to an absolute target", text.replacen("POST /", "POST http://localhost/", 1).into_bytes()),
        ("in HTTP/1.0", text.replacen(" HTTP/1.1", " HTTP/1.0", 1).into_bytes()),
        ("in one chunk", chunked(&[])),
        ("in three chunks", chunked(&[1, 7])),
        ("with white space around its values", text.replace(": ", ": \t ").into_bytes()),
        ("for another Host", text.replace("Host: localhost", "Host: other.example").into_bytes()),
        ("as another type", with("Content-Language: en").to_vec()),
        ("with an extra field", with("X-Extra: 1")),
        ("with an extra proof of the old kind", with("X-Hub-Signature: sha1=0123")),
        ("from elsewhere, it says", with("X-Forwarded-For: 192.0.2.1")),
    ]
}

fn ring(gateway: &Gateway, bytes: &[u8]) -> Option<String> {
    let mut connection = Connection::plain(gateway.door()).expect("a connection");
    connection.send(bytes).expect("sent");
    connection.answer().expect("an answer").result().map(str::to_owned)
}

#[test]
fn a_captured_request_is_one_event_however_it_is_said_again() {
    let key = "whsec_aGF5c3RhY2staGF5c3RhY2staGF5c3RhY2s=";
    let gateway = Gateway::start(&format!(
        r#"
sources:
  github: {{ provider: github, secret: "{SECRET}", unrouted: keep }}
  standard: {{ provider: standard-webhooks, secret: "{key}", unrouted: keep }}
"#
    ));
    let mut captured = github("/hooks/github", SECRET, "d-1", BODY);
    assert_eq!(gateway.ring(&captured).result(), Some("accepted"));
    for (how, bytes) in respelled(&captured) {
        assert_eq!(ring(&gateway, &bytes).as_deref(), Some("duplicate"), "{how}");
    }
    // GitHub does not sign the id of a delivery, and its own redeliveries are known by nothing else: a captured body with another id is
    // another event. That is the one exception, and `rows.md` has it.
    let mut renamed = captured.clone();
    let id = |ring: &mut Ring, id: &str| {
        ring.headers.iter_mut().filter(|(name, _)| name == "X-GitHub-Delivery").for_each(|(_, value)| id.clone_into(value));
    };
    id(&mut renamed, "d-2");
    assert_eq!(gateway.ring(&renamed).result(), Some("accepted"));
    assert_eq!(gateway.ring(&renamed).result(), Some("duplicate"));
    // Without an id it is known by its body.
    captured.headers.retain(|(name, _)| name != "X-GitHub-Delivery");
    let (first, second) = (gateway.ring(&captured), gateway.ring(&captured));
    assert!(first.status == 401 || second.result() == Some("duplicate"), "{first:?}, {second:?}");

    let signed = standard_webhooks("/hooks/standard", key, "msg_1", 0, BODY);
    assert_eq!(gateway.ring(&signed).result(), Some("accepted"));
    for (how, bytes) in respelled(&signed) {
        assert_eq!(ring(&gateway, &bytes).as_deref(), Some("duplicate"), "{how}");
    }
    let respelt = |change: &dyn Fn(&str) -> String| {
        let mut again = signed.clone();
        again.headers.iter_mut().filter(|(name, _)| name == "webhook-signature").for_each(|(_, value)| *value = change(value));
        gateway.ring(&again)
    };
    let cases: [(&str, Change<'_>); 4] = [
        ("without padding", &|value| value.trim_end_matches('=').to_owned()),
        ("url-safe", &|value| value.replace('+', "-").replace('/', "_")),
        ("with padding too much", &|value| format!("{value}=")),
        ("twice", &|value| format!("{value} {value}")),
    ];
    for (how, change) in cases {
        let answer = respelt(change);
        assert_ne!(answer.result(), Some("accepted"), "{how}");
        assert!([200, 401].contains(&answer.status), "{how}: {}", answer.status);
    }
}

#[test]
fn who_proves_nothing_takes_no_id_from_who_does() {
    let gateway = started("");
    for number in 0..1000 {
        let forged = github("/hooks/github", "another", &format!("d-{number}"), format!("{number}").as_bytes());
        assert_eq!(gateway.ring(&forged).status, 401);
    }
    for number in (0..1000).step_by(100) {
        let honest = github("/hooks/github", SECRET, &format!("d-{number}"), format!("{number}").as_bytes());
        assert_eq!(gateway.ring(&honest).result(), Some("accepted"), "{number}");
        let elsewhere = github("/hooks/second", &format!("{SECRET}-2"), &format!("d-{number}"), format!("{number}").as_bytes());
        assert_eq!(gateway.ring(&elsewhere).result(), Some("accepted"), "the same at another source is another event");
    }
    // Ids that would like to be parts of a key.
    for (number, id) in ["github:d-1", "{github}d-1", "a\tb", "d-1%00", "*", &"x".repeat(8000)].into_iter().enumerate() {
        let odd = github("/hooks/github", SECRET, id, format!("odd {number}").as_bytes());
        assert_eq!(gateway.ring(&odd).result(), Some("accepted"), "{id}");
        assert_eq!(gateway.ring(&odd).result(), Some("duplicate"), "{id}");
    }
}

#[test]
fn nobody_comes_from_where_he_says() {
    let gateway = Gateway::start(&format!(
        r#"
sources:
  second: {{ provider: github, secret: "{SECRET}-2", unrouted: keep, allow_ips: 192.0.2.0/24 }}
"#
    ));
    let ring = || github("/hooks/second", &format!("{SECRET}-2"), "d-1", BODY);
    let inside = "192.0.2.7";
    let claims = [
        ("X-Forwarded-For", inside.to_owned()),
        ("X-Forwarded-For", format!("{inside}, 127.0.0.1")),
        ("Forwarded", format!("for={inside}")),
        ("X-Real-IP", inside.to_owned()),
        ("CF-Connecting-IP", inside.to_owned()),
        ("True-Client-IP", inside.to_owned()),
        ("X-Client-IP", inside.to_owned()),
        ("Via", format!("1.1 {inside}")),
    ];
    for (name, value) in claims {
        assert_eq!(gateway.ring(&ring().with(name, &value)).status, 401, "{name}: {value}");
    }
    assert_eq!(gateway.metrics().count("rejected_total", &[("source", "second"), ("reason", "ip")]), 8);
}
