//! Bodies that are more than they seem: packed ones, endless ones, ones in a million pieces. Each is refused for what it says it is, or
//! taken as the bytes it is, and costs little either way.

use std::io::{Read, Write};

use super::{
    process::{computed_ms, forget_peak, peak_kib, resident_kib},
    started,
    strangers::from,
};
use crate::support::{
    campaign::one_at_a_time,
    sender::{SECRET, github},
    wire::Ring,
};

/// What one such request may cost.
const GROWN_MIB_MAX: u64 = 10;
/// Zeros, packed a thousand times smaller: 1 MiB in gzip (RFC 1952), as far as its header and the first block go.
const PACKED: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xed\xc1\x01\x0d\x00\x00\x00\xc2\xa0\xf7Om\x0e7\xa0\x00\x00\x00";

/// What is sent, how often its second part, and the status it is answered with.
type Bomb = (&'static str, Vec<u8>, Vec<u8>, usize, u16);

fn bombs() -> Vec<Bomb> {
    let packed = |coding: &str| github("/hooks/github", SECRET, coding, PACKED).with("Content-Encoding", coding).bytes();
    let coded = |id: &str| {
        let head = github("/hooks/github", "x", id, b"").head(0);
        String::from_utf8(head).expect("text").replace("Content-Length: 0", "Transfer-Encoding: chunked").into_bytes()
    };
    let plain = |ring: Ring| (ring.bytes(), Vec::new(), 0);
    let mebi = [b"100000\r\n".to_vec(), vec![b'0'; 1 << 20], b"\r\n".to_vec()].concat();
    let whole = |name, bytes: Vec<u8>, status| (name, bytes, Vec::new(), 0, status);
    let (unchanged, none, never) = plain(github("/hooks/github", SECRET, "as it is", PACKED));
    vec![
        whole("gzip", packed("gzip"), 415),
        whole("br", packed("br"), 415),
        whole("zstd", packed("zstd"), 415),
        whole("gzip in gzip", packed("gzip, gzip"), 415),
        ("packed and not said to be", unchanged, none, never, 200),
        whole("ten gigabytes announced", github("/hooks/github", "x", "ten", b"").head(10 << 30), 413),
        ("ten gigabytes in chunks", coded("chunks"), mebi, 10 << 10, 413),
        ("a million chunks of one byte", coded("million"), b"1\r\n0\r\n".repeat(1000), 1000, 401),
    ]
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are wanted, not only the verdict")]
fn a_bomb_is_no_more_than_its_bytes() {
    let _turn = one_at_a_time();
    let gateway = started("");
    let pid = gateway.pid();
    assert_eq!(gateway.ring(&github("/hooks/github", SECRET, "d-1", &[b'x'; 1_000_000])).status, 200);
    for (number, (name, first, again, times, status)) in bombs().into_iter().enumerate() {
        let (resident, computed) = (resident_kib(pid), computed_ms(pid));
        forget_peak(pid);
        let mut stream = from(number, gateway.door()).expect("the door listens");
        stream.write_all(&first).expect("sent");
        let sent = (0..times).take_while(|_| stream.write_all(&again).is_ok()).count();
        if times > 0 && sent == times {
            stream.write_all(b"0\r\n\r\n").expect("sent");
        }
        let mut answer = [0; 2048];
        // An answer may be lost when more arrives after the connection was closed.
        let read = stream.read(&mut answer).unwrap_or(0);
        let told = String::from_utf8_lossy(&answer[..read]).into_owned();
        let (grown, computed) = (peak_kib(pid).saturating_sub(resident), computed_ms(pid) - computed);
        println!("bomb: {name}: {} after {sent} times more; {grown} KiB, {computed} ms", told.get(9..12).unwrap_or("cut"));
        assert!(told.is_empty() && sent < times || told.starts_with(&format!("HTTP/1.1 {status}")), "{name}: {told:?}");
        assert!(sent < times || times == 0 || status == 401, "{name}: all of it was read");
        assert!(grown / 1024 <= GROWN_MIB_MAX, "{name}: {grown} KiB");
    }
    let metrics = gateway.metrics();
    assert_eq!(metrics.count("requests_total", &[("result", "unrouted")]), 2);
    assert_eq!(metrics.count("rejected_total", &[("reason", "encoding")]), 4);
    assert_eq!(metrics.count("rejected_total", &[("reason", "too_large")]), 2);
    assert_eq!(metrics.count("rejected_total", &[("reason", "bad_signature")]), 1);
}
