//! What a process costs, and how much it may, as Linux says it.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors of a gateway for each connection, and for everything else.
const PER_CONNECTION: usize = 2;
const OTHERS: usize = 1024;
/// Connections of `server.limits.connections` when nothing is said of it, and those of them that are left to the honest.
const CONNECTIONS: usize = 10_000;
const FOR_THE_HONEST: usize = 100;

/// How many of `wanted` strangers can be there at once. Each takes two descriptors of the gateway, which may open as many as we, and one of
/// ours: our limit is raised as far as it may be. When that, or the gateway's own bound, is less than was asked for, it is said and has to
/// do.
#[expect(clippy::print_stdout, reason = "who asked for more should know what was tried")]
pub(super) fn at_once(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.and_then(|hard| usize::try_from(hard).ok()).unwrap_or(usize::MAX);
    let raised = (wanted * PER_CONNECTION + OTHERS).min(hard);
    let soft = limit.current.and_then(|soft| usize::try_from(soft).ok()).unwrap_or(usize::MAX);
    if soft < raised {
        setrlimit(Resource::Nofile, Rlimit { current: Some(raised as u64), maximum: limit.maximum }).expect("up to the hard limit");
    }
    let fit = raised.max(soft.min(hard)).saturating_sub(OTHERS) / PER_CONNECTION;
    let fit = fit.min(CONNECTIONS - FOR_THE_HONEST);
    assert!(fit > 0, "a process may open {hard} files here (ulimit -Hn), and this takes more than {OTHERS}: raise the limit");
    if fit < wanted {
        println!(
            "{wanted} strangers at once were asked for, and {fit} are tried: a process may open {hard} files here (ulimit -Hn), of which a \
             gateway takes {PER_CONNECTION} for each, and it lets in {CONNECTIONS}"
        );
    }
    wanted.min(fit)
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
