//! The ways to hold a connection without asking for anything: each is cut within the time that is promised, and honest senders see
//! nothing of it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use super::{CUT_WITHIN, HONEST_RATE, honest::Honest, started, written};
use crate::support::{
    certificate::Authority,
    gateway::Gateway,
    patience::{now, wait_until},
    sender::{SECRET, github},
    wire::Connection,
};

/// Between two bytes of a trickle.
const TRICKLE: Duration = Duration::from_millis(200);
/// When a probe gives up and says so.
const GIVEN_UP: Duration = Duration::from_secs(30);

/// How a client is slow: what it sends at once, and what it sends byte by byte for ever after.
struct Slow {
    name: &'static str,
    /// Requests that are sent and answered first.
    before: usize,
    at_once: Vec<u8>,
    then: &'static [u8],
    /// Whether it reads what it is answered.
    reads: bool,
}

fn probes() -> Vec<Slow> {
    let head = || b"POST /hooks/github HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".to_vec();
    let body = |bytes: usize| {
        let ring = github("/hooks/github", SECRET, "slow", &vec![b'x'; bytes]);
        [ring.head(bytes), b"x".to_vec()].concat()
    };
    let coded = || String::from_utf8(body(0)).expect("text").replace("Content-Length: 0\r\n\r\nx", "Transfer-Encoding: chunked\r\n\r\n");
    let unread = || b"GET /nobody HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec();
    let slow = |name, before, at_once, then| Slow { name, before, at_once, then, reads: true };
    vec![
        slow("silence", 0, Vec::new(), b""),
        slow("a trickled first head", 0, head(), b"x"),
        slow("a first head of empty lines", 0, Vec::new(), b"\r\n"),
        slow("a stalled first head", 0, head(), b""),
        slow("a kept connection", 1, Vec::new(), b""),
        slow("a trickled later head", 1, head(), b"x"),
        slow("a stalled later head", 1, head(), b""),
        slow("a later head of empty lines", 1, Vec::new(), b"\r\n"),
        slow("a trickled body", 0, body(5000), b"x"),
        slow("a stalled body", 0, body(5000), b""),
        slow("a trickled body of a later request", 1, body(5000), b"x"),
        slow("chunks without an end", 0, coded().into_bytes(), b"1\r\nx\r\n"),
        slow("trailers without an end", 0, format!("{}0\r\nX: ", coded()).into_bytes(), b"x"),
        slow("an extension without an end", 0, format!("{}5;", coded()).into_bytes(), b"x"),
        slow("a refused body that goes on", 0, b"POST /nobody HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n".to_vec(), b"x"),
        Slow { reads: false, ..slow("an answer that is never read", 0, unread(), b"") },
        Slow { reads: false, ..slow("a hundred answers that are never read", 0, ping().repeat(100), b"G") },
    ]
}

/// A request that is refused with its body read, so that its connection is kept.
fn ping() -> Vec<u8> {
    github("/hooks/github", "another secret than the one we know", "ping", b"{}").bytes()
}

impl Slow {
    /// How long it held its connection, from when it became slow; `None` when it gave up.
    fn hold(&self, door: SocketAddr) -> Option<Duration> {
        let mut stream = TcpStream::connect(door).expect("the door listens");
        stream.set_nodelay(true).expect("no delay");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        for number in 0..self.before {
            let ring = github("/hooks/github", SECRET, &format!("{} {number}", self.name), self.name.as_bytes());
            stream.write_all(&ring.bytes()).expect("sent");
            let mut answer = [0; 4096];
            let read = stream.read(&mut answer).expect("an answer");
            assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "{}: {}", self.name, String::from_utf8_lossy(&answer[..read]));
        }
        let began = now();
        stream.write_all(&self.at_once).expect("sent");
        stream.set_read_timeout(Some(TRICKLE)).expect("a timeout");
        let mut bytes = [0; 4096];
        let mut trickle = self.then.iter().cycle();
        while began.elapsed() < GIVEN_UP {
            if self.reads {
                match stream.read(&mut bytes) {
                    Ok(0) => return Some(began.elapsed()),
                    Err(error) if !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                        return Some(began.elapsed());
                    }
                    Ok(_) | Err(_) => {}
                }
            } else {
                std::thread::park_timeout(TRICKLE);
            }
            // One that reads nothing hears of its end when it writes: a byte that would begin the next head.
            let next = trickle.next().copied().or((!self.reads).then_some(b'G'));
            if next.is_some_and(|byte| stream.write_all(&[byte]).is_err()) {
                return Some(began.elapsed());
            }
        }
        None
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are wanted, not only the verdict")]
fn the_slow_are_cut_and_the_honest_see_nothing_of_it() {
    let gateway = started("");
    let door = gateway.door();
    let honest = Honest::start(HONEST_RATE, move || Connection::plain(door));
    let probes = probes();
    let held: Vec<(&str, Option<Duration>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = probes.iter().map(|slow| (slow.name, scope.spawn(move || slow.hold(door)))).collect();
        threads.into_iter().map(|(name, thread)| (name, thread.join().expect("a probe"))).collect()
    });
    let figures = honest.stop();
    for (name, held) in &held {
        println!("slow: {name}: cut after {:.1} s", held.unwrap_or(GIVEN_UP).as_secs_f64());
    }
    println!("slow: {figures}");
    for (name, held) in held {
        assert!(held.is_some_and(|held| held < CUT_WITHIN), "{name}: held for {held:?}");
    }
    assert_eq!(figures.failed(), &[] as &[u16], "{figures}");
    assert!(figures.taken() > HONEST_RATE, "they rang: {figures}");
    wait_until("nothing was left open", || gateway.metrics().count("connections", &[]) == 0);
    assert_eq!(gateway.metrics().count("inflight_bytes", &[]), 0);
}

