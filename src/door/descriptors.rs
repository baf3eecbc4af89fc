//! File descriptors: each connection takes two (the watchdog holds a second one to cut it by), and running out of them looks like anything
//! but.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors left for the store, the lanes, the logs and the other listeners.
const OTHERS: u64 = 1024;
const PER_CONNECTION: u64 = 2;

/// Raises the process's soft limit as far as needed and allowed, and says how many of the `wanted` connections it then holds.
pub(super) fn connections_that_fit(wanted: usize) -> usize {
    let needed = u64::try_from(wanted).unwrap_or(u64::MAX).saturating_mul(PER_CONNECTION).saturating_add(OTHERS);
    let limit = getrlimit(Resource::Nofile);
    let has = |soft: Option<u64>| soft.unwrap_or(u64::MAX);
    let mut soft = has(limit.current);
    if soft < needed {
        let raised = needed.min(has(limit.maximum));
        // Refused only by a hard limit that fell meanwhile; what there is then has to do.
        if setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum }).is_ok() {
            soft = raised;
        }
    }
    let fit = usize::try_from(fitting(soft)).unwrap_or(usize::MAX).min(wanted);
    if fit < wanted {
        tracing::warn!(
            event = "start",
            "server.limits.connections: {wanted} connections need {needed} file descriptors, this process may open {soft}: taking {fit} \
             at most; raise the limit (ulimit -n, LimitNOFILE=)"
        );
    }
    fit
}

/// A small limit is shared half and half, so that something is left for both.
fn fitting(soft: u64) -> u64 {
    (soft.saturating_sub(OTHERS).max(soft / 2) / PER_CONNECTION).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_the_process_keeps_its_share() {
        assert_eq!(fitting(1024), 256);
        assert_eq!(fitting(21_024), 10_000);
        assert_eq!(fitting(0), 1);
    }
}
