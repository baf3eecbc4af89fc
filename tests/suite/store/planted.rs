//! Each planted bug makes a named test fail: a suite that lets one pass would prove nothing. The bug is put into a child process, which
//! runs one test of this very binary.

use std::process::{Command, Stdio};

/// Runs one test with these faults; whether it passed.
fn passes(test: &str, faults: &str) -> bool {
    let this = std::env::current_exe().expect("this binary");
    let mut child = Command::new(this);
    child.args(["--exact", test, "--test-threads=1"]).env("HOOKGATE_FAULT", faults);
    child.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("the child runs").success()
}

fn is_caught(test: &str, faults: &str) {
    // A bug that strikes at random is given a few throws.
    assert!((0..5).any(|_| !passes(test, faults)), "{test} passes with {faults} planted");
}

const THERE: &str = "store::commits::what_is_accepted_is_there_and_what_is_a_duplicate_has_a_first";
const ONE_FAN_OUT: &str = "store::commits::each_key_has_one_fan_out_however_often_it_is_rung_again";

#[test]
fn commits_that_fail_at_random_give_no_false_answer() {
    for faults in ["commit_fails:0.05", "commit_fails:0.5"] {
        assert!(passes(THERE, faults), "{faults}");
        assert!(passes(ONE_FAN_OUT, faults), "{faults}");
    }
}

#[test]
fn an_acknowledgement_before_the_commit_is_caught() {
    is_caught(THERE, "ack_before_commit,commit_fails:0.3");
}

#[test]
fn memory_kept_from_a_rollback_is_caught() {
    is_caught(THERE, "staged_memory_kept,commit_fails:0.3");
}

#[test]
fn a_settle_without_a_fence_is_caught() {
    is_caught("store::commits::a_stale_holder_writes_nothing", "settle_without_fence");
}

#[test]
fn an_admit_that_does_not_see_the_open_one_is_caught() {
    is_caught("store::order::one_of_a_key_goes_at_a_time_whatever_happens_in_between", "open_row_unseen");
}

#[test]
fn a_delivery_let_go_before_the_one_before_it_is_settled_is_caught() {
    is_caught("store::order::one_of_a_key_goes_at_a_time_whatever_happens_in_between", "next_before_settled");
}

#[test]
fn leases_left_standing_at_a_start_are_caught() {
    is_caught("store::commits::a_crash_voids_every_lease", "boot_without_voiding");
}

#[test]
fn a_pause_that_a_start_forgets_is_caught() {
    is_caught("store::acts::a_pause_stands_over_a_crash_and_ends_when_it_said", "pause_forgotten");
}

#[test]
fn a_job_whose_cursor_stays_behind_is_caught() {
    is_caught("store::acts::a_named_delivery_is_replayed_once_by_one_job", "cursor_left_behind");
}

#[test]
fn a_replay_that_opens_the_old_row_is_caught() {
    is_caught("store::acts::a_replay_is_a_new_delivery_and_the_old_row_stays_as_it_was", "replay_reopens");
}
