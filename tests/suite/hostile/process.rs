//! What a process costs, and how much it may, as Linux says it.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors of a gateway for each connection, and for everything else.
const PER_CONNECTION: usize = 2;
const OTHERS: usize = 1024;
/// Connections of `server.limits.connections` when nothing is said of it, and those of them that are left to the honest.
const CONNECTIONS: usize = 10_000;
const FOR_THE_HONEST: usize = 100;

/// How many of `wanted` strangers can be there at once, beside the honest. The gateway may open as many files as we and raises its limit
/// itself; ours is raised here. When a hard limit or the gateway's own bound holds fewer than were asked for, that is said, and has to do.
#[expect(clippy::print_stdout, reason = "who asked for more should know what was tried")]
pub(super) fn at_once(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let files = |limit: Option<u64>| limit.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
    let (soft, hard) = (files(limit.current), files(limit.maximum));
    let held = CONNECTIONS.min(hard.saturating_sub(OTHERS) / PER_CONNECTION);
    let fit = wanted.min(held.saturating_sub(FOR_THE_HONEST));
    let why = format!(
        "a process may open {hard} files here (ulimit -Hn), of which a gateway takes {PER_CONNECTION} for each and {OTHERS} besides; it \
         lets in {CONNECTIONS} at most, of which {FOR_THE_HONEST} are for the honest"
    );
    assert!(fit > 0, "there is no room for strangers: {why}");
    if fit < wanted {
        println!("{wanted} strangers at once were asked for, and {fit} are tried: {why}");
    }
    if soft < fit + OTHERS {
        let raised = Rlimit { current: Some((fit + OTHERS) as u64), maximum: limit.maximum };
        setrlimit(Resource::Nofile, raised).expect("up to the hard limit");
    }
    fit
}

/// Resident memory now, in KiB.
pub(super) fn resident_kib(pid: u32) -> u64 {
    status(pid, "VmRSS:")
}

/// The most it has been since [`forget_peak`], in KiB.
pub(super) fn peak_kib(pid: u32) -> u64 {
    status(pid, "VmHWM:")
}

/// Begins a new peak.
pub(super) fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("a process of ours");
}

/// Time spent computing, in milliseconds, to the tick of 10.
pub(super) fn computed_ms(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process of ours");
    // Behind the name, which may hold anything; user and system time are the 14th and 15th field.
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let ticks = |number: usize| fields[number].parse::<u64>().expect("ticks");
    (ticks(11) + ticks(12)) * 10
}

/// Open file descriptors.
pub(super) fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("a process of ours").count()
}

fn status(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process of ours");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux says it");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
