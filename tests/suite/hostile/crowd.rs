//! Very many slow clients at once, each replaced as it is cut: what the honest among them wait, and what it costs in memory.
//! A thousand in every run of the tests; `make campaign-door` sets `SLOW_CONNECTIONS` and `SLOW_SECONDS`.

use std::{
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::{
    CUT_WITHIN, HONEST_RATE,
    honest::Honest,
    process::{at_once, descriptors, forget_peak, peak_kib, resident_kib},
    started,
    strangers::{Seen, look, offer, restless},
};
use crate::{
    crash::setting,
    support::{
        campaign::one_at_a_time,
        patience::{now, wait_until},
        sender::{SECRET, github},
        wire::Connection,
    },
};

/// Between two bytes of each of them.
const TICK: Duration = Duration::from_millis(500);
/// What so many may cost at most.
const GROWN_MIB_MAX: u64 = 150;

/// A slow client.
struct Slow {
    stream: TcpStream,
    since: Instant,
    /// What it still has to say, byte by byte.
    rest: Vec<u8>,
}

/// The ways to be slow, in turn: idle, a head, a head behind one that was answered, a body.
fn slow(number: usize, door: SocketAddr) -> Option<Slow> {
    let mut stream = restless(number, door).ok()?;
    let head = b"POST /hooks/github HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".to_vec();
    let ping = github("/hooks/github", "another secret than the one we know", "ping", b"{}").bytes();
    let body = github("/hooks/github", SECRET, "slow", b"").head(5000);
    let (at_once, rest) = match number % 4 {
        0 => (Vec::new(), Vec::new()),
        1 => (head, vec![b'x'; 100]),
        2 => ([ping, head].concat(), vec![b'x'; 100]),
        _ => (body, vec![b'x'; 100]),
    };
    offer(&mut stream, &at_once)?;
    Some(Slow { stream, since: now(), rest })
}

impl Slow {
    /// Whether it is still there, after one more byte.
    fn goes_on(&mut self) -> bool {
        look(&mut self.stream) != Seen::Closed && self.rest.pop().is_none_or(|byte| offer(&mut self.stream, &[byte]).is_some())
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what a campaign is for")]
fn a_crowd_of_slow_clients_is_borne() {
    let _turn = one_at_a_time();
    let wanted = at_once(setting("SLOW_CONNECTIONS", 1000));
    let lasts = Duration::from_secs(setting("SLOW_SECONDS", 18) as u64);
    let gateway = started("");
    let (door, pid) = (gateway.door(), gateway.pid());
    let honest = Honest::start(HONEST_RATE, move || Connection::plain(door));
    wait_until("the honest are heard", || gateway.metrics().count("requests_total", &[("result", "unrouted")]) > 100);
    let resident = resident_kib(pid);
    forget_peak(pid);
    let (began, mut opened, mut refused, mut ages, mut crowd) = (now(), 0, 0, Vec::new(), Vec::new());
    let (mut most_open, mut most_descriptors) = (0, 0);
    while began.elapsed() < lasts {
        let tick = now();
        while crowd.len() < wanted && tick.elapsed() < TICK {
            match slow(opened, door) {
                Some(one) => crowd.push(one),
                None => refused += 1,
            }
            opened += 1;
        }
        crowd.retain_mut(|one: &mut Slow| {
            let goes_on = one.goes_on();
            if !goes_on {
                ages.push(one.since.elapsed());
            }
            goes_on
        });
        most_open = most_open.max(crowd.len());
        most_descriptors = most_descriptors.max(descriptors(pid));
        std::thread::park_timeout(TICK.saturating_sub(tick.elapsed()));
    }
    let oldest = crowd.iter().map(|one| one.since.elapsed()).max().unwrap_or_default();
    let figures = honest.stop();
    let (peak, longest) = (peak_kib(pid), ages.iter().max().copied().unwrap_or_default());
    drop(crowd);
    println!(
        "crowd: {opened} slow clients, {most_open} at once, {} cut, the longest after {:.1} s, the oldest {:.1} s, {refused} not let in; \
         {figures}; resident {} MiB before, {} MiB at most; {most_descriptors} descriptors at most",
        ages.len(),
        longest.as_secs_f64(),
        oldest.as_secs_f64(),
        resident / 1024,
        peak / 1024
    );
    assert_eq!(figures.failed(), &[] as &[u16], "{figures}");
    assert!(most_open >= wanted * 9 / 10 && ages.len() >= wanted / 2, "there was a crowd, and it was cut");
    // The crowd is looked at once a tick.
    assert!(longest.max(oldest) < CUT_WITHIN + TICK, "held for {longest:?}, and {oldest:?} without an end");
    assert!(peak.saturating_sub(resident) / 1024 <= GROWN_MIB_MAX, "{} KiB", peak - resident);
    wait_until("nothing was left open", || gateway.metrics().count("connections", &[]) == 0);
    wait_until("the descriptors were given back", || descriptors(pid) < 200);
}
