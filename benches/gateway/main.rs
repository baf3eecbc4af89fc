//! What a webhook costs: the gateway beside a bare actix-web + rustls handler that only checks the HMAC, in one run on the same cores.
//!
//! Everything that is measured runs in a process of its own (the gateway, the bare handler, the load, the targets), so that CPU time can be
//! told apart. Figures are printed as ratios against the bare handler of the same run; absolute ones depend on the machine. Run it with
//! `make bench`; `-- --keys 10000000` preloads that many dedup keys besides, by hand.

mod bare;
mod disk;
mod gateway;
mod load;
mod process;
#[path = "../../tests/suite/support/proof.rs"]
mod proof;
mod report;
mod sink;

use std::{net::SocketAddr, path::Path, time::Duration};

use gateway::Running;
use load::{Load, Measured, Pace};
use report::Report;

/// The secret everything is signed with.
pub(crate) const SECRET: &str = "bench-secret-0123456789abcdef0123456789";
/// Bytes of a body.
pub(crate) const BODY_BYTES: usize = 2048;
/// Connections of the closed loop.
const CONNECTIONS: usize = 32;
/// How long each closed loop runs.
const RUN: Duration = Duration::from_secs(8);
/// How long the loop behind many dedup keys runs: a few times as long as it takes to fill a generation of keys, so that its merges are in
/// the figure in their true share.
const KEYS_RUN: Duration = Duration::from_secs(30);
/// How long a backlog may take to drain.
const DRAIN: Duration = Duration::from_secs(60);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve-bare", listen, tls] => bare::serve(address(listen), Path::new(tls)),
        ["serve-sink", listen] => sink::serve(address(listen)),
        ["load", spec] => load::run(spec),
        [] => bench(&[1_000, 1_000_000]),
        ["--keys", more] => bench(&[1_000, 1_000_000, more.parse().unwrap_or(10_000_000)]),
        other => refuse(other),
    }
}

#[expect(clippy::print_stderr, reason = "how the bench is called")]
fn refuse(words: &[&str]) {
    eprintln!("unknown: {words:?}; nothing or `--keys N` runs the bench");
    std::process::exit(2);
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("the bench passes addresses to itself")
}

fn bench(key_counts: &[u64]) {
    let room = tempfile::tempdir().expect("a directory");
    let tls = gateway::write_certificate(room.path());
    let mut report = Report::new();
    report.fdatasync(&disk::fdatasync_latencies(room.path()));
    accept(&mut report, room.path(), &tls);
    end_to_end(&mut report, room.path(), &tls);
    for keys in key_counts {
        let dir = room.path().join(format!("keys-{keys}"));
        gateway::preload(&dir, *keys);
        let gateway = Running::gateway(&dir, &tls, None);
        report.keys(*keys, &measure(&gateway, Pace::Closed { connections: CONNECTIONS, requests_per_connection: 0 }, &tls, KEYS_RUN));
    }
    report.print();
}

/// Accepting alone: verified, de-duplicated, durable, answered; routed to nobody.
fn accept(report: &mut Report, room: &Path, tls: &Path) {
    let shapes = [("32 keep-alive connections", 0), ("10 requests a TLS connection", 10)];
    let mut gateway_rate = 0.0;
    for (name, requests_per_connection) in shapes {
        let pace = Pace::Closed { connections: CONNECTIONS, requests_per_connection };
        let bare = Running::bare(tls);
        let beside = measure(&bare, pace, tls, RUN);
        drop(bare);
        let gateway = Running::gateway(&room.join(format!("accept-{requests_per_connection}")), tls, None);
        if requests_per_connection == 0 {
            report.idle(gateway.rss_bytes());
        }
        let ours = measure(&gateway, pace, tls, RUN);
        report.accept(name, &ours, &beside);
        if requests_per_connection == 0 {
            drop(gateway);
            gateway_rate = ours.rate();
            let same = Pace::Open { connections: CONNECTIONS, per_second: gateway_rate };
            report.same_rate(&ours, &measure(&Running::bare(tls), same, tls, RUN));
        }
    }
    let half = Pace::Open { connections: CONNECTIONS, per_second: gateway_rate / 2.0 };
    let bare = Running::bare(tls);
    let beside = measure(&bare, half, tls, RUN);
    drop(bare);
    let gateway = Running::gateway(&room.join("half"), tls, None);
    let syncing = disk::Probe::start(room);
    let ours = measure(&gateway, half, tls, RUN * 2);
    report.half_load(&ours, &beside, &syncing.stop());
}

/// The whole way: accepted, delivered, settled; what the warm-up owed has arrived before the counting begins.
fn end_to_end(report: &mut Report, room: &Path, tls: &Path) {
    let sink = Running::sink();
    let gateway = Running::gateway(&room.join("end-to-end"), tls, Some(sink.address()));
    let pace = Pace::Closed { connections: CONNECTIONS, requests_per_connection: 0 };
    let warm = Load { address: gateway.address(), tls: tls.to_path_buf(), pace, seconds: 1.0 };
    let warmed = warm.run_in_child().requests;
    gateway.wait_drained(warmed, DRAIN);
    let cpu_before = gateway.cpu();
    let started = process::now();
    let mut measured = Load { seconds: RUN.as_secs_f64(), ..warm }.run_in_child();
    let drained = gateway.wait_drained(warmed + measured.requests, DRAIN);
    let cpu = gateway.cpu() - cpu_before;
    measured.server_cpu_s = cpu.as_secs_f64();
    measured.server_rss_bytes = gateway.rss_bytes();
    report.end_to_end(&measured, cpu, process::now() - started, drained);
}

fn measure(server: &Running, pace: Pace, tls: &Path, time: Duration) -> Measured {
    // A short run first: connections, caches, the allocator.
    let warm = Load { address: server.address(), tls: tls.to_path_buf(), pace, seconds: 1.0 };
    warm.run_in_child();
    let cpu_before = server.cpu();
    let mut measured = Load { seconds: time.as_secs_f64(), ..warm }.run_in_child();
    measured.server_cpu_s = (server.cpu() - cpu_before).as_secs_f64();
    measured.server_rss_bytes = server.rss_bytes();
    measured
}
