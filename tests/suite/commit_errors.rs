//! COMMIT that fails at random, before or after it took effect: the answer is then 503, never a false 2xx.

use std::time::Duration;

use crate::support::campaign::{Campaign, one_at_a_time};

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what a campaign is for")]
fn a_commit_that_fails_is_never_acknowledged() {
    let _turn = one_at_a_time();
    // Several leases: a claim whose answer was lost is made good by the end of its lease, and the next claim may fail as well.
    let drain_within = Duration::from_secs(150);
    let fault = Some("commit_fails:0.05");
    let findings = Campaign { kills: 3, senders: 16, acked_between: (200, 900), fault, drain_within, seed: 7 }.run();
    println!("commit failures: {}", findings.figures());
    assert_eq!(findings.violations(), Vec::<String>::new(), "{}", findings.figures());
    assert!(findings.verdict.acked > 500, "enough load: {}", findings.figures());
}
