//! Clients that take their time: each of the seven ways to hold a connection is cut, and an honest client beside them sees nothing of it.

use std::time::Duration;

use super::{
    client::{Client, ring, signed},
    setting::{IMPATIENT, PATH, SECRET, Setting, signature},
};

fn impatient() -> Setting {
    Setting::start_with(IMPATIENT, |plan, _| plan.server.limits.body_time = Duration::from_millis(300))
}

/// Sends a byte now and then until the other side has had enough.
fn trickle(client: &mut Client, bytes: impl Iterator<Item = u8>) {
    for byte in bytes {
        if client.try_send(&[byte]).is_err() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

fn endless_field() -> impl Iterator<Item = u8> {
    b"X-Slow: ".iter().copied().chain(std::iter::repeat(b'x')).take(400)
}

#[test]
fn silence_is_cut() {
    let setting = impatient();
    assert!(Client::connect(&setting).is_cut());
}

#[test]
fn a_trickled_first_head_is_cut() {
    let setting = impatient();
    let mut client = Client::connect(&setting);
    client.send(format!("POST {PATH} HTTP/1.1\r\nHost: a\r\n").as_bytes());
    trickle(&mut client, endless_field());
    assert!(client.is_cut());
}

#[test]
fn a_trickled_later_head_is_cut() {
    let setting = impatient();
    let mut client = Client::connect(&setting);
    assert_eq!(client.send(&signed(b"{}", "d-1", &[])).reply().expect("an answer").status, 200);
    client.send(format!("POST {PATH} HTTP/1.1\r\nHost: a\r\n").as_bytes());
    trickle(&mut client, endless_field());
    assert!(client.is_cut());
    assert!(setting.series("hookgate_http_errors_total{reason=\"cut\"}").is_some_and(|cut| cut >= 1.0));
}

#[test]
fn a_stalled_later_head_is_cut() {
    let setting = impatient();
    let mut client = Client::connect(&setting);
    client.send(&signed(b"{}", "d-1", &[])).reply().expect("an answer");
    client.send(format!("POST {PATH} HTTP/1.1\r\nHost: a\r\n").as_bytes());
    assert!(client.is_cut());
}

#[test]
fn a_trickled_body_is_answered_408_and_cut() {
    let setting = impatient();
    let mut client = Client::connect(&setting);
    let whole = signed(&[b'x'; 5000], "d-1", &[]);
    let (head, body) = whole.split_at(whole.len() - 5000);
    client.send(head);
    trickle(&mut client, body.iter().copied().take(400));
    // The answer may be lost when more arrives after the connection was closed.
    let status = client.reply().map(|reply| reply.status);
    assert!(matches!(status, None | Some(408)), "{status:?}");
    assert!(client.is_cut());
    assert_eq!((setting.rejected("slow_body"), setting.store.admits()), (1.0, 0));
}

#[test]
fn a_stalled_body_is_answered_408_and_cut() {
    let setting = impatient();
    let mut client = Client::connect(&setting);
    let whole = signed(b"{\"a\":1}", "d-1", &[]);
    client.send(&whole[..whole.len() - 3]);
    let reply = client.reply().expect("an answer");
    assert_eq!((reply.status, reply.header("connection")), (408, Some("close")));
    assert!(client.is_cut());
    assert_eq!((setting.rejected("slow_body"), setting.store.admits()), (1.0, 0));
    assert_eq!(setting.series("hookgate_inflight_bytes"), Some(0.0));
}

#[test]
fn a_trickled_chunked_body_is_cut_after_its_answer() {
    let setting = impatient();
    let mut client = Client::connect(&setting);
    let signature = signature(SECRET, b"");
    client.send(
        format!("POST {PATH} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX-Hub-Signature-256: {signature}\r\n\r\n").as_bytes(),
    );
    // After its 408 actix reads on in search of the last chunk; that must not keep the connection.
    trickle(&mut client, b"1\r\nx\r\n".iter().copied().cycle().take(600));
    assert!(client.is_cut());
    setting.wait("the refusal", |setting| setting.rejected("slow_body") == 1.0);
}

#[test]
fn an_idle_connection_is_closed() {
    let setting = impatient();
    let mut client = Client::connect(&setting);
    client.send(&signed(b"{}", "d-1", &[])).reply().expect("an answer");
    assert!(client.is_cut());
    setting.wait("no connection", |setting| setting.series("hookgate_connections") == Some(0.0));
}

#[test]
fn the_slow_do_not_hold_up_the_others() {
    let setting = impatient();
    let mut slow: Vec<Client> = (0..60).map(|_| Client::connect(&setting)).collect();
    for client in &mut slow {
        client.send(format!("POST {PATH} HTTP/1.1\r\n").as_bytes());
    }
    for number in 0..50 {
        assert_eq!(ring(&setting, &signed(b"{}", &format!("d-{number}"), &[])).status, 200);
    }
    assert!(slow.iter_mut().all(Client::is_cut));
}

#[test]
fn a_connection_ends_after_its_share_of_requests() {
    let setting = Setting::start();
    let mut client = Client::connect(&setting);
    for number in 1..=1000 {
        let reply = client.send(&signed(b"{}", "d-1", &[])).reply().expect("an answer");
        assert_eq!(reply.header("connection"), (number == 1000).then_some("close"), "{number}");
    }
    assert!(client.is_cut());
}
