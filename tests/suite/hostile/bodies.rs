//! Large bodies of strangers, all but their last byte: what they hold stays within the budget, and nothing of them is stored.
//! Few in every run of the tests; `make campaign-door` sets `BODIES` and `BODIES_IN_FLIGHT_MIB`.

use std::{collections::BTreeMap, net::TcpStream, time::Duration};

use super::{
    process::{at_once, forget_peak, peak_kib, resident_kib},
    started,
    strangers::{Seen, look, offer, restless},
};
use crate::{
    crash::setting,
    support::{
        campaign::one_at_a_time,
        patience::{now, wait_until},
        sender::{SECRET, github, stripe},
    },
};

const BODY_BYTES: usize = 1024 * 1024;
/// How much a wave sends before it is looked at again.
const PIECE_BYTES: usize = 64 * 1024;
/// How long a wave may take: a body's time, a second for its mebibyte, and as long again.
const WAVE_WITHIN: Duration = Duration::from_secs(24);
/// What each connection may cost besides, with its task, its fields and the room it reads into. That room is largest while a body grows,
/// and as many as grow at once are within the budget: strangers may be counted for little more than half of it, and must never take more
/// than the whole.
const PER_CONNECTION_KIB: u64 = 16;

/// A body on its way.
struct Large {
    stream: TcpStream,
    head: Vec<u8>,
    sent: usize,
    status: Option<u16>,
    is_over: bool,
}

impl Large {
    /// Sends a piece, and looks what has come back.
    fn go_on(&mut self, body: &[u8]) {
        if let Seen::Answer(status) = look(&mut self.stream) {
            self.status = Some(status);
        }
        let whole = self.head.len() + body.len() - 1;
        while self.status.is_none() && self.sent < whole {
            let piece = match self.sent.checked_sub(self.head.len()) {
                None => &self.head[self.sent..],
                Some(at) => &body[at..(at + PIECE_BYTES).min(body.len() - 1)],
            };
            match offer(&mut self.stream, piece) {
                Some(0) => return,
                Some(bytes) => self.sent += bytes,
                None => {
                    self.is_over = true;
                    return;
                }
            }
        }
        self.is_over |= self.status.is_some();
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what a campaign is for")]
fn large_bodies_of_strangers_stay_within_the_budget() {
    let _turn = one_at_a_time();
    let wanted = setting("BODIES", 300);
    let budget_mib = setting("BODIES_IN_FLIGHT_MIB", 64) as u64;
    let wave_of = at_once(wanted);
    let gateway = started(&format!("  limits: {{ in_flight: {budget_mib}MiB }}"));
    let (door, pid) = (gateway.door(), gateway.pid());
    assert_eq!(gateway.ring(&github("/hooks/github", SECRET, "d-1", b"{}")).status, 200);
    let resident = resident_kib(pid);
    forget_peak(pid);
    let body = vec![b'x'; BODY_BYTES];
    // Shaped like the real thing, so that only the last byte of the body could show that it is not.
    let heads = [
        github("/hooks/github", "x", "large", b"").head(BODY_BYTES),
        github("/hooks/second", "x", "large", b"").head(BODY_BYTES),
        github("/hooks/third", "x", "large", b"").head(BODY_BYTES),
        stripe("/hooks/stripe", "x", 0, b"").head(BODY_BYTES),
    ];
    let (mut statuses, mut begun, mut most_in_flight) = (BTreeMap::<Option<u16>, usize>::new(), 0, 0);
    while begun < wanted {
        let last = wanted.min(begun + wave_of);
        let mut wave: Vec<Large> = (begun..last)
            .map(|number| {
                let stream = restless(number, door).expect("the door listens");
                Large { stream, head: heads[number % heads.len()].clone(), sent: 0, status: None, is_over: false }
            })
            .collect();
        let began = now();
        while began.elapsed() < WAVE_WITHIN && wave.iter().any(|one| !one.is_over) {
            wave.iter_mut().filter(|one| !one.is_over).for_each(|one| one.go_on(&body));
            most_in_flight = most_in_flight.max(gateway.metrics().count("inflight_bytes", &[]));
            std::thread::park_timeout(Duration::from_millis(20));
        }
        assert!(
            wave.iter().all(|one| one.is_over),
            "some were neither answered nor cut: {}",
            wave.iter().filter(|one| !one.is_over).count()
        );
        wave.iter().for_each(|one| *statuses.entry(one.status).or_default() += 1);
        begun = last;
    }
    let peak = peak_kib(pid);
    println!(
        "bodies: {wanted} of 1 MiB, at most {wave_of} at once, budget {budget_mib} MiB: answered {statuses:?}, at most {} MiB in flight; \
         resident {} MiB before, {} MiB at most",
        most_in_flight >> 20,
        resident / 1024,
        peak / 1024
    );
    assert!(statuses.keys().all(|status| matches!(status, None | Some(408 | 503))), "{statuses:?}");
    assert!(statuses.contains_key(&Some(503)), "there were more than the budget holds: {statuses:?}");
    // Half of the budget, and the hundredth part that each source has for itself.
    let counted_max = (budget_mib << 20) / 100 * (50 + heads.len() as u64);
    assert!(most_in_flight > 0 && most_in_flight <= counted_max, "{most_in_flight} bytes, of which strangers may hold {counted_max}");
    let allowed = budget_mib * 1024 + PER_CONNECTION_KIB * wave_of as u64;
    assert!(peak - resident <= allowed, "{} KiB more, of {allowed}", peak - resident);
    wait_until("everything was given back", || gateway.metrics().count("inflight_bytes", &[]) == 0);
    assert_eq!(gateway.ring(&github("/hooks/github", SECRET, "d-2", &body[..100_000])).status, 200);
    assert_eq!(gateway.metrics().count("requests_total", &[("result", "unrouted")]), 2, "nothing but the good ones was stored");
}
