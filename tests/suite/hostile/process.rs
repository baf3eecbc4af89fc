//! What a process costs, as Linux says it.

use std::fs;

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
