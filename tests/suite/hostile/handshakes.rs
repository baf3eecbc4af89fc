//! Handshakes that are none: garbage, fragments, records that are too long, and very many of them. Nothing panics, and who shakes hands
//! properly is served. `make campaign-door` sets `HANDSHAKES`.

use std::io::{Read, Write};

use super::{HONEST_RATE, honest::Honest, slow::behind_tls, strangers::from};
use crate::{
    crash::setting,
    support::{
        campaign::one_at_a_time,
        dice::Dice,
        patience::{now, wait_until},
        sender::{SECRET, github},
        wire::Connection,
    },
};

/// The `number`th thing that is no handshake.
fn garbage(number: usize, dice: &mut Dice) -> Vec<u8> {
    let noise: Vec<u8> = (0..200).flat_map(|_| dice.throw().to_be_bytes()).collect();
    let record = |kind: u8, length: u16, content: &[u8]| [&[kind, 3, 1][..], &length.to_be_bytes(), content].concat();
    match number % 8 {
        0 => noise,
        1 => record(0x16, 1600, &noise),
        2 => record(0x16, 0xffff, &noise.repeat(41)),
        3 => record(0x15, 2, &[2, 40]),
        4 => record(0x17, 1600, &noise),
        5 => b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        // A hello in records of one byte each: its kind, its length, and then noise.
        6 => noise.iter().enumerate().flat_map(|(at, byte)| record(0x16, 1, &[if at == 0 { 1 } else { *byte }])).collect(),
        _ => record(0x16, 0, b"").repeat(200),
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what a campaign is for")]
fn what_is_no_handshake_harms_nobody() {
    let _turn = one_at_a_time();
    let wanted = setting("HANDSHAKES", 800);
    let (gateway, authority) = behind_tls();
    let door = gateway.door();
    let client = authority.client(&[&rustls::version::TLS13, &rustls::version::TLS12], &["http/1.1"]);
    let for_honest = client.clone();
    let honest = Honest::start(HONEST_RATE, move || Connection::tls(door, for_honest.clone()));
    let (mut dice, began) = (Dice::seeded(7), now());
    for number in 0..wanted {
        let mut stream = from(number, door).expect("the door listens");
        // The door may hang up while the rest is on its way.
        let _ = stream.write_all(&garbage(number, &mut dice));
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard);
        assert!(!heard.starts_with(b"HTTP/"), "nothing is said in the clear");
    }
    let took = began.elapsed();
    wait_until("the honest were heard", || gateway.metrics().count("requests_total", &[("result", "unrouted")]) > 200);
    let new = Connection::tls(door, client).and_then(|mut connection| connection.exchange(&github("/hooks/github", SECRET, "new", b"{}")));
    let figures = honest.stop();
    let failures = gateway.metrics().count("tls_handshake_failures_total", &[]);
    println!("handshakes: {wanted} that were none in {:.1} s, {failures} counted; {figures}", took.as_secs_f64());
    assert_eq!(new.expect("a handshake").status, 200, "a new client is let in");
    assert_eq!(figures.failed(), &[] as &[u16], "{figures}");
    assert_eq!(failures, wanted as u64);
    let log = gateway.log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(log.lines().count() < 20, "{} lines for what was counted:\n{log}", log.lines().count());
}
