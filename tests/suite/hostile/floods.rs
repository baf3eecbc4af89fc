//! Floods of what nobody proved: every kind of it, with everything that a stranger chooses chosen anew each time. No row of the store, no
//! series and no table of ours may come of it. `make campaign-door` sets `FLOOD`.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use super::{
    process::{forget_peak, peak_kib, resident_kib},
    strangers::from,
    written,
};
use crate::{
    crash::setting,
    refusals::durable,
    support::{
        campaign::one_at_a_time,
        dice::Dice,
        patience::now,
        sender::{SECRET, github, stripe},
        wire::Ring,
    },
};

const FLOODERS: usize = 4;
/// What tables of addresses, paths or names could grow by unnoticed.
const GROWN_MIB_MAX: u64 = 48;
/// The largest scrape that is fine.
const SCRAPE_BYTES_MAX: usize = 1024 * 1024;

/// The `number`th request of a flood: as bytes, none of which is like another's.
fn request(number: usize, dice: &mut Dice) -> Vec<u8> {
    let word = format!("{:x}", dice.throw());
    let wrong = github("/hooks/github", &word, &word, word.as_bytes());
    let at = |path: &str| Ring { path: path.to_owned(), ..wrong.clone() };
    match number % 10 {
        0 => at(&format!("/hooks/{word}")).bytes(),
        1 => at(&format!("/{word}/../hooks/github?{word}")).bytes(),
        2 => Ring { method: word.to_uppercase(), ..wrong }.bytes(),
        3 => wrong.with(&format!("X-{word}"), &word).with("User-Agent", &word).bytes(),
        4 => String::from_utf8(wrong.bytes()).expect("text").replace("Host: localhost", &format!("Host: {word}.example")).into_bytes(),
        5 => at("/hooks/second").with("X-Forwarded-For", &word).with("Forwarded", &word).bytes(),
        6 => Ring::post("/hooks/github", vec![("X-GitHub-Delivery".to_owned(), word.clone())], word.as_bytes()).bytes(),
        7 => stripe("/hooks/stripe", &word, 0, format!("{{\"id\":\"evt_{word}\",\"type\":\"{word}\"}}").as_bytes()).bytes(),
        8 => stripe("/hooks/stripe", &word, 100_000, word.as_bytes()).bytes(),
        _ => format!("{word} {word} {word}\r\n\r\n").into_bytes(),
    }
}

/// Sends a share of the flood; the statuses it was answered with.
fn flood(door: SocketAddr, first: usize, requests: usize) -> BTreeSet<u16> {
    let mut dice = Dice::seeded(first as u64 + 1);
    let (mut statuses, mut stream) = (BTreeSet::new(), None::<TcpStream>);
    for number in (first..requests).step_by(FLOODERS) {
        let mut used = stream.take().unwrap_or_else(|| from(number, door).expect("the door listens"));
        let mut answer = [0; 2048];
        let read = used.write_all(&request(number / FLOODERS, &mut dice)).and_then(|()| used.read(&mut answer)).unwrap_or(0);
        let told = String::from_utf8_lossy(&answer[..read]).to_ascii_lowercase();
        statuses.insert(told.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0));
        if told.contains("content-length") && !told.contains("connection: close") && !told.starts_with("http/1.1 400") {
            stream = Some(used);
        }
    }
    statuses
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what a campaign is for")]
fn a_flood_of_strangers_leaves_no_trace() {
    let _turn = one_at_a_time();
    let requests = setting("FLOOD", 4000);
    let mut gateway = written("");
    gateway.boot();
    assert_eq!(gateway.ring(&github("/hooks/github", SECRET, "d-1", b"{}")).status, 200);
    assert!(gateway.terminate().success());
    let before = durable(&gateway);
    assert!(before.values().any(|rows| !rows.is_empty()), "the one good event is there");

    gateway.boot();
    let (series, door, pid) = (gateway.metrics().series(), gateway.door(), gateway.pid());
    // What is touched for the first time is there from now on.
    flood(door, 0, 400);
    let resident = resident_kib(pid);
    forget_peak(pid);
    let began = now();
    let statuses: BTreeSet<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..FLOODERS).map(|first| scope.spawn(move || flood(door, first, requests))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a flooder")).collect()
    });
    let took = began.elapsed();
    let (peak, scrape) = (peak_kib(pid), gateway.look("/metrics").expect("metrics").body.len());
    println!(
        "flood: {requests} requests in {:.1} s, answered {statuses:?}; {} series, a scrape of {scrape} bytes; resident {} MiB before, \
         {} MiB at most",
        took.as_secs_f64(),
        series.len(),
        resident / 1024,
        peak / 1024
    );
    assert_eq!(statuses, BTreeSet::from([400, 401, 404, 405]));
    assert_eq!(gateway.metrics().series(), series, "no request makes a series");
    assert!(scrape <= SCRAPE_BYTES_MAX);
    assert!(peak.saturating_sub(resident) / 1024 <= GROWN_MIB_MAX, "{} KiB more", peak - resident);
    assert_eq!(gateway.ring(&github("/hooks/github", SECRET, "d-1", b"{}")).result(), Some("duplicate"), "what was known is known");
    assert!(gateway.terminate().success());
    assert_eq!(durable(&gateway), before, "nothing durable was changed");
}
