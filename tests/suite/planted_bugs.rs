//! A harness that finds nothing proves nothing: each planted bug breaks one promise, and the campaign must notice it.

use std::time::Duration;

use crate::support::campaign::{Campaign, Findings, one_at_a_time};

/// Kills after which a bug that was not noticed counts as missed. A kill shows an acknowledgement before its commit only when it falls
/// between the two: 140 kills did so six times, and two of eight runs of 40 missed it.
const KILLS_MAX: usize = 400;
/// Kills of one campaign; the next has another seed.
const KILLS_EACH: usize = 4;

fn campaign(fault: &'static str, seed: u64) -> Findings {
    // With commits that fail, only what is missing for good counts: what two leases do not bring back. Without, what nobody looks after for
    // half a lease does.
    let drain_within = Duration::from_secs(if fault.contains("commit_fails") { 75 } else { 15 });
    Campaign { kills: KILLS_EACH, senders: 16, acked_between: (50, 500), fault: Some(fault), drain_within, seed }.run()
}

#[expect(clippy::print_stdout, reason = "how hard a bug was to find is the figure")]
fn caught(bug: &'static str, fault: &'static str) {
    let _turn = one_at_a_time();
    let mut kills = 0;
    for seed in 1.. {
        let findings = campaign(fault, seed);
        kills += findings.kills;
        let violations = findings.violations();
        if let Some(first) = violations.first() {
            println!("planted {bug}: caught after {kills} kills, {} violations, the first: {first}", violations.len());
            return;
        }
        assert!(kills < KILLS_MAX, "planted {bug} went unnoticed through {kills} kills: {}", findings.figures());
    }
}

#[test]
fn an_acknowledgement_before_the_commit_is_noticed() {
    caught("ack_before_commit", "ack_before_commit");
}

#[test]
fn memory_kept_from_a_rolled_back_batch_is_noticed() {
    caught("staged_memory_kept", "staged_memory_kept,commit_fails:0.05");
}

#[test]
fn a_lease_nobody_holds_is_noticed() {
    caught("lease_without_slot", "lease_without_slot");
}

#[test]
fn leases_of_a_dead_process_that_are_not_voided_are_noticed() {
    caught("boot_without_voiding", "boot_without_voiding");
}
