//! kill -9 in full flow, judged by the sender's own ledger. Short in every run of the tests; `make crash` makes it long.

use std::time::Duration;

use crate::support::campaign::{CONCURRENCY, Campaign, one_at_a_time};

/// A number from the environment, for the long campaigns.
pub(crate) fn setting(name: &str, otherwise: usize) -> usize {
    std::env::var_os(name).map_or(otherwise, |value| value.to_string_lossy().parse().expect("a number"))
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what a campaign is for")]
fn a_kill_loses_nothing_that_was_acknowledged() {
    let _turn = one_at_a_time();
    let kills = setting("CRASH_KILLS", 6);
    let seed = setting("CRASH_SEED", 1) as u64;
    let campaign = Campaign { kills, senders: 16, acked_between: (50, 900), fault: None, drain_within: Duration::from_secs(15), seed };
    let findings = campaign.run();
    println!("crash: {} (seed {seed})", findings.figures());
    assert_eq!(findings.violations(), Vec::<String>::new(), "seed {seed}: {}", findings.figures());
    assert_eq!(findings.own_ends, 0, "it ends only when it is killed");
    assert!(findings.verdict.acked > kills * 50 && findings.rung_again > 0, "enough load: {}", findings.figures());
    // At most what three targets may have under way or unsettled at a kill: five times their concurrency.
    assert!(findings.verdict.repeats <= (kills + 1) * 3 * CONCURRENCY * 5, "{}", findings.figures());
}