/// A gateway behind TLS, and the authority that signed for it.
pub(super) fn behind_tls() -> (Gateway, Authority) {
    let authority = Authority::new();
    let mut gateway = written("  tls: { cert: \"@DIR@/door.pem\", key: \"@DIR@/door.key\" }");
    authority.issue("localhost", gateway.folder(), "door");
    gateway.boot();
    (gateway, authority)
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are wanted, not only the verdict")]
fn the_slow_are_cut_behind_tls_too() {
    let (gateway, authority) = behind_tls();
    let door = gateway.door();
    let client = authority.client(&[&rustls::version::TLS13, &rustls::version::TLS12], &["http/1.1"]);
    let (for_honest, for_stalled) = (client.clone(), client);
    let honest = Honest::start(HONEST_RATE, move || Connection::tls(door, for_honest.clone()));
    // The beginning of a hello that says it is 512 bytes long.
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let slow = |name, at_once: &[u8], then| Slow { name, before: 0, at_once: at_once.to_vec(), then, reads: true };
    let probes = [
        slow("no handshake", b"", b""),
        slow("half a hello", hello, b""),
        slow("a trickled hello", hello, b"\0"),
        slow("records of one byte", b"", b"\x16\x03\x01\x00\x01\x01"),
    ];
    let stalled = |first: &'static str, then: &'static [u8]| {
        let client = for_stalled.clone();
        move || {
            let mut connection = Connection::tls(door, client).expect("a handshake");
            if !first.is_empty() {
                connection.exchange(&github("/hooks/github", SECRET, first, b"{}")).expect("an answer");
            }
            let began = now();
            connection.send(then).expect("sent");
            // A look ends with the first byte of an answer, or after ten seconds.
            while began.elapsed() < GIVEN_UP {
                if connection.is_closed() {
                    return Some(began.elapsed());
                }
            }
            None
        }
    };
    let held: Vec<(&str, Option<Duration>)> = std::thread::scope(|scope| {
        let mut threads: Vec<_> = probes.iter().map(|slow| (slow.name, scope.spawn(move || slow.hold(door)))).collect();
        threads.push(("silence behind a handshake", scope.spawn(stalled("", b""))));
        threads.push(("half a head behind a handshake", scope.spawn(stalled("", b"POST /hooks"))));
        threads.push(("half a later head behind a handshake", scope.spawn(stalled("d-1", b"POST /hooks"))));
        threads.into_iter().map(|(name, thread)| (name, thread.join().expect("a probe"))).collect()
    });
    let figures = honest.stop();
    for (name, held) in &held {
        println!("slow, TLS: {name}: cut after {:.1} s", held.unwrap_or(GIVEN_UP).as_secs_f64());
    }
    println!("slow, TLS: {figures}");
    for (name, held) in held {
        assert!(held.is_some_and(|held| held < CUT_WITHIN), "{name}: held for {held:?}");
    }
    assert_eq!(figures.failed(), &[] as &[u16], "{figures}");
    assert!(figures.taken() > HONEST_RATE, "they rang: {figures}");
    wait_until("nothing was left open", || gateway.metrics().count("connections", &[]) == 0);
    assert!(gateway.metrics().count("tls_handshake_failures_total", &[]) >= 4);
}
