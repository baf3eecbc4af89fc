//! Framing: what two readers of the same bytes might understand differently is refused, and nothing after it is read.

use super::{
    client::{Client, signed},
    setting::{PATH, Setting},
};

fn ends_in_400(setting: &Setting, what: &str, bytes: &[u8]) {
    let mut client = Client::connect(setting);
    // A well-formed request behind it must never be answered.
    let smuggled = [bytes, &signed(b"{}", "smuggled", &[])].concat();
    client.send(&smuggled);
    let reply = client.reply().unwrap_or_else(|| panic!("{what}: no answer"));
    assert_eq!(reply.status, 400, "{what}");
    while let Some(further) = client.reply() {
        assert_eq!(further.status, 400, "{what}");
    }
}

#[test]
fn ambiguous_framing_is_refused_and_the_connection_closed() {
    let setting = Setting::start();
    let head = format!("POST {PATH} HTTP/1.1\r\nHost: a\r\nX-Hub-Signature-256: sha256={}\r\n", "0".repeat(64));
    let cases = [
        ("length and chunks", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("chunks and length", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
        ("two lengths", "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
        ("two equal lengths", "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"),
        ("a list of lengths", "Content-Length: 2, 2\r\n\r\n{}"),
        ("a signed length", "Content-Length: +2\r\n\r\n{}"),
        ("a length in hex", "Content-Length: 0x2\r\n\r\n{}"),
        ("two encodings", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("an unknown encoding", "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ("gzip and chunks", "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        ("a space before the colon", "Content-Length : 2\r\n\r\n{}"),
        ("a folded line", "X-A: b\r\n Content-Length: 2\r\n\r\n"),
        ("a NUL in a value", "X-A: b\0c\r\n\r\n"),
        ("two hosts", "Host: b\r\n\r\n"),
        ("a chunk size that is none", "Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n"),
        ("a negative chunk", "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n"),
        ("an endless chunk size", "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n"),
        ("a chunk without its end", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}0\r\n\r\n"),
    ];
    for (what, rest) in cases {
        ends_in_400(&setting, what, format!("{head}{rest}").as_bytes());
    }
    ends_in_400(&setting, "no host", format!("POST {PATH} HTTP/1.1\r\n\r\n").as_bytes());
    ends_in_400(&setting, "no version", format!("POST {PATH}\r\n\r\n").as_bytes());
    ends_in_400(&setting, "another protocol", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n");
    assert_eq!(setting.store.admits(), 0);
    setting.wait("the count", |setting| setting.series("hookgate_http_errors_total{reason=\"parse\"}").is_some_and(|count| count >= 17.0));
}

#[test]
fn the_preface_of_http_2_is_no_request() {
    let setting = Setting::start();
    let mut client = Client::connect(&setting);
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!(client.reply().is_none_or(|reply| reply.status == 400));
    assert!(client.is_cut());
}

#[test]
fn an_upgrade_is_not_taken_up() {
    let setting = Setting::start();
    let upgrade = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"];
    assert_eq!(Client::connect(&setting).send(&signed(b"{}", "d-1", &upgrade)).reply().expect("an answer").status, 200);
}

#[test]
fn an_endless_head_is_refused() {
    let setting = Setting::start();
    let mut client = Client::connect(&setting);
    client.send(format!("POST {PATH} HTTP/1.1\r\nHost: a\r\n").as_bytes());
    let field = format!("X-A: {}\r\n", "x".repeat(1000));
    let _ = (0..300).take_while(|_| client.try_send(field.as_bytes()).is_ok()).count();
    assert!(client.reply().is_none_or(|reply| matches!(reply.status, 400 | 431)));
    assert!(client.is_cut());
    assert_eq!(setting.store.admits(), 0);
}

#[test]
fn a_body_that_ends_early_is_no_request() {
    let setting = Setting::start();
    let whole = signed(b"a whole body", "d-1", &[]);
    let mut client = Client::connect(&setting);
    client.send(&whole[..whole.len() - 4]);
    client.say_no_more();
    assert!(client.reply().is_none_or(|reply| reply.status == 400));
    setting.wait("the refusal", |setting| setting.rejected("malformed") == 1.0);
    assert_eq!(setting.store.admits(), 0);
}
